"""``edge.shell.origin``: a described origin is opened, a mistake is told with its setting."""

import logging
from pathlib import Path

import pytest

from edge.config import ConfigError, OriginSettings
from edge.shell.origin import open_origin, open_push_reader


def test_an_origin_is_opened_whoever_is_there(tmp_path: Path) -> None:
    for settings in (
        OriginSettings(url=f"log:{tmp_path}/log", options={"partitions": 2}),
        OriginSettings(url="kafka://127.0.0.1:1"),
    ):
        origin = open_origin(settings)

        assert origin.health() is None
        origin.close()


@pytest.mark.parametrize(
    ("url", "options", "path"),
    [
        ("kafka://", {}, "origin.url"),
        ("kafka://here", {"acks": "1"}, "origin.options.acks"),
        ("log:x", {"partitions": "many"}, "origin.options.partitions"),
    ],
)
def test_a_mistake_is_told_with_the_path_of_its_setting(
    url: str, options: dict[str, str | int | float | bool], path: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        open_origin(OriginSettings(url=url, options=options))

    assert raised.value.path == path


def test_pushes_are_read_where_events_are_published(tmp_path: Path) -> None:
    settings = OriginSettings(url=f"log:{tmp_path}/log")
    open_origin(settings).close()

    reader = open_push_reader(settings)

    assert reader is not None
    assert reader.end("edge.push.v1") == dict.fromkeys(range(4), 0)
    reader.close()


def test_an_origin_that_cannot_be_read_means_no_pushes_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    settings = OriginSettings(url="https://receiver.example")

    assert open_push_reader(settings) is None
    (line,) = caplog.records
    assert "cannot be read" in line.__dict__["cause"]
