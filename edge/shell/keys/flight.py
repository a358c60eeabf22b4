"""A blocking call comes in; its outcome goes out, without the loop or the process held by it.

An executor's threads are joined when the interpreter ends, so one call that never returns would
keep the process for ever. Here each call has a daemon thread of its own, and at most one runs:
while one hangs no other is begun, so a source that hangs costs one thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """At most one call under way.

    Args:
        name: Of its threads.
    """

    def __init__(self, name: str = "keys") -> None:
        self._name = name
        self._latest: Future[T] | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, or raise what it raises; it runs in a daemon thread.

        Cancelled, it leaves the call running; what comes of it is forgotten.

        Raises:
            TimeoutError: An earlier call, cancelled, has not returned to this day.
        """
        if self._latest is not None and not self._latest.done():
            raise TimeoutError
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on it cannot be cancelled
        Thread(target=_fly, args=(call, future), name=self._name, daemon=True).start()
        self._latest = future
        return await asyncio.wrap_future(future)


def _fly(call: Callable[[], T], future: Future[T]) -> None:
    try:
        outcome = call()
    except Exception as error:  # noqa: BLE001  # raised where it is waited for
        future.set_exception(error)
    else:
        future.set_result(outcome)
