"""A connection whose turn does not come waits, is served or refused in order, and holds little."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from edge.core.instant import NS_PER_S
from edge.core.waiting_line import CALM_TURN_NS, PACE_NS_AT_FIRST, WAIT_NS_MAX
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.governed import AHEAD_MAX, SLICE_BYTES, GovernedProtocol
from edge.shell.governor import HELD_BYTES_MAX, REFUSED_AS, Governor
from edge.shell.head import BODY_BYTES_MAX
from edge.shell.meters import Meters
from edge.shell.wire import LINGER_S
from tests.fakes import FakeClock
from tests.shell.test_wire import LAST, OLD, Wire, body, start

POST: Final = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"
EXPECTING: Final = (
    b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
)

CHUNKED: Final = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG: Final = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1)


def post(name: str, content: bytes = b"{}") -> bytes:
    return POST % (name.encode(), len(content), content)


class Port:
    """A public port without sockets: connections to an application that says what it was told.

    Attributes:
        begun: Paths the application was called with, in order.
        release: Set while answers may leave.
        state: As uvicorn keeps it.
        followed_late: The path behind whose answer no turn comes for too long.
    """

    def __init__(self) -> None:
        self.clock, self.meters = FakeClock(), Meters()
        self.governor = Governor(self.clock, self.meters)
        self.begun: list[str] = []
        self.release = asyncio.Event()
        self.release.set()
        self.followed_late = ""
        self.state = ServerState()
        self._config = uvicorn.Config(
            self._echo, interface="asgi3", ws="none", lifespan="off", log_config=None
        )
        self._config.load()

    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        content, more = b"", True
        while more:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return
            content, more = content + message["body"], message["more_body"]
        await self.release.wait()
        said = scope["path"].encode() + b":" + content
        await send(start((b"content-length", b"%d" % len(said)), status=200))
        if is_followed_late := scope["path"] == self.followed_late:
            self.busy()
        await send(body(said))
        if is_followed_late:
            self.too_late()

    def connect(self, doorkeeper: Doorkeeper | None = None) -> tuple[Wire, GovernedProtocol]:
        """Open one more connection, which *doorkeeper* has let in."""
        wire = Wire()
        connection = GovernedProtocol(
            self._config, self.state, {}, governor=self.governor, doorkeeper=doorkeeper
        )
        connection.connection_made(wire)
        return wire, connection

    def busy(self, *, but: int = 0) -> None:
        """Use up what this turn may begin, or leave some."""
        for _ in range(CALM_TURN_NS // PACE_NS_AT_FIRST - but):
            self.governor.begin_beside()

    def too_late(self) -> None:
        """Let so much time pass that everybody who waits now is refused."""
        self.clock.advance(WAIT_NS_MAX / NS_PER_S)

    async def refuse(self, connection: GovernedProtocol, request: bytes) -> None:
        """Have *request*, or the beginning of one, wait in vain for its turn."""
        self.busy()
        connection.data_received(request)
        self.too_late()
        await self.rest()

    def idle(self, timeout_s: float) -> None:
        """Have connections wait no longer than that for a request."""
        self._config.timeout_keep_alive = timeout_s  # type: ignore[assignment]  # seconds, of any fineness

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so; fail if it never is."""
        for _ in range(2_000):
            if is_so():
                return
            await asyncio.sleep(0.001)
        pytest.fail("it never is so")

    async def rest(self) -> None:
        """Let everything happen that can."""
        for _ in range(10):
            await asyncio.sleep(0)
        while self.state.tasks and self.release.is_set():
            await asyncio.gather(*self.state.tasks)
            await asyncio.sleep(0)

    @property
    def refused(self) -> int:
        """As counted."""
        return self.meters.requests_refused[REFUSED_AS]


def play(story: Callable[[Port], Awaitable[None]]) -> None:
    """Have *story* played, and see that nothing is held behind it."""

    async def played() -> None:
        port = Port()
        await story(port)
        await port.rest()
        assert port.governor.waiting == 0
        assert port.governor.held_bytes == 0

    asyncio.run(played())


