"""The embedded origin: a durable, partitioned log in a directory, with no server to run.

In go batches of records; when ``publish`` returns they are on stable storage, and any process
can read them (:mod:`origin_client.log_reader`). Any number of processes may publish.

Theory of operation
-------------------
Topics and partitions come to exist when something is published to them. A batch is dealt out
to its partitions, all are written, then all are synced: as many syncs as partitions touched,
about 0.25 ms each. Topics have a lock each, so one that hangs in a sync hinders no other; for
as long as a batch takes it keeps out threads and processes alike
(:mod:`origin_client.log_turn`), and offsets go on behind whatever others appended. The layout
is described in :mod:`origin_client.log_layout`, what happens after a failure in
:mod:`origin_client.log_partition`.

The name of the topic's lock file is looked up for each batch (2 µs). Once it leads elsewhere,
the directory was removed or moved: that batch fails, and the next goes on in what is there.
"""

import contextlib
import fcntl
import os
import threading
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from origin_client import log_layout
from origin_client.ailments import Ailments
from origin_client.json_object import is_json_object
from origin_client.log_partition import Disk, Partition
from origin_client.log_reader import LogReader
from origin_client.log_turn import Turn
from origin_client.murmur2 import partition
from origin_client.origin import (
    OriginError,
    OriginUnavailable,
    Outgoing,
    Record,
    Refusal,
)

PARTITIONS: Final = 4  # of a new log: enough to show order per key and none across
FILE_BYTES_MAX: Final = 64 << 20  # what a reader must look through to find an offset: 0.2 s
_NAME_BYTES: Final = 16  # random: no two writers have one name
_SYSTEM_DISK: Final = Disk()


class _Topic:
    """The open partitions of one topic, and what keeps its batches apart.

    Attributes:
        lock: Among our threads.
        turn: Among processes.
        partitions: By number.
    """

    def __init__(self, turn: Turn) -> None:
        self.lock = threading.Lock()
        self.turn = turn
        self.partitions: dict[int, Partition] = {}


