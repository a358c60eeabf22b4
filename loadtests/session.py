"""One session of a client with a gateway, over as many sockets as it takes: no I/O, no clock.

In: what became of the last act, text frames, the time in seconds of a steady clock; out: the
next act. Whoever drives it owns the socket, the clock and the tokens, and asks again after each
input and when the time of a :class:`Wait` has come::

    match session.act(now_s):
        case Connect(): ...      # then session.opened(now_s), or session.lose(loss, now_s)
        case Say(): ...          # keep frame.fresh, then send frame.payload
        case Fetch(): ...        # then session.renew(token, now_s); None: there is none yet
        case HangUp(): ...       # end the socket at once, then session.lose(loss, now_s)
        case Wait(): ...         # for any input, or that time
        case Over(): ...         # it ended for good

Theory of operation
-------------------
::

    away ──its time has come──> knocking ──opened──> greeting ──welcome──> open ──bye──> leaving
      ^                             |                    |                  |               |
      └──────────lose───────────────┴────────────────────┴──────────────────┴───────────────┘

A socket may look alive and be dead. So who waits for a word gives it a time: for ``welcome``,
for the verdicts of the oldest frame, for the close after ``bye``. When that is over, the socket
is ended here, and what was under way goes again on the next one: at worst as a duplicate.

The gateway's clock is never compared with ours: a token has as long as ``welcome`` says between
its ``server_time_ms`` and ``expires_at_ms``.

Source: design.md §4 "WebSocket".
"""

import enum
import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple, TypeAlias, assert_never

from loadtests.jitter import Jitter
from loadtests.ops import (
    Bye,
    Expiring,
    Limits,
    NotUnderstoodError,
    Push,
    Renewed,
    Verdicts,
    Welcome,
    Word,
    read,
    write_token,
)
from loadtests.outbox import Fate, Frame, Outbox
from loadtests.reconnect import Loss, Reconnect

MS_PER_S: Final = 1000
PACE_SHARE: Final = 0.8  # of the frames allowed: what a network holds back comes together
FETCH_AGAIN_S: Final = 5.0  # a token server that has none now is asked again so soon


@dataclass(frozen=True, slots=True)
class Rules:
    """How patient a client is.

    Attributes:
        welcome_s: With a gateway that does not greet.
        verdict_s: With one that does not judge; twice its ``spool.sync_timeout_s``.
        leave_s: With one that does not close after its ``bye``.
        hello_s: A socket on which nothing is said is closed as silent (``stream.silent_s``,
            60): an empty frame goes out so soon.
        renew_s: Before its end a token is renewed; the gateway warns 60 s before.
        knock_first_s: Of the jitter before a new socket.
        knock_most_s: It grows to that.
        retry_first_s: Of the jitter before events that were refused for now.
        retry_most_s: It grows to that.
    """

    welcome_s: float = 10.0
    verdict_s: float = 10.0
    leave_s: float = 2.0
    hello_s: float = 20.0
    renew_s: float = 90.0
    knock_first_s: float = 0.25
    knock_most_s: float = 15.0
    retry_first_s: float = 0.1
    retry_most_s: float = 5.0


class Connect(NamedTuple):
    """Open a socket; with another token than the last one, if that is spent."""

    needs_new_token: bool


class Say(NamedTuple):
    """Send a text frame."""

    frame: Frame


class Fetch(NamedTuple):
    """Get another token; meanwhile go on."""


class HangUp(NamedTuple):
    """End the socket without a word: nobody is there."""

    why: str


class Wait(NamedTuple):
    """Nothing to do before *until_s*, unless something comes in."""

    until_s: float


class Over(NamedTuple):
    """No further socket; what is unsettled stays so."""

    loss: Loss


Act: TypeAlias = Connect | Say | Fetch | HangUp | Wait | Over
Told: TypeAlias = Fate | Push


