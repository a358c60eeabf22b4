"""The origin is down and everybody goes on: who is turned away, in which order, and who is not.

Telemetry is shed before anybody is refused; of each session one event in sixteen still comes in.
Then the lanes that hold no money are refused, and those that do are accepted until their reserve
is used up too: what their spools grow by meanwhile is the reserve's true size. A batch of which
nothing was taken is answered 503 with ``Retry-After``; any other, 202, for the rest must not be
said again. Afterwards the origin is back, and all that was accepted arrives, once; order and
content are compared where outages are (:mod:`tests.faults.outage`).
"""

import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from edge.demo.ledger import Event
from edge.demo.metrics import Counters
from edge.demo.payloads import Visit, deposit_requested, interactions
from edge.demo.rounds import Round, Table
from tests.faults.row import Row, Scale, Tell
from tests.system.raw import Answer, Line
from tests.system.world import World, world

if TYPE_CHECKING:
    from edge.demo.gateway import Settings

BATCH: Final = 100
KEPT_ONE_IN: Final = 16
"""Of a session's telemetry. Source: catalogue.md, "Classes"."""

SHED: Final = "lane_shed"
RESERVE_USED_MIN: Final = 0.8
"""Of the reserve, by money alone. The rest is what the last commit of each lane did not fit into,
and what money had taken of it when a lane that holds none was first looked at and found full."""

DRAINED_TIMEOUT_S: Final = 240.0  # 256 MiB, on a machine that has other work
DRAINED_POLL_S: Final = 0.1

_TABLE: Final = Table("starburst-7", "sitting-1")
_QUOTA: Final = {"quota": 100_000_000, "window_s": 1, "burst": 100_000_000}

VOICES: Final[Mapping[str, Callable[[Visit], Event]]] = {
    "game": lambda visit: _TABLE.spin(visit, 1),
    "wallet": lambda visit: deposit_requested(visit, 100),
    "bet": lambda visit: Round(_TABLE, visit.code("r"), 1, visit.code("t")).staked(visit),
    "telemetry": interactions,  # last, so that it does not go first for being there first
}
MONEY: Final = ("wallet", "bet")
FACTS: Final = ("game", *MONEY)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the spool.

    Attributes:
        bytes_max: All of it, MiB.
        reserve: Of that, for money, MiB.
    """

    bytes_max: int
    reserve: int


SIZES: Final = {Scale.SHORT: Sizes(16, 13), Scale.FULL: Sizes(256, 64)}


@dataclass(slots=True)
class Told:
    """What the clients have heard.

    Attributes:
        endings: Of each lane's events.
        firsts: The ending of an event that had not come before, in their order, with the lane.
        longest_run: Of shed events of the session that sends telemetry.
        ids: Of all that was accepted.
        money_bytes: What waited of money when others were first refused; ``None``: none was.
        money_bytes_last: In the end.
        turned_away: Batches of which nothing was taken, by lane.
        wrong: Answers with another status than that asks for, or no word of when to come again;
            the first of each kind.
    """

    endings: defaultdict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict[str, Counter[str]](Counter)
    )
    firsts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    longest_run: int = 0
    ids: set[str] = field(default_factory=set[str])
    money_bytes: float | None = None
    money_bytes_last: float = 0
    turned_away: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    _run: int = 0

    def hear(self, lane: str, events: list[Event], answer: Answer) -> None:
        """Take the answer to a batch of one lane."""
        codes = {index: str(code) for index, code, _ in answer.refusals}
        self._judge(lane, answer, codes.values(), len(events))
        for index, event in enumerate(events):
            ending = codes.get(index, "accepted")
            self.endings[lane][ending] += 1
            if ending != "accepted" and (lane, ending) not in self.firsts:
                self.firsts.append((lane, ending))
            if ending == "accepted":
                self.ids.add(cast("str", event["id"]))
            if lane == "telemetry":
                self._run = self._run + 1 if ending == SHED else 0
                self.longest_run = max(self.longest_run, self._run)

    def _judge(self, lane: str, answer: Answer, codes: Collection[str], events: int) -> None:
        """See that the head says what the body does."""
        # What is shed is done with: nobody is to say it again. Source: design.md §4.
        is_turned_away = len(codes) == events and SHED not in codes
        self.turned_away[lane] += is_turned_away
        wait = answer.headers.get("retry-after", "")
        is_told = wait.isdecimal() and int(wait) > 0
        is_right = answer.status == 503 and is_told if is_turned_away else answer.status == 202
        wrong = f"{lane}: {sorted(set(codes))} under {answer.status}, Retry-After {wait!r}"
        if not is_right and wrong not in self.wrong:
            self.wrong.append(wrong)


def reserve(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Fill a spool to the last byte, then let it go."""
    sizes = SIZES[scale]
    place = room / "reserve"
    place.mkdir()
    spool: Settings = {
        "bytes_max": f"{sizes.bytes_max}MiB",
        "reserve_bytes": f"{sizes.reserve}MiB",
        "lane_share_max": 1.0,
        "retained_bytes_max": "1MiB",
    }
    limits = {"limits.player": _QUOTA, "limits.service": _QUOTA, "limits.address": _QUOTA}
    with world(place, {"spool": spool, **limits}) as here, down(here.origin):
        here.gateway.start()
        here.wait_until_ready()
        told = fill(here, tell)
        yield row(told, sizes)
        mend(here.origin)
        yield _delivered(here, told)


