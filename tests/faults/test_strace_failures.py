"""A descriptor that has failed may only be closed, and its number is another file's then."""

import pytest

from tests.faults.strace_calls import Calls
from tests.faults.strace_failures import FAILURES, judged

SEGMENT = "/spool/0/game/0000000001.seg"
CURSOR = "/spool/0/game/cursor"
FAILED = f'7 write(9<{SEGMENT}>, "a", 1) = -1 EIO (Input/output error) (INJECTED)'
CLOSED = f"7 close(9<{SEGMENT}>) = 0"
REFUSED = f'7 pwrite64(9<{CURSOR}>, "a", 1, 0) = -1 EIO (Input/output error) (INJECTED)'
RELEASED = f"7 close(9<{CURSOR}>) = 0"
RENAMED = f'7 rename("{CURSOR}.tmp", "{CURSOR}") = 0'
UNSYNCED = "7 fsync(9</spool/0/game>) = -1 EIO (Input/output error) (INJECTED)"
LEFT = "7 close(9</spool/0/game>) = 0"


def faults(*lines: str) -> list[str]:
    """What is said of a trace whose first line is the failure."""
    calls = Calls(lines)
    failed = [call for call in calls if "INJECTED" in call.remark]
    failure = next(each for each in FAILURES if lines[0].startswith(f"7 {each.call}("))
    return list(judged(failure, calls, failed))


@pytest.mark.parametrize(
    "lines",
    [
        (FAILED, CLOSED),
        (FAILED, CLOSED, '7 write(9</spool/0/game/0000000002.seg>, "a", 1) = 1'),
        (REFUSED, RELEASED, f'7 write(9<{CURSOR}.tmp>, "a", 1) = 1', RENAMED),
        (UNSYNCED, LEFT, "7 fsync(9</spool/0/game>) = 0"),
    ],
    ids=["closed", "another file has its number", "the cursor anew", "synced by another"],
)
def test_a_descriptor_that_is_closed_and_made_up_for_is_no_fault(
    lines: tuple[str, ...],
) -> None:
    assert faults(*lines) == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((FAILED, "7 fsync(9<x>) = 0", CLOSED), ["fsync on a descriptor that had failed"]),
        ((FAILED, "8 fdatasync(9<x>) = 0"), ["fdatasync on", "was never closed"]),
        ((FAILED,), ["was never closed"]),
        ((FAILED, CLOSED, f'7 write(5<{SEGMENT}>, "b", 1) = 1'), ["was written again"]),
        ((REFUSED, REFUSED, RELEASED, RENAMED), ["2 calls failed, not 1"]),
        ((REFUSED, RELEASED), ["no rename made up"]),
        ((REFUSED, "7 fsync(9<x>) = 0", RELEASED, RENAMED), ["fsync on"]),
        ((UNSYNCED, "7 fsync(9</spool/0/game>) = 0", LEFT), ["fsync on", "no fsync made up"]),
        ((UNSYNCED, LEFT, "7 fsync(9</spool/0/game>) = -1 EIO (x)"), ["no fsync made up"]),
    ],
    ids=[
        "synced",
        "synced and kept",
        "kept",
        "its file written again",
        "twice",
        "no cursor",
        "cursor synced",
        "name synced again",
        "name never synced",
    ],
)
def test_anything_else_is_told(lines: tuple[str, ...], told: list[str]) -> None:
    found = faults(*lines)

    assert [part in fault for part, fault in zip(told, found, strict=True)] == [True] * len(
        told
    )


def test_a_failure_that_did_not_happen_proves_nothing() -> None:
    calls = Calls([f'7 write(9<{SEGMENT}>, "a", 1) = 1', CLOSED])

    assert list(judged(FAILURES[0], calls, [])) == ["0 calls failed, not 1: it proves nothing"]
