"""An origin with a mood for each topic, and a key server with one, in a process of its own.

In: one JSON object per line on standard input, ``{"<topic>": <mood>, …}``, topics not named keep
theirs; out: one line with its port, then one per order, when it is in force: how many requests have
met each topic's mood since that was named, ``{"<topic>": <requests>, …}``, so an order that names
nothing asks. Moods: ``take``, which nobody counts; ``hang``, it reads and never answers until the
mood changes; ``refuse``, 503; a number, seconds before it takes. A GET, for the key set, has the
topic ``keys``. It keeps nothing of what it takes, so it may run for hours.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Mapping
from typing import IO, Final, TypeAlias, cast

Mood: TypeAlias = str | float

KEYS: Final = "keys"
END_TIMEOUT_S: Final = 5.0
_HANG_POLL_S: Final = 0.05


class Moods:
    """What is done with a topic now.

    Args:
        keys: The key set it serves.

    Attributes:
        met: Requests that were not just taken, by topic, since its mood was named.
    """

    def __init__(self, keys: bytes) -> None:
        self.met: Counter[str] = Counter()
        self._keys = keys
        self._moods: dict[str, Mood] = {}

    def change(self, moods: Mapping[str, Mood]) -> None:
        """Let some topics have others."""
        self._moods.update(moods)
        for topic in moods:
            self.met[topic] = 0

    async def converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one connection's requests, each as its topic's mood is then.

        Cancelled, as by the end of the process only, it hangs up: asyncio calls a connection
        that ended by that a failed one, and says so.
        """
        endings = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*endings):
            while True:
                topic = await _read(reader)
                status, body = await self._answer(topic)
                head = f"HTTP/1.1 {status} As Told\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        writer.close()

    async def _answer(self, topic: str) -> tuple[int, bytes]:
        self.met[topic] += self._moods.get(topic, "take") != "take"
        while (mood := self._moods.get(topic, "take")) == "hang":  # noqa: ASYNC110  # rarely
            await asyncio.sleep(_HANG_POLL_S)
        if mood == "refuse":
            return 503, b""
        if isinstance(mood, int | float):
            await asyncio.sleep(mood)
        return 200, self._keys if topic == KEYS else b""


async def _read(reader: asyncio.StreamReader) -> str:
    """Read one request; return its topic."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return KEYS if method == "GET" else target.rpartition("/")[2]


async def serve(keys: bytes, orders: IO[str], results: IO[str]) -> None:
    """Serve until there are no more *orders*."""
    moods = Moods(keys)
    server = await asyncio.start_server(moods.converse, "127.0.0.1", 0, limit=1 << 21)
    _say(results, server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    while order := await loop.run_in_executor(None, orders.readline):
        moods.change(json.loads(order))
        _say(results, moods.met)
    server.close()


def _say(results: IO[str], word: object) -> None:
    results.write(json.dumps(word) + "\n")
    results.flush()


class MoodyOrigin:
    """The process, as who gives it moods sees it.

    Attributes:
        url: The origin's.
        keys_url: The key server's.
    """

    def __init__(self, port: int, orders: IO[str], results: IO[str]) -> None:
        self.url = f"http://127.0.0.1:{port}/in"
        self.keys_url = f"http://127.0.0.1:{port}/jwks.json"
        self._orders = orders
        self._results = results

    def become(self, **moods: Mood) -> None:
        """Return when lanes, and :data:`KEYS`, have these *moods*."""
        self._order({_topic(name): mood for name, mood in moods.items()})

    def met(self, name: str) -> int:
        """Return how many requests its mood has met since it has that."""
        return self._order({}).get(_topic(name), 0)

    def _order(self, moods: Mapping[str, Mood]) -> dict[str, int]:
        _say(self._orders, moods)
        line = self._results.readline()
        assert line, "the origin ended"
        return cast("dict[str, int]", json.loads(line))


def _topic(name: str) -> str:
    return name if name == KEYS else f"edge.{name}.v1"


@contextlib.contextmanager
def moody_origin(keys: bytes) -> Generator[MoodyOrigin]:
    """Run an origin that takes everything, and serves *keys*, until it is told otherwise."""
    process = subprocess.Popen(  # our own interpreter and module
        [sys.executable, "-m", __name__, keys.decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield MoodyOrigin(int(process.stdout.readline()), process.stdin, process.stdout)
    finally:
        process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1].encode(), sys.stdin, sys.stdout))
