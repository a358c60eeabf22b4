"""How many sockets there may be: in total, of an address, player, session: threats.md row 43."""

import contextlib

import pytest

from tests.system.conftest import Build
from tests.system.stream.raw_socket import RawSocket, events, handshake, offer
from tests.system.stream.sockets import ask, codes, refusal, welcomed
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

FIELDLESS = {"sec-websocket-protocol": "edge.v1.json"}


@pytest.mark.parametrize(("bound", "status"), [("total", 503), ("per_address", 429)], ids=str)
def test_one_socket_too_many_is_refused_and_there_is_room_again(
    build: Build, bound: str, status: int
) -> None:
    here = build({"limits.connections": {bound: 3}})
    here.gateway.start()
    here.wait_until_ready()
    with contextlib.ExitStack() as open_sockets:
        for name in "abc":
            open_sockets.enter_context(welcomed(here, here.visit(name)))
        problem = refusal(here, here.visit("d"))

        assert (problem["status"], problem["code"]) == (status, "too_many_connections")
        assert "edge_stream_sockets 3.0" in here.gateway.metrics()
    here.wait(lambda: "edge_stream_sockets 0.0" in here.gateway.metrics(), "all are gone")
    with welcomed(here, here.visit("d")) as found:
        assert ask(found)["refused"] == []


def test_a_player_has_three_sockets_and_its_own_newest_always_fits(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit("ada")
    sessions = [f"0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c{n:02d}" for n in range(4)]
    tokens = [here.issuer.player(ada, sid=session) for session in sessions]
    with contextlib.ExitStack() as open_sockets:
        for token in tokens[:3]:
            open_sockets.enter_context(welcomed(here, token))

        assert refusal(here, tokens[3])["status"] == 429
        with welcomed(here, tokens[2]) as newest:
            assert ask(newest)["refused"] == []
        with welcomed(here, here.visit("bob")) as other:
            assert ask(other)["refused"] == []


@pytest.mark.parametrize("bound", ["total", "per_address"])
def test_43_whoever_is_too_much_is_told_before_the_101_and_hung_up_on(
    build: Build, bound: str
) -> None:
    here = build({"limits.connections": {bound: 1}})
    here.gateway.start()
    here.wait_until_ready()
    with RawSocket(here) as first, RawSocket(here) as second, RawSocket(here) as third:
        first.shake(here, here.visit("a"))
        second.send(handshake(offer(here, here.visit("b"))) + events())
        status, head = second.answer()
        second.wait_for_hangup()

        assert status == {"total": 503, "per_address": 429}[bound]
        assert "\r\nretry-after: " in head
        assert "\r\nconnection: close" in head
        assert first.ask(events())["refused"] == [], "and he costs nobody his place"
        third.send(handshake(FIELDLESS))
        assert third.answer()[0] == status, "a full house tells a stranger nothing else"


def test_the_older_of_two_sockets_of_a_session_is_told_that_it_is_replaced(
    here: World,
) -> None:
    """Planted: another reason; another code; the newer one ends, or none."""
    here.wait_until_ready()
    ada = here.visit("ada")
    with RawSocket(here) as older, RawSocket(here) as newer:
        older.shake(here, ada)
        assert codes(older.ask(events(TABLE.spin(ada, 100)))) == []
        newer.shake(here, ada)
        end = older.end()
        told = newer.ask(events(TABLE.spin(ada, 100)))

        assert end == (4409, "replaced")
        assert older.said[2:] == [
            {"op": "bye", "code": 4409, "reason": "replaced", "reconnect_after_ms": 0}
        ]
        assert (told["settled"], codes(told)) == (2, [])
        assert newer.frames.close is None


def test_43_a_player_who_is_too_much_is_told_before_the_101(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit("ada")
    sessions = [f"0192f3c4-7a10-7c3e-8d52-6b1f0a9e4d{n:02d}" for n in range(4)]
    with contextlib.ExitStack() as open_sockets:
        raws = [open_sockets.enter_context(RawSocket(here)) for _ in sessions]
        for raw, session in zip(raws[:3], sessions, strict=False):
            raw.shake(here, here.issuer.player(ada, sid=session))
        raws[3].send(handshake(offer(here, here.issuer.player(ada, sid=sessions[3]))))
        status, head = raws[3].answer()

    assert status == 429
    assert "\r\nretry-after: " in head
