"""Fixtures: a world to start when the test is ready, and one that runs."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from edge.demo.gateway import Settings
from tests.system.world import World, world

Build: TypeAlias = Callable[[Mapping[str, Settings]], World]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Builds a world that ends with the test; its gateway is not started."""
    with contextlib.ExitStack() as worlds:
        yield lambda sections: worlds.enter_context(world(tmp_path, sections))


@pytest.fixture
def here(build: Build) -> World:
    """A started gateway with default settings."""
    built = build({})
    built.gateway.start()
    return built
