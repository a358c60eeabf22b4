"""Proves, from what lies at an origin, that a file of bets arrived there.

In: the file, and the origin's records as an independent reader finds them, each partition in
its order. Out: a :class:`Proof`; it holds if it has no faults. Nothing here is shared with the
gateway, with ``origin_client``, or with the replay that sent the file: what a bet looks like
there is written down once more, from the catalogue.

What must hold:

- records of one (``edgespool``, ``edgeseq``) are the same, however often they were written;
  once such copies are left out, every bet is there exactly once as staked and once as settled,
  by its business key (brand, type, provider, transaction), and nothing else is;
- each as the file has it: player, round, time, amount;
- what one player did lies in one partition, under the player's key, in the file's order;
- each ``edgespool`` counts 1, 2, 3, … without a gap.
"""

import csv
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, cast

Json: TypeAlias = Mapping[str, object]

CURRENCY: Final = "EUR"
BRAND: Final = "demo"
JURISDICTION: Final = "MT"
# One lost bet may be a hundred faults; these tell what kind it is.
FAULTS_SHOWN: Final = 10


class Found(NamedTuple):
    """One record at the origin.

    Attributes:
        partition: Where it lies.
        key: By which it got there.
        value: The CloudEvent, JSON.
    """

    partition: int
    key: str
    value: bytes


class Due(NamedTuple):
    """One event that must be at the origin.

    Attributes:
        place: In the file: stakes are even, settlements odd.
        player: Subject and key.
        shown: Round, time, amount, as they must be there.
    """

    place: int
    player: str
    shown: tuple[object, ...]


@dataclass
class Proof:
    """What was found.

    Attributes:
        records: All that lie there.
        copies: Of these, written again under a number that was there.
        counts: Distinct events, by type.
        sums_minor: Of stakes and payouts, by type, minor units.
        players: How many there are.
        spools: How many ``edgespool`` there are: runs of the gateway.
        faults: What does not hold, in words.
    """

    records: int = 0
    copies: int = 0
    counts: Counter[str] = field(default_factory=Counter[str])
    sums_minor: Counter[str] = field(default_factory=Counter[str])
    players: int = 0
    spools: int = 0
    faults: list[str] = field(default_factory=list[str])

    def table(self, title: str) -> str:
        """Show it to people."""
        rows = [
            ("records at the origin", f"{self.records:,}"),
            ("copies by (edgespool, edgeseq)", f"{self.copies:,}"),
            ("staked, each bet once", f"{self.counts[STAKED]:,}"),
            ("settled, each bet once", f"{self.counts[SETTLED]:,}"),
            ("stakes, minor units", f"{self.sums_minor[STAKED]:,}"),
            ("payouts, minor units", f"{self.sums_minor[SETTLED]:,}"),
            ("players, each in order", f"{self.players:,}"),
            ("edgespools, without a gap", f"{self.spools:,}"),
            ("faults", f"{len(self.faults):,}"),
        ]
        lines = [f"  {name:<32}{value:>16}" for name, value in rows]
        return "\n".join([title, *lines, *(f"  {each}" for each in self.faults[:FAULTS_SHOWN])])


STAKED: Final = "bet.round.staked"
SETTLED: Final = "bet.round.settled"
_AMOUNT: Final = {STAKED: "stake", SETTLED: "payout"}

_Key: TypeAlias = tuple[object, ...]


