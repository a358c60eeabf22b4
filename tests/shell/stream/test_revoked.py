"""Who is told to go when a session, a player or a token is revoked."""

from dataclasses import dataclass, field
from typing import Final

import pytest

from edge.config import Connections
from edge.core.principal import Kind, Principal
from edge.core.revocations import Revocation
from edge.shell.stream.registry import Registry
from edge.shell.stream.revoked import end_revoked
from tests.fakes_directives import revocation


@dataclass(eq=False)
class FakeSocket:
    """Leaves when told to, as a talk does: at once it is found no more."""

    registry: "Registry[FakeSocket]"
    principal: Principal
    address: str = "192.0.2.1"
    ended: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def end(self, code: int, reason: str) -> None:
        """Remember why."""
        self.ended.append((code, reason))
        self.registry.hide(self)


SOCKETS: Final = [("p-1", "s-1", "t-1"), ("p-1", "s-2", "t-2"), ("p-2", "s-3", "t-3")]
BYE: Final = [(4403, "session_revoked")]


@pytest.mark.parametrize(
    ("revoked", "ended"),
    [
        ([], []),
        ([revocation(session="s-1")], [0]),
        ([revocation(session="s-9")], []),
        ([revocation(subject="p-1")], [0, 1]),
        ([revocation(jtis=("t-3", "t-1"))], [0, 2]),
        ([revocation(session="s-3"), revocation(jtis=("t-2",))], [1, 2]),
        ([revocation(session="s-1"), revocation(subject="p-1")], [0, 1]),
    ],
)
def test_exactly_those_that_are_named_end_once(
    revoked: list[Revocation], ended: list[int]
) -> None:
    registry: Registry[FakeSocket] = Registry(Connections(), per_session=9)
    sockets = [
        FakeSocket(
            registry,
            Principal(
                kind=Kind.PLAYER,
                subject=subject,
                client_id="web",
                session=session,
                jti=jti,
                expires_unix_s=0,
            ),
        )
        for subject, session, jti in SOCKETS
    ]
    for socket in sockets:
        registry.enter(socket)

    end_revoked(registry, revoked)

    assert [socket.ended for socket in sockets] == [
        BYE if number in ended else [] for number in range(len(SOCKETS))
    ]
