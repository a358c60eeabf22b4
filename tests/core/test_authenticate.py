"""Tokens: who is believed, who is not, and what is remembered of it."""

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Final

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, strategies as st

from edge.core.authenticate import (
    KEYS_RETRY_NS,
    LEEWAY_S,
    TOKEN_BYTES_MAX,
    Gate,
    TokenCache,
    UnknownKey,
    Verified,
    authenticate,
)
from edge.core.instant import NS_PER_S, Instant
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from tests.fakes import (
    ABSENT,
    ED,
    ES,
    ISSUER,
    JTI,
    JWKS,
    NOW,
    NOW_S,
    PLAYER,
    RS,
    SESSION,
    FixedKeys,
    Signer,
    bearer,
    fixed_keys,
    gate,
    jwks,
    later,
    player_claims,
    player_token,
    service_token,
)
from tests.fakes_directives import revocation

OTHER_ISSUER: Final = "https://other.example"
STRANGER: Final = Signer("ed-1", "EdDSA", Ed25519PrivateKey.from_private_bytes(b"s" * 32))
HEADER: Final[dict[str, object]] = {"alg": "EdDSA", "kid": "ed-1", "typ": "at+jwt"}


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _compact(header: bytes, payload: bytes) -> str:
    """Sign any two byte strings with a good key."""
    assert isinstance(ED.private, Ed25519PrivateKey)
    signed = f"{_encoded(header)}.{_encoded(payload)}"
    return f"{signed}.{_encoded(ED.private.sign(signed.encode('ascii')))}"


def _with_header(**members: object) -> str:
    kept = {name: value for name, value in (HEADER | members).items() if value is not ...}
    return _compact(json.dumps(kept).encode(), json.dumps(player_claims()).encode())


def _with_claims(**claims: object) -> str:
    return _compact(json.dumps(HEADER).encode(), json.dumps(player_claims(**claims)).encode())


def _reason(
    authorization: Sequence[bytes], at: Gate | None = None, now: Instant = NOW
) -> Reason:
    with pytest.raises(Reject) as refused:
        authenticate(authorization, at or gate(), now)
    return refused.value.reason


@pytest.mark.parametrize("signer", [ED, ES, RS], ids=lambda signer: signer.algorithm)
def test_a_signed_token_speaks_for_its_player(signer: Signer) -> None:
    principal = authenticate(bearer(signer.token(player_claims())), gate(), NOW)

    assert (principal.kind, principal.subject) == (Kind.PLAYER, PLAYER)


def test_ps256_is_believed_of_a_key_that_names_it() -> None:
    signer = dataclasses.replace(RS, algorithm="PS256")
    keys = FixedKeys({})
    keys.publish(jwks(signer.jwk()))

    principal = authenticate(bearer(signer.token(player_claims())), gate(keys), NOW)

    assert principal.subject == PLAYER


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        pytest.param([], Reason.TOKEN_MISSING, id="no header"),
        pytest.param([b""], Reason.TOKEN_MISSING, id="an empty one"),
        pytest.param([b"Bearer"], Reason.TOKEN_MISSING, id="the scheme alone"),
        pytest.param([b"Bearer  "], Reason.TOKEN_MISSING, id="the scheme and spaces"),
        pytest.param([b"Basic YTpi"], Reason.TOKEN_MISSING, id="another scheme"),
        pytest.param([b"Bearer\tx.y.z"], Reason.TOKEN_MISSING, id="a tab, so another scheme"),
        pytest.param([player_token().encode()], Reason.TOKEN_MISSING, id="no scheme"),
        pytest.param(bearer(player_token()) * 2, Reason.TOKEN_INVALID, id="two headers"),
        pytest.param(
            [*bearer(player_token()), b"Basic YTpi"], Reason.TOKEN_INVALID, id="two schemes"
        ),
        pytest.param(
            [b", ".join(bearer(player_token()) * 2)], Reason.TOKEN_INVALID, id="a list"
        ),
    ],
)
def test_the_header_has_one_bearer_token(authorization: list[bytes], reason: Reason) -> None:
    assert _reason(authorization) is reason


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR   "])
def test_the_scheme_may_be_written_in_any_case(scheme: bytes) -> None:
    authorization = [scheme + player_token().encode()]

    assert authenticate(authorization, gate(), NOW).subject == PLAYER


