"""``edge.shell.forward``: everything reaches the origin, or is dead, whatever the origin does."""

import asyncio
import errno
import logging
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from edge.config import SpoolSettings
from edge.core.backoff import TRIP_FAILURES
from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.record import Footprint, Record
from edge.shell import forward
from edge.shell.clock import SystemClock
from edge.shell.dead import DeadLetters
from edge.shell.deliver import BATCH_RECORDS_MAX
from edge.shell.forward import COMPANY_MS, NOTE_S, Forwarder, Statistics, Timing
from edge.shell.pace import Pace
from edge.shell.portion import PORTION_RECORDS_MIN
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.lane_spool import Quarantined, Stored
from edge.shell.spool.process import Spool
from origin_client.origin import OriginUnavailable, Outgoing
from tests.fakes import NOW, later
from tests.fakes_forward import (
    LANE,
    MemoryDeadLetters,
    Outcome,
    RecordingOrigin,
    World,
    damaged,
    stored,
)

NOW_MS = NOW.unix_ns // NS_PER_MS


def run_of(count: int) -> list[Stored | Quarantined]:
    return [stored(number, f"player-{number % 3:04d}") for number in range(1, count + 1)]


def test_a_lane_is_forwarded_oldest_first_in_full_batches() -> None:
    world = World(run_of(2 * BATCH_RECORDS_MAX + 200))

    world.forward()

    assert world.origin.numbers() == list(range(1, 2 * BATCH_RECORDS_MAX + 201))
    lengths = [len(batch) for batch in world.origin.batches]
    assert lengths == [BATCH_RECORDS_MAX, BATCH_RECORDS_MAX, 200]
    assert world.forwarder.statistics() == Statistics(forwarded=2 * BATCH_RECORDS_MAX + 200)
    assert world.forwarder.health() is None
    assert world.pauses_s == []


def test_of_100_records_the_37th_is_refused_and_the_origin_dies_at_the_60th() -> None:
    def die_at_60() -> None:
        world.origin.before_publish = lambda: None
        world.origin.log += [
            (frame.edgeseq, Outgoing(frame.key, frame.value))
            for frame in world.frames[:59]
            if isinstance(frame, Stored) and frame.edgeseq != 37
        ]
        raise OriginUnavailable("died at 60")

    world = World(
        run_of(100), RecordingOrigin(poison=frozenset({37}), before_publish=die_at_60)
    )

    world.forward()

    assert world.origin.numbers() == [*range(1, 37), *range(38, 101)]
    assert world.dead_letters.numbers() == [37]
    assert world.forwarder.statistics() == Statistics(
        forwarded=99,
        dead=1,
        failures=1,
    )


def test_who_is_refused_with_a_neighbour_is_tried_alone() -> None:
    world = World(run_of(6), RecordingOrigin(poison=frozenset({3}), is_strict=True))

    world.forward()

    assert world.origin.batches == [[1, 2, 3, 4, 5, 6], [3, 4], [3], [4], [5, 6]]
    assert world.origin.numbers() == [1, 2, 4, 5, 6]
    assert world.dead_letters.numbers() == [3]
    assert world.dead_letters.letters[0].reason == "poison among 1"


def test_who_is_tried_alone_is_tried_in_the_lanes_order() -> None:
    world = World(
        run_of(6), RecordingOrigin(poison=frozenset({3}), is_strict=True, is_backwards=True)
    )

    world.forward()

    assert world.origin.batches == [[1, 2, 3, 4, 5, 6], [3, 4], [3], [4], [5, 6]]


def test_who_was_refused_alone_is_not_asked_twice() -> None:
    world = World(run_of(1), RecordingOrigin(poison=frozenset({1})))

    world.forward()

    assert world.origin.batches == [[1]]
    assert world.dead_letters.numbers() == [1]


