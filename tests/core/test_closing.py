"""Each way a token can fail has a close code, and each code we send is explained."""

import re
from pathlib import Path

import pytest

import edge
from edge.core import closing
from edge.core.closing import (
    BYES,
    CLOSE_CODES,
    CLOSINGS,
    SPREAD,
    End,
    close_label,
    end_of,
)
from edge.core.reject import Reason

ENDS = [end for each in CLOSINGS for end in each.ends]


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        (Reason.TOKEN_MISSING, (4401, "token_invalid")),
        (Reason.TOKEN_INVALID, (4401, "token_invalid")),
        (Reason.TOKEN_EXPIRED, (4401, "token_expired")),
        (Reason.SESSION_REVOKED, (4403, "session_revoked")),
        (Reason.SUBJECT_MISMATCH, (4403, "subject_mismatch")),
        (Reason.BRAND_MISMATCH, (4403, "brand_mismatch")),
        (Reason.SCOPE_MISSING, (4403, "scope_missing")),
        (Reason.KEYS_UNAVAILABLE, (1013, "keys_unavailable")),
        (Reason.INTERNAL_ERROR, (1011, "internal_error")),
    ],
    ids=lambda each: each.code if isinstance(each, Reason) else "",
)
def test_a_token_that_is_not_believed_ends_its_socket_with_its_own_code(
    reason: Reason, end: End
) -> None:
    assert end_of(reason) == end
    assert end in ENDS


def test_an_end_is_counted_under_our_codes_and_the_commonest_of_clients() -> None:
    labels = {close_label(code) for code in range(5000)}

    theirs = {"1000", "1001", "1005", "1006", "other"}
    assert labels == {str(code) for code in CLOSE_CODES} | theirs


def test_whoever_is_sent_away_with_many_is_told_when_to_come_back() -> None:
    assert {code for code, text in CLOSE_CODES.items() if "_after_ms" in text} == SPREAD


def test_every_code_stands_in_the_table_once_and_its_ends_have_it() -> None:
    codes = [each.code for each in CLOSINGS]

    assert codes == sorted(set(codes))
    assert all(end.code == each.code for each in CLOSINGS for end in each.ends)


def test_every_end_of_ours_but_for_a_broken_rule_of_the_wire_has_a_bye() -> None:
    assert set(BYES.values()) == {code for code in CLOSE_CODES if code > 1009}
    assert len(BYES) == len(ENDS)


def test_every_end_there_is_stands_in_the_table() -> None:
    named = [each for each in vars(closing).values() if isinstance(each, End)]

    assert sorted(named) == sorted(ENDS)


def test_nobody_ends_a_socket_but_by_the_table() -> None:
    rooms = Path(edge.__file__).parent / "shell/stream"
    words = "|".join(sorted({end.reason for end in ENDS} - {each.code for each in Reason}))

    found = [
        (path.name, line.strip())
        for path in rooms.glob("*.py")
        for line in path.read_text().splitlines()
        if re.search(rf'"({words})"|= (4[0-9]{{3}}|101[123])\b', line)
    ]

    assert found == []
