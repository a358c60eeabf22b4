"""The stages run in the order that protects us, and one bad event costs nobody else anything."""

import gc
import itertools
import uuid
import weakref
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.admit import Interrupted, RawRequest, admit, admit_events, greet
from edge.core.decode import Shape, decode
from edge.core.instant import NS_PER_S, Instant
from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.reject import Reason, Reject
from edge.core.verdict import Outcome, Verdict
from tests.core.catalogue.examples import example
from tests.fakes import (
    BRAND,
    JURISDICTION,
    NOW,
    PLAYER,
    SESSION,
    bearer,
    later,
    player_token,
    service_token,
)
from tests.fakes_directives import revocation
from tests.house import BuggySpool, FakePressure, FakeSpool, house

NUMBERS = itertools.count(1)


def spin(**attributes: object) -> dict[str, Any]:
    """A new spin of the token's player, sent just now."""
    number = next(NUMBERS)
    event = example("game.spin.requested")
    event |= {
        "id": str(uuid.UUID(int=number)),
        "subject": PLAYER,
        "session": SESSION,
        "seq": number,
        "time": "2026-02-14T20:00:00Z",
    }
    event["data"]["request_id"] = f"r-{number}"
    event.pop("brand", None)
    event.pop("jurisdiction", None)
    return event | attributes


def stake(**attributes: object) -> dict[str, Any]:
    """A new fact of a game server, a day old."""
    number = next(NUMBERS)
    event = example("bet.round.staked")
    event |= {"id": str(uuid.UUID(int=number)), "time": "2026-02-13T20:00:00Z"}
    event["data"]["transaction_id"] = f"t-{number}"
    return event | {"brand": BRAND, "jurisdiction": JURISDICTION} | attributes


def batch(*events: object, token: str | None = None) -> RawRequest:
    """A request of a player, or of whoever has *token*."""
    body = msgspec.json.encode(events)
    return RawRequest(bearer(token or player_token()), Shape.EITHER, body)


def told(verdicts: list[Verdict]) -> list[str]:
    """Each verdict in a word: its outcome, or why it was refused and where."""
    return [
        v.outcome.value
        if v.reject is None
        else f"{v.reject.reason.code} {v.reject.pointer or ''}".rstrip()
        for v in verdicts
    ]


@pytest.fixture
def spool() -> FakeSpool:
    """An empty spool."""
    return FakeSpool()


def test_a_good_event_is_sealed_and_waits_for_its_lanes_sync(spool: FakeSpool) -> None:
    event = spin()

    verdicts = admit(batch(event), house(spool), NOW)

    assert verdicts == [
        Verdict(
            Outcome.ACCEPTED,
            Lane.GAME,
            event["id"],
            spool.commits[Lane.GAME],
            seq=event["seq"],
        )
    ]
    [record] = spool.records[Lane.GAME]
    envelope = msgspec.json.decode(record.envelope)
    assert (envelope["id"], envelope["brand"]) == (event["id"], BRAND)


def test_nothing_is_parsed_for_a_stranger(spool: FakeSpool) -> None:
    with pytest.raises(Reject) as refused:
        admit(RawRequest([], Shape.EITHER, b"{not json"), house(spool), NOW)
    assert refused.value.reason is Reason.TOKEN_MISSING


def test_nothing_is_parsed_for_a_token_that_may_write_nothing(spool: FakeSpool) -> None:
    reader = bearer(player_token(scope="stream:read"))

    assert greet(reader, house(spool), NOW).subject == PLAYER
    with pytest.raises(Reject) as refused:
        admit(RawRequest(reader, Shape.EITHER, b"{not json"), house(spool), NOW)
    assert refused.value.reason is Reason.SCOPE_MISSING


