"""What clients send: events, each of which can be told from all others by its bytes.

Players send bets and reports, numbered within their session, which is one for both lanes; a
service sends payments. A claim may be made anew with a flaw: an id, a business key or a number
that was used before.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from typing_extensions import override

from edge.core.event import BusinessKey, Event, Payload, Spec, WireEvent
from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Authority, Lane
from edge.core.principal import Kind, Principal

if TYPE_CHECKING:
    from tests.sim.issue import Issue

_ID: Final = "00000000-0000-7000-8000-%012d"
_TRACE: Final = "00-%032x-00f067aa0ba902b7-01"
BRAND: Final = "aurora"


class Note(Payload, frozen=True):
    """A payload for every type here.

    Attributes:
        first: Of the first business key.
        second: Of the second.
        body: Tells two payloads apart.
        padding: Makes the sizes differ.
    """

    first: str
    second: str
    body: int
    padding: str


BET: Final = Spec(
    type="bet.note.submitted",
    lane=Lane.BET,
    authority=Authority.INTENT,
    payload=Note,
    keys=(BusinessKey(("first",)),),
)
REPORT: Final = Spec(
    type="player.note.seen", lane=Lane.PLAYER, authority=Authority.OBSERVATION, payload=Note
)
PAYMENT: Final = Spec(
    type="wallet.note.settled",
    lane=Lane.WALLET,
    authority=Authority.FACT,
    payload=Note,
    keys=(BusinessKey(("first",)), BusinessKey(("second",), ignoring=("first",))),
)
SPECS: Final = {spec.lane: spec for spec in (BET, REPORT, PAYMENT)}

PLAYERS: Final = tuple(
    Principal(
        kind=Kind.PLAYER,
        subject=f"player-{number}",
        client_id="web",
        session=_ID % (900 + number),
        brand=BRAND,
        jurisdiction="GB",
        writes=frozenset(Lane),
        expires_unix_s=4_000_000_000,
    )
    for number in range(3)
)
SERVICE: Final = Principal(
    kind=Kind.SERVICE,
    subject="payments",
    client_id="payments",
    writes=frozenset(Lane),
    expires_unix_s=4_000_000_000,
)

_ENCODE: Final = msgspec.json.Encoder().encode


@dataclass(eq=False, slots=True)
class Claim:
    """One event, as somebody wants it accepted.

    Attributes:
        event: As decode makes it.
        principal: Who sends it.
        is_poison: The origin will never take it.
        is_obliged: An accepting verdict was given: it must reach the origin.
        issues: What was made of it, once for each time it was admitted.
    """

    event: Event
    principal: Principal
    is_poison: bool = False
    is_obliged: bool = False
    issues: list["Issue"] = field(default_factory=list["Issue"])

    @override
    def __str__(self) -> str:
        """Name it in a trace."""
        seq = f" seq {self.event.wire.seq}" if self.event.wire.seq else ""
        return f"{self.lane} id {int(self.event.wire.id[-12:])} body {self.note.body}{seq}"

    @property
    def lane(self) -> Lane:
        """Its lane."""
        return self.event.spec.lane

    @property
    def note(self) -> Note:
        """Its payload."""
        assert isinstance(self.event.wire.data, Note)
        return self.event.wire.data

    @property
    def name(self) -> tuple[bytes, bytes]:
        """What tells it from all others, as :func:`names` finds it."""
        return self.event.wire.id.encode(), b"%d" % self.note.body

    def trace(self, number: int) -> None:
        """Send it under another ``traceparent``: no two envelopes are the same."""
        wire = msgspec.structs.replace(self.event.wire, traceparent=_TRACE % number)
        spec, time_ms = self.event.spec, self.event.time_ms
        self.event = Event(spec, wire, time_ms, _ENCODE(wire))

    def names(self) -> list[tuple[object, ...]]:
        """By which names recall knows it: id, then business keys."""
        wire, note, spec = self.event.wire, self.note, self.event.spec
        if self.principal.kind is Kind.PLAYER:
            owner = wire.subject
            identity = ("client", wire.subject, wire.id)
        else:
            owner = BRAND
            identity = ("service", self.principal.client_id, wire.id)
        keys = [
            (spec.type, owner, key.fields[0], getattr(note, key.fields[0])) for key in spec.keys
        ]
        return [identity, *keys]

    def digests(self) -> list[tuple[object, ...]]:
        """What must be equal under each of the names."""
        note = self.note
        about = (self.event.wire.subject, note.second, note.body, note.padding)
        whole = (*about, note.first)
        return [whole, whole, about]


_NAME: Final = re.compile(rb'"id":"([0-9a-f-]{36})"[^\x00\xff]{1,300}?"body":(\d+)')


def names(content: bytes) -> list[tuple[bytes, bytes]]:
    """Find the claims whose envelopes stand in *content*."""
    return _NAME.findall(content)


def make(  # an event has that many parts, and one caller
    spec: Spec, player: Principal, number: int, seq: int | None, note: Note, now: Instant
) -> Claim:
    """Make a claim with the *number*-th id, by or about a player."""
    is_fact = spec.authority is Authority.FACT
    wire = WireEvent(
        specversion="1.0",
        id=_ID % number,
        source="/sim",
        time="",
        subject=player.subject,
        session=None if is_fact else player.session,
        seq=None if is_fact else seq,
        brand=BRAND if is_fact else None,
        jurisdiction="GB" if is_fact else None,
        data=note,
    )
    event = Event(spec, wire, now.unix_ns // NS_PER_MS, _ENCODE(wire))
    return Claim(event, SERVICE if is_fact else player)
