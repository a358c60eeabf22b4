"""Where a bug on a socket ends: with that socket, and with nobody who called it.

Whatever enters a socket comes from somebody whom its bugs do not concern: the transport, the
governor's turn, a commit that many wait for, a push to thousands, a timer. So each such entry
is *guarded*: what it raises is logged once, and the socket ends, told 1011 where it still can be.
"""

import functools
import logging
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

log: Final = logging.getLogger("edge.stream")

SAID_OF_BUGS: Final = "a socket met a bug, and is closed"


class Failing(Protocol):
    """One socket, or a part of it."""

    def fail(self) -> None:
        """End at once: nothing is known of what the bug has left behind. Again: nothing."""
        ...

    def abort(self) -> None:
        """Cut the connection: not even that was possible."""
        ...


_Part = TypeVar("_Part", bound=Failing)
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def guarded(
    entry: Callable[Concatenate[_Part, _Given], _Found],
) -> Callable[Concatenate[_Part, _Given], _Found | None]:
    """Have *entry* raise nothing: a bug in it ends its socket, and it returns ``None``."""

    @functools.wraps(entry)
    def enter(part: _Part, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Found | None:
        try:
            return entry(part, *args, **kwargs)
        except Exception:  # the supervisor of a socket, which has no task to be supervised
            log.exception(SAID_OF_BUGS)
            _end(part)
            return None

    return enter


def _end(part: Failing) -> None:
    try:
        part.fail()
    except Exception:  # as above
        log.exception("a socket could not be closed after a bug, and is cut")
        part.abort()