def test_a_session_revoked_while_its_body_comes_is_refused_and_nothing_kept(
    spool: FakeSpool,
) -> None:
    request, at = batch(spin(), token=player_token()), house(spool)

    greet(request.authorization, at, NOW)
    at.gate.revocations.learn([revocation(session=SESSION)], NOW)
    with pytest.raises(Reject) as refused:
        admit(request, at, NOW)

    assert refused.value.reason is Reason.SESSION_REVOKED
    assert not any(spool.records.values())


def test_the_token_is_judged_at_the_instant_of_the_complete_body(spool: FakeSpool) -> None:
    request = batch(spin(), token=player_token())

    greet(request.authorization, house(spool), NOW)
    with pytest.raises(Reject) as refused:
        admit(request, house(spool), later(3630))
    assert refused.value.reason is Reason.TOKEN_EXPIRED


def test_one_bad_event_costs_its_neighbours_nothing(spool: FakeSpool) -> None:
    other = spin(subject="player-0002")
    events = [spin(), {**spin(), "type": "no.such.type"}, other, spin()]

    verdicts = admit(batch(*events), house(spool), NOW)

    assert told(verdicts) == [
        "accepted",
        "unknown_type /type",
        "subject_mismatch /subject",
        "accepted",
    ]
    assert [v.lane for v in verdicts] == [Lane.GAME, None, Lane.GAME, Lane.GAME]
    assert len(spool.records[Lane.GAME]) == 2


def test_a_refusal_and_nothing_else_keeps_what_was_refused(spool: FakeSpool) -> None:
    unknown, foreign = spin(type="no.such.type"), spin(subject="player-0002")
    misdated = spin(time="2026-02-30T20:00:00Z")

    good, *refused = admit(batch(spin(), unknown, foreign, misdated), house(spool), NOW)

    assert good.evidence is None
    raw, *typed = (verdict.evidence for verdict in refused)
    assert raw == msgspec.json.encode(unknown)
    assert [msgspec.to_builtins(evidence)["id"] for evidence in typed] == [
        foreign["id"],
        misdated["id"],
    ]


def test_a_malformed_body_costs_nothing(spool: FakeSpool) -> None:
    one = Quota(name="player", quota=1, window_s=60, burst=1)
    inside = house(spool, one)

    with pytest.raises(Reject):
        admit(RawRequest(bearer(player_token()), Shape.EITHER, b"[1,"), inside, NOW)

    assert told(admit(batch(spin()), inside, NOW)) == ["accepted"]


def test_a_second_copy_in_the_same_batch_joins_the_firsts_sync(spool: FakeSpool) -> None:
    event = spin()

    first, second = admit(batch(event, event), house(spool), NOW)

    assert (second.outcome, second.commit) == (Outcome.DUPLICATE, first.commit)
    assert len(spool.records[Lane.GAME]) == 1


def test_a_retry_of_a_durable_event_is_a_duplicate_whatever_limits_and_clocks_say(
    spool: FakeSpool,
) -> None:
    one = Quota(name="player", quota=1, window_s=60, burst=1)
    inside, event = house(spool, one), spin()
    admit(batch(event), inside, NOW)
    inside.recall.settle(spool.next_commit(Lane.GAME), held=True)

    verdicts = admit(batch(event, spin()), inside, Instant(NOW.unix_ns + 600 * NS_PER_S, 0))

    assert verdicts[0] == Verdict(Outcome.DUPLICATE, Lane.GAME, event["id"], seq=event["seq"])
    assert told(verdicts)[1] == "rate_exceeded"


def test_after_a_failed_sync_the_same_event_is_judged_anew(spool: FakeSpool) -> None:
    inside, event = house(spool), spin()
    admit(batch(event), inside, NOW)
    inside.recall.settle(spool.next_commit(Lane.GAME), held=False)

    assert told(admit(batch(event), inside, NOW)) == ["accepted"]


def test_a_refusal_consumes_neither_id_nor_key_nor_number(spool: FakeSpool) -> None:
    inside, event = house(spool), spin()
    spool.refuses[Lane.GAME] = Reject(Reason.LANE_FULL, retry_after_ns=1)

    assert told(admit(batch(event), inside, NOW)) == ["lane_full"]

    spool.refuses.clear()
    assert told(admit(batch(event), inside, NOW)) == ["accepted"]


