"""One line to a receiver: requests go through it one at a time, and anyone may cut it.

In goes a request, out comes the answer, or the cause why there is none, in words for operators.
It owns one connection, kept open between requests and made anew when it is gone.

Theory of operation
-------------------
A request ends with an answer, at its deadline, or because the line is closed. A time-out for
each read would not do: a receiver that sends a byte a second meets it for ever. And a thread that
waits for a socket is reached through that socket alone. So the descriptor of each socket is kept
twice, before it connects, and shutting the second one down ends whatever the first one waits
for: connecting, TLS, sending or receiving. The deadline and ``close`` both do just that.
Only a name server that hangs is waited out: nothing can be shut down yet.

A 2xx is believed only after the whole request was written, and when it is whole itself: a broken
pipe does not keep urllib3 from reading what was answered to half a batch. Other answers count
all the same, such as a 413 from whoever does not read to the end.
"""

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Generator, Mapping
from http.client import HTTPException, IncompleteRead
from typing import Any, Final

from typing_extensions import override
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, SSLError
from urllib3.response import BaseHTTPResponse

from origin_client.http_answer import Answer
from origin_client.http_response import IncompleteAnswer, WholeResponse
from origin_client.http_settings import Address, HttpOptions
from origin_client.origin import OriginUnavailable

CONNECT_S: Final = 5.0  # to one address: a lost SYN is sent again after 1 s and after 3 s
_INT: Final = struct.Struct("i")
# Of its body; an excerpt is made of its beginning, and a token begun there ends within this.
ANSWER_BYTES_MAX: Final = 16_384
# An acknowledgement is read to its end: room for some words on each record, or for all of them.
ACKNOWLEDGEMENT_BYTES_MAX: Final = 1 << 20
# Firewalls forget connections that are quiet for some minutes, the strictest after one, and drop
# what comes later in silence: a lane at night would wait out its deadline each time. So we speak
# twice a minute, and a peer that is gone is known within one.
_SOCKET_OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


