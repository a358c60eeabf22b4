"""One seed: a gateway's lives, its clients, its disk and its origin, step by step.

Theory of operation
-------------------
Each step is chosen by the dice: a client sends, a lane's writer or forwarder does what its
thread would do next, the event loop turns, time passes, something breaks or heals. Inside a
call of the disk or the origin others may go on, as threads would; who is in such a call waits
for them. A cut may be due at any call of the disk: then the process is thrown away as it is,
the disk may lose its power, and another process opens what is left.
"""

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.config import ConfigError, SpoolSettings
from edge.core.lane import Lane
from edge.core.reject import Reject
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.segment import Bounds
from tests.sim import damage
from tests.sim.bugs import Bugs
from tests.sim.chance import Dice
from tests.sim.claims import Claim
from tests.sim.clients import Clients
from tests.sim.clock import SimClock
from tests.sim.disk import Cut, SimDisk
from tests.sim.gateway import Gateway, Surroundings
from tests.sim.ledger import Ledger, demand
from tests.sim.memory import Memory
from tests.sim.origin import Mood, SimOrigin
from tests.sim.weather import CALM, HANG_S, Temper, Weather

if TYPE_CHECKING:
    import asyncio

Tell = Callable[[str], None]

_NESTED_MAX: Final = 2
_NESTING: Final = 0.15
_STARTS_MAX: Final = 4
"""Vain starts in a row before the disk is mended; the next one must work."""

_PAUSES_MAX: Final = 12
"""Waits in one step before everything is mended: a forwarder buries until it works."""

_PAUSES_MENDED_MAX: Final = 100
"""Waits in one step, most of them with everything mended: whoever still waits always will."""

_ROUNDS_MAX: Final = 80
"""More than the backlog of one seed needs."""

_REOPENING_S: Final = 5
"""So soon a disk that is mended takes events again; a writer looks every second."""

_PASSING_S: Final = (0.0, 0.001, 0.02, 0.5, 7.0, 40.0, 4000.0)


