"""What each stage costs one event: times the real stages, prints the table, updates README.

``python -m loadtests.stages`` prints; with ``--readme FILE`` it also replaces the table under
that file's marker. Every stage is timed alone on what the stage before it made, in batches of
50 facts with a business key; rounds of all stages are interleaved, so that a machine whose
speed drifts slows all of them alike, and the median of the rounds is told. Time is processor
time: what else the machine does meanwhile counts less. Behind the table, and there only, it
prints what the process's full tables take.
"""

import argparse
import gc
import itertools
import statistics
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from edge.config import SpoolSettings
from edge.core import frame
from edge.core.admit import House, RawRequest, admit
from edge.core.authenticate import Gate, IssuerKeys, TokenCache, Verified, authenticate
from edge.core.authorise import authorise
from edge.core.decode import Shape, decode
from edge.core.event import Event
from edge.core.footprint import Footprints
from edge.core.instant import NS_PER_MS, Instant
from edge.core.key_index import page_of
from edge.core.keyset import read_key_set
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quota, Quotas, check_clock
from edge.core.principal import Kind, Principal
from edge.core.recall import Recall
from edge.core.recall_table import RecallTable
from edge.core.record import Commit, Footprint, Record
from edge.core.seal import Sealer
from edge.core.session_window import WINDOW, Sessions
from edge.core.shed import Shedder
from edge.core.verdict import Verdict, conclude
from edge.shell.clock import SystemClock
from edge.shell.keys.mint import Grant, ensure_key, key_set, mint, read_signing_key
from edge.shell.pressure import Pressure

BATCH: Final = 50  # events per request, as design.md's figures have it
ROUNDS: Final = 31  # odd, so that the median is one of them; about 3 s in all
BATCHES: Final = 20  # per round: 1,000 events, some ms, far above the clock's grain
MARKER: Final = "<!-- stages: make bench -->"

SAMPLE: Final = 20_000  # sessions and tokens: enough that a dict's steps even out; 0.3 s

PLAYERS: Final = 997  # a prime, so that players do not fall in step with batches

Timed: TypeAlias = Callable[[], object]
Stage: TypeAlias = tuple[str, Callable[[], Timed]]

_SPREAD: Final = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: keys as spread as hashes are
_ISSUER: Final = "https://bench.example"
_ENCODE: Final = msgspec.json.Encoder().encode
_SEED: Final = frame.seed("00000000-0000-4000-8000-000000000000")


@dataclass(frozen=True, eq=False, slots=True)
class NoCommit:
    """A commit that nobody waits for."""

    lane: Lane


class NoDisk:
    """Takes records and forgets them: the core's cost alone."""

    def __init__(self) -> None:
        self.commits = {lane: NoCommit(lane) for lane in Lane}

    def append(self, lane: Lane, record: Record) -> NoCommit:
        """Do nothing with *record*."""
        del record
        return self.commits[lane]


@dataclass(slots=True)
class Keys:
    """One issuer with one key."""

    held: IssuerKeys

    def keys_of(self, issuer: str) -> IssuerKeys:
        """Return the only ones."""
        del issuer
        return self.held