class Line:
    """The one connection of one topic.

    Args:
        address: The receiver.
        options: Its deadline and its authorities are used.
    """

    def __init__(self, address: Address, options: HttpOptions) -> None:
        self._timeout_s = options.timeout_s
        self._grip = _Grip()
        timeout = Timeout(connect=CONNECT_S, read=options.timeout_s)
        kept: dict[str, Any] = {"timeout": timeout, "maxsize": 1, "grip": self._grip}
        self._pool = (
            _TlsPool(address.host, address.port, ca_certs=options.ca_file, **kept)
            if address.is_tls
            else _Pool(address.host, address.port, **kept)
        )

    def post(self, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and return its answer; by one thread at a time.

        Raises:
            OriginUnavailable: There is none. What the receiver did is unknown.
        """
        try:
            with self._deadline():
                response = self._pool.urlopen(
                    "POST",
                    target,
                    body,
                    headers,
                    retries=False,  # nor is a redirect followed
                    preload_content=False,
                    decode_content=False,
                )
                return self._read(response)
        # A ValueError is a chunk of less than no bytes.
        except (HTTPError, HTTPException, OSError, ValueError) as error:
            raise OriginUnavailable(self._cause(error)) from error

    def close(self) -> None:
        """End the request under way, and any to come, with ``OriginUnavailable``."""
        self._grip.close()
        self._pool.close()

    @contextlib.contextmanager
    def _deadline(self) -> Generator[None]:
        self._grip.begin()
        timer = threading.Timer(self._timeout_s, self._grip.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # or it might cut the next request
            self._grip.end()
        self._grip.check()  # the end of what was cut looks like the end of an answer

    def _read(self, response: BaseHTTPResponse) -> Answer:
        """Read the rest of an answer; a line that brings more than is wanted is hung up.

        Raises:
            HTTPError: The answer ends before it is complete.
            HTTPException: It is a 2xx that cannot be believed.
        """
        is_taken = 200 <= response.status < 300  # noqa: PLR2004  # 2xx, as written
        bytes_max = ACKNOWLEDGEMENT_BYTES_MAX if is_taken else ANSWER_BYTES_MAX
        body = b""
        while part := response.read(bytes_max + 1 - len(body)):
            body += part
        if is_taken and not (self._grip.is_sent and self._grip.has_arrived()):
            raise IncompleteAnswer("it took what it had not received")
        if len(body) > bytes_max:
            response.close()
            if is_taken:
                raise IncompleteAnswer(f"it answers more than {bytes_max} bytes")
        return Answer(response.status, response.headers.get("Retry-After", ""), body)

    def _cause(self, error: Exception) -> str:
        if self._grip.is_closed:
            return "closed"
        root: BaseException = error
        while inner := root.__cause__ or root.__context__:
            root = inner
        if isinstance(root, ssl.SSLCertVerificationError):
            return (
                f"the receiver's certificate is not trusted ({root.verify_message}): "
                "mend it, options.ca_file, or the host in origin.url"
            )
        reason = _words(root)
        if isinstance(error, NewConnectionError) and not self._grip.is_cut:
            return f"the receiver cannot be reached ({reason}): look there, and at origin.url"
        if self._grip.is_cut or isinstance(root, TimeoutError):
            return "the receiver does not answer in time: look there, and at options.timeout_s"
        if isinstance(error, SSLError):
            return (
                f"there is no TLS with the receiver ({reason}): look at its port, and ca_file"
            )
        return f"the connection to the receiver broke ({reason})"


class _Grip:
    """The second descriptor of a line's socket, where other threads can get hold of it.

    Attributes:
        is_cut: The request under way has been ended from outside.
        is_closed: No other may begin.
        is_sent: All that was to be written has been; for the thread of the request only.
    """

    def __init__(self) -> None:
        self.is_cut = False
        self.is_closed = False
        self.is_sent = False
        self._guard = threading.Lock()  # over the next three
        self._is_busy = False
        self._is_over = False
        self._socket: socket.socket | None = None

    def begin(self) -> None:
        """Let a request begin.

        Raises:
            OSError: Closed.
        """
        with self._guard:
            if self.is_closed:
                raise ConnectionAbortedError("closed")
            self.is_cut = False
            self._is_busy = True

    def end(self) -> None:
        """Tell that the request is over."""
        with self._guard:
            self._is_busy = False
            if self._is_over:
                self._drop()

    def has_arrived(self) -> bool:
        """Return whether the other side's system has confirmed all that was written.

        An answer confirms what came before it: what is open then was not there to be read.

        Source: tcp(7), ``SIOCOUTQ``.
        """
        with self._guard:
            assert self._socket is not None  # an answer came through it
            queued_bytes = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(_INT.size))
        return _INT.unpack(queued_bytes) == (0,)

    def check(self) -> None:
        """See that the request under way may go on.

        Raises:
            OSError: It has been cut.
        """
        if self.is_cut:
            raise ConnectionAbortedError("cut")

    def hold(self, connection: socket.socket) -> None:
        """Keep a second descriptor of *connection*, in place of any other.

        Raises:
            OSError: The request has been cut before; or no descriptor is left.
        """
        with self._guard:
            self._drop()
            self.check()
            self._socket = connection.dup()
            self._is_over = False

    def release(self) -> None:
        """Let go of a connection that is over, when both descriptors are closed.

        Not before the request's end: ``http.client`` closes its descriptor as soon as it knows
        that no other request follows, and goes on reading.
        """
        with self._guard:
            self._is_over = True
            if not self._is_busy:
                self._drop()

    def cut(self) -> None:
        """End the request under way."""
        with self._guard:
            self.is_cut = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the other side was faster
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the request under way, and let none begin."""
        with self._guard:
            self.is_closed = True
        self.cut()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


class _Connection(HTTPConnection):
    """A connection that can be cut from its first moment on, and knows what it has written."""

    response_class: Any = WholeResponse  # declared for the very class it replaces

    def __init__(self, *args: Any, grip: _Grip, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._grip = grip

    @override
    def _new_conn(self) -> socket.socket:
        refusal: OSError = OSError("the name has no address")
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            found, refusal = [], error
        for family, kind, protocol, _, address in found:
            try:
                return self._connected(socket.socket(family, kind, protocol), address)
            except OSError as error:
                refusal = error
        raise NewConnectionError(self, str(refusal)) from refusal

    def _connected(self, connection: socket.socket, address: Any) -> socket.socket:
        try:
            self._grip.hold(connection)
            for option in _SOCKET_OPTIONS:
                connection.setsockopt(*option)
            connection.settimeout(self.timeout)
            connection.connect(address)
        except BaseException:
            connection.close()
            raise
        return connection

    @override
    def send(self, data: Any) -> None:
        self._grip.is_sent = False
        super().send(data)
        self._grip.is_sent = True

    @override
    def close(self) -> None:
        super().close()
        self._grip.release()


class _TlsConnection(_Connection, HTTPSConnection):
    """The same under TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls: Any = _Connection  # whose own base class does not meet the declared protocol


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _TlsConnection  # as above


def _words(root: BaseException) -> str:
    """Name a cause in words of the system's or of ours: a library's may repeat the receiver's."""
    match root:
        case TimeoutError():
            return "timed out"
        case OSError():
            return root.strerror or type(root).__name__
        case IncompleteAnswer():
            return str(root)
        case IncompleteRead():
            return "it hung up before the end of its answer"
        case _:
            return "its answer is not HTTP"
