"""A handshake ends in a socket, or in an ordinary answer that says why not."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from edge.core.limit import Quota
from edge.shell.keys.refetched import Refetched
from edge.shell.life import Life
from edge.shell.stream.door import StreamDoor
from edge.shell.stream.talk import Talk
from edge.shell.upgrade import EXTENSION
from tests.fakes import ISSUER, SESSION, player_token, service_token
from tests.fakes_directives import revocation
from tests.fakes_loop import play
from tests.fakes_talk import ADDRESS, FakeWire, Lobby

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Source: RFC 6455 §1.3."""

Headers = Mapping[str, str]


class FakeProtocol(asyncio.BaseProtocol):
    """The other half of a connection.

    Attributes:
        talk: Whose.
    """

    def __init__(self, talk: Talk) -> None:
        self.talk = talk


@dataclass
class Porch:
    """A door, those who knock, and what is behind it.

    Attributes:
        switched: Headers and protocol of each connection that became a socket.
        meanwhile: Happens at the first moment that the door leaves to others.
    """

    lobby: Lobby = field(default_factory=Lobby)
    life: Life = field(default_factory=Life)
    switched: list[tuple[list[tuple[bytes, bytes]], Any]] = field(
        default_factory=list[tuple[list[tuple[bytes, bytes]], Any]]
    )
    meanwhile: Callable[[], object] = lambda: None

    def knock(self, *changes: tuple[str, str | None], query: str = "", **more: Any) -> "Answer":
        """Ask for a socket: with *changes* to the usual headers, or without some."""
        answer = Answer()
        headers = {
            "host": "localhost",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": KEY,
            "sec-websocket-protocol": f"edge.v1.json, bearer.{player_token()}",
        }
        for name, value in changes:
            headers.pop(name, None)
            if value is not None:
                headers[name] = value
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/v1/stream",
            "raw_path": b"/v1/stream",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": (ADDRESS, 50_000),
            "extensions": {EXTENSION: {"switch": self._switch}},
        } | more
        origins = frozenset({"https://play.example"})
        door = StreamDoor(self.lobby.host, self.life, origins, FakeProtocol)

        async def knocked() -> None:
            asyncio.get_running_loop().call_soon(self.meanwhile)
            await door(scope, answer.receive, answer.send)

        play(self.lobby.clock, knocked())
        return answer

    def refusal(self, *changes: tuple[str, str | None], **more: Any) -> tuple[int, str | None]:
        """Be turned away: status and code."""
        answer = self.knock(*changes, **more)
        assert not self.switched
        assert (b"connection", b"close") in answer.headers
        return answer.status, answer.problem.get("code")

    def _switch(self, headers: list[tuple[bytes, bytes]], protocol: FakeProtocol) -> bool:
        self.switched.append((headers, protocol))
        protocol.talk.begin(FakeWire())
        return True


