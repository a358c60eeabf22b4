"""``edge.shell.origin``: a described origin is opened, a mistake is told with its setting."""

from pathlib import Path

import pytest

from edge.config import ConfigError, OriginSettings
from edge.shell.origin import open_origin


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
