"""Each planted bug still applies to the code of today, and who must notice is there.

That they notice is proven by ``make mutants``.
"""

import ast
from pathlib import Path

import pytest

from tests.mutants.bugs import BUGS, Bug, Plant
from tests.mutants.proof import ROOT, DoesNotApply, planted

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
