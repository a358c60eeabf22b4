"""Fifty thousand real bets through a gateway that is killed twice: each once, in order, exact.

The kills come when so many events have been seen, not at a time. The bets are not part of the
project: without them the replays of the whole file are skipped, and a small file made here is
replayed all the same.
"""

import csv
import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge.demo.evening import drain
from edge.demo.gateway import Settings
from tests.kafka.broker import Broker
from tests.kafka.tail import Tail
from tests.system.conftest import Build
from tests.system.proof import SETTLED, STAKED, Found, Proof, prove, read_bets, read_log
from tests.system.world import World

pytestmark = pytest.mark.system

ROOT: Final = Path(__file__).parent.parent.parent
LANE: Final = "bet"
TOPIC: Final = "edge.bet.v1"
# Of 100,000: by then every shard is well under way, and after two such lives half is left.
ACCEPTED_PER_LIFE: Final = 20_000
FORWARDED_BEFORE_CRASH: Final = 10_000
SLICE_BETS: Final = 5_000
# As whoever gave us the file has counted it.
BETS: Final = 50_000
PLAYERS: Final = 4_149
STAKES_MINOR: Final = 14_676_254_900
PAYOUTS_MINOR: Final = 14_904_966_727
# Quotas have a test of their own below.
NO_LIMITS: Final[Mapping[str, Settings]] = {"limits": {"service": False, "address": False}}

Tell: TypeAlias = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Shows something to whoever runs the tests, also when they pass."""

    def show(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return show


@pytest.fixture
def bets() -> Path:
    """The real bets."""
    named = os.environ.get("EDGE_REPLAY_CSV")  # noqa: TID251  # where the file is, no setting
    path = Path(named) if named else ROOT.parent / "shared/data/crash_bets.csv.gz"
    if not path.exists():
        pytest.skip("no file of real bets: EDGE_REPLAY_CSV names one, see loadtests.replay")
    return path


@pytest.fixture(autouse=True)
def full_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing trace these processes: it takes half their speed, and others are traced."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


class Replay:
    """One run of ``python -m loadtests.replay``; a context manager.

    Attributes:
        world: Whose gateway it talks to.
    """

    def __init__(self, world: World, bets: Path) -> None:
        self.world = world
        token = world.room / "token"
        token.write_text(world.issuer.service("replay", LANE))
        host, port = world.gateway.public
        options = ["--csv", str(bets), "--to", f"http://{host}:{port}", "--json"]
        terms = ["--currency", "EUR", "--brand", "demo", "--jurisdiction", "MT"]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loadtests.replay", *options, *terms),
                *("--token-file", str(token)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def summary(self) -> dict[str, object]:
        """Wait for its end; everything must have become durable."""
        out, _ = self._process.communicate()
        assert self._process.returncode == 0
        counts: dict[str, object] = json.loads(out)
        return counts


def count(world: World, metric: str, **labels: str) -> float:
    """Add up a metric's samples of the bets' lane, in this life of the gateway."""
    wanted = {"lane": LANE, **labels}.items()
    return sum(
        sample.value
        for family in text_string_to_metric_families(world.gateway.metrics())
        for sample in family.samples
        if sample.name == metric and wanted <= sample.labels.items()
    )


def accepted(world: World) -> float:
    """Tell how many events this life of the gateway has accepted."""
    return count(world, "edge_events_total", outcome="accepted")


def forwarded(world: World) -> float:
    """Tell how many records this life of the gateway has handed on."""
    return count(world, "edge_forwarded_total")


def wait_on_the_way(replay: Replay, is_time: Callable[[], bool]) -> None:
    """Return when it is time, in the midst of the replay."""
    replay.world.wait(lambda: is_time() or replay.is_over(), "events on the way")
    assert not replay.is_over(), "the replay is over, a kill would come too late"


def replay_through_kills(
    world: World, bets: Path, midway: Callable[[Replay], object]
) -> dict[str, object]:
    """Replay *bets*, kill the gateway twice on the way, and wait until all is forwarded.

    Args:
        world: Not started.
        bets: The file.
        midway: Called in the third life.
    """
    world.gateway.start()
    with Replay(world, bets) as replay:
        for _ in range(2):
            wait_on_the_way(replay, lambda: accepted(world) >= ACCEPTED_PER_LIFE)
            world.gateway.kill()
            world.gateway.start()
        midway(replay)
        summary = replay.summary()
    world.wait(lambda: count(world, "edge_spool_records") == 0, "everything forwarded")
    assert drain(world.gateway) == []
    return summary


def replay_again(world: World, bets: Path) -> dict[str, object]:
    """Replay the file's beginning once more; the gateway leaves in order afterwards."""
    beginning = world.room / "beginning.csv"
    with gzip.open(bets, "rt") as file:
        beginning.write_text("".join(itertools.islice(file, 1 + SLICE_BETS)))
    with Replay(world, beginning) as replay:
        summary = replay.summary()
    assert world.gateway.stop() == 0
    return summary


