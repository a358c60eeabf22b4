"""A look into a spool while it is in use, or after: ``edge spool ls|cat|stats|verify``.

Reads only, takes no lock. What the owner changes meanwhile may be missed, or seen half: the
torn end of the segment being written is no fault.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from edge.config import ConfigError
from edge.core.frame import HEADER_BYTES, Frame, Header, UnknownVersion, row_of
from edge.core.lane import Lane
from edge.shell.dead import DEAD_DIRECTORY, letter_files, letter_path
from edge.shell.spool.claim import read_identity, unknown_format
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.key_index import doubt, survey
from edge.shell.spool.recovery import Outline, missing, outline
from edge.shell.spool.segment import LaneFiles
from edge.shell.spool.shelf import Shelf
from origin_client.envelope import number


class SegmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One segment, for ``ls``.

    Attributes:
        worker: Whose directory.
        lane: Which lane.
        segment: Its number.
        edgespool: UUID of the run; ``""`` when its header is lost.
        state: ``forwarded`` (retained for recall), ``partial``, or ``waiting``.
        records: Frames, damaged ones included.
        size_bytes: Up to its valid end.
        oldest_ms: ``accepted_ms`` of its first record, unix ms.
        newest_ms: Of its last one.
    """

    worker: str
    lane: Lane
    segment: int
    edgespool: str
    state: Literal["forwarded", "partial", "waiting"]
    records: int
    size_bytes: int
    oldest_ms: int | None
    newest_ms: int | None


class RecordRow(msgspec.Struct, frozen=True, kw_only=True):
    """One record, for ``cat``.

    Attributes:
        worker: Whose directory.
        lane: Which lane.
        segment: Where it stands,
        offset: and where there.
        is_forwarded: The origin has acknowledged it.
        accepted_ms: Unix ms.
        key: The origin's record key.
        value: The whole envelope.
    """

    worker: str
    lane: Lane
    segment: int
    offset: int
    is_forwarded: bool
    accepted_ms: int
    key: str
    value: msgspec.Raw


class LaneRow(msgspec.Struct, frozen=True, kw_only=True):
    """One lane, for ``stats``.

    Attributes:
        worker: Whose directory.
        lane: Which lane.
        segments: Files.
        records_waiting: Not yet acknowledged.
        bytes_waiting: Of their frames.
        bytes_retained: Acknowledged, kept for recall.
        oldest_ms: ``accepted_ms`` of the oldest record on disk, unix ms.
        dead_letters: Refused records and quarantined frames that lie in ``dead/``.
        dead_bytes: Of their files.
    """

    worker: str
    lane: Lane
    segments: int
    records_waiting: int
    bytes_waiting: int
    bytes_retained: int
    oldest_ms: int | None
    dead_letters: int
    dead_bytes: int


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, for ``verify``; recovery or the forwarder deals with each.

    Attributes:
        worker: Whose directory.
        lane: Which lane; ``None`` for what they share.
        segment: Number of the segment, 0 for the cursor.
        offset: Where it begins.
        length: Bytes.
        complaint: What it is.
    """

    worker: str
    lane: Lane | None
    segment: int
    offset: int
    length: int
    complaint: str


Row: TypeAlias = SegmentRow | RecordRow | LaneRow | Fault
Command: TypeAlias = Literal["ls", "cat", "stats", "verify"]


def inspect(command: Command, root: Path) -> Iterator[Row]:
    """Read what *command* asks for from every lane of every worker.

    Args:
        command: ``ls``, ``cat``, ``stats`` or ``verify``.
        root: ``spool.path``.

    Raises:
        ConfigError: There is no spool, or another version of the gateway wrote it.
        OSError: A directory, or a file in it, cannot be read now.
    """
    disk = OsDisk()
    for worker in _workers(root):
        if command == "verify" and read_identity(disk, worker / "id") is None:
            yield _fault(worker.name, None, "id lost: nothing accepted before is known again")
        for lane in _lanes(worker):
            try:
                yield from _READERS[command](
                    _Desk(worker.name, lane, LaneFiles(disk, worker / lane))
                )
            except UnknownVersion as error:
                complaint = unknown_format(worker / lane, error.version)
                raise ConfigError("spool.path", complaint) from error


def lane_directories(root: Path) -> list[tuple[Lane, Path]]:
    """Name the directories of every lane of every worker.

    Args:
        root: ``spool.path``.

    Raises:
        ConfigError: There is no spool.
        OSError: A directory cannot be read now.
    """
    return [(lane, worker / lane) for worker in _workers(root) for lane in _lanes(worker)]


def _workers(root: Path) -> list[Path]:
    workers = sorted(path for path in root.glob("*") if _lanes(path))
    if not workers:
        raise ConfigError("spool.path", f"there is no spool in {root}")
    return workers


def _lanes(worker: Path) -> list[Lane]:
    return [lane for lane in Lane if (worker / lane).is_dir()]


class _Desk:
    """One lane laid open."""

    def __init__(self, worker: str, lane: Lane, files: LaneFiles) -> None:
        self.worker: Final = worker
        self.lane: Final = lane
        self.files: Final = files
        self.seen: Final[Outline] = outline(files)
        self.dead: Final = files.directory / DEAD_DIRECTORY

    def end(self, segment: int) -> int:
        """Tell where the segment's bytes end."""
        return self.seen.ends[segment]


