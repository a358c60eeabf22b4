"""What an operator says of an HTTP origin, its URL and its options, read once and strictly."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from origin_client.origin import Options, OriginError

# A request of the default size takes a second on a bad line; a receiver that syncs to slow disks
# and replicates takes some more. Above it a lane would stand still for no reason it knows.
TIMEOUT_S: Final = 30.0
_TIMEOUT_S_RANGE: Final = (0.1, 600.0)
# What proxies let pass by default (nginx: 1 MiB), and what the forwarder reads at once.
BATCH_BYTES_MAX: Final = 1 << 20
_BATCH_BYTES_RANGE: Final = (1024, 64 << 20)
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")
# Source: RFC 1123 §2.1, and ``_``.
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the receiver is.

    Attributes:
        is_tls: Whether the connection is encrypted and its certificate verified.
        host: Name or literal address, without brackets.
        port: 1..65535.
        path: What stands before ``/<topic>``; begins with ``/`` unless empty, never ends with it.
    """

    is_tls: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How the receiver is talked to.

    Attributes:
        timeout_s: For one request, from connecting to the last byte of the answer.
        batch_bytes_max: Of one request's body, unless a single record is larger.
        ca_file: The authorities to trust, PEM; read for each connection. ``None``: the system's.
        bearer_file: Holds the token, read for each request. ``None``: no authorisation.
    """

    timeout_s: float = TIMEOUT_S
    batch_bytes_max: int = BATCH_BYTES_MAX
    ca_file: str | None = None
    bearer_file: str | None = None


def read_address(url: str) -> Address:
    """Take an ``https`` URL, or an ``http`` one of this very machine.

    Raises:
        OriginError: Something else; the message does not repeat it, for it may hold a secret.
    """
    if _PRINTABLE.fullmatch(url) is None:
        raise OriginError("write the URL in printable ASCII without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OriginError(f"the URL cannot be read: {error}") from error
    if parts.username is not None or "?" in url or "#" in url:
        raise OriginError(
            "the URL holds neither user, query nor fragment: a token goes into the file that "
            "options.bearer_file names"
        )
    host = parts.hostname or ""
    if not _is_literal(host) and not all(map(_LABEL.fullmatch, host.split("."))):
        raise OriginError("the URL must name a host, as https://host[:port][/path]")
    is_tls = parts.scheme == "https"
    if not is_tls and not (parts.scheme == "http" and _is_loopback(host)):
        raise OriginError(
            "use https: http is for this very machine (127.0.0.1, ::1, localhost)"
        )
    if port == 0:
        raise OriginError("the URL's port must be from 1 to 65535")
    return Address(is_tls, host, port or (443 if is_tls else 80), parts.path.rstrip("/"))


def read_options(options: Options) -> HttpOptions:
    """Take what ``[origin] options`` says.

    Raises:
        OriginError: An option is unknown or out of its bounds; the message names it.
    """
    known = HttpOptions.__slots__
    if unknown := sorted(options.keys() - set(known)):
        raise OriginError(
            f"unknown option {unknown[0]!r}: https: knows {', '.join(known)}", option=unknown[0]
        )
    return HttpOptions(
        timeout_s=_number(options, "timeout_s", TIMEOUT_S, _TIMEOUT_S_RANGE),
        batch_bytes_max=int(
            _number(options, "batch_bytes_max", BATCH_BYTES_MAX, _BATCH_BYTES_RANGE)
        ),
        ca_file=_path(options, "ca_file"),
        bearer_file=_path(options, "bearer_file"),
    )


def _number(options: Options, name: str, default: float, bounds: tuple[float, float]) -> float:
    value = options.get(name, default)
    low, high = bounds
    kinds = (int,) if isinstance(low, int) else (int, float)
    if type(value) in kinds and low <= float(value) <= high:
        return float(value)
    kind = "whole number" if isinstance(low, int) else "number"
    raise OriginError(f"option {name!r} must be a {kind} from {low} to {high}", option=name)


def _path(options: Options, name: str) -> str | None:
    value = options.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise OriginError(f"option {name!r} must be the path of a file", option=name)


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_literal(host) and ipaddress.ip_address(host).is_loopback)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
