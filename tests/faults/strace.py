"""Proofs from outside, of the kernel's own word: what was done before what.

In: a gateway under strace, a few events one after another. Out: a row for each order that
design.md §5 promises. Nothing of the gateway is believed, only its system calls.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge.demo.gateway import Settings
from edge.demo.ledger import Event
from tests.faults.launcher import launcher
from tests.faults.row import Row, Scale, Tell
from tests.faults.strace_calls import Call, Calls, missing, read, tracer
from tests.faults.strace_failures import failed_descriptors
from tests.system.world import TABLE, world

WHAT: Final = "strace"
BOUNDS: Final = {"segment_bytes_max": 1500}  # two events
RETAINED_BYTES: Final = 0  # a segment goes as soon as the cursor is behind it
BATCHES: Final = {Scale.SHORT: 8, Scale.FULL: 100}
WRITES: Final = ("write", "pwrite64", "writev")
SENDS: Final = ("write", "writev", "sendto", "sendmsg")
ACCEPTED: Final = b"HTTP/1.1 202 "
MARKS: Final = (b"\xffEDGESG\xfe", b"\xffEF\xfe")  # of a segment's header, of a frame
_CURSOR: Final = struct.Struct("<8sHHQQQ")
"""A slot, as ``edge.shell.spool.cursor`` documents it; written anew here, or one mistake would
prove another."""


def orders_of_syncs(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Prove that nothing is said, forwarded or deleted before what it relies on is synced."""
    if lacking := missing():
        tell(f"SKIPPED: {WHAT}: {lacking}")
        yield Row(WHAT, "orders of syncs", f"skipped: {lacking}", is_reached=False)
        return
    events, calls = _traced(room, BATCHES[scale])
    tell(f"{len(events)} events, {sum(1 for _ in calls.named(*WRITES))} writes traced")
    for what, goal, proof in (
        ("answers", "write, sync, then the answer", _answers),
        ("forwarding", "write, sync, then the origin", _forwarding),
        ("deletions", "cursor synced, then unlink", _deletions),
        ("new segments", "sync, rename, directory synced, then a frame", _beginnings),
    ):
        found, faults = proof(events, calls)
        is_reached = found > 0 and not faults
        yield Row(f"strace: {what}", goal, f"{found} in that order", is_reached, tuple(faults))
    yield from failed_descriptors(room)


def _traced(room: Path, batches: int) -> tuple[list[Event], Calls]:
    """Say events one by one; return them with all that was done."""
    own = room / "orders"
    own.mkdir()
    with world(own, {"spool": _spool(own)}) as here:
        here.gateway.command = (*tracer(own / "trace"), *launcher(bounds=BOUNDS))
        here.gateway.start()
        ada = here.visit()
        events = [TABLE.spin(ada, number) for number in range(1, 2 * batches + 1)]
        for event in events:
            assert here.say(ada, event).counts == (1, 0)
        here.wait_until_forwarded(*events)
        assert here.gateway.stop() == 0
        return events, read(own / "trace")


def _spool(room: Path) -> Settings:
    return {"path": str(room / "spool"), "retained_bytes_max": RETAINED_BYTES}


def _frames(events: Sequence[Event], calls: Calls) -> Iterator[tuple[bytes, Call]]:
    """Yield each event's id, and the write that puts it into a segment."""
    writes = [call for call in calls.named(*WRITES) if call.path.endswith(".seg")]
    for event in events:
        name = str(event["id"]).encode()
        yield name, next(call for call in writes if name in b"".join(call.strings))


def _answers(events: Sequence[Event], calls: Calls) -> tuple[int, list[str]]:
    sends = [call for call in calls.named(*SENDS) if ACCEPTED in b"".join(call.strings)]
    faults: list[str] = []
    for (name, write), answer in zip(_frames(events, calls), sends, strict=True):
        durable_at = calls.durable_at(write)
        if durable_at is None or durable_at > answer.began:
            faults.append(f"event {name.decode()} was answered before it was synced")
    return len(events) - len(faults), faults


def _forwarding(events: Sequence[Event], calls: Calls) -> tuple[int, list[str]]:
    published = [call for call in calls.named(*WRITES) if call.path.endswith(".jsonl")]
    faults: list[str] = []
    for name, write in _frames(events, calls):
        durable_at = calls.durable_at(write)
        first = next(call for call in published if name in b"".join(call.strings))
        if durable_at is None or durable_at > first.began:
            faults.append(f"event {name.decode()} was forwarded before it was synced")
    return len(events) - len(faults), faults


def _deletions(_: Sequence[Event], calls: Calls) -> tuple[int, list[str]]:
    """See that at each unlink of a segment a durable cursor stands behind all of it."""
    unlinks = [call for call in calls.named("unlink") if call.path.endswith(".seg")]
    cursors = [call for call in calls.named(*WRITES) if _is_cursor(call)]
    faults: list[str] = []
    for unlink in unlinks:
        segment = Path(unlink.path)
        writes = [call for call in calls.named("write") if _is_of(call, segment)]
        end = sum(call.result for call in writes if call.ended < unlink.began)
        durable = [
            _position(call)
            for call in cursors
            if Path(call.path).parent == segment.parent
            and (calls.durable_at(call) or unlink.began) < unlink.began
        ]
        if max(durable, default=(0, 0)) < (int(segment.stem), end):
            faults.append(f"{segment.name} was deleted before the cursor behind it was synced")
    return len(unlinks) - len(faults), faults


def _is_cursor(call: Call) -> bool:
    return Path(call.path).stem == "cursor" and call.result >= _CURSOR.size


def _position(call: Call) -> tuple[int, int]:
    _, _, _, segment, offset, _ = _CURSOR.unpack_from(call.strings[0])
    return segment, offset


def _beginnings(_: Sequence[Event], calls: Calls) -> tuple[int, list[str]]:
    """See that a segment's header, its name and the name's directory are synced, in turn."""
    faults: list[str] = []
    renames = [call for call in calls.named("rename") if call.path.endswith(".seg")]
    for rename in renames:
        segment = Path(rename.path)
        writes = [c for c in calls.named("write") if _is_of(c, segment)]
        headers = [c for c in writes if c.ended < rename.began]
        frames = [c for c in writes if c.began > rename.ended]
        directory = (
            call.ended
            for call in calls.named("fsync")
            if call.path == str(segment.parent)
            and call.began > rename.ended
            and not call.result
        )
        is_synced = headers and (calls.durable_at(headers[-1]) or rename.began) < rename.began
        settled_at = next(directory, None)
        if not is_synced:
            faults.append(f"{segment.name} was named before its header was synced")
        if settled_at is None or (frames and frames[0].began < settled_at):
            faults.append(f"{segment.name} was written before its name was synced")
    return len(renames) - len(faults), faults


def _is_of(call: Call, segment: Path) -> bool:
    """Whether it writes that segment, under its last name or the one before; no key index."""
    path = Path(call.path)
    is_named = path.parent == segment.parent and path.stem == segment.stem
    return is_named and call.strings[0].startswith(MARKS)
