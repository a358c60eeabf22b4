"""Another commit's packages, and git's own words when there are none."""

import subprocess
from pathlib import Path

import pytest

from loadtests.bench.tree import NoSuchTreeError, tree_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the second changes what the first one says."""
    for package in ("edge", "origin_client"):
        (tmp_path / package).mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for said in ("then", "now"):
        for package in ("edge", "origin_client"):
            (tmp_path / package / "__init__.py").write_text(said)
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", said], check=True)
    return tmp_path


def test_the_tree_of_a_commit_is_there_meanwhile(repository: Path) -> None:
    with tree_of("HEAD~1", repository) as tree:
        assert (tree / "edge" / "__init__.py").read_text() == "then"
        assert (tree / "origin_client" / "__init__.py").read_text() == "then"

    assert not tree.exists()


@pytest.mark.parametrize("commit", ["no-such-branch", "--remote=elsewhere", ""])
def test_what_git_does_not_know_is_told_in_its_words(repository: Path, commit: str) -> None:
    with pytest.raises(NoSuchTreeError, match="fatal"), tree_of(commit, repository):
        pass