def statuses(wire: Wire) -> list[int]:
    return [int(part[:3]) for part in b"".join(wire.writes).split(b"HTTP/1.1 ")[1:]]


def said(wire: Wire) -> list[bytes]:
    """The bodies of the answers that are the application's."""
    answers = b"".join(wire.writes).split(b"HTTP/1.1 ")[1:]
    return [each.partition(b"\r\n\r\n")[2] for each in answers if each.startswith(b"200")]


def test_who_comes_alone_begins_at_once() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        connection.data_received(post("a"))
        assert port.governor.waiting == 0
        await port.rest()
        assert said(wire) == [b"/a:{}"]

    play(story)


def test_who_comes_while_the_turn_is_full_waits_for_the_next() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(post("a"))
        assert (port.governor.waiting, port.governor.held_bytes) == (1, len(post("a")))
        await port.rest()
        assert said(wire) == [b"/a:{}"]

    play(story)


def test_who_waits_too_long_is_refused_with_a_problem_and_stays_connected() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        await port.refuse(connection, post("a"))

        head, _, problem = b"".join(wire.writes).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nretry-after: 1\r\n" in head
        assert b"\r\ncontent-type: application/problem+json\r\n" in head
        assert b"\r\ncontent-length: %d" % len(problem) in head
        told = json.loads(problem)
        assert (told["type"], told["status"]) == ("about:blank", 503)
        assert "instance" not in told
        assert port.begun == []
        assert port.refused == 1

        connection.data_received(post("b"))
        await port.rest()
        assert not wire.is_closed
        assert said(wire) == [b"/b:{}"]

    play(story)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(LAST, id="Connection: close"),
        pytest.param(OLD, id="HTTP/1.0"),
        pytest.param(EXPECTING, id="waits for 100 Continue"),
        pytest.param(CHUNKED, id="body of unknown length"),
        pytest.param(LONG, id="body longer than any that is accepted"),
    ],
)
def test_a_refusal_ends_the_connection_where_nothing_can_follow(request_: bytes) -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        await port.refuse(connection, request_)
        assert statuses(wire) == [503]
        assert b"\r\nconnection: close\r\n" in wire.writes[0]
        assert wire.is_closed

    play(story)


def test_a_refusal_behind_a_request_ends_the_connection_where_nothing_can_follow() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.followed_late = "/a"
        connection.data_received(post("a") + EXPECTING)
        await port.rest()
        assert statuses(wire) == [200, 503]
        assert b"\r\nconnection: close\r\n" in wire.writes[-1]
        assert wire.is_closed

    play(story)


def test_the_rest_of_a_refused_body_is_not_waited_for_longer_than_a_request() -> None:
    async def story(port: Port) -> None:
        port.idle(0.01)
        wire, connection = port.connect()
        await port.refuse(connection, post("a", b"0123456789")[:-5])
        connection.data_received(b"5")  # does not make it begin anew
        await port.until(lambda: wire.is_closed)
        assert statuses(wire) == [503]

    play(story)


def test_the_rest_of_a_body_refused_behind_a_request_is_not_waited_for_longer() -> None:
    async def story(port: Port) -> None:
        port.idle(0.01)
        wire, connection = port.connect()
        port.followed_late = "/a"
        connection.data_received(post("a") + post("b", b"0123456789")[:-5])
        await port.rest()
        connection.data_received(b"5")
        await port.until(lambda: wire.is_closed)
        assert statuses(wire) == [200, 503]

    play(story)


def test_a_connection_whose_refused_body_came_in_time_stays() -> None:
    async def story(port: Port) -> None:
        port.idle(0.01)
        wire, connection = port.connect()
        request = post("a", b"0123456789")
        await port.refuse(connection, request[:-5])
        connection.data_received(request[-5:-2])
        connection.data_received(request[-2:])
        port.release.clear()
        connection.data_received(post("b"))
        await asyncio.sleep(0.05)
        assert not wire.is_closed
        port.release.set()
        await port.rest()
        assert said(wire) == [b"/b:{}"]

        await port.refuse(connection, request[:-5])
        connection.data_received(b"5")
        await port.until(lambda: wire.is_closed)
        assert statuses(wire) == [503, 200, 503]

    play(story)


