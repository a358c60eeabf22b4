"""Notices what production's supervisors catch: in a simulation a bug must not be survived."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

from typing_extensions import override

from tests.sim.disk import Violation


class Bugs(logging.Handler):
    """Keeps what is logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._found: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, if it is a bug's."""
        if record.exc_info:
            self._found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")

    def check(self) -> None:
        """Complain.

        Raises:
            Violation: There was one.
        """
        if self._found:
            raise Violation(self._found[0])


@contextmanager
def noticed() -> Generator[Bugs]:
    """Listen to all of production meanwhile."""
    log, bugs = logging.getLogger("edge"), Bugs()
    is_propagated, log.propagate = log.propagate, False
    log.addHandler(bugs)
    try:
        yield bugs
    finally:
        log.removeHandler(bugs)
        log.propagate = is_propagated
