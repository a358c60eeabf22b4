"""``origin_client.log``: its writers, what they refuse, what they say while the disk fails."""

import errno
import fcntl
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from origin_client.log import LogOrigin
from origin_client.log_layout import Settings, read_settings
from origin_client.murmur2 import partition
from origin_client.origin import (
    OriginError,
    OriginUnavailable,
    Outgoing,
    Refusal,
)
from tests.fakes_log import FailingDisk

TOPIC, OTHER = "edge.bet.v1", "edge.wallet.v1"


def records(count: int) -> list[Outgoing]:
    return [Outgoing(b"player-%04d" % number, b'{"n":%d}' % number) for number in range(count)]


def read(origin: LogOrigin, topic: str = TOPIC) -> list[bytes]:
    return sorted(record.value for record in origin.subscribe(topic, {}))


def values(*batches: list[Outgoing]) -> list[bytes]:
    return sorted(record.value for batch in batches for record in batch)


def test_a_key_lies_where_kafka_would_put_it(tmp_path: Path) -> None:
    origin = LogOrigin(tmp_path, partitions=7)
    origin.publish(TOPIC, records(50))

    for record in origin.subscribe(TOPIC, {}):
        assert record.partition == partition(record.key.encode(), 7)


def test_a_writer_tells_where_a_topic_ends(tmp_path: Path) -> None:
    origin = LogOrigin(tmp_path, partitions=1)
    origin.publish(TOPIC, records(3))

    assert (origin.end(TOPIC), origin.end(OTHER)) == ({0: 3}, {0: 0})


def test_two_writers_append_in_turn_and_leave_no_gap(tmp_path: Path) -> None:
    first, second = LogOrigin(tmp_path, partitions=1), LogOrigin(tmp_path)
    for number in range(4):
        (first, second)[number % 2].publish(TOPIC, records(3))

    assert [record.offset for record in first.subscribe(TOPIC, {})] == list(range(12))


def test_a_writer_follows_the_other_into_its_next_file(tmp_path: Path) -> None:
    first = LogOrigin(tmp_path, partitions=1)
    second = LogOrigin(tmp_path, file_bytes_max=1)
    for origin in (first, second, second, first, second):
        origin.publish(TOPIC, records(1))

    files = sorted(int(path.stem) for path in tmp_path.rglob("*.jsonl"))
    assert [record.offset for record in first.subscribe(TOPIC, {})] == list(range(5))
    assert files == [0, 1, 2, 4]


def test_a_file_that_failed_one_writer_is_left_by_it_even_if_the_other_went_on_there(
    tmp_path: Path,
) -> None:
    faults = FailingDisk()
    failing, other = LogOrigin(tmp_path, partitions=1, disk=faults.disk()), LogOrigin(tmp_path)
    failing.publish(TOPIC, records(1))
    faults.broken_syncs = 1
    with pytest.raises(OriginUnavailable):
        failing.publish(TOPIC, records(1))

    other.publish(TOPIC, records(2))
    failing.publish(TOPIC, records(1))
    other.publish(TOPIC, records(1))

    files = sorted(int(path.stem) for path in tmp_path.rglob("*.jsonl"))
    assert [record.offset for record in other.subscribe(TOPIC, {})] == list(range(5))
    assert files == [0, 3]


def test_a_disk_that_knows_no_locks_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    LogOrigin(tmp_path / "old").close()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OriginError, match="No locks available"):
        LogOrigin(tmp_path / "new")
    with pytest.raises(OriginUnavailable, match="No locks available"):
        LogOrigin(tmp_path / "old").publish(TOPIC, records(1))


def test_a_log_keeps_its_number_of_partitions(tmp_path: Path) -> None:
    LogOrigin(tmp_path, partitions=3).close()

    with pytest.raises(OriginError, match="has 3 partitions, not 4"):
        LogOrigin(tmp_path, partitions=4)
    LogOrigin(tmp_path).close()

    assert read_settings(tmp_path) == Settings(1, 3)


