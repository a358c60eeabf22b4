"""What became of each event of a batch, and the one answer they add up to.

:func:`edge.core.admit.admit` hands out verdicts at once; some of them hang on a commit whose
sync is still to come. :func:`conclude` is called when every commit has spoken.
"""

import enum
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import msgspec

from edge.core.answer import Refused, Verdicts
from edge.core.event import WireEvent
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.record import Commit
from edge.core.reject import Reason, Reject

UNREAD: Final = "none"
"""The lane of an event that could not be read that far; a metric label."""


class Outcome(enum.StrEnum):
    """Exactly one for every event; the metric label."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    SHED = "shed"


_ACCEPTED: Final = Outcome.ACCEPTED
_DUPLICATE: Final = Outcome.DUPLICATE
_REFUSED: Final = Outcome.REFUSED


class Verdict(msgspec.Struct, frozen=True):
    """What was decided of one event when its request was read.

    Attributes:
        outcome: Final if *commit* is ``None``, or once that commit is known to hold.
        lane: Where it belongs; ``None`` when it could not be read that far.
        id: The event's id, echoed only if it is valid.
        commit: The sync that accepted and duplicate events wait for; ``None`` for a refusal,
            for what is shed, and for the duplicate of an event that is on disk already.
        reject: Why it was refused or shed.
        evidence: What was refused or shed: the typed event if it decoded, else its own bytes;
            ``None`` unless it was.
        seq: The event's number in the session of its sender; ``None`` if it states no valid
            one, or one of another session.
    """

    outcome: Outcome
    lane: Lane | None
    id: str | None
    commit: Commit | None = None
    reject: Reject | None = None
    evidence: WireEvent | bytes | None = None
    seq: int | None = None


class Tally(NamedTuple):
    """The labels one event is counted under.

    Attributes:
        outcome: What became of it.
        reason: The code of what was refused or shed, else ``none``.
        lane: The lane's name, or ``none`` for an event that could not be read that far.
    """

    outcome: Outcome
    reason: str
    lane: str


class Conclusion(msgspec.Struct, frozen=True):
    """The answer to one batch.

    Attributes:
        status: The HTTP status.
        verdicts: The body.
        retry_after_ns: Of the refused events that may be sent again, the longest wait.
        tallies: How many events ended how; they add up to the batch.
    """

    status: int
    verdicts: Verdicts
    retry_after_ns: int | None
    tallies: Mapping[Tally, int]


def conclude(verdicts: Sequence[Verdict], lost: Mapping[Commit, Reject]) -> Conclusion:
    """Add up a batch.

    Args:
        verdicts: In the batch's order.
        lost: The commits whose sync failed, or did not end in time, and the refusal of what
            waited for them.
    """
    if len(verdicts) == 1 and not lost and verdicts[0].reject is None:
        return _kept(verdicts[0].outcome, verdicts[0].lane)
    # Plain tuples, made into a Tally once per label: 12 µs per 50 events instead of 24.
    tallies: dict[tuple[Outcome, str, str], int] = {}
    refusals: list[tuple[int, Verdict, Reject]] = []
    kept = {_ACCEPTED: 0, _DUPLICATE: 0}
    for index, verdict in enumerate(verdicts):
        commit = verdict.commit
        reject = verdict.reject if commit is None else lost.get(commit)
        lane = verdict.lane or UNREAD
        if reject is None:
            kept[verdict.outcome] += 1
            tally = (verdict.outcome, "none", lane)
        else:
            refusals.append((index, verdict, reject))
            outcome = verdict.outcome if commit is None else _REFUSED
            tally = (outcome, reject.reason.code, lane)
        tallies[tally] = tallies.get(tally, 0) + 1
    retry_after_ns = max((r.retry_after_ns or 0 for _, _, r in refusals), default=0) or None
    return Conclusion(
        status=_status(len(verdicts), [reject.reason for _, _, reject in refusals]),
        verdicts=Verdicts(
            accepted=kept[_ACCEPTED],
            duplicate=kept[_DUPLICATE],
            refused=[_refused(*refusal) for refusal in refusals],
            retry_after_ms=None if retry_after_ns is None else -(-retry_after_ns // NS_PER_MS),
        ),
        retry_after_ns=retry_after_ns,
        tallies={Tally(*labels): events for labels, events in tallies.items()},
    )


@cache
def _kept(outcome: Outcome, lane: Lane | None) -> Conclusion:
    """Conclude a batch of one event that stands, the commonest: 0.2 µs instead of 2.2."""
    return Conclusion(
        status=202,
        verdicts=Verdicts(
            accepted=int(outcome is _ACCEPTED),
            duplicate=int(outcome is _DUPLICATE),
            refused=[],
            retry_after_ms=None,
        ),
        retry_after_ns=None,
        tallies={Tally(outcome, "none", lane or UNREAD): 1},
    )


def _refused(index: int, verdict: Verdict, reject: Reject) -> Refused:
    return Refused(
        index=index,
        id=verdict.id,
        code=reject.reason.code,
        pointer=reject.pointer,
        retryable=reject.reason.is_retryable,
    )


def _status(events: int, refused: Sequence[Reason]) -> int:
    """Anything kept or shed, or nothing asked: 202. Else what all share, or the kindest truth."""
    statuses = {reason.status for reason in refused}
    if len(refused) < events or not events or Reason.LANE_SHED.status in statuses:
        return 202
    if len(statuses) == 1:
        return statuses.pop()
    return 503 if any(reason.is_retryable for reason in refused) else 422
