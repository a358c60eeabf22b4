"""What lies at an origin, one record after another, read by nothing of the gateway's.

In: ``log:DIRECTORY`` by its documented format, ``kafka://host:port`` with confluent's consumer,
or ``dead:SPOOL``, the dead letters that lie in a spool; out: records in the order of each
partition. One record is held at a time.

Source: design.md §6 "log:PATH"; origin_client.log_layout and edge.shell.dead, "Record".
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple, cast

import orjson
from confluent_kafka import Consumer, TopicPartition

LANES: Final = ("player", "wallet", "bet", "game", "bonus", "telemetry")
DEAD: Final = "edge.dead.v1"
TOPICS: Final = (*(f"edge.{lane}.v1" for lane in LANES), DEAD)

TIMEOUT_S: Final = 20.0  # of one question to a broker that may be starting, and of one silence
CONSUMED_MAX: Final = 5_000  # messages taken at once: a few MB
POLL_S: Final = 0.1  # what is there at the end of a topic is waited for that long


class Record(NamedTuple):
    """One record, where it lies.

    Attributes:
        topic: Its name.
        partition: From 0.
        offset: From 0 in each partition.
        key: As published.
        value: The envelope, as published.
    """

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


def records(origin: str) -> Iterator[Record]:
    """Read every lane's topic of *origin*, and its dead letters, from the beginning.

    Raises:
        ValueError: *origin* is of no such kind, or a line is not what its format says.
        OSError: It cannot be read.
    """
    scheme, _, rest = origin.partition(":")
    match scheme:
        case "log":
            return _log(Path(rest))
        case "dead":
            return _dead(Path(rest))
        case "kafka":
            return _kafka(rest.removeprefix("//"))
        case _:
            raise ValueError(f"cannot audit {origin}")


def _log(root: Path) -> Iterator[Record]:
    for topic in TOPICS:
        for partition in sorted(path for path in root.glob(f"{topic}/*") if path.is_dir()):
            yield from _partition(topic, partition)


def _partition(topic: str, directory: Path) -> Iterator[Record]:
    """A line counts once its newline is there; a file ends where the next one's name says so."""
    files = sorted(directory.glob("*.jsonl"))
    for file, behind in zip_longest(files, files[1:]):
        end = int(behind.stem) if behind else sys.maxsize
        with file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                record = orjson.loads(line)
                if record["offset"] >= end:
                    break
                number = int(directory.name)
                yield Record(topic, number, record["offset"], record["key"], _value(line))


def _dead(spool: Path) -> Iterator[Record]:
    """A frame that could not be read has a letter, but no event."""
    for place, file in enumerate(sorted(spool.glob("*/*/dead/*.jsonl"))):
        with file.open("rb") as lines:
            for at, line in enumerate(lines):
                letter = orjson.loads(line)
                if "value" in letter:
                    yield Record(DEAD, place, at, letter["key"], _value(line))


def _value(line: bytes) -> bytes:
    """The value as it stands: the last member, up to the line's closing brace."""
    return line[line.index(b'"value":') + 8 : -2]


def _kafka(bootstrap: str) -> Iterator[Record]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "ledger", "log_level": 0}
        | {"enable.auto.commit": False, "fetch.wait.max.ms": 10}
    )
    try:
        there = consumer.list_topics(timeout=TIMEOUT_S).topics
        for topic in TOPICS:
            if topic in there:
                yield from _topic(consumer, topic, there[topic].partitions)
    finally:
        consumer.close()


def _topic(consumer: Consumer, topic: str, partitions: Iterable[int]) -> Iterator[Record]:
    """Read one topic up to what was there when it was begun.

    Raises:
        OSError: The broker fell silent.
    """
    due: dict[int, int] = {}
    starts: list[TopicPartition] = []
    for number in partitions:
        at = TopicPartition(topic, number)
        low, high = consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)
        if low < high:
            due[number] = high
            starts.append(TopicPartition(topic, number, low))
    consumer.assign(starts)
    silent_s = 0.0
    while due:
        messages = consumer.consume(CONSUMED_MAX, timeout=POLL_S)
        silent_s = 0.0 if messages else silent_s + POLL_S
        if silent_s > TIMEOUT_S:
            raise TimeoutError(f"{topic}: nothing more within {TIMEOUT_S:.0f} s")
        for message in messages:
            if message.error():
                continue  # it passes, or the silence ends the reading
            number, offset = cast("int", message.partition()), cast("int", message.offset())
            key, value = cast("bytes", message.key()), cast("bytes", message.value())
            yield Record(topic, number, offset, key.decode(), value)
            if offset + 1 >= due.get(number, 0):
                due.pop(number, None)
