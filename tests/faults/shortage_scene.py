"""One gateway in need, a ledger that talks to it, and a prober: what the shortages play on.

In: the directory of a small file system for the spool; out: what must not have happened, in
words. Owns the origin's file system. When there is room again is told by whoever took it; when
events are taken, by the prober, who sends one every tenth of a second, whatever it is told.
"""

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.demo.audit import read_log
from edge.demo.issuer import Issuer
from edge.demo.ledger import Event
from edge.demo.metrics import Counters
from edge.demo.payloads import Visit
from tests.faults import faults
from tests.faults.launcher import launcher
from tests.faults.ledger import SETTINGS, Ledger, Shape, ledger
from tests.faults.ledger.speaker import LATE
from tests.faults.mounts import in_memory
from tests.system.raw import Answer, Line, NoAnswerError
from tests.system.world import TABLE, WAIT_S, World, world

if TYPE_CHECKING:
    from edge.demo.gateway import Settings

SEED: Final = 20_261_122
SHAPE: Final = Shape(services=6, players=2)
POLL_S: Final = 0.1
TURN_S: Final = 180.0
"""Until things take a turn: a disk is full when events have filled it, at some hundred a second."""

BACKLOG_S: Final = 2.0
ORIGIN_BYTES: Final = 512 << 20
"""Ten times what the spool holds: it is full only when it is to be."""

PRODUCTION: Final[Mapping[str, int]] = {}


@dataclass(slots=True)
class Scene:
    """One gateway in need.

    Attributes:
        here: The gateway and its surroundings.
        book: Who talks to it.
        origin: The origin's file system: full, it takes nothing.
        small: The spool's.
        visit: The prober's session.
        codes: What the prober was told, in turn; "202" for an acceptance.
        faults: What must not have happened.
        number: Of the prober's last event.
        broken: Requests without an answer because the gateway was killed.
        ids: What the prober was told of each of its events.
    """

    here: World
    book: Ledger
    origin: Path
    small: Path
    visit: Visit
    codes: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])
    number: int = 0
    broken: int = 0
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def begin(self, bounds: Mapping[str, int] = PRODUCTION, shape: Shape = SHAPE) -> None:
        """Start the gateway, and let the ledger talk to it."""
        self.here.gateway.command = launcher(bounds=bounds)
        self.here.gateway.start()
        self.book.begin(self.here.gateway.public, shape)
        self.wait_for("202", "a first event")

    def begin_again(self) -> None:
        """Start the gateway once more after a kill, and let the ledger talk to it."""
        self.here.gateway.start()
        self.broken = self.book.begin(self.here.gateway.public, SHAPE).broken

    def probe(self) -> str:
        """Send one event over a connection of its own; return its code, or ``202``."""
        try:
            with self.here.line() as line:
                return self.hear(line, self.ask(line))
        except OSError as gone:
            self.faults.append(f"the prober was not heard: {gone!r}")
            return ""

    def ask(self, line: Line) -> Event:
        """Send one event, and return it; the answer is still to be heard.

        Raises:
            OSError: Nobody listens.
        """
        self.number += 1
        event = TABLE.spin(self.visit, self.number)
        line.post(json.dumps([event]).encode(), self.here.headers(self.visit))
        return event

    def hear(self, line: Line, event: Event) -> str:
        """Read what became of *event*; return its code, or ``202``."""
        try:
            answer = line.answer()
        except (OSError, NoAnswerError) as gone:
            self.faults.append(f"the prober had no answer: {gone!r}")
            return ""
        code = self.ids[str(event["id"])] = _code(answer)
        if code != "202":
            self.faults += _not_as_promised(code, answer)
        if not self.codes or self.codes[-1] != code:
            self.codes.append(code)
        return code

    def compare(self, log: Path, strays: int) -> None:
        """See that *log* has what the prober was promised; *strays* are all its own."""
        there = {str(line.envelope["id"]) for line in read_log(log)}
        arrived = there & self.ids.keys()
        owed = {name for name, code in self.ids.items() if code == "202"}
        late = {name for name, code in self.ids.items() if code in LATE}
        self.faults += [f"the prober's event {name}: lost" for name in owed - there]
        self.faults += [f"the prober's event {name}: refused" for name in arrived - owed - late]
        if strays != len(arrived):
            self.faults.append(f"{strays - len(arrived)} records of nobody's")

    def wait_for(self, code: str, what: str) -> float:
        """Probe until *code* is the answer; return how long that took, s."""
        began_s = time.monotonic()
        while self.probe() != code:
            if time.monotonic() - began_s > TURN_S:
                self.faults.append(f"{what}: no {code} within {TURN_S:.0f} s, {self.codes}")
                break
            time.sleep(POLL_S)
        return time.monotonic() - began_s

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Look again and again; that it does not come is a fault."""
        try:
            self.here.wait(until, what)
        except AssertionError:
            self.faults.append(f"{what}: not within {WAIT_S:.0f} s")

    @contextlib.contextmanager
    def backlog(self) -> Generator[None]:
        """Let events wait, meanwhile things may run short; then some must be forwarded."""
        with faults.without_room(self.origin):
            time.sleep(BACKLOG_S)
            yield
            before = self.forwarded()
        self.wait(lambda: self.forwarded() > before, "forwarding goes on")

    def process(self) -> int:
        """The gateway's id."""
        assert self.here.gateway.process is not None
        return self.here.gateway.process.pid

    def forwarded(self) -> float:
        """Tell how many records the origin has acknowledged, in this life."""
        return Counters(self.here.gateway.metrics()).total("edge_forwarded_total")

    def is_all_forwarded(self) -> bool:
        """Whether the origin has acknowledged as much as was accepted, in this first life.

        What waits cannot tell: a record waits until the cursor behind it is written.
        """
        own = sum(code == "202" for code in self.ids.values())
        return self.forwarded() >= self.book.mark().accepted + own

    def is_ready(self) -> bool:
        """Whether the gateway says so."""
        return self.here.ask("/readyz").status == 200


@contextlib.contextmanager
def in_need(place: Path, small: Path) -> Generator[Scene]:
    """Build a gateway with its spool in *small*, a ledger, and a prober with a key of its own."""
    sections: dict[str, Settings] = {
        **SETTINGS,
        "spool": {"path": str(small / "spool"), "allow_volatile": True},
        "origin": {"url": f"log:{place / 'log' / 'origin'}"},
    }
    with (
        in_memory(place / "log", size_bytes=ORIGIN_BYTES) as origin,
        ledger(place, SEED) as book,
        world(place, sections) as built,
    ):
        here = replace(built, issuer=Issuer(kid="prober"))
        keys = [*json.loads(here.issuer.jwks())["keys"], *json.loads(book.jwks)["keys"]]
        here.jwks.write_text(json.dumps({"keys": keys}))
        yield Scene(here, book, origin, small, here.visit("prober"))


def _not_as_promised(code: str, answer: Answer) -> Iterator[str]:
    """A shortage is the node's: 503, and when to come again."""
    if answer.status != 503:
        yield f"{code} under {answer.status}"
    if not answer.headers.get("retry-after", "").isdigit():
        yield f"{code} without Retry-After"


def _code(answer: Answer) -> str:
    """Name what became of the prober's one event."""
    if answer.status == 202:
        return "202"
    refusals = answer.refusals if "refused" in answer.json else []
    return str(refusals[0][1] if refusals else answer.json.get("code", answer.status))
