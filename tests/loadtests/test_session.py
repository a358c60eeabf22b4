"""Whatever is lost, cut or killed: every event ends once, as the gateway judged it, in order."""

import json
import math
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from loadtests.ops import NotUnderstoodError, Push
from loadtests.outbox import Fate, Outcome
from loadtests.reconnect import LATE_S, Loss
from loadtests.session import (
    Act,
    Connect,
    Fetch,
    HangUp,
    Over,
    Rules,
    Say,
    Session,
    Told,
    Wait,
)
from tests.fakes_replay import Longest
from tests.fakes_stream import SESSION, FakeGateway, FakeSocket, event
from tests.loadtests.story import Step, Story

USUAL: Final = ("go", "up", "commit", "report", "down") * 3 + ("wait",)
RARE: Final = (
    *("cut", "hold", "kill gateway", "kill client", "bye", "deny"),
    *("lose", "ghost"),
)
SMALL: Final = st.integers(0, 4)
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 9), SMALL),
        st.tuples(st.sampled_from(["go", "up", "down", "commit", "report"]), SMALL, SMALL),
        st.tuples(st.sampled_from(["go", "up", "down", "commit", "report"]), SMALL, SMALL),
        st.tuples(
            st.sampled_from([*RARE, "wait"]),
            SMALL,
            SMALL,
        ),
    ),
    max_size=120,
)


@given(seed=st.integers(0, 10**6), steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_every_event_ends_once_and_as_it_was_judged(seed: int, steps: list[Step]) -> None:
    story = Story(seed)
    for step in steps:
        story.take(step)

    story.run_out()

    story.check()


@pytest.mark.parametrize("seed", range(40))
def test_the_same_holds_over_long_stretches(seed: int) -> None:
    """Hypothesis keeps its stories short; these have hundreds of events and dozens of kills."""
    story = Story(seed, in_flight_bytes=200_000)
    rng = Random(seed)  # noqa: S311  # replayable, no secret
    for _ in range(3_000):
        if rng.random() < 0.3 and story.session.outbox.unsettled < 500:
            story.take(("put", rng.randrange(10), rng.randrange(5)))
        name = rng.choice(RARE if rng.random() < 0.012 else USUAL)
        story.take((name, rng.randrange(3), rng.randrange(5)))
    # Else it was a story of somebody who waits.
    assert len(story.fates) > 100

    story.run_out()

    story.check()


def opened(token_s: float = 900.0, **rules: float) -> tuple[Session, FakeGateway, FakeSocket]:
    """A client whose socket is welcomed at 0 s."""
    gateway = FakeGateway(Random(1), token_s=token_s)  # noqa: S311  # replayable, no secret
    session = Session(Longest(), Rules(**rules))
    socket = join(session, gateway, 0.0)
    return session, gateway, socket


def join(session: Session, gateway: FakeGateway, now_s: float) -> FakeSocket:
    assert isinstance(session.act(now_s), Connect)
    assert session.act(now_s) == Wait(math.inf)
    session.opened(now_s)
    socket = gateway.welcome()
    assert session.hear(socket.said.pop(0), now_s) == []
    assert session.is_open
    return socket


def said(act: Act) -> dict[str, Any]:
    """What is to be sent."""
    assert isinstance(act, Say)
    found: dict[str, Any] = json.loads(act.frame.payload)
    return found


def tell(session: Session, now_s: float, **word: Any) -> list[Told]:
    return session.hear(json.dumps(word), now_s)


def test_a_gateway_that_does_not_greet_is_left() -> None:
    session = Session(Longest(), Rules())
    session.act(0.0)
    session.opened(1.0)

    assert session.act(5.0) == Wait(11.0)
    assert session.act(11.0) == HangUp("greeting took too long")
    assert session.act(11.0) == Wait(math.inf)
    session.lose(Loss(), 11.1)
    assert session.act(11.1) == Wait(11.35)
    assert session.act(11.35) == Connect(needs_new_token=False)


def test_a_gateway_that_does_not_judge_is_left_and_the_events_go_again() -> None:
    session, gateway, _ = opened()
    session.outbox.put(event(0))
    assert said(session.act(1.0))["op"] == "events"

    assert session.act(1.0) == Wait(11.0)
    assert session.act(11.0) == HangUp("no verdicts")
    session.lose(Loss(), 11.0)
    join(session, gateway, 12.0)
    assert said(session.act(12.0))["events"][0]["id"] == "e-0"


def test_a_gateway_that_does_not_close_after_its_bye_is_left() -> None:
    session, _, _ = opened()
    session.outbox.put(event(0))
    tell(session, 3.0, op="bye", code=1012, reason="draining", reconnect_after_ms=700)

    assert session.act(3.0) == Wait(5.0), "nothing more is said"
    assert session.act(5.0) == HangUp("leaving took too long")
    session.lose(Loss(), 5.0)
    assert session.act(5.0) == Wait(5.95), "0.7 s as asked, and jitter"


def test_nothing_counts_that_comes_behind_a_bye() -> None:
    session, _, _ = opened()
    tell(session, 3.0, op="bye", code=1012, reason="draining", reconnect_after_ms=0)

    assert tell(session, 3.0, op="push", event={}) == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (4403, Over(Loss(4403))),
        (4409, Over(Loss(4409))),
        (4401, Connect(needs_new_token=True)),
        (1013, Connect(needs_new_token=False)),
    ],
)
def test_a_bye_counts_although_its_close_frame_was_lost(code: int, expected: Act) -> None:
    session, _, _ = opened()
    now_s = LATE_S + 1
    tell(session, now_s, op="bye", code=code, reason="because", reconnect_after_ms=None)

    session.lose(Loss(), now_s)

    assert session.act(now_s + 60) == expected


