"""Refusal codes are promises: this is the list that clients were given."""

import pytest

from edge.core.reject import Reason, Reject


def test_a_code_is_the_members_name_in_lower_case() -> None:
    assert {reason.code: reason.name for reason in Reason} == {
        reason.name.lower(): reason.name for reason in Reason
    }


def test_only_what_may_pass_unchanged_is_retryable() -> None:
    assert {reason for reason in Reason if reason.is_retryable} == {
        Reason.RATE_EXCEEDED,
        Reason.LANE_FULL,
        Reason.LANE_FAILED,
        Reason.DRAINING,
        Reason.KEYS_UNAVAILABLE,
    }


@pytest.mark.parametrize(
    ("reject", "text"),
    [
        pytest.param(Reject(Reason.LANE_FULL), "lane_full", id="bare"),
        pytest.param(Reject(Reason.LANE_FULL, "bet"), "lane_full: bet", id="with a detail"),
    ],
)
def test_our_log_reads_code_and_detail(reject: Reject, text: str) -> None:
    assert str(reject) == text
