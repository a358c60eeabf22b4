"""Requests refused whole, as raw bytes to a listening process: threats.md 14-18, 29-38, 54, 63.

Each row: what is sent, status, problem code, and whether the connection lives on. That it does
is proved with a second request on it; that it does not, by its end.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.demo.issuer import KEY_ID
from tests.system.raw import Answer, Line
from tests.system.world import BATCH, TABLE, World

pytestmark = pytest.mark.system

BODY_BYTES_MAX: Final = 256 << 10
TOKEN_IN_URL: Final = ("token", "access_token", "jwt", "bearer", "Access_Token")


def lives_on(line: Line) -> bool:
    """Whether a second request on the same connection is answered."""
    line.send(b"GET /v1/time HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return line.answer().status == 200


def check_ending(line: Line, answer: Answer, *, closes: bool) -> None:
    """See that the connection ends exactly if the answer says so, and it should."""
    assert (answer.headers.get("connection", "").lower() == "close") is closes
    if closes:
        assert line.wait_for_end() == b""
    else:
        assert lives_on(line)


def check_problem(answer: Answer, status: int, code: str | None) -> None:
    """See that it is a problem document that tells no more than it should."""
    problem = answer.json
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == (f"urn:edge:problem:{code}" if code else "about:blank")
    assert problem.get("code") == code
    assert problem["status"] == status
    assert set(problem) - {"code"} == {"type", "title", "status", "detail", "instance"}


@dataclass(frozen=True, slots=True)
class Row:
    """One bad head.

    Attributes:
        status: Expected.
        code: Expected; ``None`` for ``about:blank``.
        closes: Whether the connection ends.
        change: What the head says otherwise than a good one; ``None`` leaves a field out.
        body: Sent after it.
        target: Of the request line.
        answers: Further fields expected in the answer.
    """

    status: int
    code: str | None
    closes: bool
    change: Mapping[str, str | None]
    body: bytes = b"[]"
    target: str = "/v1/events"
    answers: Mapping[str, str] | None = None


BEARER: Final = {"www-authenticate": "Bearer"}
INVALID: Final = {"www-authenticate": 'Bearer error="invalid_token"'}

ROWS: Final = {
    "14 length too large": Row(
        413, "body_too_large", True, {"content-length": str(BODY_BYTES_MAX + 1)}
    ),
    "16 no length": Row(411, None, True, {"content-length": None}, b""),
    "17 no type": Row(415, "unsupported_media_type", False, {"content-type": None}),
    "17 other type": Row(415, "unsupported_media_type", False, {"content-type": "text/plain"}),
    "17 other charset": Row(
        415, "unsupported_media_type", False, {"content-type": f"{BATCH}; charset=latin1"}
    ),
    "18 gzip": Row(
        415,
        "unsupported_encoding",
        True,
        {"content-encoding": "gzip"},
        answers={"accept-encoding": "identity"},
    ),
    "18 stacked": Row(415, "unsupported_encoding", True, {"content-encoding": "gzip, zstd"}),
    "29 no token": Row(401, "token_missing", False, {"authorization": None}, answers=BEARER),
    "63 other scheme": Row(
        401, "token_missing", False, {"authorization": "Basic eA=="}, answers=BEARER
    ),
    "59 binary mode": Row(415, "unsupported_media_type", False, {"ce-id": "1"}),
    "60 array as one object": Row(
        415, "unsupported_media_type", False, {"content-type": "application/cloudevents+json"}
    ),
    "60 object as a batch": Row(415, "unsupported_media_type", False, {}, b"{}"),
    "60 scalar": Row(400, "body_malformed", False, {"content-type": "application/json"}, b"7"),
    **{
        f"68 {name} in the URL": Row(
            400, None, True, {}, target=f"/v1/events?k=1&{name}=s3cr3t"
        )
        for name in TOKEN_IN_URL
    },
    "54 metrics": Row(404, None, False, {}, target="/metrics"),
    "54 readiness": Row(404, None, False, {}, target="/readyz"),
    "54 liveness": Row(404, None, False, {}, target="/livez"),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_bad_head_gets_its_problem(door: World, row: Row) -> None:
    good = door.headers(door.visit()) | {"content-length": str(len(row.body))}
    fields = {name: value for name, value in (good | dict(row.change)).items() if value}
    with door.line() as line:
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        line.send(f"POST {row.target} HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode() + row.body)
        answer = line.answer()

        check_problem(answer, row.status, row.code)
        for name, value in (row.answers or {}).items():
            assert answer.headers[name] == value
        check_ending(line, answer, closes=row.closes)


def test_15_a_chunked_body_is_counted_while_it_comes(door: World) -> None:
    fields = door.headers(door.visit()) | {"transfer-encoding": "chunked", "host": "x"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    with door.line() as line:
        line.send(f"POST /v1/events HTTP/1.1\r\n{head}\r\n".encode() + chunk * 9)
        answer = line.answer()

        check_problem(answer, 413, "body_too_large")
        assert answer.headers["connection"] == "close"


def test_15_a_chunked_body_below_the_limit_is_read(door: World) -> None:
    fields = door.headers(door.visit()) | {"transfer-encoding": "chunked", "host": "x"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    with door.line() as line:
        line.send(
            f"POST /v1/events HTTP/1.1\r\n{head}\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n".encode()
        )

        assert line.answer().counts == (0, 0)


def test_a_stranger_is_refused_before_its_body_is_asked_for(door: World) -> None:
    fields = (
        f"host: x\r\ncontent-type: {BATCH}\r\ncontent-length: 9\r\nexpect: 100-continue\r\n"
    )
    with door.line() as line:
        line.send(f"POST /v1/events HTTP/1.1\r\n{fields}\r\n".encode())

        check_problem(line.answer(), 401, "token_missing")


def part(value: object) -> str:
    """One part of a compact token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(door: World, alg: str) -> str:
    """A token that says its signature is not needed, or is made of the public key."""
    header, payload, signature = door.issuer.player(door.visit()).split(".")
    other = json.loads(base64.urlsafe_b64decode(header + "==")) | {"alg": alg}
    return f"{part(other)}.{payload}.{'' if alg == 'none' else signature}"


