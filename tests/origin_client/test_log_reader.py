"""``origin_client.log_reader``: what a reader sees beside a writer, whatever that one does."""

import shutil
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from origin_client import log_layout, log_reader
from origin_client.log_layout import Settings
from origin_client.log_reader import LogReader
from origin_client.origin import OriginError, OriginUnavailable, Record

TOPIC = "edge.bet.v1"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty log of one partition."""
    log_layout.write_settings(tmp_path, Settings(log_layout.FORMAT, 1))
    (tmp_path / TOPIC / "0").mkdir(parents=True)
    return tmp_path


def line(offset: int, value: str = "{}") -> str:
    return f'{{"offset":{offset},"key":"k","headers":{{}},"value":{value}}}\n'


def file(root: Path, first: int) -> Path:
    return log_layout.file_path(root / TOPIC / "0", first)


def write(root: Path, first: int, content: str) -> None:
    with file(root, first).open("a") as out:
        out.write(content)


def offsets(root: Path, start: int = 0) -> list[int]:
    return [record.offset for record in LogReader(root).subscribe(TOPIC, {0: start})]


def test_a_line_without_its_end_is_not_there_yet(root: Path) -> None:
    whole = line(0) + line(1)
    for cut in range(len(whole) + 1):
        file(root, 0).write_text(whole[:cut])

        assert len(offsets(root)) == whole[:cut].count("\n")


def test_files_are_read_as_one(root: Path) -> None:
    for first in (0, 2, 4):
        write(root, first, line(first) + line(first + 1))

    assert offsets(root) == [0, 1, 2, 3, 4, 5]
    assert offsets(root, 3) == [3, 4, 5]
    assert offsets(root, 6) == []


def test_what_was_removed_by_hand_is_not_waited_for(root: Path) -> None:
    write(root, 100, line(100))

    assert offsets(root, 5) == [100]


def test_a_file_ends_where_the_next_one_begins(root: Path) -> None:
    """Whatever a failed sync left behind it."""
    write(root, 0, line(0) + line(1, '"taken back"') + line(2, '"taken back"'))
    write(root, 1, line(1) + line(2))

    records = list(LogReader(root).subscribe(TOPIC, {}))

    assert [(record.offset, record.value) for record in records] == [
        (0, b"{}"),
        (1, b"{}"),
        (2, b"{}"),
    ]


def test_an_unreadable_line_costs_itself(root: Path) -> None:
    write(root, 0, line(0) + "garbage\n" + line(2))

    assert offsets(root) == [0, 2]


def test_a_line_longer_than_a_chunk_is_read(root: Path) -> None:
    long = '"' + "x" * 3 * log_reader.CHUNK_BYTES + '"'
    write(root, 0, line(0) + line(1, long) + line(2))

    assert [len(record.value) for record in LogReader(root).subscribe(TOPIC, {})] == [
        2,
        len(long),
        2,
    ]


@pytest.fixture
def followed(root: Path) -> Iterator[tuple[LogReader, Iterator[Record]]]:
    """A follower that has read the first two records."""
    write(root, 0, line(0) + line(1))
    reader = LogReader(root)
    records = reader.subscribe(TOPIC, {}, follow=True)
    assert [record.offset for record in islice(records, 2)] == [0, 1]
    yield reader, records
    reader.close()


def test_a_follower_sees_a_line_once_it_has_its_end(
    root: Path, followed: tuple[LogReader, Iterator[Record]]
) -> None:
    write(root, 0, line(2)[:-9])
    late = threading.Timer(3 * log_reader.POLL_S, write, (root, 0, line(2)[-9:]))
    late.start()

    assert next(followed[1]).offset == 2
    late.join()


def test_a_follower_goes_on_into_the_next_file(
    root: Path, followed: tuple[LogReader, Iterator[Record]]
) -> None:
    write(root, 0, line(2))
    write(root, 3, line(3))

    assert [record.offset for record in islice(followed[1], 2)] == [2, 3]


def test_a_follower_sees_what_stands_in_place_of_a_record_taken_back(
    root: Path, followed: tuple[LogReader, Iterator[Record]]
) -> None:
    file(root, 0).write_text(line(0))
    write(root, 1, line(1, '"again"') + line(2))

    assert [(r.offset, r.value) for r in islice(followed[1], 2)] == [
        (1, b'"again"'),
        (2, b"{}"),
    ]


def test_a_follower_leaves_a_file_that_lost_its_name(
    root: Path, followed: tuple[LogReader, Iterator[Record]]
) -> None:
    file(root, 0).unlink()
    write(root, 0, line(0, '"again"'))

    record = next(followed[1])

    assert (record.offset, record.value) == (0, b'"again"')


@pytest.mark.parametrize("is_there_again", [False, True], ids=["removed", "made anew"])
def test_a_follower_whose_place_is_gone_is_told_instead_of_passing_over_what_comes(
    root: Path, *, is_there_again: bool
) -> None:
    write(root, 0, line(0) + line(1))
    reader = LogReader(root)
    records = reader.subscribe(TOPIC, {0: 2}, follow=True)
    write(root, 0, line(2))
    assert next(records).offset == 2
    shutil.rmtree(root / TOPIC)
    if is_there_again:
        (root / TOPIC / "0").mkdir(parents=True)
        write(root, 0, line(0))

    with pytest.raises(
        OriginError,
        match=rf"{TOPIC}/0 was removed or made anew: it ends at ., and 2 was to come",
    ):
        next(records)
    reader.close()


def test_a_follower_of_a_later_file_is_told_that_the_topic_begins_at_0_again(
    root: Path,
) -> None:
    write(root, 0, line(0))
    write(root, 1, line(1))
    reader = LogReader(root)
    records = reader.subscribe(TOPIC, {}, follow=True)
    assert [record.offset for record in islice(records, 2)] == [0, 1]
    shutil.rmtree(root / TOPIC)
    (root / TOPIC / "0").mkdir(parents=True)
    write(root, 0, "")

    with pytest.raises(OriginError, match="made anew: it ends at 0, and 1 was to come"):
        next(records)
    reader.close()


def test_a_follower_of_a_file_that_its_writer_replaced_goes_on_in_the_new_one(
    root: Path,
) -> None:
    write(root, 0, line(0) + line(1))
    write(root, 2, line(2, '"taken back"'))
    reader = LogReader(root)
    records = reader.subscribe(TOPIC, {0: 2}, follow=True)
    assert next(records).value == b'"taken back"'
    file(root, 2).unlink()
    write(root, 2, line(2))

    assert next(records).value == b"{}"
    reader.close()


def test_a_follower_below_whose_position_something_is_rewritten_sees_nothing_of_it(
    root: Path,
) -> None:
    write(root, 0, line(0) + line(1))
    reader = LogReader(root)
    records = reader.subscribe(TOPIC, {0: 2}, follow=True)
    write(root, 1, line(1, '"again"') + line(2))

    assert next(records).offset == 2
    reader.close()


def test_a_follower_waits_for_a_topic_to_come(tmp_path: Path) -> None:
    log_layout.write_settings(tmp_path, Settings(log_layout.FORMAT, 1))
    reader = LogReader(tmp_path)
    records = reader.subscribe(TOPIC, {}, follow=True)
    (tmp_path / TOPIC / "0").mkdir(parents=True)
    write(tmp_path, 0, line(0))

    assert next(records).offset == 0
    reader.close()
    assert list(records) == []


def test_a_file_that_vanishes_while_it_is_looked_for_is_looked_for_again(root: Path) -> None:
    file(root, 0).symlink_to(root / "nowhere")

    assert offsets(root) == []


@settings(max_examples=50)
@given(data=st.data())
def test_any_content_is_read_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("log")
    log_layout.write_settings(root, Settings(log_layout.FORMAT, 1))
    (root / TOPIC / "0").mkdir(parents=True)
    good = line(7).encode()
    content = data.draw(st.lists(st.binary(max_size=20) | st.just(good), max_size=5))
    file(root, 0).write_bytes(b"\n".join(content))

    assert set(offsets(root)) <= {7}


def test_the_end_of_a_partition_is_behind_its_last_readable_line(root: Path) -> None:
    contents = {
        "nothing": ("", 0),
        "a line": (line(0), 1),
        "a line without its end": (line(0) + line(1)[:-1], 1),
        "garbage behind it": (line(0) + "garbage\n", 1),
        "garbage alone": ("garbage\n", 0),
    }

    ends: dict[str, dict[int, int]] = {}
    for name, (content, _) in contents.items():
        file(root, 0).write_text(content)
        ends[name] = LogReader(root).end(TOPIC)

    assert ends == {name: {0: end} for name, (_, end) in contents.items()}


def test_the_end_stands_in_the_last_file_or_in_its_name(root: Path) -> None:
    write(root, 0, line(0) + line(1) + line(2, '"taken back"'))
    write(root, 2, "")
    assert LogReader(root).end(TOPIC) == {0: 2}

    write(root, 2, line(2) + line(3))
    assert LogReader(root).end(TOPIC) == {0: 4}


@pytest.mark.parametrize("chunk_bytes", range(1, 50))
def test_the_end_is_found_however_little_is_read_at_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(log_reader, "CHUNK_BYTES", chunk_bytes)
    write(root, 7, line(7) + line(8, f'"{"x" * 300}"') + "garbage")

    assert LogReader(root).end(TOPIC) == {0: 9}


def test_a_file_that_is_replaced_while_its_end_is_sought_is_looked_for_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, 0, line(0))
    write(root, 1, line(1))
    listed = log_layout.first_offsets

    def replaced_behind_us(directory: Path) -> list[int]:
        firsts = listed(directory)
        file(root, 1).unlink(missing_ok=True)
        return firsts

    monkeypatch.setattr(log_layout, "first_offsets", replaced_behind_us)

    assert LogReader(root).end(TOPIC) == {0: 1}


def test_an_end_that_cannot_be_read_is_told(root: Path) -> None:
    (root / TOPIC / "0" / "00000000000000000000.jsonl").mkdir()

    with pytest.raises(OriginUnavailable, match=f"{TOPIC}: .*Is a directory"):
        LogReader(root).end(TOPIC)


def test_what_cannot_be_a_topic_has_no_end(root: Path) -> None:
    with pytest.raises(OriginError, match="cannot be a topic's name"):
        LogReader(root).end("../etc")
