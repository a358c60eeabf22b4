"""``edge.shell.dead``: a letter is on disk whole, within the bound, or not at all."""

import base64
import errno
import fcntl
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from edge.shell import dead
from edge.shell.dead import DeadLetters, DeadUnavailable, Letter
from edge.shell.spool.disk import OsDisk, Output
from edge.shell.spool.lane_spool import Quarantined, Stored
from origin_client.validate import validate
from tests.contract.envelopes import EDGESPOOL, NUMBERED

BYTES_MAX = 64 << 20
DEAD_MS = 1_771_099_200_000
RECORD = Stored(EDGESPOOL, 1, b"player-0001", DEAD_MS, NUMBERED["minimal_fact"])
FRAME = Quarantined(7, 4096, b"\x00\xff\n", "checksum is wrong")


class NthCallFails(OsDisk):
    """The machine's disk, one call of which fails."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def count(self) -> None:
        """Fail if this is the one."""
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.EIO, "Input/output error")

    @override
    def create(self, path: Path) -> Output:
        self.count()
        return super().create(path)

    @override
    def rename(self, source: Path, target: Path) -> None:
        self.count()
        super().rename(source, target)

    @override
    def read(self, path: Path, offset: int, size: int) -> bytes:
        self.count()
        return super().read(path, offset, size)

    @override
    def files(self, directory: Path) -> dict[str, int]:
        self.count()
        return super().files(directory)

    @override
    def make_directory(self, path: Path) -> None:
        self.count()
        super().make_directory(path)


def refused(reason: str = "too large") -> Letter:
    return dead.refused(RECORD, reason, dead_ms=DEAD_MS)


def letters(directory: Path) -> list[dict[str, object]]:
    """What any tool would read there; each must be whole."""
    return [
        msgspec.json.decode(line, type=dict[str, object])
        for path in sorted(directory.glob("*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def raw_value(line: bytes) -> bytes:
    """The bytes of the member ``value``, which stands last."""
    return line[line.index(b'"value":') + len(b'"value":') : -1]


def test_a_refused_record_is_its_envelope_plus_the_reason(tmp_path: Path) -> None:
    DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX).bury([refused()])

    (path,) = (tmp_path / "dead").glob("*.jsonl")
    value = raw_value(path.read_bytes().rstrip(b"\n"))
    assert path.name == "0000000001.jsonl"
    assert validate(value) == []
    assert letters(tmp_path / "dead") == [
        {
            "dead_ms": DEAD_MS,
            "reason": "too large",
            "crc32": zlib.crc32(value),
            "key": "player-0001",
            "value": msgspec.json.decode(RECORD.value) | {"deadreason": "too large"},
        }
    ]


def test_a_quarantined_frame_is_its_place_and_its_bytes(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    dead_letters.bury([dead.quarantined(FRAME, dead_ms=DEAD_MS)])

    assert letters(tmp_path / "dead") == [
        {
            "dead_ms": DEAD_MS,
            "reason": "checksum is wrong",
            "crc32": zlib.crc32(FRAME.raw),
            "segment": 7,
            "offset": 4096,
            "frames": 1,
            "raw": base64.b64encode(FRAME.raw).decode(),
        }
    ]


def test_letters_stay_in_order_over_burials_and_restarts(tmp_path: Path) -> None:
    for number in range(3):
        dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
        dead_letters.bury([refused(f"{number}a"), refused(f"{number}b")])

    assert [letter["reason"] for letter in letters(tmp_path / "dead")] == [
        *("0a", "0b", "1a", "1b", "2a", "2b")
    ]


def test_a_full_file_is_followed_by_a_new_one(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    frame = Quarantined(1, 0, bytes(dead.FILE_BYTES_MAX), "zeros")
    for _ in range(2):
        dead_letters.bury([dead.quarantined(frame, dead_ms=DEAD_MS)])
    dead_letters.bury([refused()])

    assert [path.name for path in sorted((tmp_path / "dead").glob("*.jsonl"))] == [
        "0000000001.jsonl",
        "0000000002.jsonl",
        "0000000003.jsonl",
    ]


@pytest.mark.parametrize(("missing", "files"), [(0, 2), (1, 1)], ids=["full", "not yet"])
def test_a_file_is_full_at_its_bound_and_not_before(
    tmp_path: Path, missing: int, files: int
) -> None:
    (tmp_path / "dead").mkdir()
    content = bytes(dead.FILE_BYTES_MAX - missing - 1) + b"\n"
    dead.letter_path(tmp_path / "dead", 1).write_bytes(content)

    DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX).bury([refused()])

    assert len(list((tmp_path / "dead").glob("*.jsonl"))) == files


def test_a_file_taken_out_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    frame = Quarantined(1, 0, bytes(dead.FILE_BYTES_MAX), "zeros")
    dead_letters.bury([dead.quarantined(frame, dead_ms=DEAD_MS)])
    dead_letters.bury([refused("kept")])
    (tmp_path / "dead" / "0000000001.jsonl").unlink()

    dead_letters.bury([refused("new")])

    assert [letter["reason"] for letter in letters(tmp_path / "dead")] == ["kept", "new"]


def test_the_bound_holds_to_the_byte_and_nothing_is_dropped_for_it(tmp_path: Path) -> None:
    one = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    one.bury([refused()])
    size = one.bytes_used()
    tight = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=2 * size)

    tight.bury([refused()])
    with pytest.raises(DeadUnavailable, match=f"{2 * size} of {2 * size} bytes"):
        tight.bury([refused()])

    assert tight.bytes_used() == 2 * size
    assert len(letters(tmp_path / "dead")) == 2


def test_room_made_by_hand_is_used(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=1_000)
    dead_letters.bury([refused()])
    with pytest.raises(DeadUnavailable):
        dead_letters.bury([refused()])
    (tmp_path / "dead" / "0000000001.jsonl").unlink()

    dead_letters.bury([refused()])

    assert len(letters(tmp_path / "dead")) == 1


def test_nothing_is_used_before_the_first_letter(tmp_path: Path) -> None:
    assert DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX).bytes_used() == 0


def test_what_is_used_is_known_from_the_start_without_asking_the_disk(tmp_path: Path) -> None:
    DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX).bury([refused()])
    disk = NthCallFails(0)
    dead_letters = DeadLetters(disk, tmp_path / "dead", bytes_max=BYTES_MAX)
    (path,) = (tmp_path / "dead").glob("*.jsonl")
    size = path.stat().st_size

    disk.left = 1
    assert dead_letters.bytes_used() == size
    assert disk.left == 1
    disk.left = 0
    dead_letters.bury([refused()])

    assert dead_letters.bytes_used() == path.stat().st_size > size


def test_a_disk_that_cannot_be_measured_keeps_no_gateway_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dead_letters = DeadLetters(NthCallFails(1), tmp_path / "dead", bytes_max=BYTES_MAX)

    assert dead_letters.bytes_used() == 0
    assert [record.message for record in caplog.records] == ["dead letters not measured"]


def test_letters_taken_out_by_hand_are_noticed_at_the_next_burial(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    dead_letters.bury([refused()])
    size = dead_letters.bytes_used()
    (tmp_path / "dead" / "0000000001.jsonl").unlink()

    dead_letters.bury([refused()])

    assert dead_letters.bytes_used() == size


def test_nobody_writes_while_letters_are_taken_out(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    dead_letters.bury([refused()])
    with (tmp_path / "dead" / dead.LOCK_FILE).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DeadUnavailable, match="another process is at"):
            dead_letters.bury([refused()])

    dead_letters.bury([refused()])

    assert len(letters(tmp_path / "dead")) == 2


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_failing_disk_leaves_what_was_there(tmp_path: Path, nth: int) -> None:
    """The third burial, each of its calls in turn: what it adds is there whole, or not."""
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    dead_letters.bury([refused("first")])

    disk = NthCallFails(0)
    failing = DeadLetters(disk, tmp_path / "dead", bytes_max=BYTES_MAX)
    disk.left = nth
    with pytest.raises(DeadUnavailable):
        failing.bury([refused()])
    there = letters(tmp_path / "dead")
    dead_letters.bury([refused("again")])

    assert [letter["reason"] for letter in there] == ["first"]
    assert [letter["reason"] for letter in letters(tmp_path / "dead")] == ["first", "again"]


@given(raw=st.binary(), reason=st.text(), key=st.binary())
def test_any_bytes_become_a_letter(raw: bytes, reason: str, key: bytes) -> None:
    record = Stored(EDGESPOOL, 1, key, DEAD_MS, RECORD.value)
    for letter in (
        dead.refused(record, reason, dead_ms=DEAD_MS),
        dead.quarantined(Quarantined(1, 0, raw, reason), dead_ms=DEAD_MS),
    ):
        line = msgspec.json.encode(letter)

        assert b"\n" not in line
        assert msgspec.json.decode(line, type=type(letter)) == letter


def test_letters_taken_out_are_noticed_when_it_looks_anew(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX)
    dead_letters.bury([refused()])
    (tmp_path / "dead" / "0000000001.jsonl").unlink()
    (tmp_path / "dead" / dead.TALLY_FILE).write_text(f"{1:018d}\n")

    dead_letters.measure()

    assert (dead_letters.bytes_used(), dead_letters.redriven()) == (0, 1)


def test_how_many_were_redriven_is_known_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / dead.TALLY_FILE).write_text(f"{17:018d}\n")

    assert DeadLetters(OsDisk(), tmp_path / "dead", bytes_max=BYTES_MAX).redriven() == 17


@pytest.mark.parametrize(
    "content", [b"", b"?\n", b"-%017d\n" % 1, b"%018d" % 1, b"\xff\n", b"9" * 40 + b"\n"]
)
def test_a_tally_that_nobody_wrote_so_counts_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / dead.TALLY_FILE).write_bytes(content)

    assert dead.read_tally(OsDisk(), tmp_path) is None
    assert DeadLetters(OsDisk(), tmp_path, bytes_max=BYTES_MAX).redriven() == 0


def test_the_tally_is_made_with_the_first_letter_and_then_left_alone(tmp_path: Path) -> None:
    dead_letters = DeadLetters(OsDisk(), tmp_path, bytes_max=BYTES_MAX)
    dead_letters.bury([refused()])
    tallies = [dead.read_tally(OsDisk(), tmp_path)]
    assert (tmp_path / dead.TALLY_FILE).exists()
    dead.write_tally(OsDisk(), tmp_path, 5)
    dead.letter_path(tmp_path, 1).unlink()
    dead_letters.bury([refused()])
    tallies.append(dead.read_tally(OsDisk(), tmp_path))

    assert tallies == [0, 5]
