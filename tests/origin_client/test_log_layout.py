"""``origin_client.log_layout``: what may stand in a log's directory, and what may not."""

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from origin_client import log_layout
from origin_client.log_layout import Line, Settings
from origin_client.origin import OriginError

LINE = b'{"offset":7,"key":"p-1","headers":{"content-type":"x"},"value":{"id":"1"}}'


def test_a_line_is_read() -> None:
    line = log_layout.parse_line(LINE)

    assert line is not None
    assert line == Line(7, "p-1", {"content-type": "x"}, line.value)
    assert bytes(line.value) == b'{"id":"1"}'


@pytest.mark.parametrize("cut", range(len(LINE)))
def test_no_part_of_a_line_is_a_line(cut: int) -> None:
    assert log_layout.parse_line(LINE[:cut]) is None


@given(line=st.binary())
def test_any_bytes_are_a_line_or_none(line: bytes) -> None:
    assert log_layout.parse_line(line) is None


@pytest.mark.parametrize("line", [b'{"offset":0,"key":"\xff"}', b'{"x":' * 100_000])
def test_what_no_decoder_expects_is_no_line(line: bytes) -> None:
    assert log_layout.parse_line(line) is None


def test_only_files_named_by_an_offset_are_the_logs(tmp_path: Path) -> None:
    for name in ("00000000000000000010.jsonl", "00000000000000000002.jsonl", "7.jsonl", "x"):
        (tmp_path / name).touch()

    assert log_layout.first_offsets(tmp_path) == [2, 10]
    assert log_layout.first_offsets(tmp_path / "absent") == []
    assert log_layout.file_path(tmp_path, 10).exists()


def test_settings_are_read_back(tmp_path: Path) -> None:
    assert log_layout.read_settings(tmp_path) is None
    assert log_layout.read_settings(tmp_path / "absent") is None

    log_layout.write_settings(tmp_path, Settings(1, 7))

    assert log_layout.read_settings(tmp_path) == Settings(1, 7)
    assert os.listdir(tmp_path) == [log_layout.SETTINGS_FILE]  # noqa: PTH208  # names are compared


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b'{"format":2,"partitions":4}', b'{"format":1,"partitions":0}'],
    ids=["empty", "torn", "binary", "newer", "none"],
)
def test_what_is_not_our_log_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / log_layout.SETTINGS_FILE
    path.write_bytes(content)

    with pytest.raises(OriginError, match=r"log\.json"):
        log_layout.read_settings(tmp_path)

    assert path.read_bytes() == content
