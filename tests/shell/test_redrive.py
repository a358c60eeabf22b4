"""A dead letter leaves ``dead/`` when the origin has it, and never before."""

import contextlib
import errno
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from edge.shell import dead, redrive
from edge.shell.dead import DeadLetters, Letter
from edge.shell.redrive import PAUSE_S, REDRIVE_LOCK_FILE, Redrive, Report
from edge.shell.spool.claim import Lock, SpoolLocked
from edge.shell.spool.disk import Disk, OsDisk
from origin_client.origin import OriginUnavailable
from tests.fakes_disk import Call, FakeDisk
from tests.fakes_forward import LANE, Outcome, RecordingOrigin, damaged, stored

BYTES_MAX = 64 << 20
DEAD_MS = 1_771_099_200_000


def letter(edgeseq: int, reason: str = "too large", size: int = 0) -> Letter:
    """The letter of one record, whose envelope is padded to *size* bytes."""
    record = stored(edgeseq, f"player-{edgeseq % 3}")
    value = record.value[:-1] + b" " * (size - len(record.value)) + b"}"
    return dead.refused(
        msgspec.structs.replace(record, value=value), reason, dead_ms=DEAD_MS + edgeseq
    )


@dataclass
class FakePatience:
    """Lasts for so many pauses; renewed, for as many again."""

    pauses: int = 4
    left: int = 4
    pauses_s: list[float] = field(default_factory=list[float])

    def renew(self) -> None:
        """The origin answered."""
        self.left = self.pauses

    def pause(self, seconds: float) -> bool:
        """Write it down."""
        self.pauses_s.append(seconds)
        self.left -= 1
        return self.left >= 0


@dataclass
class Graveyard:
    """One lane's ``dead/``, and an origin to bring its letters to."""

    directory: Path
    disk: Disk = field(default_factory=OsDisk)
    origin: RecordingOrigin = field(default_factory=RecordingOrigin)
    patience: FakePatience = field(default_factory=FakePatience)

    def __post_init__(self) -> None:
        self.directory.mkdir(exist_ok=True)
        self.letters = DeadLetters(self.disk, self.directory, bytes_max=BYTES_MAX)

    def bury(self, *letters: Letter) -> None:
        """As a forwarder does."""
        self.letters.bury(letters)

    def redrive(self) -> Report:
        """Once."""
        return Redrive(LANE, self.directory, self.origin, self.disk, self.patience).run()

    def lines(self) -> list[bytes]:
        """Every letter that is there."""
        return [
            line
            for number, size in dead.letter_files(self.disk, self.directory).items()
            for line in self.disk.read(
                dead.letter_path(self.directory, number), 0, size
            ).splitlines()
        ]

    def numbers(self) -> list[int]:
        """The numbers of the records that are there."""
        there = (msgspec.json.decode(line) for line in self.lines())
        return [int(each["value"]["edgeseq"]) for each in there if "value" in each]

    def tally(self) -> int:
        """What a gateway would show."""
        self.letters.measure()
        return self.letters.redriven()


@pytest.fixture
def yard(tmp_path: Path) -> Graveyard:
    """Nothing is in it."""
    return Graveyard(tmp_path / "dead")


def test_letters_go_out_as_the_records_they_were_and_are_gone(yard: Graveyard) -> None:
    yard.bury(letter(1), letter(2))
    yard.bury(letter(3))

    report = yard.redrive()

    assert report == Report(redriven=3)
    assert [(number, record.key) for number, record in yard.origin.log] == [
        (1, b"player-1"),
        (2, b"player-2"),
        (3, b"player-0"),
    ]
    assert all(
        record.value == stored(n, f"player-{n % 3}").value for n, record in yard.origin.log
    )
    assert list(yard.directory.glob("*.jsonl")) == []
    assert (yard.tally(), yard.letters.bytes_used()) == (3, 0)


def test_without_letters_there_is_nothing_to_do(tmp_path: Path) -> None:
    yard = Graveyard(tmp_path / "dead")

    assert yard.redrive() == Report()
    assert list(yard.directory.iterdir()) == []


def test_every_redrive_is_counted_on(yard: Graveyard) -> None:
    for number in (1, 2):
        yard.bury(letter(number))
        yard.redrive()

    assert yard.tally() == 2


@pytest.mark.parametrize("is_made", [True, False], ids=["tally", "no tally"])
def test_a_full_disk_keeps_no_letter_that_the_origin_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_made: bool
) -> None:
    disk = FakeDisk()
    yard = Graveyard(tmp_path / "dead", disk)
    yard.bury(letter(1))
    if not is_made:
        disk.unlink(yard.directory / dead.TALLY_FILE)
    disk.capacity -= disk.free

    assert yard.redrive() == Report(redriven=1)

    assert (yard.lines(), yard.tally()) == ([], int(is_made))
    said = [] if is_made else [("tally short", 1)]
    assert [(each.message, each.__dict__["missing"]) for each in caplog.records] == said


