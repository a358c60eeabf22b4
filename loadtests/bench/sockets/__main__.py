"""``python -m loadtests.bench.sockets``: measure, print the tables, keep them where one says."""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench.__main__ import split_cores
from loadtests.bench.figures import Slice
from loadtests.bench.generator import GeneratorError
from loadtests.bench.report import replace_block
from loadtests.bench.sockets.contest import ECHO, FULL, QUICK, SOCKET, Contest, Plan, Row
from loadtests.bench.sockets.generator import SocketLoader, socket_generator
from loadtests.bench.sockets.report import BEGIN, END, Report
from loadtests.bench.sockets.spans import Idle, idle, pushed
from loadtests.bench.sockets.subjects import (
    StreamWanted,
    TooFewDescriptorsError,
    allow_sockets,
    echo_server,
)
from loadtests.bench.subjects import Subject, SubjectError, gateway, on_cores

EXIT_FAILED: Final = 1

_Slices = Mapping[Row, Sequence[Slice]]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep the figures where one said."""
    options = _parser().parse_args(arguments)
    try:
        report = measure(QUICK if options.quick else FULL, options.room)
        sys.stdout.write(report.text() + "\n")
        if options.json is not None:
            options.json.write_text(json.dumps(report.document(), indent=2) + "\n")
        if options.readme is not None:
            document = options.readme.read_text()
            options.readme.write_text(replace_block(document, report.text(), BEGIN, END))
    except (GeneratorError, SubjectError, OSError, ValueError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return EXIT_FAILED
    return 0


def measure(plan: Plan, parent: Path | None = None) -> Report:
    """Start everything, measure, stop everything.

    Args:
        plan: How much.
        parent: Of the directory where spools lie; ``None``: as mktemp does.

    Raises:
        GeneratorError: An answer was wrong.
        SubjectError: A server does not start, or does not do its work.
        OSError: The disk does not take it.
    """
    many = max(plan.idle, plan.listeners)
    # Inherited by the generator and the servers. Where it is too little, what still can be is
    # measured, and the report says why the rest is not.
    complaint = _complaint(many)
    servers, load = split_cores(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="edge-bench-", dir=parent) as room,
        on_cores(load),
        socket_generator(plan.players) as loader,
    ):
        stage = _Stage(Path(room), loader, servers, plan)
        slices, pushes_ns = stage.compete(complaint)
        return Report(plan, slices, complaint or stage.rest(), pushes_ns)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where all of it happens.

    Attributes:
        room: A directory on the spools' file system.
        loader: The generator.
        cores: The servers'.
        plan: How much.
    """

    room: Path
    loader: SocketLoader
    cores: frozenset[int]
    plan: Plan

    def compete(self, complaint: str | None) -> tuple[_Slices, Sequence[int] | str]:
        """Run the rounds, and push to as many sockets as is asked, unless there is a complaint.

        Raises:
            GeneratorError: An answer was wrong.
            SubjectError: A server does not start, or does not do its work.
        """
        with self._echo("contest") as echo, self._gateway("contest") as (ours, home):
            origin = home / "origin"
            contest = Contest(echo, ours, self.loader, self.plan, origin, _tell)
            slices = contest.run()
            if complaint is not None:
                return slices, complaint
            _tell(f"{self.plan.pushes} pushes to {self.plan.listeners:,} sockets")
            return slices, pushed(ours, f"log:{origin}", self.loader, self.plan)

    def rest(self) -> Mapping[str, Idle]:
        """Look what idle sockets hold, in processes that did nothing else.

        Raises:
            GeneratorError: An answer was wrong.
            SubjectError: A server does not start.
        """
        _tell(f"{self.plan.idle:,} idle sockets, for {self.plan.hold_s:g} s each server")
        with self._echo("idle") as echo:
            echoing = idle(echo, self.loader, self.plan)
        with self._gateway("idle") as (ours, _):
            return {ECHO: echoing, SOCKET: idle(ours, self.loader, self.plan)}

    @contextlib.contextmanager
    def _echo(self, scene: str) -> Generator[Subject]:
        with echo_server(self._home(ECHO, scene), self.cores) as subject:
            yield subject

    @contextlib.contextmanager
    def _gateway(self, scene: str) -> Generator[tuple[Subject, Path]]:
        home = self._home(SOCKET, scene)
        wanted = StreamWanted(SOCKET, self.loader.jwks, entries=self.plan.entries)
        with gateway(wanted, home, self.cores) as subject:
            yield subject, home

    def _home(self, name: str, scene: str) -> Path:
        home = self.room / f"{name}-{scene}"
        home.mkdir()
        return home


def _complaint(sockets: int) -> str | None:
    try:
        allow_sockets(sockets)
    except TooFewDescriptorsError as too_few:
        return f"Not measured: {too_few}."
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench.sockets", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="few and short rounds (30 s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="update its block")
    parser.add_argument(
        "--room", type=Path, metavar="DIR", help="where spools lie (default: as mktemp does)"
    )
    return parser


def _tell(news: str) -> None:
    sys.stderr.write(f"{news}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
