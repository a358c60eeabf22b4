"""Whether, when and with which token a client comes back after its socket ended: pure decisions.

In: how it ended; out: when to knock again, or that this is over. What is over for good:

=========================================  =================================================
403 at the door, 4403                      forbidden, or the session is revoked
4409                                       another client has this session now: two that fight
                                           for it would end each other for ever
400, 404, 405, 414, 426, 431; 1002, 1003,  this client does not speak as the gateway
1007, 1009                                 understands it, and would not the next time
=========================================  =================================================

Everything else passes: a spent token (401, 4401) with another one, the rest by waiting. The
wait is what the gateway asks for, and on top of that full jitter, so that those whom one
gateway lost do not come to the next one at once.

Source: design.md §4 "WebSocket", close codes; threats.md, WebSocket column.
"""

import math
from dataclasses import dataclass
from typing import Final

from loadtests.jitter import Jitter

CUT: Final = 1006  # Source: RFC 6455 §7.4.1: no close frame came

SPENT_CODE: Final = 4401
SPENT_STATUS: Final = 401
FINAL_CODES: Final = frozenset({1002, 1003, 1007, 1009, 4403, 4409})
FINAL_STATUSES: Final = frozenset({400, 403, 404, 405, 414, 426, 431})

ASKED_MAX_S: Final = 60.0  # gateways ask for seconds; who asks for more is asked again
STEADY_S: Final = 5.0  # a socket that lived so long was no failure to connect


@dataclass(frozen=True, slots=True)
class Loss:
    """How a socket ended, or why there was none.

    Attributes:
        code: The close code; :data:`CUT` if no close frame came, or there was no socket.
        status: Of the handshake's answer, if that was a refusal; 0: it was not.
        retry_after_s: What that answer asked for.
    """

    code: int = CUT
    status: int = 0
    retry_after_s: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether coming back would end the same way."""
        return self.code in FINAL_CODES or self.status in FINAL_STATUSES

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
        if loss.is_final:
            self.end, self.knock_s = loss, math.inf
            return
        if lived_s >= STEADY_S:
            self._jitter.rest()
        self.needs_new_token = loss.is_of_token
        wait_s = min(max(asked_s, loss.retry_after_s), ASKED_MAX_S)
        self.knock_s = now_s + wait_s + self._jitter.draw_s()
