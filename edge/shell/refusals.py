"""Refusals in, samples of them out to ``edge.refused.v1``: told once, shown without a value.

Whoever integrates a game, or watches an attack, wants to see what was refused; the origin must
not get from here what validation kept out. So it gets the code, the place, and the shape
(:mod:`edge.core.excerpt`), of a sample (:mod:`edge.core.sampling`), when that works
(:mod:`edge.shell.courier`). Loop thread; never waits.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from edge.core import answer
from edge.core.event import WireEvent
from edge.core.excerpt import Excerpt, excerpt
from edge.core.instant import Instant
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.core.sampling import Sampler
from edge.core.verdict import Verdict
from edge.shell.clock import Clock
from edge.shell.courier import Mailbox
from edge.shell.letterhead import Letterhead
from origin_client.notice import Refused

_REASONS: Final[Mapping[str, Sequence[Reason]]] = {
    "door": (
        Reason.BODY_TOO_LARGE,
        Reason.UNSUPPORTED_ENCODING,
        Reason.DRAINING,
        Reason.INTERNAL_ERROR,
        Reason.ORIGIN_DENIED,
        Reason.TOO_MANY_CONNECTIONS,
    ),
    "authenticate": (
        Reason.TOKEN_MISSING,
        Reason.TOKEN_INVALID,
        Reason.TOKEN_EXPIRED,
        Reason.SESSION_REVOKED,
        Reason.KEYS_UNAVAILABLE,
    ),
    "decode": (
        Reason.BODY_MALFORMED,
        Reason.BATCH_TOO_LARGE,
        Reason.UNSUPPORTED_MEDIA_TYPE,
        Reason.SCHEMA_VIOLATION,
        Reason.UNKNOWN_TYPE,
        Reason.UNKNOWN_VERSION,
        Reason.EVENT_TOO_LARGE,
        Reason.PII_LEAK,
    ),
    "authorise": (
        Reason.SUBJECT_MISMATCH,
        Reason.AUTHORITY_DENIED,
        Reason.BRAND_MISMATCH,
        Reason.SCOPE_MISSING,
    ),
    "recall": (Reason.SEQUENCE_TOO_OLD, Reason.IDEMPOTENCY_CONFLICT),
    "limit": (Reason.CLOCK_SKEW, Reason.RATE_EXCEEDED),
    "shed": (Reason.LANE_SHED,),
    "spool": (Reason.LANE_FULL, Reason.LANE_FAILED),
}

STAGES: Final = {reason.code: stage for stage, found in _REASONS.items() for reason in found}
"""Who refuses with a code; before the first stage is the door, behind the last the spool."""

_NOTHING: Final = Excerpt(None, b"")


class Refusals:
    """Tells the origin of refusals.

    Args:
        letterhead: Who tells.
        courier: To ``edge.refused.v1``.
        clock: Both clocks.
    """

    def __init__(self, letterhead: Letterhead, courier: Mailbox, clock: Clock) -> None:
        self._letterhead = letterhead
        self._courier = courier
        self._clock = clock
        self._sampler = Sampler()

    def of_events(
        self,
        refused: Sequence[answer.Refused],
        verdicts: Sequence[Verdict],
        principal: Principal | None,
    ) -> None:
        """Tell of the events that a batch's answer lists.

        Args:
            refused: From the answer; each counts.
            verdicts: Of the whole batch, in its order.
            principal: Who sent it.
        """
        now = self._clock.now()
        for each in refused:
            if counted := self._sampler.take(each.code, now):
                assert each.index is not None, "a batch's answer lists events"
                verdict = verdicts[each.index]
                shown = _shown(verdict.evidence)
                told = Refused(
                    stage=STAGES[each.code],
                    code=each.code,
                    counted=counted,
                    speaker=principal.kind.value if principal else "",
                    lane=verdict.lane.value if verdict.lane else "",
                    type=shown.spec.type if shown.spec else "",
                    authority=shown.spec.authority.value if shown.spec else "",
                    id=each.id or "",
                    pointer=each.pointer,
                    excerpt=msgspec.Raw(shown.shape) if shown.shape else None,
                )
                self._tell(told, principal, now)

    def of_request(self, reject: Reject, principal: Principal | None) -> None:
        """Tell of a request that is refused whole.

        Args:
            reject: Why.
            principal: Who sent it; ``None``: a stranger.
        """
        code, now = reject.reason.code, self._clock.now()
        if counted := self._sampler.take(code, now):
            speaker = principal.kind.value if principal else ""
            told = Refused(stage=STAGES[code], code=code, counted=counted, speaker=speaker)
            self._tell(told, principal, now)

    def _tell(self, told: Refused, principal: Principal | None, now: Instant) -> None:
        is_player = principal is not None and principal.kind is Kind.PLAYER
        subject = principal.subject if principal is not None and is_player else ""
        self._courier.offer(self._letterhead.write(told, now, subject=subject))


def _shown(evidence: WireEvent | bytes | None) -> Excerpt:
    return _NOTHING if evidence is None else excerpt(evidence)
