"""All lanes of a process, with real threads on a real disk; and what is promised about bytes."""

import asyncio
import errno
import shutil
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from typing_extensions import override

from edge.config import ConfigError, SpoolSettings
from edge.core.lane import Lane
from edge.core.reject import Reason, Reject
from edge.shell.spool.claim import SpoolLocked, identify
from edge.shell.spool.commit import Synced
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import OsDisk, Output, settle_directory
from edge.shell.spool.lane_spool import Stored
from edge.shell.spool.process import Spool, worker_directory
from tests.fakes import FakeClock
from tests.fakes_disk import FakeDisk
from tests.fakes_spool import LANE, SMALL, OneLane, indexes, record

GOLDEN = Path(__file__).parents[2] / "golden" / "spool"


@pytest.fixture
def settings(tmp_path: Path) -> SpoolSettings:
    """A spool of its own."""
    return SpoolSettings(path=str(tmp_path / "var" / "spool"), sync_timeout_s=1)


def values(spool: Spool, lane: Lane) -> list[tuple[int, int]]:
    """Tell number and key of everything that waits."""
    reader = spool.lane(lane)
    at, found = reader.cursor, list[tuple[int, int]]()
    while reader.wait(at, 0):
        chunk = reader.read(at, bytes_max=1 << 20, records_max=1000)
        at = chunk.after
        stored = (frame for frame in chunk.frames if isinstance(frame, Stored))
        found += [(frame.edgeseq, frame.key[-1] - ord("0")) for frame in stored]
    return found


def test_what_was_accepted_is_forwarded_by_the_next_process(settings: SpoolSettings) -> None:
    async def story() -> tuple[list[Synced], list[object]]:
        spool = Spool.open(settings)
        heard: list[object] = []
        spool.start(asyncio.get_running_loop(), lambda c, held: heard.append((c.lane, held)))
        commits = [spool.append(lane, record(0)) for lane in (Lane.BET, Lane.WALLET)]
        outcomes = [await commit.synced() for commit in commits]
        spool.append(Lane.BET, record(1))
        assert await asyncio.to_thread(spool.flush)
        await asyncio.to_thread(spool.close)
        return outcomes, heard

    outcomes, heard = asyncio.run(story())

    assert outcomes == [Synced.HELD] * 2
    assert sorted(map(str, heard)) == sorted(
        map(str, [(Lane.BET, True), (Lane.WALLET, True), (Lane.BET, True)])
    )
    spool = Spool.open(settings)
    assert indexes(spool.pages(Lane.BET)) == [0, 1]
    assert (values(spool, Lane.BET), values(spool, Lane.WALLET)) == ([(1, 0), (2, 1)], [(1, 0)])
    assert spool.statistics()[Lane.BET].records_at_start == 2
    spool.close()


def test_the_secret_stays_with_the_spool(settings: SpoolSettings) -> None:
    first = Spool.open(settings)
    first.close()
    second = Spool.open(settings)
    second.close()

    assert first.secret == second.secret
    assert len(first.secret) == 32


def test_there_is_one_owner_and_a_failed_start_is_none(settings: SpoolSettings) -> None:
    first = Spool.open(settings)
    with pytest.raises(SpoolLocked):
        Spool.open(settings)
    first.close()

    disk = FakeDisk()
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.path.suffix == ".tmp" else None
    )
    with pytest.raises(ConfigError):
        Spool.open(settings, disk=disk)

    Spool.open(settings).close()


def test_a_lock_file_that_was_removed_makes_no_second_owner(settings: SpoolSettings) -> None:
    first = Spool.open(settings)
    (worker_directory(settings) / "lock").unlink()

    with pytest.raises(SpoolLocked, match=r"another process owns .*/0: stop it first"):
        Spool.open(settings)

    first.close()
    Spool.open(settings).close()


def test_an_unwritable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"^spool\.path: .*file/spool is not writable"):
        Spool.open(SpoolSettings(path=str(tmp_path / "file" / "spool")))


