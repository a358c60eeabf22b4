"""``origin_client.open``: which URLs and options describe an origin, and what is said if none."""

import subprocess
import sys
from pathlib import Path

import pytest

from origin_client.open import open_origin, open_reader
from origin_client.origin import Options, OriginError, Outgoing

TOPIC = "edge.bet.v1"


@pytest.mark.parametrize(
    "url", ["", "log", "kafak://host:9092", "file:///origin", "/origin", ":x"]
)
def test_an_unknown_kind_is_refused_with_those_there_are(url: str) -> None:
    for opened in (lambda: open_origin(url, {}), lambda: open_reader(url, {})):
        with pytest.raises(OriginError, match="must begin with log:"):
            opened()


def test_a_log_needs_a_path() -> None:
    with pytest.raises(OriginError, match="path"):
        open_origin("log:", {})


@pytest.mark.parametrize(
    "options",
    [
        {"partition": 4},
        {"partitions": 0},
        {"partitions": 129},
        {"partitions": "4"},
        {"partitions": True},
        {"partitions": 4.0},
        {"file_bytes_max": 1},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_by_name(tmp_path: Path, options: Options) -> None:
    with pytest.raises(OriginError, match=next(iter(options))):
        open_origin(f"log:{tmp_path}/origin", options)

    assert list(tmp_path.iterdir()) == []


def test_options_reach_the_log(tmp_path: Path) -> None:
    origin = open_origin(f"log:{tmp_path}", {"partitions": 1, "file_bytes_max": 8192})
    large = Outgoing(b"k", b'{"x":"%s"}' % (b"x" * 9000))
    origin.publish(TOPIC, [large])
    origin.publish(TOPIC, [large])
    origin.close()

    assert [path.name for path in sorted((tmp_path / TOPIC).rglob("*.jsonl"))] == [
        "00000000000000000000.jsonl",
        "00000000000000000001.jsonl",
    ]


def test_a_reader_makes_no_log(tmp_path: Path) -> None:
    with pytest.raises(OriginError, match="no log"):
        open_reader(f"log:{tmp_path}/origin", {})

    assert list(tmp_path.iterdir()) == []


def test_an_http_origin_is_opened_without_being_asked_and_is_not_read() -> None:
    for url in ("https://origin.example/in", "http://127.0.0.1:1"):
        origin = open_origin(url, {"timeout_s": 1})
        assert origin.health() is None
        origin.close()
        with pytest.raises(OriginError, match="ask the receiver"):
            open_reader(url, {})


def test_a_kafka_is_described_by_its_brokers_and_options() -> None:
    open_origin("kafka://127.0.0.1:1", {"linger.ms": 1}).close()
    open_reader("kafka://127.0.0.1:1", {}).close()

    for opened in (open_origin, open_reader):
        with pytest.raises(OriginError, match="host"):
            opened("kafka://", {})
        with pytest.raises(OriginError, match=r"no\.such"):
            opened("kafka://127.0.0.1:1", {"no.such": 1})


def test_whoever_has_a_log_need_not_load_the_client_of_kafka() -> None:
    """It takes 13 MB."""
    program = "import sys, origin_client.open; sys.exit('confluent_kafka' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
