"""What comes out of a spool that lost its power: the real program empties it into a log.

In: a spool on a mounted image, and a room of the image's own. Out: what went wrong, in words;
the log lies in ``<room>/origin``.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.demo.evening import drain
from edge.demo.gateway import Settings, toml
from tests.faults.ledger.shape import SETTINGS
from tests.faults.power_witness import Witness
from tests.system.world import world

RETAINED_BYTES: Final = 48 << 10  # of a lane: two of the small segments of a campaign
DRAIN_TIMEOUT_S: Final = 240.0
NOWHERE: Final = "http://127.0.0.1:9/in"  # discard: nobody listens


def sections(spool: Path, origin: str = NOWHERE) -> Mapping[str, Settings]:
    """Write what a gateway on *spool* is told, besides what every world has."""
    return {
        **SETTINGS,
        "spool": {"path": str(spool), "retained_bytes_max": RETAINED_BYTES},
        "origin": {"url": origin},
    }


def drain_copy(command: Sequence[str], room: Path, spool: Path) -> list[str]:
    """Recover *spool* and forward all that it holds.

    Args:
        command: What runs ``edge``.
        room: Where the log is.
        spool: Nobody's.
    """
    config = room / "drain.toml"
    strangers = {"issuer": "none", "audience": "none", "jwks_path": str(room / "none.json")}
    node = {"name": "test-1", "region": "test"}
    config.write_text(
        toml({"node": node, "auth.issuers": [strangers], **sections(spool)}), "utf-8"
    )
    done = subprocess.run(
        [
            *(*command, "spool", "drain", "--config", str(config)),
            *("--to", f"log:{room / 'origin'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=DRAIN_TIMEOUT_S,
    )
    return [] if done.returncode == 0 else [f"drain: exit {done.returncode}: {done.stderr}"]


def serve_copy(
    command: tuple[str, ...], room: Path, spool: Path, jwks: Path, witness: Witness
) -> list[str]:
    """Recover *spool* by a gateway, which must know what the witness was told; empty it.

    Args:
        command: What runs ``edge``.
        room: Where the log is.
        spool: Nobody's.
        jwks: The keys of whom it believes.
        witness: Was told by another gateway, whose spool this was.

    Raises:
        GatewayError: It did not start, or did not stop.
    """
    with world(room, sections(spool, f"log:{room / 'origin'}")) as there:
        there.jwks.write_bytes(jwks.read_bytes())
        there.gateway.command = command
        there.gateway.start()
        found = witness.repeat(there.gateway.public) + drain(there.gateway, DRAIN_TIMEOUT_S)
        if code := there.gateway.stop():
            found.append(f"exit code {code} after SIGTERM")
    return found
