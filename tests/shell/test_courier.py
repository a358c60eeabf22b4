"""A courier never makes anybody wait, keeps within its bounds, and counts what it drops."""

import logging
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from edge.core.backoff import SPAN_MIN_NS
from edge.core.instant import NS_PER_S
from edge.shell import courier
from edge.shell.courier import Courier, CourierStatistics
from edge.shell.deliver import BATCH_BYTES_MAX
from edge.shell.forward import Timing
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
from tests.fakes import FakeClock, later
from tests.fakes_forward import LANE, Outcome, RecordingOrigin, stored


def record(number: int, size: int = 0, key: bytes = b"k") -> Outgoing:
    """One record, its value padded to at least *size* bytes."""
    value = stored(number).value
    return Outgoing(key, value[:-1] + b" " * (size - len(value)) + b"}")


@dataclass
class Post:
    """A courier, and time that passes when it waits."""

    origin: RecordingOrigin = field(default_factory=RecordingOrigin)
    pauses_s: list[float] = field(default_factory=list[float])
    clock: FakeClock = field(default_factory=FakeClock)
    on_pause: Callable[[], object] = lambda: None

    def __post_init__(self) -> None:
        timing = Timing(self.clock, random.Random(0), self._pause)  # noqa: S311  # a seed replays
        self.courier = Courier(LANE.topic, self.origin, timing)

    def carry(self) -> None:
        """Start, carry all there is, end."""
        self.courier.start()
        self.courier.begin_drain()
        self.end()

    def end(self) -> None:
        """See that it ends, having been told; its clock may have run far ahead."""
        assert self.courier.join(later(1e6, than=self.clock.now()).steady_ns)

    def _pause(self, _: threading.Event, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.clock.advance(seconds)
        self.on_pause()


@pytest.fixture
def post() -> Post:
    """A courier that is not started."""
    return Post()


def test_what_is_offered_arrives_in_order_and_in_batches(post: Post) -> None:
    for number in range(1, 3201):
        post.courier.offer(record(number))

    post.carry()

    assert [len(batch) for batch in post.origin.batches] == [1500, 1500, 200]
    assert post.origin.numbers() == list(range(1, 3201))
    assert post.courier.statistics() == CourierStatistics(published=3200, dropped=0)


@pytest.mark.parametrize(
    ("offered", "taken", "size"),
    [
        (courier.QUEUE_RECORDS_MAX + 7, courier.QUEUE_RECORDS_MAX, 0),
        (6, 4, courier.QUEUE_BYTES_MAX // 4 - 1),
    ],
    ids=["records", "bytes"],
)
def test_what_finds_no_room_is_dropped_and_counted(
    post: Post, offered: int, taken: int, size: int
) -> None:
    for number in range(1, offered + 1):
        post.courier.offer(record(number, size))

    post.carry()

    assert post.origin.numbers() == list(range(1, taken + 1))
    assert post.courier.statistics() == CourierStatistics(taken, offered - taken)


def test_room_comes_back_when_records_are_gone(post: Post) -> None:
    post.courier.start()
    arrived = threading.Event()
    post.origin.before_publish = arrived.set
    for number in range(1, 10):
        arrived.clear()
        post.courier.offer(record(number, BATCH_BYTES_MAX // 2, bytes(BATCH_BYTES_MAX // 2)))
        assert arrived.wait(10)
    post.courier.begin_drain()
    post.end()

    assert post.courier.statistics() == CourierStatistics(published=9, dropped=0)


def test_an_outage_costs_nothing_that_fits(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    post.origin.script = [Outcome.LOST, Outcome.HALF, Outcome.UNTOLD]
    for number in (1, 2):
        post.courier.offer(record(number))
    arrived = threading.Event()
    post.origin.before_publish = lambda: None if post.origin.script else arrived.set()

    post.courier.start()
    assert arrived.wait(10)
    post.courier.begin_drain()
    post.end()

    assert post.origin.numbers() == [1, 2]
    assert len(post.pauses_s) == 3
    assert [each.message for each in caplog.records] == [
        "publishing waits",
        "publishing again",
    ]


def test_an_outage_that_the_origin_has_logged_is_not_logged_again(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    causes = [OriginUnavailable("away")]
    causes[0].is_told = True

    def fail_once() -> None:
        if causes:
            raise causes.pop()

    post.origin.before_publish = fail_once
    post.courier.offer(record(1))

    post.carry()

    assert post.origin.numbers() == [1]
    assert caplog.records == []


def test_what_the_origin_refuses_is_dropped_and_its_neighbours_arrive(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.origin.poison = frozenset({2})
    for number in (1, 2, 3):
        post.courier.offer(record(number))

    post.carry()

    assert post.origin.numbers() == [1, 3]
    assert post.courier.statistics() == CourierStatistics(published=2, dropped=1)
    assert [each.message for each in caplog.records] == ["not wanted by the origin"]


def test_a_refusal_is_logged_without_the_words_of_whoever_refuses(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: RecordingOrigin, __: str, records: Sequence[Outgoing]) -> list[Refusal]:
        return [Refusal(n, "answers 422: player-1: excluded") for n in range(len(records))]

    monkeypatch.setattr(RecordingOrigin, "publish", refuse)
    post = Post()
    post.courier.offer(record(1))

    post.carry()

    assert [vars(each)["cause"] for each in caplog.records] == ["answers 422"]


def test_an_outage_does_not_keep_it_from_ending_when_told(post: Post) -> None:
    post.origin.closed.set()
    post.courier.offer(record(1))
    failed = threading.Event()
    post.on_pause = failed.set
    post.courier.start()
    assert failed.wait(10)

    post.courier.abandon()

    post.end()


def test_a_bug_is_told_and_the_courier_lives_on(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    bugs = [ZeroDivisionError("bug")]

    def fail_once() -> None:
        if bugs:
            raise bugs.pop()

    post.origin.before_publish = fail_once
    post.courier.offer(record(1))

    post.carry()

    assert post.origin.numbers() == [1]
    assert caplog.records[0].exc_info is not None


def test_an_origin_that_hangs_holds_up_no_offer_and_is_left_when_told(post: Post) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(10)

    post.origin.before_publish = hang
    post.courier.start()
    post.courier.offer(record(1))
    assert hangs.wait(10)

    for number in range(2, 3 + courier.QUEUE_RECORDS_MAX):
        post.courier.offer(record(number))
    post.courier.begin_drain()
    assert not post.courier.join(post.clock.now().steady_ns)
    post.courier.abandon()
    goes_on.set()

    post.end()
    assert post.origin.closed.is_set()
    assert post.courier.statistics() == CourierStatistics(published=0, dropped=2)


def test_who_waits_for_records_is_told_of_the_first_and_of_the_end(post: Post) -> None:
    arrived = threading.Event()
    post.origin.before_publish = arrived.set
    post.courier.start()

    post.courier.offer(record(1))
    assert arrived.wait(10)
    post.courier.begin_drain()

    post.end()


def test_who_waits_for_records_ends_when_abandoned(post: Post) -> None:
    post.courier.start()

    post.courier.abandon()

    post.end()


def test_one_that_was_never_started_has_ended(post: Post) -> None:
    assert post.courier.join(0)


def test_after_a_success_an_outage_is_waited_out_as_if_it_were_the_first(post: Post) -> None:
    post.origin.script = [*[Outcome.LOST] * 4, Outcome.TAKEN, Outcome.LOST]
    for number in (1, 2):
        post.courier.offer(record(number, BATCH_BYTES_MAX))

    post.carry()

    first_s = SPAN_MIN_NS / NS_PER_S
    assert post.pauses_s[3] > first_s > post.pauses_s[4]


def test_an_origin_closed_before_it_ends_is_not_worth_a_line(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.origin.closed.set()
    post.courier.offer(record(1))
    post.on_pause = post.courier.abandon
    post.courier.begin_drain()

    post.courier.start()
    post.end()

    assert caplog.records == []


def test_nothing_offered_is_nothing_sent(post: Post) -> None:
    post.carry()

    assert post.origin.batches == []
