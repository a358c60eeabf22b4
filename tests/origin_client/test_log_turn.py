"""``origin_client.log_turn``: real processes that append to one topic at once."""

import errno
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from origin_client import log_turn
from origin_client.log_turn import Turn
from origin_client.murmur2 import partition

TOPIC = "edge.bet.v1"
PARTITIONS = 2
BATCHES = 60
BATCH = 20
KEYS = 5

# Begins when told to, and says after each batch how many have been acknowledged.
PUBLISHER = f"""
import sys
from pathlib import Path
from origin_client.log import LogOrigin
from origin_client.origin import Outgoing

root, who = sys.argv[1:]
origin = LogOrigin(Path(root), partitions={PARTITIONS}, file_bytes_max=8192)
print("ready", flush=True)
sys.stdin.readline()
for batch in range({BATCHES}):
    numbers = range(batch * {BATCH}, (batch + 1) * {BATCH})
    value = b'{{"who":"%s","n":%d}}'
    records = [Outgoing(b"key-%d" % (n % {KEYS}), value % (who.encode(), n)) for n in numbers]
    assert origin.publish("{TOPIC}", records) == []
    print(numbers.stop, flush=True)
"""


class Said(msgspec.Struct):
    """A value: the whose-th of whom."""

    who: str
    n: int


class Line(msgspec.Struct):
    """A line of the log, as far as it matters here."""

    offset: int
    key: str
    value: Said


class Publisher:
    """A process that publishes."""

    def __init__(self, root: Path, who: str) -> None:
        command = [sys.executable, "-c", PUBLISHER, str(root), who]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        assert self.hear() == "ready"

    def hear(self) -> str:
        """Read what it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def begin(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Wait for its end, and tell its exit code."""
        self.process.communicate()
        return self.process.returncode


def lines(root: Path, number: int) -> list[Line]:
    """What a partition's files hold, without any code of the log's."""
    directory = root / TOPIC / str(number)
    files = {int(path.stem): path.read_text() for path in sorted(directory.glob("*.jsonl"))}
    found: list[Line] = []
    for first, end in zip(files, [*list(files)[1:], 1 << 62], strict=True):
        held = [msgspec.json.decode(line, type=Line) for line in files[first].splitlines()]
        found += [line for line in held if line.offset < end]
    assert [line.offset for line in found] == list(range(len(found)))
    assert all(partition(line.key.encode(), PARTITIONS) == number for line in found)
    return found


def test_processes_that_append_at_once_leave_whole_lines_and_every_offset_once(
    tmp_path: Path,
) -> None:
    publishers = [Publisher(tmp_path, who) for who in "abc"]
    for each in publishers:
        each.begin()

    assert [each.end() for each in publishers] == [0, 0, 0]

    said = [line.value for number in range(PARTITIONS) for line in lines(tmp_path, number)]
    for who in "abc":
        for key in range(KEYS):
            wanted = list(range(key, BATCHES * BATCH, KEYS))
            assert [v.n for v in said if v.who == who and v.n % KEYS == key] == wanted


def test_a_process_killed_in_its_turn_costs_the_others_nothing_they_were_told(
    tmp_path: Path,
) -> None:
    doomed, other = Publisher(tmp_path, "d"), Publisher(tmp_path, "o")
    doomed.begin()
    other.begin()
    told = 0
    for _ in range(BATCHES // 3):
        told = int(doomed.hear())
    doomed.process.kill()
    doomed.end()

    assert other.end() == 0

    said = [line.value for number in range(PARTITIONS) for line in lines(tmp_path, number)]
    kept = Counter((value.who, value.n) for value in said)
    assert all(kept["d", n] == 1 for n in range(told))
    assert all(kept["o", n] == 1 for n in range(BATCHES * BATCH))


def test_a_turn_tells_whether_another_had_one_since(tmp_path: Path) -> None:
    mine, theirs = Turn(tmp_path / "t", b"mine"), Turn(tmp_path / "t", b"them")
    never = threading.Event()
    found: list[bool] = []
    for turn in (mine, mine, theirs, mine, mine):
        found.append(turn.take(never))
        turn.give_up()

    assert found == [False, True, False, False, True]


def test_a_turn_in_a_directory_that_came_back_trusts_nothing(tmp_path: Path) -> None:
    turn, never = Turn(tmp_path / "t", b"mine"), threading.Event()
    turn.take(never)
    turn.give_up()
    (tmp_path / "t").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match="removed or moved"):
        turn.take(never)
    (tmp_path / "away").rename(tmp_path / "t")

    assert not turn.is_open
    assert turn.take(never) is False


@pytest.mark.parametrize("turns_before", [0, 1])
def test_a_disk_that_fails_as_the_turn_begins_leaves_it_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turns_before: int
) -> None:
    mine, theirs = Turn(tmp_path / "t", b"mine"), Turn(tmp_path / "t", b"them")
    never, impatient = threading.Event(), threading.Event()
    impatient.set()
    for turn in (mine, theirs) * turns_before:
        turn.take(never)
        turn.give_up()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as faulty:
        faulty.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            mine.take(never)

    assert theirs.take(impatient) is bool(turns_before)
    theirs.give_up()
    assert mine.take(impatient) is False


def test_a_turn_that_does_not_end_is_told_and_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_turn, "PATIENCE_S", 2 * log_turn.POLL_S)
    mine, theirs = Turn(tmp_path / "t", b"mine"), Turn(tmp_path / "t", b"them")
    never = threading.Event()
    theirs.take(never)

    with pytest.raises(TimeoutError, match="another process has been writing"):
        mine.take(never)
    theirs.give_up()

    assert mine.take(never) is False
