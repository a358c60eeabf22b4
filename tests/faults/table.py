"""The one table of all campaigns: for people, for README, and kept between runs.

In: rows as campaigns yield them; out: Markdown. The full forms together take hours, so each
campaign's last full result lies in a file of its own, with commit, date and machine, and the
table is put together from what is there; what is not there is named, not left out.
"""

import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from loadtests.bench.report import replace_block
from tests.faults.row import Row

BEGIN: Final = "<!-- faults: make faults -->"
END: Final = "<!-- end of faults -->"

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = Path(__file__).parent / "results"
"""Of all full campaigns, beside the code they speak of: no machine has the hours for all at once."""

FAULTS_SHOWN: Final = 20  # one lost record may be a hundred faults; these tell what kind it is
_HEADS: Final = ("fault", "goal", "found", "reached")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one campaign came to.

    Attributes:
        name: Of the campaign.
        commit: Of the code it ran on; ends in ``+`` if there were changes beside it.
        date: UTC, ``YYYY-MM-DD``.
        seconds: It took.
        rows: In its order.
        machine: It ran on.
        skipped: Why there are no rows, as the campaign said it; ``""``: there are, or it said
            nothing.
    """

    name: str
    commit: str
    date: str
    seconds: float
    rows: list[Row]
    machine: str = "a machine that nobody noted"
    skipped: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether every goal was; a campaign without rows reached none."""
        return bool(self.rows) and all(row.is_reached for row in self.rows)

    def faults(self) -> list[str]:
        """Say what must not have happened, the first of it of each row."""
        return [
            f"{row.what}: {fault}" for row in self.rows for fault in row.faults[:FAULTS_SHOWN]
        ]


class Shelf:
    """Where full results lie, one file per campaign.

    Args:
        directory: Made when something is put there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, result: Result) -> None:
        """Replace what the campaign came to before."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{result.name}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))

    def get(self, name: str) -> Result | None:
        """Return what the campaign came to last; ``None``: it never ran in full.

        Raises:
            msgspec.DecodeError: The file is not what :meth:`put` wrote.
        """
        try:
            content = (self._directory / f"{name}.json").read_bytes()
        except FileNotFoundError:
            return None
        return msgspec.json.decode(content, type=Result)


def markdown(rows: Iterable[Row]) -> str:
    """Write *rows* as a Markdown table."""
    cells = [
        (row.what, row.goal, row.found, "yes" if row.is_reached else "**no**") for row in rows
    ]
    rule = ("---",) * len(_HEADS)
    return "\n".join(f"| {' | '.join(map(_cell, each))} |" for each in (_HEADS, rule, *cells))


def union(names: Sequence[str], shelf: Shelf) -> str:
    """Write the table of all campaigns in the order of *names*, and where each row comes from.

    Raises:
        msgspec.DecodeError: A file on the shelf is not a result.
    """
    results = [result for name in names if (result := shelf.get(name)) is not None]
    missing = [name for name in names if shelf.get(name) is None]
    parts: list[str] = []
    if results:
        rows = (row for result in results for row in result.rows)
        runs = (
            f"- `{each.name}`: commit {each.commit}, {each.date}, {each.seconds / 60:.0f} min, "
            f"{each.machine}"
            for each in results
        )
        parts += [markdown(rows), "\n".join(runs)]
    if missing:
        parts.append(f"Not run in full yet: {', '.join(f'`{name}`' for name in missing)}.")
    return "\n\n".join(parts)


def write_readme(readme: Path, names: Sequence[str], shelf: Shelf) -> None:
    """Put the table of all campaigns between the marks of *readme*.

    Raises:
        ValueError: They are not there.
        msgspec.DecodeError: A file on the shelf is not a result.
    """
    document = readme.read_text("utf-8")
    readme.write_text(replace_block(document, union(names, shelf), BEGIN, END), "utf-8")


def commit(repository: Path = ROOT) -> str:
    """Name the code that runs; ``unknown`` where git does not know.

    What the campaigns write themselves changes no code.
    """
    head = _git(repository, "rev-parse", "--short=8", "HEAD")
    written = (f":(exclude){path.relative_to(ROOT)}" for path in (RESULTS, ROOT / "README.md"))
    is_changed = _git(repository, "status", "--porcelain", "-uno", "--", ".", *written)
    return head + "+" * bool(is_changed) if head else "unknown"


def _git(repository: Path, *arguments: str) -> str:
    """Return what git says; nothing if it knows nothing."""
    said = subprocess.run(  # our own words
        ["git", *arguments],  # noqa: S607  # git is where PATH says
        cwd=repository,
        capture_output=True,
        check=False,
        text=True,
    )
    return said.stdout.strip() if not said.returncode else ""


def today() -> str:
    """The date in UTC."""
    return f"{datetime.now(UTC):%Y-%m-%d}"  # noqa: TID251  # printed beside a figure, for people


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
