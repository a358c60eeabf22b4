"""The catalogue: 25 rows, the wire type of each, and the one check after typed decoding.

In comes a :class:`WireEvent` whose types and ranges the decoder has checked. Out goes nothing,
or a :class:`Reject` for what one payload alone decides: forms, free strings, invariants.

Source: catalogue.md, "The 25 events".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from edge.core.catalogue import bet, bonus, game, player, telemetry, wallet
from edge.core.catalogue.strings import Strings, strings_of
from edge.core.event import BusinessKey, Payload, Spec, WireEvent
from edge.core.lane import Authority, Lane
from edge.core.reject import Reject


@runtime_checkable
class Ruled(Protocol):
    """A payload whose members must agree with each other."""

    def check(self) -> None:
        """Refuse a payload whose members contradict each other.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        ...


def _key(*fields: str, ignoring: tuple[str, ...] = ()) -> BusinessKey:
    return BusinessKey(fields, ignoring)


def _row(
    type_: str,
    authority: Authority,
    payload: type[Payload],
    *keys: BusinessKey,
    needs_session: bool = False,
) -> Spec:
    return Spec(
        type=type_,
        lane=Lane(type_.partition(".")[0]),
        authority=authority,
        payload=payload,
        keys=keys,
        needs_session=needs_session,
    )


_INTENT: Final = Authority.INTENT
_OBSERVATION: Final = Authority.OBSERVATION
_FACT: Final = Authority.FACT

# fmt: off
_ROWS: Final = (
    _row("player.session.started", _FACT, player.SessionStarted, _key("session"),
         needs_session=True),
    _row("player.session.ended", _FACT, player.SessionEnded, _key("session"),
         needs_session=True),
    _row("player.location.checked", _FACT, player.LocationChecked, _key("check_id")),
    _row("player.limit.changed", _FACT, player.LimitChanged, _key("limit_id", "revision")),
    _row("player.exclusion.set", _FACT, player.ExclusionSet, _key("exclusion_id")),
    _row("player.reality_check.acknowledged", _INTENT, player.RealityCheckAcknowledged,
         _key("session", "check_no")),
    _row("player.kyc.status_changed", _FACT, player.KycStatusChanged,
         _key("subject", "revision")),
    _row("wallet.deposit.requested", _INTENT, wallet.DepositRequested,
         _key("payment_intent_id")),
    _row("wallet.deposit.settled", _FACT, wallet.DepositSettled,
         _key("psp_id", "payment_id", "status")),
    _row("wallet.withdrawal.requested", _INTENT, wallet.WithdrawalRequested,
         _key("withdrawal_id")),
    _row("wallet.withdrawal.settled", _FACT, wallet.WithdrawalSettled,
         _key("withdrawal_id", "status")),
    _row("bet.round.staked", _FACT, bet.RoundStaked, _key("provider_id", "transaction_id")),
    _row("bet.round.settled", _FACT, bet.RoundSettled, _key("provider_id", "transaction_id")),
    _row("bet.round.rolled_back", _FACT, bet.RoundRolledBack,
         _key("provider_id", "transaction_id"),
         _key("provider_id", "reference_transaction_id", ignoring=("transaction_id",))),
    _row("bet.slip.submitted", _INTENT, bet.SlipSubmitted, _key("slip_id")),
    _row("bet.slip.decided", _FACT, bet.SlipDecided, _key("slip_id", "decision")),
    _row("bet.slip.settled", _FACT, bet.SlipSettled, _key("slip_id", "settlement_no")),
    _row("game.session.opened", _FACT, game.SessionOpened, _key("game_session_id")),
    _row("game.spin.requested", _INTENT, game.SpinRequested, _key("request_id")),
    _row("game.jackpot.won", _FACT, game.JackpotWon, _key("jackpot_id", "level", "cycle_no")),
    _row("bonus.offer.claimed", _INTENT, bonus.OfferClaimed, _key("claim_id"),
         _key("offer_id")),
    _row("bonus.grant.credited", _FACT, bonus.GrantCredited, _key("grant_id")),
    _row("bonus.grant.closed", _FACT, bonus.GrantClosed, _key("grant_id")),
    _row("telemetry.interaction.batch", _OBSERVATION, telemetry.InteractionBatch),
    _row("telemetry.device.snapshot", _OBSERVATION, telemetry.DeviceSnapshot),
)
# fmt: on


def _wire_type(spec: Spec) -> type[WireEvent]:
    made = msgspec.defstruct(
        f"{spec.lane.capitalize()}{spec.payload.__name__}",
        [("data", spec.payload)],
        bases=(WireEvent,),
        module=__name__,
        namespace={"__doc__": f"``{spec.type}`` on the wire."},
        tag=spec.type,
        tag_field="type",
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    assert issubclass(made, WireEvent)
    return made


class _Judge(NamedTuple):
    """What judges the payloads of one class.

    Attributes:
        strings: Its strings, if it has any.
        rule: Its own method, if its members must agree with each other. Called by its class:
            half as dear as a method caller.
    """

    strings: Strings | None
    rule: Callable[[Any], None] | None


def _judge(payload: type[Payload]) -> _Judge:
    rule = payload.check if issubclass(payload, Ruled) else None
    return _Judge(strings_of(payload), rule)


SPECS: Final[Mapping[str, Spec]] = {spec.type: spec for spec in _ROWS}
"""Every type there is, in the catalogue's order."""

WIRE_TYPES: Final[Mapping[str, type[WireEvent]]] = {
    spec.type: _wire_type(spec) for spec in _ROWS
}
"""The tagged class of each type: the decoder tells them apart by ``type``, in one call."""

_SPEC_BY_WIRE: Final = {WIRE_TYPES[spec.type]: spec for spec in _ROWS}
_JUDGE_BY_WIRE: Final = {WIRE_TYPES[spec.type]: _judge(spec.payload) for spec in _ROWS}


def spec_of(wire: WireEvent) -> Spec:
    """The row of the catalogue that *wire* was decoded by; it must come from WIRE_TYPES."""
    return _SPEC_BY_WIRE[type(wire)]


def check(wire: WireEvent) -> None:
    """Judge what a payload decides alone and the decoder cannot see.

    Raises:
        Reject: SCHEMA_VIOLATION, PII_LEAK, each with the pointer of the member at fault.
    """
    strings, rule = _JUDGE_BY_WIRE[type(wire)]
    if strings is not None and not strings.are_fine([wire.data]):
        strings.check(wire.data)
    if rule is not None:
        rule(wire.data)


def are_fine(wires: Sequence[WireEvent]) -> bool:
    """Whether :func:`check` surely lets all of *wires* pass.

    Args:
        wires: One or more, all of one type.
    """
    strings, rule = _JUDGE_BY_WIRE[type(wires[0])]
    payloads = [wire.data for wire in wires]
    if strings is not None and not strings.are_fine(payloads):
        return False
    if rule is not None:
        try:
            for payload in payloads:
                rule(payload)
        except Reject:
            return False
    return True
