"""A gateway's socket as a model: it keeps the contract to the letter, and may die at any moment.

In: text frames of a client; out: text frames to it, when the test says so. It judges an event by
its ``data``, accepts lane by lane, remembers final refusals until it is restarted, and fails the
test when the client breaks its side of the contract.

Source: design.md §3a, §4 "WebSocket".
"""

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from loadtests.ops import Limits

SESSION: Final = "00000000-0000-4000-8000-000000000001"
START_MS: Final = 1_771_000_000_000
RANGES_MAX: Final = 3  # the oldest ones are told as one: far fewer than a real gateway tells
WINDOW: Final = 1024
LIMITS: Final = Limits(frame_bytes=2_000, events=5, frames_per_s=50, in_flight_bytes=8_000)


def event(number: int, kind: str = "fine", lane: str = "bet", size: int = 0) -> dict[str, Any]:
    """An event that is to end as *kind* says.

    Args:
        number: Its name; another number is another event.
        kind: ``fine``; ``bad``: refused for good, always; ``moody``: refused for now or
            accepted, as it comes; ``fickle``: refused for good now, and perhaps accepted
            later; ``shed``.
        lane: Whose commit it waits for.
        size: Of a string in it.
    """
    return {"id": f"e-{number}", "data": {"kind": kind, "lane": lane, "text": "x" * size}}


@dataclass(eq=False)
class FakeFrame:
    """One frame of events as it is judged.

    Attributes:
        number: On its socket.
        refused: Entries to tell.
        given_up: Numbers of final refusals.
        waits_for: Events whose commit is still to come, by id.
    """

    number: int
    refused: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    given_up: list[int] = field(default_factory=list[int])
    waits_for: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])


@dataclass(eq=False)
class FakeSocket:
    """One socket's end at the gateway.

    Attributes:
        said: Text frames to the client, not yet taken.
        frames: That wait for commits.
        concluded: Not yet reported.
        heard: How many text frames came.
        is_open: Whether the gateway still listens.
    """

    said: list[str] = field(default_factory=list[str])
    frames: list[FakeFrame] = field(default_factory=list[FakeFrame])
    concluded: list[FakeFrame] = field(default_factory=list[FakeFrame])
    heard: int = 0
    is_open: bool = True

    def say(self, **frame: Any) -> None:
        """Queue one frame."""
        self.said.append(json.dumps(frame))


