"""One voice at its connection: what it sends next, and what it makes of an answer.

In: answers, broken connections; out: requests as bytes. Owns the page of its voice and the one
batch that is under way, so that the order in which its events come to be accepted is known.

An event is claimed on the page before any byte of it is sent. An obligation is written only on
an accepting verdict. After a broken connection the voice may first send again what was
answered last: a gateway that has forgotten it is found out at once.
"""

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from edge.demo.issuer import Issuer
from tests.faults.ledger.page import OWED, REFUSED, Page
from tests.faults.ledger.ruling import Answer, Ruling, rule
from tests.faults.ledger.words import Voice

if TYPE_CHECKING:
    from tests.faults.ledger.line import Line

TOKEN_S: Final = 900.0
"""How long a token is used: a quarter of what it is valid."""

LATENCIES_MAX: Final = 1_000_000
"""Kept between two marks; later ones are not: eight bytes each, a minute of single events."""

COMPLAINTS_MAX: Final = 100  # one lost batch may be fifty; these tell what kind it is
NUMBERS_QUOTED: Final = 3
NS_PER_MS: Final = 1_000_000

# Never to be sent again, and nobody's fault: the load was shed, and told so. To shed is to drop
# telemetry, never anything else. Source: design.md, glossary.
SHED: Final = "lane_shed"
SHEDDABLE: Final = "telemetry."
# A first try may have become durable after its 503, when the sync came to its end.
LATE: Final = frozenset({"lane_failed", "internal_error", "500"})
# The same event may be sent again, at a later time.
SKEWED: Final = "clock_skew"

_MANY: Final = b"application/cloudevents-batch+json"
_ONE: Final = b"application/cloudevents+json"


@dataclass(slots=True)
class Tally:
    """What all speakers count together; fields as in :class:`shape.Account`."""

    accepted: int = 0
    repeated: int = 0
    broken: int = 0
    verdicts: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    complaints: list[str] = field(default_factory=list[str])
    latencies_ns: "array[int]" = field(default_factory=lambda: array("q"))

    def complain(self, words: str) -> None:
        """Write down what must not be."""
        if len(self.complaints) < COMPLAINTS_MAX:
            self.complaints.append(words)

    def time(self, latency_ns: int) -> None:
        """Write down how long an accepting verdict took."""
        if len(self.latencies_ns) < LATENCIES_MAX:
            self.latencies_ns.append(latency_ns)


