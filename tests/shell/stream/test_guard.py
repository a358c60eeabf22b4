"""A bug ends the socket it is in; whoever called hears nothing of it."""

import logging
from dataclasses import dataclass, field

import pytest

from edge.shell.stream.guard import SAID_OF_BUGS, guarded


@dataclass
class Part:
    """A part of a socket.

    Attributes:
        ends: What became of it.
        is_hopeless: It cannot even be ended.
    """

    ends: list[str] = field(default_factory=list[str])
    is_hopeless: bool = False

    @guarded
    def divide(self, by: int, *, of: int = 6) -> int:
        """Do what it is there for."""
        return of // by

    def fail(self) -> None:
        """Be ended."""
        self.ends.append("failed")
        if self.is_hopeless:
            raise ZeroDivisionError

    def abort(self) -> None:
        """Be cut."""
        self.ends.append("cut")


def test_what_has_no_bug_is_as_if_nobody_guarded_it() -> None:
    part = Part()

    assert (part.divide(3), part.divide(1, of=5), part.ends) == (2, 5, [])
    assert Part.divide.__name__ == "divide"


def test_a_bug_ends_its_part_and_is_logged_once_where_it_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    part = Part()

    with caplog.at_level(logging.ERROR, "edge.stream"):
        assert part.divide(0) is None

    assert part.ends == ["failed"]
    assert [each.getMessage() for each in caplog.records] == [SAID_OF_BUGS]
    assert "return of // by" in caplog.text


def test_what_cannot_be_ended_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    part = Part(is_hopeless=True)

    with caplog.at_level(logging.ERROR, "edge.stream"):
        assert part.divide(0) is None

    assert part.ends == ["failed", "cut"]
    assert len(caplog.records) == 2


def test_who_is_told_to_go_goes() -> None:
    class Leaving(Part):
        @guarded
        def interrupt(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Leaving().interrupt()
