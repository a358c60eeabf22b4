"""How long a start takes on a large spool of which nothing was forwarded; and that it knows all.

A gateway takes a few events while its origin is down, and is killed. Gibibytes of other events
follow them (:mod:`tests.faults.dirty_spool`), the last write of each lane is torn. Then the
gateway starts, once from the disk and once more, killed again meanwhile, from the page cache. It
must count every record, and what it took before and between must be a ``duplicate``. The records
are only counted here: the origin stays down, and gibibytes are forwarded and compared one by one in
:mod:`tests.faults.outage`.
"""

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from edge.core.lane import Lane
from edge.demo.gateway import GatewayError, Settings
from edge.demo.ledger import Event
from edge.demo.metrics import Counters
from edge.demo.payloads import Visit, deposit_requested, interactions, offer_claimed, some_uuid
from edge.demo.rounds import slip_submitted
from tests.faults.dirty_spool import LOADS, fill, last_segments
from tests.faults.faults import tear_write
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_123
GOAL_S: Final = 7.0
SIZE_BYTES: Final = {Scale.SHORT: 48 << 20, Scale.FULL: 10 << 30}

SPOOL: Final[Settings] = {"bytes_max": "16GiB", "lane_share_max": 0.5}
"""So large that with all of it no lane is full, and nothing is shed."""

EVENTS: Final[dict[Lane, Callable[[Visit], Event]]] = {
    Lane.WALLET: lambda visit: deposit_requested(visit, 1000),
    Lane.BET: lambda visit: slip_submitted(visit, some_uuid(visit.rng)),
    Lane.BONUS: lambda visit: offer_claimed(visit, visit.code("offer")),
    Lane.TELEMETRY: interactions,
}
"""What a player says, by lane; the other lanes have only facts."""

_CACHES: Final = Path("/proc/sys/vm/drop_caches")


def dirty_start(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Start on a dirty spool, from the disk and from the page cache."""
    with _origin_down() as url, world(room, {"spool": SPOOL, "origin": {"url": url}}) as here:
        try:
            yield from _rows(scale, here, tell)
        finally:
            here.gateway.close()
            shutil.rmtree(here.spool, ignore_errors=True)


def _rows(scale: Scale, here: World, tell: Tell) -> Iterator[Row]:
    ada, worker = here.visit(), here.spool / "0"
    tell(f"dirty start: seed {SEED}")
    here.gateway.start()
    here.wait_until_ready()
    said = _say(here, ada)
    here.gateway.kill()
    added = fill(worker, SIZE_BYTES[scale], SEED, tell)
    for what in (_cool(), "page cache warm"):
        for segment in last_segments(worker):
            tear_write(segment)
        expected = {lane: added[lane] + _count(lane, said) for lane in LOADS}
        began_s = time.monotonic()
        try:
            here.gateway.start()
            here.wait_until_ready()
        except (GatewayError, AssertionError) as error:
            tell(str(error))
            yield _row(scale, what, sum(expected.values()), None, ("no start",))
            return
        took_s = time.monotonic() - began_s
        tell(f"{what}: ready after {took_s:.1f} s, {_processor_s(here):.1f} s of a processor")
        faults = [*_miscounted(here, expected), *_forgotten(here, ada, said)]
        said += _say(here, ada)
        here.gateway.kill()
        yield _row(scale, what, sum(expected.values()), took_s, tuple(faults))


def _row(
    scale: Scale, what: str, records: int, took_s: float | None, faults: tuple[str, ...]
) -> Row:
    found = "not ready" if took_s is None else f"{took_s:.1f} s, {records:,} records"
    is_quick = scale is Scale.SHORT or (took_s is not None and took_s <= GOAL_S)
    return Row(
        what=f"start on {SIZE_BYTES[scale] >> 20:,} MiB, nothing forwarded; {what}",
        goal=f"ready in {GOAL_S:.0f} s (10 GiB), all counted (none forwarded), all known",
        found=found,
        is_reached=is_quick and bool(records) and not faults,
        faults=faults,
    )


def _say(here: World, visit: Visit) -> list[Event]:
    """Have an event accepted in each lane that clients have."""
    events = [event(visit) for event in EVENTS.values()]
    answer = here.say(visit, *events)
    assert answer.counts == (len(events), 0), answer.body
    return events


def _processor_s(here: World) -> float:
    """How much of that was work: on a busy machine a start mostly waits its turn.

    Source: proc(5), ``/proc/pid/stat``, utime and stime.
    """
    assert here.gateway.process is not None
    stat = Path(f"/proc/{here.gateway.process.pid}/stat").read_text("utf-8")
    utime, stime = stat.rpartition(")")[2].split()[11:13]
    return (int(utime) + int(stime)) / os.sysconf("SC_CLK_TCK")


def _count(lane: Lane, said: list[Event]) -> int:
    return sum(str(event["type"]).startswith(f"{lane}.") for event in said)


def _miscounted(here: World, expected: dict[Lane, int]) -> Iterator[str]:
    """Compare what the gateway found with what was accepted."""
    counters = Counters(here.gateway.metrics())
    for lane, count in expected.items():
        found = counters.of("edge_spool_records_at_start", lane)
        if found != count:
            yield f"{lane}: {found} records found, {count} were accepted"


def _forgotten(here: World, visit: Visit, said: list[Event]) -> Iterator[str]:
    """Say everything again."""
    answer = here.say(visit, *said)
    if answer.counts != (0, len(said)):
        yield f"of {len(said)} events said again not all are duplicates: {answer.body!r}"


def _cool() -> str:
    """Have the next start read from the disk; needs root."""
    os.sync()
    try:
        _CACHES.write_text("1\n")
    except PermissionError:
        return "page cache NOT dropped: that needs root"
    return "page cache cold"


@contextlib.contextmanager
def _origin_down() -> Generator[str]:
    """Hold a port on which nobody listens; gives its URL."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
