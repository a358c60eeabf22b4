"""The log is one JSON object per line, harmless to print, and cannot be flooded."""

import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st
from typing_extensions import override

from edge.core.instant import NS_PER_S
from edge.shell import journal as journal_module
from edge.shell.journal import (
    FIELDS_MAX,
    LINES_PER_WINDOW_MAX,
    MESSAGES_MAX,
    TRACEBACK_BYTES_MAX,
    VALUE_BYTES_MAX,
    WINDOW_NS,
    Journal,
    Repeats,
    configure,
    harmless,
)
from tests.fakes import FakeClock, later


class BrokenPipe(io.StringIO):
    """Nobody reads any more."""

    @override
    def write(self, _: str, /) -> int:
        raise BrokenPipeError


class Stalled(io.StringIO):
    """Takes nothing until it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.stalled = threading.Event()
        self.goes_on = threading.Event()

    @override
    def write(self, text: str, /) -> int:
        self.stalled.set()
        self.goes_on.wait(30)
        return super().write(text)


class Desk:
    """A logger that writes into a journal of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(0.1239))
        self.stream = io.StringIO()
        self.journal = Journal(self.stream, self.clock)
        self.log = logging.Logger("edge.test")  # noqa: LOG001  # apart from pytest's root
        self.log.addHandler(self.journal)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What was written, decoded."""
        self.journal.flush()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def _root() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    logging.getLogger("uvicorn.access").disabled = False


def test_a_record_is_one_line_of_json(desk: Desk) -> None:
    desk.log.warning("lane %s is full", "bet", extra={"lane": "bet", "bytes": 7, "ok": None})

    assert desk.lines == [
        {
            "ts": "2026-02-14T20:00:00.123Z",
            "level": "warning",
            "logger": "edge.test",
            "event": "lane bet is full",
            "lane": "bet",
            "bytes": 7,
            "ok": None,
        }
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("a\r\nb", r"a\r\nb", id="line ends"),
        pytest.param("\x1b[31mred", r"\x1b[31mred", id="ANSI"),
        pytest.param("\x9b31m", r"\x9b31m", id="C1"),
        pytest.param("a\u202eb", r"a\u202eb", id="bidirectional override"),
        pytest.param("a\u2028b", r"a\u2028b", id="line separator"),
        pytest.param("a\x00b\x7f", r"a\x00b\x7f", id="NUL and DEL"),
        pytest.param("\udc80", r"\udc80", id="lone surrogate"),
        pytest.param("é中", "é中", id="letters stay"),
        pytest.param("x" * 256, "x" * 256, id="just fits"),
        pytest.param("x" * 257, "x" * 253 + "…", id="too long"),
        pytest.param("é" * 200, "é" * 126 + "…", id="too long in bytes"),
        pytest.param("bad eyJhbGciOi.J9.sig-x here", "bad <token> here", id="a token"),
        pytest.param(2**60, "1152921504606846976", id="a number JSON readers round"),
        pytest.param(True, True, id="a truth"),
        pytest.param(1.5, 1.5, id="a fraction"),
        pytest.param({"a": "\n"}, r"{'a': '\n'}", id="anything else"),
    ],
)
def test_a_value_is_harmless_and_bounded(desk: Desk, value: object, written: object) -> None:
    desk.log.info("value", extra={"value": value})

    assert desk.lines[0]["value"] == written


@given(st.text() | st.text(min_size=VALUE_BYTES_MAX // 4))
def test_any_text_becomes_printable_within_its_bound(text: str) -> None:
    written = harmless(text)

    assert written.isprintable()
    assert len(written.encode()) <= VALUE_BYTES_MAX


def test_a_message_is_bounded_like_a_value(desk: Desk) -> None:
    desk.log.info("got %s", "\n" * 500)

    (line,) = desk.lines
    assert line["event"].startswith(r"got \n\n")
    assert len(line["event"].encode()) <= VALUE_BYTES_MAX


def test_fields_are_bounded_and_never_hide_our_own(desk: Desk) -> None:
    extra = {"ts": "forged", "event": "forged"} | {f"f{n}": n for n in range(FIELDS_MAX)}

    desk.log.info("many", extra=extra)

    (line,) = desk.lines
    assert line["event"] == "many"
    assert line["ts"] != "forged"
    assert len(line) == 4 + FIELDS_MAX - 2


@pytest.mark.parametrize("arguments", [(), (1, 2), ("x",)], ids=["few", "many", "wrong type"])
def test_arguments_that_do_not_fit_cost_only_themselves(
    desk: Desk, arguments: tuple[object, ...]
) -> None:
    record = desk.log.makeRecord("edge.test", logging.INFO, "", 0, "n=%d", arguments, None)

    desk.journal.handle(record)

    assert desk.lines[0]["event"] == "n=%d"


def test_a_bug_carries_its_traceback_in_one_field(desk: Desk) -> None:
    try:
        int("\x1b[31mno")
    except ValueError:
        desk.log.exception("a bug")

    (line,) = desk.lines
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert line["traceback"].endswith(
        r"ValueError: invalid literal for int() with base 10: '\x1b[31mno'"
    )


def test_a_long_traceback_keeps_its_end(desk: Desk) -> None:
    error = ValueError("the cause")
    error.add_note("\n".join(f"note {n}" for n in range(5000)))

    desk.log.error("a bug", exc_info=error)

    (line,) = desk.lines
    assert line["traceback"].startswith("…\nnote ")
    assert line["traceback"].endswith("note 4999")
    assert len(line["traceback"].encode()) <= TRACEBACK_BYTES_MAX


def test_a_traceback_asked_for_without_an_error_is_left_out(desk: Desk) -> None:
    desk.log.info("calm", exc_info=(None, None, None))

    assert "traceback" not in desk.lines[0]


def test_repetition_is_counted_instead_of_printed(desk: Desk) -> None:
    for number in range(1000):
        desk.log.warning("broken frame %d", number)
    desk.log.error("something else")
    desk.clock.advance(WINDOW_NS / NS_PER_S)
    desk.log.info("later")

    events = [(line["event"], line.get("repeated")) for line in desk.lines]
    assert events == [
        *((f"broken frame {n}", None) for n in range(LINES_PER_WINDOW_MAX)),
        ("something else", None),
        ("broken frame %d", 1000 - LINES_PER_WINDOW_MAX),
        ("later", None),
    ]


def test_a_message_is_printed_again_in_the_next_window(desk: Desk) -> None:
    for _ in range(LINES_PER_WINDOW_MAX):
        desk.log.warning("again")
    desk.clock.advance(WINDOW_NS / NS_PER_S)
    desk.log.warning("again")

    assert [line["event"] for line in desk.lines] == ["again"] * (LINES_PER_WINDOW_MAX + 1)


def test_closing_tells_what_was_counted(desk: Desk) -> None:
    for _ in range(LINES_PER_WINDOW_MAX + 2):
        desk.log.warning("again")
    desk.journal.close()
    desk.journal.close()

    assert desk.lines[-1]["repeated"] == 2
    assert len(desk.lines) == LINES_PER_WINDOW_MAX + 1


def test_the_table_of_messages_is_bounded_and_loses_no_count() -> None:
    repeats = Repeats()
    told = hidden = 0
    for number in range(MESSAGES_MAX * 2):
        message = ("edge", logging.INFO, str(number))
        hidden += sum(count for _, count in repeats.settle(number))
        told += sum(repeats.is_told(message, number) for _ in range(9))
    hidden += sum(count for _, count in repeats.settle_all())

    assert told + hidden == MESSAGES_MAX * 2 * 9
    assert told == MESSAGES_MAX * 2 * LINES_PER_WINDOW_MAX


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4 * NS_PER_S)), max_size=200))
def test_every_message_is_told_or_counted_once(steps: list[tuple[int, int]]) -> None:
    repeats = Repeats()
    steady_ns = told = hidden = 0
    for number, pause_ns in steps:
        steady_ns += pause_ns
        hidden += sum(count for _, count in repeats.settle(steady_ns))
        told += repeats.is_told(("edge", logging.INFO, str(number)), steady_ns)

    assert told + hidden + sum(count for _, count in repeats.settle_all()) == len(steps)


def test_a_log_nobody_reads_stops_nobody() -> None:
    log = logging.Logger("edge.test")  # noqa: LOG001  # apart from pytest's root
    journal = Journal(BrokenPipe(), FakeClock())
    log.addHandler(journal)

    log.error("into the void")
    journal.close()


def test_a_reader_that_stalls_stops_nobody_and_is_told_what_it_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "QUEUED_LINES_MAX", 3)
    stream, log = Stalled(), logging.Logger("edge.test")  # noqa: LOG001  # apart from pytest's root
    journal = Journal(stream, FakeClock())
    log.addHandler(journal)
    log.info("first")
    assert stream.stalled.wait(10)

    for number in range(10):
        log.info(f"line {number}")  # noqa: G004  # each its own message, or it would be counted
    stream.goes_on.set()
    journal.flush()
    log.info("last")
    journal.close()

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("lines")) for line in lines] == [
        ("first", None),
        *((f"line {number}", None) for number in range(3)),
        ("lines lost", 7),
        ("last", None),
    ]


def test_closing_waits_for_a_stalled_reader_no_longer_than_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "FLUSH_S", 0.01)
    stream, log = Stalled(), logging.Logger("edge.test")  # noqa: LOG001  # apart from pytest's root
    journal = Journal(stream, FakeClock())
    log.addHandler(journal)
    log.info("first")

    journal.close()

    assert stream.getvalue() == ""
    stream.goes_on.set()


def test_a_process_whose_log_nobody_reads_ends() -> None:
    script = (
        "import logging, sys; from edge.shell.journal import configure;"
        "from edge.shell.clock import SystemClock;"
        "configure(open(2, 'w', closefd=False), SystemClock());"
        "[logging.warning(f'{n} ' + 200 * 'x') for n in range(2_000)]"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.wait(30) == 0
        process.communicate()


class Untellable:
    """Not even its name."""

    @override
    def __str__(self) -> str:
        raise RuntimeError("planted")


def test_what_cannot_be_told_is_named_by_its_type(desk: Desk) -> None:
    desk.log.info("field", extra={"value": Untellable()})
    desk.log.info("argument %s", Untellable())
    desk.log.info(Untellable())

    assert desk.lines[0]["value"] == "<Untellable>"
    assert [line["event"] for line in desk.lines] == ["field", "argument %s", "<Untellable>"]


class Ratio(float):
    """A float that JSON's writer does not know."""


def test_a_strange_number_is_a_number(desk: Desk) -> None:
    desk.log.info("value", extra={"value": Ratio(0.5)})

    assert desk.lines[0]["value"] == 0.5


@pytest.mark.usefixtures("_root")
def test_everything_is_routed_through_the_journal_once() -> None:
    stream = io.StringIO()
    old = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(old)
    logging.getLogger("uvicorn.error").addHandler(old)

    configure(stream, FakeClock())
    logging.getLogger("uvicorn.error").info(
        "Started", extra={"color_message": "\x1b[1mStarted"}
    )
    logging.getLogger("uvicorn.access").info("GET /v1/events")
    logging.getLogger("asyncio").warning("slow")
    logging.getLogger("edge").debug("quiet")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)

    logging.getLogger().handlers[-1].flush()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["logger"], len(line)) for line in lines] == [
        ("uvicorn.error", 4),
        ("asyncio", 4),
        ("py.warnings", 4),
    ]
