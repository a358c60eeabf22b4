"""What is queued, numbered, framed and concluded; stories of loss are in ``test_session``."""

import json
import math
from typing import Any

import pytest

from loadtests.jitter import Jitter
from loadtests.ops import Limits, Refused, Verdicts, Welcome
from loadtests.outbox import (
    EVENT_BYTES_MAX,
    FRAMES_MAX,
    SPAN_MAX,
    Fate,
    Frame,
    Outbox,
    OutboxFullError,
    Outcome,
    Said,
)
from tests.fakes_replay import Longest
from tests.fakes_stream import SESSION, event


def outbox(*again: Said, next_seq: int = 1, events_max: int = 5_000) -> Outbox:
    return Outbox(Jitter(Longest(), 0.5, 4.0), again, next_seq, events_max=events_max)


def welcome(next_seq: int = 1, **limits: Any) -> Welcome:
    return Welcome(
        session=SESSION,
        next_seq=next_seq,
        server_time_ms=0,
        expires_at_ms=0,
        limits=Limits(**limits),
    )


def greeted(count: int, **limits: Any) -> Outbox:
    """With so many events, on a socket."""
    box = outbox()
    for number in range(count):
        box.put(event(number))
    box.greet(welcome(**limits))
    return box


def said(seq: int) -> Said:
    """What an earlier life had said."""
    whole = event(seq) | {"session": SESSION, "seq": seq}
    return Said(seq, f"e-{seq}", json.dumps(whole).encode())


def spoken(box: Outbox, number: int = 1, now_s: float = 0.0) -> Frame:
    frame = box.speak(number, now_s)
    assert frame is not None
    return frame


def seqs(frame: Frame) -> list[int]:
    return [each["seq"] for each in json.loads(frame.payload)["events"]]


def done(settled: int, *refused: Refused, retry_after_ms: int | None = None) -> Verdicts:
    return Verdicts(settled, settled, [], [*refused], retry_after_ms)


def accepted(*numbers: int) -> list[Fate]:
    """The fates of events that were put in order."""
    return [Fate(seq, f"e-{seq - 1}", Outcome.ACCEPTED) for seq in numbers]


def test_events_get_session_and_number_when_they_leave() -> None:
    box = outbox()
    box.put(event(0))
    box.put(event(1))
    box.greet(welcome(58))

    frame = spoken(box)

    assert json.loads(frame.payload) == {
        "op": "events",
        "events": [
            event(0) | {"session": SESSION, "seq": 58},
            event(1) | {"session": SESSION, "seq": 59},
        ],
    }
    assert [each[:2] for each in frame.fresh] == [(58, "e-0"), (59, "e-1")]
    assert frame.fresh[0].encoded in frame.payload


def test_a_number_is_never_given_again_whatever_a_gateway_has_forgotten() -> None:
    box = greeted(1)
    spoken(box)
    box.hear(done(1), 0.0)
    box.put(event(1))
    box.greet(welcome(1))

    assert seqs(spoken(box)) == [2]


def test_a_later_life_goes_on_with_its_own_numbers_and_sends_first_what_is_unsettled() -> None:
    box = outbox(said(7), said(5), next_seq=9)
    box.put(event(9))
    box.greet(welcome(3))

    assert seqs(spoken(box)) == [5, 7]
    assert box.unsettled == 3
    box.hear(done(9), 0.0)
    assert seqs(spoken(box, 2)) == [9]


def test_what_is_unsettled_alone_says_which_number_is_next() -> None:
    box = outbox(said(7))
    box.put(event(9))
    box.greet(welcome())
    spoken(box)
    box.hear(done(0), 0.0)

    assert seqs(spoken(box, 2)) == [8]


