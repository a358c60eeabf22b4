"""Fixtures: a world to start when the test is ready, one that runs, and one that is shared."""

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from edge.demo.gateway import Settings
from edge.demo.payloads import Visit
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


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all rows of a table: each leaves it as it was."""
    with world(tmp_path_factory.mktemp("door")) as built:
        built.gateway.start()
        built.wait_until_ready()
        yield built


@pytest.fixture
def ada(door: World, request: pytest.FixtureRequest) -> Visit:
    """A player of this test's own, so that no row disturbs another."""
    return door.visit(f"{zlib.crc32(request.node.nodeid.encode())}")
