"""A real client of sockets, of the ``websockets`` package, and what it hears."""

import contextlib
import json
import time
from collections.abc import Generator, Mapping
from typing import Final, TypeAlias, cast

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from edge.demo.payloads import Visit
from tests.frames_contract import CONTRACT
from tests.system.world import WAIT_S, World

Frame: TypeAlias = dict[str, object]

OURS: Final = Subprotocol("edge.v1.json")
BOTH: Final = "events:write stream:read"


@contextlib.contextmanager
def socket(
    here: World,
    speaker: Visit | str,
    query: str = "",
    *,
    headers: Mapping[str, str] | None = None,
) -> Generator[ClientConnection]:
    """Connect as a player, or with this token; ``welcome`` is still to be heard.

    Raises:
        InvalidStatus: The gateway refused.
    """
    host, port = here.gateway.public
    token = speaker if isinstance(speaker, str) else here.issuer.player(speaker, scope=BOTH)
    with connect(
        f"ws://{host}:{port}/v1/stream{query}",
        subprotocols=[OURS, Subprotocol(f"bearer.{token}")],
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        open_timeout=WAIT_S,
        close_timeout=WAIT_S,
    ) as found:
        yield found


@contextlib.contextmanager
def welcomed(here: World, speaker: Visit | str, query: str = "") -> Generator[ClientConnection]:
    """Connect, and hear ``welcome``."""
    with socket(here, speaker, query) as found:
        assert hear(found)["op"] == "welcome"
        yield found


def hear(found: ClientConnection) -> Frame:
    """Wait for the next frame, which is as ``/asyncapi.json`` says."""
    text = found.recv(timeout=WAIT_S)
    assert isinstance(text, str)
    frame = cast("Frame", json.loads(text))
    faults = CONTRACT.faults_of(frame)
    assert not faults, faults
    return frame


def hear_until(found: ClientConnection, op: str) -> Frame:
    """Wait for a frame of this kind; others are dropped."""
    while True:
        frame = hear(found)
        if frame["op"] == op:
            return frame


def say(found: ClientConnection, *events: Mapping[str, object]) -> None:
    """Send one frame of events."""
    found.send(json.dumps({"op": "events", "events": events}))


def ask(found: ClientConnection, *events: Mapping[str, object]) -> Frame:
    """Send one frame of events, alone; return what is said of it."""
    say(found, *events)
    return hear_until(found, "verdicts")


def renew(found: ClientConnection, token: str) -> None:
    """Send a newer token."""
    found.send(json.dumps({"op": "token", "token": token}))


def end_of(found: ClientConnection) -> tuple[list[Frame], int | None]:
    """Hear to the end: every frame, and the code of the gateway's close frame."""
    frames: list[Frame] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            frames.append(hear(found))
    return frames, found.close_code


def refusal(
    here: World, speaker: Visit | str, headers: Mapping[str, str] | None = None
) -> Frame:
    """Be refused: the problem document."""
    try:
        with socket(here, speaker, headers=headers):
            raise AssertionError("let in")
    except InvalidStatus as refused:
        answer = refused.response
        assert answer.headers["connection"] == "close"
        problem = cast("Frame", json.loads(answer.body or b"{}"))
        assert problem["status"] == answer.status_code
        return problem


def codes(frame: Frame) -> list[tuple[object, object, object]]:
    """Frame, index and code of each refused entry."""
    entries = cast("list[Frame]", frame["refused"])
    return [(each["frame"], each["index"], each["code"]) for each in entries]


def now_s() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000_000
