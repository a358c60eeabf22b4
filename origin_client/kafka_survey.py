"""Asks the brokers which topics they lack, or keep from us, before anything is published or read.

In go the options and names of topics; out come sentences. Nothing is written.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicCollection, admin

from origin_client.kafka_causes import Errors, explain, is_of_topic
from origin_client.kafka_options import Configuration, KafkaOptions
from origin_client.origin import OriginError, OriginUnavailable

_ADMIN: Final[Any] = admin  # its annotations leave the results of futures unknown


class Right(enum.Enum):
    """What somebody wants of a topic; the value says who may not."""

    WRITE = "may not be written; allow this user to"
    READ = "may not be read; allow this user to"


def survey(
    options: KafkaOptions,
    topics: Sequence[str],
    timeout_s: float,
    connect: Callable[[Configuration], Any] = _ADMIN.AdminClient,
    *,
    right: Right = Right.WRITE,
) -> list[str]:
    """Say which of *topics* do not exist, or may not be used; nothing if all is well.

    Args:
        options: Where and how.
        topics: Which.
        timeout_s: For all of it.
        connect: Makes the client.
        right: What is wanted of them.

    Raises:
        OriginUnavailable: No broker answers within *timeout_s*, or an option's file is gone.
    """
    errors = Errors()
    try:
        client = connect(options.producer() | {"error_cb": errors.note})
    except OriginError as error:
        raise OriginUnavailable(str(error)) from error
    futures = client.describe_topics(
        TopicCollection(list(topics)),
        include_authorized_operations=True,
        request_timeout=timeout_s,
    )
    lacks: list[str] = []
    for topic, future in futures.items():
        try:
            rights = future.result().authorized_operations
        except KafkaException as failure:
            fault = failure.args[0]
            client.poll(0)  # why no broker answered
            if not is_of_topic(fault):
                raise OriginUnavailable(errors.cause(topic) or explain(fault, topic)) from None
            lacks.append(explain(fault, topic))
        else:
            if rights is not None and _ADMIN.AclOperation[right.name] not in rights:
                lacks.append(f"{topic} {right.value}")
    return lacks