def test_a_full_outbox_takes_nothing_more_until_something_has_its_fate() -> None:
    box = outbox(events_max=2)
    box.put(event(0))
    box.put(event(1))
    with pytest.raises(OutboxFullError):
        box.put(event(2))
    box.greet(welcome())
    spoken(box)
    with pytest.raises(OutboxFullError):
        box.put(event(2))

    box.hear(done(1), 0.0)

    box.put(event(2))
    assert box.unsettled == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": {}},
        {"id": 5},
        event(0) | {"seq": 1},
        event(0) | {"session": SESSION},
        event(0, size=EVENT_BYTES_MAX),
    ],
    ids=["no id", "an id of another type", "a number", "a session", "too large"],
)
def test_what_cannot_be_sent_is_refused_at_once(wrong: dict[str, Any]) -> None:
    box = outbox()

    with pytest.raises(ValueError, match=r"event has an id|fit into no frame"):
        box.put(wrong)

    assert box.unsettled == 0


def test_the_largest_event_fits_into_a_frame() -> None:
    box = outbox()
    box.put(event(0, size=EVENT_BYTES_MAX - len(json.dumps(event(0), separators=(",", ":")))))
    box.greet(welcome(2**31 - 1))

    assert len(spoken(box).payload) <= Limits().frame_bytes


def test_a_frame_holds_as_many_events_as_it_may() -> None:
    box = greeted(450)

    assert [len(seqs(spoken(box, number))) for number in (1, 2, 3)] == [200, 200, 50]
    assert box.speak(4, 0.0) is None


def test_a_frame_is_as_large_as_it_may_be_and_no_larger() -> None:
    box = outbox()
    for number in range(40):
        box.put(event(number, size=7_000))
    box.greet(welcome())

    first = spoken(box)

    assert 65_536 - 7_200 < len(first.payload) <= 65_536
    box.lose()
    box.greet(welcome())
    assert spoken(box).payload == first.payload


def test_an_event_larger_than_this_gateways_frames_goes_alone_and_is_its_to_refuse() -> None:
    box = outbox()
    for number in range(2):
        box.put(event(number, size=900))
    box.greet(welcome(frame_bytes=500))

    assert seqs(spoken(box)) == [1]
    box.lose()
    box.greet(welcome(frame_bytes=500))
    assert seqs(spoken(box)) == [1]


def test_no_more_frames_are_under_way_than_may_be() -> None:
    box = greeted(100, events=1)

    frames = [box.speak(number, 0.0) for number in range(1, 100)]

    assert [frame for frame in frames if frame] == frames[:FRAMES_MAX]
    assert box.hear(done(1), 0.0) == accepted(1)
    assert seqs(spoken(box, 17)) == [17]


def test_no_more_bytes_are_under_way_than_the_gateway_takes() -> None:
    box = outbox()
    for number in range(10):
        box.put(event(number, size=900))
    box.greet(welcome(events=1, frame_bytes=1_100, in_flight_bytes=3_300))

    frames = [box.speak(number, 0.0) for number in range(1, 10)]

    assert sum(frame is not None for frame in frames) == 3


def test_numbers_under_way_never_span_more_than_the_window() -> None:
    box = greeted(1_500)
    for number in range(1, 8):
        box.speak(number, 0.0)

    highest = 2 * SPAN_MAX
    box.hear(Verdicts(0, highest, [(1, 1)], []), 0.0)

    assert box.unsettled == 1 + 1_500 - SPAN_MAX
    assert box.speak(8, 0.0) is None
    box.hear(done(highest), 0.0)
    assert seqs(spoken(box, 9))[0] == SPAN_MAX + 1


def test_a_word_may_conclude_some_events_of_several_frames() -> None:
    box = greeted(6, events=3)
    spoken(box, 1)
    spoken(box, 2)

    refused = Refused(2, 0, "stake_limit", retryable=False, pointer="/data/stake")
    fates = box.hear(Verdicts(1, 5, [(2, 3)], [refused]), 0.0)

    assert fates == [
        *accepted(1),
        Fate(4, "e-3", Outcome.REFUSED, "stake_limit", "/data/stake"),
        *accepted(5),
    ]
    assert box.unsettled == 3
    assert box.hear(done(6), 0.0) == accepted(2, 3, 6)


def test_shed_is_a_fate_of_its_own() -> None:
    box = greeted(1)
    spoken(box)

    assert box.hear(done(1, Refused(1, 0, "lane_shed", retryable=False)), 0.0) == [
        Fate(1, "e-0", Outcome.SHED, "lane_shed")
    ]


