"""The bar is one line on a terminal, and nothing anywhere else."""

import io

import pytest
from typing_extensions import override

from loadtests.bar import Bar
from loadtests.tally import Tally


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every draw draws."""
    monkeypatch.setattr("loadtests.bar.DRAW_EVERY_S", 0.0)
    monkeypatch.setenv("COLUMNS", "40")


def test_elsewhere_than_on_a_terminal_nothing_is_drawn() -> None:
    out = io.StringIO()

    with Bar(out, Tally(total=10)) as bar:
        bar.draw()

    assert out.getvalue() == ""


def test_each_drawing_is_as_wide_as_the_terminal_and_the_last_is_empty() -> None:
    out = Terminal()

    with Bar(out, Tally(total=10, accepted=5)) as bar:
        bar.draw()

    _, drawn, between, wiped, end = out.getvalue().split("\r")
    assert drawn.startswith("[#####-----]  50%")
    assert len(drawn) == len(wiped) == 39
    assert (between, wiped.strip(), end) == ("", "", "")


def test_it_is_not_drawn_more_often_than_eyes_can_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("loadtests.bar.DRAW_EVERY_S", 3600.0)
    out = Terminal()
    bar = Bar(out, Tally(total=10))

    bar.draw()

    assert out.getvalue() == ""
    assert bar.elapsed_s >= 0