@dataclass
class FakeGateway:
    """One session's node.

    Attributes:
        rng: Draws what is moody.
        limits: Told in ``welcome``.
        log: What is durable, by lane, in the order of acceptance: ids.
        numbers: Of durable events, by id.
        put_off: Ids that were ever refused, and may have come later than they were said.
        waiting: Accepted and not yet durable, by lane: (id, seq).
        given_up: Numbers refused for good, in memory.
        owners: Who was ever seen under a number.
        token: Of the last renewal.
        now_s: Its clock.
        token_s: How long a token lasts.
    """

    rng: Random
    limits: Limits = LIMITS
    log: dict[str, list[str]] = field(default_factory=lambda: {"bet": [], "game": []})
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    put_off: set[str] = field(default_factory=set[str])
    waiting: dict[str, list[tuple[str, int]]] = field(
        default_factory=lambda: {"bet": [], "game": []}
    )
    given_up: set[int] = field(default_factory=set[int])
    owners: dict[int, str] = field(default_factory=dict[int, str])
    sockets: list[FakeSocket] = field(default_factory=list[FakeSocket])
    token: str = ""
    now_s: float = 0.0
    token_s: float = 900.0

    def welcome(self) -> FakeSocket:
        """Open a socket; older ones are replaced."""
        for old in self.sockets:
            self.bye(old, 4409, "replaced")
        socket = FakeSocket()
        self.sockets = [socket]
        pending = [seq for lane in self.waiting.values() for _, seq in lane]
        seen = [0, *self.numbers.values(), *pending, *self.given_up]
        socket.say(
            op="welcome",
            session=SESSION,
            known=len(seen) > 1,
            next_seq=max(seen) + 1,
            server_time_ms=self.unix_ms(),
            expires_at_ms=self.unix_ms(self.token_s),
            limits={name: getattr(self.limits, name) for name in Limits.__struct_fields__},
            lanes={"bet": "open", "game": "open"},
        )
        return socket

    def unix_ms(self, later_s: float = 0.0) -> int:
        """Return its wall clock's time, so much later."""
        return START_MS + int((self.now_s + later_s) * 1000)

    def hear(self, socket: FakeSocket, text: str | bytes) -> None:
        """Judge one text frame."""
        if not socket.is_open:
            return
        assert len(text) <= self.limits.frame_bytes, "too large a frame"
        socket.heard += 1
        said: dict[str, Any] = json.loads(text)
        if said["op"] == "token":
            self._renew(socket, said["token"])
            return
        assert len(said["events"]) <= self.limits.events, "too many events"
        frame = FakeFrame(socket.heard)
        for index, each in enumerate(said["events"]):
            self._judge(frame, index, each)
        (socket.frames if frame.waits_for else socket.concluded).append(frame)

    def commit(self, lane: str, *, held: bool = True) -> None:
        """Sync what waits in *lane*: it is durable now, or must be sent again."""
        waiting, self.waiting[lane] = self.waiting[lane], []
        if held:
            self._keep(lane, waiting)
        else:
            self.put_off.update(name for name, _ in waiting)
        for socket in self.sockets:
            for frame in list(socket.frames):
                self._settle(frame, [name for name, _ in waiting], held=held)
                if not frame.waits_for:
                    socket.frames.remove(frame)
                    socket.concluded.append(frame)

    def report(self, socket: FakeSocket) -> None:
        """Say one word about all that is concluded, if anything is."""
        if not socket.concluded or not socket.is_open:
            return
        refused = [entry for frame in socket.concluded for entry in frame.refused]
        for frame in socket.concluded:
            self.given_up.update(frame.given_up)
        is_put_off = any(entry["retryable"] for entry in refused)
        socket.say(
            op="verdicts",
            refused=refused,
            retry_after_ms=200 if is_put_off else None,
            concluded=[frame.number for frame in socket.concluded],  # for the test's eyes
            **self._progress(),
        )
        socket.concluded = []

    def bye(self, socket: FakeSocket, code: int, reason: str, after_ms: int = 0) -> None:
        """Take leave; nothing more is heard on it."""
        if socket.is_open:
            socket.say(op="bye", code=code, reason=reason, reconnect_after_ms=after_ms)
            socket.is_open = False

    def die(self) -> None:
        """SIGKILL: of what waits for a sync the first events are durable, untold."""
        for lane, waiting in self.waiting.items():
            self._keep(lane, waiting[: self.rng.randint(0, len(waiting))])
            waiting.clear()
        for socket in self.sockets:
            socket.is_open = False
        self.sockets = []
        self.given_up = set()

    def _renew(self, socket: FakeSocket, token: str) -> None:
        self.token = token
        if self.rng.random() < 0.3:  # its keys are not there just now
            frame = FakeFrame(socket.heard)
            frame.refused.append(_entry(frame, None, None, "keys_unavailable", retryable=True))
            socket.concluded.append(frame)
        else:
            socket.say(op="renewed", expires_at_ms=self.unix_ms(self.token_s))

    def _judge(self, frame: FakeFrame, index: int, each: dict[str, Any]) -> None:
        name, seq, said = each["id"], each["seq"], each["data"]
        assert each["session"] == SESSION
        assert self.owners.setdefault(seq, name) == name, f"{seq} was given twice"
        if name in self.numbers:
            assert self.numbers[name] == seq, f"{name} has two numbers"
            return
        lane: str = said["lane"]
        if (name, seq) in self.waiting[lane]:
            frame.waits_for[name] = index, seq
            return
        code, is_retryable = self._rule(said["kind"])
        if not code:
            self.waiting[lane].append((name, seq))
            frame.waits_for[name] = index, seq
            return
        frame.refused.append(_entry(frame, index, each, code, retryable=is_retryable))
        self.put_off.add(name)  # for good, too: who did not hear of it may come again
        if not is_retryable:
            frame.given_up.append(seq)

    def _rule(self, kind: str) -> tuple[str, bool]:
        """Return why it is refused, and whether it may come again; no code: it is not."""
        draw = self.rng.random()
        if kind == "moody" and draw < 0.4:
            return "rate_exceeded", True
        if kind == "fickle" and draw < 0.5:
            return ("rate_exceeded", True) if draw < 0.2 else ("stake_limit", False)
        return {"bad": ("schema_violation", False), "shed": ("lane_shed", False)}.get(
            kind, ("", False)
        )

    def _keep(self, lane: str, accepted: list[tuple[str, int]]) -> None:
        self.log[lane] += [name for name, _ in accepted]
        self.numbers.update(accepted)

    def _settle(self, frame: FakeFrame, names: list[str], *, held: bool) -> None:
        for name in names:
            index, seq = frame.waits_for.pop(name, (None, 0))
            if index is not None and not held:
                each = {"id": name, "seq": seq}
                entry = _entry(frame, index, each, "lane_failed", retryable=True)
                frame.refused.append(entry)

    def _progress(self) -> dict[str, Any]:
        """Tell settled, highest and missing; numbers refused for good count as done."""
        done = {*self.numbers.values(), *self.given_up}
        highest = max(done, default=0)
        low = max(max(self.numbers.values(), default=0) - WINDOW, 1)
        missing: list[list[int]] = []
        for seq in range(low, highest):
            if seq not in done:
                if missing and missing[-1][1] == seq - 1:
                    missing[-1][1] = seq
                else:
                    missing.append([seq, seq])
        if len(missing) > RANGES_MAX:
            cut = len(missing) - RANGES_MAX
            missing = [[missing[0][0], missing[cut][1]], *missing[cut + 1 :]]
        settled = missing[0][0] - 1 if missing else highest
        return {"settled": settled, "highest": highest, "missing": missing}


def _entry(
    frame: FakeFrame,
    index: int | None,
    each: dict[str, Any] | None,
    code: str,
    *,
    retryable: bool,
) -> dict[str, Any]:
    return {
        "frame": frame.number,
        "index": index,
        "id": each and each["id"],
        "seq": each and each["seq"],
        "code": code,
        "pointer": None,
        "retryable": retryable,
    }