def test_who_is_replaced_while_young_comes_back_once() -> None:
    """A handshake of an earlier life may have come late."""
    session, gateway, socket = opened()
    session.outbox.put(event(0))
    said(session.act(0.0))
    gateway.welcome()
    session.hear(socket.said.pop(), 1.0)
    session.lose(Loss(4409), 1.0)

    assert session.act(1.0) == Wait(1.25)
    join(session, gateway, 2.0)
    assert said(session.act(2.0))["events"][0]["id"] == "e-0"
    session.lose(Loss(4409), 3.0)
    assert session.act(99.0) == Over(Loss(4409))


def test_who_gave_up_a_handshake_comes_back_when_it_is_replaced() -> None:
    session, gateway, _ = opened()
    session.lose(Loss(), 100.0)
    assert isinstance(session.act(101.0), Connect)
    session.lose(Loss(is_unanswered=True), 111.0)
    join(session, gateway, 112.0)

    session.lose(Loss(4409), 113.0)

    join(session, gateway, 115.0)
    session.lose(Loss(4409), 116.0)
    assert session.act(120.0) == Over(Loss(4409))


def test_a_refused_handshake_is_tried_again_when_it_asks_for_it() -> None:
    session = Session(Longest(), Rules())
    session.act(0.0)

    session.lose(Loss(status=503, retry_after_s=2), 0.0)

    assert session.act(0.0) == Wait(2.25)


def test_a_silent_client_says_that_it_is_there_once() -> None:
    session, _, _ = opened()

    assert session.act(0.0) == Wait(20.0)
    assert said(session.act(20.0)) == {"op": "events", "events": []}
    tell(session, 20.0, op="verdicts", settled=0, highest=0, missing=[], refused=[])
    assert session.act(100.0) == Wait(810.0), "the next is the token's renewal"


def test_a_client_that_said_something_need_not_say_hello() -> None:
    session, gateway, socket = opened()
    session.outbox.put(event(0))
    act = session.act(0.0)
    assert isinstance(act, Say)
    gateway.hear(socket, act.frame.payload)
    gateway.commit("bet")
    gateway.report(socket)
    session.hear(socket.said.pop(), 1.0)

    assert session.act(500.0) == Wait(810.0)


@pytest.mark.parametrize(("token_s", "renewed_s"), [(900.0, 810.0), (100.0, 50.0), (0.0, 0.0)])
def test_a_token_is_renewed_well_before_its_end(token_s: float, renewed_s: float) -> None:
    session, _, _ = opened(token_s, hello_s=5_000)

    if renewed_s:
        assert session.act(0.0) == Wait(renewed_s)
    assert session.act(renewed_s) == Fetch()
    assert session.act(renewed_s) == Wait(5_000), "once"


def test_a_new_token_is_said_and_counts_until_the_next() -> None:
    session, gateway, _ = opened(hello_s=5_000)
    session.act(810.0)
    session.renew("fresh", 811.0)

    assert said(session.act(811.0)) == {"op": "token", "token": "fresh"}
    gateway.now_s = 811.0
    tell(session, 811.0, op="renewed", expires_at_ms=gateway.unix_ms(900.0))
    assert session.act(811.0) == Wait(1_621.0)


def test_a_renewal_without_an_answer_shows_a_dead_socket() -> None:
    session, _, _ = opened()
    session.act(810.0)
    session.renew("fresh", 811.0)
    session.act(811.0)

    assert session.act(811.0) == Wait(821.0)
    assert session.act(821.0) == HangUp("no verdicts")


