"""The handshake of ``GET /v1/stream``: an ordinary request in, an open socket or a refusal out.

A refusal is an ordinary HTTP answer, always the connection's last; nothing of WebSocket has
happened by then. On success the connection is handed over, and no task of this door is left.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence, Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from edge.core.admit import greet
from edge.core.authenticate import UnknownKey
from edge.core.authorise import authorise_stream
from edge.core.limit import QuotaState
from edge.core.ops import BEARER, SUBPROTOCOL
from edge.core.principal import Principal
from edge.core.push import TOPIC_PATTERN, TOPICS_MAX
from edge.core.reject import Reason, Reject
from edge.shell.answers import (
    new_instance,
    quota_headers,
    send_protocol_error,
    send_reject,
)
from edge.shell.head import ProtocolError, address_of, authorization_of
from edge.shell.http import await_keys
from edge.shell.life import Life
from edge.shell.stream.host import Host
from edge.shell.stream.talk import Talk
from edge.shell.upgrade import EXTENSION, check_handshake

log: Final = logging.getLogger("edge.stream")

TOPIC_LISTS_KEPT: Final = 256
"""Distinct ``topics`` parameters that sockets share one set of; clients of one game send one."""

_TOPIC: Final = re.compile(TOPIC_PATTERN).fullmatch
_NONE: Final[AbstractSet[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class StreamDoor:
    """``GET /v1/stream``.

    Attributes:
        host: What all sockets share.
        life: Knows whether the process is leaving.
        origins: Whose pages may connect.
        protocol: Makes the connection's other half, which hears and speaks for a talk.
    """

    host: Host
    life: Life
    origins: AbstractSet[str]
    protocol: Callable[[Talk], asyncio.BaseProtocol]

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one handshake; on return the connection is a socket's, or ends."""
        handshake = _Handshake(self, scope)
        try:
            await handshake.complete()
        except ProtocolError as error:
            self.host.meters.requests_refused[f"http_{error.status.value}"] += 1
            await send_protocol_error(send, error, new_instance(), handshake.quota_states())
        except Reject as reject:
            await self._refuse(send, reject, new_instance(), handshake)
        except Exception:  # the door is where a bug ends: one handshake, not the process
            instance = new_instance()
            log.exception("a handshake met a bug", extra={"instance": instance})
            await self._refuse(send, Reject(Reason.INTERNAL_ERROR), instance, handshake)

    async def _refuse(
        self, send: Send, reject: Reject, instance: str, handshake: "_Handshake"
    ) -> None:
        self.host.meters.requests_refused[reject.reason.code] += 1
        self.host.refusals.of_request(reject, handshake.principal)
        states = handshake.quota_states()
        await send_reject(send, reject, instance, states, is_last=True, is_handshake=True)


class _Handshake:
    """One handshake on its way: what is known of it so far.

    Attributes:
        principal: Who wants in, once that is known.
    """

    __slots__ = ("_address", "_door", "_scope", "principal")

    def __init__(self, door: StreamDoor, scope: Scope) -> None:
        self._door = door
        self._scope = scope
        self._address = address_of(scope)
        self.principal: Principal | None = None

    async def complete(self) -> None:
        """Let the client in.

        Raises:
            Reject: DRAINING, ORIGIN_DENIED, TOO_MANY_CONNECTIONS, SCOPE_MISSING, or as
                :func:`edge.core.admit.greet`.
            ProtocolError: 400, 414, 426, 431.
        """
        door, headers = self._door, self._scope["headers"]
        if door.life.is_draining:
            raise Reject(Reason.DRAINING)
        accept = check_handshake(self._scope)
        self._check_origin()
        authorization = _authorization(headers)
        door.host.registry.check(self._address, None)
        principal = self.principal = await self._greet(authorization)
        authorise_stream(principal)
        topics = _topics(self._scope["query_string"])
        if await self._has_waited(principal, topics):
            # A revocation that came meanwhile has found no socket of theirs to end.
            greet(authorization, door.host.house, door.host.clock.now())
        # From here to the switch nothing waits: what is free now is free then.
        if door.life.is_draining:
            raise Reject(Reason.DRAINING)
        door.host.registry.check(self._address, principal)
        talk = Talk(door.host, principal, authorization[0], self._address, topics)
        answer = [
            (b"sec-websocket-accept", accept),
            (b"sec-websocket-protocol", SUBPROTOCOL.encode()),
            *quota_headers(HTTPStatus.SWITCHING_PROTOCOLS, None, self.quota_states()),
        ]
        self._scope["extensions"][EXTENSION]["switch"](answer, door.protocol(talk))

    def quota_states(self) -> list[QuotaState]:
        """Return what is left to the speaker; nothing while we do not know one."""
        if self.principal is None:
            return []
        host = self._door.host
        return host.house.quotas.state(self.principal, self._address, host.clock.now())

    async def _has_waited(self, principal: Principal, topics: AbstractSet[str]) -> bool:
        """Wait for what has to come before the switch; return whether there was anything.

        A handshake that a network held comes with the end of its connection right behind it, and
        its client is on a newer socket by now. An end that has come is told the connection within
        a turn of the loop, and who has hung up is not let in: it replaces nobody.
        """
        host = self._door.host
        if is_reader := bool(topics and principal.reads_stream):
            await host.pushes.want()
        if is_newer := bool(host.registry.sockets_of("session", principal.session)):
            await asyncio.sleep(0)
        return is_reader or is_newer

    def _check_origin(self) -> None:
        """Let no page open a socket in a player's name that the operator does not know.

        Source: RFC 6455 §10.2; threats.md row 46. Native clients send no ``Origin``.
        """
        for name, value in self._scope["headers"]:
            if name == b"origin" and value.decode("latin-1") not in self._door.origins:
                raise Reject(Reason.ORIGIN_DENIED)

    async def _greet(self, authorization: Sequence[bytes]) -> Principal:
        host = self._door.host
        try:
            return greet(authorization, host.house, host.clock.now())
        except UnknownKey as unknown:
            await await_keys(host.keys, unknown)
        return greet(authorization, host.house, host.clock.now())


def _authorization(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Find the token, wherever it travels; written as a header's value.

    Raises:
        ProtocolError: 400: our subprotocol is not offered, or two tokens are.
        Reject: TOKEN_INVALID: a header as well.
    """
    offered = [
        each.strip()
        for name, value in headers
        if name == b"sec-websocket-protocol"
        for each in value.decode("latin-1").split(",")
    ]
    tokens = [each.removeprefix(BEARER) for each in offered if each.startswith(BEARER)]
    if SUBPROTOCOL not in offered:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, f"Offer the subprotocol {SUBPROTOCOL}.")
    if len(tokens) > 1:
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "Offer one token, once.")
    stated = authorization_of(headers)
    if tokens and stated:
        raise Reject(Reason.TOKEN_INVALID, "as a subprotocol and in the header")
    return [b"Bearer " + token.encode("latin-1") for token in tokens] or stated


def _topics(query: bytes) -> AbstractSet[str]:
    """Read what to subscribe to; whatever cannot be a topic is nobody's."""
    stated = parse_qs(query.decode("latin-1")).get("topics", ())
    return _topics_of(stated[0]) if stated else _NONE


@lru_cache(TOPIC_LISTS_KEPT)
def _topics_of(stated: str) -> AbstractSet[str]:
    names = [name for name in stated.split(",") if _TOPIC(name)]
    return frozenset(names[:TOPICS_MAX])