def test_a_full_lane_refuses_its_own_events_only(spool: FakeSpool) -> None:
    spool.refuses[Lane.BET] = Reject(Reason.LANE_FULL, retry_after_ns=1)
    game = {**example("game.session.opened"), "brand": BRAND, "jurisdiction": JURISDICTION}

    verdicts = admit(batch(stake(), game, token=service_token()), house(spool), NOW)

    assert told(verdicts) == ["lane_full", "accepted"]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param({"type": "no.such.type"}, id="decode"),
        pytest.param({"subject": "player-0002"}, id="authorise"),
        pytest.param({"id": "00000000-0000-0000-0000-000000000000"}, id="recall"),
    ],
)
def test_probing_costs_one_event_each(spool: FakeSpool, bad: dict[str, object]) -> None:
    two = Quota(name="player", quota=2, window_s=60, burst=3)
    inside = house(spool, two)
    first = spin(id="00000000-0000-0000-0000-000000000000")
    admit(batch(first), inside, NOW)

    verdicts = admit(batch(spin(**bad), spin(), spin()), inside, NOW)

    assert told(verdicts)[1:] == ["accepted", "rate_exceeded"]


def test_a_batch_above_the_burst_is_cut_and_not_refused_whole(spool: FakeSpool) -> None:
    two = Quota(name="player", quota=2, window_s=60, burst=2)

    verdicts = admit(batch(spin(), spin(), spin()), house(spool, two), NOW)

    assert told(verdicts) == ["accepted", "accepted", "rate_exceeded"]
    assert verdicts[2].reject is not None
    assert verdicts[2].reject.retry_after_ns == 30 * NS_PER_S


def test_an_event_with_a_wrong_clock_is_refused_after_it_paid(spool: FakeSpool) -> None:
    one = Quota(name="player", quota=1, window_s=60, burst=1)

    verdicts = admit(batch(spin(time="2026-02-14T19:00:00Z"), spin()), house(spool, one), NOW)

    assert told(verdicts) == ["clock_skew /time", "rate_exceeded"]


def test_an_early_fact_and_a_gap_are_accepted_and_flagged(spool: FakeSpool) -> None:
    inside = house(spool)
    early = stake(time="2026-02-14T21:00:00Z")

    admit(batch(early, token=service_token()), inside, NOW)
    admit(batch(spin(seq=40), spin(seq=39)), inside, NOW)

    records = spool.records[Lane.BET] + spool.records[Lane.GAME]
    flags = [msgspec.json.decode(record.envelope)["flags"] for record in records]
    assert flags == ["clock_skew", "seq_gap", "late"]


def test_a_brand_quota_counts_players_and_services_alike(spool: FakeSpool) -> None:
    brand = Quota(name="brand", quota=1, window_s=60, burst=1)
    inside = house(spool, brand)

    assert told(admit(batch(spin()), inside, NOW)) == ["accepted"]
    assert told(admit(batch(stake(), token=service_token()), inside, NOW)) == ["rate_exceeded"]
    elsewhere = batch(stake(brand="borealis"), token=service_token())
    assert told(admit(elsewhere, inside, NOW)) == ["accepted"]


def test_a_bug_tells_what_stands_before_it() -> None:
    spool = BuggySpool()

    with pytest.raises(Interrupted) as bug:
        admit(batch(spin(), spin(), spin()), house(spool), NOW)

    assert told(bug.value.verdicts) == ["accepted"]
    assert isinstance(bug.value.__cause__, ZeroDivisionError)


FAULTS: Final[list[dict[str, object]]] = [
    {},
    {"type": "no.such.type"},
    {"subject": "player-0002"},
    {"brand": "borealis"},
    {"brand": None},
    {"time": "2026-02-14T19:00:00Z"},
    {"time": "2026-02-14T22:00:00+02:00"},
    {"seq": 0},
    {"traceparent": "nonsense"},
    {"datacontenttype": "application/json"},
    {"padding": "x" * 9000},
]
faulty = st.sampled_from(FAULTS)
places = st.integers(0, 5)  # a few, so that events repeat and contradict each other


