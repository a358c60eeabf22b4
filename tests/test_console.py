"""Results and complaints go different ways, each complaint as one harmless line."""

import logging

import pytest

from edge.console import FAILED, fail, keep_journal, say, tell


def test_a_result_is_no_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    say("result")
    tell("progress")

    assert tuple(capsys.readouterr()) == ("result\n", "edge: progress\n")


def test_a_complaint_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail("a\nb\x1b[31m" + "x" * 5000, FAILED) == 1

    said = capsys.readouterr().err
    assert said.startswith("edge: a\\nb\\x1b[31mxxx")
    assert (said.count("\n"), len(said) < 1100) == (1, True)


def test_the_journal_is_kept_as_json_lines(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        keep_journal()
        logging.getLogger("edge.test").warning("told")
        (journal,) = root.handlers
        journal.close()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)

    assert '"event":"told"' in capfd.readouterr().err
