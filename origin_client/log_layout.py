"""How the embedded log lies on disk: its names, its one settings file, its lines.

Design constraints
------------------
* Any tool can read it: text files of one JSON object per line, named so that they sort.
* Readers take no lock. What they may trust: a line counts once its newline is there; a file
  ends where the next one's name says so, whatever stands behind that; a file's name without
  a directory entry (unlinked) is void.
* One writer at a time. It appends, and rewrites nothing: after a failed write or sync it cuts
  what it cannot vouch for and goes on in a new file.

Record
------
``PATH/<topic>/<partition>/<first offset:020d>.jsonl``, each line
``{"offset":7,"key":"p-1","headers":{"content-type":"…"},"value":{…}}``, where ``value`` is
the CloudEvent exactly as published. Offsets count from 0 in each partition, without a gap.
``PATH/.log.json`` holds the format and the number of partitions; ``PATH/.lock`` is held (flock)
while that is written, ``PATH/<topic>/.lock`` while something is appended to the topic. Its 16
bytes name the last who did. A topic's name never begins with a dot.
"""

import os
import re
from pathlib import Path
from typing import Final

import msgspec

from origin_client.origin import OriginError

FORMAT: Final = 1
CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
HEADERS: Final = {"content-type": CONTENT_TYPE}  # Source: CloudEvents Kafka binding 1.0.2 §3.3
SETTINGS_FILE: Final = ".log.json"
LOCK_FILE: Final = ".lock"
# Kafka's alphabet and length, less a leading dot: such names are ours, and ``.`` and ``..``.
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}\Z")
_FILE: Final = re.compile(r"(\d{20})\.jsonl\Z")


class Settings(msgspec.Struct, frozen=True):
    """What may never change in a log's life, or keys would change their partition.

    Attributes:
        format: Of the layout above.
        partitions: Of every topic, at least 1.
    """

    format: int
    partitions: int


class Line(msgspec.Struct, frozen=True):
    """One line. Fields as in :class:`origin_client.origin.Record`."""

    offset: int
    key: str
    headers: dict[str, str]
    value: msgspec.Raw


_LINE: Final = msgspec.json.Decoder(Line)
_SETTINGS: Final = msgspec.json.Decoder(Settings)


def parse_line(line: bytes) -> Line | None:
    """Read one terminated line; ``None`` when a crash or a broken disk made it unreadable."""
    try:
        return _LINE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def topic_path(root: Path, topic: str) -> Path:
    """Return the directory of one topic.

    Raises:
        OriginError: *topic* is not a name a topic can have.
    """
    if not _TOPIC.match(topic):
        raise OriginError(f"{topic!r} cannot be a topic's name")
    return root / topic


def partition_path(root: Path, topic: str, partition: int) -> Path:
    """Return the directory of one partition.

    Raises:
        OriginError: *topic* is not a name a topic can have.
    """
    return topic_path(root, topic) / str(partition)


def file_path(directory: Path, first: int) -> Path:
    """Return the file of *directory* that begins with offset *first*."""
    return directory / f"{first:020d}.jsonl"


def first_offsets(directory: Path) -> list[int]:
    """Return the first offsets of the files in *directory*, ascending; it may not exist."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(match[1]) for match in map(_FILE.match, names) if match)


def read_settings(root: Path) -> Settings | None:
    """Return what the log was made with, or ``None`` when there is no log.

    Raises:
        OriginError: There is something, but not a log that this version reads.
    """
    path = root / SETTINGS_FILE
    try:
        settings = _SETTINGS.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OriginError(f"{path} is unreadable: {error}") from error
    if settings.format != FORMAT or settings.partitions < 1:
        raise OriginError(f"{path}: this version reads format {FORMAT} only: {settings}")
    return settings


def write_settings(root: Path, settings: Settings) -> None:
    """Make *settings* durable, whole or not at all.

    Raises:
        OSError: The disk refused.
    """
    draft = root / (SETTINGS_FILE + ".new")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(settings))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(root / SETTINGS_FILE)
    sync_directory(root)


def sync_directory(path: Path) -> None:
    """Make the names in *path* durable.

    Raises:
        OSError: The disk refused.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
