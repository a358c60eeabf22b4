"""Answers have fixed words: complete, one per reason, and silent about the input."""

from http import HTTPStatus

import msgspec
import pytest

from edge.core.answer import WORDS, Refused, Verdicts, problem, protocol_problem
from edge.core.reject import Reason


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)
def test_every_reason_has_words_of_its_own(reason: Reason) -> None:
    title, detail = WORDS[reason]

    assert [words.title for words in WORDS.values()].count(title) == 1
    assert not title.endswith(".")
    assert detail.endswith(".")


def test_a_problem_names_its_code_twice() -> None:
    answer = problem(Reason.BATCH_TOO_LARGE, "r-1")

    assert msgspec.to_builtins(answer) == {
        "type": "urn:edge:problem:batch_too_large",
        "title": "Too many events",
        "status": 413,
        "detail": "Send fewer events per request; /openapi.json states the limit.",
        "instance": "r-1",
        "code": "batch_too_large",
    }


def test_only_a_token_without_the_right_scope_is_told_something_else_at_a_handshake() -> None:
    told = {reason: problem(reason, is_handshake=True) for reason in Reason}

    others = {reason for reason in Reason if told[reason] != problem(reason)}

    assert others == {Reason.SCOPE_MISSING}
    assert "facts go by HTTP" in told[Reason.SCOPE_MISSING].detail


def test_a_protocol_problem_has_no_code() -> None:
    answer = protocol_problem(HTTPStatus.NOT_FOUND, "See /openapi.json.", "r-2")

    assert msgspec.json.encode(answer) == (
        b'{"type":"about:blank","title":"Not Found","status":404,'
        b'"detail":"See /openapi.json.","instance":"r-2"}'
    )


def test_a_problem_of_a_request_that_was_not_read_has_no_instance() -> None:
    unread = problem(Reason.TOO_MANY_CONNECTIONS)
    overloaded = protocol_problem(HTTPStatus.SERVICE_UNAVAILABLE, "Send it again.")

    for answer in (unread, overloaded):
        assert "instance" not in msgspec.to_builtins(answer)


def test_the_verdict_document_keeps_empty_members() -> None:
    refused = Refused(
        index=7, id=None, code="schema_violation", pointer="/data", retryable=False
    )
    answer = Verdicts(accepted=48, duplicate=1, refused=[refused], retry_after_ms=None)

    assert msgspec.json.encode(answer) == (
        b'{"accepted":48,"duplicate":1,"refused":[{"index":7,"id":null,'
        b'"code":"schema_violation","pointer":"/data","retryable":false}],'
        b'"retry_after_ms":null}'
    )
