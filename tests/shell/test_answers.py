"""Our headers are written in one place, and say when to come back whenever they must."""

import msgspec
import pytest

from edge.core.limit import Quota, QuotaState
from edge.shell.answers import new_instance, overloaded, quota_headers

PLAYER = Quota(name="player", quota=1200, window_s=60, burst=200)
EXHAUSTED = QuotaState(PLAYER, 0, 12)
LEFT = QuotaState(PLAYER, 7, 12)


@pytest.mark.parametrize(
    ("status", "retry_after_ns", "states", "expected"),
    [
        pytest.param(202, None, [], None, id="success says nothing"),
        pytest.param(422, 5, [], None, id="nor does what is final"),
        pytest.param(503, None, [], b"1", id="503 always does"),
        pytest.param(429, 2_000_000_001, [], b"3", id="rounded up"),
        pytest.param(429, 1, [EXHAUSTED], b"12", id="never earlier than t"),
        pytest.param(503, 1, [LEFT], b"1", id="t of a quota with room does not count"),
    ],
)
def test_retry_after(
    status: int, retry_after_ns: int | None, states: list[QuotaState], expected: bytes | None
) -> None:
    headers = dict(quota_headers(status, retry_after_ns, states))

    assert headers.get(b"retry-after") == expected
    assert (b"ratelimit" in headers) == bool(states)


def test_no_two_requests_have_one_id() -> None:
    assert new_instance() != new_instance()
    assert new_instance().startswith("urn:uuid:")


@pytest.mark.parametrize("is_last", [False, True])
def test_an_overloaded_node_says_when_to_come_again_and_nothing_of_the_request(
    is_last: bool,  # noqa: FBT001  # the case
) -> None:
    head, body = overloaded([(b"date", b"today")], is_last=is_last)

    line, *headers, _, _ = head.split(b"\r\n")
    assert line == b"HTTP/1.1 503 Service Unavailable"
    assert headers[0] == b"date: today"
    assert b"retry-after: 1" in headers
    assert b"content-length: %d" % len(body) in headers
    assert (b"connection: close" in headers) == is_last
    assert msgspec.json.decode(body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The node is overloaded; send this again after Retry-After.",
    }


def test_the_answer_of_an_overloaded_node_is_made_once_for_each_date() -> None:
    today, tomorrow = [(b"date", b"today")], [(b"date", b"tomorrow")]

    first = overloaded(today, is_last=False)

    assert overloaded(list(today), is_last=False) is first
    assert overloaded(today, is_last=True) != first
    assert b"\r\ndate: tomorrow\r\n" in overloaded(tomorrow, is_last=False)[0]