def _segments(desk: _Desk) -> Iterator[SegmentRow]:
    cursor = desk.seen.cursor
    for header in desk.seen.headers:
        segment = survey(desk.files, header, desk.end(header.number))
        state: Literal["forwarded", "partial", "waiting"] = "partial"
        if Position(segment.number, segment.end) <= cursor:
            state = "forwarded"
        elif Position(segment.number) >= cursor:
            state = "waiting"
        yield SegmentRow(
            worker=desk.worker,
            lane=desk.lane,
            segment=segment.number,
            edgespool=header.edgespool,
            state=state,
            records=segment.records,
            size_bytes=segment.end,
            oldest_ms=segment.oldest_ms,
            newest_ms=segment.newest_ms,
        )


def _records(desk: _Desk) -> Iterator[RecordRow]:
    for header in desk.seen.headers:
        for offset, found in desk.files.scan(header, HEADER_BYTES, desk.end(header.number)):
            if not isinstance(found, Frame):
                continue
            record = found.record
            yield RecordRow(
                worker=desk.worker,
                lane=desk.lane,
                segment=header.number,
                offset=offset,
                is_forwarded=Position(header.number, offset) < desk.seen.cursor,
                accepted_ms=record.accepted_ms,
                key=record.key.decode(errors="replace"),
                value=msgspec.Raw(number(record.envelope, header.edgespool, found.edgeseq)),
            )


def _figures(desk: _Desk) -> Iterator[LaneRow]:
    segments = [survey(desk.files, h, desk.end(h.number)) for h in desk.seen.headers]
    holdings = Shelf(segments, desk.seen.cursor, None).holdings()
    letters = list(_letters(desk))
    yield LaneRow(
        worker=desk.worker,
        lane=desk.lane,
        segments=len(segments),
        records_waiting=holdings.records_waiting,
        bytes_waiting=holdings.bytes_waiting,
        bytes_retained=holdings.bytes_retained,
        oldest_ms=holdings.oldest_ms,
        dead_letters=sum(count for count, _ in letters),
        dead_bytes=sum(size for _, size in letters),
    )


def _letters(desk: _Desk) -> Iterator[tuple[int, int]]:
    """Yield how many letters each file of ``dead/`` holds, and its bytes."""
    disk = OsDisk()
    for file, size in letter_files(disk, desk.dead).items():
        with contextlib.suppress(FileNotFoundError):  # a redrive has just emptied it
            yield disk.read(letter_path(desk.dead, file), 0, size).count(b"\n"), size


def _faults(desk: _Desk) -> Iterator[Fault]:
    seen, worker, lane = desk.seen, desk.worker, desk.lane
    if seen.found != seen.cursor and (seen.found or (desk.files.directory / "cursor").exists()):
        yield _fault(worker, lane, "cursor damaged or ahead: everything is sent again")
    for segment, end in missing(desk.files, seen).items():
        complaint = "segment missing, and not all of it was forwarded"
        yield _fault(worker, lane, complaint, segment=segment, length=end)
    for header in seen.headers:
        yield from _segment_faults(desk, header, is_last=header is seen.headers[-1])


def _segment_faults(desk: _Desk, header: Header, *, is_last: bool) -> Iterator[Fault]:
    worker, lane, segment, end = desk.worker, desk.lane, header.number, desk.end(header.number)
    if not header.edgespool:
        yield _fault(worker, lane, "header lost", segment=segment, length=HEADER_BYTES)
    rows: list[bytes] = []
    gaps = 0
    for offset, found in desk.files.scan(header, HEADER_BYTES, end):
        if isinstance(found, Frame):
            rows.append(row_of(found.record.footprint, found.record.accepted_ms))
        elif not is_last or offset + found.length < end:
            gaps += 1
            place = {"segment": segment, "offset": offset, "length": found.length}
            yield _fault(worker, lane, "no valid frame", **place)
    if header.edgespool and not is_last:
        complaint = doubt(desk.files, header, end, None if gaps else rows)
        if complaint:
            yield _fault(worker, lane, complaint, segment=segment)


def _fault(worker: str, lane: Lane | None, complaint: str, **place: int) -> Fault:
    place = {"segment": 0, "offset": 0, "length": 0} | place
    return Fault(worker=worker, lane=lane, complaint=complaint, **place)


_READERS: Final[dict[Command, Callable[[_Desk], Iterator[Row]]]] = {
    "ls": _segments,
    "cat": _records,
    "stats": _figures,
    "verify": _faults,
}


def lines(rows: Iterator[Row], *, is_json: bool) -> Iterator[str]:
    """Write rows as JSON lines, or as columns under their names.

    Columns are as wide as a terminal needs for the usual values; nothing is buffered.
    """
    first = next(rows, None)
    if first is None:
        return
    if not is_json:
        yield "  ".join(first.__struct_fields__)
    for row in chain([first], rows):
        if is_json:
            yield msgspec.json.encode(row).decode()
        else:
            yield "  ".join(_cell(getattr(row, name)) for name in row.__struct_fields__)


def _cell(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode(errors="replace")
    return "-" if value is None or value == "" else str(value)
