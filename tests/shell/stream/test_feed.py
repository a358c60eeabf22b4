"""``edge.shell.stream.feed``: from the end on, through outages, and past what is no push."""

import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.core.laggards import Parcel
from edge.core.push import PUSH_TOPIC, Fault
from edge.shell.forward import Timing
from edge.shell.stream import feed as feed_module
from edge.shell.stream.feed import ILL_NS, TELL_NS, Feed
from origin_client.open import open_origin, open_reader
from origin_client.origin import OriginError, OriginUnavailable, Outgoing
from tests.fakes import FakeClock
from tests.fakes_kafka import wait_until
from tests.fakes_push import ScriptedTopic, number_in, push_record, push_value

MINUTE_S = TELL_NS / 1e9


@dataclass
class TellingTopic(ScriptedTopic):
    """Knows by itself whether it can be read.

    Attributes:
        ailment: Why not.
    """

    ailment: str | None = None

    def health(self, topic: str) -> str | None:
        """What it was told last."""
        assert topic == PUSH_TOPIC
        return self.ailment


@dataclass
class Scene:
    """A feed of a scripted topic, and what comes of it.

    Attributes:
        topic: What is read.
        clock: Moves by each pause.
        given: Which pushes.
        pauses: How long each wait was, s.
        stood: How often the feed told that it knows where to begin.
    """

    topic: ScriptedTopic
    clock: FakeClock = field(default_factory=FakeClock)
    given: list[int] = field(default_factory=list[int])
    pauses: list[float] = field(default_factory=list[float])
    stood: int = 0

    def __post_init__(self) -> None:
        rng = random.Random(1)  # noqa: S311  # replayable, no secret
        timing = Timing(self.clock, rng, self._pause)
        self.feed = Feed(self.topic, self._give, self._stand, timing)

    def steps(self, count: int) -> None:
        """Have the feed follow so many times."""
        for _ in range(count):
            self.feed.step()

    def _give(self, parcel: Parcel) -> None:
        self.given.append(number_in(parcel.frame))

    def _stand(self) -> None:
        self.stood += 1

    def _pause(self, closed: threading.Event, seconds: float) -> None:
        assert not closed.is_set()
        self.pauses.append(seconds)
        self.clock.advance(seconds)


def told(caplog: pytest.LogCaptureFixture) -> list[object]:
    return [record.__dict__.get("cause") for record in caplog.records]


def test_it_begins_at_the_end_and_says_so_once() -> None:
    scene = Scene(ScriptedTopic([{0: 7, 1: 3}], [[push_record(7)], [push_record(8)]]))

    scene.steps(2)

    assert scene.topic.positions == [{0: 7, 1: 3}, {0: 8, 1: 3}]
    assert (scene.given, scene.stood) == ([7, 8], 1)


def test_after_an_outage_it_goes_on_where_it_was() -> None:
    outage = OriginUnavailable("broker away")
    scene = Scene(
        ScriptedTopic(
            [{0: 7}],
            [[push_record(7), push_record(2, partition=4), outage], [outage], [push_record(8)]],
        )
    )

    scene.steps(3)

    assert scene.topic.positions == [{0: 7}, {0: 8, 4: 3}, {0: 8, 4: 3}]
    assert scene.given == [7, 2, 8]


def test_when_its_place_is_gone_it_goes_on_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    gone = OriginError("no offset 7 any more")
    scene = Scene(ScriptedTopic([{0: 7}, {0: 100}], [[gone], [push_record(100)]]))

    scene.steps(2)

    assert scene.topic.positions == [{0: 7}, {0: 100}]
    assert scene.given == [100]
    assert told(caplog) == ["no offset 7 any more"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (OriginUnavailable("no broker answers"), "no broker answers"),
        (OriginError("the options do not suit"), "the options do not suit"),
        (PermissionError(13, "Permission denied"), "unreadable: [Errno 13] Permission denied"),
    ],
)
def test_tries_go_on_with_growing_pauses_and_the_cause_is_told_once(
    caplog: pytest.LogCaptureFixture, fault: Exception, cause: str
) -> None:
    scene = Scene(ScriptedTopic([fault] * 6 + [{}], [[push_record(0)]]))

    scene.steps(6)
    assert scene.feed.health() == cause
    assert max(scene.pauses[:2]) < 1 < max(scene.pauses) < 5
    scene.steps(1)

    assert scene.given == [0]
    assert scene.feed.health() is None
    assert told(caplog) == [cause]


def test_a_push_ends_a_series_of_failures() -> None:
    outage = OriginUnavailable("away")
    scene = Scene(ScriptedTopic([*[outage] * 6, {}], [[push_record(0), outage]]))

    scene.steps(7)

    assert max(scene.pauses[:6]) > 0.1 > scene.pauses[6]


def test_a_bug_costs_one_try_and_is_told_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(ScriptedTopic([ZeroDivisionError("secret"), {}], [[push_record(0)]]))

    scene.steps(2)

    assert scene.given == [0]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_what_its_reader_has_told_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    outage = OriginUnavailable("told")
    outage.is_told = True
    scene = Scene(ScriptedTopic([outage]))

    scene.steps(1)

    assert scene.feed.health() == "told"
    assert told(caplog) == []


