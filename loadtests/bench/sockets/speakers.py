"""Who speaks on sockets and what they say; out come handshakes and frames as bytes.

The players, sessions and spins of :mod:`loadtests.bench.scenario`, with tokens that may also
listen to pushes, as a game's may. Their ids and numbers are used once in a run.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from loadtests.bench.scenario import Casino
from loadtests.bench.sockets.frames import TEXT, client_frame, handshake
from loadtests.bench.tokens import Issuer

TOPIC: Final = "jackpots"
HELLO: Final = b'{"op":"events","events":[]}'
"""What a client says that has nothing to say."""

_SPIN: Final = "spin"


class StreamIssuer(Issuer):
    """Signs tokens that open sockets for either direction."""

    scope = "events:write stream:read"


@dataclass(frozen=True, slots=True)
class Speech:
    """What is said on one socket.

    Attributes:
        first: The number of its first event.
        events: Per message.
        payloads: Each message's text.
        wires: The same as they are sent.
    """

    first: int
    events: int
    payloads: list[bytes]
    wires: list[bytes]


def greeting() -> Speech:
    """Write the one message of a client that has nothing to say."""
    return Speech(0, 0, [HELLO], [client_frame(TEXT, HELLO)])


class Speakers(Casino):
    """The casino's players, on sockets; the first players speak, all listen."""

    def handshakes(self, count: int, *, listens: bool) -> list[bytes]:
        """Write those of the first *count* players.

        Args:
            count: Up to as many as there are.
            listens: Whether they subscribe to :data:`TOPIC`.
        """
        topics = f"&topics={TOPIC}" if listens else ""
        return [
            handshake(f"/v1/stream?k={player.subject}{topics}", player.bearer)
            for player in self._players[:count]
        ]

    def speeches(self, sockets: int, messages: int, events: int) -> list[Speech]:
        """Write *messages* of so many *events* for each of the first players."""
        return [self._speech(number, messages, events) for number in range(sockets)]

    def batches(self, count: int, events: int) -> list[tuple[int, bytes]]:
        """Write the same by HTTP: *count* requests, each with so many *events* of one player."""
        return [self._filling(_SPIN, events) for _ in range(count)]

    def _speech(self, number: int, messages: int, events: int) -> Speech:
        player, first = self._players[number], 0
        payloads: list[bytes] = []
        for _ in range(messages):
            said = self._events(player, _SPIN, events)
            first = first or said[0]["seq"]
            payloads.append(orjson.dumps({"op": "events", "events": said}))
        wires = [client_frame(TEXT, payload) for payload in payloads]
        return Speech(first, events, payloads, wires)
