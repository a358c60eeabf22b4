"""The log: one JSON object per line, whatever was logged and by whomever.

In come the records of Python's logging, ours, uvicorn's and the libraries'; out go lines of
``ts``, ``level``, ``logger``, ``event`` and the record's ``extra`` fields. Bodies, headers and
tokens are never logged by us; here the rest is made harmless. A value is cut to a bound, and
what is not printable in it (line ends, ANSI, bidirectional controls) is spelled out, so that it
stays harmless when somebody prints the decoded line.

Lines are handed to a thread that writes them, through a bounded queue: whoever reads the log may
stall, and the event loop does not notice. Lines that find the queue full are lost and counted,
and a line in their place says how many.

Repetition is counted instead of printed: of one message of one logger the first few in a window
are written, then, when the window is over, one line says how many more there were.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from traceback import format_exception
from typing import Final, TextIO, TypeAlias

import orjson
from typing_extensions import override

from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.rfc3339 import canonical
from edge.shell.clock import Clock

# Source: threats.md row 53.
VALUE_BYTES_MAX: Final = 256
# Of a line for an operator's terminal: a complaint with two long paths in it.
LINE_BYTES_MAX: Final = 1024
# The last twenty frames or so: where it broke, and what the error said.
TRACEBACK_BYTES_MAX: Final = 8192
# Our own records carry at most four; a library that passes its whole state is cut.
FIELDS_MAX: Final = 16
# A fault that repeats is understood after five lines; a minute of it costs 30 and 6 counts.
LINES_PER_WINDOW_MAX: Final = 5
WINDOW_NS: Final = 10 * NS_PER_S
# The house has about fifty messages; when as many others crowd in, the oldest count is told.
MESSAGES_MAX: Final = 256
# 2 MB of usual lines, and as many again being written: minutes of a busy house's log.
QUEUED_LINES_MAX: Final = 10_000
# A reader that is slower than this when we end has stalled.
FLUSH_S: Final = 1.0

_CUT: Final = "…"
_INTEGER_MAX: Final = (1 << 53) - 1
_OWN_ATTRIBUTES: Final = {
    *vars(logging.makeLogRecord({})),
    *("message", "asctime", "taskName"),  # set by formatters, and by Python 3.12
    "color_message",  # uvicorn's second copy of the message, with ANSI in it
}
# Nobody logs a token on purpose; an error's text may quote one.
_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_.-]*")

Message: TypeAlias = tuple[str, int, str]
"""Logger, level, and the message before its arguments."""
Field: TypeAlias = str | int | float | bool | None


def configure(stream: TextIO, clock: Clock, level: int = logging.INFO) -> None:
    """Send all logging of this process, and Python's warnings, to *stream* as JSON lines."""
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(Journal(stream, clock))
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    # One line per request costs more than the request, and would hold addresses.
    logging.getLogger("uvicorn.access").disabled = True