class _Line(enum.Enum):
    """How we stand with the gateway."""

    AWAY = enum.auto()
    KNOCKING = enum.auto()
    GREETING = enum.auto()
    OPEN = enum.auto()
    LEAVING = enum.auto()
    HUNG_UP = enum.auto()


FOREVER: Final = Wait(math.inf)


class Session:
    """Driven as the module says.

    Args:
        rng: For all jitter.
        rules: How patient it is.
        outbox: With what an earlier life left, if there was one.

    Attributes:
        outbox: Takes events; ask for the next act after putting one there.
        sockets: How many were welcomed.
    """

    def __init__(
        self, rng: Random, rules: Rules | None = None, outbox: Outbox | None = None
    ) -> None:
        self._rules = rules = rules or Rules()
        retries = Jitter(rng, rules.retry_first_s, rules.retry_most_s)
        self.outbox = outbox or Outbox(retries)
        self.sockets = 0
        self._reconnect = Reconnect(Jitter(rng, rules.knock_first_s, rules.knock_most_s))
        self._line = _Line.AWAY
        self._name = ""
        self._patience_s = math.inf
        self._bye: Bye | None = None
        self._welcomed_s = math.inf
        self._frames = 0
        self._sent_s: deque[float] = deque()
        self._frames_per_s = Limits().frames_per_s
        self._token = ""
        self._token_frame = 0
        self._renew_s = math.inf
        self._ahead_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a gateway listens to us."""
        return self._line is _Line.OPEN

    def act(self, now_s: float) -> Act:
        """Return what to do now; what it says is to be done, it takes for done."""
        match self._line:
            case _Line.AWAY:
                return self._knock(now_s)
            case _Line.KNOCKING | _Line.HUNG_UP:
                return FOREVER
            case _Line.GREETING | _Line.LEAVING:
                return self._wait_for(self._patience_s, now_s)
            case _Line.OPEN:
                return self._talk(now_s)
            case _ as never:  # pragma: no cover  # mypy and pyright see to it
                assert_never(never)

    def opened(self, now_s: float) -> None:
        """Note that the handshake succeeded."""
        self._line = _Line.GREETING
        self._patience_s = now_s + self._rules.welcome_s

    def hear(self, text: str | bytes, now_s: float) -> list[Told]:
        """Take one text frame; return what it tells the application.

        Raises:
            NotUnderstoodError: The gateway does not keep its contract; end the socket, and
                lose it with code 1002.
        """
        word = read(text)
        if word is None or self._line not in {_Line.GREETING, _Line.OPEN}:
            return []
        if (self._line is _Line.GREETING) != isinstance(word, Welcome):
            raise NotUnderstoodError("one welcome, and that first")
        return self._heed(word, now_s)

    def renew(self, token: str | None, now_s: float) -> None:
        """Say *token* on the socket as soon as may be; ``None``: ask for one again soon."""
        if token is None:
            self._renew_s = now_s + FETCH_AGAIN_S
        elif self._line is _Line.OPEN:
            self._token = token

    def lose(self, loss: Loss, now_s: float) -> None:
        """Note that the socket ended, or did not come to be."""
        lived_s = max(0.0, now_s - self._welcomed_s)
        asked_s = 0.0
        if self._bye is not None:
            # What it said counts, also if its close frame did not come through.
            loss = Loss(self._bye.code)
            asked_s = (self._bye.reconnect_after_ms or 0) / MS_PER_S
        self._reconnect.lose(loss, now_s, lived_s=lived_s, asked_s=asked_s)
        self.outbox.lose()
        self._line = _Line.AWAY
        self._bye = None
        self._welcomed_s = self._renew_s = math.inf
        self._token = ""

    def _knock(self, now_s: float) -> Act:
        if self._reconnect.end is not None:
            return Over(self._reconnect.end)
        if now_s < self._reconnect.knock_s:
            return Wait(self._reconnect.knock_s)
        self._line = _Line.KNOCKING
        self._reconnect.knock(now_s)
        return Connect(self._reconnect.needs_new_token)

    def _wait_for(self, end_s: float, now_s: float) -> Act:
        if now_s < end_s:
            return Wait(end_s)
        return self._hang_up(f"{self._line.name.lower()} took too long")

    def _hang_up(self, why: str) -> HangUp:
        self._line = _Line.HUNG_UP
        return HangUp(why)

    def _talk(self, now_s: float) -> Act:
        """Say what there is to say, if it may be said."""
        verdict_s = self.outbox.oldest_s + self._rules.verdict_s
        if now_s >= verdict_s:
            return self._hang_up("no verdicts")
        if now_s >= self._renew_s:
            self._renew_s = math.inf
            return Fetch()
        due_s = self._free_s(now_s)
        if now_s >= due_s:
            frame = self._frame(now_s)
            if frame is not None:
                self._frames += 1
                self._sent_s.append(now_s)
                return Say(frame)
            due_s = min(self.outbox.due_s, self._hello_s())
        return Wait(min(due_s, verdict_s, self._renew_s))

    def _free_s(self, now_s: float) -> float:
        """Return when another frame may go out: at most so many in any second."""
        while self._sent_s and self._sent_s[0] <= now_s - 1:
            self._sent_s.popleft()
        frames_max = max(1, int(PACE_SHARE * self._frames_per_s))
        return self._sent_s[0] + 1 if len(self._sent_s) >= frames_max else -math.inf

    def _hello_s(self) -> float:
        """Return when to say something although there is nothing to say."""
        return math.inf if self._frames else self._welcomed_s + self._rules.hello_s

    def _frame(self, now_s: float) -> Frame | None:
        number = self._frames + 1
        if self._token and self.outbox.step_aside(number, now_s):
            token, self._token = self._token, ""
            self._token_frame = number
            return Frame(write_token(token))
        frame = self.outbox.speak(number, now_s)
        if frame is None and now_s >= self._hello_s():
            return self.outbox.knock(number, now_s)
        return frame

    def _heed(self, word: Word, now_s: float) -> list[Told]:
        match word:
            case Welcome():
                self._enter(word, now_s)
            case Verdicts():
                self._reconnect.rest()
                if any(refusal.frame == self._token_frame for refusal in word.refused):
                    self._renew_s = now_s + FETCH_AGAIN_S
                return [*self.outbox.hear(word, now_s)]
            case Renewed():
                self.outbox.step_back()
                self._count_down(word.expires_at_ms, now_s)
            case Expiring():
                # Infinite: another token is on its way.
                self._renew_s = now_s if self._renew_s < math.inf else math.inf
            case Push():
                return [word]
            case Bye():
                self._line = _Line.LEAVING
                self._bye = word
                self._patience_s = now_s + self._rules.leave_s
            case _ as never:  # pragma: no cover  # mypy and pyright see to it
                assert_never(never)
        return []

    def _enter(self, welcome: Welcome, now_s: float) -> None:
        if self._name not in {"", welcome.session}:
            raise NotUnderstoodError("welcome: to another session than before")
        self._name = welcome.session
        self._line = _Line.OPEN
        self.sockets += 1
        self._frames = self._token_frame = 0
        self._sent_s.clear()
        self._frames_per_s = welcome.limits.frames_per_s
        self._welcomed_s = now_s
        self._ahead_s = welcome.server_time_ms / MS_PER_S - now_s
        self._count_down(welcome.expires_at_ms, now_s)
        self.outbox.greet(welcome)

    def _count_down(self, expires_at_ms: int, now_s: float) -> None:
        """Note when the token is to be renewed."""
        end_s = expires_at_ms / MS_PER_S - self._ahead_s
        lead_s = min(self._rules.renew_s, (end_s - now_s) / 2)
        self._renew_s = end_s - max(lead_s, 0.0)
