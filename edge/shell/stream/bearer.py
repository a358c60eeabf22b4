"""Who bears the token a socket lives by: looked at again while it lives, replaced by a newer one.

In comes a token, as the client sends it or as it was stored; out goes one call for the newest that
the client has sent: it counts, or it does not and the socket ends, or that cannot be said now. Of
the stored one only bad news goes out.

A token may name a key that its issuer has begun to use since, or does not use any more; then the
keys are fetched, at most as often as the keyring does that for all, and the token is tried once
more. A newer token is only called invalid when they were fetched: when they could not be, or not
again so soon, it cannot be judged now, and the one before it goes on counting. One fetch is
under way for a socket at most; of several tokens that wait for it, the last one is tried.
"""

import asyncio
import logging
from typing import Final, Protocol

from edge.core.admit import greet
from edge.core.authenticate import UnknownKey, keys_unavailable
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.shell.keys.refetched import UNTOLD, Refetched
from edge.shell.stream.host import Host

log: Final = logging.getLogger("edge.stream")


class Holder(Protocol):
    """Whose token it is."""

    @property
    def is_open(self) -> bool:
        """Whether it has not begun to end."""
        ...

    def learn(self, found: Principal | Reject, *, is_new: bool) -> None:
        """Learn whom a newer token speaks for, or why one is refused."""
        ...


class Bearer:
    """One socket's token.

    Args:
        host: What it is judged with.
        holder: Told of what becomes of it.
        authorization: The token, as the value of a header.
    """

    __slots__ = ("_authorization", "_holder", "_host", "_is_fetching", "_untried")

    def __init__(self, host: Host, holder: Holder, authorization: bytes) -> None:
        self._host: Final = host
        self._holder: Final = holder
        self._authorization = authorization
        self._untried: tuple[bytes, bool] | None = None  # waits for newer keys; whether new
        self._is_fetching = False

    def look(self) -> None:
        """Look whether the token is still believed; 1.3 µs when it is."""
        if self._untried is None:
            self._try(self._authorization, is_new=False)

    def replace(self, token: str) -> None:
        """Take a newer token, from the client."""
        self._try(b"Bearer " + token.encode(), is_new=True)

    def _try(
        self,
        authorization: bytes,
        *,
        is_new: bool,
        fetched: tuple[str, Refetched] | None = None,
    ) -> None:
        try:
            principal = greet([authorization], self._host.house, self._host.clock.now())
        except Reject as reject:
            if not isinstance(reject, UnknownKey):
                self._holder.learn(reject, is_new=is_new)
            elif fetched is None or fetched[0] != reject.issuer:  # that was for another token
                self._untried = authorization, is_new
                self._fetch_soon(reject.issuer)
            elif is_new and fetched[1] in UNTOLD:
                self._holder.learn(keys_unavailable(reject.issuer), is_new=True)
            else:  # a key that was there and is gone was dropped: no fetch need tell
                self._holder.learn(reject, is_new=is_new)
        else:
            if is_new:
                self._authorization = authorization
                self._untried = None
                self._holder.learn(principal, is_new=True)

    def _fetch_soon(self, issuer: str) -> None:
        if not self._is_fetching:
            self._is_fetching = True
            task = asyncio.get_running_loop().create_task(self._fetch(issuer))
            self._host.fetches.add(task)
            task.add_done_callback(self._host.fetches.discard)

    async def _fetch(self, issuer: str) -> None:
        """Try what waits once more, whether newer keys have come or not; a bug ends the socket.

        Cancelled, which only the end of the loop does, it leaves the token untried.
        """
        try:
            fetched = issuer, await self._host.keys.refetch(issuer)
            self._is_fetching = False
            untried, self._untried = self._untried, None
            if untried is not None and self._holder.is_open:
                authorization, is_new = untried
                self._try(authorization, is_new=is_new, fetched=fetched)
        except Exception:  # the supervisor of this task: nobody else waits for it
            log.exception("a token could not be tried for a bug, which ends its socket")
            if self._holder.is_open:
                self._holder.learn(Reject(Reason.INTERNAL_ERROR), is_new=False)