def test_a_damaged_tally_counts_anew_and_is_told_once(
    yard: Graveyard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.bury(letter(1, size=dead.FILE_BYTES_MAX))
    yard.bury(letter(2))
    (yard.directory / dead.TALLY_FILE).write_text("?" * 19)

    assert yard.redrive() == Report(redriven=2)

    assert yard.tally() == 2
    assert [each.message for each in caplog.records] == ["tally unreadable, counts anew"]


def test_one_that_is_refused_again_stays_with_the_new_reason(yard: Graveyard) -> None:
    yard.bury(*(letter(number) for number in range(1, 5)))
    yard.origin.poison = frozenset({2})

    assert yard.redrive() == Report(redriven=3, refused=1, reason="poison among 1")

    (line,) = yard.lines()
    again = msgspec.json.decode(line)
    assert again["reason"] == again["value"]["deadreason"] == "poison among 1"
    assert (again["dead_ms"], again["key"]) == (DEAD_MS + 2, "player-2")
    yard.origin.poison = frozenset()
    assert yard.redrive() == Report(redriven=1)
    assert yard.origin.numbers() == [1, 3, 4, 2]
    assert (yard.lines(), yard.tally()) == ([], 4)


def test_frames_and_damaged_lines_stay_where_they_are(yard: Graveyard) -> None:
    frame = dead.quarantined(damaged(4), dead_ms=DEAD_MS)
    yard.bury(letter(1), frame, letter(2), letter(3))
    (path,) = yard.directory.glob("*.jsonl")
    lines = path.read_bytes().splitlines()
    lines[2] = lines[2].replace(b"player-2", b"player-0")  # key and value: the checksum tells
    path.write_bytes(b"\n".join(lines) + b"\n")

    assert yard.redrive() == Report(redriven=2, damaged=1, quarantined=1)

    assert yard.lines() == lines[1:3]
    assert yard.origin.numbers() == [1, 3]


VALUE = b'{"edgeseq":"1"}'


@pytest.mark.parametrize(
    "line",
    [
        b"?",
        b"{}",
        b"[]",
        b"\xff",
        b'{"dead_ms":1,"reason":"","crc32":0}',
        b'{"dead_ms":1,"reason":"","crc32":1,"segment":1,"offset":1,"raw":"AA=="}',
        b'{"dead_ms":1,"reason":"","crc32":1,"segment":1,"offset":1,"raw":"?"}',
        b'{"dead_ms":1,"reason":"","crc32":%d,"key":"k","value":%s}'
        % (zlib.crc32(VALUE), VALUE),
    ],
    ids=["no JSON", "empty", "array", "no text", "half", "frame", "no base64", "no reason"],
)
def test_what_is_no_letter_is_told_and_kept(yard: Graveyard, line: bytes) -> None:
    dead.letter_path(yard.directory, 1).write_bytes(line + b"\n")

    assert yard.redrive() == Report(damaged=1)
    assert yard.lines() == [line]
    assert yard.origin.batches == []


def test_letters_go_in_batches(yard: Graveyard) -> None:
    yard.bury(*(letter(number) for number in range(1, 1502)))
    yard.bury(*(letter(number, size=400_000) for number in range(1502, 1506)))

    assert yard.redrive() == Report(redriven=1505)

    assert [len(batch) for batch in yard.origin.batches] == [1500, 3, 2]


def test_an_outage_is_waited_out(yard: Graveyard) -> None:
    yard.bury(letter(1), letter(2))
    yard.origin.script = [Outcome.LOST] * yard.patience.pauses

    assert yard.redrive() == Report(redriven=2)
    assert yard.patience.pauses_s == [PAUSE_S] * yard.patience.pauses
    assert yard.patience.left == yard.patience.pauses, "renewed by the answer"


def test_a_longer_outage_keeps_what_was_not_acknowledged_and_nothing_else(
    yard: Graveyard,
) -> None:
    yard.bury(*(letter(number) for number in range(1, 1502)))
    yard.origin.script = [Outcome.TAKEN, *[Outcome.LOST] * (yard.patience.pauses + 1)]

    with pytest.raises(OriginUnavailable):
        yard.redrive()

    assert (yard.numbers(), yard.tally()) == ([1501], 1500)
    assert yard.redrive() == Report(redriven=1)


@pytest.mark.parametrize("size", [0, dead.FILE_BYTES_MAX], ids=["same file", "next file"])
def test_what_is_buried_meanwhile_stays(yard: Graveyard, size: int) -> None:
    yard.bury(letter(1, size=size), letter(2))

    def bury_more() -> None:
        yard.origin.before_publish = lambda: None
        yard.bury(letter(3))

    yard.origin.before_publish = bury_more

    assert yard.redrive() == Report(redriven=2)
    assert yard.numbers() == [3]


def test_a_file_that_somebody_removes_meanwhile_is_no_fault(yard: Graveyard) -> None:
    yard.bury(letter(1))
    yard.origin.before_publish = dead.letter_path(yard.directory, 1).unlink

    assert yard.redrive() == Report(redriven=1)
    assert yard.tally() == 1


def test_a_letter_that_was_buried_twice_leaves_twice(yard: Graveyard) -> None:
    yard.bury(letter(1, size=dead.FILE_BYTES_MAX))
    yard.bury(letter(1, size=dead.FILE_BYTES_MAX), letter(2))

    assert yard.redrive() == Report(redriven=3)
    assert (yard.origin.numbers(), yard.lines()) == ([1, 2], [])


def test_a_second_redrive_of_a_lane_is_told_so_at_once(
    yard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.bury(letter(1))
    lock = Lock(yard.directory / REDRIVE_LOCK_FILE, wait_s=0)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)

    with pytest.raises(SpoolLocked, match=f"another redrive of lane {LANE} runs"):
        yard.redrive()
    lock.release()
    assert waits == []

    assert yard.redrive() == Report(redriven=1)


def test_a_burial_under_way_is_waited_for(
    yard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.bury(letter(1))
    lock = Lock(yard.directory / dead.LOCK_FILE, wait_s=0)

    def end_burial(_: float) -> None:
        lock.release()

    monkeypatch.setattr(time, "sleep", end_burial)

    assert yard.redrive() == Report(redriven=1)


def test_a_burial_that_does_not_end_keeps_the_letter(
    yard: Graveyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.bury(letter(1))
    lock = Lock(yard.directory / dead.LOCK_FILE, wait_s=0)
    monkeypatch.setattr(redrive, "LOCK_WAIT_S", 0)

    with pytest.raises(SpoolLocked, match=f"a burial in lane {LANE} does not end"):
        yard.redrive()
    lock.release()

    assert yard.numbers() == [1]


@pytest.mark.parametrize("seed", range(8))
def test_a_file_that_is_gone_does_not_come_back_after_a_power_cut(
    tmp_path: Path, seed: int
) -> None:
    disk = FakeDisk()
    yard = Graveyard(tmp_path / "dead", disk)
    yard.bury(letter(1))

    yard.redrive()
    disk.crash(Random(seed))  # noqa: S311  # a seed replays

    assert yard.lines() == []


def failing(nth: int) -> Callable[[int, Call], OSError | None]:
    """Plan that the *nth* call fails."""
    return lambda index, _: OSError(errno.EIO, "planned") if index == nth else None


@settings(max_examples=300)
@given(
    files=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    poison=st.frozensets(st.integers(1, 12)),
    script=st.lists(st.sampled_from(Outcome), max_size=4),
    at=st.integers(0, 40),
    crash=st.none() | st.integers(),
)
def test_wherever_it_ends_each_letter_is_at_the_origin_or_still_there(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[int],
    poison: frozenset[int],
    script: list[Outcome],
    at: int,
    crash: int | None,
) -> None:
    """Some call of the disk fails, or the power does; then it is run again, undisturbed."""
    disk = FakeDisk()
    directory = tmp_path_factory.mktemp("lane") / "dead"
    yard = Graveyard(directory, disk, RecordingOrigin(script, poison))
    numbers = iter(range(1, 13))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead, "FILE_BYTES_MAX", 2_000)  # a megabyte each would take 9 s
        for count in files:
            yard.bury(*(letter(next(numbers), size=2_000 // count) for _ in range(count)))
    buried = set(yard.numbers())
    start = len(disk.calls)
    disk.plan = failing(start + at)
    with contextlib.suppress(OSError, OriginUnavailable):
        yard.redrive()
    disk.plan = failing(-1)
    if crash is not None:
        disk.crash(Random(crash))  # noqa: S311  # a seed replays

    assert {number for number, _ in yard.origin.log} | set(yard.numbers()) == buried
    yard.origin.script = []
    yard.redrive()
    assert set(yard.numbers()) == buried & poison
    assert {number for number, _ in yard.origin.log} == buried - poison
    assert disk.misuses == []