@dataclass
class Bench:
    """Everything the stages need, real but for the disk.

    Each stage has a method that prepares one batch for it, untimed, and returns the call that
    is timed.
    """

    house: House
    authorization: list[bytes]
    principal: Principal
    now: Instant
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def authenticate(self) -> Timed:
        """A token that was verified before."""
        return lambda: authenticate(self.authorization, self.house.gate, self.now)

    def decode(self) -> Timed:
        """From the body's bytes, and encoded again."""
        body = self._body()
        return lambda: decode(body, Shape.ARRAY)

    def authorise(self) -> Timed:
        """A service's facts."""
        events = self._events()

        def call() -> None:
            for event in events:
                authorise(event, self.principal)

        return call

    def footprint(self) -> Timed:
        """An id, a business key and a digest."""
        events = self._events()
        return lambda: [self._tread(event) for event in events]

    def recall(self) -> Timed:
        """Asked, remembered and settled, in a full table."""
        trodden, recall, commit = self._trodden(), self.house.recall, NoCommit(Lane.BET)
        accepted_ms = self.now.unix_ns // NS_PER_MS

        def call() -> None:
            for event, footprint in trodden:
                recall.recall(event, footprint, self.now)
                recall.remember(Lane.BET, footprint, accepted_ms, commit)
            recall.settle(commit, held=True)

        return call

    def limit(self) -> Timed:
        """Two quotas and the clock."""
        events, house = self._events(), self.house

        def call() -> None:
            tab = house.quotas.open_tab(self.principal, len(events), self.now)
            for event in events:
                tab.charge("bench", event.spec.authority)
                check_clock(event, house.clock_rules, self.now)
            tab.settle()

        return call

    def seal(self) -> Timed:
        """From a judged event to the spool's record."""
        trodden = self._trodden()
        return lambda: [self._seal(*each) for each in trodden]

    def admit(self) -> Timed:
        """All of these in their order, for the whole request."""
        request, house = self._request(), self.house
        return lambda: house.recall.settle(
            _commit_of(admit(request, house, self.now)), held=True
        )

    def conclude(self) -> Timed:
        """Verdicts to the answer's bytes."""
        verdicts = admit(self._request(), self.house, self.now)
        self.house.recall.settle(_commit_of(verdicts), held=True)
        return lambda: _ENCODE(conclude(verdicts, {}).verdicts)

    def frame(self) -> Timed:
        """The writer's share: numbers, checksum, bytes."""
        records = [self._seal(*each) for each in self._trodden()]
        return lambda: [frame.encode(r, n, _SEED) for n, r in enumerate(records, 1)]

    def _request(self) -> RawRequest:
        return RawRequest(self.authorization, Shape.ARRAY, self._body())

    def _body(self) -> bytes:
        return _ENCODE([_fact(next(self.numbers)) for _ in range(BATCH)])

    def _events(self) -> list[Event]:
        return [e for e in decode(self._body(), Shape.ARRAY) if isinstance(e, Event)]

    def _tread(self, event: Event) -> tuple[Event, Footprint]:
        return event, self.house.footprints.of(event, self.principal)

    def _trodden(self) -> list[tuple[Event, Footprint]]:
        return [self._tread(event) for event in self._events()]

    def _seal(self, event: Event, footprint: Footprint) -> Record:
        return self.house.sealer.seal(event, self.principal, footprint, (), self.now)


def stages(bench: Bench) -> list[Stage]:
    """Return the rows of the table, in their order."""
    return [
        ("authenticate", bench.authenticate),
        ("decode", bench.decode),
        ("authorise", bench.authorise),
        ("footprint", bench.footprint),
        ("recall", bench.recall),
        ("limit", bench.limit),
        ("seal", bench.seal),
        ("admit, all of these", bench.admit),
        ("conclude", bench.conclude),
        ("frame", bench.frame),
    ]


def _fact(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.UUID(int=number)),
        "source": "urn:bench:game-server",
        "type": "bet.round.staked",
        "time": "2026-07-31T20:00:00.000Z",
        "subject": f"player-{number % PLAYERS:04d}",
        "brand": "bench",
        "jurisdiction": "MT",
        "data": {
            "provider_id": "studio-1",
            "game_id": "book-of-benches",
            "game_session_id": "gs-1",
            "round_id": f"round-{number}",
            "transaction_id": f"tx-{number}",
            "stake": {"amount_minor": 100, "currency": "EUR"},
            "stake_cash_minor": 100,
            "stake_bonus_minor": 0,
            "free_round_id": None,
            "bonus_id": None,
            "vertical": "slots",
            "jackpots": [],
            "feature": "base",
        },
    }


def _commit_of(verdicts: Sequence[Verdict]) -> Commit:
    """Return the one commit that a batch of new facts waits for."""
    commit = verdicts[0].commit
    assert commit is not None, "the batch was not accepted"
    return commit


def prepare(directory: Path) -> Bench:
    """Build a house whose spool forgets; its key lies in *directory* and goes with it."""
    key_path = directory / "key.pem"
    ensure_key(key_path)
    key, now = read_signing_key(key_path), SystemClock().now()
    grant = Grant(iss=_ISSUER, aud="edge", sub="bench", scope="facts:bet", ttl_s=3600)
    authorization = [b"Bearer " + mint(key, grant, now).encode()]
    keys = Keys(IssuerKeys(read_key_set(key_set(key), None).keys, 1, now.steady_ns + 10**15))
    settings = SpoolSettings()
    house = House(
        gate=Gate(
            audiences={_ISSUER: "edge"}, keys=keys, cache=TokenCache(), lifetime_max_s=86_400
        ),
        quotas=Quotas(
            [
                Quota(name=name, quota=10**9, window_s=1, burst=10**9)
                for name in ("service", "node")
            ]
        ),
        clock_rules=ClockRules(intent_max_age_s=30, observation_max_age_s=300, future_max_s=2),
        recall=Recall(
            dedupe_window_s=settings.dedupe_window_s,
            dedupe_entries_max=settings.dedupe_entries_max,
            sessions_max=settings.sessions_max,
        ),
        footprints=Footprints(bytes(32)),
        shedder=Shedder(Pressure({})),
        sealer=Sealer("bench", "bench"),
        spool=NoDisk(),
    )
    return Bench(house, authorization, authenticate(authorization, house.gate, now), now)


