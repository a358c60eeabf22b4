"""Leaves a program's other threads their turn within a long loop over records.

In goes how many records of the loop are done; every so many there is a rest, and in a thread that
is patient it lasts longer while somebody is in a hurry. Two things about Python's lock make that necessary. Who
wants it is let in after 5 ms, or when its owner gives it up: a loop over a batch of 1,500 may
last that long. And who only gives it up, as every call of Kafka's client does, has it back before
the other has woken, whose 5 ms begin anew.

Measured at a gateway with 2,000 events/s that drains 8,000/s to Kafka: of 540 commits a second
10 took longer than 5 ms, nearly all of that time waiting for the lock. With these rests it is
1.5, without a drain 0.3.
"""

import threading
import time
from typing import Final

TURN_RECORDS: Final = 64  # of 2.4 µs (read and verified) or 1.6 (handed to Kafka's client)
TURN_S: Final = 1e-4
"""A real sleep, so that whoever wakes up finds the lock free."""

HURRY_S: Final = 5e-3
"""So long at most one rest lasts for others: nine of ten verdicts take less. Who is always in a
hurry stops nobody: a loop still gets on by 12,000 records/s."""

_LOOK_S: Final = 2.5e-4


class Hurry:
    """How many are in a hurry. One thread writes, any reads."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        """Whether anybody is."""
        return self._count > 0

    def begin(self) -> None:
        """Note one more."""
        self._count += 1

    def end(self) -> None:
        """Note one less."""
        self._count -= 1


HURRY: Final = Hurry()
"""Of this process: it has one lock, and so one of these."""


class _Thread(threading.local):
    is_patient = False


_THREAD: Final = _Thread()


def be_patient(*, is_patient: bool) -> None:
    """Have this thread's rests last longer, or not, while somebody is in a hurry.

    Who cannot keep pace with what comes in must not: it would fall behind for ever.
    """
    _THREAD.is_patient = is_patient


def give_way(done: int) -> None:
    """Rest if *done* records make it time for that; called before each of them."""
    if done and done % TURN_RECORDS == 0:
        rest()


def rest() -> None:
    """Rest a moment; if patient, and while somebody is in a hurry, up to ``HURRY_S``."""
    time.sleep(TURN_S)
    rested_s = TURN_S
    while _THREAD.is_patient and HURRY and rested_s < HURRY_S:
        time.sleep(_LOOK_S)
        rested_s += _LOOK_S