@pytest.mark.parametrize("blanks", [b" ", b"  ", b"\t", b" \t "])
def test_blanks_behind_the_token_are_none_of_it(blanks: bytes) -> None:
    authorization = [b"Bearer " + player_token().encode() + blanks]

    assert authenticate(authorization, gate(), NOW).subject == PLAYER
    assert _reason([b"Bearer " + blanks]) is Reason.TOKEN_MISSING


@pytest.mark.parametrize(("size_bytes", "is_too_long"), [(4096, False), (4097, True)])
@pytest.mark.parametrize("blanks", [b"", b"  "])
def test_a_token_of_exactly_four_kib_is_not_too_long(
    size_bytes: int, blanks: bytes, *, is_too_long: bool
) -> None:
    with pytest.raises(Reject) as refused:
        authenticate([b"Bearer " + b"x" * size_bytes + blanks], gate(), NOW)

    assert refused.value.reason is Reason.TOKEN_INVALID
    assert (refused.value.detail == "too long") is is_too_long


def _mixed_up() -> str:
    """HS256 with the public key as secret, where a library lets a token choose.

    Source: CVE-2022-29217; CVE-2026-48526.
    """
    pem = RS.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = (
        f"{_encoded(json.dumps(HEADER | {'alg': 'HS256', 'kid': 'rs-1'}).encode())}"
        f".{_encoded(json.dumps(player_claims()).encode())}"
    )
    return f"{signed}.{_encoded(hmac.digest(pem, signed.encode(), 'sha256'))}"


_GOOD: Final = player_token()
_HEAD, _BODY, _SIGNATURE = _GOOD.split(".")
_TWICE: Final = b'{"alg":"none","alg":"EdDSA","kid":"ed-1","typ":"at+jwt"}'
_CLAIMS: Final = json.dumps(player_claims()).encode()
_GOOD_HEADER: Final = json.dumps(HEADER).encode()