def confused(door: World) -> str:
    """A token whose HMAC key is the issuer's public key."""
    public = json.loads(door.issuer.jwks())["keys"][0]["x"]
    good = jwt.decode(door.issuer.player(door.visit()), options={"verify_signature": False})
    key = (public * 2)[:64]
    return jwt.encode(good, key, algorithm="HS256", headers={"kid": KEY_ID, "typ": "at+jwt"})


Forge = Callable[[World], str]


def claiming(**claims: object) -> Forge:
    """A well signed token with other claims."""
    return lambda door: door.issuer.player(door.visit(), **claims)


def heading(**header: object) -> Forge:
    """A well signed token with another header."""
    return lambda door: door.issuer.player(door.visit(), header)


NOW: Final = 1_700_000_000
INVALID_TOKENS: Final[Mapping[str, Forge]] = {
    "30 another key": lambda door: jwt.encode(
        jwt.decode(door.issuer.player(door.visit()), options={"verify_signature": False}),
        Ed25519PrivateKey.generate(),
        algorithm="EdDSA",
        headers={"kid": KEY_ID, "typ": "at+jwt"},
    ),
    "30 alg none": lambda door: unsigned(door, "none"),
    "30 alg ES256": lambda door: unsigned(door, "ES256"),
    "30 alg HS256 with the public key": confused,
    "30 a changed claim": lambda door: ".".join(
        (
            door.issuer.player(door.visit()).split(".")[0],
            part({"sub": "player-rich"}),
            door.issuer.player(door.visit()).split(".")[2],
        )
    ),
    "31 no token at all": lambda _: "x",
    "31 two parts": lambda door: door.issuer.player(door.visit()).rpartition(".")[0],
    "31 five parts": lambda _: "a.b.c.d.e",
    "31 padded": lambda door: door.issuer.player(door.visit()) + "=",
    "31 too long": lambda door: door.issuer.player(door.visit(), padding="x" * 4096),
    "31 JSON": lambda _: '{"payload":"x"}',
    "32 crit": heading(crit=["exp"]),
    "32 b64": heading(b64=True),
    "32 zip": heading(zip="DEF"),
    "32 another type": heading(typ="JWT"),
    "32 no type": heading(typ=None),
    "33 jku": heading(jku="http://127.0.0.1:1/"),
    "33 x5u": heading(x5u="http://127.0.0.1:1/"),
    "33 jwk": heading(jwk={}),
    "33 x5c": heading(x5c=[]),
    "34 no kid": heading(kid=None),
    "34 strange kid": heading(kid="../../etc/passwd\x00"),
    "34 long kid": heading(kid="k" * 129),
    "34 unknown kid": heading(kid="another"),
    "35 exp as text": claiming(exp="9999999999"),
    "35 exp as float": claiming(exp=9999999999.5),
    "35 exp beyond time": claiming(exp=10**400),
    "35 negative iat": claiming(iat=-1),
    "35 iat to come": claiming(iat=4_000_000_000, exp=4_000_000_060),
    "35 nbf to come": claiming(nbf=4_000_000_000),
    "35 lives too long": claiming(exp=4_000_000_000),
    "35 no exp": claiming(exp=None),
    "36 another issuer": claiming(iss="https://id.other.example"),
    "36 another audience": claiming(aud="edges"),
    "36 a list of audiences": claiming(aud=["edge"]),
    "36 no subject": claiming(sub=""),
    "36 long subject": claiming(sub="s" * 129),
    "a player without brand": claiming(brand=None),
    "a player without jurisdiction": claiming(jurisdiction=None),
    "a player that states facts": claiming(scope="events:write facts:bet"),
}


