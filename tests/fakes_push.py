"""Pushes, a topic to read them from by a script, and sockets that keep what they are sent."""

import queue
from collections.abc import Collection, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec
from typing_extensions import override

from edge.core.laggards import Parcel
from edge.core.principal import Kind, Principal
from edge.core.push import PUSH_TOPIC, Push, read_push
from edge.shell.stream.frames import text_frame
from origin_client.origin import Record

TOPIC: Final = "jackpots"
SESSIONS: Final = {
    "ada": "0198c0de-0000-7000-8000-00000000ada0",
    "bob": "0198c0de-0000-7000-8000-00000000b0b0",
}


def push_event(
    number: int, to: str = "all", *, key: str | None = None, **members: object
) -> dict[str, object]:
    """One push of :data:`TOPIC`; its key is its number, unless said otherwise."""
    return {
        "specversion": "1.0",
        "id": f"push-{number}",
        "source": "//jackpots.example",
        "type": "jackpot.pot.grown",
        "pushto": to,
        "pushtopic": TOPIC,
        "pushkey": str(number) if key is None else key,
        "data": {"number": number},
    } | members


def push_value(
    number: int, to: str = "all", *, key: str | None = None, **members: object
) -> bytes:
    """The same as it lies in the topic."""
    return msgspec.json.encode(push_event(number, to, key=key, **members))


def push_parcel(
    number: int, to: str = "all", *, key: str | None = None, **members: object
) -> Parcel:
    """The same on its way to sockets."""
    push = read_push(push_value(number, to, key=key, **members))
    assert isinstance(push, Push)
    return Parcel(push.label, text_frame(push.frame))


def push_record(offset: int, value: bytes | None = None, *, partition: int = 0) -> Record:
    """A record; a push of its offset's number, unless said otherwise."""
    return Record(
        topic=PUSH_TOPIC,
        partition=partition,
        offset=offset,
        key="",
        headers={},
        value=push_value(offset) if value is None else value,
    )


@dataclass
class ScriptedTopic:
    """Reads what it is told to; then the reader ends, as if it were closed.

    Attributes:
        ends: What is told of the topic's end, one after the other; then nothing is in it.
        script: What each subscription yields, or raises.
        positions: Where each began.
    """

    ends: list[dict[int, int] | Exception] = field(
        default_factory=list[dict[int, int] | Exception]
    )
    script: list[list[Record | Exception]] = field(
        default_factory=list[list[Record | Exception]]
    )
    positions: list[Mapping[int, int]] = field(default_factory=list[Mapping[int, int]])
    is_closed: bool = False

    def end(self, topic: str) -> dict[int, int]:
        """Tell, or raise, what is next."""
        assert topic == PUSH_TOPIC
        end = self.ends.pop(0) if self.ends else {}
        if isinstance(end, Exception):
            raise end
        return end

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Yield, or raise, what is next."""
        assert (topic, follow) == (PUSH_TOPIC, True)
        self.positions.append(position)
        for each in self.script.pop(0) if self.script else []:
            if isinstance(each, Exception):
                raise each
            yield each

    def close(self) -> None:
        """End."""
        self.is_closed = True


class LiveTopic(ScriptedTopic):
    """A topic that something can be published to while it is followed."""

    def __init__(self) -> None:
        super().__init__()
        self._records: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._published = 0

    def publish(self, *values: bytes) -> None:
        """Have each read."""
        for value in values:
            self._records.put(push_record(self._published, value))
            self._published += 1

    @override
    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Yield what is published, until it is closed."""
        assert (topic, follow) == (PUSH_TOPIC, True)
        self.positions.append(position)
        while (record := self._records.get()) is not None:
            yield record

    @override
    def close(self) -> None:
        """End the subscription."""
        super().close()
        self._records.put(None)


def listening(name: str, brand: str = "north", *, reads_stream: bool = True) -> Principal:
    """A player who may have pushes."""
    return Principal(
        kind=Kind.PLAYER,
        subject=f"player-{name}",
        client_id="game",
        session=SESSIONS[name],
        brand=brand,
        jurisdiction="MT",
        reads_stream=reads_stream,
        expires_unix_s=2**31,
    )


@dataclass(eq=False)
class FakeSocket:
    """A socket that keeps what it is sent.

    Attributes:
        principal: Who listens.
        topics: To what.
        is_open: Whether it can be written to.
        write_buffer_bytes: What its client has not read.
        got: Frames, in order.
        reads: Whether its client reads.
    """

    principal: Principal
    topics: AbstractSet[str] = frozenset({TOPIC})
    is_open: bool = True
    write_buffer_bytes: int = 0
    got: list[bytes] = field(default_factory=list[bytes])
    reads: bool = True

    def push(self, frame: bytes) -> bool:
        """Keep *frame*."""
        assert self.is_open, "nothing is written to who is gone"
        self.got.append(frame)
        if not self.reads:
            self.write_buffer_bytes += len(frame)
        return True

    @property
    def numbers(self) -> list[int]:
        """Which pushes it got."""
        return [number_in(frame) for frame in self.got]


def number_in(frame: bytes) -> int:
    """Return the number of the push that *frame*, as it goes over the wire, carries."""
    payload = frame[frame.index(b"{") :]
    event = msgspec.json.decode(payload)["event"]
    number = event["data"]["number"]
    assert isinstance(number, int)
    return number


@dataclass
class FakeSockets:
    """The open sockets of a process."""

    open: list[FakeSocket]

    def all(self) -> Collection[FakeSocket]:
        """Return every one."""
        return self.open

    def sockets_of(
        self, kind: Literal["player", "session", "brand"], name: str
    ) -> Collection[FakeSocket]:
        """Return those of one name."""
        return {each: None for each in self.open if name == _named(each.principal, kind)}


def _named(principal: Principal, kind: Literal["player", "session", "brand"]) -> str:
    match kind:
        case "player":
            return principal.subject
        case "session":
            return principal.session
        case _:
            return principal.brand