def test_a_new_cause_and_one_that_comes_back_later_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [OriginUnavailable(cause) for cause in ("a", "a", "b", "b")]
    scene = Scene(ScriptedTopic([*faults]))

    scene.steps(3)
    scene.clock.advance(MINUTE_S + 1)
    scene.steps(1)

    assert told(caplog) == ["a", "b", "b"]


def test_an_ailment_that_is_not_repeated_is_over() -> None:
    """A topic that nothing is written to yields no record that could say so."""
    scene = Scene(ScriptedTopic([OriginUnavailable("away"), {}]))

    scene.steps(2)
    assert scene.feed.health() == "away"
    scene.clock.advance(ILL_NS / 1e9)

    assert scene.feed.health() is None


def test_a_reader_that_knows_is_believed_when_nothing_failed_and_when_it_is_over() -> None:
    topic = TellingTopic([OriginUnavailable("away"), {}])
    scene = Scene(topic)

    topic.ailment = "does not exist"
    before = scene.feed.health()
    scene.steps(1)
    topic.ailment = "may not be used"
    scene.clock.advance(ILL_NS / 1e9 + 1)
    still = scene.feed.health()
    scene.steps(1)
    topic.ailment = None

    assert (before, still) == ("does not exist", "may not be used")
    assert scene.feed.health() is None


def test_a_bug_is_told_though_the_reader_knows_of_nothing() -> None:
    topic = TellingTopic([OriginUnavailable("away"), ZeroDivisionError(), {}])
    scene = Scene(topic)

    scene.steps(1)
    over = scene.feed.health()
    scene.steps(1)
    bug = scene.feed.health()
    scene.clock.advance(ILL_NS / 1e9)

    assert (over, bug, scene.feed.health()) == (None, "ZeroDivisionError", None)


def test_what_is_no_push_is_counted_skipped_and_told_without_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = [
        push_record(0, b"a secret"),
        push_record(1),
        push_record(2, push_value(2, pushto="player:nobody at all")),
        push_record(3, b"x" * 40_000),
        push_record(4),
    ]
    scene = Scene(ScriptedTopic([{}], [[*records]]))

    scene.steps(1)

    assert scene.given == [1, 4]
    assert scene.feed.faults == {Fault.MALFORMED: 2, Fault.TOO_LARGE: 1}
    (line,) = (record.__dict__ for record in caplog.records)
    assert (line["fault"], line["partition"], line["offset"]) == ("malformed", 0, 0)
    assert "secret" not in str(line)


def test_a_burst_of_faults_makes_a_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(ScriptedTopic([{}], [[push_record(n, b"?")] for n in range(10)]))

    for _ in range(10):
        scene.steps(1)
        scene.clock.advance(MINUTE_S / 4 + 1)

    assert [record.__dict__["skipped_so_far"] for record in caplog.records] == [1, 5, 9]


@pytest.fixture
def follow(tmp_path: Path) -> Callable[[Callable[[Parcel], None]], Feed]:
    """Follows a log in a thread."""

    def made(give: Callable[[Parcel], None]) -> Feed:
        reader = open_reader(f"log:{tmp_path}", {})
        timing = Timing(FakeClock(), random.Random(1))  # noqa: S311  # replayable, no secret
        feed = Feed(reader, give, stands.set, timing)
        feed.start()
        assert stands.wait(10)
        return feed

    stands = threading.Event()
    return made


def test_in_a_thread_it_reads_a_log_until_it_is_closed(
    tmp_path: Path, follow: Callable[[Callable[[Parcel], None]], Feed]
) -> None:
    origin = open_origin(f"log:{tmp_path}", {})
    given: list[int] = []
    origin.publish(PUSH_TOPIC, [Outgoing(b"all", push_value(1))])
    feed = follow(lambda parcel: given.append(number_in(parcel.frame)))
    origin.publish(PUSH_TOPIC, [Outgoing(b"all", push_value(n)) for n in (2, 3)])
    wait_until(lambda: given == [2, 3])
    assert feed.close()
    origin.publish(PUSH_TOPIC, [Outgoing(b"all", push_value(4))])
    origin.close()

    assert given == [2, 3]


def test_closing_waits_for_its_thread_no_longer_than_it_says(
    tmp_path: Path,
    follow: Callable[[Callable[[Parcel], None]], Feed],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "STOP_S", 0.01)
    origin, stuck, gate = (
        open_origin(f"log:{tmp_path}", {}),
        threading.Event(),
        threading.Event(),
    )

    def hang(_: Parcel) -> None:
        stuck.set()
        gate.wait()

    feed = follow(hang)
    origin.publish(PUSH_TOPIC, [Outgoing(b"all", push_value(1))])
    stuck.wait()
    assert not feed.close()
    gate.set()
    wait_until(feed.close)
    origin.close()


def test_a_feed_that_never_began_can_be_closed() -> None:
    scene = Scene(ScriptedTopic())

    assert scene.feed.close()
    scene.steps(1)

    assert scene.topic.is_closed
    assert scene.pauses == []


def test_a_failure_on_the_way_out_is_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(ScriptedTopic([OriginUnavailable("closed")]))
    scene.feed.close()

    scene.steps(1)

    assert told(caplog) == []
