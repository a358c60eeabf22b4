"""The code of another commit, beside ours: ``make bench BASE=<commit>``."""

import contextlib
import io
import subprocess
import tempfile
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

from loadtests.bench.subjects import ROOT

PACKAGES: Final = ("edge", "origin_client")


class NoSuchTreeError(Exception):
    """git does not know the commit, or not these packages in it; the message is git's."""


@contextlib.contextmanager
def tree_of(commit: str, repository: Path = ROOT) -> Generator[Path, None, None]:
    """Unpack the packages of *commit* into a directory that is there meanwhile.

    By ``git archive``, which leaves nothing behind in the repository, as a worktree would.

    Raises:
        NoSuchTreeError: There is none.
    """
    archive = subprocess.run(  # noqa: S603  # git with fixed options and one revision
        ["git", "archive", "--format=zip", "--end-of-options", commit, *PACKAGES],  # noqa: S607  # git is where PATH says
        cwd=repository,
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        raise NoSuchTreeError(archive.stderr.decode(errors="replace").strip())
    with tempfile.TemporaryDirectory(prefix="edge-base-") as directory:
        with zipfile.ZipFile(io.BytesIO(archive.stdout)) as packed:
            packed.extractall(directory)
        yield Path(directory)
