"""Many kills of clients, sockets and the gateway, drawn from a seed; what became of each event.

``python -m tests.system.stream.siege --seed N`` plays one seed, ``--first N --seeds K`` several;
exit code 1 if an event was lost, doubled, or told wrongly; the last line then plays it again. So
does the last line of whatever is raised on the way.

*Theory of operation.* Players talk without a pause, each over a proxy of his own. A plan drawn
from a seed says whom it hits next, and when; the gateway starts again on the same spool while
clients and sockets go on being hit. In the end everything heals, the players come to rest, and
their journals are compared with the origin's log, record by record, by the ledger's audit.

============  ================================================================================
gateway       SIGKILL, a drawn moment after it listens; one in six while it still starts
client        SIGKILL; its next life begins at once, or a moment later
socket        RST; FIN to either side; a black hole one way or both, which ends by RST or
              lets through what it held, some of them longer than a client waits; RST in
              place of the gateway's next word, so that what is done is not told
============  ================================================================================
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from typing_extensions import override

from edge.demo.evening import drain
from edge.demo.gateway import GatewayError
from tests.faults import faults
from tests.faults.deaths import KILLED
from tests.faults.ledger.audit import Allowed, Audit
from tests.faults.ledger.page import OWED, REFUSED, Page
from tests.faults.ledger.shape import CLIENT_LANES, SETTINGS
from tests.faults.ledger.sources import records
from tests.faults.ledger.words import Player
from tests.faults.proxy import Proxy
from tests.system.stream.players import Journal, is_bad
from tests.system.world import World, world

PLAYERS: Final = 6
KILLS: Final = {"gateway": 50, "client": 75, "reset": 15, "fin up": 10, "fin down": 10}
HOLES: Final = {"hole": 25, "untold": 15}
PAUSE_MAX_S: Final = 0.16  # on average three between two gateways' ends: half of its start
LIFE_MAX_S: Final = 0.6  # of a gateway that listens: six reconnections, and hundreds of events
START_MAX_S: Final = 0.5  # what a start takes on two idle cores: some are killed in its midst
EARLY_ONE_IN: Final = 6
HOLE_MAX_S: Final = 0.8
LONG_HOLE_S: Final = 3.0  # the client hangs up before
LONG_ONE_IN: Final = 8
SLEEP_MAX_S: Final = 0.3
DRAIN_TIMEOUT_S: Final = 120.0
FAULTS_SHOWN: Final = 20  # of one seed: more help nobody

# A sync that takes long on a busy machine is no fault here.
PATIENT: Final[Mapping[str, Mapping[str, object]]] = {"spool": {"sync_timeout_s": 60}}


NAME: Final = "tests.system.stream.siege"


class Point(NamedTuple):
    """One kill.

    Attributes:
        kind: What is hit, and how.
        voice: Whose client or socket.
        pause_s: Before it.
        share: Drawn for whatever else is to be drawn, 0..1.
        turn: The same, an integer.
    """

    kind: str
    voice: int
    pause_s: float
    share: float
    turn: int


def plan(seed: int) -> list[Point]:
    """Draw all that is done; the same for the same seed."""
    rng = Random(seed)  # noqa: S311  # replayable, no secret
    kinds = [kind for kind, count in (KILLS | HOLES).items() for _ in range(count)]
    rng.shuffle(kinds)
    return [
        Point(
            kind,
            rng.randrange(PLAYERS),
            rng.uniform(0, PAUSE_MAX_S),
            rng.random(),
            rng.randrange(1 << 16),
        )
        for kind in kinds
    ]


class Players:
    """The players' processes, and the proxies before them."""

    def __init__(
        self,
        here: World,
        seed: int,
        proxies: Sequence[Proxy],
        orders: "subprocess.Popen[str]",
    ) -> None:
        self._orders = orders
        self.voices = [Player(seed, voice, CLIENT_LANES) for voice in range(PLAYERS)]
        self._here = here
        self._proxies = proxies
        self._tokens = [player.token(here.issuer) for player in self.voices]

    def journal(self, voice: int) -> Path:
        """Return where it is."""
        return self._here.room / f"player-{voice}.jsonl"

    def begin(self, voice: int, sleep_s: float = 0.0) -> list[str]:
        """Kill the player's process, if there is one, and start the next."""
        host, port = self._proxies[voice].address
        return self._order(
            order="begin",
            run=self.voices[voice].run,
            voice=voice,
            url=f"ws://{host}:{port}",
            token=self._tokens[voice],
            journal=str(self.journal(voice)),
            sleep_s=sleep_s,
        )

    def rest(self) -> list[str]:
        """Have nothing new said; return when everything has its fate, or is never to have it."""
        return self._order(order="rest")

    def _order(self, **order: Any) -> list[str]:
        assert self._orders.stdin is not None
        assert self._orders.stdout is not None
        self._orders.stdin.write(json.dumps(order) + "\n")
        self._orders.stdin.flush()
        found: list[str] = json.loads(self._orders.stdout.readline())
        return found