def test_a_path_that_cannot_be_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OriginError, match="cannot write"):
        LogOrigin(tmp_path / "file" / "log")


def test_a_log_that_cannot_be_described_is_not_begun(tmp_path: Path) -> None:
    (tmp_path / ".log.json.new").mkdir()

    with pytest.raises(OriginError, match="cannot write"):
        LogOrigin(tmp_path)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Outgoing(b"k", b'{\n"n":1}'), "the value is not on one line"),
        (Outgoing(b"\xff", b"{}"), "key or value is not UTF-8"),
        (Outgoing(b"k", b'{"n":"\xff"}'), "key or value is not UTF-8"),
        (Outgoing(b"k", b""), "the value is not one JSON object"),
        (Outgoing(b"k", b"[]"), "the value is not one JSON object"),
        (Outgoing(b"k", b'{"n":1'), "the value is not one JSON object"),
        (Outgoing(b"k", b'{"n":nul}'), "the value is not one JSON object"),
        (Outgoing(b"k", b'{"n":01}'), "the value is not one JSON object"),
        (Outgoing(b"k", b'{"n":[1,]}'), "the value is not one JSON object"),
        (Outgoing(b"k", b"{} {}"), "the value is not one JSON object"),
        (Outgoing(b"k", b'{"n":' + b"[" * 100_000), "the value is not one JSON object"),
    ],
    ids=[
        "lines",
        "key",
        "value",
        "empty",
        "array",
        "torn",
        "word",
        "number",
        "comma",
        "two",
        "deep",
    ],
)
def test_what_can_be_no_line_is_refused(tmp_path: Path, record: Outgoing, reason: str) -> None:
    origin = LogOrigin(tmp_path)

    assert origin.publish(TOPIC, [*records(2), record]) == [Refusal(2, reason, is_final=True)]
    assert read(origin) == values(records(2))


@given(key=st.binary(max_size=8), value=st.binary(max_size=32) | st.just(b'{"n":1}'))
def test_any_record_is_kept_as_it_is_or_refused(
    tmp_path_factory: pytest.TempPathFactory, key: bytes, value: bytes
) -> None:
    origin = LogOrigin(tmp_path_factory.mktemp("log"), partitions=1)

    refused = origin.publish(TOPIC, [Outgoing(key, value)])

    kept = [(record.key.encode(), record.value) for record in origin.subscribe(TOPIC, {})]
    assert kept == ([] if refused else [(key, value)])
    origin.close()


def test_a_topic_is_no_path(tmp_path: Path) -> None:
    origin = LogOrigin(tmp_path / "log")

    with pytest.raises(OriginError, match="name"):
        origin.publish("../elsewhere", records(1))

    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize(
    ("faults", "cause"),
    [
        (FailingDisk(full=100), "edge.bet.v1: [Errno 28] No space left on device"),
        (FailingDisk(broken_syncs=1), "edge.bet.v1: [Errno 5] Input/output error"),
    ],
    ids=["full", "broken"],
)
def test_a_failing_disk_is_an_outage_with_a_cause_until_it_works_again(
    tmp_path: Path, faults: FailingDisk, cause: str
) -> None:
    origin = LogOrigin(tmp_path, disk=faults.disk())

    with pytest.raises(OriginUnavailable):
        origin.publish(TOPIC, records(20))
    ill = origin.health()
    faults.full = None
    origin.publish(OTHER, records(1))
    still_ill = origin.health()
    by_topic = (origin.health(TOPIC), origin.health(OTHER))
    origin.publish(TOPIC, records(20))

    assert (ill, still_ill, origin.health()) == (cause, cause, None)
    assert by_topic == (cause, None)
    assert set(read(origin)) == set(values(records(20)))
    for number in range(4):
        offsets = [r.offset for r in origin.subscribe(TOPIC, {}) if r.partition == number]
        assert offsets == list(range(len(offsets)))