def numbered(place: int, contents: int, fault: dict[str, object]) -> dict[str, Any]:
    """One of few spins; another *contents* under the same id, key and number is a conflict."""
    event = spin(id=str(uuid.UUID(int=place)), seq=place + 1, brand=BRAND)
    event["data"] |= {"request_id": f"r-{place}", "since_last_ms": contents}
    return event | fault


def stated(place: int, contents: int, fault: dict[str, object]) -> dict[str, Any]:
    """One of few facts of two lanes and two brands."""
    event = stake() if place % 2 else example("game.session.opened")
    event |= {
        "id": str(uuid.UUID(int=place)),
        "brand": BRAND if place % 3 else "borealis",
        "jurisdiction": JURISDICTION,
        "time": "2026-02-14T20:00:00.000Z",
    }
    member = "transaction_id" if place % 2 else "game_session_id"
    event["data"] |= {member: f"t-{place}", "game_id": f"g-{contents}"}
    return event | {name: text for name, text in fault.items() if name != "seq"}


def fate(verdicts: list[Verdict]) -> list[object]:
    """Everything a sender learns."""
    return [
        (word, v.lane, v.id, v.reject and v.reject.retry_after_ns)
        for word, v in zip(told(verdicts), verdicts, strict=True)
    ]


@given(
    st.booleans(),
    st.lists(
        st.lists(st.tuples(places, st.sampled_from([0, 0, 1]), faulty), min_size=1, max_size=8),
        max_size=3,
    ),
    st.integers(2, 30),
    st.sampled_from([*Lane, None]),
)
def test_a_batch_fares_as_its_events_would_one_by_one(
    is_player: bool,  # noqa: FBT001  # drawn, never written
    batches: list[list[tuple[int, int, dict[str, object]]]],
    burst: int,
    full: Lane | None,
) -> None:
    """Planted: time left as sent; a quota asked for one event's room; no second look in a batch."""
    token = player_token() if is_player else service_token()
    quotas = [Quota(name=name, quota=1, window_s=1, burst=burst) for name in ("brand", "node")]
    spools = FakeSpool(), FakeSpool()
    together, alone = (house(each, *quotas) for each in spools)
    for spool in spools:
        if full is not None:
            spool.refuses[full] = Reject(Reason.LANE_FULL, retry_after_ns=1)
    write = numbered if is_player else stated

    for drawn in batches:
        events = [write(*each) for each in drawn]
        singly = [admit(batch(event, token=token), alone, NOW) for event in events]
        assert fate(admit(batch(*events, token=token), together, NOW)) == [
            each for verdicts in singly for each in fate(verdicts)
        ]

    assert spools[0].records == spools[1].records


def test_a_second_door_brings_its_own_arrivals(spool: FakeSpool) -> None:
    inside, event = house(spool), spin()
    principal = greet(bearer(player_token()), inside, NOW)
    arrivals = decode(msgspec.json.encode(event), Shape.OBJECT)

    assert told(admit_events(arrivals, principal, inside, NOW)) == ["accepted"]
    assert told(admit_events(arrivals, principal, inside, NOW)) == ["duplicate"]


