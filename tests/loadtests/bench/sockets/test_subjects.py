"""The gateway counts all that sockets do and refuses none of it; descriptors are made sure of."""

import resource
import tomllib
from pathlib import Path

import pytest

from loadtests.bench.sockets.subjects import (
    SOCKETS_MAX,
    StreamWanted,
    TooFewDescriptorsError,
    allow_sockets,
)

Limits = tuple[int, int]


def allow(monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    """Have the system allow so many descriptors, soft and hard."""

    def tell(_: int) -> Limits:
        return limits

    monkeypatch.setattr(resource, "getrlimit", tell)


def test_everything_that_costs_is_on_and_nothing_refuses(tmp_path: Path) -> None:
    settings = tomllib.loads(StreamWanted("gateway", "{}", entries=700).settings(tmp_path))

    assert settings["stream"] == {"frames_per_s": 1_000_000, "events_per_s": 1_000_000}
    limits = settings["limits"]
    assert limits["connections"] == {"total": SOCKETS_MAX, "per_address": SOCKETS_MAX}
    assert limits.keys() == {"player", "service", "brand", "address", "node", "connections"}
    assert settings["spool"]["dedupe_entries_max"] == 700


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((1_024, 6_000), [(5_512, 6_000)]),
        ((1_024, -1), [(5_512, -1)]),
        ((5_512, 6_000), []),
        ((-1, -1), []),
    ],
)
def test_the_limit_is_raised_as_far_as_needed(
    limits: Limits, raised: list[Limits], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Limits] = []

    def note(_: int, limits: Limits) -> None:
        told.append(limits)

    allow(monkeypatch, limits)
    monkeypatch.setattr(resource, "setrlimit", note)

    allow_sockets(5_000)

    assert told == raised


def test_a_system_that_allows_too_few_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    allow(monkeypatch, (1_024, 4_096))

    with pytest.raises(TooFewDescriptorsError, match=r"5,512 descriptors.*4,096 \(ulimit"):
        allow_sockets(5_000)