def test_a_lane_that_cannot_be_written_stops_the_start(settings: SpoolSettings) -> None:
    Spool.open(settings).close()
    disk = FakeDisk()
    disk.plan = lambda _index, call: (
        OSError(errno.EROFS, "read-only") if call.path.parent.name == "bet" else None
    )

    with pytest.raises(ConfigError, match="read-only"):
        Spool.open(settings, disk=disk)


def test_what_cannot_be_read_at_the_start_stops_it(settings: SpoolSettings) -> None:
    Spool.open(settings).close()
    disk = FakeDisk()
    disk.plan = lambda _index, call: (
        OSError(errno.EACCES, "not yours") if call.path.name == "cursor" else None
    )
    with pytest.raises(ConfigError, match=r"^spool\.path: .*not yours"):
        Spool.open(settings, disk=disk)


def test_recall_is_not_rebuilt_from_what_cannot_be_read(settings: SpoolSettings) -> None:
    disk = FakeDisk()
    OneLane(disk, directory=worker_directory(settings)).commit(0)
    identify(disk, worker_directory(settings) / "id", bytes)
    settle_directory(OsDisk(), worker_directory(settings))
    spool = Spool.open(settings, disk=disk)
    disk.plan = lambda _index, _call: OSError(errno.EMFILE, "planned")

    with pytest.raises(ConfigError, match=r"^spool\.path: .*planned"):
        list(spool.pages(LANE))

    spool.close()


