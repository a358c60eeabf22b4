"""A client, a gateway and what lies between them, to which things happen one after another.

In: steps; out: what the application was told, and what is durable at the gateway. There is no
clock and no socket: time passes when a step says so, and frames arrive when one carries them.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeAlias

from loadtests.jitter import Jitter
from loadtests.ops import Limits
from loadtests.outbox import Fate, Outbox, Outcome, Said
from loadtests.reconnect import LATE_MAX, LATE_S, Loss
from loadtests.session import Act, Connect, Fetch, HangUp, Rules, Say, Session, Wait
from tests.fakes_stream import FakeGateway, FakeSocket, event

KINDS: Final = ("fine", "fine", "fine", "bad", "moody", "fickle", "shed")
ROUNDS_MAX: Final = 800  # several times what the longest story needs: then it stands still
# Otherwise a story would be mostly waiting.
RULES: Final = Rules(
    welcome_s=1, verdict_s=2, leave_s=1, hello_s=3, knock_most_s=0.5, retry_most_s=0.5
)
STEP_S: Final = 0.05

Step: TypeAlias = tuple[str, int, int]


@dataclass
class Link:
    """One socket, with what is on its way.

    Attributes:
        socket: The gateway's end.
        up: Sent by the client, not yet there.
        sent: How many text frames the client sent.
        unanswered: Names in the frames that are not concluded, by number.
        is_held: A black hole: nothing passes, and nobody is told.
    """

    socket: FakeSocket
    up: deque[bytes] = field(default_factory=deque[bytes])
    sent: int = 0
    unanswered: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    is_held: bool = False


class Story:
    """One client, one gateway, and what lies between them."""

    def __init__(self, seed: int, *, in_flight_bytes: int = 8_000) -> None:
        self.rng = Random(seed)  # noqa: S311  # replayable, no secret
        limits = Limits(2_000, 5, 50, in_flight_bytes)
        self.gateway = FakeGateway(self.rng, limits, token_s=10)
        self.session = self.born()
        self.now_s = 0.0
        self.link: Link | None = None
        self.closing: Loss | None = None
        self.journal: dict[str, Said] = {}
        self.next_seq = 1
        self.put: dict[str, dict[str, Any]] = {}
        self.fates: dict[str, Fate] = {}
        self.is_denied = False
        self.is_lost = False
        self.ghosts_s: deque[float] = deque(maxlen=LATE_MAX)
        self.again: set[str] = set()

    def born(self, *said: Said, next_seq: int = 1) -> Session:
        """Start a client on what an earlier one left."""
        jitter = Jitter(self.rng, RULES.retry_first_s, RULES.retry_most_s)
        return Session(self.rng, RULES, Outbox(jitter, said, next_seq))

    def take(self, step: Step) -> None:
        """Let one thing happen."""
        name, first, second = step
        steps = {
            "put": self.say,
            "go": self.go,
            "up": self.carry_up,
            "down": self.carry_down,
            "commit": self.commit,
            "report": self.report,
            "cut": self.cut,
            "hold": self.hold,
            "kill gateway": self.kill_gateway,
            "kill client": self.kill_client,
            "bye": self.bye,
            "deny": self.deny,
            "lose": self.lose,
            "ghost": self.let_ghost_in,
            "wait": self.wait,
        }
        steps[name](first, second)

    def say(self, first: int, second: int) -> None:
        """Have the application say one event."""
        number = len(self.put)
        kind, lane = KINDS[first % len(KINDS)], ("bet", "game")[second % 2]
        self.put[f"e-{number}"] = each = event(number, kind, lane, size=first * 40)
        self.session.outbox.put(each)

    def go(self, first: int, _: int) -> None:
        """Let the client do what it wants to, at most so much."""
        for _ in range(first + 1):
            act = self.session.act(self.now_s)
            if isinstance(act, Wait):
                return
            self.obey(act)

    def obey(self, act: Act) -> None:
        """Do what the session says, as a shell would."""
        match act:
            case Connect():
                if self.is_denied:
                    self.is_denied = False
                    self.session.lose(Loss(status=503, retry_after_s=1), self.now_s)
                    return
                if self.is_lost:
                    self.is_lost = False
                    self.ghosts_s.append(self.now_s)
                    self.session.lose(Loss(is_unanswered=True), self.now_s)
                    return
                self.session.opened(self.now_s)
                self.link = Link(self.gateway.welcome())
            case Say(frame):
                assert self.link is not None
                self.see_that_what_goes_again_goes_alone(self.link, frame.payload)
                for said in frame.fresh:
                    assert said.id not in self.journal
                    self.journal[said.id] = said
                    self.next_seq = said.seq + 1
                self.link.up.append(frame.payload)
            case Fetch():
                token = "another" if self.rng.random() < 0.7 else None
                self.session.renew(token, self.now_s)
            case HangUp():
                self.cut(0, 0)
            case _:
                raise AssertionError(act)

    def see_that_what_goes_again_goes_alone(self, link: Link, payload: bytes) -> None:
        """Whatever an earlier socket left is alone under way."""
        link.sent += 1
        link.unanswered[link.sent] = {
            each["id"] for each in json.loads(payload).get("events", ())
        }
        if len(link.unanswered) > 1:
            assert not any(names & self.again for names in link.unanswered.values())

    def carry_up(self, first: int, _: int) -> None:
        """Let so many frames arrive at the gateway."""
        link = self.link
        if link is None or link.is_held:
            return
        for _ in range(min(first + 1, len(link.up))):
            self.gateway.hear(link.socket, link.up.popleft())

    def carry_down(self, first: int, _: int) -> None:
        """Let so many frames arrive at the client, and the end behind the last."""
        link = self.link
        if link is None or link.is_held:
            return
        for _ in range(min(first + 1, len(link.socket.said))):
            text = link.socket.said.pop(0)
            self.strike_out(link, text)
            for told in self.session.hear(text, self.now_s):
                assert isinstance(told, Fate)
                assert told.id not in self.fates, "two fates"
                self.fates[told.id] = told
        if not link.socket.is_open and not link.socket.said:
            self.cut(0, 0)

    def strike_out(self, link: Link, text: str) -> None:
        """Note which frames have their answer."""
        word = json.loads(text)
        for number in word.get("concluded", ()):
            del link.unanswered[number]
        if word["op"] == "renewed":
            del link.unanswered[min(n for n, names in link.unanswered.items() if not names)]

    def commit(self, first: int, second: int) -> None:
        """Let a lane's sync end, well or not."""
        self.gateway.commit(("bet", "game")[first % 2], held=second != 0)

    def report(self, _: int, __: int) -> None:
        """Have the gateway say what is concluded."""
        for socket in self.gateway.sockets:
            self.gateway.report(socket)

    def cut(self, first: int, _: int) -> None:
        """End the socket; what is on its way may arrive at the gateway yet."""
        if self.link is None:
            return
        link, self.link = self.link, None
        for text in list(link.up)[:first]:
            self.gateway.hear(link.socket, text)
        link.socket.is_open = False
        self.session.lose(Loss(), self.now_s)
        self.again |= self.journal.keys() - self.fates.keys()

    def hold(self, _: int, __: int) -> None:
        """Let nothing through any more, and tell nobody."""
        if self.link is not None:
            self.link.is_held = True

    def kill_gateway(self, _: int, __: int) -> None:
        """SIGKILL, and a new life on the same disk at once."""
        self.gateway.die()
        if self.link is not None and not self.link.is_held:
            self.cut(0, 0)

    def kill_client(self, _: int, __: int) -> None:
        """A new client knows what the old one had numbered, and the application the rest."""
        self.link = None
        while len(self.ghosts_s) > 1:  # a new life reckons with one
            self.ghosts_s.popleft()
        self.again |= self.journal.keys() - self.fates.keys()
        left = [said for name, said in self.journal.items() if name not in self.fates]
        self.session = self.born(*left, next_seq=self.next_seq)
        for name, each in self.put.items():
            if name not in self.journal:
                self.session.outbox.put(each)

    def bye(self, first: int, _: int) -> None:
        """Have the gateway take leave."""
        if self.link is not None:
            code = (1012, 4401, 1013)[first % 3]
            self.gateway.bye(self.link.socket, code, "because", after_ms=300)

    def deny(self, _: int, __: int) -> None:
        """Have the next handshake refused."""
        self.is_denied = True

    def lose(self, _: int, __: int) -> None:
        """Have the next handshake held on its way; its client gives it up."""
        self.is_lost = True

    def let_ghost_in(self, _: int, __: int) -> None:
        """Have a handshake that was held arrive, if it still may: one comes once."""
        if self.ghosts_s and self.ghosts_s.popleft() + LATE_S > self.now_s:
            self.gateway.welcome()

    def wait(self, first: int, _: int) -> None:
        """Let time pass: from a twentieth of a second to 13."""
        self.now_s += STEP_S * 4**first
        self.gateway.now_s = self.now_s

    def run_out(self) -> None:
        """Heal everything, and let it come to rest."""
        for _ in range(ROUNDS_MAX):
            if len(self.fates) == len(self.put):
                return
            for step in ("go", "up", "commit", "report", "down"):
                self.take((step, 9, 1))
            self.take(("commit", 0, 1))
            self.report(0, 0)
            self.wait(1, 0)
        raise AssertionError(f"unsettled: {self.put.keys() - self.fates.keys()}")

    def check(self) -> None:
        """Compare what was told with what is durable."""
        kept = [name for lane in self.gateway.log.values() for name in lane]
        accepted = {name for name, fate in self.fates.items() if fate.outcome == "accepted"}
        assert sorted(kept) == sorted(accepted)
        assert self.session.outbox.contradictions == 0
        for name, fate in self.fates.items():
            kind = self.put[name]["data"]["kind"]
            assert fate.outcome in {
                "bad": {Outcome.REFUSED},
                "shed": {Outcome.SHED},
                "fickle": {Outcome.REFUSED, Outcome.ACCEPTED},
            }.get(kind, {Outcome.ACCEPTED})
        for lane in self.gateway.log.values():
            highest = 0
            for name in lane:
                seq = self.gateway.numbers[name]
                assert seq > highest or name in self.gateway.put_off, "overtaken"
                highest = max(highest, seq)
