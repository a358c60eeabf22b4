"""Dead letters, and a copy of each at ``edge.dead.v1`` when that works.

The lane's ``dead/`` is their home; the copy tells those who read the origin that something is
missing there, and under which (``edgespool``, ``edgeseq``).
"""

from collections.abc import Sequence
from typing import Protocol

from edge.core.lane import Lane
from edge.shell.clock import Clock
from edge.shell.courier import Mailbox
from edge.shell.dead import Letter, QuarantinedLetter, RefusedLetter
from edge.shell.letterhead import Letterhead
from origin_client.notice import Quarantined
from origin_client.origin import Outgoing

_BASE64_CHARS = 4  # for each three bytes, padding included; Source: RFC 4648 §4


class Home(Protocol):
    """Where letters are durable."""

    def bury(self, letters: Sequence[Letter]) -> None:
        """Return when all *letters* are durable.

        Raises:
            DeadUnavailable: None of them is.
        """
        ...


class CopiedLetters:
    """The dead letters of one lane, as its forwarder sees them.

    Args:
        lane: Which.
        home: Where they go first.
        courier: To ``edge.dead.v1``.
        letterhead: Who tells of frames that have no envelope.
        clock: Both clocks.
    """

    def __init__(
        self, lane: Lane, home: Home, courier: Mailbox, letterhead: Letterhead, clock: Clock
    ) -> None:
        self._lane = lane
        self._home = home
        self._courier = courier
        self._letterhead = letterhead
        self._clock = clock

    def bury(self, letters: Sequence[Letter]) -> None:
        """Return when all *letters* are durable at home; their copies are on their way.

        Raises:
            DeadUnavailable: None of them is, and none was copied.
        """
        self._home.bury(letters)
        for letter in letters:
            match letter:
                case RefusedLetter(key=key, value=value):
                    self._courier.offer(Outgoing(key.encode(), bytes(value)))
                case QuarantinedLetter():
                    told = self._told(letter)
                    self._courier.offer(self._letterhead.write(told, self._clock.now()))
                case _:
                    raise AssertionError(f"an unknown kind of letter: {letter!r}")

    def _told(self, letter: QuarantinedLetter) -> Quarantined:
        padding = letter.raw.count("=", -2)
        return Quarantined(
            lane=self._lane.value,
            segment=letter.segment,
            offset=letter.offset,
            size_bytes=len(letter.raw) // _BASE64_CHARS * 3 - padding,
            reason=letter.reason,
        )
