"""Whoever is closed on, or leaves, is first told the verdicts that it waits for."""

import pytest

from edge.demo.payloads import Visit
from tests.fakes_frames import BINARY, PING, client_frame, closing
from tests.system.stream.raw_socket import RawSocket, events
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    ("octets", "close"),
    [
        pytest.param(closing(1000, "done"), (1000, "done"), id="a close frame"),
        pytest.param(client_frame(b"{}", BINARY), (1003, "binary"), id="17: binary"),
        pytest.param(
            client_frame(b"", PING) * 200, (1008, "too many control frames"), id="49: pings"
        ),
    ],
)
def test_a_verdict_comes_before_the_close_frame_though_its_sync_was_under_way(
    door: World, ada: Visit, octets: bytes, close: tuple[int, str]
) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(events(TABLE.spin(ada, 100)) + octets)

        assert raw.end() == close
        assert [frame["op"] for frame in raw.said] == ["welcome", "verdicts"]
        assert raw.said[1]["refused"] == []
        assert (raw.said[1]["settled"], raw.said[1]["highest"]) == (1, 1)
        assert not raw.was_reset


def test_65_who_half_closes_behind_its_events_gets_their_verdicts(
    door: World, ada: Visit
) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(events(TABLE.spin(ada, 100)))
        raw.half_close()

        assert raw.end() is None
        assert [frame["op"] for frame in raw.said] == ["welcome", "verdicts"]
