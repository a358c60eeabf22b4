"""Whether, when and with which token a client comes back after its socket ended: pure decisions.

In: how it ended; out: when to knock again, or that this is over. What is over for good:

=========================================  =================================================
403 at the door, 4403                      forbidden, or the session is revoked
4409                                       another client has this session now: two that fight
                                           for it would end each other for ever; but see below
400, 404, 405, 414, 426, 431; 1002, 1003,  this client does not speak as the gateway
1007, 1009                                 understands it, and would not the next time
=========================================  =================================================

Everything else passes: a spent token (401, 4401) with another one, the rest by waiting. The
wait is what the gateway asks for, and on top of that full jitter, so that those whom one
gateway lost do not come to the next one at once.

The other client of a 4409 may be a ghost of this one. A handshake that was given up may still
be under way, held by a balancer or a dead spot; when it arrives, behind the one that succeeded,
the gateway takes it for the newest socket of the session. It does so once. So each handshake
that had no answer excuses one 4409, for as long as a network may hold it, and then this client
comes back. A life that begins excuses one as well: it does not know what the life before it had
under way when it was killed. So two real clients end each other a few times at most, and only
while they are new, or their network is bad.

Source: design.md §4 "WebSocket", close codes; threats.md, WebSocket column.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from loadtests.jitter import Jitter

CUT: Final = 1006  # Source: RFC 6455 §7.4.1: no close frame came

SPENT_CODE: Final = 4401
SPENT_STATUS: Final = 401
REPLACED_CODE: Final = 4409
FINAL_CODES: Final = frozenset({1002, 1003, 1007, 1009, 4403, REPLACED_CODE})
FINAL_STATUSES: Final = frozenset({400, 403, 404, 405, 414, 426, 431})
UNSURE_STATUSES: Final = frozenset({502, 504})  # whoever says that has had no answer itself

ASKED_MAX_S: Final = 60.0  # gateways ask for seconds; who asks for more is asked again
STEADY_S: Final = 5.0  # a socket that lived so long was no failure to connect
LATE_S: Final = 60.0  # by default balancers hold so long what they cannot pass on
LATE_MAX: Final = 3  # of one client: who is excused for ever would fight for ever


@dataclass(frozen=True, slots=True)
class Loss:
    """How a socket ended, or why there was none.

    Attributes:
        code: The close code; :data:`CUT` if no close frame came, or there was no socket.
        status: Of the handshake's answer, if that was a refusal; 0: it was not.
        retry_after_s: What that answer asked for.
        is_unanswered: A handshake was sent, or may have been, and nothing came back.
        why: What that answer said, for people.
    """

    code: int = CUT
    status: int = 0
    retry_after_s: float = 0.0
    is_unanswered: bool = False
    why: str = ""

    @property
    def words(self) -> str:
        """How it ended, for people."""
        if not self.status:
            return f"ended by close code {self.code}"
        return f"refused with status {self.status}" + (f", {self.why}" if self.why else "")

    @property
    def is_final(self) -> bool:
        """Whether coming back would end the same way, or somebody else's socket."""
        return self.code in FINAL_CODES or self.status in FINAL_STATUSES

    @property
    def leaves_ghost(self) -> bool:
        """Whether the handshake may arrive yet."""
        return self.is_unanswered or self.status in UNSURE_STATUSES

    @property
    def is_of_token(self) -> bool:
        """Whether another token helps."""
        return self.code == SPENT_CODE or self.status == SPENT_STATUS


class Reconnect:
    """When to knock next.

    Args:
        jitter: Its own; it grows with each socket that came to nothing.

    Attributes:
        knock_s: Not before, steady s; infinite: never again.
        needs_new_token: The last one is spent.
        end: Why it is over, once it is.
    """

    def __init__(self, jitter: Jitter) -> None:
        self.knock_s = -math.inf
        self.needs_new_token = False
        self.end: Loss | None = None
        self._jitter = jitter
        self._has_begun = False
        # Until when each handshake that had no answer may arrive, steady s, in that order.
        self._late_s: Final[deque[float]] = deque(maxlen=LATE_MAX)

    def knock(self, now_s: float) -> None:
        """Note that a handshake begins."""
        if not self._has_begun:
            self._has_begun = True
            self._late_s.append(now_s + LATE_S)  # of an earlier life

    def rest(self) -> None:
        """Note that the socket was good for something."""
        self._jitter.rest()

    def lose(self, loss: Loss, now_s: float, *, lived_s: float, asked_s: float) -> None:
        """Decide after the end of a socket.

        Args:
            loss: How it ended.
            now_s: When.
            lived_s: Since it was welcomed; 0: it was not.
            asked_s: What a ``bye`` asked for.
        """
        if loss.leaves_ghost:
            self._late_s.append(now_s + LATE_S)
        if loss.is_final and not self._is_excused(loss, now_s):
            self.end, self.knock_s = loss, math.inf
            return
        if lived_s >= STEADY_S:
            self._jitter.rest()
        self.needs_new_token = loss.is_of_token
        wait_s = min(max(asked_s, loss.retry_after_s), ASKED_MAX_S)
        self.knock_s = now_s + wait_s + self._jitter.draw_s()

    def _is_excused(self, loss: Loss, now_s: float) -> bool:
        """Return whether that may have been a ghost of ours; each excuses one loss."""
        while self._late_s and self._late_s[0] <= now_s:
            self._late_s.popleft()
        if loss.code != REPLACED_CODE or not self._late_s:
            return False
        self._late_s.popleft()
        return True