class Journal(logging.Handler):
    """Writes records as lines. Never raises: a log that fails must not fail a request.

    Args:
        stream: Where lines go; flushed after each.
        clock: Dates the lines and measures the windows.
    """

    def __init__(self, stream: TextIO, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._repeats = Repeats()
        self._outbox = Outbox(stream, self._lost)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*, or count it; logging holds this handler's lock meanwhile."""
        now = self._clock.now()
        message = (record.name, record.levelno, harmless(_text(record.msg)))
        self._tell(self._repeats.settle(now.steady_ns), now.unix_ns)
        if self._repeats.is_told(message, now.steady_ns):
            self._write(
                record.name, record.levelno, _event(record), _fields(record), now.unix_ns
            )

    @override
    def close(self) -> None:
        """Tell what was only counted so far; wait for the writer, up to ``FLUSH_S``."""
        self.acquire()
        try:
            self._tell(self._repeats.settle_all(), self._clock.now().unix_ns)
        finally:
            self.release()
        self.flush()
        super().close()

    @override
    def flush(self) -> None:
        """Return when every line is written, or ``FLUSH_S`` are over."""
        self._outbox.flush(FLUSH_S)

    def _tell(self, repeats: Iterator[tuple[Message, int]], unix_ns: int) -> None:
        for (logger, level, event), count in repeats:
            self._write(logger, level, event, {"repeated": count}, unix_ns)

    def _write(
        self, logger: str, level: int, event: str, fields: Mapping[str, Field], unix_ns: int
    ) -> None:
        self._outbox.put(_line(logger, level, event, fields, unix_ns))

    def _lost(self, lines: int) -> str:
        unix_ns = self._clock.now().unix_ns
        return _line("edge.journal", logging.WARNING, "lines lost", {"lines": lines}, unix_ns)


class Outbox:
    """Lines on their way to a stream that may stall; a daemon thread writes them.

    Args:
        stream: Where they go; flushed after each. Only the thread touches it.
        lost: Makes the line that says how many were lost.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], str]) -> None:
        self._stream = stream
        self._lost = lost
        self._change = threading.Condition()  # over what follows
        self._lines: list[str] = []
        self._lost_lines = 0
        self._is_writing = False
        threading.Thread(target=self._run, name="journal", daemon=True).start()

    def put(self, line: str) -> None:
        """Queue *line*, or count it as lost; never waits for the stream."""
        with self._change:
            if len(self._lines) < QUEUED_LINES_MAX:
                self._lines.append(line)
            else:
                self._lost_lines += 1
            self._change.notify_all()

    def flush(self, timeout_s: float) -> None:
        """Return when every line is written, or *timeout_s* is over."""
        with self._change:
            self._change.wait_for(lambda: not (self._lines or self._is_writing), timeout_s)

    def _run(self) -> None:
        while True:
            for line in self._take():
                try:
                    self._stream.write(line)
                    self._stream.flush()
                except (OSError, ValueError):
                    pass  # a full disk or a closed pipe: nobody is left to be told

    def _take(self) -> list[str]:
        """Wait for lines and take all of them: what was lost since came after them."""
        with self._change:
            self._is_writing = False
            self._change.notify_all()
            self._change.wait_for(lambda: self._lines)
            self._is_writing = True
            lines, self._lines = self._lines, []
            lost_lines, self._lost_lines = self._lost_lines, 0
        return [*lines, self._lost(lost_lines)] if lost_lines else lines


def _line(
    logger: str, level: int, event: str, fields: Mapping[str, Field], unix_ns: int
) -> str:
    line: dict[str, Field] = {
        "ts": canonical(unix_ns // NS_PER_MS),
        "level": logging.getLevelName(level).lower(),
        "logger": logger,
        "event": event,
    }
    for name, value in fields.items():
        line.setdefault(name, value)
    return orjson.dumps(line).decode() + "\n"


@dataclass(slots=True)
class _Window:
    ends_ns: int
    count: int = 0


class Repeats:
    """How often each message came lately; at most ``MESSAGES_MAX`` of them."""

    def __init__(self) -> None:
        self._windows: dict[Message, _Window] = {}  # in the order they end

    def is_told(self, message: Message, steady_ns: int) -> bool:
        """Count *message* once more and say whether it may be written; settle first."""
        window = self._windows.setdefault(message, _Window(steady_ns + WINDOW_NS))
        window.count += 1
        return window.count <= LINES_PER_WINDOW_MAX

    def settle(self, steady_ns: int) -> Iterator[tuple[Message, int]]:
        """Forget windows that are over, and the oldest of too many; yield what they hid."""
        while self._windows:
            message, window = next(iter(self._windows.items()))
            if window.ends_ns > steady_ns and len(self._windows) < MESSAGES_MAX:
                return
            del self._windows[message]
            if window.count > LINES_PER_WINDOW_MAX:
                yield message, window.count - LINES_PER_WINDOW_MAX

    def settle_all(self) -> Iterator[tuple[Message, int]]:
        """Forget all windows; yield what they hid."""
        last = max((window.ends_ns for window in self._windows.values()), default=0)
        return self.settle(last)


def harmless(text: str, bytes_max: int = VALUE_BYTES_MAX) -> str:
    """Return *text* in at most *bytes_max* bytes of UTF-8, all of it printable."""
    short = _TOKEN.sub("<token>", text[: bytes_max + 1])
    if not short.isprintable():
        short = "".join(
            sign if sign.isprintable() else sign.encode("unicode_escape").decode()
            for sign in short
        )
    encoded = short.encode()
    if len(encoded) <= bytes_max:
        return short
    return encoded[: bytes_max - len(_CUT.encode())].decode(errors="ignore") + _CUT


def _event(record: logging.LogRecord) -> str:
    try:
        return harmless(record.getMessage())
    except Exception:  # noqa: BLE001  # arguments that do not fit, or cannot be told
        return harmless(_text(record.msg))  # half a line beats none


def _fields(record: logging.LogRecord) -> dict[str, Field]:
    extra = [name for name in vars(record) if name not in _OWN_ATTRIBUTES][:FIELDS_MAX]
    fields = {harmless(name): _field(getattr(record, name)) for name in extra}
    if record.exc_info and record.exc_info[1]:
        fields["traceback"] = _traceback(record.exc_info[1])
    return fields


def _field(value: object) -> Field:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float(value)  # a subclass is a stranger to JSON
    if isinstance(value, int) and abs(value) <= _INTEGER_MAX:
        return int(value)
    return harmless(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # a stranger's __str__; a log must not fail a request
        return f"<{type(value).__name__}>"


def _traceback(error: BaseException) -> str:
    """Return the end of *error*'s traceback, where the cause is, its lines made harmless."""
    lines: list[str] = []
    room = TRACEBACK_BYTES_MAX - len(_CUT.encode())
    for line in map(harmless, reversed("".join(format_exception(error)).splitlines())):
        room -= len(line.encode()) + 1
        if room < 0:
            lines.append(_CUT)
            break
        lines.append(line)
    return "\n".join(reversed(lines))
