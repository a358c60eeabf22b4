"""HTTP/1.1 as a client speaks it: one request out, one answer in, over one connection.

Only what the gateway's contract needs: a length with every answer, no chunks. The standard
library's client would need a thread per speaker.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# A gateway's answer waits for a sync, at most ``spool.sync_timeout_s`` (5 s); twice that is
# certainly silence.
ANSWER_TIMEOUT_S: Final = 10.0


class NoAnswerError(Exception):
    """The connection ended, or never was, before the answer: the request's fate is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: Lower-case names; the last of several wins.
        body: Whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Traffic:
    """How many requests are between their first byte and their answer, everybody's together."""

    def __init__(self) -> None:
        self._in_flight = 0
        self._changed = asyncio.Condition()

    @property
    def in_flight(self) -> int:
        """Requests without an answer, now."""
        return self._in_flight

    async def moved(self, step: int) -> None:
        """Count a request that begins (+1) or ends (-1)."""
        async with self._changed:
            self._in_flight += step
            self._changed.notify_all()

    async def reaches(self, count: int) -> None:
        """Return when at least *count* requests are in flight."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight >= count)

    async def ebbs(self) -> None:
        """Return when the next request ends."""
        async with self._changed:
            before = self._in_flight
            await self._changed.wait_for(lambda: self._in_flight < before)


class Connection:
    """One keep-alive connection, opened when first needed and again after it was lost."""

    def __init__(self, address: tuple[str, int], traffic: Traffic) -> None:
        self._address = address
        self._traffic = traffic
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and wait for its answer. Cancelled, it leaves the line closed.

        Raises:
            NoAnswerError: There is none, and none will come on this connection.
        """
        await self._traffic.moved(+1)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = await self._open()
                writer.write(_request(self._address, target, headers, body))
                await writer.drain()
                answer = await _answer(reader)
        except (OSError, EOFError, ValueError, TimeoutError) as silence:
            await self.close()
            raise NoAnswerError(str(silence)) from silence
        except asyncio.CancelledError:
            self._abort()
            raise
        finally:
            await self._traffic.moved(-1)
        if answer.headers.get("connection", "").lower() == "close":
            await self.close()
        return answer

    async def close(self) -> None:
        """Hang up, if there is somebody at the other end."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _abort(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # A peer that hung up while we were idle is noticed here, before anything is written.
        if self._streams is not None and self._streams[0].at_eof():
            await self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        return self._streams


def _request(
    address: tuple[str, int], target: str, headers: Mapping[str, str], body: bytes
) -> bytes:
    """Write one POST."""
    lines = [f"POST {target} HTTP/1.1", f"host: {address[0]}:{address[1]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """Read one answer.

    Raises:
        EOFError: The peer hung up in the middle.
        ValueError: What came is not an answer.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    _version, status, *_phrase = first.split(" ", 2)
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(status), headers, body)
