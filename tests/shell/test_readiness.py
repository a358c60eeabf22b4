"""A node is taken out of service for three causes only, and names every other one."""

from dataclasses import dataclass, field
from functools import partial

import pytest

from edge.core.lane import Lane
from edge.shell.admin import Readiness
from edge.shell.directives import DirectiveStatistics
from edge.shell.keys.keyring import KeyStatistics
from edge.shell.life import Life
from edge.shell.meters import Histogram
from edge.shell.pressure import Pressure
from edge.shell.readiness import FULL_BYTES, Probes, lane_states
from edge.shell.resources import Resources
from edge.shell.spool.bulkhead import LaneStatistics
from edge.shell.spool.shelf import Holdings

GOOD = KeyStatistics("good", keys=1, generation=1, age_s=1, is_stale=False, error=None)
STALE = KeyStatistics("old", keys=1, generation=1, age_s=9, is_stale=True, error="timed out")
NONE = KeyStatistics("none", keys=0, generation=0, age_s=None, is_stale=False, error=None)

HEALTHY = {
    "keys": "ok",
    "spool": "ok",
    "life": "ok",
    "origin": "ok",
    "memory": "ok",
    "telemetry": "ok",
    "room": "ok",
    "disk": "ok",
    **{f"forward.{lane}": "ok" for lane in Lane},
}


def lane_statistics(*, complaint: str = "", room_bytes: int = 1 << 30) -> LaneStatistics:
    """An empty lane, writable unless there is a complaint."""
    return LaneStatistics(
        holdings=Holdings(0, 0, 0, None, None),
        room_bytes=room_bytes,
        records_at_start=0,
        quarantined=0,
        failed_syncs=0,
        failed_cursors=0,
        late_durable=0,
        torn_bytes=0,
        is_writable=not complaint,
        complaint=complaint,
        sync_seconds=Histogram(),
    )


@dataclass
class FakeKeyring:
    """Tells what it is told."""

    told: list[KeyStatistics]

    def statistics(self) -> list[KeyStatistics]:
        """What it was made with."""
        return self.told


@dataclass
class FakeDirectives:
    """Has one complaint, or none; followed unless told otherwise."""

    complaint: str | None = None
    is_followed: bool = True

    def statistics(self) -> DirectiveStatistics:
        """What it was made with."""
        return DirectiveStatistics(
            in_force=1,
            refused=0,
            refused_total=0,
            dropped_total=0,
            age_s=1,
            complaint=self.complaint,
        )


@dataclass
class FakePushes:
    """Reads pushes, or cannot; wanted unless told otherwise."""

    ailment: str | None = None
    are_wanted: bool = True

    def health(self) -> str | None:
        """What it was made with."""
        return self.ailment


@dataclass
class FakeSpool:
    """Tells what it is told."""

    complaints: dict[Lane, str] = field(default_factory=dict[Lane, str])
    room: dict[Lane, int] = field(default_factory=dict[Lane, int])

    def statistics(self) -> dict[Lane, LaneStatistics]:
        """Every lane, with its complaint and its room."""
        return {
            lane: lane_statistics(
                complaint=self.complaints.get(lane, ""),
                room_bytes=self.room.get(lane, 1 << 30),
            )
            for lane in Lane
        }


@dataclass
class FakeForwarder:
    """Has one ailment, or none."""

    ailment: str | None = None

    def health(self) -> str | None:
        """What it was made with."""
        return self.ailment


@dataclass
class FakeOrigin:
    """Has one ailment per topic, or none."""

    ailments: dict[str, str] = field(default_factory=dict[str, str])

    def health(self, topic: str | None = None) -> str | None:
        """What it was made with."""
        if topic is None:
            return next(iter(self.ailments.values()), None)
        return self.ailments.get(topic)


def read(  # noqa: PLR0913  # each part by its name
    *keys: KeyStatistics,
    life: Life | None = None,
    directives: FakeDirectives | None = None,
    pushes: FakePushes | None = None,
    spool: FakeSpool | None = None,
    ailments: dict[Lane, str] | None = None,
    outages: dict[str, str] | None = None,
    memory_max: int = 1 << 40,
    scarce: dict[str, bool] | None = None,
) -> Readiness:
    """Ask probes of parts in these states; healthy where nothing is said."""
    forwarders = {lane: FakeForwarder((ailments or {}).get(lane)) for lane in Lane}
    keyring, spool = FakeKeyring(list(keys)), spool or FakeSpool()
    origin, resources = FakeOrigin(outages or {}), Resources(memory_max)
    signals = {"disk": False} | (scarce or {})
    pressure = Pressure({name: partial(bool, told) for name, told in signals.items()})
    return Probes(
        life=life or Life(),
        keyring=keyring,
        directives=directives or FakeDirectives(is_followed=False),
        spool=spool,
        forwarders=forwarders,
        origin=origin,
        resources=resources,
        pressure=pressure,
        pushes=pushes or FakePushes(are_wanted=False),
    ).read()