def test_a_bug_behind_a_second_door_tells_what_stands_before_it() -> None:
    inside = house(BuggySpool())
    principal = greet(bearer(player_token()), inside, NOW)
    arrivals = decode(msgspec.json.encode([spin(), spin()]), Shape.ARRAY)

    with pytest.raises(Interrupted) as bug:
        admit_events(arrivals, principal, inside, NOW)

    assert told(bug.value.verdicts) == ["accepted"]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"type": "nope"}, id="unknown"),
        pytest.param(spin(time="yesterday"), id="unreadable"),
        pytest.param(spin(seq="1"), id="of a wrong type"),
        pytest.param(stake(), id="not a player's to say"),
        pytest.param(spin(time="2026-02-14T19:00:00Z"), id="too old"),
    ],
)
def test_what_was_refused_is_let_go_of_with_its_verdict(event: dict[str, object]) -> None:
    """A traceback keeps frames, the last of which keeps the verdict: for ever, and unseen."""
    gc.collect()
    gc.disable()
    try:
        inside = house(FakeSpool())
        request = RawRequest(bearer(player_token()), Shape.EITHER, msgspec.json.encode([event]))
        [verdict] = admit(request, inside, NOW)
        assert verdict.reject is not None
        kept = weakref.ref(verdict.reject)
        del verdict
        assert kept() is None
    finally:
        gc.enable()


def pointers(count: int, *, first_seq: int = 1) -> list[dict[str, Any]]:
    """Telemetry of the token's player, just now."""
    sample = example("telemetry.interaction.batch")
    sample |= {"subject": PLAYER, "session": SESSION, "time": "2026-02-14T20:00:00Z"}
    sample.pop("brand", None)
    sample.pop("jurisdiction", None)
    return [
        sample | {"id": str(uuid.UUID(int=next(NUMBERS))), "seq": first_seq + n}
        for n in range(count)
    ]


def test_under_pressure_telemetry_is_shed_and_nothing_else_is(spool: FakeSpool) -> None:
    inside, sent = house(spool, pressure=FakePressure(is_high=True)), pointers(16)
    mixed = [each for pair in zip(sent, [spin() for _ in sent], strict=True) for each in pair]

    verdicts = admit(batch(*mixed), inside, NOW)

    assert told(verdicts[1::2]) == ["accepted"] * 16
    assert sorted(told(verdicts[::2])) == ["accepted"] + ["lane_shed"] * 15
    assert {v.outcome for v in verdicts if v.reject} == {Outcome.SHED}
    assert len(spool.records[Lane.TELEMETRY]) == 1


def test_what_was_shed_leaves_no_trace_and_its_number_is_free(spool: FakeSpool) -> None:
    pressure = FakePressure(is_high=True)
    inside, sent = house(spool, pressure=pressure), pointers(16)
    shed = [
        event
        for event, verdict in zip(sent, admit(batch(*sent), inside, NOW), strict=True)
        if verdict.outcome is Outcome.SHED
    ]

    pressure.is_high = False

    others = [each | {"data": each["data"] | {"target": "other"}} for each in shed]
    assert told(admit(batch(*others), inside, NOW)) == ["accepted"] * 15


def test_shedding_is_charged_as_the_event_would_have_been(spool: FakeSpool) -> None:
    two = Quota(name="player", quota=2, window_s=60, burst=2)
    inside = house(spool, two, pressure=FakePressure(is_high=True))

    verdicts = admit(batch(*pointers(3)), inside, NOW)

    assert told(verdicts)[2] == "rate_exceeded"


def test_one_in_sixteen_meets_a_full_lane_as_any_other_event_does(spool: FakeSpool) -> None:
    spool.refuses[Lane.TELEMETRY] = Reject(Reason.LANE_FULL, retry_after_ns=1)
    inside = house(spool, pressure=FakePressure(is_high=True))

    verdicts = admit(batch(*pointers(16)), inside, NOW)

    assert sorted(told(verdicts)) == ["lane_full"] + ["lane_shed"] * 15


def test_a_copy_of_durable_telemetry_is_a_duplicate_under_pressure_too(
    spool: FakeSpool,
) -> None:
    pressure = FakePressure()
    inside, sent = house(spool, pressure=pressure), pointers(20)
    admit(batch(*sent), inside, NOW)
    inside.recall.settle(spool.next_commit(Lane.TELEMETRY), held=True)

    pressure.is_high = True

    assert told(admit(batch(*sent), inside, NOW)) == ["duplicate"] * 20
