"""A gateway starts on the spool of the release before it: nothing is lost, renumbered, repeated.

In: the golden spool; out: a row. It was left by the gateway of commit c30fb19, the last that
wrote no key indexes: eight or nine events in each of its three lives, from a client and a service,
in all lanes. The first life forwarded most of its own and buried one; all ended by SIGKILL, two
last segments are torn. ``said.json`` is what was accepted, ``waiting.jsonl`` what that gateway's
own ``edge spool export`` found waiting.

The heir must forward what waited, once, to the letter and in its order; know all that was ever
accepted, before and after that; and take new events, under numbers of its own, behind the old
ones. In the full form most heirs are killed before, at a drawn moment from the beginning of their
start on, or at a named point; then what was forwarded may come again, the same to the letter.
"""

import contextlib
import json
import random
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from edge.demo.audit import read_log
from edge.demo.evening import drain
from edge.demo.gateway import GatewayError
from edge.demo.ledger import Event
from edge.demo.payloads import Visit, deposit_requested, interactions, offer_claimed, some_uuid
from edge.demo.rounds import slip_submitted
from tests.faults import faults
from tests.faults.as_said import unlike
from tests.faults.deaths import KILLED, killed_after
from tests.faults.failpoints import Point
from tests.faults.row import Row, Scale, Tell
from tests.system.world import TABLE, World, world

Line: TypeAlias = tuple[str, str, dict[str, Any]]
"""Topic, key and envelope."""

Threads: TypeAlias = dict[tuple[str, str], list[dict[str, Any]]]
"""What came for each key of each topic, in order."""

SEED: Final = 20_261_127
WHAT: Final = "upgrade: a start on the spool of the release before"
GOAL: Final = "0 lost, changed, renumbered or repeated; all known; new events behind the old"
POINTS: Final = (
    *(Point.START_LOCKED, Point.COPY_HALF, Point.COPY_WRITTEN, Point.COPY_RENAMED),
    *(Point.COPY_NAMED, Point.INDEX_HALF, Point.INDEX_WRITTEN, Point.INDEX_RENAMED),
    *(Point.START_RECOVERED, Point.PUBLISH_BEFORE, Point.PUBLISH_DONE),
    *(Point.CURSOR_BEFORE, Point.CURSOR_HALF, Point.CURSOR_WRITTEN, Point.CURSOR_STORED),
)
"""Each heir passes them on that spool, new events or not."""

DEATH_WAIT_S: Final = 30.0  # of one that is up: it forwards at once, on whatever machine
DRAWN: Final = 15  # heirs killed at a drawn moment
DEATH_MIN_S: Final = 0.1  # by then there is a process
DEATH_MAX_S: Final = 1.6  # a start takes half of it: as many die before as after
NEW: Final = 4  # events of each lane that clients have

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "spool_without_indexes"
SAID: Final[dict[str, Any]] = json.loads((GOLDEN / "said.json").read_bytes())
WAITING: Final[list[dict[str, Any]]] = [
    json.loads(line) for line in (GOLDEN / "waiting.jsonl").read_bytes().splitlines()
]
LETTERS: Final = Path("0", "bet", "dead", "0000000001.jsonl")
TEN_YEARS_S: Final = 315_360_000
"""The window in which all of it must be known: it grows old in the repository."""


@dataclass(slots=True)
class Tally:
    """What came of all upgrades.

    Attributes:
        killed: Heirs that died, and another took over.
        repeated: Records that came again, the same to the letter.
        new: Events accepted by heirs.
        faults: What must not have happened, in words.
    """

    killed: int = 0
    repeated: int = 0
    new: int = 0
    faults: list[str] = field(default_factory=list[str])


