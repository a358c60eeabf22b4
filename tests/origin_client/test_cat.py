"""``origin_client.cat``: one line per record, for programs and for people."""

import io
from pathlib import Path

import msgspec
import pytest

from origin_client.cat import cat
from origin_client.log_layout import CONTENT_TYPE
from origin_client.open import open_origin
from origin_client.origin import OriginError, Outgoing, Record
from tests.contract.envelopes import NUMBERED

TOPIC = "edge.bonus.v1"
FACT = NUMBERED["minimal_fact"]


def printed(url: str, *, as_json: bool) -> list[str]:
    out = io.StringIO()
    records = cat(url, {}, TOPIC, out, as_json=as_json)
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
    assert cat(url, {}, "edge.nobody.v1", out, as_json=True) == 0

    assert out.getvalue() == ""


@pytest.mark.parametrize("topic", ["", "..", "../../etc", ".hidden", "a/b", "x" * 250])
def test_a_topic_is_no_path(url: str, topic: str) -> None:
    with pytest.raises(OriginError, match="name"):
        cat(url, {}, topic, io.StringIO(), as_json=True)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'{"a":\r\n\t1}', {"a": 1}),
        ('{"a":"\x9b2J\u202e"}'.encode(), {"a": "\x9b2J\u202e"}),
        (b"not JSON", "not JSON"),
        (b'{"a":"\xff"}', '{"a":"\\xff"}'),
        (b"", ""),
    ],
    ids=["spread out", "a terminal's commands", "text", "bytes", "nothing"],
)
def test_what_others_wrote_is_one_harmless_line(
    monkeypatch: pytest.MonkeyPatch, value: bytes, shown: object
) -> None:
    """A broker takes anything from anybody."""
    record = Record(topic=TOPIC, partition=0, offset=0, key="\x1b", headers={}, value=value)
    monkeypatch.setattr("origin_client.cat.open_reader", FakeReader(record).opened)

    (line,) = printed("kafka://here", as_json=True)
    (for_people,) = printed("kafka://here", as_json=False)

    assert line.isprintable()
    assert msgspec.json.decode(line)["value"] == shown
    assert for_people.isprintable()


class FakeReader:
    """Has one record."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def opened(self, *_: object) -> "FakeReader":
        """Be what is opened."""
        return self

    def subscribe(self, *_: object) -> list[Record]:
        """Yield it."""
        return [self._record]

    def close(self) -> None:
        """Leave."""