def test_a_spool_of_another_version_is_left_alone(settings: SpoolSettings) -> None:
    root = Path(settings.path)
    shutil.copytree(GOLDEN.parent / "spool_of_version_2", root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    with pytest.raises(ConfigError, match=r"has format 2, this version reads 1"):
        Spool.open(settings)

    assert {p: p.read_bytes() for p in before} == before


def test_memory_is_no_place_for_promises_unless_meant(
    settings: SpoolSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def in_memory(_path: Path) -> str:
        return "tmpfs"

    monkeypatch.setattr("edge.shell.spool.process.volatile", in_memory)

    with pytest.raises(ConfigError, match="is on tmpfs"):
        Spool.open(settings)

    Spool.open(SpoolSettings(path=settings.path, allow_volatile=True)).close()
    assert "may lose accepted events" in caplog.text


class HangingDisk(OsDisk):
    """A disk whose syncs wait while the gate is shut."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()

    @override
    def create(self, path: Path) -> Output:
        """Begin a file whose syncs may hang."""
        return HangingOutput(super().create(path), self.gate)


class HangingOutput(Output):
    """One file of a :class:`HangingDisk`."""

    def __init__(self, output: Output, gate: threading.Event) -> None:
        self._output = output
        self._gate = gate

    @override
    def write(self, content: bytes) -> None:
        """At once."""
        self._output.write(content)

    @override
    def sync(self) -> None:
        """When the gate is open."""
        self._gate.wait()
        self._output.sync()

    @override
    def close(self) -> None:
        """At once."""
        self._output.close()


def test_a_hanging_sync_is_overdue_and_late_and_stops_nobody_else(
    settings: SpoolSettings,
) -> None:
    disk = HangingDisk()

    async def story() -> tuple[list[object], bool]:
        spool = Spool.open(settings, disk=disk)
        heard: list[object] = []
        spool.start(asyncio.get_running_loop(), lambda _commit, held: heard.append(held))
        disk.gate.clear()
        commit = spool.append(Lane.BET, record(0))
        heard.append(await commit.synced())
        with pytest.raises(Reject) as caught:
            spool.append(Lane.BET, record(1))
        heard.append(caught.value.reason)
        is_flushed = await asyncio.to_thread(spool.flush)
        disk.gate.set()
        assert await asyncio.to_thread(spool.flush)
        await asyncio.to_thread(spool.close)
        heard.append(spool.statistics()[Lane.BET].late_durable)
        return heard, is_flushed

    heard, is_flushed = asyncio.run(story())

    assert heard == [Synced.OVERDUE, Reason.LANE_FAILED, True, 1]
    assert not is_flushed


def test_a_sync_that_never_returns_keeps_the_lock(settings: SpoolSettings) -> None:
    disk = HangingDisk()

    async def story() -> None:
        spool = Spool.open(settings, disk=disk)
        spool.start(asyncio.get_running_loop(), lambda _commit, _held: None)
        disk.gate.clear()
        spool.append(Lane.BET, record(0))
        await asyncio.to_thread(spool.close)
        with pytest.raises(SpoolLocked):
            Spool.open(settings)
        disk.gate.set()
        await asyncio.to_thread(spool.close)

    asyncio.run(story())
    Spool.open(settings).close()


def test_a_start_on_a_full_disk_works_with_the_headroom(
    settings: SpoolSettings, tmp_path: Path
) -> None:
    """The tail needs a copy, there is no room for it but the headroom."""
    directory = tmp_path / "var" / "spool" / "0"
    directory.mkdir(parents=True)
    disk = FakeDisk()
    lane = OneLane(disk, directory=directory)
    assert lane.commit(*range(6))
    identify(disk, directory / "id", counted())
    disk.capacity -= disk.free

    spool = Spool.open(settings, disk=disk, bounds=SMALL)

    assert len(values(spool, Lane.BET)) == 6
    assert all(figures.is_writable for figures in spool.statistics().values())
    spool.close()


def test_appending_before_the_start_is_our_bug(settings: SpoolSettings) -> None:
    spool = Spool.open(settings)

    with pytest.raises(AssertionError, match="start comes before append"):
        spool.append(Lane.BET, record(0))
    spool.close()


def counted() -> Callable[[int], bytes]:
    """Entropy that begins at one again."""
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def golden_life(directory: Path) -> None:
    """Two runs of a lane: the first half forwarded, the second after a kill."""
    entropy = counted()
    disk = OsDisk()
    settle_directory(disk, directory)
    identify(disk, directory / "id", entropy)
    clock = FakeClock()
    lane = OneLane(disk, directory=directory, clock=clock, entropy=entropy)
    for start in range(0, 12, 3):
        assert lane.commit(*range(start, start + 3))
        clock.advance(1)
    chunk = lane.reader.read(lane.reader.cursor, bytes_max=1 << 16, records_max=4)
    lane.reader.acknowledge(chunk.after)
    lane.close()
    lane = OneLane(disk, directory=directory, clock=clock, entropy=entropy)
    assert lane.commit(12, 13)
    lane.close()


def files(directory: Path) -> dict[str, bytes]:
    """Read every file but the headroom, which is only as long as it is."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != "headroom"
    }


def test_a_spool_whose_id_is_lost_says_so_and_keeps_its_records(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "spool")
    (tmp_path / "spool" / "0" / "id").unlink()

    spool = Spool.open(SpoolSettings(path=str(tmp_path / "spool")))

    assert spool.has_forgotten
    assert list(spool.pages(Lane.BET)) == []
    assert spool.statistics()[Lane.BET].records_at_start == 10
    spool.close()


def test_today_s_writer_writes_the_golden_bytes(tmp_path: Path) -> None:
    golden_life(tmp_path / "0")

    assert files(tmp_path) == files(GOLDEN)


def test_the_golden_spool_is_read(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "spool")

    spool = Spool.open(SpoolSettings(path=str(tmp_path / "spool")))

    assert spool.secret == (1).to_bytes(32, "big")
    assert indexes(spool.pages(Lane.BET)) == list(range(14))
    assert spool.lane(Lane.BET).cursor == Position(1, 656)
    numbers = [number for number, _ in values(spool, Lane.BET)]
    assert numbers == [*range(5, 13), 1, 2]
    spool.close()
