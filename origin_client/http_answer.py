"""What a receiver's answer means: taken, an objection to what was sent, or no use trying now.

In goes a status with what came along; out comes a verdict in words for operators.

| status | what it means for the batch |
|---|---|
| 2xx, but 207 | every record is durable there |
| 400, 409, 413, 422 | an objection to content: halved, and alone it is the record's refusal |
| all others | an outage, of which the records are not the cause |

Only what speaks of the body can end a record. A wrong token (401, 403), a topic that is not
there (404, 410), a wrong address (405, 415, 421), a quota (402, 429) and codes nobody here has
heard of say nothing about it: were they objections, one mistake in a configuration would bury
every record there is, one by one. 207 says that some of the records were taken, in a form that
is not agreed: counting that as taken would lose the others.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from origin_client.origin import OriginUnavailable

EXCERPT_CHARS_MAX: Final = 200  # a sentence: what receivers say first is what is wrong
# A quota's window is a minute or less; a lane must not sleep through the night for a typing error.
RETRY_AFTER_S_MAX: Final = 60
_RETRY_AFTER_DIGITS_MAX: Final = 9  # thirty years, and int() stays cheap

_OBJECTIONS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_BUSY: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.MULTI_STATUS: "it must answer for the whole batch, and this is for each record",
    HTTPStatus.UNAUTHORIZED: "put a token it accepts into the file of options.bearer_file",
    HTTPStatus.FORBIDDEN: "let this token publish there, or put another into options.bearer_file",
    HTTPStatus.NOT_FOUND: "make the topic there, or mend origin.url",
    HTTPStatus.METHOD_NOT_ALLOWED: "nothing is published at this address: mend origin.url",
    HTTPStatus.GONE: "make the topic there, or mend origin.url",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "it must take application/cloudevents-batch+json",
    HTTPStatus.MISDIRECTED_REQUEST: "the host of origin.url is not served there",
    HTTPStatus.TOO_MANY_REQUESTS: "it asks for fewer requests: raise its quota",
}
_REDIRECTED: Final = (
    "it redirects, which is never followed: write the final address in origin.url"
)
_FAILED: Final = "it fails: look there"
_UNEXPECTED: Final = "not what a receiver of events answers: look there, and at origin.url"


class Answer(msgspec.Struct, frozen=True):
    """What the receiver said.

    Attributes:
        status: As received, from 100 on.
        retry_after: That header's value; empty without one.
        body: The first bytes of it, as received: anything.
    """

    status: int
    retry_after: str
    body: bytes


def objection(answer: Answer, secret: str | None) -> str | None:
    """Say why the receiver will never take this batch; ``None``: it is durable there.

    Args:
        answer: Its answer.
        secret: What was sent along and must not be repeated.

    Raises:
        OriginUnavailable: The answer is no verdict on the batch.
    """
    status = answer.status
    if 200 <= status < 300 and status != HTTPStatus.MULTI_STATUS:  # noqa: PLR2004  # 2xx, as written
        return None
    if status not in _OBJECTIONS:
        raise OriginUnavailable(f"the receiver answers {_name(status)}: {_advice(status)}")
    excerpt = _harmless(answer.body, secret)
    return f"the receiver answers {_name(status)}" + (f": {excerpt}" if excerpt else "")


def retry_after_s(answer: Answer) -> int:
    """Return for how long the receiver asks to be left alone, s; 0: it does not.

    Only seconds are understood: for a date our clock would have to agree with its own.

    Source: RFC 9110 §10.2.3; RFC 6585 §4.
    """
    asked = answer.retry_after.strip() if answer.status in _BUSY else ""
    if not (asked.isascii() and asked.isdigit() and len(asked) <= _RETRY_AFTER_DIGITS_MAX):
        return 0
    return min(int(asked), RETRY_AFTER_S_MAX)


def _name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _advice(status: int) -> str:
    match status // 100:
        case 3:
            general = _REDIRECTED
        case 5:
            general = _FAILED
        case _:
            general = _UNEXPECTED
    return _ADVICE.get(status, general)


def _harmless(body: bytes, secret: str | None) -> str:
    """Return one line of *body* that a terminal and a log can bear."""
    text = body.decode("utf-8", "replace")
    if secret:
        text = re.sub("".join(map(_escaped, secret)), "<secret>", text)
    # The body may have been cut within the secret: nowhere near its beginning.
    beginning = text[: 4 * EXCERPT_CHARS_MAX]
    printable = "".join(each if each.isprintable() else " " for each in beginning)
    return " ".join(printable.split())[:EXCERPT_CHARS_MAX]


def _escaped(character: str) -> str:
    """Make a pattern of *character*, as it is or as JSON and URLs may write it."""
    if character.isalnum():
        return character
    code = f"{ord(character):02x}"
    return rf"(?:\\*{re.escape(character)}|\\+u00(?i:{code})|%(?i:{code}))"
