"""Would a gateway take a token that is about to be minted? Asked of the gateway's own functions.

A grant comes in; out goes nothing, or one line for whoever typed ``edge token mint``: which
option is wrong, and what form it has. Whether it would be refused, only :mod:`edge.core` says; the
words alone are from here, so at worst they say less than they could.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.config import Auth, Issuer
from edge.core.attributes import PATTERNS
from edge.core.authenticate import Gate, IssuerKeys, TokenCache, authenticate
from edge.core.authorise import authorise_request, authorise_stream
from edge.core.instant import Instant
from edge.core.keyset import KeySetRefused, read_key_set
from edge.core.lane import Lane
from edge.core.principal import Kind
from edge.core.reject import Reject
from edge.shell.keys.mint import Grant, SigningKey, key_set, mint

_PATH: Final = re.compile(r"`\$\.([a-z_]+)`")
"""How msgspec names what is wrong."""

_TEXT: Final = "must have 1 to 2048 characters, no control characters"
_FORMS: Final = {
    "issuer": f"--iss {_TEXT}",
    "audience": f"--aud {_TEXT}",
    "sub": "--sub must have 1 to 128 characters, no control characters",
    "lifetime_max_s": "--ttl must be at least 1 s, at most ten years",
    "sid": f"--sid must be a UUID, {PATTERNS['session']}",
    "brand": f"--brand must be written as {PATTERNS['brand']}",
    "jurisdiction": f"--jurisdiction must be such as MT or US-NJ, {PATTERNS['jurisdiction']}",
}
"""By the setting or the claim that has another form."""

_RULES: Final = {
    "a player who states facts": "--scope must be without facts:… for a player (--sid)",
    "a player without brand or jurisdiction": (
        f"--brand, {PATTERNS['brand']}, and --jurisdiction, such as MT or US-NJ, must both be "
        "given for a player (--sid)"
    ),
    "a sub that is no player id": (
        f"--sub must be written as {PATTERNS['subject']} for a player (--sid)"
    ),
    "a player without sid": (
        "--sid UUID must be given with --brand, --jurisdiction or the scope events:write: "
        "they are a player's"
    ),
    "the token may write nothing": (
        f"--scope must have facts:<lane>, a lane being one of {', '.join(Lane)}; "
        "for a player (--sid) events:write or stream:read"
    ),
    "too long": "--iss, --aud and --scope make the token too long",
}
"""By the detail of the gateway's refusal."""


@dataclass(frozen=True, slots=True)
class _OwnKeys:
    """The keys of whoever mints."""

    held: Mapping[str, IssuerKeys]

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        return self.held.get(issuer)


def complaint(key: SigningKey, grant: Grant, now: Instant) -> str | None:
    """Say why no gateway would take such a token; ``None``: one that is set so would.

    Args:
        key: Signs it; to be published under the issuer's name.
        grant: What the token shall say.
        now: When it is minted.
    """
    try:
        # What no settings can say, no gateway believes.
        msgspec.convert({"issuer": grant.iss, "audience": grant.aud}, Issuer)
        msgspec.convert({"lifetime_max_s": grant.ttl_s}, Auth)
        _admit(key, grant, now)
    except KeySetRefused as error:
        return f"--key is none that a gateway takes: {error}"
    except msgspec.ValidationError as error:
        return _words(str(error))
    except Reject as reject:
        return _words(reject.detail)
    return None


def caution(grant: Grant) -> str | None:
    """Say which setting beside the issuer's a gateway needs for such a token, if any."""
    usual_s = Auth().lifetime_max_s
    if grant.ttl_s <= usual_s:
        return None
    return f"only for a gateway whose auth.lifetime_max_s is above its default, {usual_s}"


def _admit(key: SigningKey, grant: Grant, now: Instant) -> None:
    """Take the token through the door that it is for.

    Raises:
        KeySetRefused: The key itself is not taken.
        Reject: TOKEN_INVALID, SCOPE_MISSING.
    """
    keys = read_key_set(key_set(key), None).keys
    gate = Gate(
        audiences={grant.iss: grant.aud},
        keys=_OwnKeys({grant.iss: IssuerKeys(keys, 1, stale_steady_ns=now.steady_ns + 1)}),
        cache=TokenCache(),
        lifetime_max_s=grant.ttl_s,
    )
    principal = authenticate([b"Bearer " + mint(key, grant, now).encode()], gate, now)
    if principal.kind is Kind.PLAYER and principal.reads_stream:
        authorise_stream(principal)
    else:
        authorise_request(principal)


def _words(detail: str) -> str:
    path = _PATH.search(detail)
    said = _FORMS.get(path[1]) if path else _RULES.get(detail)
    return said or f"no gateway would take it: {detail}"