_FORGED: Final = {
    # threats.md row 30
    "30 signature of nobody": f"{_HEAD}.{_BODY}.{_encoded(bytes(64))}",
    "30 signature of a stranger": STRANGER.token(player_claims()),
    "30 signature of another of its keys": ES.token(player_claims(), kid="ed-1"),
    "30 signature cut": f"{_HEAD}.{_BODY}.{_SIGNATURE[:-4]}",
    "30 other claims": f"{_HEAD}.{_encoded(json.dumps(player_claims(sub='admin')).encode())}"
    f".{_SIGNATURE}",
    "30 alg none": _with_header(alg="none"),
    "30 alg None": _with_header(alg="None"),
    "30 alg missing": _with_header(alg=...),
    "30 alg null": _with_header(alg=None),
    "30 alg a list": _with_header(alg=["EdDSA"]),
    "30 alg of another key": _with_header(alg="ES256"),
    "30 alg RS512": RS.token(player_claims(), alg="RS512"),
    "30 alg PS256 with an RS256 key": dataclasses.replace(RS, algorithm="PS256").token(
        player_claims()
    ),
    "30 alg HS256 with a public key": _mixed_up(),
    "30 alg Ed25519": _with_header(alg="Ed25519"),
    # 31
    "31 too long": _GOOD + "A" * TOKEN_BYTES_MAX,
    "31 padded": _GOOD + "=",
    "31 padded header": f"{_encoded(_GOOD_HEADER + b' ')}=.{_BODY}.{_SIGNATURE}",
    "31 two parts": f"{_HEAD}.{_BODY}",
    "31 empty signature": f"{_HEAD}.{_BODY}.",
    "31 empty payload": f"{_HEAD}..{_SIGNATURE}",
    "31 five parts": f"{_HEAD}.{_BODY}.{_SIGNATURE}.{_BODY}.{_SIGNATURE}",
    "31 JSON serialisation": json.dumps({"payload": _BODY, "signature": _SIGNATURE}),
    "31 a space inside": f"{_HEAD}.{_BODY}. {_SIGNATURE}",
    "31 a line break behind": _GOOD + "\n",
    "31 the other alphabet": f"{_HEAD}.{_BODY}.{'+/' * 43}",
    "31 header not canonical": f"{_HEAD}A.{_BODY}.{_SIGNATURE}",
    "31 not three parts of anything": "abc",
    # 32
    "32 crit": _with_header(crit=["exp"]),
    "32 crit empty": _with_header(crit=[]),
    "32 b64 false": _with_header(b64=False, crit=["b64"]),
    "32 b64 true": _with_header(b64=True),
    "32 zip": _with_header(zip="DEF"),
    "32 enc": _with_header(enc="A128GCM"),
    "32 typ JWT": _with_header(typ="JWT"),
    "32 typ missing": _with_header(typ=...),
    "32 typ null": _with_header(typ=None),
    "32 typ a list": _with_header(typ=["at+jwt"]),
    "32 typ of an ID token": _with_header(typ="id+jwt"),
    "32 alg twice": _compact(_TWICE, _CLAIMS),
    "32 sub twice": _compact(_GOOD_HEADER, _CLAIMS[:-1] + b',"sub":"admin"}'),
    "32 header in UTF-16": _compact(json.dumps(HEADER).encode("utf-16"), _CLAIMS),
    "32 header with a mark": _compact(b"\xef\xbb\xbf" + _GOOD_HEADER, _CLAIMS),
    "32 payload in UTF-16": _compact(
        _GOOD_HEADER, json.dumps(player_claims()).encode("utf-16")
    ),
    "32 payload with a mark": _compact(_GOOD_HEADER, b"\xef\xbb\xbf" + _CLAIMS),
    "32 header no object": _compact(b'["EdDSA"]', _CLAIMS),
    "32 payload no object": _compact(_GOOD_HEADER, b'"claims"'),
    "32 header deep": _compact(b"[" * 1500, b"{}"),
    # 33
    "33 jku": _with_header(jku="https://evil.example/jwks.json"),
    "33 x5u": _with_header(x5u="https://evil.example/key.pem"),
    "33 jwk": _with_header(jwk=STRANGER.jwk()),
    "33 x5c": _with_header(x5c=["MIIB"]),
    # 34
    "34 kid missing": _with_header(kid=...),
    "34 kid null": _with_header(kid=None),
    "34 kid a number": _with_header(kid=1),
    "34 kid empty": _with_header(kid=""),
    "34 kid a path": _with_header(kid="../../etc/passwd\x00"),
    "34 kid too long": _with_header(kid="k" * 129),
    "34 kid unknown": _with_header(kid="ed-2"),
    # 35 and the measured B18
    "35 exp missing": player_token(exp=ABSENT),
    "35 exp a string": _with_claims(exp="9_999_999_999"),
    "35 exp with spaces": _with_claims(exp=" 9999999999 "),
    "35 exp of 400 digits": _with_claims(exp=10**400),
    "35 exp a fraction": _with_claims(exp=NOW_S + 0.5),
    "35 exp infinite": _with_claims(exp=float("inf")),
    "35 exp negative": _with_claims(exp=-1),
    "35 exp past the calendar": _with_claims(exp=253_402_300_800),
    "35 iat true": _with_claims(iat=True),
    "35 iat negative": _with_claims(iat=-1),
    "35 iat in the future": player_token(iat=NOW_S + LEEWAY_S + 1),
    "35 nbf in the future": player_token(nbf=NOW_S + LEEWAY_S + 1),
    "35 nbf a string": _with_claims(nbf="0"),
    "35 lives too long": player_token(exp=NOW_S + 86401),
    "35 over, and living too long": player_token(iat=NOW_S - 90_000, exp=NOW_S - 3599),
    # 36
    "36 another issuer": player_token(iss=OTHER_ISSUER),
    "36 issuer with a slash": player_token(iss=ISSUER + "/"),
    "36 issuer a list": _with_claims(iss=[ISSUER]),
    "36 issuer missing": player_token(iss=ABSENT),
    "36 another audience": player_token(aud="shop"),
    "36 audience a list": player_token(aud=["edge"]),
    "36 audience contains ours": player_token(aud="edges"),
    "36 sub empty": player_token(sub=""),
    "36 sub of a megabyte": player_token(sub="s" * 2500),
    "36 sub no player's": player_token(sub="a b c d"),
    # design.md §10
    "player without sid": player_token(sid=ABSENT),
    "player who states facts": player_token(scope="events:write facts:bet"),
    "service with a session": service_token(sid=SESSION),
    "over, with another audience": player_token(iat=0, exp=1, aud="shop"),
    "over, without sid": player_token(iat=0, exp=1, sid=ABSENT),
    "over, not yet valid": player_token(iat=0, exp=1, nbf=NOW_S + 3600),
    "over, of a stranger": STRANGER.token(player_claims(iat=0, exp=1)),
}


