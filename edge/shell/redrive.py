"""Dead letters to their lane's topic again, once the cause is mended: ``edge spool redrive``.

In come the letters of a lane's ``dead/``; each that the origin takes now is removed there. It
runs beside whoever owns the spool, who may bury more meanwhile.

Theory of operation
-------------------
Letters go out as the records they were, under the same key and (``edgespool``, ``edgeseq``),
with the same bytes. Files are read and sent without the letters' lock: they only grow, and are
replaced whole. Then, with the lock, the file as it is by now is written anew without the lines
that the origin has; a burial that finds the lock taken waits and comes again. So a line leaves
only after its acknowledgement, whatever happens in between: a crash costs a repetition, of at
most one file's letters. ``redriven`` is counted before the lines go, for the same reason: then
it tells how many letters the origin was given, repetitions included. On a full
disk a file goes all the same when no letter in it is left: the tally is overwritten in place,
and where that fails it is short, and said to be.

What stays: a letter refused again alone, with the new reason; a damaged line, since nobody
knows what it was; a quarantined frame, which holds no event. A second lock lets one redrive of
a lane run at a time. An origin that is unavailable is tried again for as long as whoever runs
this has patience (:mod:`edge.shell.patience`).
"""

import base64
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec

from edge.core.lane import Lane
from edge.shell.dead import (
    LOCK_FILE,
    letter_files,
    letter_path,
    read_tally,
    refused,
    write_tally,
)
from edge.shell.deliver import deliver, first_batch
from edge.shell.spool.claim import Lock, SpoolLocked
from edge.shell.spool.disk import Disk, publish
from origin_client.envelope import unmark_dead
from origin_client.origin import Origin, OriginUnavailable, Outgoing, Refusal

log: Final = logging.getLogger("edge.redrive")

REDRIVE_LOCK_FILE: Final = "redrive.lock"
LOCK_WAIT_S: Final = 10.0  # a burial holds it for two syncs; longer is a disk in trouble
PAUSE_S: Final = 1.0  # one person's one command: no herd to keep apart
_ENCODER: Final = msgspec.json.Encoder()


class _Line(msgspec.Struct, frozen=True):
    """A letter of either kind; the members are those of :mod:`edge.shell.dead`."""

    dead_ms: int
    reason: str
    crc32: int
    key: str = ""
    value: msgspec.Raw = msgspec.Raw()
    raw: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)


@dataclass(slots=True)
class Report:
    """What became so far of a lane's letters.

    Attributes:
        redriven: The origin has them now; removed.
        refused: It refused them again; they stay, with its reason.
        damaged: Lines that are no letter any more; they stay.
        quarantined: Frames that nobody can send; they stay.
        reason: Why the last one was refused; the origin's words, may quote the letter.
    """

    redriven: int = 0
    refused: int = 0
    damaged: int = 0
    quarantined: int = 0
    reason: str = ""

    def counts(self) -> dict[str, int]:
        """Return how many there are of each, by name."""
        return {
            "redriven": self.redriven,
            "refused": self.refused,
            "damaged": self.damaged,
            "quarantined": self.quarantined,
        }


@dataclass(slots=True)
class _Sheet:
    """One file of letters, and what became of its lines.

    Attributes:
        path: The file.
        waiting: Lines that can be sent, with the record each was.
        gone: Lines that the origin has.
        renewed: Lines refused again, and what stands in their place.
    """

    path: Path
    waiting: list[tuple[bytes, Outgoing]] = field(default_factory=list[tuple[bytes, Outgoing]])
    gone: list[bytes] = field(default_factory=list[bytes])
    renewed: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])


