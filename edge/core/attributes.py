"""The CloudEvents attributes of an event: how each is written, and who must state which.

The patterns serve thrice: here, in the JSON schemas that ``GET /v1/catalogue`` serves, and for
the claims of a token that an event is held to.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from edge.core import rfc3339
from edge.core.event import Spec, WireEvent
from edge.core.lane import Authority
from edge.core.reject import Reason, Reject

SOURCE_CHARS_MAX: Final = 256  # design.md §4
TRACESTATE_CHARS_MAX: Final = 512  # W3C Trace Context §3.3.1.1: propagate at least so many
SEQ_MAX: Final = 2**31 - 1  # a CloudEvents Integer is a signed 32-bit one
SENDERS_KEPT: Final = 4096  # texts remembered of each kind, 3 MiB; the longest unused goes
SENDER_CHARS_MAX: Final = 512  # of what is remembered; what fits has fewer

UUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# Source: RFC 3986 appendix A, runs of plain characters unrolled around the escapes so that
# no input makes it backtrack: scheme or a first segment without colon, authority or a path
# that does not begin with "//", path, query, fragment.
_PLAIN: Final = "-A-Za-z0-9._~!$&'()*+,;="
_SOURCE: Final = (
    f"^(?=.{{1,{SOURCE_CHARS_MAX}}}$)"
    "(?:[A-Za-z][A-Za-z0-9+.-]*:|(?![^/?#\\n]*:))"
    f"(?://(?:[{_PLAIN}:]*(?:%[0-9A-Fa-f]{{2}}[{_PLAIN}:]*)*@)?"
    f"(?:\\[[0-9A-Fa-f:.]+\\]|[{_PLAIN}]*(?:%[0-9A-Fa-f]{{2}}[{_PLAIN}]*)*)"
    "(?::[0-9]*)?(?=[/?#]|$)|(?!//))"
    f"[{_PLAIN}:@/]*(?:%[0-9A-Fa-f]{{2}}[{_PLAIN}:@/]*)*"
    f"(?:\\?[{_PLAIN}:@/?]*(?:%[0-9A-Fa-f]{{2}}[{_PLAIN}:@/?]*)*)?"
    f"(?:#[{_PLAIN}:@/?]*(?:%[0-9A-Fa-f]{{2}}[{_PLAIN}:@/?]*)*)?$"
)

PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "id": UUID_PATTERN,
        "source": _SOURCE,
        "time": rfc3339.PATTERN,
        "subject": "^[A-Za-z0-9_-]{4,64}$",
        "session": UUID_PATTERN,
        "brand": "^[a-z0-9-]{2,32}$",
        "jurisdiction": "^[A-Z]{2}(-[A-Z0-9]{2,8})?$",
    }
)
"""By attribute, in the order they are blamed; no pattern matches a line break.

Source: catalogue.md, "Event catalogue"; RFC 9562 §4; RFC 3986 §4.1.
"""


def _compiled(*names: str) -> Callable[[str], object]:
    """Match the named attributes, one per line, with one expression.

    An attribute that brings its own line break makes one line too many, so every join has a
    fixed number of lines.
    """
    bodies = (PATTERNS[name].removeprefix("^").removesuffix("$") for name in names)
    return re.compile("\n".join(bodies), re.MULTILINE).fullmatch


def _time_ms(text: str) -> int | None:
    try:
        return rfc3339.unix_ms(text)
    except ValueError:
        return None


_FORMS: Final = {name: _compiled(name) for name in PATTERNS} | {"time": _time_ms}
_CLIENT: Final = ("id", "source", "time", "subject", "session")
_FACT: Final = ("id", "source", "time", "subject", "brand", "jurisdiction")

_own_form: Final = _compiled("id", "subject")
_client_form: Final = _compiled("source", "session")
_fact_form: Final = _compiled("source", "brand", "jurisdiction")

_VERSION: Final = re.compile("(?:0|[1-9][0-9]*)\\.(?:0|[1-9][0-9]*)")
# Version ff is invalid, 00 ends with its flags, later ones may go on (here for 200 characters:
# nothing passes through unbounded); ids of zeros are invalid. Source: W3C Trace Context §3.2.
_IDS: Final = "(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT: Final = re.compile(f"00-{_IDS}|(?!00|ff)[0-9a-f]{{2}}-{_IDS}(?:-[!-~]{{0,200}})?")
# At most 32 members, some of which may be empty; each blank has one place in the expression,
# or thirty commas among blanks would take for ever. Source: W3C Trace Context §3.3.1.
_KEY: Final = "(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_VALUE: Final = "[ -+\\--<>-~]{0,255}[!-+\\--<>-~]"
_MEMBER: Final = f"[ \\t]*(?:{_KEY}={_VALUE}[ \\t]*)?"
_TRACESTATE: Final = re.compile(
    f"(?=.{{0,{TRACESTATE_CHARS_MAX}}}\\Z){_MEMBER}(?:,{_MEMBER}){{0,31}}"
)


def required_of(spec: Spec) -> tuple[str, ...]:
    """Name what an event of this type must state besides ``specversion``, ``type``, ``data``."""
    if spec.authority is not Authority.FACT:
        return (*_CLIENT, "seq")
    return (*_FACT, "session") if spec.needs_session else _FACT


def dataschema(type_: str, version: str) -> str:
    """Name the schema of a type.

    Args:
        type_: As in the catalogue.
        version: ``MAJOR.MINOR``.
    """
    return f"urn:edge:schema:{type_}:{version}"


def is_id(text: str) -> bool:
    """Whether *text* may be an event's ``id``, and so may be told back to its sender."""
    return _FORMS["id"](text) is not None


