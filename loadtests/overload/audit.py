"""The origin's log against what was accepted: each event once, and nothing else.

In: the directory of a ``log:`` origin, and the ids of the accepted events, one per line.

Source: origin_client.log_layout, "Record".
"""

from collections import Counter
from pathlib import Path

from edge.demo.audit import read_log

FAULTS_QUOTED_MAX = 5  # of each kind: one cause makes thousands


def audit(log: Path, accepted: Path) -> list[str]:
    """Tell what is at fault, in words; nothing if nothing is.

    Raises:
        OSError: One of them cannot be read.
        ValueError: The log is not what its format says.
    """
    due = set(accepted.read_text("ascii").split())
    found = Counter(str(line.envelope["id"]) for line in read_log(log))
    lost = due - found.keys()
    strange = found.keys() - due
    twice = [name for name, count in found.items() if count > 1]
    return [
        *_quoted("accepted, and lost", lost),
        *_quoted("forwarded, never accepted", strange),
        *_quoted("forwarded more than once", twice),
    ]


def _quoted(what: str, names: set[str] | list[str]) -> list[str]:
    every = sorted(names)
    some = ", ".join(every[:FAULTS_QUOTED_MAX])
    return [f"{len(every)} {what}: {some}"] if every else []