def test_who_hangs_up_within_a_refused_body_is_not_waited_for() -> None:
    async def story(port: Port) -> None:
        port.idle(0.01)
        wire, connection = port.connect()
        await port.refuse(connection, post("a", b"0123456789")[:-5])
        connection.connection_lost(ConnectionResetError())
        await asyncio.sleep(0.05)
        assert not wire.is_closed  # by us

    play(story)


def test_behind_a_refused_request_the_next_begins_before_its_body_is_there() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.followed_late = "/a"
        last = post("c", b"0123456789")
        connection.data_received(post("a") + post("b") + last[:-5])
        for _ in range(10):
            await asyncio.sleep(0)
        assert port.begun == ["/a", "/c"]
        connection.data_received(last[-5:])
        await port.rest()
        assert statuses(wire) == [200, 503, 200]

    play(story)


def test_the_body_of_a_request_refused_behind_another_is_passed_over_as_it_comes() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.followed_late = "/a"
        refused = post("b", b"0123456789")
        connection.data_received(post("a") + refused[:-5])
        await port.rest()
        connection.data_received(refused[-5:])
        connection.data_received(post("c"))
        await port.rest()
        assert statuses(wire) == [200, 503, 200]
        assert port.begun == ["/a", "/c"]

    play(story)


def test_a_refusal_of_head_has_no_body() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        await port.refuse(connection, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.writes[0].endswith(b"\r\n\r\n")

    play(story)


def test_the_body_of_a_refused_request_is_passed_over_as_it_comes() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        request = post("a", bytes(1000))
        await port.refuse(connection, request[:500])
        connection.data_received(request[500:900])
        connection.data_received(request[900:] + post("b"))
        await port.rest()
        assert statuses(wire)[0] == 503
        connection.data_received(post("c"))
        await port.rest()
        assert said(wire)[-1] == b"/c:{}"
        assert "/a" not in port.begun

    play(story)


def test_a_head_that_is_not_whole_is_refused_when_it_is() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        request = post("a")
        await port.refuse(connection, request[:20])
        assert wire.writes == []
        connection.data_received(request[20:])
        await port.rest()
        assert statuses(wire) == [503]

    play(story)


def test_the_rest_of_what_has_begun_needs_no_turn() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        request = post("a", b"0123456789")
        connection.data_received(request[:-5])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        port.busy()
        connection.data_received(request[-5:])
        assert port.governor.waiting == 0
        await port.rest()
        assert said(wire) == [b"/a:0123456789"]

    play(story)


def test_the_rest_of_what_has_begun_takes_its_share_of_the_turn() -> None:
    async def story(port: Port) -> None:
        _, connection = port.connect()
        request = post("a", b"0123456789")
        connection.data_received(request[:-5])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        port.busy(but=1)
        connection.data_received(request[-5:])
        _, other = port.connect()
        other.data_received(post("b"))
        assert port.governor.waiting == 1

    play(story)


def test_a_bug_in_one_connection_ends_it_and_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(port: Port) -> None:
        ended, broken = port.connect()
        wire, connection = port.connect()
        monkeypatch.setattr(broken, "begin", lambda: 1 // 0)
        port.busy()
        broken.data_received(post("a"))
        connection.data_received(post("b"))
        await port.rest()
        assert ended.is_closed
        assert said(wire) == [b"/b:{}"]
        broken.connection_lost(None)  # as the transport does, once it is closed

    play(story)
    assert "in its turn" in caplog.text


def test_the_second_read_of_a_parked_connection_is_its_last() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        request = post("a", b"0123456789")
        port.busy()
        connection.data_received(request[:-8])
        paused = [wire.is_paused]
        connection.data_received(request[-8:-4])
        paused.append(wire.is_paused)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [*paused, wire.is_paused] == [False, True, False]
        connection.data_received(request[-4:])
        await port.rest()
        assert said(wire) == [b"/a:0123456789"]

    play(story)


def test_what_is_sent_ahead_of_an_answer_is_answered_in_order() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.release.clear()
        connection.data_received(post("a") + post("b"))
        connection.data_received(post("c") + post("d"))
        assert wire.is_paused
        await port.rest()
        assert port.begun == ["/a"]
        port.release.set()
        await port.rest()
        assert said(wire) == [b"/a:{}", b"/b:{}", b"/c:{}", b"/d:{}"]
        assert not wire.is_paused

    play(story)


def test_what_is_sent_ahead_is_refused_in_order_when_its_turn_does_not_come() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.release.clear()
        connection.data_received(post("a") + post("b") + post("c"))
        await port.rest()
        port.followed_late = "/a"
        port.release.set()
        await port.rest()
        assert statuses(wire) == [200, 503, 200]
        assert port.begun == ["/a", "/c"]
        assert said(wire) == [b"/a:{}", b"/c:{}"]

    play(story)


def test_who_was_refused_behind_a_request_has_its_next_ones_begun_in_turn() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        for _ in range(AHEAD_MAX + 1):
            port.followed_late = "/a"
            connection.data_received(post("a") + post("b"))
            await port.rest()
        assert not wire.is_closed
        assert statuses(wire) == [200, 503] * (AHEAD_MAX + 1)

        await port.refuse(connection, post("c", bytes(2 * SLICE_BYTES)))
        assert statuses(wire)[-1] == 503
        connection.data_received(post("d", bytes(2 * SLICE_BYTES)))
        await port.rest()
        assert statuses(wire)[-2:] == [503, 200]
        assert port.begun[-1] == "/d"

    play(story)


def test_a_connection_may_be_refused_often_if_one_at_a_time() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        for _ in range(2 * AHEAD_MAX):
            await port.refuse(connection, post("a"))
        assert statuses(wire) == [503] * 2 * AHEAD_MAX
        assert not wire.is_closed

    play(story)


def test_behind_the_last_that_was_refused_there_may_be_others() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.followed_late = "/a"
        connection.data_received(post("a") + post("b"))
        await port.rest()
        connection.data_received(post("c"))
        await port.rest()
        assert statuses(wire) == [200, 503, 200]
        assert said(wire) == [b"/a:{}", b"/c:{}"]

    play(story)


def test_sixteen_are_parsed_ahead_and_the_rest_is_held_as_it_came() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.release.clear()
        per_slice = SLICE_BYTES // len(post("a"))
        count = 3 * per_slice
        connection.data_received(post("a") * count)
        assert AHEAD_MAX <= len(connection.pipeline) <= per_slice
        assert connection.held
        assert wire.is_paused
        port.release.set()
        for _ in range(count):
            await port.rest()
        assert len(said(wire)) == count

    play(story)


def test_a_request_cut_in_two_by_that_bound_is_whole_again() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        long = post("z", b"x" * 2 * SLICE_BYTES)
        connection.data_received(post("a") * (AHEAD_MAX + 1) + long + post("b"))
        for _ in range(AHEAD_MAX + 3):
            await port.rest()
        answers = said(wire)
        assert len(answers) == AHEAD_MAX + 3
        assert answers[-2:] == [b"/z:" + b"x" * 2 * SLICE_BYTES, b"/b:{}"]

    play(story)


def test_who_brings_too_many_to_refuse_is_refused_the_connection() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        await port.refuse(connection, post("a") * 100)
        assert statuses(wire) == [503] * AHEAD_MAX
        assert wire.is_closed

    play(story)


def test_who_hangs_up_while_parked_is_never_begun() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(post("a"))
        connection.connection_lost(ConnectionResetError())
        assert (port.governor.waiting, port.governor.held_bytes) == (0, 0)
        await port.rest()
        assert port.begun == []
        assert wire.writes == []

    play(story)


def test_who_hangs_up_with_more_ahead_is_forgotten() -> None:
    async def story(port: Port) -> None:
        _, connection = port.connect()
        port.release.clear()
        connection.data_received(post("a"))
        connection.data_received(post("b"))
        await port.rest()
        connection.connection_lost(ConnectionResetError())
        port.release.set()
        await port.rest()
        assert port.begun == ["/a"]

    play(story)


def test_a_process_that_leaves_answers_whoever_is_parked_and_hangs_up() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(post("a"))
        connection.shutdown()
        await port.rest()
        assert said(wire) == [b"/a:{}"]
        assert wire.is_closed

    play(story)


def test_a_process_that_leaves_hangs_up_on_half_a_head_when_the_rest_does_not_come() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(post("a")[:10])
        connection.shutdown()
        assert not wire.is_closed
        await asyncio.sleep(2 * LINGER_S)
        assert wire.is_closed

    play(story)


def test_with_no_room_to_hold_it_a_request_is_refused_at_once() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.governor.hold(HELD_BYTES_MAX)
        port.busy()
        connection.data_received(post("a"))
        assert statuses(wire) == [503]
        assert port.governor.waiting == 0
        port.governor.release(HELD_BYTES_MAX)
        await port.rest()
        assert port.begun == []

    play(story)


def test_with_no_room_all_of_one_read_are_refused_however_many() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.governor.hold(HELD_BYTES_MAX)
        port.busy()
        connection.data_received(b"".join(post(f"{each}", bytes(10_000)) for each in range(20)))
        assert statuses(wire) == [503] * 20
        port.governor.release(HELD_BYTES_MAX)
        await port.rest()
        assert not wire.is_closed
        connection.data_received(post("next"))
        await port.rest()
        assert port.begun == ["/next"]

    play(story)


def test_with_room_for_the_last_of_one_read_it_lines_up_once() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        room = 3 * SLICE_BYTES
        request = post("a", bytes(room - len(post("a", bytes(10_000))) + 10_000))
        assert len(request) == room
        port.governor.hold(HELD_BYTES_MAX - room)
        port.busy()
        connection.data_received(request * 5)
        assert statuses(wire) == [503] * 4
        assert port.governor.waiting == 1
        await port.rest()
        port.governor.release(HELD_BYTES_MAX - room)
        assert statuses(wire) == [503] * 4 + [200]

    play(story)


def test_with_no_room_for_more_of_it_a_parked_request_is_refused_at_once() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(post("a")[:-1])
        port.governor.hold(room := HELD_BYTES_MAX - port.governor.held_bytes)
        connection.data_received(b"}")
        assert statuses(wire) == [503]
        port.governor.release(room)

    play(story)


def test_with_no_room_what_is_sent_ahead_ends_the_connection_behind_its_answers() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.governor.hold(HELD_BYTES_MAX)
        port.release.clear()
        connection.data_received(post("a"))
        connection.data_received(post("b"))
        assert wire.is_paused
        port.release.set()
        await port.rest()
        assert said(wire) == [b"/a:{}"]
        assert wire.is_closed
        port.governor.release(HELD_BYTES_MAX)

    play(story)


def test_with_no_room_for_the_rest_of_a_request_ahead_the_connection_ends() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.governor.hold(HELD_BYTES_MAX)
        port.release.clear()
        long = post("z", bytes(3 * SLICE_BYTES))
        connection.data_received(post("a") * (AHEAD_MAX + 1) + long)
        assert wire.is_closed
        port.release.set()
        port.governor.release(HELD_BYTES_MAX)
        connection.connection_lost(None)

    play(story)


def test_no_http_is_answered_as_ever() -> None:
    async def story(port: Port) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(b"GARBAGE\r\n\r\n" * 1000)
        await port.rest()
        assert statuses(wire) == [400]
        assert wire.is_closed

    play(story)


def test_an_idle_connection_is_closed_later_and_a_parked_one_is_not() -> None:
    async def story(port: Port) -> None:
        _, connection = port.connect()
        connection.data_received(post("a"))
        await port.rest()
        will_close = [connection.timeout_keep_alive_task is not None]
        port.busy()
        connection.data_received(post("b"))
        will_close.append(connection.timeout_keep_alive_task is not None)
        assert will_close == [True, False]
        port.clock.advance(0.5)
        await port.rest()
        assert port.begun == ["/a", "/b"]

    play(story)
