"""The cursor is read back as written, or not at all."""

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random
from zlib import crc32

import pytest
from hypothesis import given, strategies as st

from edge.core.frame import UnknownVersion
from edge.shell.spool.cursor import CursorFile, Position, confirm, load, settle, store
from edge.shell.spool.segment import LaneFiles
from tests.fakes_disk import Call, FakeDisk, Node

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
    return files.disk.read(LANE / "cursor", 0, 40)


@given(U64, U64, U64)
def test_what_was_stored_is_loaded(segment: int, offset: int, records: int) -> None:
    at = Position(segment, offset, records)

    loaded = load(lane(stored(at)))

    assert loaded == at
    assert loaded is not None
    assert loaded.records == records


def test_it_is_as_documented() -> None:
    content = stored(Position(7, 4711, 12))

    assert content[:8] == b"\xffEDGECU\xfe"
    assert [int.from_bytes(content[a:b], "little") for a, b in [(8, 10), (10, 12)]] == [1, 0]
    numbers = [int.from_bytes(content[a : a + 8], "little") for a in (12, 20, 28)]
    assert numbers == [7, 4711, 12]
    assert content[36:40] == crc32(content[:36]).to_bytes(4, "little")


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


@pytest.fixture
def made() -> FakeDisk:
    """A disk without a byte of room, on which a cursor is settled."""
    disk = FakeDisk()
    settle(LaneFiles(disk, LANE), Position(1))
    disk.capacity -= disk.free
    return disk


def test_a_settled_cursor_is_written_on_a_disk_without_a_byte_or_a_name(made: FakeDisk) -> None:
    made.plan = lambda _index, call: (
        OSError(errno.ENOSPC, "planned") if call.name in ("create", "write") else None
    )
    for offset in range(200, 205):
        store(LaneFiles(made, LANE), Position(1, offset))

        assert load(LaneFiles(made, LANE)) == Position(1, offset)


def test_a_torn_slot_leaves_the_one_before(made: FakeDisk) -> None:
    files = LaneFiles(made, LANE)
    for offset in range(200, 204):
        store(files, Position(1, offset))
        made.plan = lambda _index, call: (
            OSError(errno.EIO, "planned") if call.name in ("overwrite", "create") else None
        )
        with pytest.raises(OSError, match="planned"):
            store(files, Position(2))
        made.plan = lambda _index, _call: None
        made.crash(Random(offset))  # noqa: S311  # a test replays by its seed

        assert load(files) == Position(1, offset)


def test_a_slot_that_cannot_be_written_has_the_file_made_anew(made: FakeDisk) -> None:
    made.capacity *= 3
    made.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "overwrite" else None
    )
    files = LaneFiles(made, LANE)

    store(files, Position(1, 200))

    made.crash(Random(0))  # noqa: S311  # a test replays by its seed
    assert load(files) == Position(1, 200)


@pytest.mark.parametrize("generation", [0, 1, 65534, 65535])
def test_the_later_slot_counts_also_where_generations_begin_again(generation: int) -> None:
    for other in (1, -1):
        files = lane(slot(generation, 300).ljust(4096, b"\0") + slot(generation + other, 400))

        assert load(files) == Position(1, 400 if other == 1 else 300)


def test_a_cursor_of_an_earlier_gateway_is_read_and_gets_its_second_slot() -> None:
    files = lane(slot(0, 300))
    assert load(files) == Position(1, 300)

    settle(files, Position(1, 300))

    assert load(files) == Position(1, 300)
    assert len(files.disk.read(LANE / "cursor", 0, 9999)) == 4136


def test_a_settled_cursor_is_left_alone(made: FakeDisk) -> None:
    made.calls.clear()

    settle(LaneFiles(made, LANE), Position(9))

    assert [call.name for call in made.calls] == ["read"]


@pytest.mark.parametrize("failing", ["none", "overwrite"])
def test_what_a_killed_process_could_not_write_is_durable_before_it_counts(
    made: FakeDisk, failing: str
) -> None:
    """The page cache shows the slot; the disk has torn it."""
    files = LaneFiles(made, LANE)
    made.capacity = 1 << 20
    made.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name in ("overwrite", "create") else None
    )
    with pytest.raises(OSError, match="planned"):
        CursorFile(files).store(Position(7))
    made.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == failing else None
    )
    assert load(files) == Position(7)

    confirm(files)

    made.plan = lambda _index, _call: None
    made.crash(Random(0))  # noqa: S311  # replayable, no secret
    assert load(files) == Position(7)


def test_a_cursor_that_is_not_there_needs_no_confirmation() -> None:
    files = lane(b"")

    confirm(files)

    assert load(files) is None


def test_a_confirmation_that_finds_no_room_leaves_what_there_is(made: FakeDisk) -> None:
    files = LaneFiles(made, LANE)
    made.plan = lambda _index, call: (
        OSError(errno.ENOSPC, "planned") if call.name == "overwrite" else None
    )

    with pytest.raises(OSError, match="planned"):
        confirm(files)

    assert load(files) == Position(1)


def slot(generation: int, offset: int) -> bytes:
    """Write one slot."""
    body = bytearray(stored(Position(1, offset))[:36])
    body[10:12] = (generation % 65536).to_bytes(2, "little")
    return bytes(body) + crc32(body).to_bytes(4, "little")


FAULTS = {
    "none": (),
    "slot": ("overwrite",),
    "slot and new file": ("overwrite", "create"),
    "slot and new file's name": ("overwrite", "sync_directory"),
}


def failing_at(names: tuple[str, ...]) -> Callable[[int, Call], OSError | None]:
    """Plan that none of these calls works."""
    return lambda _, call: OSError(errno.EIO, "planned") if call.name in names else None


@given(st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=12), st.integers(0))
def test_whatever_failed_a_crash_leaves_the_last_one_stored_or_a_later_one(
    faults: list[str], seed: int
) -> None:
    disk = FakeDisk()
    files = LaneFiles(disk, LANE)
    settle(files, Position(1, 199))
    cursor, possible = CursorFile(files), {Position(1, 199)}
    for offset, fault in enumerate(faults, 200):
        failing, at = FAULTS[fault], Position(1, offset)
        disk.plan = failing_at(failing)
        try:
            cursor.store(at)
        except OSError:
            possible |= {at}
        else:
            possible = {at}

    disk.plan = lambda _index, _call: None
    disk.crash(Random(seed))  # noqa: S311  # a test replays by its seed
    assert load(files) in possible
