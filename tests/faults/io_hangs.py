"""A sync that hangs: told so, counted if it comes back, and nobody else's business.

In: a gateway under the library (:mod:`tests.faults.preload`), on which one lane's writes, or
its cursor, come to a standstill until they are released. Out: rows. No story asks how long
anything took: each waits for what must happen while the call still hangs.

Source: design.md §3a rule 6.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from edge.demo.ledger import Event
from edge.demo.metrics import Counters
from edge.demo.payloads import Visit, deposit_requested
from tests.faults import faults
from tests.faults.as_said import unlike
from tests.faults.launcher import launcher
from tests.faults.preload import Preload, build, missing
from tests.faults.row import Row, Scale, Tell
from tests.system.raw import Answer
from tests.system.world import TABLE, World, world

WHAT: Final = "a sync hangs"
SETTINGS: Final = {"sync_timeout_s": 3}  # what a busy disk certainly keeps for the other lane
FAILED: Final = [(0, "lane_failed", None)]
TIMES: Final = {Scale.SHORT: 1, Scale.FULL: 20}
KINDS: Final = ("game.spin.requested", "wallet.deposit.requested")
"""Of events, each of one lane."""


class Hangs:
    """A gateway with orders for its file system; collects what must not be.

    Attributes:
        faults: In words.
        said: Accepted, or durable later, in the order in which each lane's must reach the origin.
    """

    def __init__(self, here: World, orders: Preload, ada: Visit) -> None:
        self.faults: list[str] = []
        self.said: list[Event] = []
        self._here: Final = here
        self._orders: Final = orders
        self._ada: Final = ada
        self._late = 0

    def write(self) -> None:
        """A lane's write hangs: 503 for who waits and who comes, not for the other lanes."""
        first, second = (TABLE.spin(self._ada, stake) for stake in (1, 2))
        self._halt("/game/")
        self._expect("waiting", self._say(first), 503, FAILED)
        self._expect("while it hangs", self._say(second), 503, FAILED)
        deposit = deposit_requested(self._ada, 500)
        self._expect("the other lane", self._say(deposit), 202, [], (1, 0))
        self._release()
        self._here.wait(lambda: self._late_durable() == self._late + 1, "late durable, counted")
        self._late += 1
        self._expect("later", self._say(first), 202, [], (0, 1))
        self._expect("after it", self._say(second), 202, [], (1, 0))
        self.said += [deposit, first, second]

    def cursor(self) -> None:
        """A lane's cursor hangs: what comes is accepted, and forwarded later."""
        self._halt("/game/cursor")
        for stake in (3, 4):
            event = TABLE.spin(self._ada, stake)
            self._expect("while its cursor hangs", self._say(event), 202, [], (1, 0))
            self.said.append(event)
            if stake == 3:
                self._here.wait(lambda: self._orders.hurt > 0, "the cursor hangs")
        self._release()
        # The next order must not come before the call has seen that this one is withdrawn.
        self._here.wait_until_forwarded(*self.said)

    def compare(self) -> None:
        """See that all has come to the origin, once, as it was said, in its order."""
        self._here.wait_until_forwarded(*self.said)
        came = self._here.forwarded()
        for kind in KINDS:
            said, there = (
                [e for e in those if e["type"] == kind] for those in (self.said, came)
            )
            self.faults += unlike(kind, said, there)
        self._here.wait_until_ready()

    def _halt(self, part: str) -> None:
        faults.hang_write(self._orders, part)

    def _release(self) -> None:
        if not self._orders.hurt:
            self.faults.append("nothing hung: it proves nothing")
        self._orders.spare()

    def _say(self, event: Event) -> Answer:
        return self._here.say(self._ada, event)

    def _expect(
        self,
        what: str,
        answer: Answer,
        status: int,
        refusals: list[tuple[int, str, None]],
        counts: tuple[int, int] | None = None,
    ) -> None:
        is_so = answer.status == status and answer.refusals == refusals
        if not is_so or (counts is not None and answer.counts != counts):
            self.faults.append(f"{what}: answered {answer.status} {answer.body!r}")

    def _late_durable(self) -> int:
        return Counters(self._here.gateway.metrics()).of("edge_late_durable_total", "game")


def hanging_syncs(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Have a lane's write, then its cursor, hang for longer than anybody waits."""
    if lacking := missing():
        tell(f"SKIPPED: {WHAT}: {lacking}")
        yield Row(WHAT, "told, counted, healed", f"skipped: {lacking}", is_reached=False)
        return
    with ExitStack() as ends:
        spool = {"path": str(room / "spool"), **SETTINGS}
        here = ends.enter_context(world(room, {"spool": spool}))
        orders = Preload(build(room), room / "control", here.spool)
        ends.callback(orders.spare)
        here.gateway.command = (*orders.launcher, *launcher())
        here.gateway.start()
        here.wait_until_ready()
        hangs = Hangs(here, orders, here.visit())
        for what, goal, story in (
            ("a write", "503, late durable, then duplicate; other lanes go on", hangs.write),
            ("a cursor", "accepting goes on, all forwarded once", hangs.cursor),
        ):
            yield _row(what, goal, story, hangs, TIMES[scale])


def _row(what: str, goal: str, story: Callable[[], None], hangs: Hangs, times: int) -> Row:
    before = len(hangs.faults)
    for _ in range(times):
        story()
    hangs.compare()
    faults = tuple(hangs.faults[before:])
    return Row(f"{WHAT}: {what}", goal, f"{times} times", not faults, faults)
