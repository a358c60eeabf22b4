"""The embedded origin: a durable, partitioned log in a directory, with no server to run.

In go batches of records; when ``publish`` returns they are on stable storage, and any process
can read them (:mod:`origin_client.log_reader`). It owns the directory: one writer at a time.

Theory of operation
-------------------
Topics and partitions come to exist when something is published to them. A batch is dealt out
to its partitions, all are written, then all are synced: as many syncs as partitions touched,
about 0.25 ms each. Topics have a lock each, so one that hangs in a sync hinders no other. The
layout is described in :mod:`origin_client.log_layout`, what happens after a failure in
:mod:`origin_client.log_partition`.

The name of the lock file is looked up before each batch (2 µs). Once it leads elsewhere, the
directory was removed, moved, or taken by another writer: that batch fails, the directory is taken
anew, and every partition goes on in what is there.
"""

import contextlib
import errno
import fcntl
import os
import threading
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from origin_client import log_layout
from origin_client.log_partition import Disk, Partition, identity
from origin_client.log_reader import LogReader
from origin_client.murmur2 import partition
from origin_client.origin import (
    OriginError,
    OriginLocked,
    OriginUnavailable,
    Outgoing,
    Record,
    Refusal,
)

PARTITIONS: Final = 4  # of a new log: enough to show order per key and none across
FILE_BYTES_MAX: Final = 64 << 20  # what a reader must look through to find an offset: 0.2 s
_SYSTEM_DISK: Final = Disk()


class _Object(msgspec.Struct):
    """Any JSON object: without fields, so that its members are checked and skipped."""


# Whether bytes are one JSON object costs 0.8 µs this way, 4 µs when values are made of it.
_OBJECT: Final = msgspec.json.Decoder(_Object)


