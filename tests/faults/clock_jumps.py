"""The wall clock jumps, forwards and back, while events come in.

In: a gateway whose ``CLOCK_REALTIME`` is off by what the campaign says (``preload.c``, in the
place of libfaketime). Out: a row.

Three players speak all the time, each by the gateway's clock: the time of their events and of
their tokens. After each jump

- a token of the true time is refused, because tokens are judged by the wall clock;
- a service that has used up its burst gets no more, because limits use the steady clock;
- what was accepted before is still known, unless the clock says that its window is over;
- all is forwarded once the origin is back, because waits use the steady clock.

In the end the gateway is stopped, and started with its clock a day behind. Then all that was
accepted has come once, as it was said, in its order; what came again is the same, byte for byte;
and ``edgetime`` never ran backwards within a spool.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from typing_extensions import override

from edge.demo.gateway import Settings
from edge.demo.ledger import Event
from edge.demo.payloads import deposit_settled, timestamp, unix_ms
from tests.fakes_http_origin import Receiver, Reply, always, receiver, take
from tests.faults import faults
from tests.faults.as_said import unlike
from tests.faults.launcher import launcher
from tests.faults.preload import Preload, build, missing
from tests.faults.row import Row, Scale, Tell
from tests.system.raw import Answer
from tests.system.world import TABLE, World, world

WHAT: Final = "the wall clock jumps under load"
GOAL: Final = "tokens by the wall clock, limits by the steady one; 0 lost, order kept"
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
JUMPS_S: Final = (HOUR_S, -HOUR_S, -DAY_S, 3652 * DAY_S, 0)
"""From the true time: summer time both ways, a dead battery, a time server gone mad, and back."""

WINDOW_S: Final = DAY_S  # spool.dedupe_window_s
ROUNDS: Final = {Scale.SHORT: 1, Scale.FULL: 20}
PLAYERS: Final = 3
EVENTS: Final = 5  # of each player that are accepted after a jump, at least
TOKEN_S: Final = 600  # a token's life: shorter than the smallest jump
BURST: Final = 5
WITHOUT_END: Final = {"quota": 10**8, "window_s": 1, "burst": 10**8}
LIMITS: Final[dict[str, Settings]] = {
    "limits.service": {"quota": 1, "window_s": DAY_S, "burst": BURST},
    **dict.fromkeys(("limits.player", "limits.address", "limits.node"), WITHOUT_END),
}
SKEWED: Final = frozenset({"clock_skew", "token_invalid", "token_expired"})
"""What an event may hear that was under way while the clock jumped."""

TOPICS: Final = ("edge.game.v1", "edge.wallet.v1")
AWAY: Final = always(Reply(503))


class Clock:
    """What the gateway's wall clock shows, as far as those who speak to it know.

    Attributes:
        shift_s: How far it is off the true time.
    """

    def __init__(self) -> None:
        self.shift_s = 0

    def stamp(self, event: Event) -> None:
        """Date an event now."""
        event["time"] = timestamp(unix_ms() + self.shift_s * 1000)

    def claims(self) -> dict[str, object]:
        """Date a token now."""
        now_s = unix_ms() // 1000 + self.shift_s
        return {"iat": now_s, "exp": now_s + TOKEN_S}


class Player(threading.Thread):
    """Speaks without a pause, one event after another.

    Attributes:
        said: Accepted, in order, with the time under which each was.
        fault: What ended it before its time, in words; ``""``: nothing has.
    """

    def __init__(self, here: World, clock: Clock, name: str) -> None:
        super().__init__(name=name)
        self.said: list[Event] = []
        self.fault = ""
        self.visit: Final = here.visit(name)
        self._here: Final = here
        self._clock: Final = clock
        self._ending: Final = threading.Event()

    @override
    def run(self) -> None:
        """Speak until the end, or until an answer is wrong."""
        event = TABLE.spin(self.visit, 100)
        try:
            while not self._ending.is_set() and not self.fault:
                if self._is_accepted(self.say(event)):
                    self.said.append(event)
                    event = TABLE.spin(self.visit, 100)
        except Exception as error:  # noqa: BLE001  # the end of a thread: nobody else would tell
            self.fault = f"{self.name}: {error!r}"

    def say(self, event: Event) -> Answer:
        """Say it by the clock as it is now."""
        self._clock.stamp(event)
        token = self._here.issuer.player(self.visit, **self._clock.claims())
        return self._here.say(token, event)

    def end(self) -> None:
        """Let it finish what it is saying."""
        self._ending.set()
        self.join()

    def _is_accepted(self, answer: Answer) -> bool:
        if answer.status == 202 and answer.counts == (1, 0):
            return True
        if _code(answer) not in SKEWED:
            self.fault = f"{self.name}: answered {answer.status} {answer.body!r}"
        return False


class Jumps:
    """One gateway, its players, and what must not be."""

    def __init__(self, here: World, origin: Receiver, orders: Preload) -> None:
        self.faults: list[str] = []
        self._here: Final = here
        self._origin: Final = origin
        self._orders: Final = orders
        self._clock: Final = Clock()
        self._players: Final = [
            Player(here, self._clock, f"player-{n}") for n in range(PLAYERS)
        ]
        self._desk: Final = here.visit("desk")
        self._facts: Final[list[Event]] = []

    def play(self, rounds: int) -> int:
        """Jump :data:`JUMPS_S` again and again; return how many events were accepted."""
        for player in self._players:
            player.start()
        try:
            self._use_up_the_burst()
            self._hear_from_all()
            for _ in range(rounds):
                for shift_s in JUMPS_S:
                    self._jump(shift_s)
        finally:
            for player in self._players:
                player.end()
        self._start_again_behind()
        self.faults += [player.fault for player in self._players if player.fault]
        self.faults += account(self._said(), self._records())
        return sum(len(player.said) for player in self._players)

    def _jump(self, shift_s: int) -> None:
        before = [player.said[-1] for player in self._players]
        ahead_s = shift_s - self._clock.shift_s
        self._origin.script = AWAY
        self._turn(shift_s)
        self._hear_from_all()
        if shift_s:
            self._refuse_the_true_time()
        if ahead_s < WINDOW_S:
            for player, event in zip(self._players, before, strict=True):
                again = player.say(dict(event))
                self._expect(again, 202, (0, 1), f"known after {ahead_s} s")
        if _code(self._state(*self._deposits(1))) != "rate_exceeded":
            self.faults.append(f"a jump of {ahead_s} s fills an empty quota")
        self._origin.script = take
        self._wait_until_forwarded()

    def _turn(self, shift_s: int) -> None:
        faults.turn_clock(self._orders, shift_s)
        self._clock.shift_s = shift_s

    def _hear_from_all(self) -> None:
        """Wait until each player has had so many events accepted since."""
        wanted = [len(player.said) + EVENTS for player in self._players]

        def have_spoken() -> bool:
            pairs = zip(self._players, wanted, strict=True)
            return all(p.fault or len(p.said) >= n for p, n in pairs)

        self._here.wait(have_spoken, f"{EVENTS} events of each player")

    def _refuse_the_true_time(self) -> None:
        """A token that is valid by the true time is not by the gateway's."""
        now_s = unix_ms() // 1000
        visit = self._here.visit("stranger")
        event = TABLE.spin(visit, 1)
        self._clock.stamp(event)
        token = self._here.issuer.player(visit, iat=now_s, exp=now_s + TOKEN_S)
        self._expect(self._here.say(token, event), 401, None, "a token of another time")

    def _use_up_the_burst(self) -> None:
        self._facts.extend(self._deposits(BURST))
        self._expect(self._state(*self._facts), 202, (BURST, 0), "a service's burst")

    def _deposits(self, count: int) -> list[Event]:
        return [deposit_settled(self._desk, 100) for _ in range(count)]

    def _state(self, *events: Event) -> Answer:
        for event in events:
            self._clock.stamp(event)
        name = {"sub": "desk", "client_id": "desk", "scope": "facts:wallet"}
        token = self._here.issuer.sign(**name, **self._clock.claims())
        return self._here.say(token, *events)

    def _start_again_behind(self) -> None:
        """Stop, and start with the clock a day behind what stands in the spool."""
        self._turn(-DAY_S)
        if code := self._here.gateway.stop():
            self.faults.append(f"exit code {code} after SIGTERM")
        self._here.gateway.start()
        self._here.wait_until_ready()
        for player in self._players:
            event = TABLE.spin(player.visit, 1)
            self._expect(player.say(event), 202, (1, 0), "after a start a day behind")
            player.said.append(event)
        self._wait_until_forwarded()

    def _wait_until_forwarded(self) -> None:
        wanted = {event["id"] for events in self._said().values() for event in events}
        self._here.wait(lambda: wanted <= self._forwarded(), "forwarded")

    def _said(self) -> dict[str, list[Event]]:
        """What was accepted so far, by subject."""
        said = {player.visit.subject: list(player.said) for player in self._players}
        return said | {self._desk.subject: self._facts}

    def _forwarded(self) -> set[object]:
        return {json.loads(record)["id"] for record in self._records()}

    def _records(self) -> list[bytes]:
        return [record for topic in TOPICS for record in list(self._origin.events[topic])]

    def _expect(
        self, answer: Answer, status: int, counts: tuple[int, int] | None, what: str
    ) -> None:
        if answer.status != status or (counts is not None and answer.counts != counts):
            self.faults.append(f"{what}: answered {answer.status} {answer.body!r}")


