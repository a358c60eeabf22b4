"""The simulation: some seeds, all of some short traces, and that it can fail and ends.

``make sim`` lives through 100,000 seeds; ``python -m tests.mutants --sim`` proves that each of
the thirteen planted bugs is found.
"""

import asyncio
import errno
import multiprocessing
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.core.lane import Lane
from edge.shell.dead import QuarantinedLetter
from edge.shell.spool.disk import is_lost, publish
from tests.faults.row import Scale
from tests.sim.bugs import noticed
from tests.sim.campaign import SHORT_TREES, simulation
from tests.sim.chance import Dice, Every
from tests.sim.damage import Damage
from tests.sim.disk import PAGE_BYTES, Cut, Node, SimDisk, Violation
from tests.sim.limits import MEMORY_BYTES_MAX, allotted, confine
from tests.sim.run import STEPS, Failure, explored, stage
from tests.sim.weather import CALM, Temper, draw_bounds, draw_settings
from tests.sim.world import World

LANE = Lane.WALLET
FILE = Path("/spool/0/a.seg")
OLD, NEW = b"o" * 600, b"n" * 600


@pytest.mark.timeout(300)
def test_no_seed_breaks_a_rule(tmp_path: Path) -> None:
    seeds = next(iter(simulation(Scale.SHORT, tmp_path, lambda _: None)))

    assert seeds.faults == ()
    assert seeds.is_reached


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("length", "errors"), SHORT_TREES)
def test_no_state_that_a_crash_may_leave_breaks_a_rule(length: int, errors: int) -> None:
    ways, cause = explored(length, errors)

    assert cause == ""
    assert ways > 1500  # a tree that stopped growing would prove nothing


def test_a_seed_tells_the_same_story_in_any_process() -> None:
    # A set of lanes, and most others, have another order in the second one.
    first, second = (simulated("--seed", "70", hash_seed=seed) for seed in ("0", "1"))

    assert first == second
    assert first.count("\n") > STEPS // 2
    assert [what for what in ("power lost", "killed", "is lost") if what not in first] == []


