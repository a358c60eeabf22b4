"""Asks the broker something the way the gateway does, and sees whether and when it answers.

In: a stage whose broker, or the way to it, is hurt just now; out: one of its faults if the harm
has no effect. What is asked is Kafka's first question of any client, on a connection of its own
through the same proxy; nobody need log in for it, and it changes nothing.

Source: Kafka protocol guide, "ApiVersions Request (Version: 0)" behind "Request Header v1".
"""

import contextlib
import socket
import struct
import time
from collections.abc import Generator
from typing import Final, Self

from tests.faults.broker_stage import Stage
from tests.faults.proxy import Address

API_VERSIONS: Final = 18
ASKED: Final = 3  # a busy machine may be late by itself once, hardly each time
ANSWER_TIMEOUT_S: Final = 30.0  # milliseconds, where nothing is wrong


class Question:
    """One question on a connection of its own, which has been asked; a context manager.

    Args:
        address: Of the broker, or of a proxy to it.
        padding_bytes: How much larger than needed it is made, by the asker's name.

    Raises:
        OSError: Nobody can be asked there.
    """

    def __init__(self, address: Address, padding_bytes: int = 0) -> None:
        name = b"x" * padding_bytes
        asked = struct.pack(">hhih", API_VERSIONS, 0, 1, len(name)) + name
        self._socket = socket.create_connection(address, ANSWER_TIMEOUT_S)
        self._socket.sendall(struct.pack(">i", len(asked)) + asked)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._socket.close()

    def is_answered(self, wait_s: float) -> bool:
        """Return whether an answer has begun to come by then.

        Raises:
            OSError: The connection was ended instead.
        """
        self._socket.settimeout(wait_s)
        try:
            answer = self._socket.recv(1)
        except (TimeoutError, BlockingIOError):  # the latter for no time at all
            return False
        if not answer:
            raise ConnectionResetError
        return True


def check_slow(stage: Stage, least_s: float, padding_bytes: int = 0) -> None:
    """See that no question of that size is answered sooner than this: or nothing is slow."""
    try:
        took_s = min(_answered_in_s(stage, padding_bytes) for _ in range(ASKED))
    except OSError as error:
        stage.faults.append(f"nobody can be asked whether it is slow: {error}")
        return
    if took_s < least_s:
        stage.faults.append(f"an answer takes {took_s:.3f} s and not {least_s}: no fault")


@contextlib.contextmanager
def check_mute(stage: Stage) -> Generator[None]:
    """See that what is asked as this begins has no answer when it ends: or nothing is frozen."""
    with Question(stage.proxy.address) as question:
        yield
        try:
            is_answered = question.is_answered(0)
        except OSError as error:
            stage.faults.append(f"nobody can be asked whether it is frozen: {error}")
            return
    if is_answered:
        stage.faults.append("who should be frozen answers: no fault")


def _answered_in_s(stage: Stage, padding_bytes: int) -> float:
    """Ask, and time the answer.

    Raises:
        OSError: There is none.
    """
    began_s = time.monotonic()
    with Question(stage.proxy.address, padding_bytes) as question:
        if not question.is_answered(ANSWER_TIMEOUT_S):
            raise TimeoutError
    return time.monotonic() - began_s
