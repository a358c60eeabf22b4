"""Asks a running gateway whether it is ready: ``edge probe URL``.

In goes the URL of the admin port; out comes what ``/readyz`` says there, or why nobody says
anything. It is meant for containers and scripts, so it never waits long.
"""

import http.client
from typing import Final
from urllib.parse import urlsplit

import msgspec

from edge.shell.admin import Readiness

# Kubernetes' own probes wait 1 s by default; a node that needs 2 s for this is not well.
TIMEOUT_S: Final = 2.0
# A line per part of the house; anything longer is not our document.
ANSWER_BYTES_MAX: Final = 64 << 10

_DECODER: Final = msgspec.json.Decoder(Readiness)


class ProbeFailed(Exception):  # noqa: N818  # an answer to the question, not an error
    """Nobody there is a gateway; the message says what was found instead."""


def probe(url: str) -> Readiness:
    """Ask the gateway whose admin port *url* names, ``http://HOST:PORT``.

    Raises:
        ValueError: *url* is not such a URL.
        ProbeFailed: Nobody answers in time, or not as a gateway does.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/", "/readyz"):
        raise ValueError("the URL must be http://HOST:PORT of the admin port")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return _DECODER.decode(connection.getresponse().read(ANSWER_BYTES_MAX))
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise ProbeFailed(f"no answer from {parts.netloc}: {reason}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProbeFailed(f"{parts.netloc} does not answer as a gateway") from error
    finally:
        connection.close()
