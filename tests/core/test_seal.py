"""What is sealed says what the sender said, who let it in, and when; and nothing else."""

import msgspec
import pytest

from edge.core.catalogue.registry import SPECS
from edge.core.decode import Shape, decode
from edge.core.event import Event
from edge.core.instant import Instant
from edge.core.lane import Lane
from edge.core.principal import Kind, Principal
from edge.core.record import Footprint
from edge.core.seal import Sealer
from edge.core.unambiguous import json_object
from origin_client.envelope import Envelope
from tests.core.catalogue.examples import PLAYER, SESSION, TIME, example

PRINCIPAL = Principal(
    kind=Kind.PLAYER,
    subject=PLAYER,
    client_id="web",
    session=SESSION,
    brand="aurora",
    jurisdiction="GB",
    expires_unix_s=0,
)
FOOTPRINT = Footprint(1, 2, 3)
NOW = Instant(unix_ns=1_785_528_001_234_567_890, steady_ns=0)


def event(type_: str, **attributes: object) -> Event:
    """A decoded example with other *attributes*."""
    body = msgspec.json.encode(example(type_) | attributes)
    arrival = decode(body, Shape.OBJECT)[0]
    assert isinstance(arrival, Event)
    return arrival


def test_a_client_event_carries_its_tokens_brand_and_what_the_edge_knows() -> None:
    spin = event("game.spin.requested", seq=7, traceparent=None)
    sealer = Sealer("mt-1", "eu-mt")

    record = sealer.seal(spin, PRINCIPAL, FOOTPRINT, ["seq_gap", "late"], NOW)

    assert (record.key, record.accepted_ms) == (PLAYER.encode(), 1_785_528_001_234)
    assert record.footprint is FOOTPRINT
    assert msgspec.json.decode(record.envelope) == {
        "specversion": "1.0",
        "id": spin.wire.id,
        "source": spin.wire.source,
        "type": "game.spin.requested",
        "time": TIME,
        "subject": PLAYER,
        "dataschema": "urn:edge:schema:game.spin.requested:1.0",
        "brand": "aurora",
        "jurisdiction": "GB",
        "session": SESSION,
        "seq": 7,
        "edgenode": "mt-1",
        "edgeregion": "eu-mt",
        "edgetime": "2026-07-31T20:00:01.234Z",
        "authority": "intent",
        "flags": "late,seq_gap",
        "data": example("game.spin.requested")["data"],
    }


def test_a_fact_keeps_its_own_brand_and_has_no_number() -> None:
    fact = event("bet.round.staked", brand="borealis", jurisdiction="MT")

    record = Sealer("n", "r").seal(fact, PRINCIPAL, FOOTPRINT, [], NOW)

    envelope = msgspec.json.decode(record.envelope)
    assert (envelope["brand"], envelope["jurisdiction"]) == ("borealis", "MT")
    assert {"seq", "flags"}.isdisjoint(envelope)


def test_telemetry_is_keyed_by_its_session() -> None:
    snapshot = event("telemetry.device.snapshot")

    record = Sealer("n", "r").seal(snapshot, PRINCIPAL, FOOTPRINT, [], NOW)

    assert record.key == SESSION.encode()


def test_a_lanes_edgetime_never_runs_backwards_and_other_lanes_do_not_care() -> None:
    sealer = Sealer("n", "r")
    earlier = Instant(unix_ns=NOW.unix_ns - 5_000_000_000, steady_ns=1)
    staked, spin = event("bet.round.staked"), event("game.spin.requested")

    sealed = [
        sealer.seal(each, PRINCIPAL, FOOTPRINT, [], now).accepted_ms
        for each, now in ((staked, NOW), (staked, earlier), (spin, earlier))
    ]

    assert staked.spec.lane is Lane.BET
    assert sealed == [1_785_528_001_234, 1_785_528_001_234, 1_785_527_996_234]


