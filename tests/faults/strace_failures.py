"""What becomes of a descriptor on which the kernel has once refused something.

In: a gateway under strace, which fails one call of one thread on one file; a few events, one
after another. Out: a row for each call. The kernel may have dropped what it could not write, and
says so once: a second sync of that descriptor succeeds, and is a lie. So from the failure on it
may only be closed. What is looked at ends there: its number then belongs to another file.

Source: strace(1), option --inject; design.md §5 rule 3.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.launcher import launcher
from tests.faults.row import Row
from tests.faults.strace_calls import Call, Calls, read, tracer
from tests.system.world import TABLE, World, world

EVENTS: Final = 5  # the last comes after each of the failures
PRODUCTION: Final[Mapping[str, int]] = {}
SMALL: Final[Mapping[str, int]] = {"segment_bytes_max": 1500}
"""A segment, and so a sync of its name, for each event."""

INJECTED: Final = "(INJECTED)"


@dataclass(frozen=True, slots=True)
class Failure:
    """One call that fails.

    Attributes:
        name: In the table.
        call: Of the kernel.
        when: The how manieth that a thread makes on those files, from 1.
        files: Whose calls are looked at, in the lane's directory; ``""``: that directory.
        goal: What is to come of it.
        refused: Events that are to be put off because of it.
        bounds: The spool's.
        mended: The call that does it anew, on another descriptor; ``""``: nothing does.
    """

    name: str
    call: str
    when: int
    files: tuple[str, ...]
    goal: str
    refused: int
    bounds: Mapping[str, int]
    mended: str = ""


FAILURES: Final = (
    Failure(
        "a write",
        call="write",
        when=2,  # of the second event
        files=("0000000001.seg",),
        goal="503, the descriptor closed, the event accepted in another segment",
        refused=1,
        bounds=PRODUCTION,
    ),
    Failure(
        "a cursor's write",
        call="pwrite64",
        when=2,
        files=("cursor", "cursor.tmp"),
        goal="all accepted, the descriptor closed, the cursor made anew",
        refused=0,
        bounds=SMALL,
        mended="rename",
    ),
    Failure(
        "a directory's sync",
        call="fsync",
        when=3,  # the thread that starts the gateway makes two; this is a lane's third segment
        files=("",),
        goal="503, the descriptor closed, the event accepted behind another sync",
        refused=1,
        bounds=SMALL,
        mended="fsync",
    ),
)


def failed_descriptors(room: Path) -> Iterator[Row]:
    """Have each call fail once."""
    for failure in FAILURES:
        own = room / f"failed-{failure.call}"
        own.mkdir()
        yield _row(failure, *_told(failure, own))


def _told(failure: Failure, room: Path) -> tuple[Calls, list[str]]:
    """Tell one gateway the story; return what it did, and what it must not have said."""
    with world(room) as here:
        lane = here.spool / "0" / "game"
        options = [f"--inject={failure.call}:error=EIO:when={failure.when}"]
        for file in failure.files:
            options += ["-P", str(lane / file)]
        strace = tracer(room / "trace", *options)
        here.gateway.command = (*strace, *launcher(bounds=failure.bounds))
        here.gateway.start()
        faults = _speak(here, failure)
        assert here.gateway.stop() == 0
        return read(room / "trace"), faults


def _speak(here: World, failure: Failure) -> list[str]:
    """Say events in turn; what is put off is said again, at once."""
    ada = here.visit()
    faults: list[str] = []
    refused = 0
    for number in range(1, EVENTS + 1):
        event = TABLE.spin(ada, number)
        answer = here.say(ada, event)
        if answer.status == 503 and answer.refusals == [(0, "lane_failed", None)]:
            refused += 1
            answer = here.say(ada, event)
        if answer.status != 202 or answer.counts != (1, 0):
            faults.append(f"event {number}: answered {answer.status} {answer.body!r}")
        here.wait_until_forwarded(event)
    if refused != failure.refused:
        faults.append(f"{refused} events were put off, not {failure.refused}")
    return faults


def _row(failure: Failure, calls: Calls, faults: list[str]) -> Row:
    failed = [call for call in calls.named(failure.call) if call.remark.endswith(INJECTED)]
    faults = [*faults, *judged(failure, calls, failed)]
    found = f"{len(failed)} failed"
    return Row(f"strace: {failure.name} fails", failure.goal, found, not faults, tuple(faults))


def judged(failure: Failure, calls: Calls, failed: list[Call]) -> Iterator[str]:
    """See that one call failed, and that nothing but a close followed on its descriptor."""
    if len(failed) != 1:
        yield f"{len(failed)} calls failed, not 1: it proves nothing"
        return
    follow = calls.until_closed(failed[0])
    for call in follow:
        if call.name != "close":
            yield f"{call.name} on a descriptor that had failed"
    if not follow or follow[-1].name != "close":
        yield "a descriptor that had failed was never closed"
        return
    later = [
        call
        for call in calls
        if call.began > follow[-1].ended and call.path == failed[0].path and call.result >= 0
    ]
    if failed[0].path.endswith(".seg") and any(call.name == failure.call for call in later):
        yield "a segment that had failed was written again"
    if failure.mended and not any(call.name == failure.mended for call in later):
        yield f"no {failure.mended} made up for what had failed"
