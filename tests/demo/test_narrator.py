"""Plain lines in a build log, one line written over on a terminal."""

import io
import re

import pytest
from typing_extensions import override

from edge.demo.narrator import Narrator


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


def test_each_happening_is_a_line_with_its_time() -> None:
    out = io.StringIO()

    Narrator(out).tell("it begins")

    assert re.fullmatch(r" +0\.\d s  it begins\n", out.getvalue())


def test_counts_are_few_in_a_build_log() -> None:
    out = io.StringIO()
    narrator = Narrator(out)

    for n in range(50):
        narrator.count(f"{n} accepted")

    assert out.getvalue() == ""


def test_a_count_in_a_build_log_is_a_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.demo.narrator.PLAIN_COUNT_EVERY_S", 0.0)
    out = io.StringIO()

    Narrator(out).count("7 accepted")

    assert re.fullmatch(r" +0\.\d s  7 accepted\n", out.getvalue())


def test_on_a_terminal_the_count_is_written_over_and_wiped_before_a_line_that_stays() -> None:
    out = Terminal()
    narrator = Narrator(out)

    narrator.count("100 accepted")
    narrator.count("9 accepted")
    narrator.tell("done")
    narrator.show("a table")

    first, second, wipe, last = out.getvalue().split("\r")[1:]
    assert first.endswith("100 accepted")
    assert len(second) == len(first)
    assert wipe.strip() == ""
    assert last.endswith("done\na table\n")
