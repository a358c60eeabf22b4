"""What tests of the Kafka client share."""

from collections.abc import Callable

import pytest


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the steady clock, which stands still else."""
    now_s = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])

    def move(seconds: float) -> None:
        now_s[0] += seconds

    return move
