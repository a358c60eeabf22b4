"""A development issuer: one Ed25519 key pair, tokens signed with it, and a key server.

It stands where a company's identity provider would. The server listens on loopback only, which
is the one place where the gateway takes keys over plain http.
"""

import base64
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from edge.demo.payloads import Visit

NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
AUDIENCE: Final = "edge"
KEY_ID: Final = "evening-1"
# Longer than any evening; shorter than the gateway's ``auth.lifetime_max_s``.
LIFETIME_S: Final = 3600
# How long the key server may take to notice that it is to end; the library's 0.5 s is felt.
SHUTDOWN_POLL_S: Final = 0.05


class Issuer:
    """Signs tokens, and tells who asks with which key.

    A context manager: the key server runs inside it.

    Attributes:
        name: The ``iss`` of its tokens.
    """

    def __init__(
        self, name: str = "https://id.evening.example", kid: str = KEY_ID, port: int = 0
    ) -> None:
        """Draw a key.

        Args:
            name: The ``iss`` of its tokens.
            kid: Of its key.
            port: Of the key server; 0 takes a free one.
        """
        self.name = name
        self._kid = kid
        self._port = port
        self._key = Ed25519PrivateKey.generate()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        document = self.jwks()

        class KeyServer(BaseHTTPRequestHandler):
            """Answers every GET with the keys."""

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/jwk-set+json")
                self.send_header("content-length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the evening has its own narrator."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), KeyServer)
        threading.Thread(
            target=self._server.serve_forever, args=(SHUTDOWN_POLL_S,), daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def jwks_url(self) -> str:
        """Where the keys are; before the context is entered, only if a port was given."""
        port = self._server.server_port if self._server else self._port
        return f"http://127.0.0.1:{port}/jwks.json"

    def jwks(self) -> bytes:
        """Write the key set, public halves only.

        Source: RFC 8037 §2 (OKP keys).
        """
        x = _base64url(self._key.public_key().public_bytes_raw())
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
        return json.dumps({"keys": [key | {"kid": self._kid, "x": x}]}).encode()

    def player(
        self, visit: Visit, header: Mapping[str, object] = NOTHING, /, **claims: object
    ) -> str:
        """Sign what a player's client carries, unless *header* or *claims* say otherwise."""
        own = {
            "sub": visit.subject,
            "sid": visit.session,
            "brand": visit.brand,
            "jurisdiction": visit.jurisdiction,
            "scope": "events:write",
        }
        return self.sign(header, **own | claims)

    def service(self, name: str, *lanes: str) -> str:
        """Sign what a backend service carries that may state facts in *lanes*."""
        return self.sign(
            sub=name, client_id=name, scope=" ".join(f"facts:{lane}" for lane in lanes)
        )

    def sign(self, header: Mapping[str, object] = NOTHING, /, **claims: object) -> str:
        """Sign a token that is valid now unless *header* or *claims* say otherwise.

        Written by hand, because no library writes the malformed tokens that are wanted too.

        Source: RFC 7515 §3.1 (compact form); RFC 8037 §3.1; RFC 9068 (``at+jwt``).
        """
        now_s = time.time_ns() // 1_000_000_000
        defaults: dict[str, object] = {
            "iss": self.name,
            "aud": AUDIENCE,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "jti": f"{claims.get('sub')}-{time.monotonic_ns()}",
            "client_id": "evening",
        }
        parts = {"alg": "EdDSA", "kid": self._kid, "typ": "at+jwt"} | dict(header)
        signed = f"{_part(parts)}.{_part(defaults | claims)}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode()))}"


def _part(members: Mapping[str, object]) -> str:
    """Write a header or claims; what is ``None`` is left out."""
    present = {name: value for name, value in members.items() if value is not None}
    return _base64url(json.dumps(present).encode())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
