"""``python -m loadtests.overload``: measure, print the table, audit; 1 if a goal is missed."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.bench.generator import GeneratorError
from loadtests.bench.subjects import SubjectError
from loadtests.overload.phases import CREWS, Crew, Phase, Result, measure, typical
from loadtests.overload.stage import stage

SECONDS: Final = 6.0  # of each phase
ROUNDS: Final = 3  # a machine drifts: the middle one counts
QUICK_SECONDS: Final = 2.0
EXIT_FAILED: Final = 1

_HEAD: Final = (
    *("load", "offered", "due/s", "sent/s", "accepted/s", "of saturation", "refused/s"),
    *("p50 ms", "p99 ms", "longest refused ms", "kept off", "peak RSS MB"),
)


def main(arguments: Sequence[str]) -> int:
    """Run all, print all."""
    options = _parser().parse_args(arguments)
    crews = [
        Crew(crew.load, crew.few, options.connections or crew.many)
        for crew in CREWS
        if options.load in {None, crew.load}
    ]
    try:
        return _run(crews, options)
    except (GeneratorError, SubjectError, OSError, ValueError) as error:
        sys.stderr.write(f"overload: {error}\n")
        return EXIT_FAILED


def _run(crews: Sequence[Crew], options: argparse.Namespace) -> int:
    is_failed = False
    seconds = QUICK_SECONDS if options.quick else options.seconds
    rounds = 1 if options.quick else options.rounds
    with (
        tempfile.TemporaryDirectory(prefix="edge-overload-", dir=options.room) as room,
        stage(Path(room)) as on_stage,
    ):
        sys.stdout.write(_row(_HEAD) + _row(["---"] * len(_HEAD)))
        for crew in crews:
            found = [
                measure(on_stage.gateway, on_stage.conductor, crew, seconds, _tell)
                for _ in range(rounds)
            ]
            is_failed |= _print(typical(found))
        events, faults = on_stage.settle()
    sys.stdout.write(f"\n{events:,} events accepted; at the origin: {faults or 'each once'}\n")
    return EXIT_FAILED if faults or is_failed else 0


def _print(result: Result) -> bool:
    """Write the rows of one load, and what they miss; return whether they miss anything."""
    for phase in (result.baseline, *result.phases):
        sys.stdout.write(_row(_cells(result, phase)))
    missed = [
        f"{result.crew.load}, {phase.times:g} x: {what}\n"
        for phase in result.phases
        for what in result.misses(phase)
    ]
    sys.stdout.flush()
    sys.stderr.writelines(missed)
    return bool(missed)


def _cells(result: Result, phase: Phase) -> list[str]:
    return [
        f"{result.crew.load}, {result.crew.many} connections",
        f"{phase.times:g} x",
        f"{phase.offered_per_s:,.0f}",
        f"{phase.sent_per_s:,.0f}",
        f"{phase.accepted_per_s:,.0f}",
        f"{result.share(phase):.2f}",
        f"{phase.refused_per_s:,.0f}",
        f"{phase.p50_ms:.1f}",
        f"{phase.p99_ms:.1f}",
        f"{phase.longest_refused_ms:.0f}",
        f"{phase.kept_off:.0%}",
        f"{phase.rss_bytes / 1e6:.0f}",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of phases of 2 s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each phase")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="whose middle is told")
    parser.add_argument("--load", choices=[crew.load for crew in CREWS], help="only this")
    parser.add_argument("--connections", type=int, help="instead of 512 and 128")
    parser.add_argument("--room", type=Path, help="where spools lie (default: as mktemp does)")
    return parser


def _tell(news: str) -> None:
    sys.stderr.write(f"{news}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
