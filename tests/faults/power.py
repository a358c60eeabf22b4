"""Power loss, again and again: what was accepted before comes out of what the disk holds.

In: a seed. Out: a row. Each round has a new disk (:mod:`tests.faults.power_disk`), a new ledger
and a gateway whose spool is on that disk, with small segments: they begin, the cursor moves and
they go at any moment. In every other round the origin is up, so what was deleted must be there;
in the others it is down, so all that is owed must come out of the image.

An image is taken like this: the books are marked (what is owed was answered before that), the
gateway is stopped where it stands, half of the times just as a name in its directory has
changed, the disk and the origin's log are copied, and it goes on. Then the copy is mounted, and
the real program recovers it and forwards what it finds into the copied log: as a rule
``edge spool drain``; sometimes ``edge serve``, to which a witness says again what it was told
is durable, all of which must be a ``duplicate``.
"""

import contextlib
import random
import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.demo.gateway import GatewayError
from tests.faults import faults, preload
from tests.faults.launcher import launcher
from tests.faults.ledger.audit import Allowed
from tests.faults.ledger.handle import Ledger, ledger
from tests.faults.ledger.shape import Account, Shape
from tests.faults.mounts import missing
from tests.faults.power_disk import JOURNALS, Disk, after_power_loss, powered
from tests.faults.power_recovery import NOWHERE, drain_copy, sections, serve_copy
from tests.faults.power_witness import Witness
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_122
WHAT: Final = "power loss on ext4, spool copied under load"
GOAL: Final = "0 lost, changed or invented; every image lost its control"
IMAGES: Final = {Scale.SHORT: 4, Scale.FULL: 500}
IMAGES_PER_ROUND: Final = {Scale.SHORT: 2, Scale.FULL: 25}
"""With more, comparing the log takes longer than all the rest."""

SERVED_EVERY: Final = 5  # images; a start of ``serve`` takes twice as long as a drain
SERVED_FIRST: Final = 2  # one of the few of a short run too
SHAPE: Final = Shape(services=4, players=3, batch=6, per_s=250.0)
"""A commit is under way at any moment, and two cores have time for the copies too."""

BOUNDS: Final = {"segment_bytes_max": 24 << 10}
"""A dozen commits; a lane retains two of these (:mod:`tests.faults.power_recovery`)."""

SLOW_WRITE_MS: Final = 15
"""Of a slow disk: so long an answer that does not wait for its sync is out before it."""

NODE: Final = {"drain_s": 2}
"""A round whose origin is down waits that long in the end, for nothing."""

OWED_MIN: Final = 10  # events looked for in each image, on average
PAUSE_MAX_S: Final = 0.3  # between two images: no two are alike
CHANGE_WAIT_S: Final = 0.5  # for a name that changes; one does several times a second
OTHERS_TOO: Final = Allowed(strangers=True)  # the witness is one


@dataclass(slots=True)
class Score:
    """What all images came to.

    Attributes:
        images: Taken and recovered.
        served: Of them, by ``serve``.
        owed: Events that were looked for, of all images.
        lost: Of them, not found.
        faults: Everything that must not be, in words.
    """

    images: int = 0
    served: int = 0
    owed: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Scene:
    """One round.

    Attributes:
        here: The gateway under load, and its surroundings; the origin's log is not on the disk.
        disk: What its spool is on.
        book: Of the load.
        witness: Says a little more, and says it again.
        is_origin_up: Whether anything is forwarded.
        rng: All chance.
    """

    here: World
    disk: Disk
    book: Ledger
    witness: Witness
    is_origin_up: bool
    rng: random.Random

    @property
    def process(self) -> int:
        """The gateway's id."""
        assert self.here.gateway.process is not None
        return self.here.gateway.process.pid


def power_loss(scale: Scale, room: Path, tell: Tell, seed: int = SEED) -> Iterator[Row]:
    """Take the power away under load, and see what comes out of the disk."""
    if lacking := missing():
        tell(f"SKIPPED: {WHAT}: {lacking}")
        yield Row(WHAT, GOAL, f"skipped: {lacking}", is_reached=False)
        return
    tell(f"power loss: seed {seed}")
    rng, score, number = random.Random(seed), Score(), 0  # noqa: S311  # replayable, no secret
    while score.images < IMAGES[scale] and not score.faults:
        _round(room / f"round-{number}", number, rng, IMAGES_PER_ROUND[scale], score)
        number += 1
        tell(f"{score.images} images, {score.owed} events owed, {score.lost} lost")
    found = (
        f"{score.images} images, {score.served} served, {score.owed} owed, {score.lost} lost"
    )
    is_enough = score.owed >= OWED_MIN * score.images > 0
    yield Row(WHAT, GOAL, found, is_enough and not score.faults, tuple(score.faults))


