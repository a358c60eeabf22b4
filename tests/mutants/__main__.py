"""``python -m tests.mutants [--only NAME] [--sim]``: prove that each planted bug is caught."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.mutants.bugs import BUGS, Bug
from tests.mutants.proof import (
    DoesNotApply,
    Finding,
    Verdict,
    complaints_about,
    copy_tree,
    prove,
)


def main(arguments: list[str]) -> int:
    """Plant, ask, tell; 1 if a bug is not caught, or a test does not pass without one."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="of one bug")
    parser.add_argument(
        "--sim", action="store_true", help="ask the simulation and the power cuts, too"
    )
    chosen = parser.parse_args(arguments)
    bugs = [bug for bug in BUGS if chosen.only in (None, bug.name)]
    if not bugs:
        parser.error(f"there is no bug {chosen.only!r}: {', '.join(b.name for b in BUGS)}")
    with tempfile.TemporaryDirectory(prefix="edge-mutants-") as room:
        tree = Path(room)
        copy_tree(tree)
        asked = sorted({test for bug in bugs for test in _asked(bug, is_long=chosen.sim)})
        missed = complaints_about(tree, asked, is_long=chosen.sim)
        for bug in bugs:
            findings = _proven(bug, tree, is_long=chosen.sim)
            for finding in findings:
                _tell(bug.name, finding)
            unproven = [f for f in findings if f.verdict is not Verdict.CAUGHT]
            missed += [f"{bug.name}: {f.who}: {f.verdict.value}" for f in unproven]
    for miss in missed:
        sys.stdout.write(f"NOT AS IT MUST BE: {miss}\n")
    sys.stdout.write(f"{len(bugs)} bugs planted, {len(missed)} times not as it must be\n")
    return 1 if missed else 0


def _asked(bug: Bug, *, is_long: bool) -> tuple[str, ...]:
    return bug.tests + (bug.power_tests if is_long else ())


def _proven(bug: Bug, tree: Path, *, is_long: bool) -> list[Finding]:
    try:
        return prove(bug, tree, is_long=is_long)
    except DoesNotApply as error:
        return [Finding("nobody", Verdict.SURVIVED, str(error))]


def _tell(name: str, finding: Finding) -> None:
    verdict = finding.verdict.value
    sys.stdout.write(f"{name:32}  {verdict:8}  {finding.who}\n{'':44}{finding.how[:120]}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
