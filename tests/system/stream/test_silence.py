"""Who answers no ping, and who says nothing: threats.md rows 4 and 47, in raw bytes."""

from collections.abc import Iterator

import pytest

from tests.fakes_frames import PING, PONG, client_frame
from tests.system.stream.raw_socket import RawSocket
from tests.system.world import World, world

pytestmark = pytest.mark.system

EMPTY = client_frame(b'{"op":"events","events":[]}')


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that loses its patience within seconds."""
    settings = {"stream": {"ping_s": 2, "pong_s": 2, "silent_s": 3}}
    with world(tmp_path_factory.mktemp("quick"), settings) as built:
        built.gateway.start()
        built.wait_until_ready()
        yield built


def test_4_who_answers_no_ping_is_cut_and_who_does_stays(quick: World) -> None:
    with RawSocket(quick) as mute, RawSocket(quick) as polite:
        mute.shake(quick, quick.visit("mute"), EMPTY)
        polite.shake(quick, quick.visit("polite"), EMPTY)
        while polite.answered < 3:
            polite.read_and_answer(client_frame(b"", PONG))
        polite.send(EMPTY)
        polite.hear(3)

        assert mute.end() is None, "nobody is there to be told a code"
        assert mute.frames.pings == [b""]
    quick.wait(
        lambda: 'edge_stream_closed_total{code="1006"}' in quick.gateway.metrics(), "counted"
    )


def test_47_who_only_pings_is_told_so_and_closed(quick: World) -> None:
    with RawSocket(quick) as raw:
        raw.shake(quick, quick.visit("pinging"))
        while raw.frames.close is None:
            raw.read_and_answer(client_frame(b"", PING) + client_frame(b"", PONG))

        assert raw.end() == (4408, "silent")
        assert raw.answered >= 1
        assert raw.said[-1] == {
            "op": "bye",
            "code": 4408,
            "reason": "silent",
            "reconnect_after_ms": 0,
        }
