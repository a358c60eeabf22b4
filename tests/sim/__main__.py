"""``python -m tests.sim``: live through many seeds, replay one aloud, or try all short traces.

Exit code 1 if a rule was broken; the last line then is the command that shows it again.
"""

import argparse
import os
import sys

from tests.sim.campaign import search
from tests.sim.limits import confine
from tests.sim.run import STEPS, explored, live, stage


def main(arguments: list[str]) -> int:
    """Simulate; return the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.tree is not None:
        return _explore(*chosen.tree)
    if chosen.seed is not None:
        confine()
        with stage() as root:
            failure = live(chosen.seed, chosen.steps, root, print)
    else:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        failure = search(seeds, chosen.steps, chosen.processes, _tell)
    if failure is not None:
        sys.stdout.write(f"{failure}\n")
        return 1
    what = f"seed {chosen.seed}" if chosen.seed is not None else f"{chosen.seeds:,} seeds"
    sys.stdout.write(f"{what} of {chosen.steps} steps: no rule was broken\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument(
        "--seeds", type=int, default=1000, help="how many; SEEDS of make sim, there 100,000"
    )
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one, step by step")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--tree",
        type=int,
        nargs=2,
        metavar=("STEPS", "ERRORS"),
        help="no seeds: all crash states of all traces of so many steps and failing calls",
    )
    return parser


def _explore(length: int, errors: int) -> int:
    confine()
    ways, failure = explored(length, errors, print)
    what = failure or f"{length} steps, {errors} failing calls: no rule broken in {ways:,} ways"
    sys.stdout.write(f"{what}\n")
    return 1 if failure else 0


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
