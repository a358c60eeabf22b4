"""How many sockets there may be: in total, of an address, of a player: threats.md row 43."""

import contextlib

import pytest

from tests.system.conftest import Build
from tests.system.stream.sockets import ask, refusal, welcomed
from tests.system.world import World

pytestmark = pytest.mark.system


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