@pytest.mark.parametrize("token", _FORGED.values(), ids=_FORGED.keys())
def test_a_forged_or_malformed_token_is_invalid(token: str) -> None:
    keys = fixed_keys()
    at = gate(keys)

    assert _reason(bearer(token), at) is Reason.TOKEN_INVALID
    assert len(at.cache) == 0


def test_every_refused_token_gets_the_same_answer() -> None:
    answers = {_reason(bearer(token)) for token in _FORGED.values()}

    assert answers == {Reason.TOKEN_INVALID}


def test_a_token_may_have_four_kib_and_no_more() -> None:
    by_size = {
        len(token): token for token in (player_token(more="x" * n) for n in range(2600, 2800))
    }
    fits = max(size for size in by_size if size <= TOKEN_BYTES_MAX)
    exceeds = min(size for size in by_size if size > TOKEN_BYTES_MAX)

    assert authenticate(bearer(by_size[fits]), gate(), NOW).subject == PLAYER
    assert _reason(bearer(by_size[exceeds])) is Reason.TOKEN_INVALID
    assert exceeds - fits <= 2


def test_the_last_character_of_a_signature_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(_GOOD[-1]) ^ 1]

    assert _reason(bearer(_GOOD[:-1] + other)) is Reason.TOKEN_INVALID


@pytest.mark.parametrize(
    "typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"]
)
def test_an_access_token_says_that_it_is_one(typ: str) -> None:
    assert authenticate(bearer(_with_header(typ=typ)), gate(), NOW).subject == PLAYER


def test_header_members_without_a_demand_are_ignored() -> None:
    token = _with_header(x5t="AAAA", cty="x", nonce=1)

    assert authenticate(bearer(token), gate(), NOW).subject == PLAYER


@pytest.mark.parametrize("typ", ["JWT", "jwt"])
def test_an_untyped_token_is_believed_by_setting(typ: str) -> None:
    at = dataclasses.replace(gate(), takes_typ_jwt=True)

    assert authenticate(bearer(_with_header(typ=typ)), at, NOW).subject == PLAYER
    assert _reason(bearer(_with_header(typ="id+jwt")), at) is Reason.TOKEN_INVALID


@pytest.mark.parametrize(
    ("aud", "is_ours"),
    [
        ("edge", True),
        (["edge"], True),
        (["shop", "edge"], True),
        (["shop"], False),
        ([], False),
    ],
)
def test_a_list_of_audiences_is_believed_by_setting(aud: object, *, is_ours: bool) -> None:
    at = dataclasses.replace(gate(), takes_audience_list=True)
    authorization = bearer(player_token(aud=aud))

    if is_ours:
        assert authenticate(authorization, at, NOW).subject == PLAYER
    else:
        assert _reason(authorization, at) is Reason.TOKEN_INVALID
    assert _reason(bearer(player_token(aud="edges")), at) is Reason.TOKEN_INVALID


