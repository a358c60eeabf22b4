"""The line one pastes into a shell to send an event of one's own."""

import json
from typing import Final

from edge.demo.gateway import Address
from edge.demo.ledger import Event

# An intent may be 30 s old at most, so the shell fills in the time of pasting.
NOW: Final = "@now@"
SHELL_NOW: Final = "'\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"'"


def invitation(public: Address, token: str, event: Event) -> str:
    """Write a ``curl`` command that sends *event*, with the time it is then.

    Sent twice, the second answer is ``duplicate``.
    """
    body = json.dumps(event | {"time": NOW}).replace("'", "'\\''").replace(NOW, SHELL_NOW)
    return (
        f"curl -i 'http://{public[0]}:{public[1]}/v1/events' \\\n"
        f"  -H 'authorization: Bearer {token}' \\\n"
        f"  -H 'content-type: application/cloudevents+json' \\\n"
        f"  -d '{body}'"
    )
