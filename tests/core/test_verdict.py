"""Every event of a batch ends exactly one way, and the answer says which."""

from dataclasses import dataclass
from itertools import product

import pytest

from edge.core.answer import Refused, Verdicts
from edge.core.lane import Lane
from edge.core.record import Commit
from edge.core.reject import Reason, Reject
from edge.core.verdict import Outcome, Tally, Verdict, conclude


@dataclass(frozen=True, eq=False)
class FakeCommit:
    """A sync, known by identity."""

    lane: Lane = Lane.BET


HELD, LOST = FakeCommit(), FakeCommit()
RETRY_NS = 1_000_000_000
LOST_SYNCS: dict[Commit, Reject] = {LOST: Reject(Reason.LANE_FAILED, retry_after_ns=RETRY_NS)}


def accepted(commit: FakeCommit = HELD) -> Verdict:
    """An event that waits for *commit*."""
    return Verdict(Outcome.ACCEPTED, Lane.BET, "i", commit)


def refused(reason: Reason, retry_after_ns: int | None = None) -> Verdict:
    """An event turned away."""
    reject = Reject(reason, pointer="/data", retry_after_ns=retry_after_ns)
    return Verdict(Outcome.REFUSED, Lane.BET, "i", None, reject)


DUPLICATE = Verdict(Outcome.DUPLICATE, Lane.BET, "i")


def test_an_empty_batch_is_answered_with_zeros() -> None:
    conclusion = conclude([], LOST_SYNCS)

    assert conclusion.status == 202
    assert conclusion.verdicts == Verdicts(
        accepted=0, duplicate=0, refused=[], retry_after_ms=None
    )
    assert conclusion.tallies == {}


def test_what_waited_for_a_lost_sync_is_refused_and_may_be_sent_again() -> None:
    joined = Verdict(Outcome.DUPLICATE, Lane.BET, "j", LOST)

    conclusion = conclude([accepted(), accepted(LOST), joined, DUPLICATE], LOST_SYNCS)

    assert conclusion.verdicts == Verdicts(
        accepted=1,
        duplicate=1,
        refused=[
            Refused(index=index, id=name, code="lane_failed", pointer=None, retryable=True)
            for index, name in ((1, "i"), (2, "j"))
        ],
        retry_after_ms=RETRY_NS // 1_000_000,
    )
    assert conclusion.tallies == {
        Tally(Outcome.ACCEPTED, "none", "bet"): 1,
        Tally(Outcome.DUPLICATE, "none", "bet"): 1,
        Tally(Outcome.REFUSED, "lane_failed", "bet"): 2,
    }


def test_events_are_counted_under_named_labels() -> None:
    """Whoever exports them reads ``tally.reason``, not ``tally[1]``."""
    tallies = conclude([accepted(), DUPLICATE], LOST_SYNCS).tallies

    assert {type(tally) for tally in tallies} == {Tally}


def test_an_event_of_no_readable_lane_is_counted_under_none() -> None:
    unread = Verdict(Outcome.REFUSED, None, None, None, Reject(Reason.UNKNOWN_TYPE))

    assert conclude([unread], LOST_SYNCS).tallies == {
        Tally(Outcome.REFUSED, "unknown_type", "none"): 1
    }


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        pytest.param([accepted()], 202, id="accepted"),
        pytest.param([DUPLICATE], 202, id="duplicate"),
        pytest.param([accepted(), refused(Reason.PII_LEAK)], 202, id="anything kept"),
        pytest.param([refused(Reason.RATE_EXCEEDED)], 429, id="one shared status"),
        pytest.param([refused(Reason.LANE_FULL), accepted(LOST)], 503, id="shared 503"),
        pytest.param(
            [refused(Reason.PII_LEAK), refused(Reason.RATE_EXCEEDED)], 503, id="retry some"
        ),
        pytest.param(
            [refused(Reason.PII_LEAK), refused(Reason.SCOPE_MISSING)], 422, id="retry none"
        ),
    ],
)
def test_the_status_is_the_kindest_truth(verdicts: list[Verdict], status: int) -> None:
    assert conclude(verdicts, LOST_SYNCS).status == status


def test_the_longest_wait_is_told_rounded_up_to_a_ms() -> None:
    verdicts = [refused(Reason.RATE_EXCEEDED, 5), refused(Reason.LANE_FULL, 2_000_001)]

    conclusion = conclude(verdicts, LOST_SYNCS)

    assert conclusion.retry_after_ns == 2_000_001
    assert conclusion.verdicts.retry_after_ms == 3


def test_the_counts_add_up_whatever_happens() -> None:
    """Exhaustive: every batch of four of the six kinds of verdict."""
    kinds = [
        accepted(),
        accepted(LOST),
        DUPLICATE,
        Verdict(Outcome.DUPLICATE, Lane.GAME, "i", LOST),
        refused(Reason.PII_LEAK),
        refused(Reason.LANE_FULL),
    ]
    for batch in product(kinds, repeat=4):
        conclusion = conclude(batch, LOST_SYNCS)
        told = conclusion.verdicts
        assert told.accepted + told.duplicate + len(told.refused) == 4
        assert sum(conclusion.tallies.values()) == 4
        assert (conclusion.status == 202) == (told.accepted + told.duplicate > 0)


def shed() -> Verdict:
    """Telemetry under pressure."""
    return Verdict(Outcome.SHED, Lane.TELEMETRY, "t", None, Reject(Reason.LANE_SHED))


def test_what_is_shed_is_listed_counted_apart_and_not_to_be_sent_again() -> None:
    conclusion = conclude([shed(), accepted(), shed()], {})

    assert (conclusion.status, conclusion.retry_after_ns) == (202, None)
    assert conclusion.verdicts == Verdicts(
        accepted=1,
        duplicate=0,
        refused=[
            Refused(index=index, id="t", code="lane_shed", pointer=None, retryable=False)
            for index in (0, 2)
        ],
        retry_after_ms=None,
    )
    assert conclusion.tallies == {
        Tally(Outcome.SHED, "lane_shed", "telemetry"): 2,
        Tally(Outcome.ACCEPTED, "none", "bet"): 1,
    }


@pytest.mark.parametrize(
    "others",
    [
        [],
        [refused(Reason.SCHEMA_VIOLATION)],
        [refused(Reason.LANE_FULL, RETRY_NS), refused(Reason.SCOPE_MISSING)],
    ],
    ids=["alone", "beside a bad event", "beside a full lane"],
)
def test_anything_shed_makes_the_answer_202(others: list[Verdict]) -> None:
    conclusion = conclude([shed(), *others], {})

    assert conclusion.status == 202
    assert len(conclusion.verdicts.refused) == 1 + len(others)
