"""Dead letters: what no try will ever bring to the origin, kept for people to mend.

In go letters, each with its reason; when ``bury`` returns they are on stable storage. The
directory is bounded: when it is full nothing is dropped, the lane waits.

Design constraints
------------------
* ``jq`` reads it: an operator looks here first when money is missing.
* One file can be removed whole while the lane runs; so files are small, and each burial looks
  anew at what is there.
* There is no torn line to explain: a burial writes the last file anew, with its letters added,
  and gives it its name when it is durable. That costs up to 1 MiB a burial, and burials are
  rare; a batch is buried at once.

Record
------
``<lane>/dead/<number:010d>.jsonl``, one letter per line, oldest first, numbers never reused
while a higher one exists. A refused record is
``{"dead_ms":…,"reason":"…","crc32":…,"key":"…","value":{…}}``, its ``value`` the envelope plus
``deadreason``; a quarantined frame is
``{"dead_ms":…,"reason":"…","crc32":…,"segment":…,"offset":…,"frames":…,"raw":"<base64>"}``,
for several in a row whose beginnings cannot be told: ``frames``. ``crc32`` is that of the
value's bytes as they stand there, or of the raw bytes. ``lock`` is held (flock) while a letter
is written, so whoever takes letters out (:mod:`edge.shell.redrive`) can do so beside the lane;
``redriven`` tells in 18 digits how often a letter was taken out because the origin had it at
last: made with the first letter and overwritten in place, it asks a disk that is full by then
for no room. A crash between a burial and the lane's cursor buries a letter twice, under one
(``edgespool``, ``edgeseq``).
"""

import base64
import logging
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from edge.shell.spool.claim import Lock, SpoolLocked
from edge.shell.spool.disk import Disk, publish, settle_directory
from edge.shell.spool.lane_spool import Quarantined, Stored
from origin_client.envelope import mark_dead
from origin_client.origin import Outgoing

log: Final = logging.getLogger("edge.dead")

FILE_BYTES_MAX: Final = 1 << 20  # a fuller file is left alone; 256 fill the default bound
DEAD_DIRECTORY: Final = "dead"
LOCK_FILE: Final = "lock"
TALLY_FILE: Final = "redriven"
_TALLY: Final = re.compile(rb"(\d{18})\n\Z")  # more than anybody will ever bury
_TALLY_BYTES: Final = 19
_FILE: Final = re.compile(r"(\d{10})\.jsonl\Z")
_ENCODER: Final = msgspec.json.Encoder()


