"""The floor without a real gateway: a kill that nobody survives is said, not waited for."""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from typing_extensions import override

from edge.demo import floor
from edge.demo.floor import PLAYERS, play
from edge.demo.gateway import Gateway, GatewayError
from edge.demo.issuer import Issuer
from edge.demo.ledger import Event
from edge.demo.narrator import Narrator
from edge.demo.stage import Stage
from tests.fakes_demo import AgreeableGateway


@dataclass
class Door(AgreeableGateway):
    """One that can be stopped where it stands.

    Attributes:
        is_frozen: Whether it reads on, but says nothing.
        unheard: Who spoke on a socket meanwhile.
        lines: All connections, to be cut.
    """

    is_frozen: bool = False
    unheard: list[object] = field(default_factory=list[object])
    lines: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    @override
    def reply(self) -> bytes | None:
        """Answer the last request, or not."""
        return None if self.is_frozen else super().reply()

    @override
    def word(self, frame: Event | None) -> Sequence[Event]:
        """Answer a frame, or not."""
        if not self.is_frozen or frame is None:
            return super().word(frame)
        self.unheard += (event["subject"] for event in cast("list[Event]", frame["events"]))
        return ()

    @override
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines.append(writer)
        await super()._serve(reader, writer)


@dataclass
class Mortal:
    """A gateway's process that dies when killed and does not come back."""

    door: Door
    told: list[str] = field(default_factory=list[str])

    @property
    def public(self) -> tuple[str, int]:
        """Where the door is."""
        return self.door.address

    def freeze(self) -> None:
        """Be slow about it: answer on."""
        self.told.append("frozen")

    def kill(self) -> None:
        """Die."""
        self.told.append("killed")

    def start(self) -> None:
        """Do not come back."""
        self.told.append("started")
        raise GatewayError("it stays dead")


@dataclass
class Unhurt(Mortal):
    """One that comes back at once, and ended no socket."""

    @override
    def start(self) -> None:
        """Come back."""
        self.told.append("started")


@dataclass
class Revived(Unhurt):
    """One that stands still when told to, and ends all connections when killed."""

    @override
    def freeze(self) -> None:
        """Stand still."""
        super().freeze()
        self.door.is_frozen = True

    @override
    def kill(self) -> None:
        """Die."""
        super().kill()
        self.door.is_frozen = False
        for line in self.door.lines:
            line.transport.abort()


def scene(
    mortal: type[Mortal], out: io.StringIO, room: Path
) -> tuple[list[str], Stage, Mortal]:
    """Play a second on a floor whose door agrees to everything."""

    async def hours() -> tuple[list[str], Stage, Mortal]:
        async with Door() as door:
            body = mortal(door)
            gateway = cast("Gateway", body)  # what the floor needs of one
            issuer, narrator = Issuer(), Narrator(out)
            stage = Stage(7, 1.0, issuer, Issuer(), gateway, narrator, room)
            return await play(stage), stage, body

    return asyncio.run(hours())


def test_a_gateway_that_does_not_come_back_ends_the_evening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floor, "CROWD_TIMEOUT_S", 0.3)
    with pytest.raises(ExceptionGroup) as failed:
        scene(Mortal, io.StringIO(), tmp_path)

    assert [str(failure) for failure in failed.value.exceptions] == ["it stays dead"]


def test_everybody_plays_and_what_was_answered_wrongly_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.demo.jackpot.PATIENCE_S", 0.1)
    monkeypatch.setattr(floor, "CROWD_TIMEOUT_S", 0.3)
    out = io.StringIO()

    wrong, stage, body = scene(Unhurt, out, tmp_path)

    assert body.told == ["frozen", "killed", "started"]
    assert (
        "3 of them with a socket, 3 services, and one trickster, who keeps a socket, too"
        in (out.getvalue())
    )
    assert "SIGKILL, with " in out.getvalue()
    assert "a forged token: 2 accepted" in wrong
    assert "player-jun: 0 pushes arrived, 1 were due" in wrong
    assert "player-jun: never came back on a socket after the kill" in wrong
    speakers = {entry.speaker for entry in stage.ledger.entries if entry.verdict == "accepted"}
    assert {f"player-{name}" for name, _, _ in PLAYERS} <= speakers
    assert {"pam", "game-servers", "cashier"} <= speakers


def test_each_socket_speaks_to_a_frozen_gateway_and_again_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.demo.jackpot.PATIENCE_S", 0.1)
    monkeypatch.setattr(floor, "KILL_IN_FLIGHT", 1)

    _, stage, body = scene(Revived, io.StringIO(), tmp_path)

    assert body.told == ["frozen", "killed", "started"]
    assert {"player-jun", "player-kim", "player-leo"} <= {*body.door.unheard}
    assert stage.ledger.resent == len(body.door.unheard)
    assert not [each for each in stage.ledger.complaints if "verdicts on nothing" in each]
    assert "" not in stage.ledger.tally()