def account(said: Mapping[str, Sequence[Event]], records: Iterable[bytes]) -> Iterator[str]:
    """See that each event came once, as it was said, in order, and no clock ran backwards.

    Args:
        said: By subject, in the order in which it was accepted.
        records: Of the origin, those of a topic in their order.
    """
    came: dict[str, list[Event]] = defaultdict(list)
    runs: dict[str, dict[int, bytes]] = defaultdict(dict)
    for record in records:
        envelope = json.loads(record)
        run, number = runs[envelope["edgespool"]], int(envelope["edgeseq"])
        if number not in run:
            came[envelope["subject"]].append(envelope)
        if run.setdefault(number, record) != record:
            yield f"edgespool {envelope['edgespool']}: two records under number {number}"
    for subject in sorted(came.keys() | said.keys()):
        yield from unlike(subject, said.get(subject, []), came[subject])
    for name, run in runs.items():
        times = [json.loads(run[number])["edgetime"] for number in sorted(run)]
        if times != sorted(times):
            yield f"edgespool {name}: edgetime runs backwards"


def clock_jumps(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Turn a gateway's wall clock while it is spoken to."""
    if lacking := missing():
        tell(f"SKIPPED: {WHAT}: {lacking}")
        yield Row(WHAT, GOAL, f"skipped: {lacking}", is_reached=False)
        return
    with ExitStack() as ends:
        origin = ends.enter_context(receiver())
        here = ends.enter_context(world(room, {**LIMITS, "origin": {"url": origin.url}}))
        orders = Preload(build(room), room / "control", here.spool)
        here.gateway.command = (*orders.launcher, *launcher())
        here.gateway.start()
        here.wait_until_ready()
        jumps = Jumps(here, origin, orders)
        accepted = jumps.play(ROUNDS[scale])
    found = f"{ROUNDS[scale] * len(JUMPS_S)} jumps, {accepted} accepted"
    yield Row(WHAT, GOAL, found, not jumps.faults, tuple(jumps.faults))


def _code(answer: Answer) -> object:
    """Tell why a request, or its first event, was refused; ``None``: it was not."""
    if "code" in answer.json:
        return answer.json["code"]
    return next((code for _, code, _ in answer.refusals), None)
