"""Events that the fakes' player sends over a socket, one per number; and frames of them."""

import uuid
from typing import Any, Final

import msgspec

from tests.core.catalogue.examples import example
from tests.fakes import PLAYER, SESSION

SPIN: Final = "game.spin.requested"
SLIP: Final = "bet.slip.submitted"
MOVES: Final = "telemetry.interaction.batch"

_KEYS: Final = {SPIN: "request_id", SLIP: "slip_id"}


def event(seq: int, type_: str = SPIN, /, **members: object) -> dict[str, Any]:
    """The player's event with this number, sent just now; id and business key follow from it."""
    sent: dict[str, Any] = example(type_) | {
        "id": str(uuid.UUID(int=seq)),
        "subject": PLAYER,
        "session": SESSION,
        "seq": seq,
        "time": "2026-02-14T20:00:00.000Z",
    }
    if type_ in _KEYS:
        sent["data"][_KEYS[type_]] = str(uuid.UUID(int=seq))
    sent.pop("brand", None)
    sent.pop("jurisdiction", None)
    return sent | members


def frame(*events: object) -> bytes:
    """The text of an ``events`` frame."""
    return msgspec.json.encode({"op": "events", "events": events})
