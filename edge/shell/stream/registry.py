"""Every open socket of this process: in by :meth:`Registry.enter`, out when it is lost.

Whoever wants to speak to sockets finds them here, by player, session or brand. The bounds of
``[limits.connections]`` are asked before a handshake succeeds, and count what is open by then;
the bound of one session is kept here: its newest sockets stay, older ones are told to go.
A socket that has begun to end is found no more, and holds no place of its player's or session's;
it counts to the total and its address until it is gone. Loop thread.

The figures of all sockets, those that are gone too, are counted here as well.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar

from edge.config import Connections
from edge.core.closing import REPLACED
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject

Kind: TypeAlias = Literal["player", "session", "brand"]
"""What a name among sockets is the name of."""

_NOBODY: Final = ()


class Socket(Protocol):
    """One open socket, as the registry knows it."""

    @property
    def principal(self) -> Principal:
        """Who speaks there; subject, session and brand never change."""
        ...

    @property
    def address(self) -> str:
        """Whence, as quotas count addresses."""
        ...

    def end(self, code: int, reason: str) -> None:
        """Say ``bye`` and close; soon, and never twice."""
        ...


SocketT = TypeVar("SocketT", bound=Socket)


class Registry(Generic[SocketT]):
    """The open sockets.

    Args:
        bounds: How many there may be.
        per_session: How many of one session.

    Attributes:
        bounds: How many there may be.
        frames: Text frames so far, by direction: ``in`` and ``out``.
        closed: Sockets that ended, by close code.
    """

    def __init__(self, bounds: Connections, *, per_session: int) -> None:
        self.bounds: Final = bounds
        self.frames: Final = {"in": 0, "out": 0}  # a Counter is written to by a call in Python
        self.closed: Final[Counter[str]] = Counter()
        self._per_session: Final = per_session
        self._open: Final[dict[SocketT, None]] = {}  # in the order of their coming
        self._addresses: Final[Counter[str]] = Counter()
        self._named: Final[dict[Kind, dict[str, dict[SocketT, None]]]] = {
            "player": defaultdict(dict),
            "session": defaultdict(dict),
            "brand": defaultdict(dict),
        }

    def __len__(self) -> int:
        return len(self._open)

    def check(self, address: str, principal: Principal | None) -> None:
        """Let one more socket come, if there is room.

        Args:
            address: Whence, as quotas count addresses.
            principal: Of whom; ``None``: nobody knows yet.

        Raises:
            Reject: TOO_MANY_CONNECTIONS.
        """
        if len(self._open) >= self.bounds.total:
            raise Reject(Reason.TOO_MANY_CONNECTIONS, "sockets in total")
        per_address = self.bounds.per_address
        if per_address is not None and self._addresses[address] >= per_address:
            raise Reject(Reason.TOO_MANY_CONNECTIONS, "of one address", status=429)
        if principal is not None and self._has_enough(principal):
            raise Reject(Reason.TOO_MANY_CONNECTIONS, "of one player", status=429)

    def enter(self, socket: SocketT) -> None:
        """Take *socket* in; its session's oldest go if there are now too many of them."""
        self._open[socket] = None
        self._addresses[socket.address] += 1
        for kind, name in _names(socket.principal):
            self._named[kind][name][socket] = None
        siblings = list(self.sockets_of("session", socket.principal.session))
        for older in siblings[: -self._per_session]:
            older.end(*REPLACED)

    def hide(self, socket: SocketT) -> None:
        """Find *socket* no more: it has begun to end."""
        for kind, name in _names(socket.principal):
            found = self._named[kind].get(name)
            if found is not None:
                found.pop(socket, None)
                if not found:
                    del self._named[kind][name]

    def leave(self, socket: SocketT, code: str) -> None:
        """Forget *socket*: it is gone, by close code *code*."""
        self.hide(socket)
        self.closed[code] += 1
        del self._open[socket]
        self._addresses[socket.address] -= 1
        if not self._addresses[socket.address]:
            del self._addresses[socket.address]

    def sockets_of(self, kind: Kind, name: str) -> Collection[SocketT]:
        """Return the sockets of that name, none of which has begun to end; as they come and go.

        Copy it before you end any of them, or wait.
        """
        return self._named[kind].get(name, _NOBODY)

    def all(self) -> Sequence[SocketT]:
        """Return the sockets there are now, in the order of their coming."""
        return list(self._open)

    def _has_enough(self, principal: Principal) -> bool:
        """Return whether the player has; those that the new one would replace do not count."""
        of_session = len(self.sockets_of("session", principal.session))
        replaced = max(0, of_session + 1 - self._per_session)
        count = len(self.sockets_of("player", principal.subject)) - replaced
        return count >= self.bounds.per_player


def _names(principal: Principal) -> tuple[tuple[Kind, str], ...]:
    return (
        ("player", principal.subject),
        ("session", principal.session),
        ("brand", principal.brand),
    )
