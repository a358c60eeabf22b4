"""What is left of the quotas in; the two RateLimit fields and ``Retry-After`` out.

The draft still moves; this is the one place that knows how it is written. A field is a list of
structured-field items, one for each quota: its name, a string, with the parameters ``q`` (units
per window) and ``w`` (the window, s), or ``r`` (units left now) and ``t`` (s until one more).

Source: draft-ietf-httpapi-ratelimit-headers-11; RFC 9651 §3.1 (lists), §3.3.3 (strings: the
names are ours and need no escape); RFC 9110 §10.2.3 (Retry-After).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from edge.core.instant import NS_PER_S
from edge.core.limit import Quota, QuotaState

POLICIES_KEPT: Final = 64  # written policies; speakers meet four sets of quotas


def fields(states: Sequence[QuotaState]) -> tuple[tuple[bytes, bytes], ...]:
    """Return both fields, names in lower case; none where there is no quota."""
    if not states:
        return ()
    limits = [f'"{each.quota.name}";r={each.remaining};t={each.more_s}' for each in states]
    return (
        (b"ratelimit-policy", _policy(tuple([each.quota for each in states]))),
        (b"ratelimit", ", ".join(limits).encode("ascii")),
    )


def retry_after(retry_after_ns: int, states: Sequence[QuotaState] = ()) -> int:
    """Return ``Retry-After`` in whole s, rounded up, at least 1 and never earlier than a ``t``.

    Args:
        retry_after_ns: When trying again may help, ns from now.
        states: What ``RateLimit`` of the same answer says.
    """
    return max(1, -(-retry_after_ns // NS_PER_S), *(state.more_s for state in states))


@lru_cache(POLICIES_KEPT)
def _policy(quotas: tuple[Quota, ...]) -> bytes:
    policies = [f'"{quota.name}";q={quota.quota};w={quota.window_s}' for quota in quotas]
    return ", ".join(policies).encode("ascii")
