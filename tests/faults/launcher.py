"""Starts ``edge`` with something in its way: ``python -m tests.faults.launcher … serve …``.

In: options of ours, then a command line of ``edge``; out: what that does, until a named point
is passed. Production classes are wrapped before ``edge`` is entered; nothing of ``edge`` knows.

``--kill-at POINT:N``
    SIGKILL to itself when a named point (:class:`tests.faults.failpoints.Point`) is passed for
    the N-th time.
``--bounds NAME=BYTES,…``
    Other sizes than production's (:class:`edge.shell.spool.segment.Bounds`): segments follow
    one another soon, and go soon.
``--refuses N``
    The origin refuses about one record in N for good, always the same ones.
``--bug-in TYPE``
    The stage that seals has a bug that events of this type meet.
``--crowded``
    What a socket says never finds its turn at once, and there is no room to wait for one.
``--write-ms N``
    Each write of the spool takes so long.

Put it in front with ``gateway.command = launcher(...)``.
"""

import argparse
import functools
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edge.__main__ import main as edge
from edge.core.event import Event
from edge.core.seal import Sealer
from edge.shell.governor import Governor
from edge.shell.spool.disk import OsOutput
from edge.shell.spool.process import Spool
from edge.shell.spool.segment import Bounds
from edge.shell.stream.socket_wire import SocketProtocol
from origin_client.http import HttpOrigin
from origin_client.kafka import KafkaOrigin
from origin_client.log import LogOrigin
from origin_client.origin import Outgoing, Refusal
from tests.faults.failpoints import Method, Point, Trap, around, wire

DEAD_TOPIC: Final = "edge.dead.v1"
NO_BOUNDS: Final[Mapping[str, int]] = {}


def launcher(
    kill_at: tuple[Point, int] | None = None,
    bounds: Mapping[str, int] = NO_BOUNDS,
    refuses: int = 0,
    *,
    bug_in: str = "",
    is_crowded: bool = False,
    write_ms: int = 0,
) -> tuple[str, ...]:
    """Write the command that stands in for ``python -m edge``.

    Args:
        kill_at: A point, and its how manieth pass, from 1.
        bounds: Fields of :class:`edge.shell.spool.segment.Bounds`.
        refuses: One record in so many is refused by the origin; 0: none.
        bug_in: Events of this type meet a bug; empty: none do.
        is_crowded: Sockets are heard only when nobody else is.
        write_ms: What each write of the spool takes.
    """
    options: list[str] = []
    if kill_at is not None:
        options += ["--kill-at", f"{kill_at[0].value}:{kill_at[1]}"]
    if bounds:
        options += ["--bounds", ",".join(f"{name}={size}" for name, size in bounds.items())]
    if refuses:
        options += ["--refuses", str(refuses)]
    if bug_in:
        options += ["--bug-in", bug_in]
    if is_crowded:
        options += ["--crowded"]
    if write_ms:
        options += ["--write-ms", str(write_ms)]
    return (sys.executable, "-m", "tests.faults.launcher", *options)


def bound(bounds: Bounds) -> None:
    """Have every spool of this process opened with *bounds*."""
    opened: Callable[..., Spool] = Spool.open

    def wrapper(_: type[Spool], *args: Any, **named: Any) -> Spool:  # as Spool.open
        return opened(*args, **{"bounds": bounds, **named})

    setattr(Spool, "open", classmethod(functools.wraps(opened)(wrapper)))  # noqa: B010  # what a launcher does


def refuse(one_in: int) -> None:
    """Have every origin refuse one record in so many, by its bytes: the same in every life."""

    def wrapper(
        publish: Callable[..., list[Refusal]],
        origin: object,
        topic: str,
        records: Sequence[Outgoing],
    ) -> list[Refusal]:
        if topic == DEAD_TOPIC:
            return publish(origin, topic, records)
        refused = [n for n, each in enumerate(records) if zlib.crc32(each.value) % one_in == 0]
        taken = sorted({*range(len(records))} - {*refused})
        refusals = publish(origin, topic, [records[n] for n in taken]) if taken else []
        return [
            *(Refusal(taken[each.index], each.reason, each.is_final) for each in refusals),
            *(Refusal(n, "refused by the launcher", is_final=True) for n in refused),
        ]

    for kind in (LogOrigin, KafkaOrigin, HttpOrigin):
        around(kind, "publish", wrapper)


def stumble(kind: str) -> None:
    """Have the stage that seals raise what no stage raises, for events of one type."""

    def wrapper(
        seal: Method, sealer: Sealer, event: Event, *args: Any
    ) -> Any:  # as Sealer.seal
        if event.spec.type == kind:
            raise ZeroDivisionError("planted by the launcher")
        return seal(sealer, event, *args)

    around(Sealer, "seal", wrapper)


def crowd() -> None:
    """Have no turn for sockets but the next one, and nowhere to wait for it."""

    def line_up(line_up: Method, governor: Governor, connection: object) -> Any:  # as there
        if isinstance(connection, SocketProtocol):
            setattr(governor, "_left", 0)  # noqa: B010  # as when others have begun as many as may
        return line_up(governor, connection)

    def hold(_: Method, *__: Any, **___: Any) -> bool:  # as Governor.hold_frames
        return False

    around(Governor, "line_up", line_up)
    around(Governor, "hold_frames", hold)


def slow(write_s: float) -> None:
    """Have a disk that takes its time."""

    def write(write: Method, output: OsOutput, content: bytes) -> Any:  # as there
        time.sleep(write_s)
        return write(output, content)

    around(OsOutput, "write", write)


def main(arguments: Sequence[str]) -> int:
    """Put everything in the way, then be ``edge``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill-at", default="")
    parser.add_argument("--bounds", default="")
    parser.add_argument("--refuses", type=int, default=0)
    parser.add_argument("--bug-in", default="")
    parser.add_argument("--crowded", action="store_true")
    parser.add_argument("--write-ms", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    wanted = parser.parse_args(arguments)
    if wanted.bounds:
        pairs = (each.split("=") for each in wanted.bounds.split(","))
        bound(Bounds(**{name: int(size) for name, size in pairs}))
    if wanted.refuses:
        refuse(wanted.refuses)
    if wanted.bug_in:
        stumble(wanted.bug_in)
    if wanted.crowded:
        crowd()
    if wanted.write_ms:
        slow(wanted.write_ms / 1000)
    if wanted.kill_at:
        name, _, passes = wanted.kill_at.partition(":")
        wire(Trap(Point(name), int(passes)))
    sys.argv = ["edge", *wanted.command]
    return edge()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
