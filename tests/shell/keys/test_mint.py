"""The development issuer: what it signs is believed, what it writes is private."""

import base64
import stat
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from edge.config import ConfigError
from edge.core.authenticate import authenticate
from edge.core.lane import Lane
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.shell.keys.mint import (
    Grant,
    PrivateKey,
    SigningKey,
    ensure_key,
    key_set,
    mint,
    passing_key,
    read_signing_key,
)
from tests.fakes import (
    AUDIENCE,
    BRAND,
    ED,
    ES,
    ISSUER,
    JURISDICTION,
    NOW,
    NOW_S,
    PLAYER,
    RS,
    SERVICE,
    SESSION,
    FixedKeys,
    Signer,
    bearer,
    gate,
)

PLAYERS_GRANT = Grant(
    iss=ISSUER,
    aud=AUDIENCE,
    sub=PLAYER,
    scope="events:write",
    sid=SESSION,
    brand=BRAND,
    jurisdiction=JURISDICTION,
)
SERVICES_GRANT = Grant(
    iss=ISSUER,
    aud=AUDIENCE,
    sub=SERVICE,
    scope="facts:bet",
    client_id="wallet-1",
    brands=(BRAND,),
    jurisdictions=("GB",),
    ttl_s=60,
)


def _written(
    path: Path, private: PrivateKey | ed448.Ed448PrivateKey, password: bytes = b""
) -> Path:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path


def _believe(key: SigningKey, token: str) -> Principal:
    keys = FixedKeys({})
    keys.publish(key_set(key))
    return authenticate(bearer(token), gate(keys), NOW)


@pytest.mark.parametrize("signer", [ED, ES, RS], ids=lambda signer: signer.algorithm)
def test_a_minted_players_token_is_believed(signer: Signer, tmp_path: Path) -> None:
    key = read_signing_key(_written(tmp_path / "key.pem", signer.private))

    principal = _believe(key, mint(key, PLAYERS_GRANT, NOW))

    assert key.algorithm == signer.algorithm
    assert principal == Principal(
        kind=Kind.PLAYER,
        subject=PLAYER,
        client_id=PLAYER,
        session=SESSION,
        brand=BRAND,
        jurisdiction=JURISDICTION,
        writes=frozenset(Lane),
        jti=PLAYERS_GRANT.jti,
        expires_unix_s=NOW_S + 3600,
    )


def test_a_minted_services_token_is_believed(tmp_path: Path) -> None:
    key = read_signing_key(_written(tmp_path / "key.pem", ED.private))

    assert _believe(key, mint(key, SERVICES_GRANT, NOW)) == Principal(
        kind=Kind.SERVICE,
        subject=SERVICE,
        client_id="wallet-1",
        brands=frozenset({BRAND}),
        jurisdictions=frozenset({"GB"}),
        writes=frozenset({Lane.BET}),
        jti=SERVICES_GRANT.jti,
        expires_unix_s=NOW_S + 60,
    )


def test_a_token_that_is_over_can_be_minted(tmp_path: Path) -> None:
    key = read_signing_key(_written(tmp_path / "key.pem", ED.private))
    token = mint(key, Grant(iss=ISSUER, aud=AUDIENCE, sub="x", scope="", ttl_s=-31), NOW)

    with pytest.raises(Reject) as refused:
        _believe(key, token)

    assert refused.value.reason is Reason.TOKEN_EXPIRED


def test_a_missing_claim_is_absent_and_each_token_has_its_own_serial(tmp_path: Path) -> None:
    key = read_signing_key(_written(tmp_path / "key.pem", ED.private))
    grants = [Grant(iss=ISSUER, aud=AUDIENCE, sub="x", scope="") for _ in range(2)]

    claims = [
        jwt.decode(mint(key, grant, NOW), options={"verify_signature": False})
        for grant in grants
    ]

    assert set(claims[0]) == {"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"}
    assert claims[0]["jti"] != claims[1]["jti"]


def test_a_key_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    """Source: RFC 8037 appendix A.3."""
    secret = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)

    key = read_signing_key(_written(tmp_path / "key.pem", private))

    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_key_set_holds_every_key_and_no_secret(tmp_path: Path) -> None:
    keys = [
        read_signing_key(_written(tmp_path / signer.kid, signer.private))
        for signer in (ED, ES, RS)
    ]
    published = FixedKeys({})

    published.publish(key_set(*keys))  # the gateway's own hygiene refuses secrets

    held = published.keys_of(ISSUER)
    assert held is not None
    assert set(held.keys) == {key.kid for key in keys}


def test_coordinates_that_begin_with_zeros_keep_them(tmp_path: Path) -> None:
    numbers = (ec.derive_private_key(n, ec.SECP256R1()) for n in range(1, 2000))
    private = next(k for k in numbers if k.public_key().public_numbers().x < 1 << 248)
    key = read_signing_key(_written(tmp_path / "key.pem", private))

    assert _believe(key, mint(key, PLAYERS_GRANT, NOW)).subject == PLAYER


def test_a_signing_key_does_not_show_itself(tmp_path: Path) -> None:
    key = read_signing_key(_written(tmp_path / "key.pem", ED.private))

    assert "private" not in repr(key).lower()


def test_a_new_key_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    made = ensure_key(path)

    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_signing_key(path).algorithm == "EdDSA"


def test_a_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"precious")

    assert not ensure_key(path)
    assert path.read_bytes() == b"precious"


def test_a_passing_key_signs_as_a_new_one_does_and_is_another_each_time(tmp_path: Path) -> None:
    ensure_key(tmp_path / "key.pem")
    written, passing = read_signing_key(tmp_path / "key.pem"), passing_key()

    sizes = {len(mint(key, PLAYERS_GRANT, NOW)) for key in (written, passing)}

    assert len(sizes) == 1
    assert len({written.kid, passing.kid, passing_key().kid}) == 3
    assert _believe(passing, mint(passing, PLAYERS_GRANT, NOW)).subject == PLAYER


def test_a_key_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--key: cannot write"):
        ensure_key(tmp_path / "none" / "key.pem")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(b"", "no PEM", id="empty"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\n", "no PEM", id="cut off"),
        pytest.param(None, "cannot read", id="missing"),
    ],
)
def test_a_file_without_a_key_is_a_wrong_setting(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=complaint):
        read_signing_key(path)


def test_a_key_with_a_password_is_a_wrong_setting(tmp_path: Path) -> None:
    path = _written(tmp_path / "key.pem", ED.private, password=b"secret")

    with pytest.raises(ConfigError, match="without password"):
        read_signing_key(path)


@pytest.mark.parametrize(
    "private",
    [ec.generate_private_key(ec.SECP384R1()), ed448.Ed448PrivateKey.generate()],
    ids=["P-384", "Ed448"],
)
def test_a_key_the_gateway_would_not_take_is_a_wrong_setting(
    private: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="neither"):
        read_signing_key(_written(tmp_path / "key.pem", private))
