"""A development issuer: one Ed25519 key pair, tokens signed with it, and a key server.

It stands where a company's identity provider would. The server listens on loopback only, which
is the one place where the gateway takes keys over plain http.
"""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from edge.demo.payloads import Visit

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

    def __init__(self, name: str = "https://id.evening.example", port: int = 0) -> None:
        """Draw a key.

        Args:
            name: The ``iss`` of its tokens.
            port: Of the key server; 0 takes a free one.
        """
        self.name = name
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
        """Where the keys are; inside the context only."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def jwks(self) -> bytes:
        """Write the key set, public halves only.

        Source: RFC 8037 §2 (OKP keys).
        """
        raw = self._key.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
        return json.dumps({"keys": [key | {"kid": KEY_ID, "x": x}]}).encode()

    def player(self, visit: Visit, **claims: object) -> str:
        """Sign what a player's client carries; *claims* win."""
        own = {
            "sub": visit.subject,
            "sid": visit.session,
            "brand": visit.brand,
            "jurisdiction": visit.jurisdiction,
            "scope": "events:write",
        }
        return self.sign(**own | claims)

    def service(self, name: str, *lanes: str) -> str:
        """Sign what a backend service carries that may state facts in *lanes*."""
        return self.sign(
            sub=name, client_id=name, scope=" ".join(f"facts:{lane}" for lane in lanes)
        )

    def sign(self, **claims: object) -> str:
        """Sign a token that is valid now unless *claims* say otherwise.

        Source: RFC 9068 (``at+jwt``).
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
        headers = {"kid": KEY_ID, "typ": "at+jwt"}
        return jwt.encode(defaults | claims, self._key, algorithm="EdDSA", headers=headers)
