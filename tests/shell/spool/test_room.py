"""Who gives up what, and in which order, when space is short."""

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.core.lane import Lane
from edge.shell.spool.room import Room
from tests.fakes_disk import FakeDisk
from tests.fakes_spool import SMALL

DIRECTORY = Path("/spool/0")


@dataclass
class FakeHolder:
    """A lane with retained segments of some sizes, and waiting bytes."""

    waiting: int = 0
    retained: list[int] = field(default_factory=list[int])

    @property
    def bytes_held(self) -> int:
        """All of it."""
        return self.waiting + sum(self.retained)

    def give_up_oldest(self) -> int:
        """The first one."""
        return self.retained.pop(0) if self.retained else 0


def room(disk: FakeDisk, bytes_max: int = 1000, **holders: FakeHolder) -> Room:
    """Make a room with some lanes."""
    made = Room(disk, DIRECTORY, bytes_max, SMALL)
    made.holders.update({Lane(name): holder for name, holder in holders.items()})
    return made


def test_too_much_is_trimmed_from_the_cheapest_memory_first() -> None:
    bet = FakeHolder(300, [100, 100])
    game = FakeHolder(500, [100, 100])

    room(FakeDisk(), bet=bet, game=game).trim()

    assert (bet.retained, game.retained) == ([100, 100], [])


def test_what_waits_is_never_trimmed() -> None:
    bet = FakeHolder(3000, [100])

    room(FakeDisk(), bet=bet).trim()

    assert (bet.waiting, bet.retained) == (3000, [])


def test_a_full_disk_takes_retained_segments_and_leaves_the_headroom() -> None:
    disk = FakeDisk()
    game = FakeHolder(0, [2000, 2000, 2000])
    made = room(disk, game=game)
    made.restore()

    made.free()

    assert game.retained == [2000]
    assert len(disk.names[DIRECTORY / "headroom"].cached) == SMALL.headroom_bytes


def test_where_nothing_is_retained_the_headroom_goes_once() -> None:
    disk = FakeDisk()
    made = room(disk)
    made.restore()

    made.free()
    made.free()

    assert disk.names == {}


def test_the_headroom_is_made_again_only_with_room_for_a_commit_beside_it() -> None:
    disk = FakeDisk()
    made = room(disk)
    needed = SMALL.headroom_bytes + SMALL.commit_bytes_max
    disk.capacity = needed - 1
    with pytest.raises(OSError, match="full") as caught:
        made.restore()
    assert caught.value.errno == errno.ENOSPC
    assert disk.names == {}, "a failed try leaves all the room to others"

    disk.capacity = needed
    made.restore()
    made.restore()

    assert disk.free == SMALL.commit_bytes_max


@dataclass
class FakeDoor:
    """What a lane's intake was told, and whether the headroom was there then."""

    disk: FakeDisk
    told: list[tuple[bool, bool]] = field(default_factory=list[tuple[bool, bool]])

    def shut(self, *, is_shut: bool) -> None:
        """Remember."""
        self.told.append((is_shut, DIRECTORY / "headroom" in self.disk.names))


def test_all_doors_are_shut_before_anything_is_given_up_and_opened_with_the_headroom() -> None:
    disk = FakeDisk()
    made = room(disk)
    made.restore()
    doors = [FakeDoor(disk), FakeDoor(disk)]
    made.doors.extend(doors)

    made.free()
    assert DIRECTORY / "headroom" not in disk.names
    made.restore()

    assert not made.is_full
    assert [door.told for door in doors] == [[(True, True), (False, True)]] * 2


def test_doors_stay_shut_and_the_headroom_whole_without_room_for_a_commit() -> None:
    disk = FakeDisk()
    made = room(disk)
    made.restore()
    disk.capacity -= disk.free - SMALL.commit_bytes_max + 1

    made.shut()
    with pytest.raises(OSError, match="full"):
        made.restore()

    assert made.is_full
    assert len(disk.names[DIRECTORY / "headroom"].cached) == SMALL.headroom_bytes

    disk.capacity += 1
    made.restore()
    assert not made.is_full
