"""The front door: ``POST /v1/events`` as plain ASGI, where a :class:`Reject` becomes HTTP.

Request in, verdicts out, and only after every sync they hang on. The head is judged before the
body is asked for; everything from the token to the spool is one call of
:func:`edge.core.admit.admit` without an ``await``.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.types import Receive, Scope, Send

from edge.core import record
from edge.core.admit import House, Interrupted, RawRequest, admit, give_up_refused, greet
from edge.core.answer import Refused
from edge.core.authenticate import UnknownKey, keys_unavailable
from edge.core.authorise import authorise_request
from edge.core.decode import Shape
from edge.core.instant import Instant
from edge.core.limit import QuotaState
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.core.verdict import Conclusion, Verdict, conclude
from edge.shell.answers import (
    CLOSE,
    new_instance,
    quota_headers,
    send_protocol_error,
    send_reject,
    send_verdicts,
)
from edge.shell.clock import Clock
from edge.shell.head import (
    BODY_BYTES_MAX,
    ProtocolError,
    address_of,
    authorization_of,
    read_head,
)
from edge.shell.keys.refetched import Refetched
from edge.shell.life import Life
from edge.shell.meters import Meters
from edge.shell.spool.budget import FULL_RETRY_AFTER_NS
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.intake import FAILED_RETRY_AFTER_NS

log: Final = logging.getLogger("edge.http")


_FAILED: Final = Reject(Reason.LANE_FAILED, retry_after_ns=FAILED_RETRY_AFTER_NS)

LOST: Final = {
    Synced.FAILED: _FAILED,
    Synced.OVERDUE: _FAILED,
    Synced.FULL: Reject(Reason.LANE_FULL, retry_after_ns=FULL_RETRY_AFTER_NS),
}
"""What an event is told whose commit ended so."""


class Refetcher(Protocol):
    """Who can fetch an issuer's keys again."""

    async def refetch(self, issuer: str) -> Refetched:
        """Fetch once for all who ask; return whether there are others, or why not."""
        ...


async def await_keys(keys: Refetcher, unknown: UnknownKey) -> None:
    """Wait for newer keys, of which *unknown* may be one.

    Who asks too soon after others is told what they were: strangers name unknown keys at will,
    and a 503 for each would have their clients come back for ever.

    Raises:
        Reject: *unknown*, if there are no others; KEYS_UNAVAILABLE, if that cannot be known.
    """
    match await keys.refetch(unknown.issuer):
        case Refetched.CHANGED:
            return
        case Refetched.FAILED:
            raise keys_unavailable(unknown.issuer) from unknown
        case Refetched.SAME | Refetched.TOO_SOON:
            raise unknown


class Refusals(Protocol):
    """Who tells the origin of what was refused; never waits."""

    def of_events(
        self,
        refused: Sequence[Refused],
        verdicts: Sequence[Verdict],
        principal: Principal | None,
    ) -> None:
        """Tell of the events that a batch's answer lists."""
        ...

    def of_request(self, reject: Reject, principal: Principal | None) -> None:
        """Tell of a request that is refused whole."""
        ...


class Disconnected(Exception):  # noqa: N818  # nobody's error
    """The client left before its request was complete."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """``POST /v1/events``.

    Attributes:
        house: What the stages know.
        keys: Asked once when a token names a key we do not have.
        clock: Read when the head is there and again when the body is complete.
        meters: Counts outcomes.
        life: Knows whether the process is leaving.
        refusals: Told of each, event or request.
    """

    house: House
    keys: Refetcher
    clock: Clock
    meters: Meters
    life: Life
    refusals: Refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 2xx once every event counted there is on stable storage.

        When cancelled, events already handed to the spool become durable all the same.
        """
        started = self.clock.now()
        visit = _Visit(self, scope, started)
        try:
            conclusion = await visit.admit(receive)
        except Disconnected:
            return
        except ProtocolError as error:
            self._count_refused(f"http_{error.status.value}")
            await send_protocol_error(send, error, new_instance(), visit.quota_states())
        except Reject as reject:
            self._count_refused(reject.reason.code)
            await self._refuse(send, reject, new_instance(), visit)
        except Exception:  # the door is where a bug ends: one request, not the process
            instance = new_instance()
            log.exception("a stage has a bug", extra={"instance": instance})
            self._count_refused(Reason.INTERNAL_ERROR.code)
            await self._refuse(send, Reject(Reason.INTERNAL_ERROR), instance, visit)
        else:
            status, retry_after_ns = conclusion.status, conclusion.retry_after_ns
            headers = quota_headers(status, retry_after_ns, visit.quota_states())
            if self.life.is_leaving:
                headers.append(CLOSE)
            await send_verdicts(send, status, conclusion.verdicts, headers)
            duration_ns = self.clock.now().steady_ns - started.steady_ns
            self.meters.verdict_seconds.observe(duration_ns)

    async def _refuse(self, send: Send, reject: Reject, instance: str, visit: "_Visit") -> None:
        is_last = self.life.is_leaving
        self.refusals.of_request(reject, visit.principal)
        await send_reject(send, reject, instance, visit.quota_states(), is_last=is_last)

    def _count_refused(self, reason: str) -> None:
        self.meters.requests_refused[reason] += 1