@pytest.mark.parametrize("forge", INVALID_TOKENS.values(), ids=INVALID_TOKENS.keys())
def test_every_bad_token_gets_the_same_answer(door: World, forge: Forge) -> None:
    with door.line() as line:
        line.post(b"[]", door.headers(forge(door)))
        answer = line.answer()
        line.post(b"[]", door.headers("x"))
        reference = line.answer()

        check_problem(answer, 401, "token_invalid")
        assert answer.json | {"instance": ""} == reference.json | {"instance": ""}
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        check_ending(line, answer, closes=False)


def test_35_an_expired_token_is_told_so(door: World) -> None:
    token = door.issuer.player(door.visit(), iat=NOW, exp=NOW + 60)

    answer = door.say(token)

    check_problem(answer, 401, "token_expired")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_38_a_token_that_may_write_nothing(door: World) -> None:
    answer = door.say(door.issuer.player(door.visit(), scope="stream:read"))

    check_problem(answer, 403, "scope_missing")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope"'


def test_63_two_authorization_headers_are_one_too_many(door: World) -> None:
    token = door.issuer.player(door.visit())
    fields = f"host: x\r\ncontent-type: {BATCH}\r\ncontent-length: 2\r\n"
    twice = f"authorization: Bearer {token}\r\n" * 2
    with door.line() as line:
        line.send(f"POST /v1/events HTTP/1.1\r\n{fields}{twice}\r\n[]".encode())

        check_problem(line.answer(), 401, "token_invalid")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_63_the_scheme_is_read_in_any_case(door: World, scheme: str) -> None:
    fields = door.headers(door.visit())
    fields["authorization"] = fields["authorization"].replace("Bearer", scheme)
    with door.line() as line:
        line.post(b"[]", fields)

        assert line.answer().counts == (0, 0)


def test_every_answer_to_a_known_speaker_tells_its_quota(door: World) -> None:
    answer = door.say(door.visit(), TABLE.spin(door.visit(), 5))

    assert answer.headers["ratelimit-policy"].startswith('"player";q=1200;w=60')
    assert answer.headers["ratelimit"].startswith('"player";r=199')