class World:
    """All of one seed.

    Args:
        dice: Decide everything.
        root: A real directory: production's locks lie there, nothing else.
        bugs: What production's supervisors caught.
        lanes: Which there are.
        temper: How much goes wrong.
        settings: Of the spool.
        bounds: Sizes.
        tell: Takes each step in words; ``None``: nobody listens.
        disk: Empty; ``None``: one that the dice decide about.

    Attributes:
        is_lively: Whether others go on while one waits for the disk, or the origin.
    """

    def __init__(  # noqa: PLR0913  # all that makes two worlds differ
        self,
        dice: Dice,
        root: Path,
        *,
        bugs: Bugs,
        lanes: tuple[Lane, ...],
        temper: Temper,
        settings: SpoolSettings,
        bounds: Bounds,
        tell: Tell | None = None,
        disk: SimDisk | None = None,
    ) -> None:
        self.dice = dice
        self.clock = SimClock()
        self.disk = disk or SimDisk(dice)
        self.ledger = Ledger(self.disk, root, _memory(settings))
        self.origin = SimOrigin(self.ledger, dice, self._meanwhile)
        self.weather = Weather(dice, temper, self._meanwhile, self._hang)
        self.clients = Clients(dice, lanes, temper.poison, self.origin.poison)
        self.bugs = bugs
        self._temper: Final = temper
        self._tell = tell
        self._pauses = 0
        self._sends = 0
        self.is_lively = True
        self._busy: list[Hashable] = []
        self._waits: list[tuple[Claim, asyncio.Future[Synced]]] = []
        self._around = Surroundings(
            root=root,
            settings=settings,
            bounds=bounds,
            lanes=lanes,
            disk=self.disk,
            clock=self.clock,
            dice=dice,
            ledger=self.ledger,
            origin=self.origin,
            pause=self._pause,
        )
        self.disk.before = self.weather.before
        self.disk.after_unlink = self.ledger.unlinked
        self.gateway = self._open()

    def run(self, steps: int) -> None:
        """Take so many steps, then mend everything and look what has arrived.

        Raises:
            Violation: A rule was broken.
        """
        for _ in range(steps):
            self.step()
        self.finish()

    def step(self) -> None:
        """Take one step, or die in it.

        Raises:
            Violation: A rule was broken.
        """
        self._begin()
        self.weather.temper = self._temper  # who could not go on has had it mended
        try:
            if self.dice.random() < self.weather.temper.cut:
                self.weather.cut_in = self.dice.below(12)
                self._say("a cut is near")
            self._act()
        except Cut:
            self.die()
        if self.disk.calls:  # else all is as it was
            self.ledger.check()
        for lane in self._around.lanes:
            came, went = self._figures(lane)
            demand(came <= went, f"{lane}: {came} came, {went} went")
        self.bugs.check()

    def send(self, claim: Claim) -> None:
        """Have a client send something."""
        self.clock.advance(0.001)
        self._sends += 1
        claim.trace(self._sends)
        expected, commit = self.ledger.expected(claim, self.clock.now())
        verdict = self.gateway.admit(claim)
        if self._tell:
            said = verdict.reject.reason.code if verdict.reject else verdict.outcome
            self._say(f"send {claim}: {said}")
        is_promise = self.ledger.judged(claim, verdict, expected, commit)
        if isinstance(verdict.commit, Commit) and is_promise:
            self._waits.append((claim, verdict.commit.synced()))

    def write(self, lane: Lane) -> None:
        """Have a lane's writer do what is next."""
        self._say(f"write {lane}")
        writer = self.gateway.lanes[lane].writer
        failures, faults = writer.failures, self.weather.faults
        writer.step()
        is_expected = self.weather.faults > faults or self.disk.capacity is not None
        demand(writer.failures == failures or is_expected, f"a bug: {writer.complaint}")

    def forward(self, lane: Lane) -> None:
        """Have a lane's forwarder do a round."""
        self._say(f"forward {lane}")
        self.gateway.forwarders[lane].step()

    def turn(self) -> None:
        """Let the loop turn, and clients learn what it tells."""
        self.gateway.loop.turn()
        waits, self._waits = self._waits, []
        for claim, wait in waits:
            if wait.done():
                self._say(f"told {claim}: {wait.result().name}")
                if wait.result() is Synced.HELD:
                    self.ledger.owe(claim)
            else:
                self._waits.append((claim, wait))

    def die(self, *, has_power: bool | None = None) -> None:
        """End the process where it stands, and begin another one."""
        if has_power is None:
            has_power = self.dice.below(3) == 0
        self._say("killed" if has_power else "power lost")
        self._busy.clear()
        self._waits.clear()
        if has_power:
            if self.dice.below(4) == 0:
                self.disk.forget()
        else:
            self.disk.crash()
        self.ledger.died()
        self.gateway = self._open()

    def finish(self) -> None:
        """Mend everything; all that was accepted must arrive, and something new pass.

        Raises:
            Violation: A rule was broken.
        """
        self._say("mended")
        self.is_lively = False
        self._mend()
        self._drain()
        for lane in self._around.lanes:
            claim = self.clients.new(lane, self.clock.now())
            claim.is_poison = False
            self.origin.poison.discard(claim.name)
            for _ in range(_REOPENING_S):
                self.send(claim)
                self._drain()
                if claim.is_obliged:
                    break
            demand(claim.is_obliged, "something new does not pass")
        demand(not self._waits, "somebody waits for ever")
        self.ledger.finish()
        for lane in self._around.lanes:
            self._check_figures(lane)
        self._check_budget()
        self.bugs.check()

    def _begin(self) -> None:
        """Allow one more step its waits, and its calls."""
        self._pauses = 0
        self.disk.calls = 0

    def _act(self) -> None:
        """Let somebody go on, who is not in the midst of something."""
        roll, lane = self.dice.below(100), self.dice.choice(self._around.lanes)
        if roll < 32:
            self.send(self.clients.next(self.clock.now()))
        elif roll < 54:
            self._alone(("writer", lane), self.write, lane)
        elif roll < 70:
            self._alone(("forwarder", lane), self.forward, lane)
        elif roll < 88:
            self.turn()
        elif roll < 93:
            self._pass_time()
        else:
            self._change()

    def _alone(self, who: Hashable, act: Callable[[Lane], None], lane: Lane) -> None:
        if who not in self._busy:
            self._busy.append(who)
            act(lane)
            self._busy.remove(who)

    def _pass_time(self) -> None:
        seconds = self.dice.choice(_PASSING_S)
        self._say(f"{seconds} s pass")
        self.clock.advance(seconds)
        if self.dice.below(12) == 0:
            self.clock.step_wall(self.dice.choice((-100.0, -2.0, 100.0)))

    def _change(self) -> None:
        """Break something, or mend it."""
        temper = self.weather.temper
        match self.dice.below(5):
            case 0 if temper.has_outages:
                self.origin.mood = self.dice.choice(tuple(Mood))
                self._say(f"origin {self.origin.mood.name}")
            case 1 if temper.has_full_disk:
                self.disk.capacity = None
                room = self.disk.used + self.dice.below(6000)
                self.disk.capacity = None if self.dice.below(2) else room
                self._say(f"capacity {self.disk.capacity}")
            case 2 if temper.has_damage:
                self._damage(self.dice.choice(self._around.lanes))
            case 3:
                self.disk.forget()
            case 4 if temper.cut and self.dice.below(4) == 0:
                raise Cut
            case _:
                self.origin.mood = Mood.WELL

    def _damage(self, lane: Lane) -> None:
        struck = damage.strike(self.dice, self.disk, self._around.root / lane)
        if struck is not None:
            self.ledger.damaged(lane, struck)
            self._say(f"damage in {lane}: {struck.what}")

    def _meanwhile(self) -> None:
        is_possible = self.is_lively and 0 < len(self._busy) <= _NESTED_MAX
        if is_possible and self.dice.random() < _NESTING:
            self._act()

    def _pause(self, seconds: float) -> None:
        self._pauses += 1
        self._meanwhile()
        self.clock.advance(seconds)
        if self._pauses > _PAUSES_MAX:
            self._mend()
        demand(self._pauses <= _PAUSES_MENDED_MAX, "somebody waits for what has come")

    def _hang(self) -> None:
        """Let a sync take longer than anybody waits."""
        self._say("a sync hangs")
        self.clock.advance(HANG_S)
        if self._busy:  # else it is starting, and nobody is there yet
            self.turn()
            self._meanwhile()

    def _mend(self) -> None:
        self.weather.temper = CALM
        self.weather.cut_in = None
        self.disk.capacity = None
        self.origin.mood = Mood.WELL

    def _open(self) -> Gateway:
        """Start until it works; the disk is mended when it takes too long."""
        starts = 0
        while True:
            starts += 1
            if starts > _STARTS_MAX:
                self._mend()
            demand(starts <= _STARTS_MAX + 1, "it does not start")
            try:
                gateway = Gateway(self._around)
                waiting = {lane: gateway.waiting(lane) for lane in self._around.lanes}
            except (OSError, ConfigError) as error:
                self._say(f"cannot start: {error}")
            except Cut:
                self._say("cut while it starts")
                if self.dice.below(2):
                    self.disk.crash()
            else:
                self.ledger.reopened(_memory(self._around.settings), waiting)
                return gateway

    def _drain(self) -> None:
        """Let everybody work until there is nothing left."""
        for _ in range(_ROUNDS_MAX):
            self._begin()
            for lane in self._around.lanes:
                self._alone(("writer", lane), self.write, lane)
                self.turn()
                self._alone(("forwarder", lane), self.forward, lane)
            waiting = (each.reader.holdings() for each in self.gateway.lanes.values())
            if not self._waits and not any(each.records_waiting for each in waiting):
                return
            self.clock.advance(1)
        demand(holds=False, what="it never drains")

    def _check_figures(self, lane: Lane) -> None:
        """What came in is what went out: design.md, Metrics."""
        came, went = self._figures(lane)
        demand(came == went, f"{lane}: {came} came, {went} went")
        late = self.gateway.lanes[lane].statistics().late_durable
        demand(late == self.ledger.late[lane], "late ones are counted")

    def _figures(self, lane: Lane) -> tuple[int, int]:
        """Count what came in, and what went out or waits: a cursor that lags counts twice."""
        told = self.gateway.lanes[lane].statistics()
        out = self.gateway.forwarders[lane].statistics()
        came = self.ledger.settled[lane] + self.ledger.late[lane] + told.records_at_start
        went = out.forwarded + out.dead + told.quarantined + told.holdings.records_waiting
        return came, went

    def _check_budget(self) -> None:
        """Nothing waits: all of the budget is there, and not a byte more."""
        budget, settings = self.gateway.budget, self._around.settings
        whole = int(settings.bytes_max * settings.lane_share_max)
        lane = self._around.lanes[0]
        try:
            budget.give_back(lane, budget.take(lane, whole))
        except Reject:
            demand(holds=False, what="some of the budget is gone")
        try:
            budget.take(lane, whole + 1)
        except Reject:
            return
        demand(holds=False, what="there is more budget than there was")

    def _say(self, what: str) -> None:
        if self._tell:
            self._tell(f"{'  ' * len(self._busy)}{what}")


def _memory(settings: SpoolSettings) -> Memory:
    return Memory(window_s=settings.dedupe_window_s, entries_max=settings.dedupe_entries_max)
