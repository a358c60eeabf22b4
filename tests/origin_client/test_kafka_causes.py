"""``origin_client.kafka_causes``: an error in plain words, and each change of cause told once."""

import logging
from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError

from origin_client.kafka_causes import (
    DETAIL_CHARS_MAX,
    ERROR_AGE_MAX_S,
    FIRST,
    OF_BROKERS,
    OF_TOPIC,
    Causes,
    Errors,
    explain,
    is_of_topic,
)
from tests.fakes_kafka import TOPIC, kafka_error

REFUSED = "10.0.0.1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            kafka_error("UNKNOWN_TOPIC_OR_PART"),
            f"{TOPIC} does not exist; create it, the gateway never does",
        ),
        (
            kafka_error("TOPIC_AUTHORIZATION_FAILED"),
            f"{TOPIC} may not be used; allow this user to",
        ),
        (
            kafka_error("_TRANSPORT", f"{REFUSED} (after 0ms in state CONNECT)"),
            (
                "a broker cannot be reached: 10.0.0.1:9092: "
                "Connect to ipv4#10.0.0.1:9092 failed: Connection refused"
            ),
        ),
        (
            kafka_error(
                "_AUTHENTICATION",
                "sasl_ssl://b-1.example:9093/1: SASL authentication error: no (after 3ms in "
                "state AUTH_REQ, 4 identical error(s) suppressed)",
            ),
            (
                "the login is refused; check the options sasl.*: b-1.example:9093: "
                "SASL authentication error: no"
            ),
        ),
        (
            kafka_error("_ALL_BROKERS_DOWN", "3/3 brokers are down"),
            "no broker can be reached: 3/3 brokers are down",
        ),
        (kafka_error("_FAIL", "a\nb"), "the brokers fail: a\nb"),
        (kafka_error("_FAIL", "x" * 999), f"the brokers fail: {'x' * DETAIL_CHARS_MAX}"),
    ],
    ids=["missing", "rights", "refused", "login", "all down", "two lines", "long"],
)
def test_an_error_is_told_in_plain_words(error: KafkaError, words: str) -> None:
    assert explain(error, TOPIC) == words


def test_every_name_is_one_of_librdkafka() -> None:
    """What is misspelt there would never be explained."""
    for name in [*OF_TOPIC, *OF_BROKERS, *FIRST]:
        assert kafka_error(name).name() == name


def test_an_error_of_a_topic_is_told_from_one_of_brokers() -> None:
    assert is_of_topic(kafka_error("UNKNOWN_TOPIC_OR_PART"))
    assert not is_of_topic(kafka_error("LEADER_NOT_AVAILABLE"))


def test_the_first_of_its_kind_stays_while_it_repeats() -> None:
    errors = Errors()
    errors.note(kafka_error("_TRANSPORT", "a:1/1: refused"))
    errors.note(kafka_error("_TRANSPORT", "b:1/2: refused"))

    assert errors.cause(TOPIC) == "a broker cannot be reached: a:1: refused"


def test_what_the_operator_can_mend_is_told_first() -> None:
    errors = Errors()
    for name in ("_ALL_BROKERS_DOWN", "_TRANSPORT", "_RESOLVE", "_SSL", "_AUTHENTICATION"):
        errors.note(kafka_error(name, "x"))
        assert errors.cause(TOPIC) == explain(kafka_error(name, "x"), TOPIC)


def test_errors_are_forgotten_when_it_works_or_nobody_repeats_them(
    later: Callable[[float], None],
) -> None:
    errors = Errors()
    errors.note(kafka_error("_SSL", "x"))
    assert errors.are_of_credentials
    later(ERROR_AGE_MAX_S + 1)
    aged = errors.cause(TOPIC), errors.are_of_credentials
    errors.note(kafka_error("_FAIL", "y"))
    latest = errors.cause(TOPIC)
    errors.clear()

    assert (aged, latest, errors.cause(TOPIC)) == (
        (None, False),
        "the brokers fail: y",
        None,
    )
    assert not errors.are_of_credentials


def test_a_certificate_refused_long_ago_is_not_what_ails_now(
    later: Callable[[float], None],
) -> None:
    errors = Errors()
    errors.note(kafka_error("_SSL", "x"))
    later(ERROR_AGE_MAX_S + 1)
    errors.note(kafka_error("_TRANSPORT", "a:1/1: refused"))

    assert errors.cause(TOPIC) == "a broker cannot be reached: a:1: refused"
    assert not errors.are_of_credentials


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    return [(record.getMessage(), record.__dict__["cause"]) for record in caplog.records]


def test_a_cause_of_many_topics_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    causes = Causes()
    with caplog.at_level(logging.INFO):
        for topic in ("a", "b", "a"):
            causes.put(topic, "no broker")
        causes.clear("a")
        still = causes.of(None)
        causes.clear("b")
        causes.clear("b")

    assert still == "no broker"
    assert lines(caplog) == [
        ("origin unavailable", "no broker"),
        ("origin works again", "no broker"),
    ]


def test_a_cause_that_is_raised_too_is_kept_without_a_line_and_its_end_has_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    causes = Causes()
    with caplog.at_level(logging.INFO):
        causes.keep("a", "no broker")
        kept, silent = causes.of("a"), lines(caplog)
        causes.put("a", "no broker")
        causes.clear("a")

    assert (kept, silent) == ("no broker", [])
    assert lines(caplog) == [("origin works again", "no broker")]


def test_each_topic_has_its_own_cause(caplog: pytest.LogCaptureFixture) -> None:
    causes = Causes()
    causes.put("a", "a does not exist")
    causes.put("b", "b does not exist")
    causes.put("a", "no broker")

    assert (causes.of("a"), causes.of("b"), causes.of("c")) == (
        "no broker",
        "b does not exist",
        None,
    )
    assert causes.of(None) == "no broker"
    assert [cause for _, cause in lines(caplog)] == [
        "a does not exist",
        "b does not exist",
        "no broker",
    ]
