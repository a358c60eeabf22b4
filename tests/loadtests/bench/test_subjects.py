"""Servers as processes: what they are told, and what is read from them."""

import contextlib
import os
import sys
import threading
import time
import tomllib
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from loadtests.bench import subjects as module
from loadtests.bench.subjects import (
    Subject,
    SubjectError,
    Wanted,
    by_lane,
    empty_application,
    gateway,
    on_cores,
)
from loadtests.bench.tokens import Issuer
from tests.fakes_bench import answer, server

EXPOSITION = """\
# TYPE edge_spool_records gauge
edge_spool_records{lane="bet"} 2.0
edge_spool_records{lane="game"} 1e+03
edge_spool_bytes{lane="bet",state="waiting"} 7.0
edge_sessions 3.0
"""


def ours(admin: tuple[str, int] | None) -> Subject:
    """This very process, as if it were a server."""
    return Subject("ours", ("127.0.0.1", 0), admin, os.getpid())


def test_a_gauge_is_read_by_lane() -> None:
    assert by_lane(EXPOSITION, "edge_spool_records") == {"bet": 2.0, "game": 1000.0}
    assert by_lane(EXPOSITION, "edge_spool_bytes") == {}


def test_processor_time_is_that_of_all_threads() -> None:
    subject = ours(None)
    before_ns, own_ns = subject.cpu_ns(), time.process_time_ns()

    thread = threading.Thread(target=lambda: sum(range(300_000)))
    thread.start()
    thread.join()

    spent_ns, own_spent_ns = subject.cpu_ns() - before_ns, time.process_time_ns() - own_ns
    assert 0.5 * own_spent_ns < spent_ns <= 1.5 * own_spent_ns


def test_a_process_holds_memory() -> None:
    assert 1 << 20 < ours(None).rss_bytes() < 1 << 40


def test_who_has_no_spool_has_forwarded_everything() -> None:
    assert ours(None).cpu_when_forwarded_ns() > 0


def test_a_gateway_has_forwarded_when_its_spool_is_empty() -> None:
    left = [b"2", b"1", b"0"]

    def reply(_: bytes) -> Sequence[bytes]:
        return [answer(b'edge_spool_records{lane="bet"} ' + left.pop(0))]

    with server(reply) as admin:
        ours(admin).cpu_when_forwarded_ns()

    assert left == []


def test_a_gateway_that_does_not_forward_is_told_with_its_readiness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FORWARDED_TIMEOUT_S", 0.01)

    def reply(request: bytes) -> Sequence[bytes]:
        is_readiness = b"/readyz" in request
        return [answer(b"no topic" if is_readiness else b'edge_spool_records{lane="bet"} 1')]

    with server(reply) as admin, pytest.raises(SubjectError, match="no topic"):
        ours(admin).cpu_when_forwarded_ns()


def test_a_gateway_without_the_gauge_is_none() -> None:
    with (
        server(lambda _: [answer(b"")]) as admin,
        pytest.raises(SubjectError, match="no edge_spool_records"),
    ):
        ours(admin).cpu_when_forwarded_ns()


def test_a_gateway_that_is_gone_is_told() -> None:
    with server() as admin:
        pass

    with pytest.raises(SubjectError, match="does not answer"):
        ours(admin).ask("/metrics")


def test_metrics_are_read_once_per_interval_of_all_slices_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SCRAPE_INTERVAL_S", 0.05)
    asked = threading.Event()

    def reply(_: bytes) -> Sequence[bytes]:
        asked.set()
        return [answer(b"")]

    with server(reply) as admin:
        subject = ours(admin)
        for _ in range(200):
            with subject.scraped():
                time.sleep(0.001)

    assert asked.is_set()


def test_an_application_without_metrics_is_not_asked_for_them() -> None:
    before = threading.active_count()

    with ours(None).scraped():
        assert threading.active_count() == before


