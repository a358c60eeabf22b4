"""``origin_client.cat``: one line per record, for programs and for people."""

import io
from pathlib import Path

import msgspec
import pytest

from origin_client.cat import cat
from origin_client.log_layout import CONTENT_TYPE
from origin_client.open import open_origin
from origin_client.origin import OriginError, Outgoing
from tests.contract.envelopes import NUMBERED

TOPIC = "edge.bonus.v1"
FACT = NUMBERED["minimal_fact"]


def printed(url: str, *, as_json: bool) -> list[str]:
    out = io.StringIO()
    records = cat(url, TOPIC, out, as_json=as_json)
    assert records == out.getvalue().count("\n")
    return out.getvalue().splitlines()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A log of one envelope and one object that is none."""
    url = f"log:{tmp_path}"
    origin = open_origin(url, {"partitions": 1})
    strange = Outgoing(b"\x1b[2J", b'{"id":"\\u001b[2J","type":7}')
    origin.publish(TOPIC, [Outgoing(b"player-0001", FACT), strange])
    origin.close()
    return url


def test_json_is_the_logs_line_plus_where_it_stood(url: str) -> None:
    first, second = printed(url, as_json=True)

    assert msgspec.json.decode(first) == {
        "topic": TOPIC,
        "partition": 0,
        "offset": 0,
        "key": "player-0001",
        "headers": {"content-type": CONTENT_TYPE},
        "value": msgspec.json.decode(FACT),
    }
    assert msgspec.json.decode(second)["offset"] == 1


def test_people_see_what_it_is_and_what_is_wrong_with_it(url: str) -> None:
    first, second = printed(url, as_json=False)

    assert first == (
        "0:0 'player-0001' '2026-02-14T20:00:00.125Z' 'bonus.grant.closed' "
        "'0198c0de-1111-7111-8111-000000000001'"
    )
    assert "invalid: " in second


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
def test_nothing_that_is_printed_commands_a_terminal(url: str, as_json: bool) -> None:  # noqa: FBT001  # a parameter of the table
    assert all(line.isprintable() for line in printed(url, as_json=as_json))


def test_a_topic_nobody_wrote_to_prints_nothing(url: str) -> None:
    out = io.StringIO()
    assert cat(url, "edge.nobody.v1", out, as_json=True) == 0

    assert out.getvalue() == ""


@pytest.mark.parametrize("topic", ["", "..", "../../etc", ".hidden", "a/b", "x" * 250])
def test_a_topic_is_no_path(url: str, topic: str) -> None:
    with pytest.raises(OriginError, match="name"):
        cat(url, topic, io.StringIO(), as_json=True)
