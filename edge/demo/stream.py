"""One player's socket: the same events as over HTTP, and pushes the other way.

In: events; out: their verdicts in the ledger, and the pushes that came. Owns the socket, over
as many of the gateway's lives as the evening has.

*Theory of operation.* One frame is under way at a time, and the next one leaves when that has
its verdicts. So each ``verdicts`` speaks of that frame alone: what it does not refuse is
durable, now or before. If the socket is lost first, the frame is in doubt: behind the next
``welcome`` it goes again before anything else, with the same ids and numbers. Whether it was
durable then, nobody needs to know; that it lies in the origin's log once, the audit sees.
Whoever wants a frame to be in doubt holds its speaker at the point between two frames, and lets
it go when nobody can answer.

Source: design.md §4 "WebSocket".
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from edge.demo.ledger import Entry, Event, Ledger
from edge.demo.speaker import PATIENCE_S, UnsettledError
from edge.demo.wire import ANSWER_TIMEOUT_S, Traffic

SUBPROTOCOL: Final = Subprotocol("edge.v1.json")
TOPIC: Final = "jackpots"
# Full jitter: a random part of a span that doubles with each socket that came to nothing. A
# restart takes about a second; the evening is short.
KNOCK_FIRST_S: Final = 0.1
KNOCK_MOST_S: Final = 1.0
CLOSE_TIMEOUT_S: Final = 1.0  # who does not close by then is cut


@dataclass(slots=True)
class _Frame:
    """What is under way.

    Attributes:
        entries: Its events, by index.
        verdicts: What came of it.
        is_sent: On any socket.
    """

    entries: list[Entry]
    verdicts: asyncio.Future[Event]
    is_sent: bool = False


@dataclass(slots=True)
class StreamSpeaker:
    """One player's client that keeps a socket; one event after the other, as :class:`Speaker`.

    Attributes:
        name: In the ledger; also the ``k`` that keeps it on one node.
        token: Of its own.
        address: Of the gateway, the same in all its lives.
        ledger: The clients' book.
        traffic: Everybody's requests; a frame without verdicts counts as one.
        rng: Spreads its returns.
        tell: For the narrator.
        sockets: How many were welcomed.
        returned: Set by the second.
        pushes: What it was told, in order; an evening has a few.
        pushed: Set by the first.
    """

    name: str
    token: str
    address: tuple[str, int]
    ledger: Ledger
    traffic: Traffic
    rng: random.Random
    tell: Callable[[str], None]
    sockets: int = 0
    returned: asyncio.Event = field(default_factory=asyncio.Event)
    pushes: list[Event] = field(default_factory=list[Event])
    pushed: asyncio.Event = field(default_factory=asyncio.Event)
    _socket: ClientConnection | None = None
    _frames: int = 0
    _under_way: _Frame | None = None
    _has_shown: bool = False
    _waits: asyncio.Event = field(default_factory=asyncio.Event)
    _passes: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin without being held."""
        self._passes.set()

    @property
    def is_in_doubt(self) -> bool:
        """Whether something was sent that has no verdict."""
        frame = self._under_way
        return frame is not None and frame.is_sent and not frame.verdicts.done()

    async def hold(self) -> None:
        """Keep the next frame back; return once it waits, and nothing else is under way.

        Cancelled, it keeps the frame back all the same, until :meth:`release`.
        """
        self._passes.clear()
        await self._waits.wait()

    def release(self) -> None:
        """Let the next frame go, whether it waits already or not."""
        self._passes.set()

    async def say(self, *events: Event, are_copies: bool = False) -> list[str]:
        """Send *events* as one frame, and again what may be, until each has its final verdict.

        Raises:
            UnsettledError: Patience ended first.
        """
        entries = [self.ledger.enter(self.name, event, is_copy=are_copies) for event in events]
        left = entries
        try:
            async with asyncio.timeout(PATIENCE_S):
                while left:
                    verdicts = await self._ask(left)
                    left = self._write_down(left, verdicts)
                    if left:
                        pause_ms = cast("int | None", verdicts["retry_after_ms"]) or 0
                        await asyncio.sleep(pause_ms / 1000)
        except TimeoutError as timeout:
            raise UnsettledError(f"{self.name}: {len(left)} events") from timeout
        return [entry.verdict for entry in entries]

    async def serve(self) -> NoReturn:
        """Keep a socket open, until cancelled."""
        span_s = KNOCK_FIRST_S
        while True:
            before = self.sockets
            with contextlib.suppress(OSError, WebSocketException, ValueError):
                await self._keep_one()
            self._lose()
            span_s = KNOCK_FIRST_S if self.sockets > before else min(2 * span_s, KNOCK_MOST_S)
            await asyncio.sleep(self.rng.uniform(0, span_s))

    async def _keep_one(self) -> None:
        """Connect, and converse until the socket ends.

        Raises:
            OSError: Nobody is there, or nobody answers.
            WebSocketException: The gateway refused, or the socket broke.
            ValueError: What came is no frame of the contract.
        """
        host, port = self.address
        async with connect(
            f"ws://{host}:{port}/v1/stream?k={self.name}&topics={TOPIC}",
            subprotocols=[SUBPROTOCOL],
            additional_headers={"Authorization": f"Bearer {self.token}"},
            compression=None,
            proxy=None,
            open_timeout=ANSWER_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
        ) as socket:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await self._begin(socket, _read(await socket.recv()))
            async for text in socket:
                self._hear(_read(text))

    async def _begin(self, socket: ClientConnection, welcome: Event) -> None:
        """Go on where the last socket ended: what is in doubt goes first."""
        if welcome["op"] != "welcome":
            raise ValueError("one welcome, and that first")
        self._socket, self._frames = socket, 0
        self.sockets += 1
        in_doubt = 0
        if self._under_way is not None and not self._under_way.verdicts.done():
            in_doubt = len(self._under_way.entries) if self.is_in_doubt else 0
            await self._send(self._under_way)
        if self.sockets > 1:
            self.returned.set()
            self.ledger.resent += in_doubt
            self.tell(
                f"{self.name} is back on a socket: known {json.dumps(welcome['known'])}, "
                f"next_seq {welcome['next_seq']}; in doubt and sent again: {in_doubt}"
            )

    async def _ask(self, entries: list[Entry]) -> Event:
        """Return the verdicts on *entries*, over however many sockets that takes."""
        self._waits.set()
        await self._passes.wait()
        self._waits.clear()
        verdicts: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._under_way = _Frame(entries, verdicts)
        await self.traffic.moved(+1)
        try:
            if self._socket is not None:
                await self._send(self._under_way)
            return await verdicts
        finally:
            self._under_way = None
            await self.traffic.moved(-1)

    async def _send(self, frame: _Frame) -> None:
        assert self._socket is not None
        events = [entry.event for entry in frame.entries]
        self._frames += 1
        frame.is_sent = True
        # Whoever listens to the socket notices its end, too.
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"op": "events", "events": events}))

    def _lose(self) -> None:
        self._socket = None
        if self._under_way is not None and self.is_in_doubt:
            for entry in self._under_way.entries:
                entry.unanswered += 1

    def _hear(self, word: Event) -> None:
        frame = self._under_way
        match word["op"]:
            case "verdicts" if frame is not None and not frame.verdicts.done():
                frame.verdicts.set_result(word)
            case "verdicts":
                self.ledger.complaints.append(f"{self.name}: verdicts on nothing")
            case "push":
                self.pushes.append(cast("Event", word["event"]))
                self.pushed.set()
            case _:
                pass  # Nothing that this client must act upon: it comes back after any end.

    def _write_down(self, entries: list[Entry], verdicts: Event) -> list[Entry]:
        """Settle what has its final verdict; return the rest."""
        again: list[Entry] = []
        refusals = cast("list[Event]", verdicts["refused"])
        if refusals and not self._has_shown:
            self._has_shown = True
            self.tell(f"{self.name} hears: {json.dumps(verdicts)}")
        refused = {each["index"]: each for each in refusals if each["frame"] == self._frames}
        for index, entry in enumerate(entries):
            refusal = refused.get(index)
            if refusal is None:
                self._see_that_it_is_done(entry, verdicts)
                self.ledger.vouch(entry)
            elif refusal["retryable"] is True:
                entry.put_off += 1
                again.append(entry)
            else:
                self.ledger.close(entry, str(refusal["code"]))
        return again

    def _see_that_it_is_done(self, entry: Entry, verdicts: Event) -> None:
        """Compare what is concluded from ``refused`` with what the ranges say."""
        assert entry.event is not None
        seq = cast("int", entry.event["seq"])
        missing = cast("list[tuple[int, int]]", verdicts["missing"])
        is_missing = any(first <= seq <= last for first, last in missing)
        is_below = seq <= cast("int", verdicts["highest"]) and not is_missing
        if not is_below and seq > cast("int", verdicts["settled"]):
            words = f"{self.name}: entry {entry.number} is neither refused nor done"
            self.ledger.complaints.append(words)


def _read(text: str | bytes) -> Event:
    """Read one frame.

    Raises:
        ValueError: It is none.
    """
    word: object = json.loads(text)
    if not isinstance(word, dict) or "op" not in word:
        raise ValueError("no frame with an op")
    return cast("Event", word)