def test_a_batch_is_synced_in_every_file_it_touches(tmp_path: Path) -> None:
    faults = FailingDisk()
    origin = LogOrigin(tmp_path, disk=faults.disk())

    origin.publish(TOPIC, records(20))

    assert sorted(faults.synced) == sorted(
        path.stat().st_ino for path in tmp_path.rglob("*.jsonl")
    )
    assert len(faults.synced) == 4


def test_closing_while_a_sync_hangs_does_not_wait_and_unblocks_it(tmp_path: Path) -> None:
    faults = FailingDisk(hanging_syncs=1)
    origin = LogOrigin(tmp_path, disk=faults.disk())
    outcome: list[BaseException] = []

    def publish() -> None:
        try:
            origin.publish(TOPIC, records(1))
        except OriginUnavailable as error:
            outcome.append(error)

    publisher = threading.Thread(target=publish, daemon=True)
    publisher.start()
    faults.hanging.wait()

    origin.close()

    assert not outcome
    faults.gate.set()
    publisher.join()
    assert len(outcome) == 1
    assert LogOrigin(tmp_path).publish(TOPIC, records(1)) == []


def test_closing_ends_the_wait_for_another_writer(tmp_path: Path) -> None:
    faults = FailingDisk(hanging_syncs=1)
    hanging, waiting = LogOrigin(tmp_path, disk=faults.disk()), LogOrigin(tmp_path)
    publisher = threading.Thread(target=hanging.publish, args=(TOPIC, records(1)), daemon=True)
    publisher.start()
    faults.hanging.wait()
    closer = threading.Timer(0.05, waiting.close)
    closer.start()

    with pytest.raises(OriginUnavailable, match="while another process was writing"):
        waiting.publish(TOPIC, records(1))

    closer.join()
    faults.gate.set()
    publisher.join()


def test_a_topic_whose_sync_hangs_hinders_no_other(tmp_path: Path) -> None:
    faults = FailingDisk(hanging_syncs=1)
    origin = LogOrigin(tmp_path, disk=faults.disk())
    publisher = threading.Thread(target=origin.publish, args=(TOPIC, records(1)), daemon=True)
    publisher.start()
    faults.hanging.wait()

    origin.publish(OTHER, records(20))

    assert publisher.is_alive()
    assert read(origin, OTHER) == values(records(20))
    faults.gate.set()
    publisher.join()


