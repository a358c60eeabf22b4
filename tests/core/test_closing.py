"""Each way a token can fail has a close code, and each code we send is explained."""

import re
from pathlib import Path

import pytest

import edge
from edge.core.closing import BYES, CLOSE_CODES, SPREAD, close_code, close_label
from edge.core.reject import Reason


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.TOKEN_MISSING, 4401),
        (Reason.TOKEN_INVALID, 4401),
        (Reason.TOKEN_EXPIRED, 4401),
        (Reason.SESSION_REVOKED, 4403),
        (Reason.SUBJECT_MISMATCH, 4403),
        (Reason.BRAND_MISMATCH, 4403),
        (Reason.SCOPE_MISSING, 4403),
        (Reason.KEYS_UNAVAILABLE, 1013),
    ],
    ids=lambda each: each.code if isinstance(each, Reason) else "",
)
def test_a_token_that_is_not_believed_ends_its_socket_with_its_own_code(
    reason: Reason, code: int
) -> None:
    assert close_code(reason) == code
    assert code in CLOSE_CODES


def test_an_end_is_counted_under_our_codes_and_the_commonest_of_clients() -> None:
    labels = {close_label(code) for code in range(5000)}

    theirs = {"1000", "1001", "1005", "1006", "other"}
    assert labels == {str(code) for code in CLOSE_CODES} | theirs


def test_whoever_is_sent_away_with_many_is_told_when_to_come_back() -> None:
    for code in SPREAD:
        assert "reconnect_after_ms" in CLOSE_CODES[code]


def test_every_end_of_ours_but_those_of_the_wire_has_a_bye() -> None:
    assert set(BYES.values()) == {code for code in CLOSE_CODES if code > 1009}
    for reason in Reason:
        if BYES.get(reason.code) not in {None, 1011, 1012}:
            assert close_code(reason) == BYES[reason.code]


def test_every_word_that_a_socket_ends_with_is_listed() -> None:
    rooms = Path(edge.__file__).parent / "shell/stream"
    words = {
        word
        for path in rooms.glob("*.py")
        for found in re.findall(r'end\([\w.]+, "(\w+)"\)|\(SILENT, "(\w+)"\)', path.read_text())
        for word in found
        if word
    }

    codes = {reason.code for reason in Reason}
    assert words - codes == BYES.keys() - codes
    assert words <= BYES.keys()