@pytest.mark.parametrize(
    ("claims", "seconds", "reason"),
    [
        pytest.param({"exp": NOW_S}, 0, None, id="at exp"),
        pytest.param({"exp": NOW_S}, LEEWAY_S - 1e-9, None, id="a nanosecond within leeway"),
        pytest.param({"exp": NOW_S}, LEEWAY_S, Reason.TOKEN_EXPIRED, id="leeway over"),
        pytest.param({"exp": NOW_S, "iat": NOW_S + 20}, 0, None, id="issued after its end"),
        pytest.param({"exp": 0, "iat": 0}, 0, Reason.TOKEN_EXPIRED, id="long over"),
        pytest.param({"iat": NOW_S + 30}, 0, None, id="issued at the edge of leeway"),
        pytest.param({"iat": NOW_S + 30}, -1e-9, Reason.TOKEN_INVALID, id="iat beyond it"),
        pytest.param({"nbf": NOW_S + 30}, 0, None, id="valid from the edge of leeway"),
        pytest.param({"nbf": NOW_S + 30}, -1e-9, Reason.TOKEN_INVALID, id="nbf beyond it"),
        pytest.param({"exp": NOW_S + 86400}, 0, None, id="the longest life"),
    ],
)
def test_time_has_thirty_seconds_of_leeway(
    claims: dict[str, object], seconds: float, reason: Reason | None
) -> None:
    authorization, now = bearer(player_token(**claims)), later(seconds)

    if reason is None:
        assert authenticate(authorization, gate(), now).subject == PLAYER
    else:
        assert _reason(authorization, now=now) is reason


def test_a_key_that_its_issuer_does_not_have_may_be_asked_for() -> None:
    with pytest.raises(UnknownKey) as refused:
        authenticate(bearer(_with_header(kid="ed-2")), gate(), NOW)

    assert refused.value.issuer == ISSUER
    assert refused.value.reason is Reason.TOKEN_INVALID


def test_an_issuers_keys_verify_its_own_tokens_only() -> None:
    keys = FixedKeys({})
    keys.publish(jwks(ED.jwk()))
    keys.publish(jwks(ES.jwk(kid="ed-1")), issuer=OTHER_ISSUER)
    at = dataclasses.replace(gate(keys), audiences={ISSUER: "edge", OTHER_ISSUER: "edge"})

    own = authenticate(bearer(ED.token(player_claims())), at, NOW)
    others = ES.token(player_claims(iss=OTHER_ISSUER), kid="ed-1")

    assert own == authenticate(bearer(others), at, NOW)
    assert (
        _reason(bearer(ED.token(player_claims(iss=OTHER_ISSUER))), at) is Reason.TOKEN_INVALID
    )
    assert _reason(bearer(ES.token(player_claims(), kid="ed-1")), at) is Reason.TOKEN_INVALID


def test_each_issuer_has_its_own_audience() -> None:
    keys = fixed_keys()
    keys.publish(JWKS, issuer=OTHER_ISSUER)
    at = dataclasses.replace(gate(keys), audiences={ISSUER: "edge", OTHER_ISSUER: "shop"})

    assert _reason(bearer(player_token(aud="shop")), at) is Reason.TOKEN_INVALID
    theirs = bearer(player_token(iss=OTHER_ISSUER, aud="shop"))
    assert authenticate(theirs, at, NOW).subject == PLAYER


def test_without_keys_nobody_is_judged() -> None:
    with pytest.raises(Reject) as refused:
        authenticate(bearer(player_token()), gate(FixedKeys({})), NOW)

    assert refused.value.reason is Reason.KEYS_UNAVAILABLE
    assert refused.value.retry_after_ns == KEYS_RETRY_NS


def test_without_keys_a_malformed_token_is_still_invalid() -> None:
    assert _reason(bearer("a.b.c"), gate(FixedKeys({}))) is Reason.TOKEN_INVALID


def test_keys_past_their_time_are_no_keys_for_remembered_tokens_either() -> None:
    at, authorization = gate(), bearer(player_token(exp=NOW_S + 7200))
    authenticate(authorization, at, later(3599.999))

    assert _reason(authorization, at, later(3600)) is Reason.KEYS_UNAVAILABLE


def _believed_at_once(at: Gate, authorization: Sequence[bytes], now: Instant) -> bool:
    """Whether the answer comes from memory: a key set that verifies nothing is put in."""
    assert isinstance(at.keys, FixedKeys)
    held = at.keys.held[ISSUER]
    at.keys.held[ISSUER] = dataclasses.replace(held, keys={})
    try:
        authenticate(authorization, at, now)
    except UnknownKey:
        return False
    finally:
        at.keys.held[ISSUER] = held
    return True


