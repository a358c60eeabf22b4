"""How far each session is: a session's key in, what its client may be told of its numbers out.

A number is *done*, for the client, when it is durable, given up, or below the window. Never
while it is pending: a mark goes when its number becomes pending, and a number that falls below
the window while it is pending is told as missing all the same. For a client takes "done" for
"durable", and the commit may still fail.
"""

from collections.abc import Sequence

from edge.core.progress import Progress, progress_of
from edge.core.session_window import WINDOW, Sessions


class Headway:
    """What clients are told of their sessions.

    Args:
        sessions: What is remembered of their numbers.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._given_up = sessions.given_up

    def refuse(self, session: int, told: Sequence[tuple[int, bool]]) -> None:
        """Learn which numbers' events were refused, or shed, and that their sender is told.

        A number refused for good is given up; it stays free. One that is to come again is
        waited for again.

        Args:
            session: As in footprints.
            told: Numbers, and whether the same event may be sent again. What is told of a
                number twice, and differently, leaves it waited for.
        """
        highest, _, pending = self._sessions.remembered(session)
        for seq, is_retryable in told:
            # A pending number is borne by a later event.
            if not is_retryable and (pending is None or seq not in pending.commits):
                self._given_up.add(session, seq, highest)
        for seq, is_retryable in told:
            if is_retryable:
                self._given_up.drop(session, seq)

    def progress(self, session: int) -> Progress:
        """Say how far a session is; an unknown one is at 0."""
        highest, missing, pending = self._sessions.remembered(session)
        stragglers = () if pending is None else pending.below(highest - WINDOW)
        if session in self._given_up.marks:
            highest, missing = self._given_up.fill(session, highest, missing)
        if not missing and not stragglers:
            return Progress(highest, highest)
        return progress_of(highest, missing, stragglers)

    def next_seq(self, session: int) -> int:
        """Return the number above all of the session's that are remembered, however they fared.

        A client that lost its memory goes on there; a number given up would be done before its
        event was judged.
        """
        highest, _, pending = self._sessions.remembered(session)
        pending_max = 0 if pending is None else pending.highest()
        return max(highest, pending_max, self._given_up.top(session)) + 1

    def is_known(self, session: int) -> bool:
        """Whether anything of the session's is durable or pending, as far as is remembered."""
        highest, _, pending = self._sessions.remembered(session)
        return bool(highest) or pending is not None
