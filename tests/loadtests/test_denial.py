"""What a refusal says is told, whoever says it: in one short line, and never a token."""

import json

import pytest

from loadtests.denial import told_by

TOKEN = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSIsImtpZCI6ImsifQ." + "p" * 200 + "." + "s" * 86


def body(**members: object) -> bytes:
    """A problem document."""
    return json.dumps(members).encode()


def test_code_and_detail_are_told() -> None:
    told = told_by(body(code="scope_missing", detail="Use a player's token.", status=403))

    assert told == "scope_missing: Use a player's token."


@pytest.mark.parametrize(
    ("members", "told"),
    [({"code": "x"}, "x"), ({"detail": "Send 16 B."}, "Send 16 B."), ({}, "")],
)
def test_what_is_absent_is_left_out(members: dict[str, object], told: str) -> None:
    assert told_by(body(**members)) == told


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>forbidden",
        b"\xff",
        b"[]",
        b"[" * 10_000,
        body(code="\x1b[31m"),
        body(code="x" * 65),
        body(detail=7),
    ],
)
def test_what_is_no_problem_document_tells_nothing(content: bytes) -> None:
    assert told_by(content) == ""


def test_a_token_that_is_quoted_is_left_out_whole_or_in_part() -> None:
    """Planted: no word is left out; only the whole token is."""
    for quoted in (TOKEN, TOKEN[:100], TOKEN.replace(".", " "), TOKEN.replace(".", "\n")):
        told = told_by(body(code="x", detail=f"not {quoted} here"))
        assert told.startswith("x: not …")
        assert told.endswith("… here")
        assert not any(part in told for part in TOKEN.split("."))


def test_it_is_one_short_line_that_steers_no_terminal() -> None:
    """Planted: it is not cut; only ASCII controls are replaced."""
    told = told_by(body(code="x", detail="a\nb\x1b[31m \u202ec " + "word " * 1000))

    assert told.startswith("x: a b [31m c word ")
    assert len(told) <= len("x: ") + 200
    assert told.isprintable()