def test_a_record_too_large_is_dead_without_being_tried() -> None:
    large = stored(2, "p" * 500)
    world = World([stored(1), large, stored(3)], record_bytes_max=len(large.value) - 1)

    world.forward()

    assert world.origin.batches == [[1, 3]]
    assert world.dead_letters.numbers() == [2]
    assert world.dead_letters.letters[0].reason == f"larger than {len(large.value) - 1} bytes"


def test_dead_letters_are_told_once_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    world = World([stored(1), damaged(1), stored(2)], RecordingOrigin(poison=frozenset({2})))

    world.forward()

    [warning] = caplog.records
    assert warning.message == "dead letters"
    assert {name: vars(warning)[name] for name in ("lane", "refused", "damaged", "path")} == {
        "lane": LANE.value,
        "refused": 1,
        "damaged": 1,
        "path": str(world.lane.directory / "dead"),
    }


def test_a_record_just_not_too_large_is_forwarded() -> None:
    world = World([stored(1)], record_bytes_max=len(stored(1).value))

    world.forward()

    assert world.origin.numbers() == [1]


def test_a_frame_that_cannot_be_read_costs_itself() -> None:
    world = World([stored(1), damaged(1), stored(2)])

    world.forward()

    assert world.origin.batches == [[1, 2]]
    assert world.dead_letters.places() == [1]
    assert world.forwarder.statistics() == Statistics(forwarded=2)


def test_a_batch_of_nothing_but_damage_does_not_bother_the_origin() -> None:
    world = World([damaged(0), damaged(1)])

    world.forward()

    assert world.origin.batches == []
    assert world.dead_letters.places() == [0, 1]


def test_an_outage_ends_with_a_probe_of_one_record() -> None:
    world = World(run_of(10), RecordingOrigin(script=[Outcome.LOST] * (TRIP_FAILURES + 1)))

    world.forward()

    sizes = [len(batch) for batch in world.origin.batches]
    assert sizes == [10] * TRIP_FAILURES + [1, 1, 9]
    assert len(world.pauses_s) == TRIP_FAILURES + 1


def test_an_outage_is_named_while_it_lasts_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(run_of(1), RecordingOrigin(script=[Outcome.LOST] * 3))
    seen: list[str | None] = []
    world.on_pause = lambda: seen.append(world.forwarder.health())

    with caplog.at_level(logging.INFO, "edge.forward"):
        world.forward()

    assert seen == ["origin unavailable: lost"] * 3
    assert world.forwarder.health() is None
    assert world.forwarder.statistics().failures == 3
    assert [record.message for record in caplog.records] == [
        "forwarding waits",
        "forwarding again",
    ]


def test_an_outage_that_the_origin_has_logged_is_not_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(run_of(1))
    causes = [OriginUnavailable("away")]
    causes[0].is_told = True
    seen: list[str | None] = []
    world.on_pause = lambda: seen.append(world.forwarder.health())

    def fail_once() -> None:
        if causes:
            raise causes.pop()

    world.origin.before_publish = fail_once

    world.forward()

    assert seen == ["origin unavailable: away"]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("every_s", "told"),
    [(0, ["away"]), (NOTE_S, ["away", "full", "away", "full"])],
    ids=["at once", "slowly"],
)
def test_a_change_of_cause_is_logged_but_not_one_after_another(
    caplog: pytest.LogCaptureFixture, every_s: float, told: list[str]
) -> None:
    world = World(run_of(1))
    causes = ["away", "full", "away", "full", "full"]

    def fail() -> None:
        if causes:
            world.clock.advance(every_s)
            raise OriginUnavailable(causes.pop(0))

    world.origin.before_publish = fail

    world.forward()

    said = [each.__dict__["cause"] for each in caplog.records]
    assert said == [f"origin unavailable: {cause}" for cause in told]


def test_lanes_that_lost_the_same_origin_do_not_come_back_together() -> None:
    waits: list[float] = []
    for seed in range(2):
        world = World(run_of(1), RecordingOrigin(script=[Outcome.LOST]), seed=seed)
        world.forward()
        waits += world.pauses_s

    assert waits[0] != waits[1]


