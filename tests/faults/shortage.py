"""No room, no files, no right to write: nothing is lost, and it takes events again by itself.

*Theory of operation.* A real gateway has its spool on a small file system, and the ledger talks
to it flat out. Something is used up; the gateway must refuse with what the shortage is called
(``Retry-After`` and all, which the ledger checks), go on forwarding, and take events again
within 5 s once there is room. When there is is told by the file system; when it takes events,
by a prober, who sends one event every tenth of a second, whatever it is told. In the end the
books are compared.
"""

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from edge.demo.audit import read_log
from edge.demo.issuer import Issuer
from edge.demo.metrics import Counters
from edge.demo.payloads import Visit
from tests.faults import faults
from tests.faults.closing import close_books
from tests.faults.launcher import launcher
from tests.faults.ledger import SETTINGS, Allowed, Ledger, Shape, ledger
from tests.faults.ledger.speaker import LATE
from tests.faults.mounts import ext4, in_memory, missing, mounted
from tests.faults.row import Row, Scale, Tell
from tests.system.raw import Answer, NoAnswerError
from tests.system.world import TABLE, WAIT_S, World, world

if TYPE_CHECKING:
    from edge.demo.gateway import Settings

SEED: Final = 20_261_122
DISK_BYTES: Final = 64 << 20
EXT4_BYTES: Final = 96 << 20
SHAPE: Final = Shape(services=6, players=2)
AGAIN_S: Final = 5.0
POLL_S: Final = 0.1
TURN_S: Final = 180.0
"""Until things take a turn: a disk is full when events have filled it, at some hundred a second."""


BACKLOG_S: Final = 2.0
EVENTS_MIN: Final = 100  # accepted of each story: a first second's, on whatever machine
ORIGIN_BYTES: Final = 512 << 20
"""Ten times what the spool holds: it is full only when it is to be."""

INODES: Final = 150
"""Enough for a spool at rest, six lanes with a handful of files each; not for a backlog."""

PRODUCTION: Final[Mapping[str, int]] = {}
SMALL: Final[Mapping[str, int]] = {"segment_bytes_max": 1 << 18, "commit_bytes_max": 1 << 18}
"""Segments that follow one another soon: a file more is needed for each."""

ONE_LANE: Final = Shape(services=6, players=2, fact_lanes=("game",), per_s=3_000)
"""So that the prober's lane fills segments, and yet not more than a slow audit can compare."""

ALIEN_BYTES: Final = 30 << 20
"""Leaves room for the headroom and some MiB of each lane: less than a segment."""

_STRANGERS: Final = Allowed(strangers=True)
"""The prober's events are not in the ledger."""

GOAL: Final = "0 lost, 503 with Retry-After, forwarding goes on, accepting again ≤ 5 s after"


