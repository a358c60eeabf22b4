"""Sockets are found by who they are, counted, bounded, and replaced by newer ones."""

from dataclasses import dataclass, field

import pytest

from edge.config import Connections
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.shell.stream.registry import Registry

HERE = "192.0.2.1"


@dataclass(eq=False)
class FakeSocket:
    """Ends as a talk does: it is hidden at once, and lost when a test says so."""

    registry: "Registry[FakeSocket]"
    principal: Principal
    address: str = HERE
    ended: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def end(self, code: int, reason: str) -> None:
        """Begin to end."""
        self.ended.append((code, reason))
        self.registry.hide(self)


def who(player: str = "ada", session: str = "s-1", brand: str = "north") -> Principal:
    """A player's client."""
    return Principal(
        kind=Kind.PLAYER,
        subject=player,
        client_id="web",
        session=session,
        brand=brand,
        expires_unix_s=0,
    )


def registry(per_session: int = 1, **bounds: int) -> Registry[FakeSocket]:
    """An empty one."""
    return Registry(Connections(**bounds), per_session=per_session)


def enter(
    sockets: Registry[FakeSocket], principal: Principal, address: str = HERE
) -> FakeSocket:
    """Let one in that was checked."""
    sockets.check(address, principal)
    socket = FakeSocket(sockets, principal, address)
    sockets.enter(socket)
    return socket


def test_a_socket_is_found_by_player_session_and_brand() -> None:
    sockets = registry()
    ada, bob = enter(sockets, who()), enter(sockets, who("bob", "s-2", "south"))

    assert list(sockets.sockets_of("player", "ada")) == [ada]
    assert list(sockets.sockets_of("session", "s-2")) == [bob]
    assert list(sockets.sockets_of("brand", "north")) == [ada]
    assert list(sockets.sockets_of("player", "s-1")) == []
    assert sockets.all() == [ada, bob]
    assert len(sockets) == 2


def test_a_newer_socket_of_a_session_replaces_the_oldest() -> None:
    sockets = registry(per_session=2)
    first, second, third = (enter(sockets, who()) for _ in range(3))

    assert (first.ended, second.ended, third.ended) == ([(4409, "replaced")], [], [])
    assert list(sockets.sockets_of("session", "s-1")) == [second, third]
    assert len(sockets) == 3, "it is still connected"


def test_a_socket_that_begins_to_end_is_found_no_more() -> None:
    sockets = registry()
    ada = enter(sockets, who())

    ada.end(4408, "silent")
    sockets.hide(ada)

    assert not sockets.sockets_of("player", "ada")
    assert not sockets.sockets_of("session", "s-1")
    assert not sockets.sockets_of("brand", "north")
    assert sockets.all() == [ada]


def test_a_socket_that_is_gone_is_counted_by_its_code_and_leaves_nothing_behind() -> None:
    sockets = registry(total=1, per_address=1, per_player=1)
    ada = enter(sockets, who())

    sockets.leave(ada, "1006")

    assert sockets.closed == {"1006": 1}
    assert len(sockets) == 0
    enter(sockets, who())


@pytest.mark.parametrize(
    ("bound", "status", "principal", "address"),
    [
        ("total", 503, who("eve", "s-9"), "192.0.2.9"),
        ("per_address", 429, who("eve", "s-9"), HERE),
        ("per_player", 429, who(session="s-9"), "192.0.2.9"),
    ],
)
def test_one_too_many_is_refused_and_the_others_are_let_in(
    bound: str, status: int, principal: Principal, address: str
) -> None:
    sockets = registry(**{bound: 2})
    enter(sockets, who(session="s-1"))
    enter(sockets, who(session="s-2"))

    with pytest.raises(Reject) as refused:
        sockets.check(address, principal)

    assert refused.value.reason is Reason.TOO_MANY_CONNECTIONS
    assert refused.value.status == status


def test_behind_a_proxy_one_address_may_have_as_many_as_there_is_room_for() -> None:
    bounds = Connections(total=300, per_address=None)
    sockets: Registry[FakeSocket] = Registry(bounds, per_session=1)
    for number in range(300):
        enter(sockets, who(f"p-{number}", f"s-{number}"))

    with pytest.raises(Reject) as refused:
        sockets.check(HERE, None)

    assert refused.value.status == 503


def test_who_knocks_is_asked_for_room_before_anybody_knows_who_it_is() -> None:
    sockets = registry(per_address=1)
    enter(sockets, who())

    sockets.check("192.0.2.9", None)
    with pytest.raises(Reject):
        sockets.check(HERE, None)


def test_what_a_newer_socket_would_replace_holds_no_place_of_its_player() -> None:
    sockets = registry(per_player=1)
    enter(sockets, who())

    sockets.check(HERE, who())

    with pytest.raises(Reject):
        sockets.check(HERE, who(session="s-2"))


def test_what_has_begun_to_end_holds_no_place_of_its_player_but_one_of_its_address() -> None:
    sockets = registry(per_player=1, per_address=1)
    enter(sockets, who()).end(4408, "silent")

    sockets.check("192.0.2.9", who(session="s-2"))
    with pytest.raises(Reject):
        sockets.check(HERE, who(session="s-2"))
