"""Every type of the catalogue takes its example, and holds to its own types and bounds."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from msgspec import inspect

from edge.core.catalogue.registry import SPECS, WIRE_TYPES, Ruled, spec_of
from edge.core.event import BusinessKey, Spec
from edge.core.lane import Authority, Lane
from edge.core.reject import Reason
from tests.core.catalogue.examples import TYPES, example
from tests.core.catalogue.judging import ABSENT, changed, decoding_complaint, read, refusal


def test_the_catalogue_has_the_25_types_in_its_order() -> None:
    assert len(SPECS) == 25
    assert tuple(SPECS) == TYPES == tuple(WIRE_TYPES)


@pytest.mark.parametrize("event_type", TYPES)
def test_an_example_is_accepted_by_its_own_row(event_type: str) -> None:
    event = example(event_type)

    wire = read(event)

    assert refusal(event) is None
    assert spec_of(wire) is SPECS[event_type]
    assert type(wire) is WIRE_TYPES[event_type]
    assert isinstance(wire.data, SPECS[event_type].payload)


@pytest.mark.parametrize("event_type", TYPES)
def test_an_accepted_payload_is_written_as_it_was_read(event_type: str) -> None:
    event = example(event_type)

    written = msgspec.json.decode(msgspec.json.encode(read(event).data))

    assert written == event["data"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=TYPES)
def test_lane_and_key_fields_agree_with_the_type(spec: Spec) -> None:
    members = {field.name for field in msgspec.structs.fields(spec.payload)}

    assert spec.lane.value == spec.type.split(".")[0]
    assert len(spec.keys) <= 2
    for key in spec.keys:
        assert set(key.fields) <= members | {"session", "subject"}
        assert set(key.ignoring) <= members - set(key.fields)


def test_authorities_are_the_catalogues() -> None:
    intents = {t for t, spec in SPECS.items() if spec.authority is Authority.INTENT}
    observations = {t for t, spec in SPECS.items() if spec.authority is Authority.OBSERVATION}

    assert intents == {
        "player.reality_check.acknowledged",
        "wallet.deposit.requested",
        "wallet.withdrawal.requested",
        "bet.slip.submitted",
        "game.spin.requested",
        "bonus.offer.claimed",
    }
    assert observations == {t for t in TYPES if t.startswith("telemetry.")}


@pytest.mark.parametrize(
    ("event_type", "keys"),
    [
        pytest.param(event_type, keys, id=event_type)
        for event_type, keys in {
            "player.session.started": [("session",)],
            "player.session.ended": [("session",)],
            "player.location.checked": [("check_id",)],
            "player.limit.changed": [("limit_id", "revision")],
            "player.exclusion.set": [("exclusion_id",)],
            "player.reality_check.acknowledged": [("session", "check_no")],
            "player.kyc.status_changed": [("subject", "revision")],
            "wallet.deposit.requested": [("payment_intent_id",)],
            "wallet.deposit.settled": [("psp_id", "payment_id", "status")],
            "wallet.withdrawal.requested": [("withdrawal_id",)],
            "wallet.withdrawal.settled": [("withdrawal_id", "status")],
            "bet.round.staked": [("provider_id", "transaction_id")],
            "bet.round.settled": [("provider_id", "transaction_id")],
            "bet.slip.submitted": [("slip_id",)],
            "bet.slip.decided": [("slip_id", "decision")],
            "bet.slip.settled": [("slip_id", "settlement_no")],
            "game.session.opened": [("game_session_id",)],
            "game.spin.requested": [("request_id",)],
            "game.jackpot.won": [("jackpot_id", "level", "cycle_no")],
            "bonus.offer.claimed": [("claim_id",), ("offer_id",)],
            "bonus.grant.credited": [("grant_id",)],
            "bonus.grant.closed": [("grant_id",)],
            "telemetry.interaction.batch": [],
            "telemetry.device.snapshot": [],
        }.items()
    ],
)
def test_business_keys_are_the_catalogues(event_type: str, keys: list[tuple[str, ...]]) -> None:
    assert [key.fields for key in SPECS[event_type].keys] == keys
    assert not any(key.ignoring for key in SPECS[event_type].keys)


def test_a_rollbacks_second_key_overlooks_the_rollbacks_own_transaction() -> None:
    assert SPECS["bet.round.rolled_back"].keys == (
        BusinessKey(("provider_id", "transaction_id")),
        BusinessKey(("provider_id", "reference_transaction_id"), ignoring=("transaction_id",)),
    )


def test_only_facts_about_a_session_need_one() -> None:
    needing = {event_type for event_type, spec in SPECS.items() if spec.needs_session}

    assert needing == {"player.session.started", "player.session.ended"}


def test_every_lane_has_a_type() -> None:
    assert {spec.lane for spec in SPECS.values()} == set(Lane)


def test_exactly_the_payloads_with_invariants_are_ruled() -> None:
    ruled = {
        event_type for event_type, spec in SPECS.items() if issubclass(spec.payload, Ruled)
    }

    assert ruled == {
        "player.limit.changed",
        "bet.round.staked",
        "bet.round.settled",
        "bet.slip.submitted",
        "bet.slip.decided",
        "bet.slip.settled",
    }


class Place(NamedTuple):
    """One value in the example of a type, and what the type says of it.

    The cases below are generated from these.
    """

    event_type: str
    pointer: str
    kind: inspect.Type
    is_absentable: bool
    is_nullable: bool

    def complaint(self, value: object) -> str | None:
        """What the decoder says of the example with *value* in this place."""
        return decoding_complaint(changed(self.event_type, {self.pointer: value}))


def _places(event_type: str, kind: inspect.Type, pointer: str, value: Any) -> Iterator[Place]:
    """Every place below *value*, of arrays only the first element."""
    match kind:
        case inspect.NamedTupleType(fields=fields):
            for number, field in enumerate(fields):
                yield Place(event_type, f"{pointer}/{number}", field.type, False, False)
        case inspect.StructType(fields=fields):
            for field in fields:
                inner, is_nullable = _present(field.type)
                here = f"{pointer}/{field.name}"
                yield Place(event_type, here, inner, not field.required, is_nullable)
                yield from _places(event_type, inner, here, value.get(field.name))
        case inspect.VarTupleType(item_type=element) if value:
            yield Place(event_type, f"{pointer}/0", _present(element)[0], False, False)
            yield from _places(event_type, element, f"{pointer}/0", value[0])
        case _:
            pass


def _present(kind: inspect.Type) -> tuple[inspect.Type, bool]:
    """What stands there unless it is null, and whether it may be null."""
    match kind:
        case inspect.UnionType(types=kinds):
            first = next(one for one in kinds if not isinstance(one, inspect.NoneType))
            return _present(first)[0], inspect.NoneType() in kinds
        case inspect.Metadata(type=inner):
            return inner, False
        case _:
            return kind, False


PLACES: Final = [
    place
    for event_type, spec in SPECS.items()
    for place in _places(
        event_type, inspect.type_info(spec.payload), "/data", example(event_type)["data"]
    )
]


def _each(*kinds: type[inspect.Type]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "place",
        [
            pytest.param(place, id=f"{place.event_type} {place.pointer}")
            for place in PLACES
            if isinstance(place.kind, kinds)
        ],
    )


def _is_at(complaint: str | None, pointer: str) -> bool:
    """Whether the decoder complains of exactly the value at *pointer*."""
    path = re.sub(r"/([0-9]+)", r"[\1]", pointer).replace("/", ".")
    return complaint is not None and complaint.endswith(f"- at `${path}`")


def test_the_examples_show_places_of_every_kind() -> None:
    assert len(PLACES) > 190


@_each(inspect.IntType)
def test_an_integer_ends_at_its_bounds(place: Place) -> None:
    kind = place.kind
    assert isinstance(kind, inspect.IntType)
    assert kind.ge is not None
    assert kind.le is not None

    assert -(2**53) < kind.ge < kind.le < 2**53
    for inside in (kind.ge, kind.le):
        assert place.complaint(inside) is None
    for outside in (kind.ge - 1, kind.le + 1, 10**400, 1.5, True, "1"):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.LiteralType)
def test_an_enum_takes_its_values_and_no_other(place: Place) -> None:
    kind = place.kind
    assert isinstance(kind, inspect.LiteralType)

    for inside in kind.values:
        assert place.complaint(inside) is None
    for outside in ("", f"{kind.values[0]} ", f"x{kind.values[0]}", 1):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.StrType)
def test_a_string_is_bounded(place: Place) -> None:
    kind = place.kind
    assert isinstance(kind, inspect.StrType)
    assert kind.max_length is not None

    assert place.complaint("a" * kind.max_length) is None
    for outside in ("a" * (kind.max_length + 1), 1):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.StrType)
def test_a_string_that_ends_in_a_line_break_is_refused_where_it_stands(place: Place) -> None:
    kind = place.kind
    assert isinstance(kind, inspect.StrType)
    assert kind.max_length is not None
    text = "a" * (kind.max_length - 1) + "\n"

    verdict = refusal(changed(place.event_type, {place.pointer: text}))

    assert verdict == (Reason.SCHEMA_VIOLATION, place.pointer)


@_each(inspect.BoolType)
def test_a_boolean_is_no_number(place: Place) -> None:
    for inside in (True, False):
        assert place.complaint(inside) is None
    for outside in (0, 1, "true"):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.VarTupleType)
def test_an_array_is_bounded(place: Place) -> None:
    kind = place.kind
    assert isinstance(kind, inspect.VarTupleType)
    assert kind.max_length is not None
    first = example(place.event_type)["data"][place.pointer.removeprefix("/data/")][0]

    assert place.complaint([first] * kind.max_length) is None
    assert _is_at(place.complaint([first] * (kind.max_length + 1)), place.pointer)


@_each(inspect.StructType)
def test_an_object_in_a_payload_is_closed(place: Place) -> None:
    for outside in ({"unknown": 1}, "x", [1]):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.NamedTupleType)
def test_a_sample_has_exactly_its_six_elements(place: Place) -> None:
    for outside in ([0, "m", 0, 0, 0, 0, 0], [0, "m", 0, 0, 0], {"dt_ms": 0}, 0):
        assert _is_at(place.complaint(outside), place.pointer)


@_each(inspect.Type)
def test_only_a_nullable_member_may_be_null(place: Place) -> None:
    complaint = place.complaint(None)

    assert complaint is None if place.is_nullable else _is_at(complaint, place.pointer)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, id=f"{place.event_type} {place.pointer}")
        for place in PLACES
        if not place.pointer.rpartition("/")[2].isdecimal()
    ],
)
def test_only_an_optional_member_may_be_absent(place: Place) -> None:
    parent, _, name = place.pointer.rpartition("/")

    complaint = place.complaint(ABSENT)

    if place.is_absentable:
        assert complaint is None
    else:
        assert f"missing required field `{name}`" in str(complaint)
        assert _is_at(complaint, parent)


@pytest.mark.parametrize("event_type", TYPES)
def test_a_payload_is_closed(event_type: str) -> None:
    opened = changed(event_type, {"/data/unknown": 1})

    assert _is_at(decoding_complaint(opened), "/data")


def test_exactly_the_catalogues_members_are_optional_or_nullable() -> None:
    assert {place[:2] for place in PLACES if place.is_absentable} == {
        ("player.limit.changed", "/data/amount"),
        ("player.limit.changed", "/data/duration_ms"),
        ("bet.round.staked", "/data/balance_after_minor"),
        ("bet.round.settled", "/data/balance_after_minor"),
        ("bet.slip.submitted", "/data/free_bet_id"),
        ("bet.slip.submitted", "/data/legs/0/specifiers"),
        ("bet.slip.settled", "/data/void_reason"),
        ("bonus.offer.claimed", "/data/promo_code"),
        ("bonus.grant.credited", "/data/max_bet_minor"),
    }
    assert {place[:2] for place in PLACES if place.is_nullable} == {
        ("player.exclusion.set", "/data/end_ms"),
        ("bet.round.staked", "/data/free_round_id"),
        ("bet.round.staked", "/data/bonus_id"),
    }


@pytest.mark.parametrize("event_type", TYPES)
def test_no_payload_names_two_currencies_that_could_disagree(event_type: str) -> None:
    naming = [
        place.pointer
        for place in PLACES
        if place.event_type == event_type and place.pointer.endswith("/currency")
    ]

    assert len(naming) <= 1
