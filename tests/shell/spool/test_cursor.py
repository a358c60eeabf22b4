"""The cursor is read back as written, or not at all."""

from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, strategies as st

from edge.core.frame import UnknownVersion
from edge.shell.spool.cursor import Position, load, store
from edge.shell.spool.segment import LaneFiles
from tests.fakes_disk import FakeDisk, Node

LANE = Path("/spool/0/bet")
U64 = st.integers(0, (1 << 64) - 1)


def lane(content: bytes) -> LaneFiles:
    """Make a directory with a cursor in it."""
    disk = FakeDisk()
    disk.names[LANE / "cursor"] = Node(bytearray(content))
    return LaneFiles(disk, LANE)


def stored(at: Position) -> bytes:
    """Tell what a cursor's file holds."""
    files = lane(b"")
    store(files, at)
    return files.disk.read(LANE / "cursor", 0, 100)


@given(U64, U64, U64)
def test_what_was_stored_is_loaded(segment: int, offset: int, records: int) -> None:
    at = Position(segment, offset, records)

    loaded = load(lane(stored(at)))

    assert loaded == at
    assert loaded is not None
    assert loaded.records == records


def test_it_is_as_documented() -> None:
    content = stored(Position(7, 4711, 12))

    assert len(content) == 40
    assert content[:8] == b"\xffEDGECU\xfe"
    assert [int.from_bytes(content[a:b], "little") for a, b in [(8, 10), (10, 12)]] == [1, 0]
    numbers = [int.from_bytes(content[a : a + 8], "little") for a in (12, 20, 28)]
    assert numbers == [7, 4711, 12]
    assert content[36:] == crc32(content[:36]).to_bytes(4, "little")


def test_no_flipped_bit_is_believed() -> None:
    content = stored(Position(7, 4711, 12))
    for bit in range(8 * len(content)):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8

        assert load(lane(bytes(broken))) is None, bit


@given(st.binary(max_size=50))
def test_any_bytes_are_no_cursor(content: bytes) -> None:
    assert load(lane(content)) is None


def test_no_file_is_no_cursor() -> None:
    assert load(LaneFiles(FakeDisk(), LANE)) is None


def resealed(at: int, replacement: bytes) -> bytes:
    """Write a cursor with other bytes in it, its checksum right."""
    body = bytearray(stored(Position(7))[:36])
    body[at : at + len(replacement)] = replacement
    return bytes(body) + crc32(body).to_bytes(4, "little")


def test_another_version_is_named_and_another_mark_is_none() -> None:
    with pytest.raises(UnknownVersion):
        load(lane(resealed(8, b"\x02")))

    assert load(lane(resealed(0, b"?"))) is None


def test_positions_are_in_the_order_of_the_files_whatever_was_counted() -> None:
    assert Position(1, 900) < Position(2, 128) < Position(2, 129)
    assert Position(2, 128, 5) == Position(2, 128)
