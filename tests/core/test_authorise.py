"""Clients speak of themselves, services of their own brands, and the first broken rule decides."""

from itertools import product

import msgspec
import pytest

from edge.core.authorise import authorise, authorise_request, authorise_stream
from edge.core.event import Event
from edge.core.lane import Lane
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from tests.fakes_stages import (
    FACT,
    INTENT,
    OBSERVATION,
    PLAYER,
    SERVICE,
    SESSION_FACT,
    client_event,
    fact,
    with_wire,
)

OTHER_SESSION = "0190aaaa-0000-7000-8000-000000000002"
BOUND = msgspec.structs.replace(
    SERVICE, brands=frozenset({"acme"}), jurisdictions=frozenset({"GB", "MT"})
)


def refusal(event: Event, principal: Principal) -> tuple[Reason, str | None] | None:
    """Why *event* is refused and where; ``None`` if it may pass."""
    try:
        authorise(event, principal)
    except Reject as reject:
        return reject.reason, reject.pointer
    return None


def without(principal: Principal, lane: Lane) -> Principal:
    return msgspec.structs.replace(principal, writes=principal.writes - {lane})


@pytest.mark.parametrize(
    ("event", "principal", "expected"),
    [
        pytest.param(client_event(INTENT), PLAYER, None, id="a client asks"),
        pytest.param(client_event(OBSERVATION), PLAYER, None, id="a client reports"),
        pytest.param(fact(FACT), SERVICE, None, id="a service states"),
        pytest.param(fact(SESSION_FACT), SERVICE, None, id="a service states of a session"),
        pytest.param(fact(FACT), BOUND, None, id="a service states of its brand"),
        pytest.param(
            with_wire(client_event(), brand="acme", jurisdiction="GB"),
            PLAYER,
            None,
            id="a client repeats its token",
        ),
        pytest.param(
            fact(FACT), PLAYER, (Reason.AUTHORITY_DENIED, "/type"), id="a client states"
        ),
        pytest.param(
            client_event(INTENT),
            SERVICE,
            (Reason.AUTHORITY_DENIED, "/type"),
            id="a service asks",
        ),
        pytest.param(
            client_event(OBSERVATION),
            SERVICE,
            (Reason.AUTHORITY_DENIED, "/type"),
            id="a service reports",
        ),
        pytest.param(
            with_wire(client_event(), subject="eve-0001"),
            PLAYER,
            (Reason.SUBJECT_MISMATCH, "/subject"),
            id="another player",
        ),
        pytest.param(
            with_wire(client_event(), session=OTHER_SESSION),
            PLAYER,
            (Reason.SUBJECT_MISMATCH, "/session"),
            id="another session",
        ),
        pytest.param(
            with_wire(client_event(), session=None),
            PLAYER,
            (Reason.SUBJECT_MISMATCH, "/session"),
            id="no session",
        ),
        pytest.param(
            with_wire(client_event(), brand="other"),
            PLAYER,
            (Reason.BRAND_MISMATCH, "/brand"),
            id="another brand",
        ),
        pytest.param(
            with_wire(client_event(), jurisdiction="DE"),
            PLAYER,
            (Reason.BRAND_MISMATCH, "/jurisdiction"),
            id="another jurisdiction",
        ),
        pytest.param(
            with_wire(fact(), brand="other"),
            BOUND,
            (Reason.BRAND_MISMATCH, "/brand"),
            id="a brand the service is not bound to",
        ),
        pytest.param(
            with_wire(fact(), jurisdiction="DE"),
            BOUND,
            (Reason.BRAND_MISMATCH, "/jurisdiction"),
            id="a jurisdiction the service is not bound to",
        ),
        pytest.param(
            client_event(),
            without(PLAYER, Lane.BET),
            (Reason.SCOPE_MISSING, "/type"),
            id="a lane the client may not write",
        ),
        pytest.param(
            fact(),
            without(SERVICE, Lane.BET),
            (Reason.SCOPE_MISSING, "/type"),
            id="a lane the service may not write",
        ),
    ],
)
def test_each_rule_refuses_with_its_reason_and_pointer(
    event: Event, principal: Principal, expected: tuple[Reason, str] | None
) -> None:
    assert refusal(event, principal) == expected


def test_the_first_broken_rule_decides_whatever_else_is_broken() -> None:
    """Exhaustive: every subset of a client's broken rules."""
    for says_fact, subject, session, brand, jurisdiction, scope in product(
        [False, True], repeat=6
    ):
        event = with_wire(
            client_event(FACT if says_fact else INTENT),
            subject="eve-0001" if subject else PLAYER.subject,
            session=OTHER_SESSION if session else PLAYER.session,
            brand="other" if brand else None,
            jurisdiction="DE" if jurisdiction else None,
        )
        principal = without(PLAYER, Lane.BET) if scope else PLAYER
        in_order = [
            (says_fact, Reason.AUTHORITY_DENIED, "/type"),
            (subject, Reason.SUBJECT_MISMATCH, "/subject"),
            (session, Reason.SUBJECT_MISMATCH, "/session"),
            (brand, Reason.BRAND_MISMATCH, "/brand"),
            (jurisdiction, Reason.BRAND_MISMATCH, "/jurisdiction"),
            (scope, Reason.SCOPE_MISSING, "/type"),
        ]
        expected = next(
            ((reason, pointer) for broken, reason, pointer in in_order if broken), None
        )
        assert refusal(event, principal) == expected


def test_a_token_that_may_write_nothing_fails_the_whole_request() -> None:
    with pytest.raises(Reject) as refused:
        authorise_request(msgspec.structs.replace(PLAYER, writes=frozenset()))

    assert (refused.value.reason, refused.value.pointer) == (Reason.SCOPE_MISSING, None)


def test_one_writable_lane_lets_the_request_in() -> None:
    authorise_request(msgspec.structs.replace(SERVICE, writes=frozenset({Lane.WALLET})))


def test_a_socket_is_for_players_who_may_send_or_watch() -> None:
    for writes in (PLAYER.writes, frozenset[Lane]()):
        for reads_stream in (True, False):
            who = msgspec.structs.replace(PLAYER, writes=writes, reads_stream=reads_stream)
            if writes or reads_stream:
                authorise_stream(who)
            else:
                with pytest.raises(Reject) as refused:
                    authorise_stream(who)
                assert refused.value.reason is Reason.SCOPE_MISSING


def test_a_socket_is_for_no_service() -> None:
    with pytest.raises(Reject) as refused:
        authorise_stream(SERVICE)

    assert refused.value.reason is Reason.SCOPE_MISSING
