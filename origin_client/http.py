"""An origin behind HTTP: each batch is one POST of CloudEvents to ``<url>/<topic>``.

In go batches of records; when ``publish`` returns, a receiver has answered that they are durable
there. What its answers mean stands in :mod:`origin_client.http_answer`, how one record's fault is
found among many in :mod:`origin_client.http_batch`, how a request ends in
:mod:`origin_client.http_line`.

A record's key does not travel: whoever needs one has ``subject`` and ``session`` in the event.
Topics have a line and a lock each, so one whose receiver hangs hinders no other. The token is
read for each request and kept nowhere, so it may be changed at any time.

Source: CloudEvents HTTP binding 1.0.2 §3.3 (batched content mode); RFC 6750 §2.1.
"""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from origin_client import http_answer, http_batch
from origin_client.ailments import Ailments
from origin_client.http_line import Line
from origin_client.http_settings import (
    Address,
    HttpOptions,
    read_address,
    read_options,
)
from origin_client.origin import Options, OriginError, OriginUnavailable, Outgoing, Refusal

CONTENT_TYPE: Final = "application/cloudevents-batch+json"
TOKEN_BYTES_MAX: Final = 8192  # more than servers commonly take in all headers together
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # Source: RFC 6750 §2.1


class HttpOrigin:
    """A receiver of batches; all methods may be called from any thread.

    Args:
        address: The receiver.
        options: How to talk to it.
    """

    def __init__(self, address: Address, options: HttpOptions) -> None:
        self._address = address
        self._options = options
        self._ailments = Ailments()
        self._guard = threading.Lock()  # over what follows
        self._topics: dict[str, _Topic] = {}
        self._closed = threading.Event()

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when the receiver has every record not refused, in order.

        Refused is what it objects to alone, so the refusals are exactly the records at fault.

        Raises:
            OriginUnavailable: It gave no verdict, or the origin was closed meanwhile.
        """
        destination = self._topic(topic)
        with destination.lock:
            try:
                refusals = http_batch.deliver(
                    records, bytes_max=self._options.batch_bytes_max, post=destination.post
                )
            except OriginUnavailable as error:
                cause = f"{topic}: {error}"
                self._ailments.put(topic, cause)
                raise OriginUnavailable(cause) from error
            self._ailments.clear(topic)
        return refusals

    def health(self, topic: str | None = None) -> str | None:
        """Name the last failure of *topic*, or of any, that has not worked since."""
        return "closed" if self._closed.is_set() else self._ailments.of(topic)

    def survey(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Say what the receiver has against *topics*, by sending each of them an empty batch.

        To object to that is no fault: whoever looks into the body has let the rest pass.

        Source: CloudEvents JSON format 1.0.2 §4.

        Raises:
            OriginUnavailable: It does not answer in time, or there is no token to send.
        """
        options = replace(self._options, timeout_s=timeout_s / len(topics))
        lacks: list[str] = []
        for topic in topics:
            destination = _Topic(topic, self._address, options, self._closed)
            try:
                answer, token = destination.ask(b"[]")
            finally:
                destination.line.close()
            try:
                http_answer.objection(answer, token)
            except OriginUnavailable as error:
                lacks.append(f"{topic}: {error}")
        return lacks

    def close(self) -> None:
        """Give up: publishes under way in other threads raise ``OriginUnavailable``."""
        with self._guard:
            self._closed.set()
            for each in self._topics.values():
                each.line.close()

    def _topic(self, name: str) -> "_Topic":
        with self._guard:
            if self._closed.is_set():
                raise OriginUnavailable("closed")
            if name not in self._topics:
                self._topics[name] = _Topic(name, self._address, self._options, self._closed)
            return self._topics[name]


class _Topic:
    """What is known of one topic; *closed* ends its waits."""

    def __init__(
        self, name: str, address: Address, options: HttpOptions, closed: threading.Event
    ) -> None:
        self.lock = threading.Lock()
        self.line = Line(address, options)
        self._target = f"{address.path}/{quote(name, safe='')}"
        self._token_path = options.bearer_file
        self._closed = closed
        self._resume_s = 0.0  # no request before this, steady clock

    def post(self, body: bytes) -> str | None:
        """Send *body*; return why the receiver will never take it, if so.

        Raises:
            OriginUnavailable: No verdict.
        """
        # The receiver asked for it; the caller knows of the outage since the last request.
        self._closed.wait(self._resume_s - time.monotonic())
        answer, token = self.ask(body)
        self._resume_s = time.monotonic() + http_answer.retry_after_s(answer)
        return http_answer.objection(answer, token)

    def ask(self, body: bytes) -> tuple[http_answer.Answer, str | None]:
        """Send *body*; return the answer, and the token that was sent along.

        Raises:
            OriginUnavailable: No answer.
        """
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": "edge-gateway"}
        token = None if self._token_path is None else read_token(Path(self._token_path))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.line.post(self._target, headers, body), token


def open_http(url: str, options: Options) -> HttpOrigin:
    """Open a receiver to publish to; nothing is sent yet.

    Raises:
        OriginError: The URL or an option is wrong, or a file that it names unreadable.
    """
    address, read = read_address(url), read_options(options)
    for name, path in (("ca_file", read.ca_file), ("bearer_file", read.bearer_file)):
        try:
            if path is not None:
                Path(path).open("rb").close()
        except OSError as error:
            raise OriginError(f"option {name!r}: {error}", option=name) from error
    return HttpOrigin(address, read)


def read_token(path: Path) -> str:
    """Return the token that *path* holds now.

    Raises:
        OriginUnavailable: It cannot be read, or holds something else; which is not repeated.
    """
    try:
        with path.open("rb") as file:
            text = file.read(TOKEN_BYTES_MAX + 1).decode("ascii", "replace").strip()
    except OSError as error:
        raise OriginUnavailable(f"options.bearer_file cannot be read: {error}") from error
    if len(text) > TOKEN_BYTES_MAX or _TOKEN.fullmatch(text) is None:
        raise OriginUnavailable(f"{path} of options.bearer_file does not hold one bearer token")
    return text