class LogOrigin:
    """A writer of one log directory; all methods may be called from any thread.

    Args:
        root: The log's directory; made if absent.
        partitions: Of every topic; ``None``: what the log was made with, 4 for a new one.
        file_bytes_max: A file that has reached this is followed by a new one.
        disk: The disk.

    Raises:
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
        self._partitions = _settle(root, partitions).partitions
        self._reader = LogReader(root)
        self._name = os.urandom(_NAME_BYTES)
        self._closed = threading.Event()
        self._guard = threading.Lock()  # over what follows
        self._topics: dict[str, _Topic] = {}
        self._ailments = Ailments()
        self._publishing = 0

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when every record not refused is on stable storage, in order.

        Refused is what is not one JSON object on one line, under a key of UTF-8.

        Raises:
            OriginUnavailable: The disk failed, the directory was moved, or the origin was
                closed meanwhile.
            OriginError: *topic* is not a name a topic can have.
        """
        refusals: list[Refusal] = []
        if not _are_fine(records):
            refusals = _refusals(records)
            refused = {refusal.index for refusal in refusals}
            records = [each for at, each in enumerate(records) if at not in refused]
        batches: defaultdict[int, list[Outgoing]] = defaultdict(list)
        for record in records:
            batches[partition(record.key, self._partitions)].append(record)
        with self._open_topic(topic) as open_topic, open_topic.lock:
            try:
                with self._turn(open_topic):
                    self._write(topic, open_topic, batches)
            except OSError as error:
                cause = f"{topic}: {error}"
                self._ailments.put(topic, cause)
                raise OriginUnavailable(cause) from error
            self._ailments.clear(topic)
        return refusals

    def health(self, topic: str | None = None) -> str | None:
        """Name the last failure of *topic*, or of any, that has not worked since."""
        return "closed" if self._closed.is_set() else self._ailments.of(topic)

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Read, as :meth:`origin_client.log_reader.LogReader.subscribe`."""
        return self._reader.subscribe(topic, position, follow=follow)

    def end(self, topic: str) -> dict[int, int]:
        """Tell where *topic* ends, as :meth:`origin_client.log_reader.LogReader.end`."""
        return self._reader.end(topic)

    def close(self) -> None:
        """Give up the directory; a publish under way raises ``OriginUnavailable``.

        Does not wait for it: its topic is free once its last sync has returned.
        """
        self._reader.close()
        with self._guard:
            self._closed.set()
            self._release_if_over()

    @contextlib.contextmanager
    def _open_topic(self, topic: str) -> Generator[_Topic]:
        """Keep the descriptors open for as long as somebody publishes."""
        with self._guard:
            if self._closed.is_set():
                raise OriginUnavailable("closed")
            open_topic = self._topics.get(topic)
            if open_topic is None:
                directory = log_layout.topic_path(self._root, topic)
                open_topic = self._topics[topic] = _Topic(Turn(directory, self._name))
            self._publishing += 1
        try:
            yield open_topic
        finally:
            with self._guard:
                self._publishing -= 1
                self._release_if_over()

    @contextlib.contextmanager
    def _turn(self, open_topic: _Topic) -> Generator[None]:
        """Keep every other process out of the topic.

        Raises:
            OriginUnavailable: Closed while waiting for another process.
            OSError: The log cannot be written, or is not there any more. What there is now
                was made a log, if it can be, so that the next try may work.
        """
        turn = open_topic.turn
        try:
            if not turn.is_open:
                self._settle_again()
            is_as_left = turn.take(self._closed)
        except FileNotFoundError:
            self._settle_again()
            raise
        try:
            if not is_as_left:
                for each in open_topic.partitions.values():
                    each.leave()
            yield
        finally:
            turn.give_up()

    def _settle_again(self) -> None:
        try:
            _settle(self._root, self._partitions)
        except OriginError as error:  # which would tell the caller that the topic is at fault
            raise OSError(str(error)) from error

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
        if self._closed.is_set():
            raise OriginUnavailable("closed while publishing")

    def _release_if_over(self) -> None:
        """Once closed, close every descriptor; the last publish does it, on its way out."""
        if not self._closed.is_set() or self._publishing:
            return
        for open_topic in self._topics.values():
            for each in open_topic.partitions.values():
                each.close()
            open_topic.turn.close()


def _are_fine(records: Sequence[Outgoing]) -> bool:
    """Whether all can be lines of the log: 0.5 µs each, instead of 0.8 one by one."""
    values = [record.value for record in records]
    lines = b"\n".join(values)
    if lines.count(b"\n") >= len(values):
        return False
    try:
        lines.decode()
        for record in records:
            record.key.decode()
    except UnicodeDecodeError:
        return False
    return all(map(is_json_object, values))


def _refusals(records: Sequence[Outgoing]) -> list[Refusal]:
    complaints = map(_complaint, records)
    return [
        Refusal(index, why, is_final=True)
        for index, why in enumerate(complaints)
        if why is not None
    ]


def _complaint(record: Outgoing) -> str | None:
    """Say why *record* can never be a line of the log."""
    if b"\n" in record.value:
        return "the value is not on one line"
    try:
        record.key.decode()
        record.value.decode()
    except UnicodeDecodeError:
        return "key or value is not UTF-8"
    return None if is_json_object(record.value) else "the value is not one JSON object"


def _settle(root: Path, partitions: int | None) -> log_layout.Settings:
    """Return the log's settings, made now if it is new; by one process, if several come.

    Raises:
        OriginError: It cannot be written, or has another number of partitions.
    """
    settings = log_layout.read_settings(root)
    if settings is None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            log_layout.sync_directory(root.parent)
            with (root / log_layout.LOCK_FILE).open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                settings = log_layout.read_settings(root)
                if settings is None:
                    settings = log_layout.Settings(log_layout.FORMAT, partitions or PARTITIONS)
                    log_layout.write_settings(root, settings)
        except OSError as error:
            raise OriginError(f"cannot write a log at {root}: {error}") from error
    if partitions not in (None, settings.partitions):
        raise OriginError(
            f"the log at {root} has {settings.partitions} partitions, not {partitions}: "
            "its keys would change place; leave the option out, or begin a new log"
        )
    return settings