def test_the_lane_waits_while_its_dead_letters_have_no_room() -> None:
    origin = RecordingOrigin(poison=frozenset({2}))
    world = World(run_of(3), origin, MemoryDeadLetters(failures=2))
    seen: list[tuple[str | None, int]] = []
    world.on_pause = lambda: seen.append((world.forwarder.health(), world.lane.cursor.offset))

    world.forward()

    assert seen == [("dead letters: no room", 0)] * 2
    assert world.origin.batches == [[1, 2, 3], [2]], "nothing is published again meanwhile"
    assert world.dead_letters.numbers() == [2]
    assert world.forwarder.health() is None


def forward_live(world: World) -> None:
    """Start, and stop only once something was forwarded: a draining lane waits for nobody."""
    world.forwarder.start()
    assert world.lane.passed.wait(10)
    world.stop(10)


def test_a_small_young_batch_waits_for_company() -> None:
    world = World([stored(1, accepted_ms=NOW_MS - 5)])
    world.on_pause = lambda: world.frames.append(stored(2, accepted_ms=NOW_MS))

    forward_live(world)

    assert world.pauses_s == [(COMPANY_MS - 5) / 1000]
    assert world.origin.batches == [[1, 2]]


def test_a_draining_lane_waits_for_no_company() -> None:
    world = World([stored(1, accepted_ms=NOW_MS)])

    world.forwarder.begin_drain()
    world.forward()

    assert world.origin.numbers() == [1]
    assert world.pauses_s == []


@pytest.mark.parametrize(
    "frames",
    [
        [stored(1, accepted_ms=NOW_MS - COMPANY_MS)],
        [stored(n, accepted_ms=NOW_MS) for n in range(1, BATCH_RECORDS_MAX + 1)],
        [stored(n, "p" * 2_000, accepted_ms=NOW_MS) for n in range(1, 301)],
        [damaged(0)],
    ],
    ids=["old", "many", "large", "damaged"],
)
def test_an_old_or_a_full_batch_does_not_wait(frames: list[Stored | Quarantined]) -> None:
    world = World(frames)

    forward_live(world)

    assert world.pauses_s == []


def test_a_backlog_goes_in_portions_with_rests() -> None:
    world = World(run_of(2 * BATCH_RECORDS_MAX + 200))
    world.rest_s = lambda records: records / BATCH_RECORDS_MAX
    cursors: list[int] = []

    while world.lane.cursor.offset < len(world.frames):
        world.forwarder.step()
        cursors.append(world.lane.cursor.offset)

    lengths = [len(batch) for batch in world.origin.batches]
    assert lengths[0] == BATCH_RECORDS_MAX  # that a pace is to be kept is known from then on
    assert max(lengths[1:]) == PORTION_RECORDS_MIN
    assert world.origin.numbers() == list(range(1, len(world.frames) + 1))
    assert cursors == [BATCH_RECORDS_MAX, 2 * BATCH_RECORDS_MAX, len(world.frames)]
    # None behind the last batch, which is not even half full.
    assert world.pauses_s == [length / BATCH_RECORDS_MAX for length in lengths[:-1]]


def test_a_backlog_gives_way_and_is_patient_only_while_it_keeps_its_pace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(run_of(2 * BATCH_RECORDS_MAX + 200))
    rests_s = [0.5]
    world.rest_s = lambda _: rests_s.pop() if rests_s else 0.0
    gave_way: list[int] = []
    patience: list[bool] = []
    monkeypatch.setattr(forward, "rest", lambda: gave_way.append(len(world.origin.batches)))

    def be_patient(*, is_patient: bool) -> None:
        patience.append(is_patient)

    monkeypatch.setattr(forward, "be_patient", be_patient)

    while world.lane.cursor.offset < len(world.frames):
        world.forwarder.step()

    publishes = len(world.origin.batches)
    assert gave_way == list(range(publishes - 1))  # the last one is no backlog
    assert patience == [True] + [False] * (publishes - 1)


