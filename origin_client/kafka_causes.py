"""Why publishing to Kafka does not work, in plain words; and which topic suffers from what.

In go the client's errors; out come sentences that say what to do. Those about one topic begin
with its name; the others are the brokers', and the same for every topic. Each change is logged
once, however many topics it touches and however often the client repeats itself.
"""

import logging
import re
import time
from typing import Final

from confluent_kafka import KafkaError
from typing_extensions import override

from origin_client.ailments import Ailments

log: Final = logging.getLogger("origin_client.kafka")

# A broker may put its own words into an error; a cause stays a line.
DETAIL_CHARS_MAX: Final = 200

# librdkafka tries a broker again after at most 10 s, and says each time what is wrong.
ERROR_AGE_MAX_S: Final = 30.0
# Which error to tell, when several happen by turns: the one that is the operator's to mend.
FIRST: Final = ("_AUTHENTICATION", "_SSL", "_RESOLVE", "_TRANSPORT")
# A new client reads passwords and certificates again; librdkafka never does.
_CREDENTIALS: Final = frozenset({"_AUTHENTICATION", "_SSL"})

# As in: sasl_ssl://host:9093/1: what went wrong (after 3ms in state AUTH_REQ, 4 identical …)
_DETAIL: Final = re.compile(r"(?:\w+://)?(?:([^/\s]+)/\S+: )?(.*?)(?: \(after \d+ms in .*)?\s*")

# By the names of librdkafka's codes; those with ``_`` are its own, the others a broker's.
OF_TOPIC: Final = {
    "UNKNOWN_TOPIC_OR_PART": "does not exist; create it, the gateway never does",
    "_UNKNOWN_TOPIC": "does not exist; create it, the gateway never does",
    "_UNKNOWN_PARTITION": "was deleted; create it, the gateway never does",
    "TOPIC_AUTHORIZATION_FAILED": "may not be used; allow this user to",
    "TOPIC_EXCEPTION": "is not a name that a topic can have",
    "NOT_ENOUGH_REPLICAS": "has too few replicas in sync; look at the brokers",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "has too few replicas in sync; look at the brokers",
}
OF_BROKERS: Final = {
    "_AUTHENTICATION": "the login is refused; check the options sasl.*",
    "SASL_AUTHENTICATION_FAILED": "the login is refused; check the options sasl.*",
    "_SSL": "TLS fails; check the options ssl.* and the brokers' certificates",
    "CLUSTER_AUTHORIZATION_FAILED": "this user may not write; allow IDEMPOTENT_WRITE",
    "_RESOLVE": "a broker's name has no address; check DNS",
    "_TRANSPORT": "a broker cannot be reached",
    "_ALL_BROKERS_DOWN": "no broker can be reached",
}


def is_of_topic(error: KafkaError) -> bool:
    """Return whether *error* is about the topic itself, and stays until somebody mends it."""
    return error.name() in OF_TOPIC


def explain(error: KafkaError, topic: str) -> str:
    """Say what *error* means for whoever uses *topic*, and what to do."""
    if words := OF_TOPIC.get(error.name()):
        return f"{topic} {words}"
    match = _DETAIL.fullmatch(error.str())
    server, said = match.groups() if match else (None, error.str())
    detail = f"{server}: {said}" if server else said
    words = OF_BROKERS.get(error.name(), "the brokers fail")
    return f"{words}: {detail[:DETAIL_CHARS_MAX]}"


class Errors:
    """What a client says of its connections, lately: one thread at a time.

    Brokers that are away are tried again all the time, each with its own words. So that a cause
    stays the same while nothing changes, the first of each kind is kept.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[KafkaError, float]] = {}  # first of a kind, last seen

    def note(self, error: KafkaError) -> None:
        """Take in one error; the client's ``error_cb``."""
        first, _ = self._latest.get(error.name(), (error, 0.0))
        self._latest[error.name()] = (first, time.monotonic())

    def cause(self, topic: str) -> str | None:
        """Explain the one to tell first; ``None`` when there was none lately."""
        lately = self._lately()
        if not lately:
            return None
        name = next((each for each in FIRST if each in lately), next(iter(lately)))
        return explain(lately[name], topic)

    @property
    def are_of_credentials(self) -> bool:
        """Whether a login or a certificate was refused lately."""
        return not _CREDENTIALS.isdisjoint(self._lately())

    def clear(self) -> None:
        """Forget them: it works."""
        self._latest.clear()

    def _lately(self) -> dict[str, KafkaError]:
        since_s = time.monotonic() - ERROR_AGE_MAX_S
        return {
            name: error for name, (error, seen_s) in self._latest.items() if seen_s >= since_s
        }


class Causes(Ailments):
    """What each topic suffers from, logged as it changes; any thread."""

    @override
    def put(self, topic: str, cause: str) -> bool:
        """Note that *topic* suffers from *cause* now."""
        is_news = super().put(topic, cause)
        if is_news:
            log.warning("origin unavailable", extra={"cause": cause})
        return is_news

    def keep(self, topic: str, cause: str) -> None:
        """Note it as :meth:`put` does, without a line: whoever it is raised to writes that."""
        super().put(topic, cause)

    @override
    def clear(self, topic: str) -> str | None:
        """Note that *topic* works now."""
        cause = super().clear(topic)
        if cause is not None:
            log.info("origin works again", extra={"cause": cause})
        return cause