class Speaker:
    """A voice, its page and its connection.

    Attributes:
        voice: What it says.
        page: What is known of that.
        line: Its connection, if there is one; whoever polls keeps it.
        due_ns: When it says something next, steady clock.
        began_ns: When the request under way went out, or was due; 0: none is under way.
    """

    def __init__(
        self, voice: Voice, batch: int, issuer: Issuer, tally: Tally, *, repeats: bool
    ) -> None:
        self.voice = voice
        self.page = Page(batch)
        self.line: Line | None = None
        self.due_ns = 0
        self.began_ns = 0
        self._issuer = issuer
        self._tally = tally
        self._repeats = repeats
        self._head = b""
        self._signed_s = -TOKEN_S
        self._pending: list[int] = []
        self._last: list[int] = []
        self._sent: list[int] = []
        self._may_be_known = False
        self._is_to_repeat = False
        self._is_repeating = False

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left that must be sent again."""
        return not self._pending and not self._is_to_repeat and not self.began_ns

    @property
    def unanswered(self) -> int:
        """Claimed events without a verdict."""
        return len(self._pending)

    def request(self, *, claims: bool) -> bytes | None:
        """Return what it says next; ``None``: nothing, unless something new may be claimed."""
        self._is_repeating = self._is_to_repeat
        if self._is_repeating:
            self._sent = self._last
        else:
            if not self._pending:
                if not claims:
                    return None
                self._pending = self.page.claim(_unix_ms())
                self._may_be_known = False
            self._sent = self._pending
        return self._written(self._sent)

    def hear(self, answer: Answer, steady_ns: int) -> float:
        """Write down what *answer* says; return how long to wait before the next request, s."""
        began_ns, self.began_ns = self.began_ns, 0
        ruling = rule(answer, len(self._sent))
        if ruling.complaint is not None:
            self._complain(ruling.complaint, answer)
        if ruling.whole is not None:
            self._refuse_whole(ruling)
            return ruling.retry_after_s
        if self._is_repeating:
            return self._hear_repeat(ruling)
        if ruling.accepted and not ruling.duplicate:
            self._tally.time(steady_ns - began_ns)
        return self._settle(ruling)

    def lose(self) -> None:
        """Note that the connection broke, or never came about."""
        was_sent = self.began_ns > 0 and self.line is not None and self.line.has_sent
        self.line, self.began_ns = None, 0
        if was_sent:
            self._tally.broken += 1
            self._may_be_known = self._may_be_known or not self._is_repeating
        self._is_to_repeat = self._repeats and bool(self._last)

    def _refuse_whole(self, ruling: Ruling) -> None:
        assert ruling.whole is not None
        self._tally.refused[ruling.whole] += len(self._sent)
        if ruling.whole in LATE:
            self._may_be_known = True
        self._signed_s = -TOKEN_S  # in case it was the token

    def _hear_repeat(self, ruling: Ruling) -> float:
        """What was accepted must be known."""
        self._tally.repeated += ruling.duplicate
        if ruling.accepted:
            self._complain(f"{ruling.accepted} accepted anew that had been accepted")
        for _, code, is_retryable in ruling.refused:
            self._tally.refused[code] += 1
            if not is_retryable:
                self._complain(f"refused as {code} what had been accepted")
        self._is_to_repeat = any(is_retryable for _, _, is_retryable in ruling.refused)
        return ruling.retry_after_s if self._is_to_repeat else 0.0

    def _settle(self, ruling: Ruling) -> float:
        """Write the verdicts on the page."""
        if ruling.duplicate and not self._may_be_known:
            self._complain(f"{ruling.duplicate} duplicates of what was never sent")
        refused = {self._sent[index]: code for index, code, _ in ruling.refused}
        self._pending = [
            self._sent[index]
            for index, code, is_retryable in ruling.refused
            if is_retryable or self._is_restamped(code)
        ]
        waiting = frozenset(self._pending)
        for number in self._sent:
            if number not in refused:
                self.page.verdicts[number] = OWED
            elif number not in waiting:
                self._refuse(number, refused[number])
        self._tally.refused.update(refused.values())
        durable = len(self._sent) - len(refused)
        self._tally.accepted += durable
        self._tally.verdicts += durable
        if self._pending:
            self.page.is_torn[self._pending[0] // self.page.batch] = 1
            self._may_be_known = self._may_be_known or not LATE.isdisjoint(refused.values())
            return ruling.retry_after_s
        self._finish()
        return 0.0

    def _finish(self) -> None:
        """The batch has all its verdicts."""
        first, behind = self.page.settled, self.page.claimed
        verdicts = self.page.verdicts
        self._last = [number for number in range(first, behind) if verdicts[number] == OWED]
        self.page.settle()

    def _refuse(self, number: int, code: str) -> None:
        self.page.verdicts[number] = REFUSED
        kind = str(self.voice.event(number, self.page.stamp_ms(number))["type"])
        if code != SHED or not kind.startswith(SHEDDABLE):
            self._complain(f"{kind} {number} refused for good: {code}")

    def _is_restamped(self, code: str) -> bool:
        """Give a lone event a new time, if its time was at fault."""
        if code != SKEWED or self.page.batch != 1:
            return False
        self.page.stamps_ms[-1] = _unix_ms()
        return True

    def _complain(self, words: str, answer: Answer | None = None) -> None:
        quoted = "" if answer is None else f": {answer.status} {answer.body[:200]!r}"
        numbers = self._sent[:NUMBERS_QUOTED]
        self._tally.complain(f"{self.voice.k}, events {numbers}…: {words}{quoted}")

    def _written(self, numbers: list[int]) -> bytes:
        """Write one POST."""
        if time.monotonic() - self._signed_s >= TOKEN_S:
            self._signed_s = time.monotonic()
            self._head = self._new_head()
        event, stamp_ms = self.voice.event, self.page.stamp_ms
        events = [event(number, stamp_ms(number)) for number in numbers]
        body = orjson.dumps(events if self.page.batch > 1 else events[0])
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)

    def _new_head(self) -> bytes:
        kind = _MANY if self.page.batch > 1 else _ONE
        return (
            b"POST /v1/events?k=%b HTTP/1.1\r\n"
            b"host: edge.example\r\n"
            b"user-agent: ledger\r\n"
            b"authorization: Bearer %b\r\n"
            b"content-type: %b\r\n"
        ) % (self.voice.k.encode(), self.voice.token(self._issuer).encode(), kind)


def _unix_ms() -> int:
    return time.time_ns() // NS_PER_MS