def test_a_backlog_that_need_not_rest_goes_in_full_batches() -> None:
    world = World(run_of(5 * BATCH_RECORDS_MAX))
    rests_s = [0.5]
    world.rest_s = lambda _: rests_s.pop() if rests_s else 0.0

    while world.lane.cursor.offset < len(world.frames):
        world.forwarder.step()

    assert [len(batch) for batch in world.origin.batches][-1] == BATCH_RECORDS_MAX
    assert world.pauses_s == [0.5]


@pytest.mark.parametrize("publish_ms", [5, 20, 40, 60, 80, 100, 120, 150, 180, 240])
def test_a_backlog_keeps_its_pace_however_long_a_publish_takes(publish_ms: int) -> None:
    """Three times what comes in is promised, as far as full batches one by one can do it."""
    world = World(run_of(16 * BATCH_RECORDS_MAX))
    came_per_s, begun_ns = 2000, world.clock.now().steady_ns

    def seconds() -> float:
        return (world.clock.now().steady_ns - begun_ns) / NS_PER_S

    world.rest_s = Pace(lambda: int(seconds() * came_per_s), world.clock).rest_s
    world.origin.before_publish = lambda: world.clock.advance(publish_ms / 1000)
    world.clock.advance(1)  # for the pace to know what comes in

    for _ in world.frames[::BATCH_RECORDS_MAX]:
        world.forwarder.step()

    assert world.lane.cursor.offset == len(world.frames)
    assert len(world.frames) / (seconds() - 1) >= 3 * came_per_s


def test_a_portion_grows_only_as_far_as_the_pace_needs() -> None:
    """Whoever sends events meanwhile is not to feel more of the backlog than that."""
    world = World(run_of(8 * BATCH_RECORDS_MAX))
    world.rest_s = lambda records: max(0.0, records / 8000 - 0.05)
    world.origin.before_publish = lambda: world.clock.advance(0.05)

    for _ in world.frames[::BATCH_RECORDS_MAX]:
        world.forwarder.step()

    lengths = {len(batch) for batch in world.origin.batches[-4:]}
    assert world.lane.cursor.offset == len(world.frames)
    assert max(lengths) <= 2 * 400  # in 50 ms


def test_a_draining_lane_does_not_rest() -> None:
    world = World(run_of(2 * BATCH_RECORDS_MAX))
    world.rest_s = lambda _: 1.0

    world.forwarder.begin_drain()
    world.forward()

    assert world.pauses_s == []


def test_a_lane_told_to_drain_within_a_batch_does_not_rest_any_more() -> None:
    world = World(run_of(2 * BATCH_RECORDS_MAX))
    world.rest_s = lambda _: 1.0
    world.forwarder.step()  # from now on a batch goes in portions
    world.pauses_s.clear()
    world.on_pause = world.forwarder.begin_drain

    world.forwarder.step()

    assert world.lane.cursor.offset == len(world.frames)
    assert world.pauses_s == [1.0]


def test_a_wall_clock_set_back_delays_by_no_more_than_company() -> None:
    world = World([stored(1, accepted_ms=NOW_MS + 3_600_000)])

    forward_live(world)

    assert world.pauses_s == [COMPANY_MS / 1000]


def test_a_bug_costs_a_round_and_not_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    world = World(run_of(3))
    world.lane.faults = [RuntimeError("planted"), ValueError("planted too")]

    world.forward()

    assert world.origin.numbers() == [1, 2, 3]
    assert world.forwarder.statistics().failures == 2
    assert sum(record.exc_info is not None for record in caplog.records) == 2


