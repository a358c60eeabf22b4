"""Keys that are missing, late or rotated: good tokens are never called bad."""

import os
import signal
import socket
from pathlib import Path

import pytest

from edge.demo.issuer import Issuer
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def free_port() -> int:
    """A port nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def replace(path: Path, octets: bytes) -> None:
    """Put a new file in the place of *path*, as a mounted secret changes."""
    new = path.with_suffix(".new")
    new.write_bytes(octets)
    new.replace(path)


def status_of(world: World, issuer: Issuer) -> tuple[int, object]:
    """What a player with a token of *issuer* is answered."""
    answer = world.say(issuer.player(world.visit()))
    return answer.status, answer.json.get("code")


def test_without_keys_it_is_not_ready_and_says_so_and_heals_by_itself(build: Build) -> None:
    late = Issuer(port=free_port())
    here = build({"auth.issuers": {"jwks_path": None, "jwks_url": late.jwks_url}})
    here.gateway.start()

    answer = here.say(late.player(here.visit()))

    assert (answer.status, answer.json["code"]) == (503, "keys_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert here.ask("/readyz").status == 503
    assert here.ask("/livez").status == 200
    with late:
        here.wait_until_ready()
        assert here.say(late.player(here.visit())).counts == (0, 0)


def test_keys_once_fetched_outlive_their_server_and_a_restart(build: Build) -> None:
    with Issuer() as gone:
        here = build({"auth.issuers": {"jwks_path": None, "jwks_url": gone.jwks_url}})
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        event = TABLE.spin(ada, 100)
        assert here.say(gone.player(ada), event).counts == (1, 0)
    here.gateway.kill()
    here.gateway.start()
    here.wait_until_ready()

    assert here.say(gone.player(ada), event).counts == (0, 1)


@pytest.mark.parametrize("is_told", [False, True], ids=["within ten seconds", "at SIGHUP"])
def test_a_rotated_key_file_is_read_again(
    here: World,
    is_told: bool,  # noqa: FBT001  # a row of the table above
) -> None:
    here.wait_until_ready()
    new = Issuer(kid="evening-2")
    assert status_of(here, here.issuer) == (202, None)
    assert status_of(here, new) == (401, "token_invalid")

    replace(here.jwks, new.jwks())
    if is_told:
        assert here.gateway.process is not None
        os.kill(here.gateway.process.pid, signal.SIGHUP)

    here.wait(lambda: status_of(here, new) == (202, None), "the new key")
    assert status_of(here, here.issuer) == (401, "token_invalid")


def test_a_broken_key_file_leaves_the_good_keys(here: World) -> None:
    here.wait_until_ready()

    replace(here.jwks, b"<html>moved</html>")
    assert here.gateway.process is not None
    os.kill(here.gateway.process.pid, signal.SIGHUP)

    here.wait(lambda: "edge.keys" in here.gateway.log.read_text(), "a complaint")
    assert status_of(here, here.issuer) == (202, None)
    assert here.ask("/readyz").status == 200