@contextlib.contextmanager
def players(here: World, seed: int, proxies: Sequence[Proxy]) -> Generator[Players]:
    """Have players; on the way out nobody is left."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.stream.players"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as orders:
        yield Players(here, seed, proxies, orders)


class Siege:
    """Carries out a plan.

    Attributes:
        kills: What was hit, and how often.
        faults: What must not be.
    """

    def __init__(self, here: World, crowd: Players, proxies: Sequence[Proxy]) -> None:
        self.kills: Counter[str] = Counter()
        self.faults: list[str] = []
        self._here = here
        self._crowd = crowd
        self._proxies = proxies
        self._pool = ThreadPoolExecutor(1)
        self._timers: list[threading.Timer] = []
        self._starting: Future[None] = self._pool.submit(here.gateway.start)
        self._began_s = time.monotonic()

    def carry_out(self, points: Sequence[Point]) -> None:
        """Hit everybody, then heal everything."""
        try:
            for voice in range(PLAYERS):
                self.faults += self._crowd.begin(voice)
            for point in points:
                time.sleep(point.pause_s)
                self._strike(point)
                self.kills[point.kind] += 1
        finally:
            self._heal()

    def _strike(self, point: Point) -> None:
        match point.kind:
            case "gateway":
                self._kill_gateway(point)
            case "client":
                sleep_s = point.share * SLEEP_MAX_S if point.turn % 2 else 0.0
                self.faults += self._crowd.begin(point.voice, sleep_s)
            case _:
                self._hit(self._proxies[point.voice], point)

    def _heal(self) -> None:
        for timer in self._timers:
            timer.join()
        for proxy in self._proxies:
            proxy.heal()
        self._pool.shutdown()
        self._starting.result()

    def _kill_gateway(self, point: Point) -> None:
        gateway = self._here.gateway
        if point.turn % EARLY_ONE_IN == 0:
            time.sleep(max(0.0, self._began_s + point.share * START_MAX_S - time.monotonic()))
            if gateway.process is not None:
                faults.kill(gateway.process.pid)
            try:
                self._starting.result()
            except GatewayError as error:
                if error.code != KILLED:
                    raise
            gateway.close()
        else:
            self._starting.result()
            time.sleep(point.share * LIFE_MAX_S)
            gateway.kill()
        self._began_s = time.monotonic()
        self._starting = self._pool.submit(gateway.start)

    def _hit(self, proxy: Proxy, point: Point) -> None:
        match point.kind:
            case "reset":
                proxy.reset()
            case "fin up":
                proxy.end(of=proxy.up)
            case "fin down":
                proxy.end(of=proxy.down)
            case "untold":
                proxy.cut_before_answer()
            case _:
                self._hold(proxy, point)

    def _hold(self, proxy: Proxy, point: Point) -> None:
        """Let nothing through for a while; then cut, or let it all through at last."""
        proxy.up.is_held = point.turn % 3 != 0
        proxy.down.is_held = point.turn % 3 != 1
        is_long = point.turn % LONG_ONE_IN == 0
        length_s = LONG_HOLE_S if is_long else point.share * HOLE_MAX_S

        def end() -> None:
            if point.turn % 2:
                proxy.reset()
            proxy.heal()

        timer = threading.Timer(length_s, end)
        timer.start()
        self._timers.append(timer)


def page_of(journal: Journal, faults: list[str], name: str) -> Page:
    """Write down what a player was told, as the ledger's audit reads it."""
    page = Page(1)
    if sorted(journal.said) != [*range(1, len(journal.said) + 1)]:
        faults.append(f"{name}: numbers are not 1, 2, 3, …")
    for seq in sorted(journal.said):
        told = journal.fates.get(seq, [])
        if len(told) != 1:
            faults.append(f"{name}: event {seq} has the fates {told}")
        event = json.loads(journal.said[seq].encoded)
        page.claim(stamp_ms(event["time"]))
        page.verdicts[-1] = OWED if told == ["accepted"] else REFUSED
        if is_bad(seq - 1) != (told == ["refused"]) and told != ["shed"]:
            faults.append(f"{name}: event {seq} ended as {told}")
        page.settle()
    return page