def test_a_healthy_node_is_ready() -> None:
    assert read(GOOD) == Readiness(ready=True, probes=HEALTHY)


def test_one_issuer_with_keys_is_enough() -> None:
    assert read(STALE, GOOD, NONE).ready


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ([STALE, NONE], "old: timed out; none: no keys yet"),
        ([], "no issuer is set: add one under [[auth.issuers]]"),
    ],
)
def test_a_node_without_believed_keys_is_not_ready(
    keys: list[KeyStatistics], line: str
) -> None:
    assert read(*keys) == Readiness(ready=False, probes=HEALTHY | {"keys": line})


def test_stale_directives_are_a_line_and_no_more() -> None:
    readiness = read(GOOD, directives=FakeDirectives("directives.source: gone"))

    assert readiness == Readiness(
        ready=True, probes=HEALTHY | {"directives": "directives.source: gone"}
    )
    assert read(GOOD, directives=FakeDirectives()).probes["directives"] == "ok"


def test_pushes_that_cannot_be_read_are_a_line_and_no_more() -> None:
    readiness = read(GOOD, pushes=FakePushes("no broker answers"))

    assert readiness == Readiness(ready=True, probes=HEALTHY | {"pushes": "no broker answers"})
    assert read(GOOD, pushes=FakePushes()).probes["pushes"] == "ok"


def test_a_lane_that_cannot_be_written_makes_the_node_unready() -> None:
    readiness = read(GOOD, spool=FakeSpool({Lane.BET: "I/O error"}))

    assert readiness == Readiness(ready=False, probes=HEALTHY | {"spool": "bet: I/O error"})


def test_a_leaving_node_is_not_ready() -> None:
    life = Life()
    life.leave()

    assert read(GOOD, life=life) == Readiness(ready=False, probes=HEALTHY | {"life": "leaving"})


def test_an_origin_that_is_down_is_a_line_and_no_more() -> None:
    readiness = read(GOOD, ailments={Lane.BET: "connection refused"})

    assert readiness.ready
    assert readiness.probes["forward.bet"] == "connection refused"


def test_a_lane_that_waits_in_a_publish_tells_what_its_topic_lacks() -> None:
    readiness = read(GOOD, outages={"edge.bet.v1": "edge.bet.v1 does not exist"})

    assert readiness.ready
    assert readiness.probes == HEALTHY | {
        "origin": "edge.bet.v1 does not exist",
        "forward.bet": "edge.bet.v1 does not exist",
    }


def test_what_a_forwarder_says_of_its_lane_goes_before_what_the_origin_says() -> None:
    outages = {"edge.bet.v1": "edge.bet.v1 does not exist"}
    readiness = read(GOOD, ailments={Lane.BET: "dead letters: no room"}, outages=outages)

    assert readiness.probes["forward.bet"] == "dead letters: no room"


def test_memory_above_the_watermark_is_a_line_and_no_more() -> None:
    readiness = read(GOOD, memory_max=1)

    assert readiness.ready
    assert readiness.probes["memory"].endswith(" bytes of 1: no new connections")


def test_what_telemetry_is_shed_for_is_a_line_and_no_more() -> None:
    readiness = read(GOOD, scarce={"spool": True, "disk": False, "memory": True})

    assert readiness.ready
    assert readiness.probes == HEALTHY | {"telemetry": "shed for want of spool, memory"}


def test_lanes_and_a_disk_that_are_full_are_lines_and_no_more() -> None:
    spool = FakeSpool(room={Lane.BET: 0, Lane.WALLET: FULL_BYTES - 1, Lane.GAME: FULL_BYTES})
    readiness = read(GOOD, spool=spool, scarce={"disk": True})

    assert readiness.ready
    assert readiness.probes == HEALTHY | {
        "room": "wallet, bet: lane_full until the origin takes what waits",
        "disk": "full: every lane answers lane_full until there is room",
        "telemetry": "shed for want of disk",
    }


def test_a_lane_is_open_or_full_or_failed() -> None:
    lanes = {
        Lane.BET: lane_statistics(room_bytes=FULL_BYTES),
        Lane.GAME: lane_statistics(room_bytes=FULL_BYTES - 1),
        Lane.WALLET: lane_statistics(complaint="EIO", room_bytes=0),
    }

    assert lane_states(lanes, is_disk_full=False) == {
        "bet": "open",
        "game": "full",
        "wallet": "failed",
    }


def test_no_lane_is_open_on_a_full_disk() -> None:
    lanes = {
        Lane.BET: lane_statistics(),
        Lane.WALLET: lane_statistics(complaint="EIO"),
    }

    assert lane_states(lanes, is_disk_full=True) == {"bet": "full", "wallet": "failed"}
