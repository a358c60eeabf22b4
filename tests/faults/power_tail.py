"""A tail that was never synced is durable before anybody is told of it again.

In: a disk that can lose its power, under a library that lets every sync succeed and does none
(:mod:`tests.faults.preload`). Out: a row.

A gateway lives on the lying disk, so what it accepts is in the page cache only; it is killed.
The next one has an honest disk: it finds those events, recovers them, and takes them for
accepted; its sender is told ``duplicate``. From then on they are owed, and the power goes.
That the first gateway's disk lied is proven by an image of its own.
"""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults import faults, mounts, preload
from tests.faults.launcher import launcher
from tests.faults.power_disk import Disk, after_power_loss, powered
from tests.faults.power_recovery import drain_copy, sections
from tests.faults.power_witness import Witness
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_122
WHAT: Final = "power loss after a kill: a tail that was never synced"
GOAL: Final = "recovered, synced, then told to be durable"
TIMES: Final = {Scale.SHORT: 1, Scale.FULL: 20}
BATCHES: Final = 5  # of the witness: all in one segment of each lane


def recovered_tail(scale: Scale, room: Path, tell: Tell, seed: int = SEED) -> Iterator[Row]:
    """Kill a gateway on a disk that lies, recover on an honest one, and lose the power."""
    if lacking := mounts.missing() or preload.missing():
        tell(f"SKIPPED: {WHAT}: {lacking}")
        yield Row(WHAT, GOAL, f"skipped: {lacking}", is_reached=False)
        return
    tell(f"recovered tail: seed {seed}")
    rng, found = random.Random(seed), list[str]()  # noqa: S311  # replayable, no secret
    library = preload.build(room)
    for time in range(TIMES[scale]):
        found += _once(room / f"tail-{time}", library, Witness(rng))
    yield Row(WHAT, GOAL, f"{TIMES[scale]} times", not found, tuple(found))


def _once(room: Path, library: Path, witness: Witness) -> list[str]:
    room.mkdir()
    with powered(room) as disk, world(room, sections(disk.mount / "spool")) as here:
        orders = preload.Preload(library, room / "control", disk.mount / "spool")
        here.jwks.write_text(witness.keys_with('{"keys": []}'), "utf-8")
        here.gateway.command = (*orders.launcher, *launcher())
        with faults.lying_syncs(orders):
            here.gateway.start()
            spoken = [witness.speak(here.gateway.public) for _ in range(BATCHES)]
            here.gateway.kill()
        found = [fault for each in spoken for fault in each]
        if _known(witness, disk, room / "before"):
            found.append("the disk that was to lie has synced: it proves nothing")
        here.gateway.start()
        found += witness.repeat(here.gateway.public)
        found += _lose_power(here, disk, witness, room / "after")
    if not found:
        shutil.rmtree(room)
    return found


def _known(witness: Witness, disk: Disk, room: Path) -> bool:
    """Whether any of the witness's events is on the disk now, wherever."""
    room.mkdir()
    disk.image(room / "image")
    names = [str(event["id"]).encode() for event in witness.told]
    with after_power_loss(room / "image", room / "disk") as mount:
        files = [path.read_bytes() for path in mount.rglob("*") if path.is_file()]
    return any(name in content for name in names for content in files)


def _lose_power(here: World, disk: Disk, witness: Witness, room: Path) -> list[str]:
    room.mkdir()
    assert here.gateway.process is not None
    with faults.power_lost(disk, here.gateway.process.pid, room / "image"):
        pass
    with after_power_loss(room / "image", room / "disk") as mount:
        found = drain_copy(here.gateway.command, room, mount / "spool")
    return found + witness.compare(room / "origin", len(witness.told))