def test_a_spool_that_cannot_be_read_is_an_outage_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(run_of(3))
    world.lane.faults = [OSError(errno.EMFILE, "Too many open files")] * 3
    seen: list[str | None] = []
    world.on_pause = lambda: seen.append(world.forwarder.health())

    world.forward()

    assert seen == ["spool unreadable: [Errno 24] Too many open files"] * 3
    assert world.origin.numbers() == [1, 2, 3]
    assert world.dead_letters.letters == []
    assert [record.exc_info for record in caplog.records] == [None]


def test_a_lane_that_closes_under_a_reader_is_not_acknowledged() -> None:
    world = World(run_of(3))
    world.lane.faults = [None]

    forward_live(world)

    assert world.origin.batches == [[1, 2, 3]]


def test_what_was_published_and_not_acknowledged_is_the_same_again() -> None:
    """A process that dies in between; the recording origin compares the bytes."""
    world = World(run_of(20))
    before = world.lane.cursor
    world.forward()
    world.lane.cursor = before

    world.forwarder = world.new_forwarder()
    world.forward()

    assert len(world.origin.log) == 40
    assert world.origin.numbers() == list(range(1, 21))


def test_an_idle_forwarder_forwards_what_comes_and_stops_when_asked() -> None:
    world = World([])
    published = threading.Event()
    world.origin.before_publish = published.set
    world.forwarder.start()
    world.frames += run_of(2)
    assert published.wait(10)

    world.stop(10)

    assert world.origin.numbers() == [1, 2]


def test_what_comes_between_the_last_look_and_the_order_to_drain_is_forwarded() -> None:
    def arrive_too_late() -> None:
        world.lane.on_nothing = lambda: None
        world.frames.extend(run_of(2))
        world.forwarder.begin_drain()

    world = World([])
    world.lane.on_nothing = arrive_too_late
    world.forwarder.start()

    assert world.forwarder.join(world.clock.now().steady_ns + 10 * NS_PER_S)
    assert world.origin.numbers() == [1, 2]


def is_running() -> bool:
    return any(thread.name == f"forward-{LANE}" for thread in threading.enumerate())


def test_an_origin_that_does_not_answer_is_closed_at_the_deadline() -> None:
    def hang() -> None:
        world.origin.closed.wait()

    world = World(run_of(5), RecordingOrigin(before_publish=hang))
    world.forwarder.start()
    assert is_running()

    world.stop(0.01)

    assert not is_running()
    assert world.lane.cursor.offset == 0


def test_one_that_was_never_started_has_ended() -> None:
    assert World([]).forwarder.join(0)


def test_lanes_are_told_first_and_joined_later_by_one_deadline() -> None:
    def hang() -> None:
        world.origin.closed.wait()

    world = World(run_of(5), RecordingOrigin(before_publish=hang))
    world.forwarder.start()
    deadline_ns = world.clock.now().steady_ns

    world.forwarder.begin_drain()
    is_late = not world.forwarder.join(deadline_ns)
    world.forwarder.abandon()

    assert is_late
    assert world.forwarder.join(deadline_ns + 10 * NS_PER_S)


