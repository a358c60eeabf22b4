"""Batches keep each player's order, are as full as they may be, and never larger."""

from itertools import chain, groupby

from hypothesis import given, strategies as st

from loadtests import batches as module
from loadtests.batches import BATCH_BYTES_MAX, Batch, batches, body_of, shard_of
from loadtests.bets import Fact
from tests.fakes_replay import facts

FACTS = st.lists(
    st.builds(
        Fact,
        line=st.integers(2, 99),
        type=st.just("t"),
        player=st.sampled_from([f"player-{n}" for n in range(20)]),
        encoded=st.sampled_from([b"x", b"x" * 1_000, b"x" * 100_000]),
    ),
    max_size=100,
)


@given(FACTS)
def test_every_fact_is_in_one_batch_and_each_player_in_order(stated: list[Fact]) -> None:
    numbered = [fact._replace(line=line) for line, fact in enumerate(stated)]

    told = list(chain.from_iterable(batch.facts for batch in batches(numbered)))

    assert sorted(told, key=lambda fact: fact.line) == numbered
    by_player = sorted(told, key=lambda fact: fact.player)  # stable
    for _, own in groupby(by_player, key=lambda fact: fact.player):
        lines = [fact.line for fact in own]
        assert lines == sorted(lines)


@given(FACTS)
def test_a_batch_is_of_one_shard(stated: list[Fact]) -> None:
    for batch in batches(stated):
        assert {shard_of(fact.player) for fact in batch.facts} == {batch.shard}


def test_a_batch_holds_two_hundred_events_at_most() -> None:
    stated = facts(*["player-1"] * 150)

    assert [len(batch.facts) for batch in batches(stated)] == [200, 100]


def test_a_batch_is_as_large_as_a_body_may_be_and_no_larger() -> None:
    left = BATCH_BYTES_MAX - len("[,,]")
    whole = [Fact(2, "t", "player-1", b"x" * (left // 3 + (n < left % 3))) for n in range(3)]
    above = [*whole[:2], whole[2]._replace(encoded=whole[2].encoded + b"x")]

    assert [len(body_of(batch.facts)) for batch in batches(whole)] == [BATCH_BYTES_MAX]
    assert [len(batch.facts) for batch in batches(above)] == [2, 1]


def test_shards_are_the_same_in_every_process() -> None:
    """A change here sends players to other nodes, where they are not known again."""
    assert [shard_of(f"player-{n}") for n in range(8)] == [5, 3, 1, 7, 4, 2, 0, 6]
    assert module.SHARDS == 8


def test_k_names_the_shard() -> None:
    assert Batch(3, ()).k == "replay-3"


def test_a_body_is_an_array() -> None:
    first, second = facts("player-1")

    assert body_of([first, second]) == b"[" + first.encoded + b"," + second.encoded + b"]"