class Patience(Protocol):
    """How long it goes on while the origin takes nothing."""

    def renew(self) -> None:
        """Begin to wait anew: the origin answered."""
        ...

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until it is over; return whether to go on."""
        ...


class Redrive:
    """Sends the letters of one lane.

    Args:
        lane: Which.
        directory: Its ``dead``.
        origin: Where to.
        disk: Where the letters lie.
        patience: With an origin that is unavailable.
    """

    def __init__(
        self,
        lane: Lane,
        directory: Path,
        origin: Origin,
        disk: Disk,
        patience: Patience,
    ) -> None:
        self._lane = lane
        self._directory = directory
        self._origin = origin
        self._disk = disk
        self._patience = patience
        self._report = Report()

    def run(self) -> Report:
        """Send what is there now; return when what the origin has is durably removed.

        Raises:
            SpoolLocked: Another redrive of the lane runs, or a burial does not end.
            OriginUnavailable: Not all was sent; what was acknowledged is removed.
            OSError: The disk refused; letters that it kept are sent again next time.
        """
        if not letter_files(self._disk, self._directory):
            return self._report
        try:
            lock = Lock(self._directory / REDRIVE_LOCK_FILE, wait_s=0)
        except SpoolLocked as error:
            raise SpoolLocked(f"another redrive of lane {self._lane} runs") from error
        try:
            for number, size in letter_files(self._disk, self._directory).items():
                sheet = self._read(letter_path(self._directory, number), size)
                try:
                    self._send(sheet)
                finally:
                    self._settle(sheet)
        finally:
            lock.release()
        return self._report

    def _read(self, path: Path, size: int) -> _Sheet:
        sheet = _Sheet(path)
        for line in _lines(self._disk.read(path, 0, size)):
            opened = _opened(line)
            if isinstance(opened, Outgoing):
                sheet.waiting.append((line, opened))
            elif opened:
                self._report.quarantined += 1
            else:
                self._report.damaged += 1
        return sheet

    def _send(self, sheet: _Sheet) -> None:
        """Send what waits; note what became of each batch before the next goes.

        Raises:
            OriginUnavailable: Patience is over.
        """
        sent = 0
        while batch := first_batch(record for _, record in sheet.waiting[sent:]):
            refusals = self._deliver(batch)
            for place, record in enumerate(batch):
                line, _ = sheet.waiting[sent + place]
                if place in refusals:
                    self._report.reason = refusals[place]
                    sheet.renewed[line] = _renewed(line, record, refusals[place])
                else:
                    sheet.gone.append(line)
            sent += len(batch)
            self._report.redriven += len(batch) - len(refusals)
            self._report.refused += len(refusals)

    def _deliver(self, records: Sequence[Outgoing]) -> Mapping[int, str]:
        while True:
            try:
                return deliver(self._publish, records)
            except OriginUnavailable as error:
                if not self._patience.pause(PAUSE_S):
                    raise
                said = {"lane": self._lane.value, "cause": str(error)}
                log.warning("redriving goes on", extra=said)

    def _publish(self, records: Sequence[Outgoing]) -> Sequence[Refusal]:
        refusals = self._origin.publish(self._lane.topic, records)
        self._patience.renew()
        return refusals

    def _settle(self, sheet: _Sheet) -> None:
        """Take out of the file what the origin has, as the file is now."""
        if not sheet.gone and not sheet.renewed:
            return
        try:
            lock = Lock(self._directory / LOCK_FILE, wait_s=LOCK_WAIT_S)
        except SpoolLocked as error:
            raise SpoolLocked(f"a burial in lane {self._lane} does not end") from error
        try:
            if sheet.gone:
                self._count(len(sheet.gone))
            self._rewrite(sheet)
        finally:
            lock.release()

    def _count(self, letters: int) -> None:
        """Count on; without room for the figure it is short, and the letters go all the same."""
        try:
            tally = read_tally(self._disk, self._directory)
            if tally is None:
                log.warning("tally unreadable, counts anew", extra={"lane": self._lane.value})
            write_tally(self._disk, self._directory, (tally or 0) + letters)
        except OSError as error:
            said = {"lane": self._lane.value, "missing": letters, "cause": str(error)}
            log.warning("tally short", extra=said)

    def _rewrite(self, sheet: _Sheet) -> None:
        files = {
            letter_path(self._directory, number): size
            for number, size in letter_files(self._disk, self._directory).items()
        }
        if sheet.path not in files:  # somebody removed it by hand
            return
        gone = set(sheet.gone)
        there = _lines(self._disk.read(sheet.path, 0, files[sheet.path]))
        kept = [sheet.renewed.get(line, line) for line in there if line not in gone]
        if kept:
            content = b"".join(line + b"\n" for line in kept)
            publish(self._disk, sheet.path, content).close()
        else:
            self._disk.unlink(sheet.path)
            self._disk.sync_directory(self._directory)


def _lines(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if line]


def _opened(line: bytes) -> Outgoing | bool:
    """Return the record that a letter was; else whether it is a frame, and not damage."""
    try:
        letter = _DECODER.decode(line)
        if letter.raw is not None:
            return zlib.crc32(base64.b64decode(letter.raw, validate=True)) == letter.crc32
        value = bytes(letter.value)
        if zlib.crc32(value) != letter.crc32:
            return False
        return Outgoing(letter.key.encode(), unmark_dead(value))
    except (msgspec.MsgspecError, ValueError):  # of base64, UTF-8, or no dead letter
        return False


def _renewed(line: bytes, record: Outgoing, reason: str) -> bytes:
    return _ENCODER.encode(refused(record, reason, dead_ms=_DECODER.decode(line).dead_ms))
