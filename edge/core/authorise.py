"""May this principal say this? One event and its principal in; nothing out, or a refusal.

Clients ask and report about themselves; services state facts about anybody they are bound to.
The first rule that is broken decides, in the order authority, subject and session, brand and
jurisdiction, scope: so a client that claims another's event never learns what the other may do.
"""

from typing import Final

from edge.core.event import Event
from edge.core.lane import Authority
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject

# A module's name is read faster than an enum's member: 0.14 µs instead of 0.27 per event.
_PLAYER: Final = Kind.PLAYER
_FACT: Final = Authority.FACT


def authorise_request(principal: Principal) -> None:
    """Turn a request away whole when nothing in it could be written.

    Raises:
        Reject: SCOPE_MISSING.
    """
    if not principal.writes:
        raise Reject(Reason.SCOPE_MISSING, "the token may write nothing")


def authorise_stream(principal: Principal) -> None:
    """Let a socket be opened to those who may send or watch; no service may do either.

    Raises:
        Reject: SCOPE_MISSING.
    """
    if not principal.session or not (principal.writes or principal.reads_stream):
        raise Reject(Reason.SCOPE_MISSING, "a service, or neither writes nor reads")


def authorise(event: Event, principal: Principal) -> None:
    """Let *event* pass if *principal* may say it.

    Raises:
        Reject: AUTHORITY_DENIED at ``/type``; SUBJECT_MISMATCH at ``/subject`` or ``/session``;
            BRAND_MISMATCH at ``/brand`` or ``/jurisdiction``; SCOPE_MISSING at ``/type``.
    """
    is_player = principal.kind is _PLAYER
    if is_player is (event.spec.authority is _FACT):
        raise Reject(Reason.AUTHORITY_DENIED, principal.kind, pointer="/type")
    if is_player:
        _speaks_of_itself(event, principal)
    else:
        _stays_in_its_house(event, principal)
    if event.spec.lane not in principal.writes:
        raise Reject(Reason.SCOPE_MISSING, event.spec.lane, pointer="/type")


def _speaks_of_itself(event: Event, principal: Principal) -> None:
    """Hold a client to its token; a brand or jurisdiction it does not state is the token's."""
    wire = event.wire
    if wire.subject != principal.subject:
        raise Reject(Reason.SUBJECT_MISMATCH, wire.subject, pointer="/subject")
    if wire.session != principal.session:
        raise Reject(Reason.SUBJECT_MISMATCH, "not the token's sid", pointer="/session")
    if wire.brand is not None and wire.brand != principal.brand:
        raise Reject(Reason.BRAND_MISMATCH, wire.brand, pointer="/brand")
    if wire.jurisdiction is not None and wire.jurisdiction != principal.jurisdiction:
        raise Reject(Reason.BRAND_MISMATCH, wire.jurisdiction, pointer="/jurisdiction")


def _stays_in_its_house(event: Event, principal: Principal) -> None:
    """Hold a service to the brands and jurisdictions its token lists, if it lists any."""
    wire = event.wire
    if principal.brands is not None and wire.brand not in principal.brands:
        raise Reject(Reason.BRAND_MISMATCH, "not the service's", pointer="/brand")
    if principal.jurisdictions is not None and wire.jurisdiction not in principal.jurisdictions:
        raise Reject(Reason.BRAND_MISMATCH, "not the service's", pointer="/jurisdiction")
