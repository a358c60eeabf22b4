"""Everything one socket stands between: a wire that records, syncs that come when told."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from typing_extensions import override

from edge.config import Connections, Stream
from edge.core.authenticate import IssuerKeys, authenticate
from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.record import Record
from edge.shell.keys.refetched import Refetched
from edge.shell.meters import Meters
from edge.shell.spool.commit import Commit, Synced
from edge.shell.stream.host import Host, limits_of, times_of
from edge.shell.stream.registry import Registry
from edge.shell.stream.talk import Talk
from tests.fakes import FakeClock, bearer, player_token
from tests.fakes_notices import RecordingCourier, refusals
from tests.house import FakeKeys, FakeSpool, house

if TYPE_CHECKING:
    from edge.core.admit import House

ADDRESS = "192.0.2.1"


Told: TypeAlias = dict[str, Any]
"""One frame as the client reads it."""


@dataclass
class FakeWire:
    """A client that only listens.

    Attributes:
        said: Text frames it got, decoded.
        pings: How often it was asked whether it is there.
        closed: With what it was closed.
        is_hearing: Whether its frames would be heard.
        is_paused: Whether they wait.
        is_halted: Whether something else keeps them.
        has_stirred: Whether anything comes of it, if not whole frames.
        is_cut: Whether its connection was cut.
        is_dead: Whether nothing reaches it, as nobody has noticed yet.
        write_buffer_bytes: What it has not taken.
    """

    said: list[Told] = field(default_factory=list[Told])
    pings: int = 0
    closed: tuple[int, str] | None = None
    is_hearing: bool = True
    is_paused: bool = False
    is_halted: bool = False
    has_stirred: bool = False
    is_cut: bool = False
    is_dead: bool = False
    write_buffer_bytes: int = 17

    def send(self, payload: bytes) -> bool:
        """Read it."""
        assert self.closed is None, "nothing is said behind a close frame"
        if not self.is_dead:
            self.said.append(msgspec.json.decode(payload, type=Told))
        return not self.is_dead

    def send_wire(self, frame: bytes) -> bool:
        """Read it, as if it were a plain text."""
        return self.send(frame)

    def ping(self) -> None:
        """Count it."""
        self.pings += 1

    def pause(self) -> None:
        """Wait."""
        assert not self.is_paused
        self.is_paused = True

    def resume(self) -> None:
        """Go on."""
        assert self.is_paused
        self.is_paused = False

    def stop_hearing(self) -> None:
        """Be heard no more."""
        self.is_hearing = False

    def close(self, code: int, reason: str) -> None:
        """Be closed, once."""
        assert self.closed is None
        self.closed = code, reason

    def abort(self) -> None:
        """Be cut."""
        self.is_cut = True

    @property
    def ops(self) -> list[str]:
        """What kind of frames it got, in order."""
        return [each["op"] for each in self.said]


class SlowSpool(FakeSpool):
    """Syncs when told."""

    def __init__(self) -> None:
        super().__init__()
        self.filling: dict[Lane, Commit] = {}
        self.house: House | None = None

    @override
    def append(self, lane: Lane, record: Record) -> Any:
        super().append(lane, record)
        return self.filling.setdefault(lane, Commit(lane, overdue_at_s=0))

    def sync(self, lane: Lane, outcome: Synced = Synced.HELD) -> None:
        """Settle what was appended since the last time, as an intake does."""
        commit = self.filling.pop(lane)
        assert self.house is not None
        if outcome is not Synced.OVERDUE:
            self.house.recall.settle(commit, held=outcome is Synced.HELD)
        commit.settle(outcome)


@dataclass
class FakeRefetcher:
    """Fetches keys that a test holds ready, in a tenth of a second.

    Attributes:
        keys: What is looked at.
        fetched: What is there after a fetch; ``None``: nothing new.
        otherwise: Why there is nothing new.
        asked: For whom it was asked.
        bug: What it raises then, if anything.
    """

    keys: FakeKeys = field(default_factory=FakeKeys)
    fetched: IssuerKeys | None = None
    otherwise: Refetched = Refetched.SAME
    asked: list[str] = field(default_factory=list[str])
    bug: Exception | None = None

    async def refetch(self, issuer: str) -> Refetched:
        """Swap the keys, if there are others."""
        self.asked.append(issuer)
        await asyncio.sleep(0.1)
        if self.bug is not None:
            raise self.bug
        if self.fetched is None:
            return self.otherwise
        self.keys.held = self.fetched
        return Refetched.CHANGED

    def forget(self) -> IssuerKeys:
        """Drop every key of the issuer; return what there was."""
        held = self.keys.held
        assert held is not None
        self.keys.held = IssuerKeys({}, held.generation + 1, held.stale_steady_ns)
        return IssuerKeys(held.keys, held.generation + 2, held.stale_steady_ns)


@dataclass
class FakePushes:
    """Are there after a second.

    Attributes:
        wanted: How often they were waited for.
        begun: How often they were only asked for.
        on_want: What happens meanwhile.
    """

    wanted: int = 0
    begun: int = 0
    on_want: Callable[[], None] = lambda: None

    async def want(self) -> None:
        """Wait until they are read."""
        self.wanted += 1
        await asyncio.sleep(1)
        self.on_want()

    def begin(self) -> None:
        """Count."""
        self.begun += 1


@dataclass
class Lobby:
    """A process's sockets, and all they share."""

    clock: FakeClock = field(default_factory=FakeClock)
    spool: SlowSpool = field(default_factory=SlowSpool)
    refetcher: FakeRefetcher = field(default_factory=FakeRefetcher)
    meters: Meters = field(default_factory=Meters)
    told: RecordingCourier = field(default_factory=RecordingCourier)
    pushes: FakePushes = field(default_factory=FakePushes)
    settings: Stream = field(default_factory=Stream)
    bounds: Connections = field(default_factory=Connections)
    quotas: tuple[Quota, ...] = ()

    def __post_init__(self) -> None:
        self.house = house(self.spool, *self.quotas, keys=self.refetcher.keys)
        self.spool.house = self.house
        self.registry = Registry[Talk](
            self.bounds, per_session=self.settings.sockets_per_session
        )
        self.host = Host(
            house=self.house,
            keys=self.refetcher,
            clock=self.clock,
            meters=self.meters,
            refusals=refusals(self.told),
            registry=self.registry,
            pushes=self.pushes,
            lanes=lambda: {"bet": "open"},
            rng=random.Random(7),  # noqa: S311  # replayable, no secret
            times=times_of(self.settings),
            limits=limits_of(self.settings),
        )

    def talk(self, token: str | None = None, address: str = ADDRESS) -> Talk:
        """Let a player's client in, whose handshake was good; it has no connection yet."""
        authorization = bearer(token or player_token())
        principal = authenticate(authorization, self.house.gate, self.clock.now())
        return Talk(self.host, principal, authorization[0], address, frozenset({"jackpot"}))

    def socket(self, token: str | None = None, address: str = ADDRESS) -> tuple[Talk, FakeWire]:
        """Let a player's client in."""
        talk, wire = self.talk(token, address), FakeWire()
        talk.begin(wire)
        return talk, wire


def token_frame(token: str) -> bytes:
    """Write a frame that brings a newer token."""
    return msgspec.json.encode({"op": "token", "token": token})


async def turn() -> None:
    """Let everything happen that is ready to."""
    for _ in range(5):
        await asyncio.sleep(0)
