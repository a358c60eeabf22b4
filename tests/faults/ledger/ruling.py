"""What an answer says, and whether an answer may say that. Pure.

Source: design.md §4, "Verdicts out"; RFC 9110 §10.2.3 (Retry-After).
"""

import re
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_RETRY_AFTER: Final = re.compile(rb"\r\nretry-after: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_RETRIED: Final = frozenset({429, 503})

RETRY_AFTER_MAX_S: Final = 5.0
"""The longest the ledger waits when it is told to: a campaign's faults end within seconds."""

RETRY_DEFAULT_S: Final = 0.2
"""Before it tries again where nothing was said about it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole.

    Attributes:
        status: As sent.
        head: Status line and fields.
        body: Without the head.
    """

    status: int
    head: bytes
    body: bytes

    @property
    def is_last(self) -> bool:
        """Whether the server ends the connection behind it."""
        return _CLOSE.search(self.head) is not None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of the events of one request.

    Attributes:
        accepted: Durable since this request.
        duplicate: Durable before.
        refused: Index, code, and whether the same event may be sent again.
        whole: The code or status with which the request was refused whole; ``None``: it
            was not.
        retry_after_s: When to send again what may be.
        complaint: What the answer must not be, in words.
    """

    accepted: int = 0
    duplicate: int = 0
    refused: tuple[tuple[int, str, bool], ...] = ()
    whole: str | None = None
    retry_after_s: float = RETRY_DEFAULT_S
    complaint: str | None = None


def parse(received: bytes) -> Answer | None:
    """Read one answer; ``None`` while there is more to come, or where there is no length.

    Raises:
        ValueError: It is no HTTP answer.
    """
    head, is_whole, body = received.partition(b"\r\n\r\n")
    if not is_whole:
        return None
    if not head.startswith(b"HTTP/1.1 "):
        raise ValueError(f"no answer: {head[:80]!r}")
    length = _LENGTH.search(head)
    if length is None or len(body) < int(length[1]):
        return None
    return Answer(int(head[9:12]), head + b"\r\n", body[: int(length[1])])


def rule(answer: Answer, events: int) -> Ruling:
    """Read what *answer* says about a request of so many *events*."""
    after = _RETRY_AFTER.search(answer.head)
    wait_s = min(float(after[1]), RETRY_AFTER_MAX_S) if after else RETRY_DEFAULT_S
    complaint = None
    if answer.status in _RETRIED and not after:
        complaint = f"{answer.status} without Retry-After"
    try:
        document: Any = orjson.loads(answer.body)
    except ValueError:
        return Ruling(whole=str(answer.status), complaint=f"{answer.status}, body is no JSON")
    if not isinstance(document, dict) or "accepted" not in document:
        return _whole(answer, document, wait_s, complaint)
    return _verdicts(cast("dict[str, Any]", document), answer, events, complaint)


def _whole(
    answer: Answer, document: Any, wait_s: float, complaint: str | None
) -> Ruling:  # any JSON
    code = cast("dict[str, Any]", document).get("code") if isinstance(document, dict) else None
    if answer.status not in _RETRIED and complaint is None:
        complaint = f"refused whole: {answer.status} {code}"
    return Ruling(whole=str(code or answer.status), retry_after_s=wait_s, complaint=complaint)


def _verdicts(
    document: dict[str, Any], answer: Answer, events: int, complaint: str | None
) -> Ruling:
    refused = tuple(
        (int(each["index"]), str(each["code"]), bool(each["retryable"]))
        for each in document["refused"]
    )
    accepted, duplicate = int(document["accepted"]), int(document["duplicate"])
    after_ms = document["retry_after_ms"]
    if accepted + duplicate + len(refused) != events:
        complaint = f"{accepted} + {duplicate} + {len(refused)} verdicts for {events} events"
    elif any(is_retryable for _, _, is_retryable in refused) and after_ms is None:
        complaint = "retryable refusals without retry_after_ms"
    elif accepted + duplicate and answer.status != 202:
        complaint = f"{answer.status} although {accepted + duplicate} are durable"
    wait_s = RETRY_DEFAULT_S if after_ms is None else min(after_ms / 1000, RETRY_AFTER_MAX_S)
    return Ruling(accepted, duplicate, refused, retry_after_s=wait_s, complaint=complaint)