class DeadUnavailable(Exception):  # noqa: N818  # an expected state, not a bug
    """The letters could not be made durable now; the message says why. Nothing is kept."""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        dead_ms: The edge's wall clock at the burial, unix ms.
        reason: Why, in full: the origin's words, or the spool's.
        crc32: Of the bytes of ``value``, or of the bytes that ``raw`` encodes.
    """

    dead_ms: int
    reason: str
    crc32: int


class RefusedLetter(Letter, frozen=True, kw_only=True):
    """A record that the origin refused alone, or that is too large to be tried.

    Attributes:
        key: The origin's record key.
        value: The envelope plus ``deadreason``.
    """

    key: str
    value: msgspec.Raw


class QuarantinedLetter(Letter, frozen=True, kw_only=True):
    """A frame that the spool could not read, or several whose beginnings cannot be told.

    Attributes:
        segment: Where they stood.
        offset: As ``segment``; bytes from the segment's beginning.
        frames: How many they were; 0 for what is left of those in the letter before.
        raw: What was found there, base64.
    """

    segment: int
    offset: int
    frames: int = 1
    raw: str


def refused(record: Stored | Outgoing, reason: str, *, dead_ms: int) -> RefusedLetter:
    """Write the letter of a record that the origin will never take, or not yet again."""
    value = mark_dead(record.value, reason)
    return RefusedLetter(
        dead_ms=dead_ms,
        reason=reason,
        crc32=zlib.crc32(value),
        key=record.key.decode(errors="replace"),
        value=msgspec.Raw(value),
    )


def quarantined(frame: Quarantined, *, dead_ms: int) -> QuarantinedLetter:
    """Write the letter of a frame that the spool could not read."""
    return QuarantinedLetter(
        dead_ms=dead_ms,
        reason=frame.reason,
        crc32=zlib.crc32(frame.raw),
        segment=frame.segment,
        offset=frame.offset,
        raw=base64.b64encode(frame.raw).decode("ascii"),
        frames=frame.frames,
    )


class DeadLetters:
    """The dead letters of one lane; making it measures what is there already.

    Args:
        disk: Where it lies.
        directory: ``<lane>/dead``; made when it is first needed.
        bytes_max: ``spool.dead_bytes_max``: all files together stay within it.
    """

    def __init__(self, disk: Disk, directory: Path, *, bytes_max: int) -> None:
        self._disk = disk
        self._directory = directory
        self._bytes_max = bytes_max
        self._bytes_used = 0
        self._redriven = 0
        self.measure()

    def measure(self) -> None:
        """Look at what is there now, since others may take letters out; any thread."""
        try:
            self._bytes_used = sum(letter_files(self._disk, self._directory).values())
            self._redriven = read_tally(self._disk, self._directory) or 0
        except OSError as error:
            log.warning("dead letters not measured", extra={"cause": str(error)})

    def bury(self, letters: Sequence[Letter]) -> None:
        """Return when all *letters* are durable.

        Raises:
            DeadUnavailable: None of them counts: no room, the lock is held, the disk failed.
        """
        lines = _ENCODER.encode_lines(letters)
        try:
            settle_directory(self._disk, self._directory)
            lock = Lock(self._directory / LOCK_FILE, wait_s=0)  # the lane waits, and asks again
            try:
                self._append(lines)
            finally:
                lock.release()
        except SpoolLocked as error:
            raise DeadUnavailable(f"another process is at {self._directory}") from error
        except OSError as error:
            raise DeadUnavailable(str(error)) from error

    def bytes_used(self) -> int:
        """Return what the letters take up, as last measured; from any thread, without the disk."""
        return self._bytes_used

    def redriven(self) -> int:
        """Return how many letters were ever taken out because the origin has them; as above."""
        return self._redriven

    def _append(self, lines: bytes) -> None:
        sizes = letter_files(self._disk, self._directory)
        used = self._bytes_used = sum(sizes.values())
        if used + len(lines) > self._bytes_max:
            raise DeadUnavailable(f"{used} of {self._bytes_max} bytes are taken")
        if not sizes and TALLY_FILE not in self._disk.files(self._directory):
            write_tally(self._disk, self._directory, 0)
        number, before = max(sizes, default=1), b""
        if sizes.get(number, 0) >= FILE_BYTES_MAX:
            number += 1
        path = letter_path(self._directory, number)
        if number in sizes:
            before = self._disk.read(path, 0, sizes[number])
        publish(self._disk, path, before + lines).close()
        self._bytes_used = used + len(lines)


def letter_files(disk: Disk, directory: Path) -> dict[int, int]:
    """Return the sizes of a lane's letter files by number, rising; none if it has no directory.

    Raises:
        OSError: The directory cannot be read.
    """
    try:
        files = disk.files(directory)
    except FileNotFoundError:
        return {}
    named = ((_FILE.match(name), size) for name, size in files.items())
    return dict(sorted((int(match[1]), size) for match, size in named if match))


def letter_path(directory: Path, number: int) -> Path:
    """Name a letter file."""
    return directory / f"{number:010d}.jsonl"


def read_tally(disk: Disk, directory: Path) -> int | None:
    """Return how many letters were redriven; ``None`` if nobody can read the number.

    Raises:
        OSError: The disk refused.
    """
    try:
        match = _TALLY.match(disk.read(directory / TALLY_FILE, 0, _TALLY_BYTES + 1))
    except FileNotFoundError:
        return 0
    return int(match[1]) if match else None


def write_tally(disk: Disk, directory: Path, tally: int) -> None:
    """Keep how many letters were redriven; in place, if there is a tally already.

    Raises:
        OSError: The disk refused; the old figure is there, or the new one.
    """
    path, content = directory / TALLY_FILE, b"%018d\n" % tally
    if disk.files(directory).get(TALLY_FILE) == _TALLY_BYTES:
        disk.overwrite(path, 0, content)
    else:
        publish(disk, path, content).close()
