"""What the settings say is what each socket is told and timed by."""

from edge.config import Stream
from edge.core.instant import NS_PER_S
from edge.core.ops import Limits
from edge.core.timetable import Times
from edge.shell.stream.host import limits_of, times_of
from tests.fakes_talk import Lobby

SETTINGS = Stream(
    silent_s=3, ping_s=2, pong_s=1, frames_per_s=7, events_per_s=500, in_flight_bytes=1 << 20
)


def test_times_and_bounds_are_those_of_the_settings() -> None:
    assert times_of(SETTINGS) == Times(
        3 * NS_PER_S, 2 * NS_PER_S, 1 * NS_PER_S, NS_PER_S // 500
    )
    assert limits_of(SETTINGS) == Limits(
        frame_bytes=65_536,
        events=200,
        frames_per_s=7,
        events_per_s=500,
        in_flight_bytes=1 << 20,
    )


def test_even_the_last_client_comes_back_within_a_second() -> None:
    host = Lobby().host

    drawn = [host.reconnect_after_ms() for _ in range(1000)]

    assert 0 <= min(drawn) < 50
    assert 950 < max(drawn) < 1000