def test_everything_that_costs_is_on(tmp_path: Path) -> None:
    wanted = Wanted("gateway", "{}", entries=700, memory_max=1 << 29)

    settings = tomllib.loads(wanted.settings(tmp_path))

    assert set(settings["limits"]) == {"player", "service", "brand", "address", "node"}
    assert settings["node"]["memory_max"] == 1 << 29
    assert settings["spool"]["dedupe_entries_max"] == 700
    assert settings["origin"]["url"] == f"log:{tmp_path}/origin"
    assert settings["directives"] == {
        "source": f"{tmp_path}/directives",
        "keys": f"{tmp_path}/directives.json",
    }


def test_a_tree_that_knows_no_directives_is_given_none(tmp_path: Path) -> None:
    settings = tomllib.loads(Wanted("older", "{}", tree=tmp_path).settings(tmp_path))

    assert "directives" not in settings
    assert settings["spool"] == {"path": f"{tmp_path}/spool"}


def test_a_gateway_has_thousands_of_revocations_to_look_through(tmp_path: Path) -> None:
    """Planted: no source; one that another key signed."""
    cores = frozenset(os.sched_getaffinity(0))

    with gateway(Wanted("gateway", Issuer().jwks()), tmp_path, cores) as subject:
        lines = subject.ask("/metrics").splitlines()

    assert 'edge_directives{state="in_force"} 3000.0' in lines


def test_a_gateway_that_does_not_believe_its_revocations_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "DIRECTED_TIMEOUT_S", 0.05)

    def reply(request: bytes) -> Sequence[bytes]:
        is_readiness = b"/readyz" in request
        return [answer(b"no such key" if is_readiness else b"edge_sessions 3.0")]

    @contextlib.contextmanager
    def start(*_: object) -> Generator[Subject, None, None]:
        with server(reply) as admin:
            yield ours(admin)

    monkeypatch.setattr(module, "server", start)

    with (
        pytest.raises(SubjectError, match="not directed: no such key"),
        gateway(Wanted("gateway", "{}"), tmp_path, frozenset()),
    ):
        pass  # pragma: no cover  # it does not get here


def test_another_origin_and_the_default_table_may_be_wanted(tmp_path: Path) -> None:
    wanted = Wanted("gateway to Kafka", "{}", origin="kafka://127.0.0.1:9092")

    settings = tomllib.loads(wanted.settings(tmp_path))

    assert settings["origin"]["url"] == "kafka://127.0.0.1:9092"
    assert "dedupe_entries_max" not in settings["spool"]
    assert "memory_max" not in settings["node"]


def test_a_server_runs_on_its_cores_and_we_on_ours(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    first = frozenset({min(before)})

    with empty_application(tmp_path, first) as subject:
        assert os.sched_getaffinity(subject.pid) == first
        assert not subject.is_gateway

    assert os.sched_getaffinity(0) == before
    with pytest.raises(ProcessLookupError):
        os.kill(subject.pid, 0)


def test_cores_are_given_back_after_a_failure() -> None:
    before = os.sched_getaffinity(0)

    with pytest.raises(KeyError), on_cores(frozenset({min(before)})):
        raise KeyError

    assert os.sched_getaffinity(0) == before


def test_a_gateway_that_does_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    wanted = Wanted("gateway", "{}", origin="carrier-pigeon:", entries=700)
    cores = frozenset(os.sched_getaffinity(0))

    with (
        pytest.raises(SubjectError, match=r"did not start(?s:.*)origin"),
        gateway(wanted, tmp_path, cores),
    ):
        pass  # pragma: no cover  # it does not get here


def test_a_server_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_TIMEOUT_S", 0.05)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        'print(\'{"public": "127.0.0.1:1"}\', flush=True); time.sleep(60)'
    )
    cores = frozenset(os.sched_getaffinity(0))

    with module.server("stubborn", ["-c", stubborn], tmp_path, module.ROOT, cores) as subject:
        pass

    with pytest.raises(ProcessLookupError):
        os.kill(subject.pid, 0)


def test_a_server_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.05)
    cores = frozenset(os.sched_getaffinity(0))
    command = ["-c", "import time; time.sleep(60)"]

    with (
        pytest.raises(SubjectError, match="silent did not start"),
        module.server("silent", command, tmp_path, Path(sys.prefix), cores),
    ):
        pass  # pragma: no cover  # it does not get here
