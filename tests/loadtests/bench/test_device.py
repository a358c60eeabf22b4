"""The disk's own figure, and nothing left of it."""

from pathlib import Path

import pytest

from loadtests.bench.device import sync_latencies


def test_every_sync_is_timed(tmp_path: Path) -> None:
    latencies_ns = sync_latencies(tmp_path, 5)

    assert len(latencies_ns) == 5
    assert min(latencies_ns) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_room_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="device-probe"):
        sync_latencies(tmp_path / "absent", 1)
