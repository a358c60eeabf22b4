"""From a URL and options to an origin: the one place that knows which kinds there are.

A kind's code is imported when a URL asks for it: the Kafka client alone takes 50 ms and 13 MB.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeAlias, TypeVar

from origin_client.log import LogOrigin
from origin_client.log_reader import LogReader
from origin_client.origin import Options, Origin, OriginError, Subscribable

# Partitions: each is an open file per topic, and six lanes of this many fit 1,024 descriptors.
# File bytes: two of the smallest blocks, so that rolling can be tried by hand.
_LOG_OPTIONS: Final = {"partitions": (1, 128), "file_bytes_max": (8192, 1 << 40)}


class Reader(Subscribable, Protocol):
    """A subscribable that one can be done with."""

    def close(self) -> None:
        """End every subscription."""
        ...


OpenedT = TypeVar("OpenedT")
Opener: TypeAlias = Callable[[str, Options], OpenedT]


def open_origin(url: str, options: Options) -> Origin:
    """Open an origin to publish to.

    Args:
        url: ``log:PATH``, ``kafka://host[:port],…`` or ``https://host[:port][/path]``.
        options: For ``log:``, ``partitions`` (4; fixed once the log exists) and
            ``file_bytes_max``; for ``kafka:``, :mod:`origin_client.kafka_options`; for ``https:``,
            :class:`origin_client.http_settings.HttpOptions`.

    Raises:
        OriginError: No origin is described, or it cannot be opened.
    """
    return _opener(url, _ORIGINS)(url, options)


def open_reader(url: str, options: Options) -> Reader:
    """Open an origin to read from, beside whoever writes it.

    Args:
        url: As for :func:`open_origin`.
        options: As for :func:`open_origin`; a log knows its own, and looks at none.

    Raises:
        OriginError: No origin is described, it cannot be read, or there is none yet.
    """
    return _opener(url, _READERS)(url, options)


def _opener(url: str, kinds: Mapping[str, Opener[OpenedT]]) -> Opener[OpenedT]:
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in kinds:
        known = ", ".join(f"{each}:" for each in kinds)
        raise OriginError(f"unknown origin {scheme!r}: the URL must begin with {known}")
    return kinds[scheme]


def _open_log(url: str, options: Options) -> Origin:
    path = _log_path(url)
    given = {name: _whole_number(name, value) for name, value in options.items()}
    partitions = given.get("partitions")
    if "file_bytes_max" in given:
        return LogOrigin(path, partitions=partitions, file_bytes_max=given["file_bytes_max"])
    return LogOrigin(path, partitions=partitions)


def _read_log(url: str, _: Options) -> Reader:
    return LogReader(_log_path(url))


def _open_kafka(url: str, options: Options) -> Origin:
    from origin_client.kafka import KafkaOrigin  # noqa: PLC0415  # see above
    from origin_client.kafka_options import KafkaOptions  # noqa: PLC0415  # see above

    return KafkaOrigin(KafkaOptions(url, options))


def _read_kafka(url: str, options: Options) -> Reader:
    from origin_client.kafka_options import KafkaOptions  # noqa: PLC0415  # see above
    from origin_client.kafka_reader import KafkaReader  # noqa: PLC0415  # see above

    return KafkaReader(KafkaOptions(url, options))


def _open_http(url: str, options: Options) -> Origin:
    from origin_client.http import open_http  # noqa: PLC0415  # see above

    return open_http(url, options)


def _read_http(_: str, __: Options) -> Reader:
    raise OriginError("what an HTTP origin was sent cannot be read from it: ask the receiver")


_ORIGINS: Final[dict[str, Opener[Origin]]] = {
    "log": _open_log,
    "kafka": _open_kafka,
    "https": _open_http,
    "http": _open_http,
}
_READERS: Final[dict[str, Opener[Reader]]] = {
    "log": _read_log,
    "kafka": _read_kafka,
    "https": _read_http,
    "http": _read_http,
}


def _log_path(url: str) -> Path:
    _, _, path = url.partition(":")
    if not path:
        raise OriginError("a path must follow log:")
    return Path(path)


def _whole_number(name: str, value: str | float) -> int:
    if name not in _LOG_OPTIONS:
        raise OriginError(
            f"unknown option {name!r}: log: knows {', '.join(_LOG_OPTIONS)}", option=name
        )
    low, high = _LOG_OPTIONS[name]
    if type(value) is not int or not low <= value <= high:
        raise OriginError(
            f"option {name!r} must be a whole number from {low} to {high}", option=name
        )
    return value
