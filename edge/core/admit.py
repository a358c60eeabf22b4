"""The path of one event: the only module that knows the order of the stages.

The order is a security decision: nothing is parsed for a stranger, nothing is charged for a
body that cannot be read, and what was accepted before is known again before anything is asked
that can change between two tries. There is no ``await`` here, so no two requests interleave and
no stage needs a lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from edge.core.answer import Refused
from edge.core.authenticate import Gate, authenticate
from edge.core.authorise import authorise, authorise_request
from edge.core.decode import Shape, Unread, decode
from edge.core.event import Event
from edge.core.footprint import Footprints
from edge.core.instant import Instant
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quotas, Tab, check_clock
from edge.core.principal import Principal
from edge.core.recall import Recall
from edge.core.record import Commit, Record
from edge.core.reject import Reason, Reject
from edge.core.seal import Sealer
from edge.core.session_window import Standing
from edge.core.shed import Shedder
from edge.core.verdict import Outcome, Verdict

# A module's name is read faster than an enum's member.
_ACCEPTED: Final = Outcome.ACCEPTED
_DUPLICATE: Final = Outcome.DUPLICATE
_REFUSED: Final = Outcome.REFUSED
_SHED: Final = Outcome.SHED


class Spool(Protocol):
    """Where sealed events wait for the origin; takes them without waiting itself."""

    def append(self, lane: Lane, record: Record) -> Commit:
        """Queue *record* for the lane's next sync.

        Raises:
            Reject: LANE_FULL, LANE_FAILED.
        """
        ...


@dataclass(frozen=True, slots=True)
class House:
    """What the stages need to know; built once by :mod:`edge.app`.

    Attributes:
        gate: Issuers, keys and verified tokens.
        quotas: The limiter.
        clock_rules: How far a sender's clock may be off.
        recall: The memory of what was accepted.
        footprints: Hashes under the spool's secret.
        shedder: Turns telemetry away under pressure.
        sealer: Writes envelopes in this node's name.
        spool: Takes what is sealed.
    """

    gate: Gate
    quotas: Quotas
    clock_rules: ClockRules
    recall: Recall
    footprints: Footprints
    shedder: Shedder
    sealer: Sealer
    spool: Spool


class RawRequest(msgspec.Struct, frozen=True, gc=False):
    """What the network gave us, before we believe any of it.

    Attributes:
        authorization: Every value of that header.
        shape: What the media type says the body is.
        body: Complete, within the size limit.
    """

    authorization: Sequence[bytes]
    shape: Shape
    body: bytes


class Interrupted(Exception):  # noqa: N818  # a bug's companion, not an error of its own
    """A stage has a bug. What came before it in the batch stands, and is told here.

    Attributes:
        verdicts: Of the events before the one that met the bug.
    """

    def __init__(self, verdicts: list[Verdict]) -> None:
        super().__init__(len(verdicts))
        self.verdicts = verdicts


def greet(authorization: Sequence[bytes], house: House, now: Instant) -> Principal:
    """Tell who speaks from a request's head alone: nothing more is read from a stranger.

    Raises:
        UnknownKey: TOKEN_INVALID that newer keys might turn into a yes.
        Reject: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, KEYS_UNAVAILABLE, SESSION_REVOKED.
    """
    return authenticate(authorization, house.gate, now)


def admit(request: RawRequest, house: House, now: Instant) -> list[Verdict]:
    """Walk one complete request through the house: one verdict per event, in order.

    The token is judged again, though the head was: one instant decides, that of the complete
    body.

    Raises:
        UnknownKey: As :func:`greet`.
        Reject: As :func:`greet`; SCOPE_MISSING where the token may write nothing at all;
            BODY_MALFORMED, BATCH_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE.
        Interrupted: As :func:`admit_events`.
    """
    principal = greet(request.authorization, house, now)
    authorise_request(principal)
    return admit_events(decode(request.body, request.shape), principal, house, now)


def admit_events(
    arrivals: Sequence[Event | Unread], principal: Principal, house: House, now: Instant
) -> list[Verdict]:
    """Walk what was decoded through the rest of the house: one verdict per event, in order.

    Args:
        arrivals: From :func:`edge.core.decode.decode`, whatever door they came by.
        principal: Who sent them, authenticated, and let in by :func:`authorise_request`.
        house: The stages.
        now: When they were complete.

    Raises:
        Interrupted: A stage has a bug.
    """
    verdicts: list[Verdict] = []
    tab = house.quotas.open_tab(principal, len(arrivals), now)
    try:
        for arrival in arrivals:
            verdicts.append(_verdict(arrival, principal, house, tab, now))  # noqa: PERF401  # a bug must leave those before it
    except Exception as bug:
        raise Interrupted(verdicts) from bug
    finally:
        tab.settle()
    return verdicts


def give_up_refused(
    refused: Sequence[Refused],
    verdicts: Sequence[Verdict],
    principal: Principal,
    house: House,
) -> None:
    """Have the numbers of a player's refused events waited for no longer, or again.

    Args:
        refused: As the answer to one batch tells it.
        verdicts: Of that batch.
        principal: Who is told.
        house: Remembers.
    """
    seqs = ((verdicts[one.index or 0].seq, one.retryable) for one in refused)
    told = [(seq, is_retryable) for seq, is_retryable in seqs if seq is not None]
    if told:
        house.recall.headway.refuse(house.footprints.session(principal.session), told)


def _verdict(
    arrival: Event | Unread, principal: Principal, house: House, tab: Tab, now: Instant
) -> Verdict:
    """One bad event costs its neighbours nothing: its refusal ends here."""
    if not isinstance(arrival, Event):  # asked of its own class, a struct answers at once
        tab.charge_probe(principal.brand)
        lane, event_id, reject = arrival.lane, arrival.id, arrival.reject
        own_seq = arrival.seq if arrival.session in (None, principal.session) else None
        return Verdict(_REFUSED, lane, event_id, None, reject, arrival.evidence, own_seq)
    try:
        return _admit_event(arrival, principal, house, tab, now)
    except Reject as reject:
        wire, lane = arrival.wire, arrival.spec.lane
        outcome = _SHED if reject.reason is Reason.LANE_SHED else _REFUSED
        own_seq = wire.seq if wire.session == principal.session else None
        return Verdict(outcome, lane, wire.id, None, reject.alone(), wire, own_seq)


def _admit_event(
    event: Event, principal: Principal, house: House, tab: Tab, now: Instant
) -> Verdict:
    """The stages one event passes, each a line.

    Raises:
        Reject: By the first stage that refuses, or sheds.
    """
    spec, wire = event.spec, event.wire
    brand = wire.brand or principal.brand
    try:
        authorise(event, principal)
        footprint = house.footprints.of(event, principal)
        known = house.recall.recall(event, footprint, now)
    except Reject:
        tab.charge_probe(brand)
        raise
    if not isinstance(known, Standing):
        return Verdict(_DUPLICATE, spec.lane, wire.id, known.commit, None, None, wire.seq)
    tab.charge(brand, spec.authority)
    skew = check_clock(event, house.clock_rules, now)
    flags = [flag for flag in (known, skew) if flag] if known or skew else ()
    house.shedder.shed(spec.lane, footprint.session)
    record = house.sealer.seal(event, principal, footprint, flags, now)
    commit = house.spool.append(spec.lane, record)
    house.recall.remember(spec.lane, footprint, record.accepted_ms, commit)
    return Verdict(_ACCEPTED, spec.lane, wire.id, commit, None, None, wire.seq)
