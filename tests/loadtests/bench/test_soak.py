"""Marks are counted in events, growth from the middle to the end."""

import pytest

from loadtests.bench.soak import Mark, growth, soak
from tests.fakes_bench import Booth, Stall


def test_it_is_looked_at_after_so_many_events() -> None:
    booth = Booth()

    marks = list(soak(Stall("gateway", 2, 0.0), booth, events=1_000, mark_events=400))

    assert marks == [Mark(400, 64), Mark(800, 64), Mark(1_000, 64)]
    assert [order for order in booth.orders if "batch" in order] == [
        ("batch", {"count": 8}),
        ("batch", {"count": 8}),
        ("batch", {"count": 4}),
    ]


@pytest.mark.parametrize(
    ("rss", "expected"),
    [((10, 80, 100, 100), 0.25), ((10, 100, 100, 100), 0.0), ((10, 100, 90, 80), -0.2)],
)
def test_growth_counts_from_the_middle(rss: tuple[int, ...], expected: float) -> None:
    marks = [Mark(events, held) for events, held in enumerate(rss, 1)]

    assert growth(marks) == pytest.approx(expected)


def test_one_mark_has_not_grown() -> None:
    assert growth([Mark(100, 7)]) == 0