def test_lanes_that_saw_different_times_keep_their_own() -> None:
    sealer = Sealer("n", "r")
    later = Instant(unix_ns=NOW.unix_ns + 5_000_000_000, steady_ns=0)
    spin, fact = event("game.spin.requested"), event("bet.round.staked")

    sealed = [
        sealer.seal(each, PRINCIPAL, FOOTPRINT, [], now)
        for each, now in ((spin, later), (fact, NOW), (spin, NOW), (fact, NOW))
    ]

    times = [msgspec.json.decode(record.envelope)["edgetime"][17:19] for record in sealed]
    assert times == ["06", "01", "06", "01"]


def test_edgetime_does_not_run_backwards_across_a_restart_either() -> None:
    newest_ms = NOW.unix_ns // 1_000_000 + 60_000
    sealer = Sealer("n", "r", {Lane.BET: newest_ms})
    staked, spin = event("bet.round.staked"), event("game.spin.requested")

    sealed = [sealer.seal(each, PRINCIPAL, FOOTPRINT, [], NOW) for each in (staked, spin)]

    assert [record.accepted_ms for record in sealed] == [newest_ms, newest_ms - 60_000]
    envelope = msgspec.json.decode(sealed[0].envelope)
    assert envelope["edgetime"] == "2026-07-31T20:01:01.234Z"


@pytest.mark.parametrize(
    ("sent", "sealed"),
    [
        ("2026-07-31T20:00:00.120Z", "2026-07-31T20:00:00.120Z"),
        ("2026-07-31T22:00:00+02:00", "2026-07-31T20:00:00.000Z"),
        ("2026-07-31T20:00:00Z", "2026-07-31T20:00:00.000Z"),
        ("2026-07-31T20:00:00.1239Z", "2026-07-31T20:00:00.123Z"),
        ("2026-07-31T20:00:00.12Z", "2026-07-31T20:00:00.120Z"),
    ],
)
def test_a_senders_time_is_cut_to_ms_in_utc(sent: str, sealed: str) -> None:
    staked = event("bet.round.staked", time=sent)

    record = Sealer("n", "r").seal(staked, PRINCIPAL, FOOTPRINT, [], NOW)

    assert msgspec.json.decode(record.envelope)["time"] == sealed


@pytest.mark.parametrize("type_", SPECS)
def test_what_is_sealed_is_an_envelope_and_nothing_else(type_: str) -> None:
    sent = event(type_, brand="aurora", jurisdiction="GB", datacontenttype="application/json")

    envelope = Sealer("n", "r").seal(sent, PRINCIPAL, FOOTPRINT, ["late"], NOW).envelope

    known = msgspec.json.decode(envelope, type=Envelope)
    assert msgspec.json.decode(msgspec.json.encode(known)) == json_object(envelope)


def test_two_envelopes_differ_in_whatever_their_events_and_senders_differ_in() -> None:
    """What is kept from one envelope is not told of another."""
    sealer = Sealer("n", "r")
    other = msgspec.structs.replace(PRINCIPAL, brand="borealis", jurisdiction="DE")
    version = "urn:edge:schema:game.spin.requested:1.0"
    spin, stating = event("game.spin.requested"), event("game.spin.requested", brand="own")
    sealed = [
        json_object(sealer.seal(each, sender, FOOTPRINT, flags, NOW).envelope)
        for each in (spin, stating)
        for sender in (PRINCIPAL, other)
        for flags in ([], ["late"])
    ]

    assert [(e["brand"], e["jurisdiction"], e.get("flags")) for e in sealed] == [
        ("aurora", "GB", None),
        ("aurora", "GB", "late"),
        ("borealis", "DE", None),
        ("borealis", "DE", "late"),
        ("own", "GB", None),
        ("own", "GB", "late"),
        ("own", "DE", None),
        ("own", "DE", "late"),
    ]
    assert {e["dataschema"] for e in sealed} == {version}