def test_a_lane_that_waits_for_room_ends_at_the_deadline() -> None:
    world = World([damaged(0)], dead_letters=MemoryDeadLetters(failures=1_000_000_000))
    waiting = threading.Event()
    world.on_pause = waiting.set
    world.forwarder.start()
    assert waiting.wait(10)

    world.stop(0.01)

    assert not is_running()
    assert world.lane.cursor.offset == 0


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A lane of up to 40 frames, an origin with faults, and dead letters with some."""
    frames: list[Stored | Quarantined] = []
    for place in range(draw(st.integers(0, 40))):
        if draw(st.integers(0, 9)) == 0:
            frames.append(damaged(place))
        else:
            frames.append(stored(place + 1, f"player-{draw(st.integers(0, 2)):04d}"))
    origin = RecordingOrigin(
        script=draw(st.lists(st.sampled_from(Outcome), max_size=20)),
        poison=frozenset(draw(st.sets(st.integers(1, 40), max_size=6))),
        is_strict=draw(st.booleans()),
    )
    world = World(
        frames, origin, MemoryDeadLetters(draw(st.integers(0, 2))), seed=draw(st.integers())
    )
    world.lane.frames_max = draw(st.integers(1, 12))
    return world


@given(world=worlds())
def test_whatever_the_origin_does_each_record_is_delivered_in_order_or_dead_once(
    world: World,
) -> None:
    world.forward()

    by_key: dict[bytes, list[int]] = {}
    for frame in world.frames:
        if isinstance(frame, Stored) and frame.edgeseq not in world.origin.poison:
            by_key.setdefault(frame.key, []).append(frame.edgeseq)
    refused = [
        frame.edgeseq
        for frame in world.frames
        if isinstance(frame, Stored) and frame.edgeseq in world.origin.poison
    ]
    quarantined = [
        place for place, frame in enumerate(world.frames) if isinstance(frame, Quarantined)
    ]
    assert world.origin.orders() == by_key
    assert world.dead_letters.numbers() == refused
    assert world.dead_letters.places() == quarantined
    assert world.lane.cursor.offset == len(world.frames)
    statistics = world.forwarder.statistics()
    assert statistics.forwarded == sum(map(len, by_key.values()))
    assert statistics.dead == len(refused)


async def accept(spool: Spool, count: int) -> None:
    """Put *count* records into a spool's lane, synced."""
    commits: list[Commit] = []
    for number in range(count):
        envelope = b'{"id":"%d"}' % number
        record = Record(
            b"player-0001", NOW_MS + number, Footprint(NOW_MS, number + 1, 1), envelope
        )
        commits.append(spool.append(LANE, record))
    for commit in commits:
        assert await commit.synced() is Synced.HELD


def test_the_spools_own_lane_is_forwarded_and_its_dead_are_on_disk(tmp_path: Path) -> None:
    origin = RecordingOrigin(script=[Outcome.HALF], poison=frozenset({37}))
    dead_letters = DeadLetters(OsDisk(), tmp_path / "0" / LANE / "dead", bytes_max=1 << 20)

    async def live() -> Statistics:
        spool = Spool.open(SpoolSettings(path=str(tmp_path), allow_volatile=True))
        spool.start(asyncio.get_running_loop(), lambda _commit, _held: None)
        forwarder = Forwarder(
            LANE,
            spool.lane(LANE),
            origin,
            dead_letters,
            Timing(SystemClock(), random.Random(0)),  # noqa: S311  # a seed replays
        )
        forwarder.start()
        await accept(spool, 100)
        forwarder.begin_drain()
        deadline = later(10, than=SystemClock().now()).steady_ns
        assert await asyncio.to_thread(forwarder.join, deadline)
        await asyncio.to_thread(spool.close)
        return forwarder.statistics()

    statistics = asyncio.run(live())

    assert (statistics.forwarded, statistics.dead) == (99, 1)
    assert origin.numbers() == [*range(1, 37), *range(38, 101)]
    (path,) = (tmp_path / "0" / LANE / "dead").glob("*.jsonl")
    assert b'"edgeseq":"37"' in path.read_bytes()
    spool = Spool.open(SpoolSettings(path=str(tmp_path), allow_volatile=True))
    assert not spool.lane(LANE).wait(spool.lane(LANE).cursor, 0)
    spool.close()


def test_who_has_no_thread_forwards_step_by_step() -> None:
    world = World(run_of(3))
    world.forwarder.begin_drain()

    assert world.forwarder.step()
    assert world.origin.numbers() == [1, 2, 3]
    assert not world.forwarder.step()


def test_an_abandoned_forwarder_takes_no_step() -> None:
    world = World(run_of(3))
    world.forwarder.abandon()

    assert not world.forwarder.step()
    assert world.origin.numbers() == []
