"""``origin_client.put``: each line is a record, or a complaint that names it."""

from pathlib import Path

import pytest

from origin_client.open import open_reader
from origin_client.origin import OriginError
from origin_client.put import Published, put

TOPIC = "edge.push.v1"


def kept(url: str) -> list[tuple[str, bytes]]:
    """Key and value of all that the topic holds."""
    reader = open_reader(url, {})
    try:
        return [(each.key, each.value) for each in reader.subscribe(TOPIC, {})]
    finally:
        reader.close()


def test_each_line_is_a_record_under_the_key_and_in_order(tmp_path: Path) -> None:
    url, lines = (
        f"log:{tmp_path}",
        [b'{"id":"1"}\n', b"\n", b'  {"id":"2"}  \r\n', b'{"id":"3"}'],
    )

    assert put(url, {}, TOPIC, lines, key=b"pot") == Published(3, [])

    assert kept(url) == [("pot", b'{"id":"%d"}' % number) for number in (1, 2, 3)]


def test_a_line_that_is_no_record_is_named_and_costs_its_neighbours_nothing(
    tmp_path: Path,
) -> None:
    url = f"log:{tmp_path}"

    records, complaints = put(url, {}, TOPIC, [b'{"id":"1"}', b"", b"[]", b'{"id":"2"}'])

    assert records == 2
    assert [complaint.partition(":")[0] for complaint in complaints] == ["line 3"]
    assert [value for _, value in kept(url)] == [b'{"id":"1"}', b'{"id":"2"}']


def test_what_is_no_origin_or_no_topic_is_said(tmp_path: Path) -> None:
    with pytest.raises(OriginError, match="unknown origin"):
        put("ftp:x", {}, TOPIC, [])
    with pytest.raises(OriginError, match="topic's name"):
        put(f"log:{tmp_path}", {}, "..", [b"{}"])