class _Topic:
    """The open partitions of one topic, and the lock that keeps its batches apart."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.partitions: dict[int, Partition] = {}
        self.taking = 0  # the taking of the directory under which the partitions were opened


class LogOrigin:
    """The writer of one log directory; all methods may be called from any thread.

    Args:
        root: The log's directory; made if absent.
        partitions: Of every topic; ``None``: what the log was made with, 4 for a new one.
        file_bytes_max: A file that has reached this is followed by a new one.
        disk: The disk.

    Raises:
        OriginLocked: Another process writes it.
        OriginError: It cannot be written, or was made with another number of partitions.
    """

    def __init__(
        self,
        root: Path,
        *,
        partitions: int | None = None,
        file_bytes_max: int = FILE_BYTES_MAX,
        disk: Disk = _SYSTEM_DISK,
    ) -> None:
        self._root = root
        self._file_bytes_max = file_bytes_max
        self._disk = disk
        self._lock_fd = _lock(root)
        try:
            self._partitions = _settle(root, partitions).partitions
            self._reader = LogReader(root)
        except BaseException:
            os.close(self._lock_fd)
            raise
        self._lock = identity(self._lock_fd)
        self._taking = 0
        self._retaking = (
            threading.Lock()
        )  # over the lock's descriptor and the number of takings
        self._guard = threading.Lock()  # over what follows
        self._topics: defaultdict[str, _Topic] = defaultdict(_Topic)
        self._ailments: dict[str, str] = {}
        self._publishing = 0
        self._is_closed = False

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when every record not refused is on stable storage, in order.

        Refused is what is not one JSON object on one line, under a key of UTF-8.

        Raises:
            OriginUnavailable: The disk failed, the directory was moved, or the origin was closed meanwhile.
            OriginError: *topic* is not a name a topic can have.
        """
        refusals: list[Refusal] = []
        batches: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for index, record in enumerate(records):
            if complaint := _complaint(record):
                refusals.append(Refusal(index, complaint))
            else:
                batches[partition(record.key, self._partitions)].append(record)
        with self._open_topic(topic) as open_topic, open_topic.lock:
            try:
                self._check_place(open_topic)
                self._write(topic, open_topic, batches)
            except OSError as error:
                self._ailments[topic] = f"{topic}: {error}"
                raise OriginUnavailable(f"{topic}: {error}") from error
            self._ailments.pop(topic, None)
        return refusals

    def health(self) -> str | None:
        """Name the last failure of a topic that has not worked since; ``None`` if all work."""
        if self._is_closed:
            return "closed"
        return next(iter(self._ailments.copy().values()), None)

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Read, as :meth:`origin_client.log_reader.LogReader.subscribe`."""
        return self._reader.subscribe(topic, position, follow=follow)

    def close(self) -> None:
        """Give up the directory; a publish under way raises ``OriginUnavailable``.

        Does not wait for it: the directory is free once its last sync has returned.
        """
        self._reader.close()
        with self._guard:
            self._is_closed = True
            self._release_if_over()

    @contextlib.contextmanager
    def _open_topic(self, topic: str) -> Generator[_Topic]:
        """Keep the descriptors open for as long as somebody publishes."""
        with self._guard:
            if self._is_closed:
                raise OriginUnavailable("closed")
            self._publishing += 1
            open_topic = self._topics[topic]
        try:
            yield open_topic
        finally:
            with self._guard:
                self._publishing -= 1
                self._release_if_over()

    def _check_place(self, open_topic: _Topic) -> None:
        """See that the directory is the one that was locked.

        Raises:
            OSError: It is not; it is taken now if it can be, so that the next try may work.
        """
        lock_path = self._root / log_layout.LOCK_FILE
        if identity(lock_path) != self._lock:
            with self._retaking:
                if identity(lock_path) != self._lock:
                    self._retake()
            raise FileNotFoundError(
                errno.ENOENT, "the log was removed or moved", str(self._root)
            )
        if open_topic.taking != self._taking:
            for each in open_topic.partitions.values():
                each.leave()
            open_topic.taking = self._taking

    def _retake(self) -> None:
        try:
            lock_fd = _lock(self._root)
            try:
                _settle(self._root, self._partitions)
            except BaseException:
                os.close(lock_fd)
                raise
        except OriginError as error:  # which would tell the caller that the topic is at fault
            raise OSError(str(error)) from error
        os.close(self._lock_fd)
        self._taking += 1
        self._lock_fd, self._lock = lock_fd, identity(lock_fd)

    def _write(
        self, topic: str, open_topic: _Topic, batches: Mapping[int, Sequence[Outgoing]]
    ) -> None:
        """Write and sync *batches*, by partition: all of it, or what failed is taken back."""
        touched: list[Partition] = []
        try:
            for number, batch in batches.items():
                self._check_open()
                touched.append(self._partition(topic, open_topic, number))
                touched[-1].write(batch)
            for each in touched:
                self._check_open()
                each.sync()
            self._check_open()
        finally:
            for each in touched:
                each.retract()

    def _partition(self, topic: str, open_topic: _Topic, number: int) -> Partition:
        if number not in open_topic.partitions:
            open_topic.partitions[number] = Partition(
                log_layout.partition_path(self._root, topic, number),
                file_bytes_max=self._file_bytes_max,
                disk=self._disk,
            )
        return open_topic.partitions[number]

    def _check_open(self) -> None:
        if self._is_closed:
            raise OriginUnavailable("closed while publishing")

    def _release_if_over(self) -> None:
        """Once closed, close every descriptor; the last publish does it, on its way out."""
        if not self._is_closed or self._publishing or self._lock_fd < 0:
            return
        for open_topic in self._topics.values():
            for each in open_topic.partitions.values():
                each.close()
        os.close(self._lock_fd)
        self._lock_fd = -1


def _complaint(record: Outgoing) -> str | None:
    """Say why *record* can never be a line of the log."""
    if b"\n" in record.value:
        return "the value is not on one line"
    try:
        record.key.decode()
        record.value.decode()
        _OBJECT.decode(record.value)
    except UnicodeDecodeError:
        return "key or value is not UTF-8"
    except (msgspec.DecodeError, RecursionError):
        return "the value is not one JSON object"
    return None


def _lock(root: Path) -> int:
    """Make *root* if absent and become its writer, until the descriptor is closed."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        log_layout.sync_directory(root.parent)
        fd = os.open(root / log_layout.LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        raise OriginError(f"cannot write a log at {root}: {error}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise OriginLocked(
            f"another process writes the log at {root}: stop it first"
        ) from error
    except OSError as error:
        os.close(fd)
        raise OriginError(f"cannot lock the log at {root}: {error}") from error
    return fd


def _settle(root: Path, partitions: int | None) -> log_layout.Settings:
    """Return the log's settings, made now if it is new."""
    settings = log_layout.read_settings(root)
    if settings is None:
        settings = log_layout.Settings(log_layout.FORMAT, partitions or PARTITIONS)
        try:
            log_layout.write_settings(root, settings)
        except OSError as error:
            raise OriginError(f"cannot write a log at {root}: {error}") from error
    if partitions not in (None, settings.partitions):
        raise OriginError(
            f"the log at {root} has {settings.partitions} partitions, not {partitions}: "
            "its keys would change place; leave the option out, or begin a new log"
        )
    return settings