def test_a_refused_frame_refuses_all_that_it_holds() -> None:
    box = greeted(3, events=2)
    spoken(box, 1)
    spoken(box, 2)

    fates = box.hear(done(0, Refused(1, None, "body_malformed", retryable=False)), 0.0)

    assert [(fate.seq, fate.outcome) for fate in fates] == [(1, "refused"), (2, "refused")]
    assert box.contradictions == 0


def test_what_is_refused_for_now_goes_again_after_the_time_before_anything_new() -> None:
    box = greeted(3, events=3)
    spoken(box, 1)
    for number in (3, 4):
        box.put(event(number))
    spoken(box, 2)
    later = [Refused(1, index, "rate_exceeded", retryable=True) for index in (2, 0)]

    assert box.hear(Verdicts(0, 2, [(1, 1)], later, 1_000), 10.0) == accepted(2)

    box.put(event(5))
    assert box.due_s == math.inf, "the second frame is under way"
    assert box.speak(3, 60.0) is None
    box.hear(Verdicts(0, 5, [(1, 1), (3, 3)], []), 10.0)
    assert box.due_s == 11.5, "a second, and jitter on top"
    assert box.speak(3, 11.4) is None
    assert seqs(spoken(box, 3, 11.5)) == [1, 3]
    assert box.speak(4, 11.5) is None, "one frame at a time"
    assert box.hear(done(5), 12.0) == accepted(1, 3)
    assert seqs(spoken(box, 4, 12.0)) == [6]


def test_tries_that_lead_to_nothing_come_more_and_more_seldom() -> None:
    box = greeted(1)
    waits_s: list[float] = []
    for number in range(1, 6):
        spoken(box, number, 100.0 * number)
        box.hear(done(0, Refused(number, 0, "lane_full", retryable=True)), 100.0 * number)
        waits_s.append(box.due_s - 100.0 * number)

    assert waits_s == [0.5, 1.0, 2.0, 4.0, 4.0]


def test_the_time_to_wait_outlives_the_socket() -> None:
    box = greeted(1)
    spoken(box)
    box.hear(done(0, Refused(1, 0, "lane_full", retryable=True), retry_after_ms=5_000), 0.0)
    box.lose()
    box.greet(welcome())

    assert box.speak(1, 5.4) is None
    assert seqs(spoken(box, 1, 5.5)) == [1]


def test_what_a_lost_socket_owed_goes_again_in_order_one_frame_at_a_time() -> None:
    box = greeted(4, events=2)
    frames = [spoken(box, 1), spoken(box, 2)]
    box.hear(Verdicts(0, 2, [(1, 1)], []), 0.0)
    box.put(event(4))
    box.lose()
    box.greet(welcome(3, events=2))

    assert seqs(spoken(box, 1)) == [1, 3]
    assert box.speak(2, 0.0) is None
    assert box.hear(done(4), 0.0) == accepted(1, 3), "4 was not sent on this socket"
    assert spoken(box, 2).payload == frames[1].payload.replace(
        frames[1].fresh[0].encoded + b",", b""
    )
    assert box.hear(done(4), 0.0) == accepted(4)
    assert seqs(spoken(box, 3)) == [5]


def test_a_refusal_that_was_never_heard_is_not_taken_for_acceptance() -> None:
    """The gateway gave 1 up on the lost socket, and counts it as settled; it judges anew."""
    box = greeted(1)
    spoken(box)
    box.lose()
    box.greet(welcome(2))
    spoken(box)

    fates = box.hear(done(1, Refused(1, 0, "schema_violation", retryable=False)), 0.0)

    assert fates == [Fate(1, "e-0", Outcome.REFUSED, "schema_violation")]


def test_after_a_loss_a_word_is_about_the_frame_whatever_it_says_of_numbers() -> None:
    """A gateway with many gaps tells old ones as one coarse range."""
    box = greeted(1)
    spoken(box)
    box.lose()
    box.greet(welcome(900))
    spoken(box)

    assert box.hear(Verdicts(0, 900, [(1, 800)], []), 0.0) == accepted(1)


