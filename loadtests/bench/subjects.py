"""The servers under test as processes: started, measured from outside, ended.

Owns the child processes and, below a directory it is given, their configuration, spools and
logs. Everything it knows of a gateway comes from its command line, its admin port and /proc.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from loadtests.bench.tokens import AUDIENCE, ISSUER, Director

# A start on two busy cores takes two seconds.
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 15.0  # above ``node.drain_s`` below
DRAIN_S: Final = 5
# All that was accepted must be at the origin by then, whatever it is.
FORWARDED_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1  # each look costs the gateway 2 ms
SCRAPE_INTERVAL_S: Final = 1.0  # oftener than any Prometheus
ASK_TIMEOUT_S: Final = 30.0  # 2 ms; on a machine that others use up, some seconds

QUOTA: Final = 100_000_000  # per second: configured, charged, never used up
LIMITED: Final = ("player", "service", "brand", "address", "node")

REVOCATIONS: Final = 3_000  # a bad day's, none of them of anybody who speaks
DIRECTED_TIMEOUT_S: Final = 30.0  # judging them takes a second, on two busy cores some

# Linux: a process's CPU clock is named by its pid. Source: clock_getcpuclockid(3); the kernel's
# posix-timers_types.h (CPUCLOCK_SCHED = 2).
_CPUCLOCK_SCHED: Final = 2
_SAMPLE: Final = re.compile(r'^(\w+)\{lane="(\w+)"\} (\S+)$', re.MULTILINE)

ROOT: Final = Path(__file__).parents[2]


class SubjectError(Exception):
    """A server did not start or does not do its work; the message tells which and why."""


@dataclass(slots=True)
class Subject:
    """One server.

    Attributes:
        name: In the table.
        public: Where the load goes.
        admin: Where a gateway is looked into; ``None``: it is none.
        pid: Of its process.
    """

    name: str
    public: tuple[str, int]
    admin: tuple[str, int] | None
    pid: int
    _unscraped_s: float = 0.0

    @property
    def is_gateway(self) -> bool:
        """Whether it says what it accepted."""
        return self.admin is not None

    def cpu_ns(self) -> int:
        """Return the processor time of all its threads since its start, user and system."""
        return cpu_ns(self.pid)

    def kept_off_ns(self) -> int:
        """Return for how long its main thread could have run, and others had the processor.

        Source: the kernel's sched-stats.rst, ``/proc/<pid>/schedstat``.
        """
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1])

    def rss_bytes(self) -> int:
        """Return what it holds resident."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def forget_peak(self) -> None:
        """Have :meth:`peak_bytes` count from now on.

        Source: proc(5), ``/proc/pid/clear_refs``.
        """
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the most it held resident since then."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def by_lane(self, metric: str) -> dict[str, float]:
        """Read one of its gauges.

        Raises:
            SubjectError: Nobody answers, or there is no such gauge.
        """
        found = by_lane(self.ask("/metrics"), metric)
        if not found:
            raise SubjectError(f"{self.name} has no {metric}")
        return found

    def ask(self, path: str) -> str:
        """Read a page of the admin port.

        Raises:
            SubjectError: Nobody answers.
        """
        assert self.admin is not None
        host, port = self.admin
        try:
            with urllib.request.urlopen(
                f"http://{host}:{port}{path}", timeout=ASK_TIMEOUT_S
            ) as answer:
                return cast("bytes", answer.read()).decode()
        except OSError as error:
            raise SubjectError(f"{self.name} does not answer {path}: {error}") from error

    def cpu_when_forwarded_ns(self) -> int:
        """Wait until all it accepted is at the origin; return :meth:`cpu_ns` of that time.

        The look that finds nothing left is not counted.

        Raises:
            SubjectError: It does not get there.
        """
        until_s = time.monotonic() + FORWARDED_TIMEOUT_S
        while time.monotonic() < until_s:
            cpu_ns = self.cpu_ns()
            if self.admin is None or not sum(self.by_lane("edge_spool_records").values()):
                return cpu_ns
            time.sleep(POLL_S)
        raise SubjectError(
            f"{self.name} did not forward within {FORWARDED_TIMEOUT_S:.0f} s: "
            + self.ask("/readyz")
        )

    @contextlib.contextmanager
    def scraped(self) -> Generator[None, None, None]:
        """Have its metrics read meanwhile, once in each second that is spent in here."""
        if self.admin is None:
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._scrape, args=(done,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _scrape(self, done: threading.Event) -> None:
        while True:
            began_s = time.monotonic()
            is_done = done.wait(SCRAPE_INTERVAL_S - self._unscraped_s)
            self._unscraped_s += time.monotonic() - began_s
            if is_done:
                self._unscraped_s = min(self._unscraped_s, SCRAPE_INTERVAL_S)
                return
            self._unscraped_s = 0.0
            # A gateway that does not answer is noticed by whoever measures it.
            with contextlib.suppress(SubjectError):
                self.ask("/metrics")


def cpu_ns(pid: int) -> int:
    """Return the processor time of all the threads of a process since its start."""
    return time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED)