@dataclass(slots=True)
class Scene:
    """One gateway in need.

    Attributes:
        here: The gateway and its surroundings.
        book: Who talks to it.
        origin: The origin's file system: full, it takes nothing.
        small: The spool's.
        visit: The prober's session.
        codes: What the prober was told, in turn; "202" for an acceptance.
        faults: What must not have happened.
        number: Of the prober's last event.
        broken: Requests without an answer because the gateway was killed.
        ids: What the prober was told of each of its events.
    """

    here: World
    book: Ledger
    origin: Path
    small: Path
    visit: Visit
    codes: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])
    number: int = 0
    broken: int = 0
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def begin(self, bounds: Mapping[str, int] = PRODUCTION, shape: Shape = SHAPE) -> None:
        """Start the gateway, and let the ledger talk to it."""
        self.here.gateway.command = launcher(bounds=bounds)
        self.here.gateway.start()
        self.book.begin(self.here.gateway.public, shape)
        self.wait_for("202", "a first event")

    def begin_again(self) -> None:
        """Start the gateway once more after a kill, and let the ledger talk to it."""
        self.here.gateway.start()
        self.broken = self.book.begin(self.here.gateway.public, SHAPE).broken

    def probe(self) -> str:
        """Send one event; return its code, or ``202``."""
        self.number += 1
        event = TABLE.spin(self.visit, self.number)
        try:
            answer = self.here.say(self.visit, event)
        except (OSError, NoAnswerError) as gone:
            self.faults.append(f"the prober had no answer: {gone!r}")
            return ""
        code = self.ids[str(event["id"])] = _code(answer)
        if code != "202":
            self.faults += _not_as_promised(code, answer)
        if not self.codes or self.codes[-1] != code:
            self.codes.append(code)
        return code

    def compare(self, log: Path, strays: int) -> None:
        """See that *log* has what the prober was promised; *strays* are all its own."""
        there = {str(line.envelope["id"]) for line in read_log(log)}
        arrived = there & self.ids.keys()
        owed = {name for name, code in self.ids.items() if code == "202"}
        late = {name for name, code in self.ids.items() if code in LATE}
        self.faults += [f"the prober's event {name}: lost" for name in owed - there]
        self.faults += [f"the prober's event {name}: refused" for name in arrived - owed - late]
        if strays != len(arrived):
            self.faults.append(f"{strays - len(arrived)} records of nobody's")

    def wait_for(self, code: str, what: str) -> float:
        """Probe until *code* is the answer; return how long that took, s."""
        began_s = time.monotonic()
        while self.probe() != code:
            if time.monotonic() - began_s > TURN_S:
                self.faults.append(f"{what}: no {code} within {TURN_S:.0f} s, {self.codes}")
                break
            time.sleep(POLL_S)
        return time.monotonic() - began_s

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Look again and again; that it does not come is a fault."""
        try:
            self.here.wait(until, what)
        except AssertionError:
            self.faults.append(f"{what}: not within {WAIT_S:.0f} s")

    @contextlib.contextmanager
    def backlog(self) -> Generator[None]:
        """Let events wait, meanwhile things may run short; then some must be forwarded."""
        with faults.without_room(self.origin):
            time.sleep(BACKLOG_S)
            yield
            before = self.forwarded()
        self.wait(lambda: self.forwarded() > before, "forwarding goes on")

    def forwarded(self) -> float:
        """Tell how many records the origin has acknowledged, in this life."""
        return Counters(self.here.gateway.metrics()).total("edge_forwarded_total")

    def is_all_forwarded(self) -> bool:
        """Whether the origin has acknowledged as much as was accepted, in this first life.

        What waits cannot tell: a record waits until the cursor behind it is written.
        """
        own = sum(code == "202" for code in self.ids.values())
        return self.forwarded() >= self.book.mark().accepted + own

    def is_ready(self) -> bool:
        """Whether the gateway says so."""
        return self.here.ask("/readyz").status == 200


Story: TypeAlias = Callable[[Scene], float]
"""Brings a shortage about and ends it; returns how long after its end events were taken, s."""


def shortage(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Use up room and files, take away the right to write; wait until it works again."""
    what = "a disk without room, files or the right to write"
    if lacking := missing():
        tell(f"SKIPPED: {what}: {lacking}")
        yield Row(what, GOAL, f"skipped: {lacking}", is_reached=False)
        return
    full: tuple[tuple[str, Story, dict[str, int]], ...] = (
        ("64 MiB tmpfs full by events, origin down, then up", _by_events, {}),
        ("the same, half of it an alien file that stays", _beside_an_alien, {}),
        ("64 MiB tmpfs full by an alien file, which goes", _by_an_alien, {}),
        ("start on a full 64 MiB tmpfs with a backlog", _at_the_start, {}),
        ("inodes of a tmpfs used up, then given back", _by_inodes, {"inodes": INODES}),
        ("read-only under load, then writable", _read_only, {}),
    )
    chosen = full if scale is Scale.FULL else (full[1], full[5])
    for number, (name, story, disk) in enumerate(chosen):
        place = room / f"story-{number}"
        place.mkdir()
        with in_memory(place / "small", size_bytes=DISK_BYTES, **disk) as small:
            yield _told(name, story, place, small, tell)
    if scale is Scale.FULL:
        yield from _on_ext4(room, tell)


def _on_ext4(room: Path, tell: Tell) -> Iterator[Row]:
    place = room / "ext4"
    place.mkdir()
    inodes = ext4(place / "small.img", EXT4_BYTES, make="-N 160")
    with inodes as device, mounted(device, place / "small") as small:
        yield _told("inodes of an ext4 used up", _by_inodes, place, small, tell)
    place = room / "error"
    place.mkdir()
    with ext4(place / "small.img", EXT4_BYTES) as device:
        story = _Damaged(device, place / "small")
        try:
            story.mount()
            name = "ext4 finds damage, turns read-only under load; all forwarded; mounted anew"
            yield _told(name, story, place, place / "small", tell)
        finally:
            story.unmount()


def _told(name: str, story: Story, place: Path, small: Path, tell: Tell) -> Row:
    """Play one story from the first event to the audit."""
    tell(f"{name}: seed {SEED}")
    with _scene(place, small) as scene:
        again_s = story(scene)
        log = scene.origin / "origin"
        closing = close_books(
            scene.here,
            scene.book,
            log,
            owed_min=EVENTS_MIN,
            broken_max=scene.broken,
            allowed=_STRANGERS,
        )
        scene.compare(log, closing.findings.strays)
    told = ", ".join(dict.fromkeys(code for code in scene.codes if code != "202"))
    refused = sum(closing.account.refused.values())
    found = f"{closing.found}; {told}; {refused:,} refused; accepting after {again_s:.1f} s"
    missed = (*scene.faults, *closing.faults)
    return Row(name, GOAL, found, not missed and again_s <= AGAIN_S, missed)


