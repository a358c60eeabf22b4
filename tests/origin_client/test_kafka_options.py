"""``origin_client.kafka_options``: what describes a Kafka, what is told if none, what is kept."""

from pathlib import Path

import pytest

from origin_client.kafka_options import FIXED, SECRET_BYTES_MAX, KafkaOptions, redacted
from origin_client.origin import Options, OriginError

URL = "kafka://127.0.0.1:9092"
SECRET = "hunter2-geheim"


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("kafka://one", "one"),
        ("kafka://one:1,two.example:65535", "one:1,two.example:65535"),
        ("kafka:one:9092", "one:9092"),
        ("kafka://[::1]:9092,[2001:db8::1]", "[::1]:9092,[2001:db8::1]"),
    ],
)
def test_the_url_names_the_brokers(url: str, servers: str) -> None:
    options = KafkaOptions(url, {})

    assert options.servers == servers
    assert options.producer()["bootstrap.servers"] == servers
    assert options.consumer()["bootstrap.servers"] == servers


@pytest.mark.parametrize(
    "url",
    [
        "kafka:",
        "kafka://",
        "kafka://one,",
        "kafka://one:0",
        "kafka://one:65536",
        "kafka://one:port",
        "kafka://one/topic",
        f"kafka://user:{SECRET}@one",
        "kafka://::1",
    ],
)
def test_a_url_that_names_none_is_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(OriginError, match="kafka://host") as raised:
        KafkaOptions(url, {})

    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("name", FIXED)
def test_what_the_promise_depends_on_cannot_be_set(name: str) -> None:
    with pytest.raises(OriginError, match=f"option '{name}' cannot be set: ") as raised:
        KafkaOptions(URL, {name: "1"})

    assert raised.value.option == name


@pytest.mark.parametrize("name", ["topic.acks", "acks_file", "topic.message.timeout.ms"])
def test_nor_by_another_name(name: str) -> None:
    with pytest.raises(OriginError, match="cannot be set"):
        KafkaOptions(URL, {name: "1"})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param(
            {"linger.mss": 5}, "unknown option 'linger.mss': librdkafka", id="misspelt"
        ),
        pytest.param({"": 5}, "unknown option ''", id="no name"),
        pytest.param({"linger.ms": "soon"}, "option 'linger.ms' cannot have", id="no number"),
        pytest.param(
            {"linger.ms": -1},
            "option 'linger.ms' cannot have this value: 0..900000",
            id="out of range",
        ),
        pytest.param(
            {"client.id": "a", "compression.type": SECRET},
            "option 'compression.type' cannot have this value",
            id="no such word",
        ),
        pytest.param({"stats_cb": "print"}, "option 'stats_cb' cannot have", id="a callback"),
        pytest.param(
            {"default.topic.config": "x"}, "'default.topic.config' cannot have", id="an object"
        ),
        pytest.param(
            {"max.in.flight": 6}, "`max.in.flight` must be set <= 5", id="breaks the order"
        ),
        pytest.param(
            {"security.protocol": "SASL_SSL", "sasl.mechanism": SECRET},
            "Unsupported SASL mechanism: …",
            id="no such login",
        ),
        pytest.param(
            {"security.protocol": "SSL", "ssl.ca.location": "missing.pem"},
            "ssl.ca.location failed",
            id="no such authority",
        ),
    ],
)
def test_a_wrong_option_is_named_and_its_value_is_not_shown(
    options: Options, complaint: str
) -> None:
    with pytest.raises(OriginError) as raised:
        KafkaOptions(URL, options)

    assert complaint in str(raised.value)
    assert SECRET not in str(raised.value)
    assert raised.value.option in {*options, ""}


def test_any_other_option_reaches_the_clients() -> None:
    options = KafkaOptions(URL, {"linger.ms": 7, "compression.codec": "lz4"})

    assert options.producer().items() >= {"linger.ms": 7, "compression.codec": "lz4"}.items()
    assert options.consumer()["linger.ms"] == 7


def test_the_order_of_records_is_what_it_must_be_whatever_is_set() -> None:
    given = KafkaOptions(URL, {"linger.ms": 7}).producer()

    assert given["partitioner"] == "murmur2_random"
    assert (given["acks"], given["message.timeout.ms"]) == ("all", 0)
    assert given["enable.idempotence"]
    assert given["enable.gapless.guarantee"]
    assert not given["allow.auto.create.topics"]


def test_a_reader_joins_no_group_and_skips_nothing() -> None:
    given = KafkaOptions(URL, {}).consumer()

    assert given["auto.offset.reset"] == "error"
    assert not given["enable.auto.commit"]


def test_a_secret_in_a_file_is_read_again_for_each_client(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    options = KafkaOptions(URL, {"sasl.password_file": str(password)})
    first = options.producer()["sasl.password"]
    password.write_text("second\r\n")

    assert (first, options.producer()["sasl.password"]) == ("first", "second")
    assert options.consumer()["sasl.password"] == "second"
    assert "sasl.password_file" not in options.producer()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"\xff", "not UTF-8"),
        (b"x" * (SECRET_BYTES_MAX + 1), "larger than"),
    ],
    ids=["missing", "binary", "large"],
)
def test_a_file_that_holds_no_secret_is_told_by_its_option(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(OriginError, match=why) as raised:
        KafkaOptions(URL, {"sasl.password_file": str(path)})

    assert raised.value.option == "sasl.password_file"


def test_a_path_that_is_none_is_told_too() -> None:
    with pytest.raises(OriginError, match="not UTF-8"):
        KafkaOptions(URL, {"sasl.password_file": "a\0b"})


def test_a_value_is_given_once() -> None:
    with pytest.raises(OriginError, match="is beside"):
        KafkaOptions(URL, {"sasl.password": "a", "sasl.password_file": "b"})


def test_the_clients_own_log_is_silent_unless_asked_for() -> None:
    assert KafkaOptions(URL, {}).producer()["logger"].disabled
    assert "logger" not in KafkaOptions(URL, {"debug": "broker"}).producer()


def test_no_value_is_left_in_a_redacted_text() -> None:
    given = {"a": SECRET, "b": "", "c": 7}

    assert redacted(f"no {SECRET}, 7 or 77", given) == "no …, … or 77"
