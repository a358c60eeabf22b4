"""What an operator says of a Kafka origin, its URL and its options, checked before it is used.

In go ``kafka://host[:port],…`` and librdkafka's own options; out come configurations for its
clients. Each is made anew and reads the files it names again, so that a password or a
certificate that was replaced is taken up by the next client, without a restart.

A name that ends in ``_file`` gives the file that holds the value (``sasl.password_file``).
Values are never shown: one may be a secret, or a secret in the wrong place.

Source: librdkafka 2.16, CONFIGURATION.md.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaException, Producer

from origin_client.origin import Options, OriginError

Configuration: TypeAlias = dict[str, Any]

FILE_SUFFIX: Final = "_file"
SECRET_BYTES_MAX: Final = 1 << 16  # a chain of certificates has some KB; more is a wrong path

_ORDER: Final = "the order of records, and that each is written, depend on it"
_OURS: Final = "it ties the client to its program"
FIXED: Final = {
    "bootstrap.servers": "the URL names the brokers",
    "metadata.broker.list": "the URL names the brokers",
    "enable.idempotence": _ORDER,
    "enable.gapless.guarantee": _ORDER,
    "acks": _ORDER,
    "request.required.acks": _ORDER,
    "message.timeout.ms": _ORDER,
    "delivery.timeout.ms": _ORDER,
    "transactional.id": _ORDER,
    "partitioner": "a key stays in its partition only by one rule, as Java clients have it",
    "test.mock.num.brokers": "brokers that do not exist keep nothing",
    "delivery.report.only.error": _OURS,
    "on_delivery": _OURS,
    "error_cb": _OURS,
    "logger": _OURS,
    "log.queue": _OURS,
    "allow.auto.create.topics": "a topic is never created by those who use it",
}
"""What no option may set, and why. Any other may be, though some of ours are chosen well."""

_PRODUCER: Final[Configuration] = {
    "compression.type": "zstd",
    "topic.metadata.propagation.max.ms": 1000,  # a missing topic is told after this; 30 s else
    # A broker that refuses a login is asked again: not 20 times a second, by every topic.
    "reconnect.backoff.ms": 1000,
    # A publish waits for its own records, so only a batch as large as this waits for itself.
    "queue.buffering.max.messages": 10_000,
    "queue.buffering.max.kbytes": 65_536,
}
_PRODUCER_FIXED: Final[Configuration] = {
    "partitioner": "murmur2_random",  # as Java clients and Flink place keys
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "acks": "all",
    "message.timeout.ms": 0,  # for ever: a record that ends alone is overtaken by the next
    "delivery.report.only.error": True,
    "allow.auto.create.topics": False,
}
_CONSUMER_FIXED: Final[Configuration] = {
    "group.id": "edge-origin-reader",  # required, and never joined
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",  # what is gone is told, not skipped
    "allow.auto.create.topics": False,
}

# What librdkafka would print is told as causes (origin_client.kafka_causes), once per change.
_SILENCE: Final = logging.Logger("librdkafka")  # noqa: LOG001  # belongs to nobody's tree
_SILENCE.disabled = True

_SERVER: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?"
)
_PORT_MAX: Final = 65_535
_RANGE: Final = re.compile(r"outside allowed range (\S+)")
_COMBINATION: Final = "Failed to create producer: "


class KafkaOptions:
    """A described Kafka.

    Args:
        url: ``kafka://host[:port],…``.
        options: librdkafka's, by its names.

    Attributes:
        servers: ``host[:port],…``.

    Raises:
        OriginError: Something is wrong with them; the option is named.
    """

    def __init__(self, url: str, options: Options) -> None:
        self.servers = _servers(url)
        self._options = options
        for name in options:
            # ``topic.acks`` is another way to say ``acks``.
            for alias in (name, name.removeprefix("topic."), name.removesuffix(FILE_SUFFIX)):
                if why := FIXED.get(alias):
                    raise OriginError(f"option {name!r} cannot be set: {why}", option=name)
        given = self._given()
        if complaint := _complaint(given):
            raise _blamed(given, complaint)

    def producer(self) -> Configuration:
        """Make the configuration of a producer, reading files again.

        Raises:
            OriginError: A file cannot be read.
        """
        return {**_PRODUCER, **self._client(), **_PRODUCER_FIXED}

    def consumer(self) -> Configuration:
        """Make the configuration of a consumer, reading files again.

        Raises:
            OriginError: A file cannot be read.
        """
        return {**self._client(), **_CONSUMER_FIXED}

    def _client(self) -> Configuration:
        given = self._given()
        if "debug" not in given:  # else it prints to standard error, as whoever set it wants
            given["logger"] = _SILENCE
        return {**given, "bootstrap.servers": self.servers}

    def _given(self) -> Configuration:
        given: Configuration = {}
        for name, value in self._options.items():
            if not name.endswith(FILE_SUFFIX):
                given[name] = value
                continue
            property_name = name.removesuffix(FILE_SUFFIX)
            if property_name in self._options:
                complaint = f"option {name!r} is beside {property_name!r}: set one of them"
                raise OriginError(complaint, option=name)
            given[property_name] = _content(name, value)
        return given


def _servers(url: str) -> str:
    """Return the brokers that *url* names.

    Raises:
        OriginError: It names none; the message does not repeat it, for it may hold a secret.
    """
    servers = url.removeprefix("kafka:").removeprefix("//")
    for server in servers.split(","):
        match = _SERVER.fullmatch(server)
        if match is None or not 1 <= int(match[2] or 1) <= _PORT_MAX:
            raise OriginError(
                "the URL must be kafka://host[:port],…: no user, no path, nothing else"
            )
    return servers


def _content(name: str, value: object) -> str:
    """Read the file that option *name* names.

    Raises:
        OriginError: It cannot be read.
    """
    try:
        with Path(str(value)).open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
        if len(content) <= SECRET_BYTES_MAX:
            return content.decode().rstrip("\r\n")
        why = f"is larger than {SECRET_BYTES_MAX} bytes"
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a NUL in the path
        why = (error.strerror if isinstance(error, OSError) else None) or "is not UTF-8 text"
    raise OriginError(f"the file that option {name!r} names cannot be used: {why}", option=name)


def _complaint(given: Mapping[str, Any]) -> str | None:
    """Return what librdkafka says against *given*; connects to nobody, knowing no broker."""
    try:
        Producer({**_PRODUCER, **given, **_PRODUCER_FIXED, "logger": _SILENCE}).close()
    except KafkaException as error:
        return str(error.args[0].str())
    except (AttributeError, TypeError, ValueError):  # a callback's name, or an object's
        return "takes no value from a file"
    return None


def _blamed(given: Configuration, complaint: str) -> OriginError:
    """Find the option at fault, and say so in words that hold no value."""
    is_of_one = not complaint.startswith(_COMBINATION)
    for name, value in given.items():
        if is_of_one and _complaint({name: value}) == complaint:
            return OriginError(_words(name, complaint), option=name)
    return OriginError(redacted(complaint.removeprefix(_COMBINATION), given))


def _words(name: str, complaint: str) -> str:
    if complaint.startswith("No such configuration property"):
        return f"unknown option {name!r}: librdkafka has no such property"
    bounds = _RANGE.search(complaint)
    return f"option {name!r} cannot have this value" + (f": {bounds[1]}" if bounds else "")


def redacted(text: str, given: Mapping[str, Any]) -> str:
    """Return *text* without any value of *given* in it."""
    for value in given.values():
        text = re.sub(rf"(?<!\w){re.escape(str(value))}(?!\w)", "…", text) if value else text
    return text
