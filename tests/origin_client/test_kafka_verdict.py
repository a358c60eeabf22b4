"""``origin_client.kafka_verdict``: what is refused when some of a batch failed, and what is not."""

from itertools import product

import pytest
from confluent_kafka import KafkaError, Message

from origin_client.kafka_verdict import RECORD_FAULTS, refuse_rest
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
from tests.fakes_kafka import TOPIC, kafka_error, report

TOO_LARGE = "larger than max.message.bytes of the topic"
GAPLESS = kafka_error("_GAPLESS_GUARANTEE", fatal=True)


def batch(*keys: bytes) -> list[Outgoing]:
    return [Outgoing(key, b"%d" % place) for place, key in enumerate(keys)]


def failed(records: list[Outgoing], fault: str) -> list[Message]:
    return [report(record.key, record.value, fault) for record in records]


def test_what_was_not_acknowledged_is_refused_in_order() -> None:
    records = batch(b"a", b"b", b"a", b"b", b"a")
    failures = failed(records[2:3], "MSG_SIZE_TOO_LARGE") + failed(records[4:], "_PURGE_QUEUE")

    assert refuse_rest(TOPIC, records, 5, failures, GAPLESS) == [
        Refusal(2, TOO_LARGE),
        Refusal(4, TOO_LARGE),
    ]


def test_what_the_client_did_not_take_any_more_is_refused_too() -> None:
    records = batch(b"a", b"a", b"a")
    failures = failed(records[1:2], "INVALID_RECORD")

    refused = refuse_rest(TOPIC, records, 2, failures, GAPLESS)

    assert [refusal.index for refusal in refused] == [1, 2]


def test_of_equal_records_the_last_are_lost() -> None:
    records = [Outgoing(b"", b"same")] * 4
    failures = [report(b"", b"same", "MSG_SIZE_TOO_LARGE")] * 2

    refused = refuse_rest(TOPIC, records, 4, failures, GAPLESS)

    assert [refusal.index for refusal in refused] == [2, 3]


@pytest.mark.parametrize("fault", RECORD_FAULTS)
def test_a_record_that_fails_alone_is_refused_with_its_fault(fault: str) -> None:
    (record,) = batch(b"a")

    refused = refuse_rest(TOPIC, [record], 1, failed([record], fault), GAPLESS)

    assert refused == [Refusal(0, RECORD_FAULTS[fault])]


@pytest.mark.parametrize(
    ("faults", "fatal", "cause"),
    [
        (("UNKNOWN_TOPIC_OR_PART",), None, "does not exist"),
        (("TOPIC_AUTHORIZATION_FAILED", "_PURGE_QUEUE"), GAPLESS, "may not be used"),
        (("MSG_SIZE_TOO_LARGE", "NOT_ENOUGH_REPLICAS"), GAPLESS, "too few replicas"),
        (("_PURGE_INFLIGHT",), None, "the brokers fail"),
        (("_PURGE_QUEUE",), kafka_error("CLUSTER_AUTHORIZATION_FAILED"), "IDEMPOTENT_WRITE"),
        (("_PURGE_QUEUE",), GAPLESS, "the brokers fail"),
        (("_PURGE_QUEUE",), None, "the brokers fail"),
        ((), kafka_error("_FATAL"), "the brokers fail"),
    ],
)
def test_whatever_is_not_the_records_fault_is_an_outage(
    faults: tuple[str, ...], fatal: KafkaError | None, cause: str
) -> None:
    records = batch(*(b"a" for _ in range(3)))
    failures = [
        failure
        for record, fault in zip(records, faults, strict=False)
        for failure in failed([record], fault)
    ]

    with pytest.raises(OriginUnavailable, match=cause):
        refuse_rest(TOPIC, records, 3, failures, fatal)


def test_sending_the_refused_again_alone_keeps_the_order_of_each_key() -> None:
    """Every batch of four records of two keys, failing anywhere, with any prefix acknowledged."""
    for keys in product((b"a", b"b"), repeat=4):
        records = batch(*keys)
        for first in range(4):
            # The key's partition stops at the first failure; the other's is written or not.
            for other in (True, False):
                lost = [
                    record
                    for place, record in enumerate(records)
                    if (record.key == keys[first] and place >= first)
                    or (record.key != keys[first] and not other)
                ]
                written = [record for record in records if record not in lost]
                failures = failed(lost[:1], "MSG_SIZE_TOO_LARGE")
                failures += failed(lost[1:], "_PURGE_QUEUE")

                refused = refuse_rest(TOPIC, records, 4, failures, GAPLESS)
                written += [records[refusal.index] for refusal in refused]

                for key in (b"a", b"b"):
                    values = [record.value for record in written if record.key == key]
                    assert values == sorted(values)
                assert sorted(record.value for record in written) == [b"0", b"1", b"2", b"3"]