def by_lane(exposition: str, metric: str) -> dict[str, float]:
    """Read the samples of *metric* that have a lane and nothing else.

    Source: Prometheus text format 0.0.4.
    """
    return {
        lane: float(value)
        for name, lane, value in _SAMPLE.findall(exposition)
        if name == metric
    }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A gateway that is to be started.

    Attributes:
        name: In the table.
        jwks: Whose tokens it believes.
        origin: URL; ``None``: the embedded log.
        entries: ``spool.dedupe_entries_max``; ``None``: its default.
        memory_max: ``node.memory_max``, bytes; ``None``: its default.
        tree: Whose code it runs.
    """

    name: str
    jwks: str
    origin: str | None = None
    entries: int | None = None
    memory_max: int | None = None
    tree: Path = field(default=ROOT)

    @property
    def is_directed(self) -> bool:
        """Whether there are directives yet in that tree: an older one refuses their settings."""
        return (self.tree / "edge/core/directive.py").exists()

    def settings(self, room: Path) -> str:
        """Write its configuration: all that costs something is on."""
        limits = "\n".join(
            f"[limits.{name}]\nquota = {QUOTA}\nwindow_s = 1\nburst = {QUOTA}"
            for name in LIMITED
        )
        entries = "" if self.entries is None else f"dedupe_entries_max = {self.entries}"
        directives = (
            f"[directives]\nsource = {json.dumps(str(room / 'directives'))}\n"
            f"keys = {json.dumps(str(room / 'directives.json'))}"
            if self.is_directed
            else ""
        )
        memory = "" if self.memory_max is None else f"memory_max = {self.memory_max}"
        return f"""
[node]
name = "bench-1"
region = "bench"
drain_s = {DRAIN_S}
{memory}
[http]
port = 0
[admin]
port = 0
[[auth.issuers]]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
jwks_path = {json.dumps(str(room / "jwks.json"))}
[clock]
intent_max_age_s = 300
{limits}
{directives}
[spool]
path = {json.dumps(str(room / "spool"))}
{entries}
[origin]
url = {json.dumps(self.origin or f"log:{room / 'origin'}")}
"""


@contextlib.contextmanager
def gateway(
    wanted: Wanted, room: Path, cores: frozenset[int]
) -> Generator[Subject, None, None]:
    """Run ``edge serve`` in *room*, an empty directory, on *cores*; some are revoked by then.

    Raises:
        SubjectError: It does not start; the message ends with its log. Or its revocations are not
            believed.
    """
    (room / "jwks.json").write_text(wanted.jwks)
    director = Director()  # of its own key, never the issuer's
    (room / "directives").write_text(director.revocations(REVOCATIONS))
    (room / "directives.json").write_text(director.jwks())
    (room / "edge.toml").write_text(wanted.settings(room))
    command = ["-m", "edge", "serve", "--config", str(room / "edge.toml")]
    with server(wanted.name, command, room, wanted.tree, cores) as subject:
        if wanted.is_directed:
            _wait_until_directed(subject)
        yield subject


def _wait_until_directed(subject: Subject) -> None:
    """Return when all revocations are in force: a start opens its doors before, if it is slow."""
    until_s = time.monotonic() + DIRECTED_TIMEOUT_S
    wanted = f'edge_directives{{state="in_force"}} {REVOCATIONS:.1f}'
    while wanted not in subject.ask("/metrics").splitlines():
        if time.monotonic() > until_s:
            raise SubjectError(f"{subject.name} is not directed: {subject.ask('/readyz')}")
        time.sleep(POLL_S)


@contextlib.contextmanager
def empty_application(room: Path, cores: frozenset[int]) -> Generator[Subject, None, None]:
    """Run :mod:`loadtests.bench.empty` on *cores*.

    Raises:
        SubjectError: It does not start.
    """
    command = ["-m", "loadtests.bench.empty"]
    with server("empty application", command, room, ROOT, cores) as subject:
        yield subject


@contextlib.contextmanager
def on_cores(cores: frozenset[int]) -> Generator[None, None, None]:
    """Let what is started meanwhile run on *cores* only, with all its threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def server(
    name: str, command: list[str], room: Path, tree: Path, cores: frozenset[int]
) -> Generator[Subject, None, None]:
    """Run Python with *command* and the packages of *tree* on *cores*; its log lies in *room*.

    Raises:
        SubjectError: It does not say where it listens.
    """
    with (room / "server.log").open("wb") as log, on_cores(cores):
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and packages
            [sys.executable, *command],
            cwd=tree,
            env=_environment(tree),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        listening = _listening(process)
        if listening is None:
            said = (room / "server.log").read_text()[-2000:]
            raise SubjectError(f"{name} did not start\n{said}")
        admin = _address(listening["admin"]) if "admin" in listening else None
        yield Subject(name, _address(listening["public"]), admin, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _environment(tree: Path) -> dict[str, str]:
    """Nothing of ours but the packages of *tree*: no setting, and no measuring of coverage."""
    return {"PATH": os.defpath, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def _listening(process: subprocess.Popen[str]) -> Mapping[str, str] | None:
    """Read the line that tells where it listens; ``None``: it ended instead."""
    assert process.stdout is not None
    # A silent child would block us for ever; killed, it ends its line.
    watchdog = threading.Timer(START_TIMEOUT_S, process.kill)
    watchdog.start()
    line = process.stdout.readline()
    watchdog.cancel()
    return cast("dict[str, str]", json.loads(line)) if line else None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
