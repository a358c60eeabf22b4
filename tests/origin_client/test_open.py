"""``origin_client.open``: which URLs and options describe an origin, and what is said if none."""

from pathlib import Path

import pytest

from origin_client.open import Options, open_origin, open_reader
from origin_client.origin import OriginError, Outgoing

TOPIC = "edge.bet.v1"


@pytest.mark.parametrize(
    "url", ["", "log", "kafak://host:9092", "file:///origin", "/origin", ":x"]
)
def test_an_unknown_kind_is_refused_with_those_there_are(url: str) -> None:
    for opened in (lambda: open_origin(url, {}), lambda: open_reader(url)):
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
        open_reader(f"log:{tmp_path}/origin")

    assert list(tmp_path.iterdir()) == []
