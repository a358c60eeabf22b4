"""Each planted bug still applies to the code of today, and who must notice is there.

That they notice is proven by ``make mutants``.
"""

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutants import __main__ as command
from tests.mutants.bugs import BUGS, Bug, Plant
from tests.mutants.proof import ROOT, DoesNotApply, Finding, Verdict, planted

NAMES = (
    "answer before sync",
    "delete before cursor",
    "skip directory fsync",
    "fsync retried",
    "batch dropped on one bad record",
    "cursor ahead of acknowledgement",
    "recall entry before data",
    "wrong CRC span",
    "newest-first drain",
    "sync of the wrong file",
    "forward before sync",
    "aborted tail forwarded",
    "recovered tail not synced",
)


def test_these_are_the_thirteen() -> None:
    assert tuple(bug.name for bug in BUGS) == NAMES


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_is_still_python(bug: Bug) -> None:
    for file, text in planted(bug.plants).items():
        assert text != (ROOT / file).read_text("utf-8")
        ast.parse(text)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_who_must_notice_is_there(bug: Bug) -> None:
    assert bug.tests
    for node in (*bug.tests, *bug.power_tests):
        file, _, name = node.partition("::")
        tree = ast.parse((ROOT / file).read_text("utf-8"))
        assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, node


@pytest.mark.parametrize("text", ["", "twice twice"], ids=["never", "twice"])
def test_a_plant_that_fits_not_once_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.py").write_text(text)

    with pytest.raises(DoesNotApply, match=r"a\.py: 'twice' occurs . times"):
        planted([Plant("a.py", "twice", "")], tmp_path)


@pytest.mark.parametrize(
    ("verdict", "code"), [(Verdict.CAUGHT, 0), (Verdict.SURVIVED, 1), (Verdict.SKIPPED, 1)]
)
def test_a_bug_that_nobody_caught_is_a_failure_and_all_are_asked_without_it(
    verdict: Verdict, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def complaints_about(tree: Path, tests: Sequence[str], *, is_long: bool) -> list[str]:
        assert is_long
        asked.extend(tests)
        return [str(each) for each in tree.iterdir()]

    def prove(bug: Bug, tree: Path, *, is_long: bool) -> list[Finding]:
        assert is_long
        return [Finding(bug.name, verdict, tree.name)]

    monkeypatch.setattr(command, "copy_tree", Path.exists)
    monkeypatch.setattr(command, "complaints_about", complaints_about)
    monkeypatch.setattr(command, "prove", prove)

    assert command.main(["--sim", "--only", BUGS[0].name]) == code
    assert {*asked} == {*BUGS[0].tests, *BUGS[0].power_tests}
