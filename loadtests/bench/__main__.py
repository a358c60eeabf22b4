"""``python -m loadtests.bench``: run the rounds, print the tables, keep them where one says."""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Final

from loadtests.bench.generator import GeneratorError, Loader, generator
from loadtests.bench.report import Report, replace_block
from loadtests.bench.rounds import FULL, QUICK, Contest, Plan
from loadtests.bench.soak import Mark, growth, soak
from loadtests.bench.subjects import (
    SubjectError,
    Wanted,
    empty_application,
    gateway,
    on_cores,
)
from loadtests.bench.tree import NoSuchTreeError, tree_of

EXIT_FAILED: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and keep the figures where one said."""
    options = _parser().parse_args(arguments)
    try:
        if options.soak is not None:
            _soak(options)
        else:
            _keep(measure(options, QUICK if options.quick else FULL), options)
    except (GeneratorError, SubjectError, NoSuchTreeError, OSError, ValueError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return EXIT_FAILED
    return 0


def measure(options: argparse.Namespace, plan: Plan) -> Report:
    """Start everything, run the rounds, stop everything.

    Raises:
        GeneratorError: An answer was wrong.
        SubjectError: A server does not start, or does not do its work.
        NoSuchTreeError: There is no such commit.
        OSError: The disk does not take it.
    """
    with contextlib.ExitStack() as stack:
        tree: Path | None = None
        if options.base is not None:
            tree = stack.enter_context(tree_of(options.base))
        room, loader, cores = stack.enter_context(_stage(options.room, plan.players))
        wanted = [Wanted("gateway", loader.jwks, entries=plan.entries)]
        if options.kafka is not None:
            origin = f"kafka://{options.kafka}"
            wanted.append(Wanted("gateway to Kafka", loader.jwks, origin, plan.entries))
        if tree is not None:
            name = f"gateway of {options.base}"
            wanted.append(Wanted(name, loader.jwks, entries=plan.entries, tree=tree))
        servers = [empty_application(_own(room, "empty"), cores)]
        servers += [gateway(each, _own(room, each.name), cores) for each in wanted]
        subjects = [stack.enter_context(server) for server in servers]
        course = Contest(subjects, loader, plan, room, _tell).run()
        return Report(course, [subject.name for subject in subjects])


def split_cores(cores: set[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Give the servers one core and the generator another one, where there are two.

    One core is what a server can use: a process of Python has one interpreter lock.
    """
    first, *rest = sorted(cores)
    return frozenset({first}), frozenset(rest[:1] or {first})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    parser.add_argument("--base", metavar="COMMIT", help="measure this commit's gateway too")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="and one that forwards there")
    parser.add_argument("--quick", action="store_true", help="few and short rounds (20 s)")
    parser.add_argument("--soak", type=int, metavar="EVENTS", help="only look at memory")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="update its block")
    parser.add_argument(
        "--room", type=Path, metavar="DIR", help="where spools lie (default: as mktemp does)"
    )
    return parser


@contextlib.contextmanager
def _stage(
    parent: Path | None, players: int
) -> Generator[tuple[Path, Loader, frozenset[int]], None, None]:
    """Prepare a directory, a generator on its core, and the servers' core."""
    servers, load = split_cores(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory(prefix="edge-bench-", dir=parent) as room,
        on_cores(load),
        generator(players) as loader,
    ):
        yield Path(room), loader, servers


def _own(room: Path, name: str) -> Path:
    own = room / re.sub(r"[^\w-]", "-", name)
    own.mkdir()
    return own


def _keep(report: Report, options: argparse.Namespace) -> None:
    sys.stdout.write(report.text() + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(report.document(), indent=2) + "\n")
    if options.readme is not None:
        options.readme.write_text(replace_block(options.readme.read_text(), report.text()))


def _soak(options: argparse.Namespace) -> None:
    with _stage(options.room, FULL.players) as (room, loader, cores):
        wanted = Wanted("gateway", loader.jwks)
        with gateway(wanted, _own(room, wanted.name), cores) as subject:
            marks: list[Mark] = []
            sys.stdout.write("| events | RSS MB |\n| ---: | ---: |\n")
            for mark in soak(subject, loader, options.soak):
                sys.stdout.write(f"| {mark.events:,} | {mark.rss_bytes / 1e6:.1f} |\n")
                sys.stdout.flush()
                marks.append(mark)
    sys.stdout.write(f"\ngrowth in the second half: {growth(marks):+.1%}\n")


def _tell(news: str) -> None:
    sys.stderr.write(f"{news}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