def simulated(*arguments: str, hash_seed: str) -> str:
    """Return what a process says that has its own order of sets."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},  # noqa: TID251  # a child needs ours
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_failure_is_the_one_line_that_replays_it() -> None:
    line = str(Failure(seed=12345, steps=200, cause="one number, two records"))

    assert line == "python -m tests.sim --seed 12345 --steps 200  # one number, two records"


def test_a_way_that_breaks_a_rule_is_told_with_the_line_that_shows_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lie(node: Node) -> None:
        node.dirty.clear()

    monkeypatch.setattr(Node, "save", lie)
    told: list[str] = []

    ways, line = explored(2, 0, told.append)

    cause = "a commit held that is not on stable storage"
    assert line == f"python -m tests.sim --tree 2 0  # {cause}, on way {ways:,}"
    assert [each.split()[0] for each in told] == ["send", "send", "mended", "write"]


def test_all_ways_of_a_tree_are_tried_by_the_line_that_a_failure_tells() -> None:
    ways, _ = explored(2, 0)

    said = simulated("--tree", "2", "0", hash_seed="0")

    assert said == f"2 steps, 0 failing calls: no rule broken in {ways:,} ways\n"


def test_what_was_accepted_and_leaves_the_platter_is_missed_in_the_same_step() -> None:
    def lose(world: World) -> None:
        world.send(world.clients.new(LANE, world.clock.now()))
        world.write(LANE)
        world.turn()
        world.ledger.check()
        directory = world.gateway.lanes[LANE].reader.directory
        for node in world.disk.nodes(directory, ".seg").values():
            del node.durable[:]  # no reader would see that before the power goes
        world.ledger.check()

    assert _complaint_of(lose) == "what was held is no more on stable storage"


@pytest.mark.parametrize(
    ("further", "fewer"),
    [
        pytest.param(1, 0, id="of another segment"),
        pytest.param(0, 1, id="that has not all of it"),
    ],
)
def test_what_was_damaged_and_never_came_is_missed_whatever_letter_there_is(
    further: int, fewer: int
) -> None:
    def lose(world: World) -> None:
        world.send(world.clients.new(LANE, world.clock.now()))
        world.write(LANE)
        world.turn()
        directory = world.gateway.lanes[LANE].reader.directory
        ((name, node),) = world.disk.nodes(directory, ".seg").items()
        segment, content = int(name.removesuffix(".seg")), bytes(node.cached)
        world.ledger.damaged(LANE, Damage(segment, 0, content, "all is lost"))
        letter = QuarantinedLetter(
            dead_ms=0,
            reason="",
            crc32=0,
            segment=segment + further,
            offset=0,
            raw=b64encode(content[: len(content) - fewer]).decode(),
        )
        world.ledger.buried(LANE, [letter])
        world.ledger.finish()

    assert _complaint_of(lose) == "a damaged record has no letter"


def test_a_process_that_never_starts_is_a_finding() -> None:
    def fail(call: str, _path: Path) -> OSError | None:
        return OSError(errno.EIO, "for ever") if call == "files" else None

    def start(world: World) -> None:
        world.disk.before = fail
        world.die(has_power=True)

    assert _complaint_of(start) == "it does not start"


def test_a_forwarder_that_waits_for_ever_is_a_finding() -> None:
    def fail(_call: str, path: Path) -> OSError | None:
        return OSError(errno.EIO, "for ever") if path.parent.name == "dead" else None

    def bury(world: World) -> None:
        world.disk.before = fail
        world.send(world.clients.new(LANE, world.clock.now()))
        world.write(LANE)
        world.forward(LANE)

    complaint = _complaint_of(bury, Temper(poison=1.0))
    assert complaint == "somebody waits for what has come"


def test_calls_of_the_disk_without_end_are_a_finding() -> None:
    disk = SimDisk(Dice(0))

    def look() -> None:
        while True:
            disk.files(FILE.parent)

    with pytest.raises(Violation, match="no end of calls"):
        look()


def test_what_spins_without_a_call_is_a_finding() -> None:
    def spin() -> None:
        while True:
            pass

    with pytest.raises(Violation, match="it does not end"), allotted(cpu_s=0.01):
        spin()


def test_who_grows_without_end_runs_out_of_memory_before_the_machine_does() -> None:
    with (
        multiprocessing.get_context("spawn").Pool(1, confine) as pool,
        pytest.raises(MemoryError),
    ):
        pool.apply(bytes, (MEMORY_BYTES_MAX,))


def test_every_way_is_taken_once() -> None:
    every, taken = Every(), list[tuple[int, ...]]()
    for _ in every.ways():
        first = every.below(3)
        taken.append((first, every.below(2)) if first else (first,))

    assert taken == [(0,), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_what_was_synced_and_named_survives_every_power_loss() -> None:
    every = Every()
    for _ in every.ways():
        disk = SimDisk(every)
        output = publish(disk, FILE, OLD)
        output.write(NEW)
        disk.crash()

        assert disk.read(FILE, 0, len(OLD)) == OLD


def test_what_was_not_synced_may_be_kept_lost_or_torn_in_any_page() -> None:
    every, seen = Every(), set[bytes]()
    for _ in every.ways():
        disk = SimDisk(every)
        output = publish(disk, FILE, b"")
        output.write(NEW)
        disk.crash()
        seen.add(disk.read(FILE, 0, len(NEW)))

    assert {b"", NEW, bytes(600), b"n" * 256 + bytes(344), bytes(256) + b"n" * 344} <= seen


def test_a_name_that_was_not_synced_may_be_the_old_one() -> None:
    every, seen = Every(), set[bytes]()
    for _ in every.ways():
        disk = SimDisk(every)
        publish(disk, FILE, OLD).close()
        temporary = FILE.with_suffix(".tmp")
        output = disk.create(temporary)
        output.write(NEW)
        output.sync()
        disk.rename(temporary, FILE)
        disk.crash()
        seen.add(disk.read(FILE, 0, len(NEW)))

    assert seen == {OLD, NEW}


def test_a_failed_sync_leaves_what_reads_well_and_is_not_there() -> None:
    disk = SimDisk(Dice(1))
    output = publish(disk, FILE, OLD)
    output.write(NEW)
    disk.before = lambda call, _path: OSError(errno.EIO, "planned") if call == "sync" else None
    with pytest.raises(OSError, match="planned"):
        output.sync()

    assert disk.read(FILE, len(OLD), len(NEW)) == NEW
    assert not disk.holds(FILE.parent, NEW)
    with pytest.raises(Violation):
        output.sync()


def test_a_page_that_is_lost_fails_each_read_that_meets_it_and_no_other() -> None:
    disk = SimDisk(Dice(0))
    publish(disk, FILE, OLD).close()
    disk.nodes(FILE.parent, ".seg")[FILE.name].lost.append((PAGE_BYTES, 2 * PAGE_BYTES))

    for offset, size in ((0, len(OLD)), (PAGE_BYTES - 1, 2), (2 * PAGE_BYTES - 1, 1)):
        with pytest.raises(OSError, match="lost") as caught:
            disk.read(FILE, offset, size)
        assert is_lost(caught.value)
    assert disk.read(FILE, 0, PAGE_BYTES) == OLD[:PAGE_BYTES]
    assert disk.read(FILE, 2 * PAGE_BYTES, PAGE_BYTES) == OLD[2 * PAGE_BYTES :]


def test_a_cut_call_leaves_a_part_of_what_it_was_to_write() -> None:
    def cut(call: str, _path: Path) -> None:
        if call == "write":
            raise Cut

    seen = set[int]()
    for seed in range(200):
        disk = SimDisk(Dice(seed))
        output = publish(disk, FILE, b"")
        disk.before = cut
        with pytest.raises(Cut):
            output.write(NEW)
        disk.before = lambda _call, _path: None
        seen.add(len(disk.read(FILE, 0, len(NEW))))

    assert len(seen) > 50
    assert max(seen) <= len(NEW)


def _complaint_of(story: Callable[[World], None], temper: Temper = CALM) -> str:
    """Tell a story of a world that has one lane; return the rule it broke."""

    async def told(root: Path) -> None:
        dice = Dice(0)
        with noticed() as bugs:
            story(
                World(
                    dice,
                    root,
                    bugs=bugs,
                    lanes=(LANE,),
                    temper=temper,
                    settings=draw_settings(dice, root),
                    bounds=draw_bounds(dice),
                )
            )

    with stage() as root, pytest.raises(Violation) as caught:
        asyncio.run(told(root))
    return str(caught.value)
