"""``origin_client.log_partition``: what one partition holds after anything that can happen."""

from pathlib import Path

import msgspec
import pytest

from origin_client.log_partition import Disk, Partition
from origin_client.origin import Outgoing
from tests.fakes_log import FailingDisk

FILE_BYTES_MAX = 1 << 20


def opened(
    path: Path, disk: Disk | None = None, *, file_bytes_max: int = FILE_BYTES_MAX
) -> Partition:
    return Partition(path / "t" / "0", file_bytes_max=file_bytes_max, disk=disk or Disk())


def records(*numbers: int) -> list[Outgoing]:
    return [Outgoing(b"k", b'{"n":%d}' % number) for number in numbers]


def append(partition: Partition, *numbers: int) -> None:
    try:
        partition.write(records(*numbers))
        partition.sync()
    finally:
        partition.retract()


def files(path: Path) -> dict[int, str]:
    return {int(file.stem): file.read_text() for file in sorted(path.rglob("*.jsonl"))}


def held(path: Path) -> list[tuple[int, int]]:
    """Offset and number of each line; every line must be whole."""
    lines = [line for content in files(path).values() for line in content.splitlines()]
    decoded = [msgspec.json.decode(line) for line in lines]
    return [(line["offset"], line["value"]["n"]) for line in decoded]


def test_lines_are_written_as_the_layout_says(tmp_path: Path) -> None:
    append(opened(tmp_path), 5, 6)

    header = '{"content-type":"application/cloudevents+json; charset=UTF-8"}'
    assert files(tmp_path) == {
        0: (
            f'{{"offset":0,"key":"k","headers":{header},"value":{{"n":5}}}}\n'
            f'{{"offset":1,"key":"k","headers":{header},"value":{{"n":6}}}}\n'
        )
    }


def test_a_full_file_is_followed_by_a_new_one(tmp_path: Path) -> None:
    partition = opened(tmp_path, file_bytes_max=250)
    for number in range(4):
        append(partition, number)

    assert list(files(tmp_path)) == [0, 3]
    assert held(tmp_path) == [(n, n) for n in range(4)]


@pytest.mark.parametrize("file_bytes_max", [1, FILE_BYTES_MAX], ids=["full", "not full"])
def test_a_new_writer_goes_on_where_the_last_one_stopped(
    tmp_path: Path, file_bytes_max: int
) -> None:
    append(opened(tmp_path), 0, 1)
    append(opened(tmp_path, file_bytes_max=file_bytes_max), 2)

    assert list(files(tmp_path)) == ([0, 2] if file_bytes_max == 1 else [0])
    assert held(tmp_path) == [(0, 0), (1, 1), (2, 2)]


def test_a_line_torn_at_any_byte_is_cut(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 1)
    (path,) = tmp_path.rglob("*.jsonl")
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for torn in range(second, len(whole)):
        path.write_bytes(whole[:torn])

        append(opened(tmp_path), 7)

        assert held(tmp_path) == [(0, 0), (1, 7)]


@pytest.mark.parametrize(
    "tail",
    [b"\0" * 4096, b"\0\n", b"{}\n", b"\xff\n\n", b'{"offset":"1"}\n{"offset":'],
    ids=["zeros", "zero line", "no line", "binary", "two"],
)
def test_what_no_writer_wrote_is_cut(tmp_path: Path, tail: bytes) -> None:
    append(opened(tmp_path), 0)
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_bytes(path.read_bytes() + tail)

    append(opened(tmp_path), 7)

    assert held(tmp_path) == [(0, 0), (1, 7)]


@pytest.mark.parametrize("content", [b"", b"torn"], ids=["empty", "torn"])
def test_a_file_without_a_line_is_begun_again(tmp_path: Path, content: bytes) -> None:
    append(opened(tmp_path, file_bytes_max=1), 0)
    (tmp_path / "t" / "0" / f"{1:020d}.jsonl").write_bytes(content)

    append(opened(tmp_path), 7)

    assert held(tmp_path) == [(0, 0), (1, 7)]


def test_a_broken_line_costs_nothing_behind_it(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 1, 2)
    (path,) = tmp_path.rglob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"X" + lines[1][1:] + lines[2])

    append(opened(tmp_path), 3)

    after = path.read_bytes().splitlines(keepends=True)
    assert after[2] == lines[2]
    assert b'"offset":3,' in after[3]


def test_what_a_killed_writer_left_is_synced_before_anything_follows(tmp_path: Path) -> None:
    opened(tmp_path).write(records(0))
    faults = FailingDisk()

    append(opened(tmp_path, faults.disk()), 1)

    assert len(faults.synced) == 2
    assert held(tmp_path) == [(0, 0), (1, 1)]


def test_a_writer_that_cannot_sync_what_it_found_does_not_begin(tmp_path: Path) -> None:
    append(opened(tmp_path), 0)

    with pytest.raises(OSError, match="Input/output"):
        opened(tmp_path, FailingDisk(broken_syncs=1).disk())


@pytest.mark.parametrize("fits", range(0, 230, 23))
@pytest.mark.parametrize("before", [0, 1])
def test_a_full_disk_leaves_no_half_line_and_no_gap(
    tmp_path: Path, before: int, fits: int
) -> None:
    faults = FailingDisk()
    partition = opened(tmp_path, faults.disk())
    for number in range(before):
        append(partition, number)
    faults.full = fits

    with pytest.raises(OSError, match="No space"):
        append(partition, 7, 8)
    held_then = held(tmp_path)
    faults.full = None
    append(partition, 7, 8)

    assert held_then == [(n, n) for n in range(before)]
    assert held(tmp_path) == [*held_then, (before, 7), (before + 1, 8)]


@pytest.mark.parametrize("before", [0, 1])
def test_after_a_failed_sync_a_new_file_begins(tmp_path: Path, before: int) -> None:
    faults = FailingDisk()
    partition = opened(tmp_path, faults.disk())
    for number in range(before):
        append(partition, number)
    faults.broken_syncs = 1

    with pytest.raises(OSError, match="Input/output"):
        append(partition, 7)
    append(partition, 8)

    assert max(files(tmp_path)) == before
    assert held(tmp_path) == [*((n, n) for n in range(before)), (before, 8)]


def test_every_name_on_the_way_to_a_record_is_durable_before_the_record_counts(
    tmp_path: Path,
) -> None:
    faults = FailingDisk()
    partition = opened(tmp_path, faults.disk(), file_bytes_max=1)
    for number in range(2):
        append(partition, number)

        assert faults.listed >= {path.stat().st_ino for path in tmp_path.rglob("*")}


def test_a_record_whose_files_name_may_be_lost_does_not_count(tmp_path: Path) -> None:
    faults = FailingDisk()
    partition = opened(tmp_path, faults.disk())
    faults.broken_directories = 1

    with pytest.raises(OSError, match="Input/output"):
        append(partition, 7)
    append(partition, 8)

    assert held(tmp_path) == [(0, 8)]


def test_what_cannot_be_cut_is_left_to_the_next_files_name(tmp_path: Path) -> None:
    faults = FailingDisk()
    partition = opened(tmp_path, faults.disk())
    append(partition, 0)
    faults.broken_syncs, faults.is_uncuttable = 1, True
    with pytest.raises(OSError, match="Input/output"):
        append(partition, 7)

    append(partition, 8)

    assert held(tmp_path) == [(0, 0), (1, 7), (1, 8)]
    assert list(files(tmp_path)) == [0, 1]
