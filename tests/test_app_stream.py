"""Sockets are wired from their settings, behind the same house as requests."""

from functools import partial
from pathlib import Path

import msgspec

from edge.app import build
from edge.config import Connections, Http, Limits, Stream
from edge.core.ops import Limits as Told
from edge.shell.directives import Directives
from edge.shell.front import Front
from edge.shell.http import Ingest
from edge.shell.stream.door import StreamDoor
from edge.shell.stream.revoked import end_revoked
from tests.fakes import FakeClock
from tests.test_app import settings


def test_the_door_of_sockets_has_its_settings_and_the_house_of_requests(tmp_path: Path) -> None:
    config = msgspec.structs.replace(
        settings(tmp_path),
        http=Http(allowed_origins=("https://play.example",)),
        limits=Limits(connections=Connections(total=7)),
        stream=Stream(frames_per_s=3, in_flight_bytes=1 << 20),
    )
    gateway = build(config, FakeClock())
    gateway.spool.close()

    assert isinstance(gateway.front, Front)
    door, ingest = gateway.front.stream, gateway.front.ingest
    assert isinstance(door, StreamDoor)
    assert door.origins == {"https://play.example"}
    assert door.host.registry.bounds.total == 7
    assert door.host.limits == Told(
        frame_bytes=65_536,
        events=200,
        frames_per_s=3,
        events_per_s=2000,
        in_flight_bytes=1 << 20,
    )
    assert isinstance(ingest, Ingest)
    assert door.host.house is ingest.house
    assert set(door.host.lanes().values()) == {"open"}
    gateway.spool.room.is_full = True
    assert set(door.host.lanes().values()) == {"full"}


def test_a_revocation_finds_the_sockets_it_ends(tmp_path: Path) -> None:
    gateway = build(settings(tmp_path), FakeClock())
    gateway.spool.close()

    assert isinstance(gateway.directives, Directives)
    listener = gateway.directives.listener
    assert isinstance(listener, partial)
    assert listener.func is end_revoked
