"""Everything in ``dead/`` gets a copy, after it is there; nothing else does."""

import pytest

from edge.core.lane import Lane
from edge.shell import dead
from edge.shell.dead import DeadUnavailable, Letter
from edge.shell.dead_copies import CopiedLetters
from edge.shell.spool.lane_spool import Quarantined
from origin_client.validate import validate
from tests.fakes import FakeClock
from tests.fakes_forward import MemoryDeadLetters
from tests.fakes_notices import LETTERHEAD, RecordingCourier
from tests.shell.test_dead import DEAD_MS, FRAME, RECORD


def copied(home: MemoryDeadLetters, courier: RecordingCourier) -> CopiedLetters:
    """The letters of lane ``bet``."""
    return CopiedLetters(Lane.BET, home, courier, LETTERHEAD, FakeClock())


def test_a_refused_record_is_copied_as_it_lies_there() -> None:
    home, courier = MemoryDeadLetters(), RecordingCourier()

    copied(home, courier).bury([dead.refused(RECORD, "too large", dead_ms=DEAD_MS)])

    (letter,), (copy,) = home.letters, courier.records
    assert isinstance(letter, dead.RefusedLetter)
    assert (copy.key, copy.value) == (RECORD.key, bytes(letter.value))
    assert validate(copy.value) == []


@pytest.mark.parametrize("size", range(6))
def test_of_a_damaged_frame_its_place_is_told_and_not_its_bytes(size: int) -> None:
    home, courier = MemoryDeadLetters(), RecordingCourier()
    frame = Quarantined(7, 4096, b"\xff" * size, "checksum is wrong")

    copied(home, courier).bury([dead.quarantined(frame, dead_ms=DEAD_MS)])

    (event,) = courier.told()
    assert event["type"] == "edge.frame.quarantined"
    assert event["data"] == {
        "lane": "bet",
        "segment": 7,
        "offset": 4096,
        "size_bytes": size,
        "reason": "checksum is wrong",
    }


def test_what_could_not_be_buried_is_not_copied() -> None:
    courier = RecordingCourier()

    with pytest.raises(DeadUnavailable):
        copied(MemoryDeadLetters(failures=1), courier).bury(
            [dead.quarantined(FRAME, dead_ms=DEAD_MS)]
        )

    assert courier.records == []


def test_a_letter_of_a_third_kind_is_a_bug() -> None:
    letter = Letter(dead_ms=DEAD_MS, reason="?", crc32=0)

    with pytest.raises(AssertionError, match="unknown kind"):
        copied(MemoryDeadLetters(), RecordingCourier()).bury([letter])
