"""The answer to one batch in; what became of each event, and what to send again, out.

====================================  =======================================================
a verdict document                    each event by its own verdict; durable only under 200
                                      or 202
408, 429, 5xx without one             all of them again, after ``Retry-After``
anything else                         sending again would not help: :class:`StuckError`
====================================  =======================================================

What it says goes to a terminal: a code of another form than the gateway's makes it no verdict
document, a pointer of another form is left out. Neither can hold a token or a control character.

A refused token (401) is the caller's business before this: another token may be at hand.

Source: the gateway's README, "Refusals", and its ``/openapi.json``.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple, TypeAlias, TypeVar

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)

_WHOLE_SECONDS: Final = re.compile("[0-9]{1,9}").fullmatch
_POINTER: Final = re.compile(r"(?:/[A-Za-z0-9_~-]{1,64}){0,16}").fullmatch
_DURABLE: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


Code: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=(1 << 53) - 1)]  # what JSON carries


class StuckError(Exception):
    """The replay cannot go on; the message says why, without a token or a player."""


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: HTTP status.
        retry_after: That field as it came; empty when it did not.
        content: The body.
    """

    status: int
    retry_after: str
    content: bytes


class Refusal(msgspec.Struct, frozen=True):
    """One event that was not taken; fields as the gateway writes them."""

    index: int
    code: Code
    retryable: bool
    pointer: str | None = None

    def __post_init__(self) -> None:
        if self.pointer is not None and _POINTER(self.pointer) is None:
            msgspec.structs.force_setattr(self, "pointer", None)


class Verdicts(msgspec.Struct, frozen=True):
    """One batch's verdicts; fields as the gateway writes them."""

    accepted: Count
    duplicate: Count
    refused: Sequence[Refusal]
    retry_after_ms: Count | None = None


class Problem(msgspec.Struct, frozen=True):
    """A request refused whole. Source: RFC 9457."""

    code: Code


class Ruling(NamedTuple):
    """One answer, read.

    Attributes:
        accepted: Events that are durable since this request.
        duplicate: Events that were before.
        refused: For good.
        again: Which to send again, as indices into the batch, ascending.
        wait_s: But not before so long.
        cause: Why again, a code; empty when there is nothing to send.
    """

    accepted: int
    duplicate: int
    refused: Sequence[Refusal]
    again: Sequence[int]
    wait_s: float
    cause: str


def read_ruling(answer: Answer, count: int) -> Ruling:
    """Read the answer to *count* events.

    Raises:
        StuckError: The request was refused for good, or whoever answers is no gateway.
    """
    verdicts = _read(answer.content, Verdicts)
    taken = 0 if verdicts is None else verdicts.accepted + verdicts.duplicate
    if verdicts is None or (taken and answer.status not in _DURABLE):
        return _ruling_of_all(answer, count)
    listed = {refusal.index for refusal in verdicts.refused} & set(range(count))
    if not len(listed) == len(verdicts.refused) == count - taken:
        raise StuckError(f"the verdicts on {count} events do not add up")
    again = {refusal.index: refusal.code for refusal in verdicts.refused if refusal.retryable}
    return Ruling(
        accepted=verdicts.accepted,
        duplicate=verdicts.duplicate,
        refused=[refusal for refusal in verdicts.refused if not refusal.retryable],
        again=sorted(again),
        wait_s=max(_seconds(answer.retry_after), (verdicts.retry_after_ms or 0) / 1000),
        cause=next(iter(again.values()), ""),
    )


def code_of(answer: Answer) -> str:
    """Name the refusal of a whole request: its code, or its status where it has none."""
    problem = _read(answer.content, Problem)
    return problem.code if problem else f"http_{answer.status}"


def _ruling_of_all(answer: Answer, count: int) -> Ruling:
    code = code_of(answer)
    if answer.status in _AGAIN or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Ruling(0, 0, (), range(count), _seconds(answer.retry_after), code)
    raise StuckError(f"status {answer.status}, {code}: not what a gateway says to a batch")


def _read(content: bytes, kind: type[StructT]) -> StructT | None:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _seconds(retry_after: str) -> int:
    """Read whole seconds, the only form that gateways write; a proxy's date counts as none."""
    return int(retry_after) if _WHOLE_SECONDS(retry_after) else 0
