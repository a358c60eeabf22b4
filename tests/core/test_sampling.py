"""Of a flood of refusals a few are told, each code gets its share, and every one is counted."""

from collections import Counter

from hypothesis import given, strategies as st

from edge.core.sampling import CODE_BURST, CODE_QUOTA, NODE_BURST, NODE_QUOTA, Sampler
from tests.fakes import NOW, later


def test_the_first_of_a_code_are_all_told() -> None:
    sampler = Sampler()

    assert [sampler.take("pii_leak", NOW) for _ in range(CODE_BURST)] == [1] * CODE_BURST


def test_a_flood_is_told_once_a_second_and_says_how_many_there_were() -> None:
    sampler = Sampler()
    for _ in range(CODE_BURST):
        sampler.take("pii_leak", NOW)

    told = [
        sampler.take("pii_leak", later(second)) for second in range(1, 4) for _ in range(1000)
    ]

    assert [counted for counted in told if counted] == [1, 1000, 1000]


def test_a_flood_of_one_code_hides_no_other() -> None:
    sampler = Sampler()
    for _ in range(1000):
        sampler.take("token_invalid", NOW)

    assert sampler.take("pii_leak", NOW) == 1


def test_all_codes_together_have_a_bound_and_no_code_pays_for_it() -> None:
    sampler = Sampler()
    codes = [f"code_{number}" for number in range(20)]
    told = [sampler.take(code, NOW) for _ in range(CODE_BURST) for code in codes]
    last = told[len(codes) - 1 :: len(codes)]

    later_told = [sampler.take(codes[-1], later(1)) for _ in range(20)]

    assert sum(map(bool, told)) == NODE_BURST
    assert later_told[0] == 1 + last.count(0)
    assert len(later_told) - later_told.count(0) == last.count(0) + CODE_QUOTA


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(0, 200)),
        max_size=300,
    )
)
def test_samples_stay_within_both_bounds_and_account_for_every_refusal(
    refusals: list[tuple[str, int]],
) -> None:
    sampler = Sampler()
    told: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    elapsed_ms = 0
    for code, gap_ms in refusals:
        elapsed_ms += gap_ms
        waiting[code] += 1
        if counted := sampler.take(code, later(elapsed_ms / 1000)):
            assert counted == waiting.pop(code)
            told[code] += counted
            samples[code] += 1
    elapsed_s = elapsed_ms / 1000

    assert told + waiting == Counter(code for code, _ in refusals)
    assert all(count <= CODE_BURST + CODE_QUOTA * elapsed_s for count in samples.values())
    assert samples.total() <= NODE_BURST + NODE_QUOTA * elapsed_s