def _round(room: Path, number: int, rng: random.Random, images: int, score: Score) -> None:
    """Take *images* of one disk; what lies in *room* stays only if something was at fault."""
    room.mkdir()
    with _scene(room, number, rng) as scene:
        scene.here.gateway.start()
        scene.book.begin(scene.here.gateway.public, SHAPE)
        scene.here.wait(lambda: scene.book.mark().accepted > 0, "something is owed")
        for _ in range(images):
            time.sleep(rng.uniform(0, PAUSE_MAX_S))
            found = _lose_power(scene, room / "after", score)
            score.faults += [f"{room.name}, image {score.images}: {fault}" for fault in found]
            if found:
                return
        score.faults += [f"{room.name}, in the end: {fault}" for fault in _end(scene)]
    if not score.faults:
        shutil.rmtree(room)


@contextlib.contextmanager
def _scene(room: Path, number: int, rng: random.Random) -> Generator[Scene]:
    is_origin_up = number % 2 == 1
    journal = JOURNALS[number // 4 % len(JOURNALS)]
    with powered(room, journal) as disk, ledger(room, rng.getrandbits(32)) as book:
        witness = Witness(rng)
        origin = f"log:{room / 'origin'}" if is_origin_up else NOWHERE
        spool = disk.mount / "spool"
        with world(room, {**sections(spool, origin), "node": NODE}) as here:
            here.jwks.write_text(witness.keys_with(book.jwks), "utf-8")
            here.gateway.command = (*_slowness(room, number, spool), *launcher(bounds=BOUNDS))
            yield Scene(here, disk, book, witness, is_origin_up, rng)


def _slowness(room: Path, number: int, spool: Path) -> tuple[str, ...]:
    """Launch the gateway of every other pair of rounds so that its writes take longer."""
    if number // 2 % 2 or preload.missing():
        return ()
    disk = preload.Preload(preload.build(room), room / "control", spool)
    faults.slow_writes(disk, SLOW_WRITE_MS)
    return disk.launcher


def _lose_power(scene: Scene, room: Path, score: Score) -> list[str]:
    """Take one image and see what comes out of it."""
    room.mkdir()
    found = scene.witness.speak(scene.here.gateway.public)
    account = scene.book.mark()
    if scene.rng.random() < 0.5:
        _wait_for_change(scene)
    control = scene.disk.mount / f"control-{score.images}"
    control.write_text("never synced", "utf-8")
    with faults.power_lost(scene.disk, scene.process, room / "image"):
        if scene.is_origin_up:
            shutil.copytree(scene.here.origin, room / "origin")
    control.unlink()
    score.images += 1
    command = scene.here.gateway.command
    with after_power_loss(room / "image", room / "disk") as mount:
        image = mount / control.name
        if image.exists() and image.stat().st_size:
            found.append("the copy holds what was never synced: it proves nothing")
        if not scene.is_origin_up and score.images % SERVED_EVERY == SERVED_FIRST:
            score.served += 1
            keys = scene.here.jwks
            found += serve_copy(command, room, mount / "spool", keys, scene.witness)
        else:
            found += drain_copy(command, room, mount / "spool")
    found += _audit(scene, room / "origin", account, score)
    if not found:
        shutil.rmtree(room)
    return found


def _wait_for_change(scene: Scene) -> None:
    """Return just after a file of one lane came, went or got its name."""
    lane = scene.disk.mount / "spool" / "0" / scene.rng.choice(SHAPE.fact_lanes)
    before, end_s = set(lane.iterdir()), time.monotonic() + CHANGE_WAIT_S
    while set(lane.iterdir()) == before and time.monotonic() < end_s:
        pass


def _audit(scene: Scene, origin: Path, account: Account | None, score: Score) -> list[str]:
    findings = scene.book.audit(origin, before=account, allowed=OTHERS_TOO)
    score.owed += findings.owed
    score.lost += findings.lost
    return findings.faults + scene.witness.compare(origin, findings.strays)


def _end(scene: Scene) -> list[str]:
    """End the round without a fault, and have all of it compared."""
    scene.book.rest()
    found = list(scene.book.mark().complaints)
    try:
        code = scene.here.gateway.stop()
    except GatewayError as hanging:
        return [*found, str(hanging)]
    if code:
        found.append(f"exit code {code} after SIGTERM")
    command = scene.here.gateway.command
    found += drain_copy(command, scene.here.room, scene.disk.mount / "spool")
    return found + _audit(scene, scene.here.origin, None, Score())