@contextlib.contextmanager
def _scene(place: Path, small: Path) -> Generator[Scene]:
    """Build a gateway with its spool in *small*, a ledger, and a prober with a key of its own."""
    sections: dict[str, Settings] = {
        **SETTINGS,
        "spool": {"path": str(small / "spool"), "allow_volatile": True},
        "origin": {"url": f"log:{place / 'log' / 'origin'}"},
    }
    with (
        in_memory(place / "log", size_bytes=ORIGIN_BYTES) as origin,
        ledger(place, SEED) as book,
        world(place, sections) as built,
    ):
        here = replace(built, issuer=Issuer(kid="prober"))
        keys = [*json.loads(here.issuer.jwks())["keys"], *json.loads(book.jwks)["keys"]]
        here.jwks.write_text(json.dumps({"keys": keys}))
        yield Scene(here, book, origin, small, here.visit("prober"))


def _by_events(scene: Scene) -> float:
    scene.begin()
    with faults.without_room(scene.origin):
        scene.wait_for("lane_full", "the disk fills up")
        scene.wait(scene.is_ready, "a full disk is no reason to be not ready")
        before = scene.forwarded()
    scene.wait(lambda: scene.forwarded() > before, "forwarding goes on")
    return scene.wait_for("202", "the origin made room")


def _beside_an_alien(scene: Scene) -> float:
    """What fills the disk is the last segment of each lane: all must be given up."""
    (scene.small / "alien").write_bytes(bytes(ALIEN_BYTES))
    return _by_events(scene)


def _by_an_alien(scene: Scene) -> float:
    scene.begin()
    with contextlib.ExitStack() as shortages:
        with scene.backlog():
            shortages.enter_context(faults.without_room(scene.small))
            scene.wait_for("lane_full", "the disk is full")
        scene.wait(scene.is_ready, "a full disk is no reason to be not ready")
    return scene.wait_for("202", "the alien made room")


def _at_the_start(scene: Scene) -> float:
    scene.begin()
    with contextlib.ExitStack() as shortages:
        with faults.without_room(scene.origin):
            time.sleep(BACKLOG_S)
            scene.here.gateway.kill()
            shortages.enter_context(faults.without_room(scene.small))
            scene.begin_again()
            scene.wait_for("lane_full", "a start on a full disk")
        scene.wait(scene.is_ready, "a full disk is no reason to be not ready")
        scene.wait(lambda: scene.forwarded() > 0, "the backlog is forwarded")
    return scene.wait_for("202", "the alien made room")


def _by_inodes(scene: Scene) -> float:
    scene.begin(SMALL)
    with contextlib.ExitStack() as shortages:
        with scene.backlog():
            shortages.enter_context(faults.without_inodes(scene.small))
            scene.wait_for("lane_full", "no file can be made")
        scene.wait(scene.is_ready, "no inodes are no reason to be not ready")
    return scene.wait_for("202", "inodes were given back")


def _read_only(scene: Scene) -> float:
    scene.begin(SMALL, ONE_LANE)
    with contextlib.ExitStack() as shortages:
        with scene.backlog():
            shortages.enter_context(faults.read_only(scene.small / "spool" / "0"))
            scene.wait_for("lane_failed", "nothing can be written")
        scene.wait(lambda: not scene.is_ready(), "the second failure makes it not ready")
    again_s = scene.wait_for("202", "the disk can be written again")
    scene.wait(scene.is_ready, "ready again")
    return again_s


class _Damaged:
    """The story of a file system that stops being written to: it must be mounted anew.

    All is forwarded before that. Linux 6.18 may say of one commit of each lane, in the moment in
    which ext4 gives its journal up, that it is durable, and it is not: ``fdatasync`` gives 0, and
    after the next mount the bytes are gone. A program that only appends and syncs sees the same.
    Until then they are in the page cache, from where they are forwarded.
    """

    def __init__(self, device: Path, at: Path) -> None:
        self._device = device
        self._at = at
        self._mounts = contextlib.ExitStack()

    def mount(self) -> None:
        """Mount it so that it turns read-only when it finds damage."""
        self._mounts.enter_context(mounted(self._device, self._at, "errors=remount-ro"))

    def unmount(self) -> None:
        """Unmount it, if it is mounted."""
        self._mounts.close()

    def __call__(self, scene: Scene) -> float:
        """Have it find damage under load."""
        scene.begin()
        with scene.backlog():
            faults.tell_of_damage(self._device)
            scene.wait_for("lane_failed", "nothing can be written")
        scene.wait(lambda: not scene.is_ready(), "the second failure makes it not ready")
        scene.wait(scene.is_all_forwarded, "all is forwarded")
        scene.here.gateway.kill()
        self.unmount()
        self.mount()
        scene.begin_again()
        return scene.wait_for("202", "mounted anew")


def _not_as_promised(code: str, answer: Answer) -> Iterator[str]:
    """A shortage is the node's: 503, and when to come again."""
    if answer.status != 503:
        yield f"{code} under {answer.status}"
    if not answer.headers.get("retry-after", "").isdigit():
        yield f"{code} without Retry-After"


def _code(answer: Answer) -> str:
    """Name what became of the prober's one event."""
    if answer.status == 202:
        return "202"
    refusals = answer.refusals if "refused" in answer.json else []
    return str(refusals[0][1] if refusals else answer.json.get("code", answer.status))
