"""The floor without a real gateway: a kill that nobody survives is said, not waited for."""

import asyncio
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from typing_extensions import override

from edge.demo.floor import PLAYERS, play
from edge.demo.gateway import Gateway, GatewayError
from edge.demo.issuer import Issuer
from edge.demo.narrator import Narrator
from edge.demo.stage import Stage
from tests.fakes_demo import AgreeableGateway


@dataclass
class Mortal:
    """A gateway's process that dies when killed and does not come back."""

    public: tuple[str, int]
    told: list[str] = field(default_factory=list[str])

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


def scene(
    mortal: type[Mortal], out: io.StringIO, room: Path
) -> tuple[list[str], Stage, Mortal]:
    """Play a second on a floor whose door agrees to everything."""

    async def floor() -> tuple[list[str], Stage, Mortal]:
        async with AgreeableGateway() as door:
            body = mortal(door.address)
            gateway = cast("Gateway", body)  # what the floor needs of one
            issuer, narrator = Issuer(), Narrator(out)
            stage = Stage(7, 1.0, issuer, Issuer(), gateway, narrator, room)
            return await play(stage), stage, body

    return asyncio.run(floor())


def test_a_gateway_that_does_not_come_back_ends_the_evening(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as failed:
        scene(Mortal, io.StringIO(), tmp_path)

    assert [str(failure) for failure in failed.value.exceptions] == ["it stays dead"]


def test_everybody_plays_and_what_was_answered_wrongly_is_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.demo.jackpot.PATIENCE_S", 0.1)
    out = io.StringIO()

    wrong, stage, body = scene(Unhurt, out, tmp_path)

    assert body.told == ["killed", "started"]
    assert "SIGKILL, with " in out.getvalue()
    assert "a forged token: 2 accepted" in wrong
    assert "player-jun: 0 pushes arrived, 1 were due" in wrong
    assert "player-jun: never came back on a socket after the kill" in wrong
    speakers = {entry.speaker for entry in stage.ledger.entries if entry.verdict == "accepted"}
    assert {f"player-{name}" for name, _, _ in PLAYERS} <= speakers
    assert {"pam", "game-servers", "cashier"} <= speakers
