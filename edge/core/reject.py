"""Why something is turned away: the complete list, as far as it is built.

A :class:`Reject` is expected, whoever's fault it is: theirs, or (where the status is 503) ours
or a neighbour's. Anything else that escapes a stage is a bug.
"""

import enum
from typing import Self

from typing_extensions import override


class Reason(enum.Enum):
    """Every refusal there is: the code a client sees, its status, and whether to try again.

    A code is a promise to clients: added, never renamed. ``is_retryable`` says that the very
    same event may be sent again.

    Source: catalogue.md, "Refusals".
    """

    code: str
    status: int
    is_retryable: bool

    TOKEN_MISSING = "token_missing", 401, False
    TOKEN_INVALID = "token_invalid", 401, False
    TOKEN_EXPIRED = "token_expired", 401, False
    SESSION_REVOKED = "session_revoked", 403, False
    BODY_MALFORMED = "body_malformed", 400, False
    BODY_TOO_LARGE = "body_too_large", 413, False
    BATCH_TOO_LARGE = "batch_too_large", 413, False
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, False
    UNSUPPORTED_ENCODING = "unsupported_encoding", 415, False
    DRAINING = "draining", 503, True
    KEYS_UNAVAILABLE = "keys_unavailable", 503, True
    INTERNAL_ERROR = "internal_error", 500, False
    ORIGIN_DENIED = "origin_denied", 403, False
    TOO_MANY_CONNECTIONS = "too_many_connections", 503, False
    SCHEMA_VIOLATION = "schema_violation", 422, False
    UNKNOWN_TYPE = "unknown_type", 422, False
    UNKNOWN_VERSION = "unknown_version", 422, False
    EVENT_TOO_LARGE = "event_too_large", 422, False
    PII_LEAK = "pii_leak", 422, False
    SUBJECT_MISMATCH = "subject_mismatch", 403, False
    AUTHORITY_DENIED = "authority_denied", 403, False
    BRAND_MISMATCH = "brand_mismatch", 403, False
    SCOPE_MISSING = "scope_missing", 403, False
    SEQUENCE_TOO_OLD = "sequence_too_old", 422, False
    CLOCK_SKEW = "clock_skew", 422, False
    IDEMPOTENCY_CONFLICT = "idempotency_conflict", 409, False
    RATE_EXCEEDED = "rate_exceeded", 429, True
    LANE_FULL = "lane_full", 503, True
    LANE_FAILED = "lane_failed", 503, True
    LANE_SHED = "lane_shed", 202, False

    def __init__(self, code: str, status: int, is_retryable: bool) -> None:  # noqa: FBT001  # a row of the table above
        self.code = code
        self.status = status
        self.is_retryable = is_retryable


class Reject(Exception):  # noqa: N818  # a verdict, not an error
    """This event, or this request, goes no further.

    Raised by any stage; turned into an answer in one place per door.

    Attributes:
        reason: The public reason; also the metric label.
        detail: For our log only. Never sent: it may quote the input.
        pointer: RFC 6901 pointer into the event, ``None`` where no one place is at fault.
        retry_after_ns: When trying again may help, ns from now; ``None`` when it never will.
        status: The reason's, unless the whole request is answered with another one.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        pointer: str | None = None,
        retry_after_ns: int | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.pointer = pointer
        self.retry_after_ns = retry_after_ns
        self.status = status or reason.status

    def alone(self) -> Self:
        """Forget where it was raised, and why: one that is kept would keep all those frames.

        A frame holds its caller's, and that one the verdict that holds this: 2.4 KB for ever.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    @override
    def __str__(self) -> str:
        return f"{self.reason.code}: {self.detail}" if self.detail else self.reason.code