def stamp_ms(timestamp: str) -> int:
    """Read back the time that the event was given."""
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


class Outcome(NamedTuple):
    """What a siege came to.

    Attributes:
        seed: It was drawn from.
        faults: What must not be; each a sentence.
        kills: How many.
        delivered: Events that were accepted, and reached the origin.
        refused: Events that were refused for good, and whose player was told so.
        interrupted: Lives that began with something to send again.
    """

    seed: int
    faults: Sequence[str]
    kills: int
    delivered: int
    refused: int
    interrupted: int

    @override
    def __str__(self) -> str:
        counts = f"{self.kills} kills, {self.delivered:,} delivered, {self.refused:,} refused"
        told = [
            f"seed {self.seed}: {counts}, {self.interrupted} lives that sent again",
            *self.faults[:FAULTS_SHOWN],
        ]
        if self.faults:
            told.append(replay_line(self.seed))
        return "\n".join(told)


def replay_line(seed: int) -> str:
    """Return the command that plays *seed* again."""
    return f"python -m {NAME} --seed {seed}"


@contextlib.contextmanager
def replayable(seed: int) -> Generator[None]:
    """Have whatever is raised here tell how to play *seed* again."""
    try:
        yield
    except BaseException as error:  # a test's timeout is no Exception, nor is Ctrl-C
        error.add_note(replay_line(seed))
        raise


def endure(seed: int, room: Path) -> Outcome:
    """Besiege a gateway in *room*, an empty directory, and audit what is left.

    What it raises ends with the line that plays it again.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(replayable(seed))
        here = stack.enter_context(world(room, {**SETTINGS, **PATIENT}))
        proxies = [stack.enter_context(Proxy(here.gateway.public)) for _ in range(PLAYERS)]
        crowd = stack.enter_context(players(here, seed, proxies))
        siege = Siege(here, crowd, proxies)
        siege.carry_out(plan(seed))
        faults = [*siege.faults, *crowd.rest(), *drain(here.gateway, DRAIN_TIMEOUT_S)]
        if (code := here.gateway.stop()) != 0:
            faults.append(f"the gateway's exit code is {code}")
        journals = [Journal.read(crowd.journal(voice)) for voice in range(PLAYERS)]
        pages = [page_of(each, faults, f"player {at}") for at, each in enumerate(journals)]
        audit = Audit(seed, list(zip(crowd.voices, pages, strict=True)), Allowed())
        audit.take(records(f"log:{here.origin}"))
        found = audit.finish()
    counts = (found.lost, found.strays, found.delivered)
    if counts != (0, 0, found.owed):
        faults.append(f"lost, strays, delivered are {counts}, of {found.owed} owed")
    return Outcome(
        seed,
        [*faults, *map(str, found.faults)],
        siege.kills.total(),
        found.delivered,
        sum(page.verdicts.count(REFUSED) for page in pages),
        sum(left > 0 for journal in journals for left in journal.births),
    )


def main(arguments: Sequence[str]) -> int:
    """Play the seeds; return the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=0, help="the first of several")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    chosen = parser.parse_args(arguments)
    first, count = (chosen.first, chosen.seeds) if chosen.seed is None else (chosen.seed, 1)
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as room:
            outcome = endure(seed, Path(room))
        sys.stdout.write(f"{outcome}\n")
        if outcome.faults:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