def test_a_word_while_two_frames_are_under_way_may_be_about_either() -> None:
    box = greeted(2, events=1)
    spoken(box, 1)
    spoken(box, 2)

    assert box.hear(Verdicts(0, 2, [(1, 1)], []), 0.0) == accepted(2)
    assert box.hear(Verdicts(0, 2, [(1, 1)], []), 0.0) == [], "the second may be late"
    assert box.hear(done(2), 0.0) == accepted(1)


def test_a_late_word_about_an_earlier_frame_is_none_about_what_goes_again() -> None:
    """A frame's numbers may all be done before the gateway has concluded it."""
    box = greeted(2, events=1)
    spoken(box, 1)
    spoken(box, 2)
    later = Refused(1, 0, "lane_full", retryable=True)
    assert box.hear(Verdicts(0, 2, [(1, 1)], [later]), 0.0) == accepted(2)
    spoken(box, 3, 9.0)

    assert box.hear(Verdicts(0, 2, [(1, 1)], []), 9.0) == []
    assert box.hear(done(2), 9.0) == accepted(1)


def test_a_late_word_is_none_about_what_goes_again_beside_a_token_either() -> None:
    box = greeted(2)
    spoken(box, 1)
    assert box.step_aside(2, 0.0)
    later = [
        Refused(1, 0, "lane_full", retryable=True),
        Refused(2, None, "keys_unavailable", retryable=True),
    ]
    assert box.hear(Verdicts(0, 2, [(1, 1)], later), 0.0) == accepted(2)
    spoken(box, 3, 9.0)

    assert box.hear(Verdicts(0, 2, [(1, 1)], []), 9.0) == []


def test_a_frame_of_another_kind_waits_for_what_goes_again() -> None:
    box = greeted(1)
    assert box.step_aside(1, 0.0)
    box.lose()
    box.greet(welcome())
    spoken(box)
    box.lose()
    box.greet(welcome())
    spoken(box)

    assert not box.step_aside(2, 0.0)
    box.hear(done(1), 0.0)
    assert box.step_aside(2, 5.0)
    assert box.oldest_s == 5.0


def test_what_goes_again_waits_for_a_frame_of_another_kind() -> None:
    box = greeted(1)
    spoken(box)
    box.lose()
    box.greet(welcome())
    assert box.step_aside(1, 0.0)

    assert box.speak(2, 0.0) is None
    box.step_back()
    assert seqs(spoken(box, 2)) == [1]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_word_about_a_frame_of_another_kind_is_about_no_event(is_first: bool) -> None:  # noqa: FBT001  # a row
    box = greeted(1)
    if is_first:
        assert box.step_aside(1, 0.0)
        spoken(box, 2)
    else:
        spoken(box, 2)
        assert box.step_aside(1, 0.0)

    assert box.hear(done(0, Refused(1, None, "keys_unavailable", retryable=True)), 0.0) == []
    assert box.contradictions == 0
    assert box.hear(done(1), 0.0) == accepted(1)


def test_an_empty_frame_is_answered_and_gone() -> None:
    box = greeted(0)

    assert json.loads(box.knock(1, 3.0).payload) == {"op": "events", "events": []}
    assert box.oldest_s == 3.0
    box.put(event(0))
    spoken(box, 2, 4.0)
    assert box.hear(Verdicts(0, 0, [], []), 5.0) == [], "about the empty one"
    assert box.oldest_s == 4.0
    assert box.hear(done(1), 6.0) == accepted(1)
    assert box.oldest_s == math.inf


def test_a_word_about_what_has_its_fate_is_counted_and_changes_nothing() -> None:
    box = greeted(2)
    spoken(box)
    box.hear(Verdicts(1, 1, [], [Refused(1, 1, "stake_limit", retryable=False)]), 0.0)

    assert box.hear(done(2, Refused(1, 1, "stake_limit", retryable=False)), 0.0) == []
    assert box.hear(done(2, Refused(77, 0, "stake_limit", retryable=False)), 0.0) == []
    assert box.contradictions == 2
