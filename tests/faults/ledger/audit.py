"""Compares what lies at an origin with the ledger's pages, record by record.

In: records in the order of each partition; the pages; out: findings. Streams: an event costs 16
bytes here (where and what it was when it came), a number of an ``edgespool`` one.

What must hold:

- every obligation was delivered, under exactly one (``edgespool``, ``edgeseq``), as it was sent;
- every delivered id was claimed, and not refused;
- a record that comes again has the same bytes, and so the same numbers;
- a dead letter is one that the launcher has the origin refuse, and says what was sent;
- the numbers of every ``edgespool`` are 1, 2, 3, … without a gap, and in one lane;
- what was accepted under one key in one lane lies in the order in which it was accepted.
"""

import zlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from tests.faults.ledger.page import OWED, REFUSED, Page
from tests.faults.ledger.shape import Findings
from tests.faults.ledger.sources import DEAD, Record
from tests.faults.ledger.words import Voice, number_of

FAULTS_MAX: Final = 100  # one lost segment may be thousands; these tell what kind it is

RECORD_BEGIN: Final = b'"edgespool":'
"""What a letter says before that, its record does not. Source: origin_client.envelope."""

_SEQ_BITS: Final = 40  # a million million events of one run of a lane


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a campaign's own fault brings about, and is no fault of the gateway.

    Attributes:
        dead_one_in: Those records may be dead letters, and no others, that
            :func:`tests.faults.launcher.refuse` has refused, one in so many; 0: none may.
        again: What was accepted may be accepted anew, and lie there under two numbers: past a
            documented window, or after an older backup was restored.
        strangers: Events of others may lie there, none of them under a name of this ledger's;
            they are counted.
    """

    dead_one_in: int = 0
    again: bool = False
    strangers: bool = False


class _Trace:
    """When an event came: under which number, with which bytes; 0: it did not."""

    __slots__ = ("digests", "numbers")

    def __init__(self, claimed: int) -> None:
        self.numbers = array("Q", bytes(8 * claimed))
        self.digests = array("q", bytes(8 * claimed))


class Audit:
    """One comparison.

    Attributes:
        findings: What came of it.
    """

    def __init__(
        self, run: int, voices: Sequence[tuple[Voice, Page]], allowed: Allowed
    ) -> None:
        self.findings = Findings()
        self._run = run
        self._voices = voices
        self._allowed = allowed
        self._traces = [_Trace(page.claimed) for _, page in voices]
        self._spools: dict[str, int] = {}
        self._lanes: list[str] = []
        self._seen: list[bytearray] = []
        self._last: dict[tuple[str, str], int] = {}
        self._homes: dict[tuple[str, str], int] = {}
        self._faults = 0

    def take(self, records: Iterable[Record]) -> None:
        """Read one origin, from its beginning to its end; several one after another."""
        due: dict[tuple[str, int], int] = {}
        for record in records:
            where = record.topic, record.partition
            if due.setdefault(where, record.offset) > record.offset:
                self._fault(f"{record.topic}/{record.partition}: offset {record.offset} again")
            due[where] = record.offset + 1
            self._take(record)

    def finish(self, owed_below: Sequence[int] | None = None) -> Findings:
        """Look for what did not come.

        Args:
            owed_below: By voice: events from this number on are not asked for; ``None``: all
                are.
        """
        for at, (_, page) in enumerate(self._voices):
            end = page.claimed
            if owed_below is not None:
                end = min(owed_below[at], end) if at < len(owed_below) else 0
            self._look_for(at, page, end)
        for name, number in self._spools.items():
            self._count_gaps(name, self._seen[number])
        if self._faults > FAULTS_MAX:
            self.findings.faults.append(f"and {self._faults - FAULTS_MAX} more")
        return self.findings

    def _take(self, record: Record) -> None:
        envelope = cast("dict[str, Any]", orjson.loads(record.value))
        name = str(envelope.get("id"))
        found = number_of(name, self._run)
        numbered, is_new = self._number(record.topic, envelope)
        if found is None:
            self.findings.strays += is_new
        if found is None and self._allowed.strangers:
            return
        if found is None or not self._is_claimed(*found):
            self._fault(f"event {name}: delivered, never sent")
            return
        voice, number = found
        trace = self._traces[voice]
        # A letter is no record, and need not be the same each time it is written.
        digest = 0 if record.topic == DEAD else hash(record.value)
        before = trace.numbers[number]
        if before:
            is_identical = (before, trace.digests[number]) == (numbered, digest)
            self._come_again(name, is_identical=is_identical, is_letter=not digest)
            return
        if not is_new:
            self._fault(f"event {name}: under a number that another event has")
        trace.numbers[number], trace.digests[number] = numbered, digest
        self.findings.delivered += 1
        lane = self._check_content(record, voice, number, envelope)
        if record.topic == DEAD:
            self._bury(name, record.value, envelope)
            return
        if record.topic != f"edge.{lane}.v1":
            self._fault(f"event {name}: in {record.topic}")
        self._check_order(record, voice, number)

    def _is_claimed(self, voice: int, number: int) -> bool:
        return voice < len(self._voices) and number < self._voices[voice][1].claimed

    def _number(self, topic: str, envelope: Mapping[str, Any]) -> tuple[int, bool]:
        """Tick off (``edgespool``, ``edgeseq``).

        Returns:
            Both as one number above 0, and whether it came for the first time.
        """
        name, seq = str(envelope.get("edgespool")), int(envelope.get("edgeseq", 0))
        at = self._spools.get(name)
        if at is None:
            at = self._spools[name] = len(self._seen)
            self._seen.append(bytearray())
            self._lanes.append(topic)
        elif topic not in (self._lanes[at], DEAD):
            if self._lanes[at] != DEAD:
                self._fault(f"edgespool {name}: in {self._lanes[at]} and {topic}")
            self._lanes[at] = topic
        if not 0 < seq < 1 << _SEQ_BITS:
            self._fault(f"edgespool {name}: no number {seq}")
            return 1, True
        seen = self._seen[at]
        if seq > len(seen):
            seen.extend(bytes(seq - len(seen)))
        is_new = not seen[seq - 1]
        seen[seq - 1] = 1
        return at << _SEQ_BITS | seq, is_new

    def _come_again(self, name: str, *, is_identical: bool, is_letter: bool) -> None:
        if is_identical:
            self.findings.repeated += not is_letter
            return
        self.findings.again += 1
        if not self._allowed.again:
            self._fault(f"event {name}: delivered under two numbers, or as two records")

    def _bury(self, name: str, letter: bytes, envelope: Mapping[str, Any]) -> None:
        """See that the record which *letter* was made of was to be refused."""
        self.findings.dead += 1
        _, begin, rest = letter.partition(RECORD_BEGIN)
        one_in = self._allowed.dead_one_in
        if not one_in or zlib.crc32(b"{" + begin + rest) % one_in:
            self._fault(f"event {name}: dead, {envelope.get('deadreason')}")

    def _check_content(
        self, record: Record, voice: int, number: int, envelope: Mapping[str, Any]
    ) -> str:
        """See that what lies there is what was said, under its key; return its lane."""
        speaker, page = self._voices[voice]
        if page.verdicts[number] == REFUSED:
            self._fault(f"event {envelope['id']}: delivered, and refused")
        expected = speaker.envelope(number, page.stamp_ms(number))
        for name, value in expected.items():
            if envelope.get(name) != value:
                self._fault(f"event {envelope['id']}: {name} is not what was sent")
        lane = str(expected["type"]).partition(".")[0]
        if record.key != expected["session" if lane == "telemetry" else "subject"]:
            self._fault(f"event {envelope['id']}: under another's key")
        return lane

    def _check_order(self, record: Record, voice: int, number: int) -> None:
        """See that nothing lies behind what was accepted after it, nor in two partitions."""
        thread = record.topic, record.key
        if self._homes.setdefault(thread, record.partition) != record.partition:
            self._fault(f"{record.topic}: a key in two partitions")
        last = self._last.get(thread, -1)
        if last > number and self._voices[voice][1].is_ordered(last, number):
            self._fault(f"{record.topic}: event {number} of voice {voice} overtaken by {last}")
        self._last[thread] = max(last, number)

    def _look_for(self, voice: int, page: Page, end: int) -> None:
        numbers, verdicts = self._traces[voice].numbers, page.verdicts
        self.findings.owed += verdicts.count(OWED, 0, end)
        for number in range(end):
            if not numbers[number] and verdicts[number] == OWED:
                self.findings.lost += 1
                self._fault(f"event {number} of voice {voice}: accepted, and lost")

    def _count_gaps(self, name: str, seen: bytearray) -> None:
        missing = seen.count(0)
        if missing:
            self.findings.missing_numbers += missing
            first = seen.index(0) + 1
            self._fault(f"edgespool {name}: {missing} of {len(seen)} missing, first {first}")

    def _fault(self, words: str) -> None:
        self._faults += 1
        if self._faults <= FAULTS_MAX:
            self.findings.faults.append(words)
