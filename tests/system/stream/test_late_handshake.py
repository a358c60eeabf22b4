"""A handshake that a network held until its client was elsewhere: who is told 4409, and who stays.

To the gateway it is a session's newest socket, and so replaces the one its own client is on: a
ghost, unless the gateway knows by then that nobody is there any more.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncGenerator
from typing import Final

import pytest
from typing_extensions import override

from edge.demo.payloads import Visit
from loadtests.client import Address, Client, OverError
from tests.faults.proxy import Proxy
from tests.system.raw import TIMEOUT_S
from tests.system.stream.raw_socket import handshake, offer
from tests.system.stream.sockets import ask, welcomed
from tests.system.stream.test_reference_client import QUICK, Diary, Purse, say, spins
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

HEAD_END: Final = b"\r\n\r\n"


def paths(*places: tuple[str, int]) -> Address:
    """An address that leads to one place after the other, and from then on to the last."""
    left = [f"ws://{host}:{port}" for host, port in places]

    class Leading(Address):
        @property
        @override
        def uri(self) -> str:
            return Address(left.pop(0) if len(left) > 1 else left[0], self.k).uri

    return Leading(left[-1], k="k")


class DeadSpot:
    """Holds one handshake, and cuts off its client; the end of it is never passed on.

    Args:
        here: Whose gateway is behind it.

    Attributes:
        address: To connect to.
    """

    def __init__(self, here: World) -> None:
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self._here = here
        self._held: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._passed: asyncio.StreamWriter | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator["DeadSpot"]:
        """Listen; on the way out the ghost is gone."""
        async with await asyncio.start_server(self._hold, *self.address) as server:
            self.address = server.sockets[0].getsockname()
            yield self
        if self._passed is not None:
            self._passed.close()

    async def swallow(self, head: bytes) -> None:
        """Be given a handshake by a client that is killed then."""
        _, writer = await asyncio.open_connection(*self.address)
        writer.write(head)
        await self._held
        writer.close()

    async def release(self) -> None:
        """Pass it on; on return the gateway has taken it for a new socket."""
        reader, self._passed = await asyncio.open_connection(*self._here.gateway.public)
        self._passed.write(await self._held)
        assert b" 101 " in await reader.readuntil(HEAD_END)

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.set_result(await reader.readuntil(HEAD_END))
        writer.close()


async def until_sockets(client: Client, ada: Visit, count: int) -> None:
    """Wait until it was welcomed so often.

    Raises:
        OverError: It will not be.
    """
    while client.session.sockets < count:
        await say(client, spins(ada, 1))
        await asyncio.sleep(0.05)


def test_a_handshake_that_its_client_gave_up_does_not_end_it(
    door: World, ada: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the door waits for no turn, and nothing excuses a 4409: as it was before either."""
    monkeypatch.setattr("loadtests.client.OPEN_TIMEOUT_S", 0.3)
    diary = Diary()

    async def story(proxy: Proxy) -> None:
        address = paths(proxy.address, door.gateway.public)
        async with Client(address, Purse(door, ada), diary, rules=QUICK) as client:
            await say(client, spins(ada, 1))
            await client.settled()
            proxy.heal()
            while proxy.connections:  # the gateway ends what it was passed
                await say(client, spins(ada, 1))
                await asyncio.sleep(0.01)
            await say(client, spins(ada, 1))
            await client.settled()

    with Proxy(door.gateway.public) as proxy:
        proxy.up.is_held = True
        asyncio.run(story(proxy))

        assert proxy.made == 1, "it was on its way"
        assert proxy.up.passed_bytes, "it came late"
    assert {*diary.outcomes()} == {"accepted"}


def test_a_client_survives_its_ghosts_and_does_not_fight_another_client(
    door: World, ada: Visit
) -> None:
    """Planted: a life that begins excuses nothing; nor what it gave up; both excuse for ever."""
    diary = Diary()

    async def story() -> None:
        async with DeadSpot(door).open() as earlier, DeadSpot(door).open() as own:
            await earlier.swallow(handshake(offer(door, ada)))
            address = paths(own.address, door.gateway.public)
            async with Client(address, Purse(door, ada), diary, rules=QUICK) as client:
                for count, ghost in enumerate((earlier, own), 1):
                    await say(client, spins(ada, 1))
                    await client.settled()
                    assert client.session.sockets == count
                    await ghost.release()
                    await until_sockets(client, ada, count + 1)
                await say(client, spins(ada, 1))
                await client.settled()
                with welcomed(door, ada) as other:
                    with pytest.raises(OverError, match="4409"):
                        await until_sockets(client, ada, 4)
                    assert (await asyncio.to_thread(ask, other))["refused"] == []
                assert client.session.sockets == 3

    asyncio.run(story())

    assert diary.outcomes()["accepted"] >= 3


def test_whoever_has_hung_up_before_its_handshake_is_read_replaces_nobody(
    here: World,
) -> None:
    """Planted: the door does not wait a turn of the loop."""
    here.wait_until_ready()
    ada = here.visit()
    assert here.gateway.process is not None
    with welcomed(here, ada) as present:
        here.gateway.process.send_signal(signal.SIGSTOP)
        try:
            with socket.create_connection(here.gateway.public, TIMEOUT_S) as ghost:
                ghost.sendall(handshake(offer(here, ada)))
                ghost.shutdown(socket.SHUT_WR)
                here.gateway.process.send_signal(signal.SIGCONT)

                assert ghost.recv(1 << 16) == b""
        finally:
            here.gateway.process.send_signal(signal.SIGCONT)

        assert ask(present, TABLE.spin(ada, 100))["refused"] == []
        assert 'edge_stream_closed_total{code="4409"}' not in here.gateway.metrics()