def fill(bench: Bench) -> None:
    """Fill the lane's table: a memory that is in use costs more than an empty one."""
    accepted_ms = bench.now.unix_ns // NS_PER_MS
    rows: list[bytes] = []
    for number in range(1, SpoolSettings().dedupe_entries_max // 2):
        key = number * _SPREAD % (1 << 64)
        footprint = Footprint(time_ms=accepted_ms, id_key=key, digest=key, key=key ^ 1)
        rows.append(frame.row_of(footprint, accepted_ms))
    bench.house.recall.rebuild(Lane.BET, page_of(b"".join(rows)))


def measure(todo: Sequence[Stage]) -> dict[str, float]:
    """Return each stage's median cost, ns per event."""
    rounds: dict[str, list[float]] = {name: [] for name, _ in todo}
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for name, make in todo:
                calls = [make() for _ in range(BATCHES)]
                before_ns = time.process_time_ns()
                for call in calls:
                    call()
                elapsed_ns = time.process_time_ns() - before_ns
                rounds[name].append(elapsed_ns / (BATCHES * BATCH))
    finally:
        gc.enable()
    return {name: statistics.median(costs) for name, costs in rounds.items()}


def sizes() -> list[str]:
    """Tell what full tables take, a line each, as measured here."""
    settings = SpoolSettings()
    lane = RecallTable(settings.dedupe_entries_max)
    for number in range(1, settings.dedupe_entries_max + 1):
        lane.add(number * _SPREAD % (1 << 64), number, 1)
    mib = lane.bytes_held / 2**20
    return [
        f"recall: {lane.bytes_held / len(lane):.1f} bytes per entry",
        f"recall, one full lane: {mib:.0f} MiB; all {len(Lane)}: {len(Lane) * mib:.0f} MiB",
        f"sessions with numbers missing: {_bytes_each(_fill_sessions):.0f} bytes each",
        f"verified tokens: {_bytes_each(_fill_tokens):.0f} bytes each",
    ]


def _bytes_each(fill_sample: Callable[[], object]) -> float:
    """Return what one of :data:`SAMPLE` takes, from what Python allocates meanwhile."""
    tracemalloc.start()
    try:
        filled = fill_sample()
        held, _ = tracemalloc.get_traced_memory()
        del filled
    finally:
        tracemalloc.stop()
    return held / SAMPLE


def _fill_sessions() -> Sessions:
    """Sessions that began late: their windows are as large as any."""
    sessions = Sessions(2 * SAMPLE)
    for number in range(1, SAMPLE + 1):
        sessions.mark(number * _SPREAD % (1 << 64), WINDOW)
    return sessions


def _fill_tokens() -> TokenCache:
    """Players' tokens, each with its own names, as claims are read."""
    cache, writes = TokenCache(2 * SAMPLE), frozenset(Lane)
    for number in range(SAMPLE):
        principal = Principal(
            kind=Kind.PLAYER,
            subject=f"player-{number}",
            client_id=f"app-{number % 9}",
            session=str(uuid.UUID(int=number)),
            brand=f"brand-{number % 9}",
            jurisdiction=f"M{number % 9}",
            writes=writes,
            jti=str(uuid.UUID(int=number)),
            expires_unix_s=number + 10**9,
        )
        verified = Verified(principal, _ISSUER, 1, number + 10**18, number + 10**18)
        cache.keep(number.to_bytes(32, "big"), verified)
    return cache


def table(costs: dict[str, float]) -> str:
    """Write the costs as a Markdown table."""
    rows = [f"| {name} | {cost:,.0f} |" for name, cost in costs.items()]
    return "\n".join(["| stage | ns per event |", "|---|---:|", *rows])


def replace_table(document: str, fresh: str) -> str:
    """Put *fresh* where the table under the marker is.

    Raises:
        ValueError: There is no marker.
    """
    before, marker, after = document.partition(MARKER)
    if not marker:
        raise ValueError(f"no line {MARKER}")
    rest = after.lstrip("\n").splitlines(keepends=True)
    behind = list(itertools.dropwhile(lambda line: line.startswith("|"), rest))
    return f"{before}{marker}\n{fresh}\n\n{''.join(behind).lstrip()}"


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and update the file that was named."""
    parser = argparse.ArgumentParser(prog="loadtests.stages", description=__doc__)
    parser.add_argument("--readme", type=Path, metavar="FILE", help="update its table")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        bench = prepare(Path(directory))
    fill(bench)
    fresh = table(measure(stages(bench)))
    sys.stdout.write("\n".join([fresh, "", *sizes()]) + "\n")
    if parsed.readme is not None:
        parsed.readme.write_text(replace_table(parsed.readme.read_text(), fresh))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
