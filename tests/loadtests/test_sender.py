"""A batch is sent until it is settled, in each player's order, and not a moment longer."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from loadtests.batches import Batch
from loadtests.bets import Fact
from loadtests.ruling import StuckError
from loadtests.sender import JITTER_MAX_S, JITTER_MIN_S, RETRY_AFTER_MAX_S, Sender
from loadtests.tally import Tally
from tests.fakes_replay import Longest, Mood, MoodyGateway, Nap, Purse, Turn, facts


def sender(gateway: MoodyGateway, nap: Nap, purse: Purse | None = None) -> Sender:
    return Sender(
        connection=gateway,
        token=purse or Purse(),
        tally=Tally(total=0),
        patience_s=60,
        steady_s=nap.steady_s,
        pause=nap.pause,
        rng=Longest(),
    )


def gateway(*turns: Mood | Turn) -> MoodyGateway:
    return MoodyGateway(iter([Turn(t) if isinstance(t, Mood) else t for t in turns]))


MOODS = st.sampled_from([mood for mood in Mood if mood not in {Mood.SEALED, Mood.STRICT}])
TURNS = st.lists(st.builds(Turn, mood=MOODS, cut=st.integers(0, 12)), max_size=12)
PLAYERS = st.lists(st.sampled_from(["ann-1", "bob-1", "cy-01"]), min_size=1, max_size=6)


@given(st.lists(PLAYERS, min_size=1, max_size=4), TURNS)
def test_whatever_happens_everything_is_taken_once_and_in_order(
    batches: list[list[str]], turns: list[Turn]
) -> None:
    moody = gateway(*turns)
    voice = sender(moody, Nap())
    stated = facts(*(player for players in batches for player in players))
    left = stated
    for players in batches:
        mine, left = left[: 2 * len(players)], left[2 * len(players) :]
        voice.send(Batch(0, mine))

    expected = [fact.encoded for fact in stated]
    assert [id_of(event) for event in moody.taken] == [id_of_bytes(each) for each in expected]
    assert voice.tally.sent == len(stated)
    assert voice.tally.overtaken == 0


def id_of(event: dict[str, object]) -> str:
    return str(event["id"])


def id_of_bytes(encoded: bytes) -> str:
    _, _, behind = encoded.partition(b'"id":"')
    return behind[:36].decode()


def send(moody: MoodyGateway, stated: Sequence[Fact], purse: Purse | None = None) -> Tally:
    voice = sender(moody, Nap(), purse)
    voice.send(Batch(5, stated))
    return voice.tally


def test_an_event_whose_answer_was_lost_comes_back_as_a_duplicate() -> None:
    tally = send(gateway(Mood.MUTE), facts("ann-1"))

    assert (tally.accepted, tally.duplicate, tally.retries) == (0, 2, 1)


def test_what_is_refused_for_good_is_not_sent_again() -> None:
    moody = gateway(Mood.STRICT)

    tally = send(moody, facts("ann-1"))

    assert tally.refused == {"schema_violation": 1}
    assert tally.listed == ["line 2, bet.round.staked: schema_violation at /x"]
    assert len(moody.requests) == 1


def test_a_retry_keeps_the_k_of_its_first_try() -> None:
    moody = gateway(Mood.AWAY, Turn(Mood.CUTTING, 1))

    send(moody, facts("ann-1"))

    assert {k for k, _ in moody.requests} == {"replay-5"}
    assert len(moody.requests) == 3


def test_a_refused_token_is_read_again() -> None:
    moody = gateway(Mood.SEALED)

    tally = send(moody, facts("ann-1"), Purse(["old", "new"]))

    assert [token for _, token in moody.requests] == ["old", "new"]
    assert tally.accepted == 2


def test_a_refused_token_that_stays_the_same_ends_it() -> None:
    with pytest.raises(StuckError, match="token_expired, and the file holds no other"):
        send(gateway(Mood.SEALED), facts("ann-1"))


def test_it_waits_what_it_is_asked_for_and_some_jitter() -> None:
    nap = Nap()

    sender(gateway(Turn(Mood.CUTTING, 1)), nap).send(Batch(0, facts("ann-1")))

    assert nap.pauses == [3.0 + JITTER_MIN_S]


def test_the_jitter_doubles_while_nothing_is_settled_up_to_a_bound() -> None:
    nap = Nap()
    turns: list[Mood | Turn] = [*[Mood.AWAY] * 9, Turn(Mood.CUTTING, 1), Mood.AWAY]

    sender(gateway(*turns), nap).send(Batch(0, facts("ann-1")))

    doubling = [JITTER_MIN_S * 2**n for n in range(6)]
    assert nap.pauses[:9] == pytest.approx([*doubling, *[JITTER_MAX_S] * 3])
    assert nap.pauses[9:] == pytest.approx([3.0 + JITTER_MIN_S, 2 * JITTER_MIN_S])


def test_it_gives_up_when_nothing_is_settled_for_too_long() -> None:
    nap = Nap()

    with pytest.raises(StuckError, match="draining for 60 s"):
        sender(gateway(*[Mood.BUSY] * 1000), nap).send(Batch(0, facts("ann-1")))

    assert 60 < nap.now_s < 60 + RETRY_AFTER_MAX_S + JITTER_MAX_S


def test_slow_progress_is_progress() -> None:
    nap = Nap()
    turns = [Turn(Mood.CUTTING, 1)] * 100

    sender(gateway(*turns), nap).send(Batch(0, facts(*["ann-1"] * 50)))

    assert nap.now_s > 60