class _Visit:
    """One request on its way: what is known of it so far.

    Attributes:
        principal: Who speaks, once that is known.
    """

    __slots__ = ("_door", "_judged", "_scope", "principal")

    def __init__(self, ingest: Ingest, scope: Scope, started: Instant) -> None:
        self._door = ingest
        self._scope = scope
        self._judged = started
        self.principal: Principal | None = None

    async def admit(self, receive: Receive) -> Conclusion:
        """Take the request through the house.

        Raises:
            Reject: The request is refused whole.
            ProtocolError: It breaks HTTP's rules.
            Disconnected: There will be nobody to answer.
        """
        headers = self._scope["headers"]
        if self._door.life.is_draining:
            raise Reject(Reason.DRAINING)
        authorization = authorization_of(headers)
        try:
            self.principal = greet(authorization, self._door.house, self._judged)
        except UnknownKey as unknown:
            self.principal = await self._greet_again(authorization, unknown)
        authorise_request(self.principal)
        return await self._conclude(authorization, read_head(headers), receive)

    def quota_states(self) -> list[QuotaState]:
        """Return what is left to the speaker; nothing while we do not know one."""
        if self.principal is None:
            return []
        address = address_of(self._scope)
        return self._door.house.quotas.state(self.principal, address, self._judged)

    async def _greet_again(
        self, authorization: Sequence[bytes], unknown: UnknownKey
    ) -> Principal:
        await await_keys(self._door.keys, unknown)
        return greet(authorization, self._door.house, self._door.clock.now())

    async def _conclude(
        self, authorization: Sequence[bytes], shape: Shape, receive: Receive
    ) -> Conclusion:
        meters = self._door.meters
        request = RawRequest(authorization, shape, await _read_body(receive))
        self._judged = self._door.clock.now()
        try:
            verdicts = admit(request, self._door.house, self._judged)
        except Interrupted as bug:
            meters.receive(bug.verdicts)
            meters.conclude(conclude(bug.verdicts, await lost_syncs(bug.verdicts)).tallies)
            raise
        del request  # a slow disk keeps thousands waiting, each with up to 256 KiB of body
        meters.receive(verdicts)
        conclusion = conclude(verdicts, await lost_syncs(verdicts))
        meters.conclude(conclusion.tallies)
        if refused := conclusion.verdicts.refused:
            assert self.principal is not None, "nobody else is admitted"
            give_up_refused(refused, verdicts, self.principal, self._door.house)
            self._door.refusals.of_events(refused, verdicts, self.principal)
        return conclusion


async def lost_syncs(verdicts: Sequence[Verdict]) -> Mapping[record.Commit, Reject]:
    """Wait for every sync *verdicts* hang on; return those that did not hold in time."""
    commits = {verdict.commit for verdict in verdicts}
    waits = [(each, each.synced()) for each in commits if isinstance(each, Commit)]
    lost: dict[record.Commit, Reject] = {}
    for commit, wait in waits:
        synced = await wait
        if synced is not Synced.HELD:
            lost[commit] = LOST[synced]
    return lost


async def _read_body(receive: Receive) -> bytes:
    """Read to the end.

    Raises:
        Reject: BODY_TOO_LARGE, as soon as it is.
        Disconnected: The rest will not come.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Reject(Reason.BODY_TOO_LARGE, "while reading")
        if not message.get("more_body", False):
            return body
