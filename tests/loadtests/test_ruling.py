"""Every answer is read as verdicts, as "again", or as the end; never as something it is not."""

import json

import pytest
from hypothesis import given, strategies as st

from loadtests.ruling import Answer, Refusal, Ruling, StuckError, code_of, read_ruling


def verdicts(
    accepted: int, duplicate: int = 0, *refused: object, retry_after_ms: int | None = None
) -> bytes:
    return json.dumps(
        {
            "accepted": accepted,
            "duplicate": duplicate,
            "refused": refused,
            "retry_after_ms": retry_after_ms,
        }
    ).encode()


def refusal(index: int, code: str, *, retryable: bool) -> dict[str, object]:
    return {"index": index, "id": None, "code": code, "pointer": "/id", "retryable": retryable}


def test_what_is_not_listed_is_durable() -> None:
    answer = Answer(202, "", verdicts(2, 1))

    assert read_ruling(answer, 3) == Ruling(2, 1, [], [], 0.0, "")


def test_each_refused_event_is_final_or_comes_again() -> None:
    final = refusal(2, "schema_violation", retryable=False)
    later = [refusal(index, "rate_exceeded", retryable=True) for index in (3, 1)]
    answer = Answer(202, "2", verdicts(1, 0, final, *later, retry_after_ms=1500))

    assert read_ruling(answer, 4) == Ruling(
        accepted=1,
        duplicate=0,
        refused=[Refusal(2, "schema_violation", False, "/id")],
        again=[1, 3],
        wait_s=2.0,
        cause="rate_exceeded",
    )


@pytest.mark.parametrize("status", [409, 422, 429, 503])
def test_verdicts_are_verdicts_whatever_the_status(status: int) -> None:
    answer = Answer(status, "", verdicts(0, 0, refusal(0, "lane_full", retryable=True)))

    assert read_ruling(answer, 1).again == [0]


def test_the_longer_wait_counts() -> None:
    answer = Answer(
        429, "1", verdicts(0, 0, refusal(0, "x", retryable=True), retry_after_ms=5500)
    )

    assert read_ruling(answer, 1).wait_s == 5.5


@pytest.mark.parametrize(
    ("status", "content", "cause"),
    [
        (503, b'{"type":"urn:edge:problem:draining","code":"draining"}', "draining"),
        (429, b'{"code":"rate_exceeded"}', "rate_exceeded"),
        (500, b'{"code":"internal_error"}', "internal_error"),
        (408, b'{"type":"about:blank"}', "http_408"),
        (502, b"<html>Bad gateway</html>", "http_502"),
    ],
)
def test_a_request_refused_for_now_comes_again_whole(
    status: int, content: bytes, cause: str
) -> None:
    ruling = read_ruling(Answer(status, "7", content), 3)

    assert ruling == Ruling(0, 0, (), range(3), 7.0, cause)


@pytest.mark.parametrize("retry_after", ["", "Sun, 22 Nov 2026 20:00:00 GMT", "-1", "9" * 5000])
def test_a_wait_that_is_no_whole_seconds_is_none(retry_after: str) -> None:
    assert read_ruling(Answer(503, retry_after, b""), 1).wait_s == 0.0


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (403, b'{"code":"scope_missing"}'),
        (413, b'{"code":"body_too_large"}'),
        (404, b"not here"),
        (200, b"<html>hello</html>"),
        (202, b"[" * 100_000),
        (204, b""),
        (301, b""),
    ],
)
def test_whatever_else_ends_the_replay(status: int, content: bytes) -> None:
    with pytest.raises(StuckError, match=str(status)):
        read_ruling(Answer(status, "", content), 1)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_nothing_is_durable_under_a_status_that_refuses(status: int) -> None:
    """Whoever writes both is broken, and would lose events that it is believed on."""
    answer = Answer(status, "", verdicts(1, 1))

    try:
        assert read_ruling(answer, 2).again == range(2)
    except StuckError:
        assert status == 401


@pytest.mark.parametrize(
    "code", ["c4n4ry\x1b[31m", "a.b.c", "Bearer", "", "a\n", "x" * 65, "\u202e"]
)
def test_a_code_that_is_no_gateways_is_not_repeated(code: str) -> None:
    refused = verdicts(0, 0, refusal(0, code, retryable=False))
    for status, content in ((202, refused), (400, json.dumps({"code": code}).encode())):
        with pytest.raises(StuckError, match=f"^status {status}, http_{status}: not what"):
            read_ruling(Answer(status, "", content), 1)


@pytest.mark.parametrize("pointer", ["\x1b]0;x", "/a.b.c", "/a\n", "a", "/" + "x" * 65])
def test_a_pointer_that_is_no_gateways_is_left_out(pointer: str) -> None:
    refused = refusal(0, "schema_violation", retryable=False) | {"pointer": pointer}

    ruling = read_ruling(Answer(202, "", verdicts(0, 0, refused)), 1)

    assert ruling.refused == [Refusal(0, "schema_violation", False)]


@pytest.mark.parametrize(
    "content",
    [
        verdicts(-7, 8),
        verdicts(8, -7),
        verdicts(1, retry_after_ms=10**400),
        verdicts(2),
        verdicts(0),
        verdicts(0, 0, refusal(1, "x", retryable=True)),
        verdicts(0, 0, refusal(-1, "x", retryable=True)),
        verdicts(0, 0, *[refusal(0, "x", retryable=True)] * 2),
    ],
)
def test_verdicts_that_do_not_add_up_end_the_replay(content: bytes) -> None:
    with pytest.raises(StuckError):
        read_ruling(Answer(202, "", content), 1)


@given(st.integers(100, 599), st.text(), st.binary())
def test_any_bytes_are_read_or_end_the_replay(
    status: int, retry_after: str, content: bytes
) -> None:
    try:
        read_ruling(Answer(status, retry_after, content), 1)
    except StuckError:
        assert status < 500


def test_a_refusal_without_a_code_is_named_by_its_status() -> None:
    assert code_of(Answer(401, "", b"")) == "http_401"
    assert code_of(Answer(401, "", b'{"code":"token_expired"}')) == "token_expired"