def test_a_token_is_verified_once() -> None:
    at, authorization = gate(), bearer(player_token())
    first = authenticate(authorization, at, NOW)

    assert _believed_at_once(at, authorization, NOW)
    assert authenticate(authorization, at, NOW) == first


def test_a_remembered_token_ends_like_any_other() -> None:
    at, authorization = gate(), bearer(player_token(exp=NOW_S + 60))
    authenticate(authorization, at, NOW)

    assert _believed_at_once(at, authorization, later(60 + LEEWAY_S - 1))
    assert _reason(authorization, at, later(60 + LEEWAY_S)) is Reason.TOKEN_EXPIRED


def test_a_remembered_token_is_not_yet_valid_when_the_clock_is_set_back() -> None:
    at, authorization = gate(), bearer(player_token())
    authenticate(authorization, at, NOW)

    assert _reason(authorization, at, later(-LEEWAY_S - 1)) is Reason.TOKEN_INVALID


def test_a_dropped_key_ends_its_remembered_tokens_at_once() -> None:
    keys = fixed_keys()
    at, authorization = gate(keys), bearer(player_token())
    authenticate(authorization, at, NOW)

    keys.publish(jwks(ES.jwk()))

    assert _reason(authorization, at) is Reason.TOKEN_INVALID


def test_a_key_replaced_under_its_name_ends_its_remembered_tokens_at_once() -> None:
    keys = fixed_keys()
    at, authorization = gate(keys), bearer(player_token())
    authenticate(authorization, at, NOW)

    keys.publish(jwks(STRANGER.jwk()))

    assert _reason(authorization, at) is Reason.TOKEN_INVALID


def test_new_keys_of_one_issuer_cost_the_tokens_of_another_nothing() -> None:
    keys = fixed_keys()
    keys.publish(JWKS, issuer=OTHER_ISSUER)
    at, authorization = gate(keys), bearer(player_token())
    authenticate(authorization, at, NOW)

    keys.publish(jwks(STRANGER.jwk()), issuer=OTHER_ISSUER)

    assert _believed_at_once(at, authorization, NOW)


def test_no_token_lies_in_memory() -> None:
    at, token = gate(), player_token()
    authenticate(bearer(token), at, NOW)

    assert at.cache.find(token.encode()) is None
    assert at.cache.find(hashlib.sha256(token.encode()).digest()) is not None


def _remembered(number: int) -> tuple[bytes, Verified]:
    principal = Principal(
        kind=Kind.SERVICE, subject=str(number), client_id="c", expires_unix_s=0
    )
    return number.to_bytes(32, "big"), Verified(principal, ISSUER, 1, 0, NS_PER_S)


@given(st.lists(st.integers(0, 30)), st.integers(1, 12))
def test_the_cache_is_bounded_and_never_wrong(numbers: list[int], tokens_max: int) -> None:
    cache = TokenCache(tokens_max)
    for number in numbers:
        digest, verified = _remembered(number)
        found = cache.find(digest)
        if found is None:
            cache.keep(digest, verified)
        assert (found or verified).principal.subject == str(number)
        assert len(cache) <= max(2, tokens_max)
        assert cache.find(digest) is not None


def test_what_is_in_use_is_never_forgotten() -> None:
    cache = TokenCache(8)
    digest, verified = _remembered(0)
    cache.keep(digest, verified)

    for number in range(1, 1000):
        cache.keep(*_remembered(number))
        assert cache.find(digest) is verified


REVOKED: Final = {
    "its session": revocation(session=SESSION),
    "its player": revocation(subject=PLAYER),
    "its serial number": revocation(jtis=("another", JTI)),
}


@pytest.mark.parametrize("what", REVOKED)
def test_a_revoked_token_is_refused_new_or_remembered(what: str) -> None:
    remembering, new = gate(), gate()
    authorization = bearer(player_token())
    authenticate(authorization, remembering, NOW)
    remembering.revocations.learn([REVOKED[what]], NOW)
    new.revocations.learn([REVOKED[what]], NOW)

    assert _reason(authorization, remembering) is Reason.SESSION_REVOKED
    assert _reason(authorization, new) is Reason.SESSION_REVOKED


