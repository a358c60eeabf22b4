"""Plants one bug at a time in a copy of the tree, and sees who notices.

In: bugs. Out: a finding for each. The tree itself is never touched. A test notices a bug if it
fails in its own words: by an assertion, or because what it expects to be raised is not. An
error of import, of setup, or of another kind is no proof.
"""

import enum
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.bugs import Bug, Plant

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = 2000
"""So soon the simulation must have found a bug that it models."""

_TEST_TIMEOUT_S: Final = 300
_SIM_TIMEOUT_S: Final = 1800
_REPLAY: Final = "tests.sim --seed "
_OWN_WORDS: Final = ("AssertionError", "assert ", "Failed: DID NOT RAISE")


class DoesNotApply(Exception):  # noqa: N818  # a finding: the code has changed
    """What a plant replaces is not there, or not once."""


class Verdict(enum.Enum):
    """What somebody made of a planted bug."""

    CAUGHT = "caught"
    SURVIVED = "SURVIVED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Finding:
    """Who noticed a bug, or did not.

    Attributes:
        who: The test, or the simulation.
        verdict: Whether it failed as it must; it may be skipped where the machine lacks what it
            needs.
        how: In its words, or why that is no proof.
    """

    who: str
    verdict: Verdict
    how: str


def copy_tree(target: Path) -> None:
    """Copy what is in the repository, or would be with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607  # the one on the path
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def planted(plants: Sequence[Plant], root: Path = ROOT) -> dict[str, str]:
    """Return the text of each file, with *plants* in it.

    Raises:
        DoesNotApply: One does not.
    """
    texts: dict[str, str] = {}
    for plant in plants:
        text = texts.get(plant.file) or (root / plant.file).read_text("utf-8")
        if text.count(plant.old) != 1:
            count = text.count(plant.old)
            raise DoesNotApply(f"{plant.file}: {plant.old!r} occurs {count} times, not once")
        texts[plant.file] = text.replace(plant.old, plant.new)
    return texts


def prove(bug: Bug, tree: Path, *, is_long: bool) -> list[Finding]:
    """Plant *bug* in a copy of the tree, ask everybody who must notice, and remove it.

    Args:
        bug: Which.
        tree: The copy; as it was on return.
        is_long: Ask the simulation, and those who cut the power, too.

    Raises:
        DoesNotApply: The code has changed.
    """
    texts = planted(bug.plants, tree)
    sound = {file: (tree / file).read_text("utf-8") for file in texts}
    try:
        for file, text in texts.items():
            (tree / file).write_text(text, "utf-8")
        findings = [_asked(test, tree) for test in bug.tests]
        if is_long:
            findings += [_asked(test, tree) for test in bug.power_tests]
            findings.append(_simulated(tree))
    finally:
        for file, text in sound.items():
            (tree / file).write_text(text, "utf-8")
    return findings


def complaints_about(tree: Path, tests: Sequence[str], *, is_long: bool) -> list[str]:
    """Ask everybody where no bug is planted; return who complains all the same, or is skipped."""
    results = _run(tree, tests)
    complaints = [f"no bug: {test}" for test in tests if results.get(test) != ""]
    if is_long and _simulated(tree).verdict is Verdict.CAUGHT:
        complaints.append("no bug: the simulation")
    return complaints


def _asked(test: str, tree: Path) -> Finding:
    told = _run(tree, [test]).get(test, "did not run")
    if told.startswith("skipped"):
        return Finding(test, Verdict.SKIPPED, told)
    is_caught = told.startswith(_OWN_WORDS)
    return Finding(test, Verdict.CAUGHT if is_caught else Verdict.SURVIVED, told or "passed")


def _run(tree: Path, tests: Sequence[str]) -> dict[str, str]:
    """Run tests in *tree*; return for each that ran what it complained of, or ``""``."""
    report = tree / "mutants.xml"
    report.unlink(missing_ok=True)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    subprocess.run(
        [sys.executable, "-B", *command],
        cwd=tree,
        capture_output=True,
        check=False,
        timeout=_TEST_TIMEOUT_S,
    )
    if not report.exists():
        return {}
    told: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # our own pytest wrote it
        name = case.get("name", "").partition("[")[0]
        node = f"{case.get('classname', '').replace('.', '/')}.py::{name}"
        verdicts = [*case.iter("failure"), *case.iter("error"), *case.iter("skipped")]
        words = [f"{_kind(v)}{v.get('message', '')}" for v in verdicts]
        told[node] = told.get(node) or " ".join(words).partition("\n")[0]
    return told


def _kind(verdict: ET.Element) -> str:
    return "" if verdict.tag == "failure" else f"{verdict.tag}: "


def _simulated(tree: Path) -> Finding:
    done = subprocess.run(
        [sys.executable, "-B", "-m", "tests.sim", "--seeds", str(SEEDS)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SIM_TIMEOUT_S,
    )
    last = (done.stdout.strip().splitlines() or [""])[-1]
    is_caught = done.returncode == 1 and _REPLAY in last  # not because it cannot be imported
    verdict = Verdict.CAUGHT if is_caught else Verdict.SURVIVED
    return Finding(f"simulation, {SEEDS:,} seeds", verdict, last or done.stderr[-100:])