def check(proof: Proof, summary: dict[str, object], again: dict[str, object]) -> None:
    """See that everything is there, and that nothing was new the second time."""
    assert proof.faults == []
    assert proof.counts == {STAKED: BETS, SETTLED: BETS}
    assert proof.sums_minor == {STAKED: STAKES_MINOR, SETTLED: PAYOUTS_MINOR}
    assert (proof.players, proof.spools) == (PLAYERS, 3)
    assert (summary["sent"], summary["refused"], summary["overtaken"]) == (2 * BETS, {}, 0)
    assert summary["retries"] != 0
    assert (again["duplicate"], again["sent"]) == (2 * SLICE_BETS, 2 * SLICE_BETS)


@pytest.mark.timeout(180)  # a hundred thousand events and four starts, on two busy cores
def test_all_bets_reach_the_log_through_two_kills(build: Build, bets: Path, tell: Tell) -> None:
    world = build(NO_LIMITS)
    summary = replay_through_kills(world, bets, midway=lambda _: None)
    again = replay_again(world, bets)

    proof = prove(read_bets(bets), read_log(world.origin, TOPIC))

    tell(proof.table("Replay of 50,000 bets into log:, the gateway killed twice"))
    check(proof, summary, again)


@pytest.mark.timeout(240)  # as above, and a broker that starts twice
def test_all_bets_reach_kafka_through_two_kills_and_a_crash_of_the_broker(
    build: Build, bets: Path, own_broker: Broker, tell: Tell
) -> None:
    own_broker.create_topic(TOPIC)
    world = build({**NO_LIMITS, "origin": {"url": f"kafka://{own_broker.bootstrap}"}})

    def crash(replay: Replay) -> None:
        wait_on_the_way(replay, lambda: forwarded(world) >= FORWARDED_BEFORE_CRASH)
        own_broker.kill()
        own_broker.start()

    summary = replay_through_kills(world, bets, midway=crash)
    again = replay_again(world, bets)

    proof = prove(read_bets(bets), read_kafka(own_broker))

    tell(
        proof.table(
            "Replay of 50,000 bets into kafka:, the gateway killed twice, the broker once"
        )
    )
    check(proof, summary, again)


def read_kafka(broker: Broker) -> Iterator[Found]:
    """Read the topic from its beginning to its end, which moves no more."""
    seen = -1
    with Tail(broker.bootstrap, TOPIC) as tail:
        while seen != len(taken := tail.read()):
            seen = len(taken)
        for each in taken:
            yield Found(each.partition, each.key.decode(), each.value)


def test_a_replay_over_quota_ends_with_everything_in_order(
    build: Build, tmp_path: Path
) -> None:
    """Batches are cut in their middle, and what was refused for now comes first again."""
    few = tmp_path / "few.csv"
    with few.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["bet_id", "round_id", "player", "played_at", "stake_minor", "payout_minor"]
        )
        for n in range(500):
            played_at = f"2026-11-22T20:{n // 60:02d}:{n % 60:02d}Z"
            rows.writerow([n, n // 3, f"player-{n * n % 7}", played_at, n, 2 * n])
    quota = {"quota": 500, "window_s": 1, "burst": 150}
    world = build({"limits": {"address": False}, "limits.service": quota})
    world.gateway.start()

    with Replay(world, few) as replay:
        summary = replay.summary()
    assert drain(world.gateway) == []
    proof = prove(read_bets(few), read_log(world.origin, TOPIC))

    assert proof.faults == []
    assert (summary["accepted"], summary["overtaken"]) == (1000, 0)
    assert summary["retries"] != 0