@dataclass
class Answer:
    """What the door said."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes = b""

    async def receive(self) -> Any:
        """Nobody asks for a body."""
        raise AssertionError

    async def send(self, message: Any) -> None:
        """Keep it."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message["body"]

    @property
    def problem(self) -> dict[str, Any]:
        """The document."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


@pytest.fixture
def porch() -> Porch:
    """A door that lets good clients in."""
    return Porch()


def test_a_good_handshake_is_a_socket(porch: Porch) -> None:
    answer = porch.knock()

    ((headers, protocol),) = porch.switched
    assert headers == [
        (b"sec-websocket-accept", ACCEPT),
        (b"sec-websocket-protocol", b"edge.v1.json"),
    ]
    assert protocol.talk.is_open
    assert protocol.talk.address == ADDRESS
    assert porch.lobby.registry.all() == [protocol.talk]
    assert answer.status == 0, "the wire has answered"
    assert porch.lobby.meters.requests_refused == {}


def test_the_token_may_come_in_the_header(porch: Porch) -> None:
    porch.knock(
        ("sec-websocket-protocol", "edge.v1.json"),
        ("authorization", f"Bearer {player_token()}"),
    )

    assert len(porch.switched) == 1


def offer(*protocols: str) -> tuple[str, str]:
    """Offer these subprotocols."""
    return "sec-websocket-protocol", ",".join(protocols)


TOKEN = f"bearer.{player_token()}"
READER = f"bearer.{player_token(scope='stream:read')}"
AUTHORIZATION = ("authorization", f"Bearer {player_token()}")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param([offer("edge.v1.json")], 401, "token_missing", id="no token"),
        pytest.param([offer("edge.v1.json", "bearer.x")], 401, "token_invalid", id="forged"),
        pytest.param(
            [offer("edge.v1.json", "bearer.")], 401, "token_missing", id="empty token"
        ),
        pytest.param([AUTHORIZATION], 401, "token_invalid", id="two places"),
        pytest.param([offer("edge.v1.json", TOKEN, READER)], 400, None, id="two tokens"),
        pytest.param([offer("edge.v2.json", TOKEN)], 400, None, id="another subprotocol"),
        pytest.param([("sec-websocket-protocol", None)], 400, None, id="none"),
        pytest.param([("sec-websocket-key", "x")], 400, None, id="bad key"),
        pytest.param([("sec-websocket-version", "12")], 426, None, id="another version"),
        pytest.param([("content-length", "2")], 400, None, id="a body"),
        pytest.param(
            [("origin", "https://evil.example")], 403, "origin_denied", id="evil page"
        ),
        pytest.param([("origin", "null")], 403, "origin_denied", id="page of nobody"),
        pytest.param(
            [("origin", "https://play.example.evil.example")], 403, "origin_denied", id="longer"
        ),
        pytest.param(
            [offer("edge.v1.json", f"bearer.{player_token(scope='profile')}")],
            403,
            "scope_missing",
            id="neither writes nor reads",
        ),
        pytest.param(
            [offer("edge.v1.json", f"bearer.{service_token()}")],
            403,
            "scope_missing",
            id="a service",
        ),
    ],
)
def test_a_handshake_that_is_not_good_is_answered_and_is_the_last(
    porch: Porch, changes: list[tuple[str, str | None]], status: int, code: str | None
) -> None:
    assert porch.refusal(*changes) == (status, code)
    assert porch.lobby.meters.requests_refused == {code or f"http_{status}": 1}
    assert [each["data"]["code"] for each in porch.lobby.told.told()] == [code] * bool(code)


def test_whose_token_is_for_no_socket_is_told_which_is(porch: Porch) -> None:
    answer = porch.knock(offer("edge.v1.json", f"bearer.{service_token()}"))

    detail = answer.problem["detail"]
    for word in ("player", "sid", "events:write", "stream:read", "HTTP"):
        assert word in detail
    assert "facts:<lane>" not in detail


def test_a_page_that_is_listed_is_let_in(porch: Porch) -> None:
    porch.knock(("origin", "https://play.example"))

    assert len(porch.switched) == 1


def test_an_ordinary_request_is_told_what_to_ask_for(porch: Porch) -> None:
    answer = porch.knock(extensions={})

    assert answer.status == 426
    assert (b"upgrade", b"websocket") in answer.headers
    assert (b"sec-websocket-version", b"13") in answer.headers


def test_a_process_that_leaves_lets_nobody_in(porch: Porch) -> None:
    porch.life.drain()

    assert porch.refusal() == (503, "draining")


def test_a_player_with_enough_sockets_is_told_to_come_back(porch: Porch) -> None:
    for n in range(3):
        sid = f"0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c{n:02d}"
        porch.knock(offer("edge.v1.json", f"bearer.{player_token(sid=sid)}"))
    porch.switched.clear()

    answer = porch.knock()

    assert (answer.status, answer.problem["code"]) == (429, "too_many_connections")
    assert answer.problem["status"] == 429
    assert dict(answer.headers)[b"retry-after"] == b"1"


def test_a_socket_begins_with_what_is_left_of_its_quota() -> None:
    porch = Porch(Lobby(quotas=(Quota(name="player", quota=2, window_s=60, burst=2),)))

    porch.knock()

    ((headers, _),) = porch.switched
    assert headers[2:] == [
        (b"ratelimit-policy", b'"player";q=2;w=60'),
        (b"ratelimit", b'"player";r=2;t=0'),
    ]


def test_whoever_is_known_learns_its_quota_with_a_refusal() -> None:
    porch = Porch(Lobby(quotas=(Quota(name="player", quota=2, window_s=60, burst=2),)))

    answer = porch.knock(offer("edge.v1.json", f"bearer.{player_token(scope='profile')}"))

    assert dict(answer.headers)[b"ratelimit"] == b'"player";r=2;t=0'


def test_a_new_key_is_fetched_once_and_the_token_tried_again(porch: Porch) -> None:
    porch.lobby.refetcher.fetched = porch.lobby.refetcher.forget()

    porch.knock()

    assert len(porch.switched) == 1
    assert porch.lobby.refetcher.asked == [ISSUER]


def test_a_key_nobody_has_is_an_invalid_token(porch: Porch) -> None:
    porch.lobby.refetcher.forget()

    assert porch.refusal() == (401, "token_invalid")


def test_a_key_that_could_not_be_looked_for_is_no_invalid_token(porch: Porch) -> None:
    porch.lobby.refetcher.forget()
    porch.lobby.refetcher.otherwise = Refetched.FAILED

    assert porch.refusal() == (503, "keys_unavailable")


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("topics=jackpot,leader.board-1_x", {"jackpot", "leader.board-1_x"}),
        ("k=7&topics=a&topics=b", {"a"}),
        ("topics=%61,B,c%20,,%00," + "x" * 65, {"a"}),
        ("topics=" + ",".join(f"t{n}" for n in range(20)), {f"t{n}" for n in range(16)}),
        ("topics=", frozenset[str]()),
        ("", frozenset[str]()),
    ],
)
def test_what_can_be_a_topic_is_subscribed_to(
    porch: Porch, query: str, topics: AbstractSet[str]
) -> None:
    porch.knock(query=query)

    assert porch.switched[0][1].talk.topics == topics
    assert porch.lobby.pushes.wanted == (1 if topics else 0)


def test_whoever_may_not_read_yet_is_let_in_and_its_topics_are_remembered(porch: Porch) -> None:
    writer = f"bearer.{player_token(scope='events:write')}"

    porch.knock(offer("edge.v1.json", writer), query="topics=jackpot")

    assert porch.switched[0][1].talk.topics == {"jackpot"}
    assert porch.lobby.pushes.wanted == 0


def test_whoever_has_waited_is_counted_and_checked_again(porch: Porch) -> None:
    porch.lobby.pushes.on_want = porch.life.drain

    assert porch.refusal(query="topics=jackpot") == (503, "draining")


def revoke(porch: Porch) -> None:
    """End the session that knocks."""
    table, now = porch.lobby.house.gate.revocations, porch.lobby.clock.now()
    table.learn([revocation(session=SESSION)], now)


def test_whoever_is_revoked_while_it_waits_is_not_let_in(porch: Porch) -> None:
    porch.lobby.pushes.on_want = lambda: revoke(porch)

    assert porch.refusal(query="topics=jackpot") == (403, "session_revoked")


def test_before_it_replaces_another_its_connection_may_tell_that_it_has_ended(
    porch: Porch,
) -> None:
    """Planted: it waits for nothing."""
    porch.knock()
    porch.switched.clear()
    porch.meanwhile = porch.life.drain

    assert porch.refusal() == (503, "draining")


def test_whoever_is_revoked_in_that_moment_is_not_let_in(porch: Porch) -> None:
    """Planted: the token is not looked at again."""
    porch.knock()
    porch.switched.clear()
    porch.meanwhile = lambda: revoke(porch)

    assert porch.refusal() == (403, "session_revoked")


def test_who_replaces_nobody_waits_for_nothing(porch: Porch) -> None:
    porch.meanwhile = porch.life.drain

    porch.knock()

    assert len(porch.switched) == 1


def test_a_bug_ends_the_handshake_and_is_told_without_its_name(
    porch: Porch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(porch.lobby.registry, "check", fail)
    with caplog.at_level(logging.CRITICAL, "edge.stream"):
        answer = porch.knock()

    assert (answer.status, answer.problem["code"]) == (500, "internal_error")
    assert b"secret" not in answer.body
