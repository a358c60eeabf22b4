"""From a URL and options to an origin: the one place that knows which kinds there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from origin_client.log import LogOrigin
from origin_client.log_reader import LogReader
from origin_client.origin import Origin, OriginError, Subscribable

SCHEMES: Final = ("log",)
# Partitions: each is an open file per topic, and six lanes of this many fit 1,024 descriptors.
# File bytes: two of the smallest blocks, so that rolling can be tried by hand.
_LOG_OPTIONS: Final = {"partitions": (1, 128), "file_bytes_max": (8192, 1 << 40)}

Options = Mapping[str, str | int | float | bool]


class Reader(Subscribable, Protocol):
    """A subscribable that one can be done with."""

    def close(self) -> None:
        """End every subscription."""
        ...


def open_origin(url: str, options: Options) -> Origin:
    """Open an origin to publish to.

    Args:
        url: ``log:PATH``.
        options: For ``log:``, ``partitions`` (4; fixed once the log exists) and
            ``file_bytes_max``.

    Raises:
        OriginLocked: Another process publishes to it.
        OriginError: No origin is described, or it cannot be opened.
    """
    path = _log_path(url)
    given = {name: _whole_number(name, value) for name, value in options.items()}
    partitions = given.get("partitions")
    if "file_bytes_max" in given:
        return LogOrigin(path, partitions=partitions, file_bytes_max=given["file_bytes_max"])
    return LogOrigin(path, partitions=partitions)


def open_reader(url: str) -> Reader:
    """Open an origin to read from, beside whoever writes it.

    Raises:
        OriginError: No origin is described, it cannot be read, or there is none yet.
    """
    return LogReader(_log_path(url))


def _log_path(url: str) -> Path:
    scheme, colon, path = url.partition(":")
    if not colon or scheme not in SCHEMES:
        known = ", ".join(f"{each}:" for each in SCHEMES)
        raise OriginError(f"unknown origin {scheme!r}: the URL must begin with {known}")
    if not path:
        raise OriginError("a path must follow log:")
    return Path(path)


def _whole_number(name: str, value: str | float) -> int:
    if name not in _LOG_OPTIONS:
        raise OriginError(f"unknown option {name!r}: log: knows {', '.join(_LOG_OPTIONS)}")
    low, high = _LOG_OPTIONS[name]
    if type(value) is not int or not low <= value <= high:
        raise OriginError(f"option {name!r} must be a whole number from {low} to {high}")
    return value