def test_closing_gives_every_descriptor_back(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  # numbers, not paths
    origin = LogOrigin(tmp_path)
    origin.publish(TOPIC, records(50))
    list(origin.subscribe(TOPIC, {}))

    origin.close()

    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208  # as above


def published_until_it_heals(origin: LogOrigin, batch: list[Outgoing]) -> int:
    """Publish until it is acknowledged, as the forwarder does; return how often it was not."""
    for failures in range(3):
        try:
            origin.publish(TOPIC, batch)
        except OriginUnavailable:
            assert origin.health() is not None
        else:
            return failures
    raise AssertionError


def a_file(root: Path) -> Path:
    return next(iter(sorted(root.rglob("*.jsonl"))))


def remove_root(root: Path) -> None:
    shutil.rmtree(root)


def rename_root(root: Path) -> None:
    root.rename(root.with_suffix(".old"))


def empty_root(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def remove_topic(root: Path) -> None:
    shutil.rmtree(root / TOPIC)


def remove_partition(root: Path) -> None:
    shutil.rmtree(a_file(root).parent)


def remove_file(root: Path) -> None:
    a_file(root).unlink()


def rename_file(root: Path) -> None:
    a_file(root).rename(root / "taken.away")


def replace_file(root: Path) -> None:
    content, path = a_file(root).read_bytes(), a_file(root)
    path.unlink()
    path.write_bytes(content)


def remove_lock(root: Path) -> None:
    (root / TOPIC / ".lock").unlink()


@pytest.mark.parametrize(
    "hurt",
    [
        remove_root,
        rename_root,
        empty_root,
        remove_topic,
        remove_partition,
        remove_file,
        rename_file,
        replace_file,
        remove_lock,
    ],
)
def test_nothing_is_acknowledged_into_a_file_that_lost_its_name(
    tmp_path: Path, hurt: Callable[[Path], None]
) -> None:
    origin = LogOrigin(tmp_path / "log")
    origin.publish(TOPIC, records(20))
    hurt(tmp_path / "log")

    failures = published_until_it_heals(origin, records(20))
    acknowledged = published_until_it_heals(origin, records(20))
    origin.publish(OTHER, records(20))

    assert (failures, acknowledged, origin.health()) == (1, 0, None)
    origin.close()
    afresh = LogOrigin(tmp_path / "log")
    kept = Counter(read(afresh))
    assert all(kept[value] >= 2 for value in values(records(20)))
    assert read(afresh, OTHER) == values(records(20))


def test_offsets_go_on_in_a_log_begun_anew_so_that_its_readers_miss_nothing(
    tmp_path: Path,
) -> None:
    origin = LogOrigin(tmp_path / "log", partitions=1)
    origin.publish(TOPIC, records(3))
    shutil.rmtree(tmp_path / "log")

    assert published_until_it_heals(origin, records(2)) == 1
    origin.close()
    afresh = LogOrigin(tmp_path / "log", partitions=1)
    afresh.publish(TOPIC, records(1))

    assert [record.offset for record in afresh.subscribe(TOPIC, {0: 3})] == [3, 4, 5]


def test_a_root_moved_back_is_gone_on_in_behind_what_it_holds(tmp_path: Path) -> None:
    root, away = tmp_path / "log", tmp_path / "away"
    origin = LogOrigin(root, partitions=1)
    origin.publish(TOPIC, records(3))
    root.rename(away)
    assert published_until_it_heals(origin, records(1)) == 1
    shutil.rmtree(root)
    away.rename(root)

    assert published_until_it_heals(origin, records(2)) == 1

    assert [r.offset for r in origin.subscribe(TOPIC, {})] == [0, 1, 2, 4, 5]


def test_a_log_begun_anew_by_another_writer_is_gone_on_in_behind_what_it_holds(
    tmp_path: Path,
) -> None:
    root = tmp_path / "log"
    origin = LogOrigin(root, partitions=1)
    origin.publish(TOPIC, records(1))
    shutil.rmtree(root)
    other = LogOrigin(root, partitions=1)
    other.publish(TOPIC, records(2))

    assert published_until_it_heals(origin, records(1)) == 1

    assert [r.offset for r in origin.subscribe(TOPIC, {})] == [0, 1, 2]


def test_a_log_of_other_partitions_moved_in_is_not_written(tmp_path: Path) -> None:
    root = tmp_path / "log"
    origin = LogOrigin(root, partitions=1)
    origin.publish(TOPIC, records(1))
    shutil.rmtree(root)
    LogOrigin(root, partitions=2).close()

    for _ in range(2):
        with pytest.raises(OriginUnavailable, match="has 2 partitions, not 1"):
            origin.publish(TOPIC, records(1))

    origin.close()
    LogOrigin(root).close()


def test_topics_that_find_the_root_gone_at_once_take_it_anew_once(tmp_path: Path) -> None:
    origin = LogOrigin(tmp_path / "log")
    topics = [f"edge.t{number}.v1" for number in range(8)]
    for topic in topics:
        origin.publish(topic, records(1))
    shutil.rmtree(tmp_path / "log")
    start, complaints = threading.Barrier(len(topics)), list[str]()

    def publish(topic: str) -> None:
        start.wait()
        try:
            origin.publish(topic, records(1))
        except OriginUnavailable as error:
            complaints.append(str(error))

    publishers = [threading.Thread(target=publish, args=(topic,)) for topic in topics]
    for publisher in publishers:
        publisher.start()
    for publisher in publishers:
        publisher.join()

    assert len(complaints) == len(topics)
    assert all("removed or moved" in complaint for complaint in complaints)
    for topic in topics:
        origin.publish(topic, records(1))
