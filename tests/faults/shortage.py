"""No room, no files, no right to write: nothing is lost, and it takes events again by itself.

*Theory of operation.* A real gateway has its spool on a small file system, and the ledger talks
to it flat out (:mod:`tests.faults.shortage_scene`). Something is used up; the gateway must refuse
with what the shortage is called (``Retry-After`` and all, which the ledger checks), go on
forwarding, and take events again within 5 s once there is room. In the end the books are
compared.
"""

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from pathlib import Path
from typing import Final, TypeAlias

from edge.shell.resources import DESCRIPTORS_RESERVED
from tests.faults import faults
from tests.faults.closing import close_books
from tests.faults.ledger import Allowed, Shape
from tests.faults.mounts import ext4, in_memory, missing, mounted
from tests.faults.row import Row, Scale, Tell
from tests.faults.shortage_scene import BACKLOG_S, SEED, Scene, in_need

DISK_BYTES: Final = 64 << 20
EXT4_BYTES: Final = 96 << 20
AGAIN_S: Final = 5.0
EVENTS_MIN: Final = 100  # accepted of each story: a first second's, on whatever machine
INODES: Final = 150
"""Enough for a spool at rest, six lanes with a handful of files each; not for a backlog."""

SMALL: Final[Mapping[str, int]] = {"segment_bytes_max": 1 << 18, "commit_bytes_max": 1 << 18}
"""Segments that follow one another soon: a file more is needed for each."""

ONE_LANE: Final = Shape(services=6, players=2, fact_lanes=("game",), per_s=3_000)
"""So that the prober's lane fills segments, and yet not more than a slow audit can compare."""

INSIDE: Final = ONE_LANE.services + ONE_LANE.players
"""Connections of the ledger's: with descriptors for no more, the prober's are too many."""

TOO_FEW: Final = 10
"""Far fewer than an idle gateway has open: whatever is to be opened is refused."""

SERVED: Final = 2_000
"""Events of those who are in, as many as three segments hold: files must be opened for them."""

TOO_MANY: Final = "too_many_connections"
WITHOUT_FILES: Final = frozenset({"lane_failed", "lane_full"})
"""What a lane says that can begin no segment."""

ALIEN_BYTES: Final = 30 << 20
"""Leaves room for the headroom and some MiB of each lane: less than a segment."""

_STRANGERS: Final = Allowed(strangers=True)
"""The prober's events are not in the ledger."""

GOAL: Final = "0 lost, 503 with Retry-After, forwarding goes on, accepting again ≤ 5 s after"


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
        ("descriptors used up under load, then given back", _by_descriptors, {}),
    )
    chosen = full if scale is Scale.FULL else (full[1], full[5], full[6])
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
    with in_need(place, small) as scene:
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


def _by_descriptors(scene: Scene) -> float:
    """First there are none for newcomers, then none at all, not even for a segment."""
    scene.begin(SMALL, ONE_LANE)
    _none_for_newcomers(scene)
    with contextlib.ExitStack() as ends:
        with faults.without_descriptors(scene.process(), TOO_FEW):
            before = _refused(scene, WITHOUT_FILES)
            late = ends.enter_context(scene.here.line())
            event = scene.ask(late)
            scene.wait(lambda: _refused(scene, WITHOUT_FILES) > before, "no file is opened")
            if select.select([late], [], [], 0)[0]:
                scene.faults.append("a newcomer was let in: it proves nothing")
        began_s = time.monotonic()
        scene.hear(late, event)
    scene.wait_for("202", "descriptors were given back")
    again_s = time.monotonic() - began_s
    scene.wait(scene.is_ready, "ready again")
    return again_s


def _none_for_newcomers(scene: Scene) -> None:
    """Newcomers are told; who is in is served, over the end of many a segment."""
    unheard = WITHOUT_FILES | {TOO_MANY}
    with faults.without_descriptors(scene.process(), DESCRIPTORS_RESERVED + INSIDE):
        scene.wait_for(TOO_MANY, "a newcomer is told")
        refused, forwarded = _refused(scene, unheard), scene.forwarded()
        wanted = scene.book.mark().accepted + SERVED
        scene.wait(lambda: scene.book.mark().accepted >= wanted, "who is in is served")
        scene.wait(lambda: scene.forwarded() >= forwarded + SERVED, "forwarding goes on")
        if more := _refused(scene, unheard) - refused:
            scene.faults.append(f"{more} events of those who are in were refused")
    scene.wait_for("202", "there is room for connections")


def _refused(scene: Scene, codes: AbstractSet[str]) -> int:
    """How often the ledger was refused with any of those codes."""
    refused = scene.book.mark().refused
    return sum(refused.get(code, 0) for code in codes)


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
