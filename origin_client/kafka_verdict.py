"""What becomes of a batch when some of it failed: decided from the reports alone.

In go the records, and the reports of those that failed; out comes why none of it can be judged
by its records, or which of them are refused.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError, Message

from origin_client.kafka_causes import explain
from origin_client.origin import OriginUnavailable, Outgoing, Refusal

# Faults of the records themselves; whatever else is reported passes, or is the operator's.
RECORD_FAULTS: Final = {
    "MSG_SIZE_TOO_LARGE": "larger than max.message.bytes of the topic",
    "RECORD_LIST_TOO_LARGE": "larger than segment.bytes of the topic",
    "INVALID_RECORD": "invalid for the topic",
}
# What befalls the others when one has failed.
_CONSEQUENCES: Final = frozenset({"_PURGE_QUEUE", "_FATAL", "_GAPLESS_GUARANTEE"})


def refuse_rest(
    topic: str,
    records: Sequence[Outgoing],
    taken: int,
    failures: Sequence[Message],
    fatal: KafkaError | None,
) -> list[Refusal]:
    """Refuse whatever of *records* was not acknowledged, if the fault is a record's.

    Args:
        topic: Where they should have gone.
        records: The batch.
        taken: The client took those before this place.
        failures: A report for each that the client took and the brokers did not.
        fatal: Why the client stopped.

    Raises:
        OriginUnavailable: It is not the records' fault, or what was written is not known.
    """
    errors = [error for message in failures if (error := message.error()) is not None]
    causes = [error for error in errors if error.name() not in _CONSEQUENCES]
    if fatal is not None and fatal.name() not in _CONSEQUENCES:
        causes.append(fatal)
    others = [error for error in causes if error.name() not in RECORD_FAULTS]
    if others or not causes:
        raise OriginUnavailable(explain(others[0] if others else fatal or errors[0], topic))
    reason = RECORD_FAULTS[causes[0].name()]
    return [Refusal(index, reason) for index in _lost(records, taken, failures)]


def _lost(records: Sequence[Outgoing], taken: int, failures: Sequence[Message]) -> list[int]:
    """Return the places of the records that failed, or were not even taken.

    Of equal ones, which go to one partition, the last are lost: behind a failed record nothing
    is written.
    """
    lost = Counter((message.key() or b"", message.value() or b"") for message in failures)
    places = list(range(taken, len(records)))
    for place in reversed(range(taken)):
        record = records[place].key, records[place].value
        if lost[record]:
            lost[record] -= 1
            places.append(place)
    return sorted(places)