def attribute_check(spec: Spec) -> Callable[[WireEvent], int]:
    """Make the check of everything about such events but ``data``; it tells their time.

    The check returns ``time`` as unix ms; it raises :class:`Reject` with the attribute's
    pointer: SCHEMA_VIOLATION, or UNKNOWN_VERSION if only the version in ``dataschema`` is at
    fault.
    """
    fits = _fits_fact if spec.authority is Authority.FACT else _fits_client
    required = required_of(spec)

    def check(wire: WireEvent) -> int:
        try:
            time_ms = rfc3339.unix_ms(wire.time)
        except ValueError:
            time_ms = None
        if time_ms is None or not fits(wire) or (wire.session is None and spec.needs_session):
            name = _first_at_fault(wire, required)
            raise Reject(
                Reason.SCHEMA_VIOLATION, f"{name} missing or not valid", pointer=f"/{name}"
            )
        if wire.dataschema is not None:
            _check_dataschema(wire.dataschema, spec)
        return time_ms

    return check


def with_valid_trace(wire: WireEvent) -> WireEvent:
    """Drop a trace context that is not valid: it is nobody's loss but the tracer's.

    Source: W3C Trace Context §3.2.2.2 and §3.3: without a valid parent there is no state.
    """
    if wire.traceparent is None and wire.tracestate is None:
        return wire
    if wire.traceparent is None or not _TRACEPARENT.fullmatch(wire.traceparent):
        return msgspec.structs.replace(wire, traceparent=None, tracestate=None)
    if wire.tracestate is not None and not _TRACESTATE.fullmatch(wire.tracestate):
        return msgspec.structs.replace(wire, tracestate=None)
    return wire


# What the events of one sender, or of one player's session, have in common is matched once:
# 0.1 µs instead of 0.5.
@lru_cache(SENDERS_KEPT)
def _fits_client_form(text: str) -> bool:
    return _client_form(text) is not None


@lru_cache(SENDERS_KEPT)
def _fits_fact_form(text: str) -> bool:
    return _fact_form(text) is not None


def _fits_client(wire: WireEvent) -> bool:
    sender = f"{wire.source}\n{wire.session}"
    return (
        wire.seq is not None
        and 1 <= wire.seq <= SEQ_MAX
        and _own_form(f"{wire.id}\n{wire.subject}") is not None
        and len(sender) <= SENDER_CHARS_MAX
        and _fits_client_form(sender)
        and (wire.brand is None or _FORMS["brand"](wire.brand) is not None)
        and (wire.jurisdiction is None or _FORMS["jurisdiction"](wire.jurisdiction) is not None)
    )


def _fits_fact(wire: WireEvent) -> bool:
    sender = f"{wire.source}\n{wire.brand}\n{wire.jurisdiction}"
    return (
        wire.seq is None
        and _own_form(f"{wire.id}\n{wire.subject}") is not None
        and len(sender) <= SENDER_CHARS_MAX
        and _fits_fact_form(sender)
        and (wire.session is None or _FORMS["session"](wire.session) is not None)
    )


def _first_at_fault(wire: WireEvent, required: tuple[str, ...]) -> str:
    for name, form in _FORMS.items():
        text: str | None = getattr(wire, name)
        if name in required if text is None else form(text) is None:
            return name
    return "seq"


def _check_dataschema(stated: str, spec: Spec) -> None:
    if any(stated == dataschema(spec.type, version) for version in spec.versions):
        return
    version = stated.removeprefix(dataschema(spec.type, ""))
    if version != stated and _VERSION.fullmatch(version):
        raise Reject(Reason.UNKNOWN_VERSION, stated, pointer="/dataschema")
    raise Reject(Reason.SCHEMA_VIOLATION, "of another type", pointer="/dataschema")
