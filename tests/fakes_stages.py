"""What the tests of authorise, recall and limit share: a small catalogue, events, commits."""

import uuid
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.core.event import BusinessKey, Event, Payload, Spec, WireEvent
from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Authority, Lane
from edge.core.principal import Kind, Principal

SESSION: Final = "0190aaaa-0000-7000-8000-000000000001"
SECRET: Final = b"sixteen bytes at"
NOW_MS: Final = 1_800_000_000_000


class Note(Payload, frozen=True):
    """A payload for every type here.

    Attributes:
        first: Of the first business key.
        second: Of the second.
        body: What a second copy may differ in.
    """

    first: str = "a"
    second: str = "b"
    body: int = 0


INTENT: Final = Spec(
    type="bet.note.submitted",
    lane=Lane.BET,
    authority=Authority.INTENT,
    payload=Note,
    keys=(BusinessKey(("first",)), BusinessKey(("subject", "second"))),
)
OBSERVATION: Final = Spec(
    type="telemetry.note.batch",
    lane=Lane.TELEMETRY,
    authority=Authority.OBSERVATION,
    payload=Note,
)
FACT: Final = Spec(
    type="bet.note.rolled_back",
    lane=Lane.BET,
    authority=Authority.FACT,
    payload=Note,
    keys=(BusinessKey(("first",)), BusinessKey(("second",), ignoring=("first",))),
)
SESSION_FACT: Final = Spec(
    type="player.note.started",
    lane=Lane.PLAYER,
    authority=Authority.FACT,
    payload=Note,
    keys=(BusinessKey(("session",)),),
    needs_session=True,
)

PLAYER: Final = Principal(
    kind=Kind.PLAYER,
    subject="ada-0001",
    client_id="app",
    session=SESSION,
    brand="acme",
    jurisdiction="GB",
    writes=frozenset(Lane),
    expires_unix_s=2_000_000_000,
)
SERVICE: Final = Principal(
    kind=Kind.SERVICE,
    subject="games",
    client_id="games-1",
    writes=frozenset(Lane),
    expires_unix_s=2_000_000_000,
)


@dataclass(eq=False)
class FakeCommit:
    """A commit that a test settles."""

    lane: Lane


def event_id(number: int) -> str:
    """The UUID that ends in *number*."""
    return str(uuid.UUID(int=number))


def at(unix_ms: int) -> Instant:
    """The instant at which both clocks show *unix_ms*."""
    return Instant(unix_ns=unix_ms * NS_PER_MS, steady_ns=unix_ms * NS_PER_MS)


def read(spec: Spec, wire: WireEvent, time_ms: int) -> Event:
    """The event as decode makes it of *wire*."""
    return Event(spec, wire, time_ms, msgspec.json.encode(wire))


def client_event(
    spec: Spec = INTENT, *, seq: int = 1, time_ms: int = NOW_MS, note: Note | None = None
) -> Event:
    """An event of :data:`PLAYER`; its id follows from *seq*, and so do its business keys."""
    wire = WireEvent(
        specversion="1.0",
        id=event_id(seq),
        source="/app",
        time="",
        subject=PLAYER.subject,
        session=SESSION,
        seq=seq,
        data=note or Note(first=f"a{seq}", second=f"b{seq}"),
    )
    return read(spec, wire, time_ms)


def fact(spec: Spec = FACT, *, number: int = 1, note: Note | None = None) -> Event:
    """A fact about :data:`PLAYER`, with the *number*-th id."""
    wire = WireEvent(
        specversion="1.0",
        id=event_id(number),
        source="/games",
        time="",
        subject=PLAYER.subject,
        session=SESSION if spec.needs_session else None,
        brand="acme",
        jurisdiction="GB",
        data=note or Note(),
    )
    return read(spec, wire, NOW_MS)


def with_wire(event: Event, **attributes: str | int | Payload | None) -> Event:
    """*event* with some attributes written differently."""
    wire = msgspec.structs.replace(event.wire, **attributes)
    return read(event.spec, wire, event.time_ms)