def test_a_token_that_is_not_to_be_had_or_not_to_be_judged_is_asked_for_again() -> None:
    session, _, _ = opened(hello_s=5_000)
    assert session.act(810.0) == Fetch()
    session.renew(None, 811.0)
    assert session.act(811.0) == Wait(816.0)
    assert session.act(816.0) == Fetch()
    session.renew("fresh", 816.0)
    session.act(816.0)

    entry = {"frame": 1, "index": None, "code": "keys_unavailable", "retryable": True}
    tell(session, 817.0, op="verdicts", settled=0, highest=0, missing=[], refused=[entry])

    assert session.act(817.0) == Wait(822.0)
    assert session.act(822.0) == Fetch()


def test_a_warning_hurries_a_renewal_but_not_one_that_is_on_its_way() -> None:
    session, _, _ = opened(hello_s=5_000)
    tell(session, 100.0, op="expiring", expires_at_ms=0)

    assert session.act(100.0) == Fetch()
    tell(session, 101.0, op="expiring", expires_at_ms=0)
    assert session.act(101.0) == Wait(5_000)


def test_a_token_that_comes_after_its_socket_is_not_said_on_the_next() -> None:
    session, gateway, _ = opened(hello_s=5_000)
    session.act(810.0)
    session.lose(Loss(), 811.0)
    session.renew("fresh", 811.0)
    join(session, gateway, 812.0)

    assert session.act(812.0) == Wait(812.0 + 810.0)


def test_frames_of_every_kind_are_counted_as_the_gateway_counts_them() -> None:
    session, _, _ = opened()
    session.act(810.0)
    session.renew("fresh", 810.0)
    session.outbox.put(event(0))
    assert said(session.act(810.0))["op"] == "token"
    assert said(session.act(810.0))["op"] == "events"

    entry = {"frame": 2, "index": 0, "code": "stake_limit", "retryable": False}
    told = tell(
        session, 811.0, op="verdicts", settled=1, highest=1, missing=[], refused=[entry]
    )

    assert told == [Fate(1, "e-0", Outcome.REFUSED, "stake_limit")]


def test_a_second_holds_fewer_frames_than_a_flood() -> None:
    session, _, _ = opened(verdict_s=1_000)
    times_s: list[float] = []
    now_s = 0.0
    for number in range(200):
        session.outbox.put(event(number))
        act = session.act(now_s)
        while isinstance(act, Wait):
            assert act.until_s > now_s, "it does not spin"
            now_s = act.until_s
            act = session.act(now_s)
        times_s.append(now_s)
        settled = number + 1
        tell(
            session,
            now_s,
            op="verdicts",
            settled=settled,
            highest=settled,
            missing=[],
            refused=[],
        )

    assert times_s == [second for second in range(5) for _ in range(40)]


def test_a_push_is_passed_on() -> None:
    session, _, _ = opened()

    assert tell(session, 1.0, op="push", event={"id": "p"}) == [Push({"id": "p"})]


def test_what_only_a_newer_client_knows_is_passed_over() -> None:
    session, _, _ = opened()

    assert tell(session, 1.0, op="weather") == []


def test_a_gateway_that_breaks_its_contract_is_told_of() -> None:
    session, gateway, _ = opened()
    with pytest.raises(NotUnderstoodError):
        session.hear("{", 1.0)
    with pytest.raises(NotUnderstoodError):
        session.hear(gateway.welcome().said[0], 1.0)
    session.lose(Loss(1002), 1.0)
    assert session.act(2.0) == Over(Loss(1002))


def test_the_first_word_is_welcome() -> None:
    session = Session(Longest(), Rules())
    session.act(0.0)
    session.opened(0.0)

    with pytest.raises(NotUnderstoodError):
        tell(session, 0.0, op="renewed", expires_at_ms=0)


def test_another_session_than_before_is_refused() -> None:
    session, gateway, _ = opened()
    session.lose(Loss(), 1.0)
    session.act(2.0)
    session.opened(2.0)

    with pytest.raises(NotUnderstoodError):
        session.hear(gateway.welcome().said[0].replace(SESSION, "another"), 2.0)


def test_a_socket_that_lived_a_while_was_no_failure() -> None:
    session, gateway, _ = opened()
    for now_s in (1.0, 2.0):
        session.lose(Loss(), now_s)
        assert session.act(now_s) == Wait(now_s + 0.25 * now_s), "the span doubles"
        join(session, gateway, now_s + 0.5)

    session.lose(Loss(), 9.0)

    assert session.act(9.0) == Wait(9.25)
    assert session.sockets == 3