def upgrade(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """Start on a spool of the release before; take its promises over, and give new ones."""
    tell(f"upgrade: seed {seed}")
    rng, tally = random.Random(seed), Tally()  # noqa: S311  # replayable, no secret
    deaths: list[Point | float | None] = [None]
    if scale is Scale.FULL:
        deaths += [*POINTS, *(rng.uniform(DEATH_MIN_S, DEATH_MAX_S) for _ in range(DRAWN))]
    for number, death in enumerate(deaths):
        place = room / f"upgrade-{number}"
        place.mkdir()
        with world(place, {"spool": {"dedupe_window_s": TEN_YEARS_S}}) as here:
            faults.upgrade(GOLDEN / "spool", here.spool)
            if death is not None:
                tally.killed += _dies(here, death)
            wrong = take_over(here, tally, may_repeat=death is not None)
        tally.faults += [f"upgrade {number}: {fault}" for fault in wrong]
    unpassed = len(deaths) - 1 - tally.killed
    if unpassed:
        tally.faults.append(f"{unpassed} heirs were not killed")
    if tally.killed and not tally.repeated:  # one dies between its records and their cursor
        tally.faults.append("no heir was killed behind what it forwarded: it proves nothing")
    found = (
        f"{len(deaths)} upgrades, {tally.killed} killed and begun again; each forwarded "
        f"{len(WAITING)} old events, knew {len(SAID['said'])}; {tally.new} new ones; "
        f"{tally.repeated} forwarded again under the same number"
    )
    yield Row(WHAT, GOAL, found, not tally.faults, tuple(tally.faults))


def _dies(here: World, death: Point | float) -> bool:
    """Start an heir that dies at a point, or so long after its process began; whether it did."""
    gateway, usual = here.gateway, here.gateway.command
    with contextlib.ExitStack() as dying:
        if isinstance(death, Point):
            gateway.command = faults.kill_at(death)
        else:
            dying.enter_context(killed_after(gateway, death))
        try:
            gateway.start()
            assert gateway.process is not None
            has_died = gateway.process.wait(DEATH_WAIT_S) == KILLED
        except GatewayError as error:
            has_died = error.code == KILLED
        except subprocess.TimeoutExpired:
            has_died = False
    gateway.close()
    gateway.command = usual
    return has_died


def take_over(here: World, tally: Tally, *, may_repeat: bool) -> list[str]:
    """Start the heir on what lies there; say what it makes of it.

    Args:
        here: Its spool is there, its gateway not started.
        tally: Counts.
        may_repeat: Whether one before it may have forwarded some.
    """
    letters = (here.spool / LETTERS).read_bytes()
    here.gateway.start()
    here.wait_until_ready()
    ada = returned()
    wrong = list(_unknown(here, ada))
    new = [event for _ in range(NEW) for event in _events(ada)]
    answer = here.say(ada, *new)
    if answer.counts != (len(new), 0):
        wrong.append(f"new events: answered {answer.status} {answer.body!r}")
    tally.new += len(new)
    wrong += drain(here.gateway)
    wrong += _unknown(here, ada)
    if code := here.gateway.stop():
        wrong.append(f"exit code {code} after SIGTERM")
    if (here.spool / LETTERS).read_bytes() != letters:
        wrong.append("the dead letters changed")
    arrived = [(line.topic, line.key, line.envelope) for line in read_log(here.origin)]
    first = list(once(arrived))
    again = len(arrived) - len(first)
    tally.repeated += again
    if again and not may_repeat:
        wrong.append(f"{again} records came again")
    return [*wrong, *compare(first, new)]


def returned() -> Visit:
    """Let the player whose events lie there go on with the session of then."""
    rng = random.Random(SEED)  # noqa: S311  # no secret
    who = SAID["subject"], SAID["brand"], SAID["jurisdiction"]
    return Visit(*who, rng, session=SAID["session"], seq=len(SAID["said"]))


def _events(visit: Visit) -> Iterator[Event]:
    """Say something in each lane that clients have."""
    yield TABLE.spin(visit, 1)
    yield deposit_requested(visit, 1000)
    yield slip_submitted(visit, some_uuid(visit.rng))
    yield offer_claimed(visit, visit.code("offer"))
    yield interactions(visit)


def _unknown(here: World, ada: Visit) -> Iterator[str]:
    """Say again all that the release before has ever accepted."""
    service = here.issuer.service("svc-1", "player", "wallet", "bet", "game", "bonus")
    for by, speaker in (("player", ada), ("service", service)):
        events = [each["event"] for each in SAID["said"] if each["by"] == by]
        answer = here.say(speaker, *events)
        if answer.counts != (0, len(events)):
            yield f"the {by}'s {len(events)} old events: {answer.status} {answer.body!r}"


def once(lines: Iterable[Line]) -> Iterator[Line]:
    """Leave out what came again, the same to the letter."""
    seen: dict[tuple[object, object], Line] = {}
    for line in lines:
        number = line[2]["edgespool"], line[2]["edgeseq"]
        if seen.get(number) != line:
            yield line
        seen.setdefault(number, line)


def by_key(lines: Iterable[Line]) -> Threads:
    """Sort what came by topic and key."""
    found: Threads = defaultdict(list)
    for topic, key, value in lines:
        found[topic, key].append(value)
    return found


def compare(first: Iterable[Line], new: Iterable[Event]) -> Iterator[str]:
    """See that what waited came to the letter, and the new events behind it, in their order."""
    waited = by_key((each["topic"], each["key"], each["value"]) for each in WAITING)
    behind: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for (topic, key), came in by_key(first).items():
        old = waited.pop((topic, key), [])
        if came[: len(old)] != old:
            yield f"{topic}, {key}: what waited did not come as it was"
        behind[topic] += came[len(old) :]
    for topic, key in waited:
        yield f"{topic}, {key}: what waited did not come"
    said: dict[str, list[Event]] = defaultdict(list)
    for event in new:
        said[f"edge.{str(event['type']).partition('.')[0]}.v1"].append(event)
    for topic in sorted({*behind, *said}):
        yield from _compare_new(topic, behind[topic], said[topic])


def _compare_new(
    topic: str, came: Sequence[dict[str, Any]], said: Sequence[Event]
) -> Iterator[str]:
    """See that one lane's new events came as they were said, in a run of their own."""
    yield from unlike(topic, said, came)
    runs = {each["edgespool"] for each in came}
    if len(runs) > 1 or runs & {each["value"]["edgespool"] for each in WAITING}:
        yield f"{topic}: new events in {len(runs)} runs, or in one of the old"
    if (numbers := [int(each["edgeseq"]) for each in came]) != [*range(1, len(came) + 1)]:
        yield f"{topic}: new events are numbered {numbers}"
