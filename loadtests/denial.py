"""The body of a refused handshake in; what it says, in one line fit for a terminal, out.

Whoever answers may be no gateway, and may quote the request: what it says is bounded, and a word
as long as a token is left out.

Source: RFC 9457; the gateway's README, "Refusals".
"""

from typing import Final

import msgspec

from loadtests.ruling import Code

DETAIL_CHARS_MAX: Final = 200  # a gateway's have 100 at most
WORD_CHARS_MAX: Final = 40  # a token's shortest part, the signature, has 86 (RFC 8037)


class _Problem(msgspec.Struct, frozen=True):
    code: Code = ""
    detail: str = ""


def told_by(body: bytes | bytearray) -> str:
    """Return a problem document's code and detail; empty if it is none."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    printable = "".join(char if char.isprintable() else " " for char in problem.detail)
    words = [word if len(word) <= WORD_CHARS_MAX else "…" for word in printable.split()]
    detail = " ".join(words)[:DETAIL_CHARS_MAX]
    return ": ".join(filter(None, (problem.code, detail)))