@pytest.mark.parametrize("what", REVOKED)
def test_a_revocation_ends_when_it_says(what: str) -> None:
    at = gate()
    at.revocations.learn([msgspec.structs.replace(REVOKED[what], until_unix_s=NOW_S + 60)], NOW)
    authorization = bearer(player_token())

    assert _reason(authorization, at, later(59)) is Reason.SESSION_REVOKED
    assert authenticate(authorization, at, later(60)).subject == PLAYER


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(STRANGER.token(player_claims()), Reason.TOKEN_INVALID, id="forged"),
        pytest.param(
            player_token(iat=NOW_S - 7200, exp=NOW_S - 3600), Reason.TOKEN_EXPIRED, id="over"
        ),
    ],
)
def test_who_has_no_good_token_learns_nothing_of_revocations(
    token: str, reason: Reason
) -> None:
    at = gate()
    at.revocations.learn([revocation(session=SESSION)], NOW)

    assert _reason(bearer(token), at) is reason


def test_a_token_that_was_found_again_counts_once() -> None:
    cache = TokenCache(4)
    for number in range(3):
        cache.keep(*_remembered(number))

    cache.find(_remembered(0)[0])

    assert len(cache) == 3


@given(st.lists(st.binary() | st.binary().map(lambda tail: b"Bearer " + tail), max_size=3))
def test_any_octets_are_refused(authorization: list[bytes]) -> None:
    reason = _reason(authorization)

    assert reason in (Reason.TOKEN_MISSING, Reason.TOKEN_INVALID)


def _changed(members: dict[str, object], changes: dict[str, object]) -> bytes:
    kept = {name: value for name, value in (members | changes).items() if value is not ABSENT}
    return msgspec.json.encode(kept)


_NAMES = st.sampled_from([*HEADER, *player_claims(), "crit"])
_ODD: Final[list[object]] = [ABSENT, None, 1, "none", []]
_VALUES = st.sampled_from([*HEADER.values(), *player_claims().values(), *_ODD])
_CHANGES = st.dictionaries(_NAMES, _VALUES, max_size=1)
_HEADERS = st.builds(_changed, st.just(HEADER), _CHANGES)
_PAYLOADS = st.builds(_changed, st.just(player_claims()), _CHANGES)


@given(
    st.tuples(_HEADERS, _PAYLOADS, st.binary(max_size=64)).map(list)
    | st.lists(_HEADERS | _PAYLOADS | st.binary(max_size=9), max_size=5)
)
def test_any_parts_are_refused(parts: list[bytes]) -> None:
    token = ".".join(map(_encoded, parts)) or "."

    assert _reason(bearer(token)) is Reason.TOKEN_INVALID


@given(
    st.sampled_from([ED.token(player_claims()), RS.token(player_claims()), service_token()]),
    st.integers(0, 2000) | st.just(-1),
    st.integers(1, 255),
)
def test_no_mutation_of_a_token_speaks_for_anybody(token: str, place: int, flip: int) -> None:
    at = gate()
    authenticate(bearer(token), at, NOW)
    octets = bytearray(token.encode("ascii"))
    octets[place % len(octets)] ^= flip

    assert _reason([b"Bearer " + octets], at) is Reason.TOKEN_INVALID


@given(
    st.sampled_from([ED, ES, RS]),
    st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "iat"]), st.integers()),
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), st.text(max_size=8)),
)
def test_the_claims_of_one_token_under_the_signature_of_another_are_nobodys(
    signer: Signer, claims: dict[str, object], header: dict[str, object]
) -> None:
    assume(claims or header)
    genuine = signer.token(player_claims())
    _, _, signature = genuine.split(".")
    own = {"alg": signer.algorithm, "kid": signer.kid, "typ": "at+jwt"} | header
    forged = (
        f"{_encoded(json.dumps(own).encode())}"
        f".{_encoded(json.dumps(player_claims(**claims)).encode())}.{signature}"
    )

    assert _reason(bearer(forged)) is Reason.TOKEN_INVALID


def test_pyjwt_is_one_that_we_have_measured() -> None:
    """Threats.md: 2.14 is the first without the known holes; 3 may change what is ours."""
    assert (2, 14) <= tuple(int(part) for part in jwt.__version__.split(".")[:2]) < (3,)
