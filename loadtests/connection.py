"""One keep-alive connection to a gateway: a POST out, an answer in, or word that none came."""

import ssl
from types import TracebackType
from typing import Final, Self

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from loadtests.ruling import Answer, StuckError

# An answer waits for a sync, at most ``spool.sync_timeout_s`` (5 s); twice that is silence.
ANSWER_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
# 200 refusals take some 40 KiB.
ANSWER_BYTES_MAX: Final = 1 << 20


class NoAnswerError(Exception):
    """The connection ended, or never was, before the answer: the request's fate is unknown."""


class Connection:
    """Opened when first needed, and again after it was lost; a context manager."""

    def __init__(self, url: str) -> None:
        """Prepare a connection.

        Args:
            url: Of the gateway: scheme, host and port; a path goes before its own.

        Raises:
            ValueError: It is no such URL.
        """
        parsed = parse_url(url)
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query:
            raise ValueError("give the gateway as http://HOST:PORT or https://HOST")
        self._path = (parsed.path or "").rstrip("/") + "/v1/events"
        self._pool = urllib3.connection_from_url(
            url,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=ANSWER_TIMEOUT_S),
            retries=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.close()

    def post(self, k: str, token: str, body: bytes) -> Answer:
        """Send one batch and wait for its answer.

        Args:
            k: Keeps it on one node.
            token: Without ``Bearer``.
            body: A JSON array.

        Raises:
            NoAnswerError: There is none.
            StuckError: The certificate is nobody's we trust, or its answer has no end.
        """
        headers = {
            "authorization": f"Bearer {token}",
            "content-type": "application/cloudevents-batch+json",
        }
        try:
            response = self._pool.urlopen(
                "POST",
                f"{self._path}?k={k}",
                body=body,
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            content = response.read(ANSWER_BYTES_MAX + 1)
        except HTTPError as error:
            match error.args:
                case (ssl.SSLCertVerificationError() as refused, *_):
                    raise StuckError(f"its certificate: {refused.verify_message}") from error
                case _:
                    raise NoAnswerError(f"no answer: {type(error).__name__}") from error
        if len(content) > ANSWER_BYTES_MAX:
            response.close()
            raise StuckError(f"an answer above {ANSWER_BYTES_MAX} bytes")
        return Answer(response.status, response.headers.get("retry-after", ""), content)