def read_bets(path: Path) -> list[dict[str, str]]:
    """Read the file."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_log(root: Path, topic: str) -> Iterator[Found]:
    """Read ``<topic>/<partition>/<first offset>.jsonl``, each partition in order of offset.

    A line counts once its newline is there, and a file ends where the next one's name says so.
    """
    for partition in sorted((root / topic).iterdir()):
        files = sorted(partition.glob("*.jsonl"))
        for file, behind in zip_longest(files, files[1:]):
            end = int(behind.stem) if behind else sys.maxsize
            for text in file.read_bytes().split(b"\n")[:-1]:
                line = cast("Json", json.loads(text))
                if cast("int", line["offset"]) < end:
                    value = json.dumps(line["value"]).encode()
                    yield Found(int(partition.name), cast("str", line["key"]), value)


def prove(bets: Iterable[Mapping[str, str]], records: Iterable[Found]) -> Proof:
    """Compare the origin's *records*, each partition in its order, with the file's *bets*."""
    book = _Book(dict(_due(bets)))
    for record in records:
        book.enter(record)
    return book.close()


def _due(bets: Iterable[Mapping[str, str]]) -> Iterator[tuple[_Key, Due]]:
    """Write down what must be there, by business key."""
    for row, bet in enumerate(bets):
        time = bet["played_at"].replace("Z", ".000Z")
        for nth, (type_, letter) in enumerate(((STAKED, "s"), (SETTLED, "p"))):
            money = {"amount_minor": int(bet[f"{_AMOUNT[type_]}_minor"]), "currency": CURRENCY}
            key = (BRAND, type_, "replay", f"{letter}-{bet['bet_id']}")
            yield key, Due(2 * row + nth, bet["player"], (bet["round_id"], time, money))


class _Book:
    """Reads record after record, and keeps only what the next ones are compared with."""

    def __init__(self, due: dict[_Key, Due]) -> None:
        self._due = due
        self._seen: set[_Key] = set()
        self._numbers: dict[tuple[str, int], bytes] = {}
        self._homes: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._proof = Proof()

    def enter(self, record: Found) -> None:
        """Compare one record with what is due and with those before it."""
        proof = self._proof
        proof.records += 1
        event = cast("Json", json.loads(record.value))
        number = str(event["edgespool"]), int(str(event["edgeseq"]))
        digest = sha256(record.key.encode() + b"\n" + record.value).digest()
        if number in self._numbers:
            proof.copies += 1
            if self._numbers[number] != digest:
                proof.faults.append(f"{number}: two different records")
            return
        self._numbers[number] = digest
        self._enter_first(record, event)

    def _enter_first(self, record: Found, event: Json) -> None:
        payload = cast("Json", event["data"])
        type_ = str(event["type"])
        key = (
            event["brand"],
            type_,
            payload.get("provider_id"),
            payload.get("transaction_id"),
        )
        due = self._due.get(key)
        if due is None:
            self._fault(key, "not in the file")
        elif key in self._seen:
            self._fault(key, "more than once")
        else:
            self._seen.add(key)
            self._enter_due(key, due, record, event)
            money = cast("Json", payload[_AMOUNT[type_]])
            self._proof.counts[type_] += 1
            self._proof.sums_minor[type_] += cast("int", money["amount_minor"])

    def _enter_due(self, key: _Key, due: Due, record: Found, event: Json) -> None:
        payload = cast("Json", event["data"])
        shown = (payload["round_id"], event["time"], payload[_AMOUNT[str(event["type"])]])
        if shown != due.shown or event["jurisdiction"] != JURISDICTION:
            self._fault(key, "not as it is in the file")
        if (event["subject"], record.key) != (due.player, due.player):
            self._fault(key, "under another player")
        if self._homes.setdefault(due.player, record.partition) != record.partition:
            self._fault(key, "in another partition than the player's others")
        if due.place < self._places.get(due.player, 0):
            self._fault(key, "overtaken by a later one of the same player")
        self._places[due.player] = due.place

    def close(self) -> Proof:
        """See what is missing."""
        proof = self._proof
        for key in self._due.keys() - self._seen:
            self._fault(key, "missing")
        highest: dict[str, int] = {}
        count = Counter(spool for spool, _ in self._numbers)
        for spool, seq in self._numbers:
            highest[spool] = max(seq, highest.get(spool, 0))
        for spool, seq in highest.items():
            if seq != count[spool]:
                proof.faults.append(f"edgespool {spool}: {count[spool]} numbers up to {seq}")
        proof.players, proof.spools = len(self._homes), len(highest)
        return proof

    def _fault(self, key: _Key, what: str) -> None:
        self._proof.faults.append(f"{key}: {what}")
