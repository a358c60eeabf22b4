"""The system clock knows the year, and its steady hand never goes back."""

from edge.shell.clock import SystemClock

WRITTEN_NS = 1_790_000_000 * 1_000_000_000


def test_now_is_after_this_was_written() -> None:
    assert SystemClock().now().unix_ns > WRITTEN_NS


def test_steady_time_never_goes_back() -> None:
    clock = SystemClock()

    assert clock.now().steady_ns <= clock.now().steady_ns