@contextlib.contextmanager
def down(origin: Path) -> Generator[None]:
    """Put a file where every topic needs a directory."""
    origin.mkdir()
    for lane in VOICES:
        (origin / f"edge.{lane}.v1").write_text("in the way")
    yield


def mend(origin: Path) -> None:
    """Take them away."""
    for lane in VOICES:
        (origin / f"edge.{lane}.v1").unlink()


def fill(here: World, tell: Tell) -> Told:
    """Speak in turn until of money, too, nothing is taken."""
    told, visit = Told(), here.visit()
    service = here.issuer.service("game-server", "bet")
    with here.line() as line:
        while not all(told.turned_away[lane] for lane in MONEY):
            for lane, voice in VOICES.items():
                events = [voice(visit) for _ in range(BATCH)]
                _send(here, line, visit if lane != "bet" else service, events)
                told.hear(lane, events, line.answer())
            if told.money_bytes is None and told.endings["game"]["lane_full"]:
                told.money_bytes = money_bytes(here.gateway.metrics())
    told.money_bytes_last = money_bytes(here.gateway.metrics())
    tell(f"reserve: {told.firsts}")
    return told


def money_bytes(metrics: str) -> float:
    """Add up what waits in the lanes that hold money."""
    waits = tuple(f'edge_spool_bytes{{lane="{lane}",state="waiting"}}' for lane in MONEY)
    return sum(float(row.split()[-1]) for row in metrics.splitlines() if row.startswith(waits))


def _send(here: World, line: Line, speaker: Visit | str, events: list[Event]) -> None:
    line.post(json.dumps(events).encode(), here.headers(speaker))


def row(told: Told, sizes: Sizes) -> Row:
    faults: list[str] = []
    if told.firsts[:1] != [("telemetry", SHED)]:
        faults.append(f"telemetry was not the first to go: {told.firsts}")
    refused = [lane for lane, code in told.firsts if code == "lane_full" and lane in FACTS]
    if refused[:1] != ["game"]:
        faults.append(f"money was refused before others: {told.firsts}")
    reserve_bytes = sizes.reserve << 20
    before = told.money_bytes_last if told.money_bytes is None else told.money_bytes
    used = (told.money_bytes_last - before) / reserve_bytes
    if used < RESERVE_USED_MIN:
        faults.append(f"money had {used:.0%} of its reserve to itself")
    faults += told.wrong
    faults += [f"{lane}: never turned away" for lane in FACTS if not told.turned_away[lane]]
    if told.longest_run >= KEPT_ONE_IN:
        faults.append(f"{told.longest_run} events of a session were shed in a row")
    shed = told.endings["telemetry"][SHED]
    accepted = {lane: told.endings[lane]["accepted"] for lane in VOICES}
    return Row(
        what=f"origin down until {sizes.bytes_max} MiB are full, {sizes.reserve} of them reserved",
        goal="telemetry shed first, then 503 per lane, money last, "
        f"≥ {RESERVE_USED_MIN:.0%} of its reserve for itself",
        found=f"{' then '.join(f'{lane} {code}' for lane, code in told.firsts)}; "
        f"{told.turned_away.total()} batches turned away whole; "
        f"{shed} shed, accepted {accepted}; {used:.0%} of the reserve was money's",
        is_reached=not faults,
        faults=tuple(faults),
    )


def _delivered(here: World, told: Told) -> Row:
    end_s = time.monotonic() + DRAINED_TIMEOUT_S
    while Counters(here.gateway.metrics()).waiting() and time.monotonic() < end_s:
        time.sleep(DRAINED_POLL_S)
    numbered = {(e["edgespool"], e["edgeseq"]): str(e["id"]) for e in here.forwarded()}
    came = Counter(numbered.values())
    missing = len(told.ids - came.keys())
    strange = len(came.keys() - told.ids)
    twice = came.total() - len(came)
    return Row(
        what="the origin is back: ids of the events accepted meanwhile",
        goal="0 lost, each once, no others",
        found=f"{missing} of {len(told.ids):,} lost, {twice} more than once, {strange} others",
        is_reached=bool(told.ids) and not (missing or twice or strange),
    )
