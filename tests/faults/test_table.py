"""The table of all campaigns: its Markdown, what is kept, and the command that prints it."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bench.report import machine
from tests.faults import __main__ as command
from tests.faults.__main__ import CAMPAIGNS, chosen, main
from tests.faults.row import Campaign, Row, Scale, Tell
from tests.faults.table import (
    BEGIN,
    END,
    RESULTS,
    ROOT,
    Result,
    Shelf,
    commit,
    markdown,
    union,
    write_readme,
)

GOOD = Row("a fault", "0 lost", "0 lost | all well", is_reached=True)
BAD = Row("another", "0 lost", "2 lost", is_reached=False, faults=("event 7: lost",))


def result(name: str, *rows: Row) -> Result:
    """What a campaign came to."""
    return Result(
        name=name,
        commit="0badc0de",
        date="2026-11-22",
        seconds=90,
        rows=[*rows],
        machine="3 cores of oak",
    )


def fine(scale: Scale, room: Path, tell: Tell, *, seed: int = 1) -> Iterator[Row]:
    """A campaign that reaches its goal.

    And says more.
    """
    tell(f"seed {seed}")
    assert list(room.iterdir()) == []
    (room / "left behind").touch()
    yield Row("fine", str(scale), "", is_reached=True)


def broken(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """A campaign that breaks after its first row."""
    del scale, room, tell
    yield GOOD
    raise OSError("no such disk")


def left_out(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """A campaign that says that it does not run."""
    del room
    tell(f"SKIPPED: not in {scale}")
    yield from ()


def silent(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """A campaign that does not say so."""
    del scale, room, tell
    yield from ()


def signalled(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """A campaign that is told to end, twice, and has something to put away."""
    del scale
    try:
        tell(f"room {room}")
        signal.raise_signal(signal.SIGTERM)
        yield GOOD
    finally:
        signal.raise_signal(signal.SIGHUP)
        tell("put away")


@pytest.fixture
def campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two campaigns instead of the real ones."""
    monkeypatch.setattr(command, "CAMPAIGNS", (("fine", fine), ("broken", broken)))


def test_a_cell_keeps_to_its_column() -> None:
    assert markdown([GOOD, BAD]).splitlines() == [
        "| fault | goal | found | reached |",
        "| --- | --- | --- | --- |",
        "| a fault | 0 lost | 0 lost \\| all well | yes |",
        "| another | 0 lost | 2 lost | **no** |",
    ]


def test_what_was_kept_is_what_comes_back(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "faults")
    kept = result("kills", GOOD, BAD)

    shelf.put(result("kills", BAD))
    shelf.put(kept)

    assert shelf.get("kills") == kept
    assert shelf.get("other") is None
    assert kept.faults() == ["another: event 7: lost"]
    assert not kept.is_reached
    assert not result("nothing").is_reached


def test_the_union_tells_where_each_row_comes_from_and_which_are_missing(
    tmp_path: Path,
) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(result("two", BAD))
    shelf.put(result("one", GOOD))

    told = union(["one", "two", "three"], shelf)

    assert told.index("| a fault |") < told.index("| another |")
    assert "- `one`: commit 0badc0de, 2026-11-22, 2 min, 3 cores of oak" in told
    assert machine() not in told
    assert told.endswith("Not run in full yet: `three`.")


def test_the_block_in_the_readme_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_readme(readme, ["one"], Shelf(tmp_path))

    told = readme.read_text()
    assert told.startswith(f"before\n{BEGIN}\n")
    assert told.endswith(f"\n{END}\nafter\n")
    assert "old" not in told


@pytest.mark.usefixtures("campaigns")
def test_a_campaign_that_breaks_misses_its_goal_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--full", "--results", str(tmp_path)])

    said = capsys.readouterr().out
    assert code == 1
    assert "| broken | runs to its end | broke: OSError | **no** |" in said
    assert "| fine | Scale.FULL |  | yes |" in said
    kept = Shelf(tmp_path).get("fine")
    assert kept is not None
    assert kept.is_reached


@pytest.mark.usefixtures("campaigns")
def test_reached_goals_are_exit_code_0_and_a_short_run_is_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--only", "fine", "--seed", "77", "--results", str(tmp_path)])

    assert code == 0
    assert "seed 77" in capsys.readouterr().out
    assert Shelf(tmp_path).get("fine") is None


@pytest.mark.parametrize(
    ("campaign", "scale", "code"),
    [
        (left_out, "--short", 0),
        (left_out, "--full", 1),
        (silent, "--short", 1),
        (silent, "--full", 1),
    ],
)
def test_a_short_form_without_rows_is_no_miss_if_it_says_so(
    campaign: Campaign,
    scale: str,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "CAMPAIGNS", (("fine", fine), ("other", campaign)))

    assert main([scale, "--results", str(tmp_path)]) == code

    words = "NOT RUN, AND IN NO VERDICT: other: SKIPPED: not in Scale.SHORT"
    assert (words in capsys.readouterr().out) is (code == 0)


def test_a_signal_to_end_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "CAMPAIGNS", (("signalled", signalled),))
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended:
        main([])

    said = capsys.readouterr().out
    assert ended.value.code == 128 + signal.SIGTERM
    assert "put away" in said
    assert not Path(said.partition("room ")[2].split()[0]).exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.usefixtures("campaigns")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "kils"], "no campaign kils; there are fine, broken"),
        (["--only", "broken", "--seed", "1"], "this campaign takes no seed"),
        (["--readme", "/dev/null"], "no lines"),
    ],
)
def test_what_cannot_be_asked_for_is_said_before_anything_runs(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().out
    assert words in said
    assert "begins" not in said


@pytest.mark.usefixtures("campaigns")
def test_the_list_shows_each_campaigns_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "fine         A campaign that reaches its goal.",
        "broken       A campaign that breaks after its first row.",
    ]


@pytest.mark.parametrize(("name", "campaign"), CAMPAIGNS, ids=[name for name, _ in CAMPAIGNS])
def test_each_campaign_has_a_story_of_its_own_short_form(name: str, campaign: Campaign) -> None:
    imports = f"from {campaign.__module__} import"
    stories = [path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py")]
    own = [story for story in stories if imports in story]

    assert any("Scale.SHORT" in story for story in own)
    assert chosen(name) == [(name, campaign)]
    assert campaign.__doc__


def test_what_campaigns_write_is_no_change_of_the_code(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=n", "-c", "user.email=e")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True)  # noqa: S607  # our own words, PATH's git

    assert commit(tmp_path) == "unknown"
    results = tmp_path / RESULTS.relative_to(ROOT)
    results.mkdir(parents=True)
    code, kept = tmp_path / "code", results / "a.json"
    for path in (code, kept, tmp_path / "README.md"):
        path.write_text("1")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "all")
    clean = commit(tmp_path)
    kept.write_text("2")

    assert commit(tmp_path) == clean
    code.write_text("2")
    assert commit(tmp_path) == f"{clean}+"
