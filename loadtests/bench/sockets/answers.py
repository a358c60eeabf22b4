"""What must come back on a socket for what is said there; anything else ends the run.

In: the texts a server sends; out: how many of the messages are answered by them.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

import orjson

from loadtests.bench.client import QUOTED_BYTES_MAX, WrongAnswerError
from loadtests.bench.sockets.speakers import Speech


class Answers(Protocol):
    """One socket's."""

    @property
    def done(self) -> int:
        """How many messages are answered, whole and in order."""
        ...

    def take(self, text: bytes) -> None:
        """Count what *text* answers.

        Raises:
            WrongAnswerError: It answers nothing that was asked.
        """
        ...


class Echoed:
    """An echo: each message comes back, in its order.

    Attributes:
        done: As the protocol says.
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self.done = 0
        self._payloads: Final = payloads

    def take(self, text: bytes) -> None:
        """Compare.

        Raises:
            WrongAnswerError: It is not the next one.
        """
        if self.done == len(self._payloads) or text != self._payloads[self.done]:
            raise wrong(text)
        self.done += 1


class Judged:
    """A gateway: every event is durable, none refused, none missing.

    Attributes:
        done: As the protocol says.
    """

    def __init__(self, speech: Speech) -> None:
        self.done = 0
        self._before: Final = speech.first - 1
        self._events: Final = speech.events
        self._last: Final = self._before + speech.events * len(speech.payloads)
        self._settled = self._before

    def take(self, text: bytes) -> None:
        """Read verdicts.

        Raises:
            WrongAnswerError: They are none, tell of a refusal or a gap, or of events that were
                not sent.
        """
        settled = flawless(text)
        if not self._settled <= settled <= self._last:
            raise wrong(text)
        self._settled = settled
        self.done = (settled - self._before) // self._events


class Acknowledged:
    """A gateway, to one message without events: any verdicts that refuse nothing.

    Attributes:
        done: As the protocol says.
    """

    def __init__(self) -> None:
        self.done = 0

    def take(self, text: bytes) -> None:
        """Read verdicts.

        Raises:
            WrongAnswerError: They are none, or not the first.
        """
        flawless(text)
        if self.done:
            raise wrong(text)
        self.done = 1


def flawless(text: bytes) -> int:
    """Return how far verdicts say that all is settled.

    Raises:
        WrongAnswerError: They are none, or something is refused or missing.
    """
    try:
        said: Any = orjson.loads(text)
        settled: int = said["settled"]
        is_fine = (said["op"], said["highest"], said["missing"], said["refused"]) == (
            "verdicts",
            settled,
            [],
            [],
        )
    except (ValueError, LookupError, TypeError) as error:
        raise wrong(text) from error
    if not is_fine:
        raise wrong(text)
    return settled


def check_welcome(text: bytes, speech: Speech) -> None:
    """Pass the first frame of a socket on which *speech* will be said.

    Raises:
        WrongAnswerError: It is no welcome, or the session stands elsewhere.
    """
    try:
        said: Any = orjson.loads(text)
        is_fine = said["op"] == "welcome" and speech.first in (0, said["next_seq"])
    except (ValueError, LookupError, TypeError) as error:
        raise wrong(text) from error
    if not is_fine:
        raise wrong(text)


def wrong(text: bytes) -> WrongAnswerError:
    """Quote *text*."""
    return WrongAnswerError(f"{text[:QUOTED_BYTES_MAX]!r}")
