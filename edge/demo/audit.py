"""Compares the origin's log with the clients' ledger; a program of its own.

Run as ``python -I audit.py LOG LEDGER``. In: the directory of a ``log:`` origin, and the
ledger, one JSON object a line. Out: one JSON object on standard output, and exit code 0 only if
nothing is at fault. It shares no code with the gateway, nor with the evening: standard library
only, and it reads the log's files by their documented format, not through ``origin_client``.

What must hold:

- every accepted event is in the log under exactly one (``edgespool``, ``edgeseq``), as sent;
- nothing is in the log that was not accepted;
- the numbers of every ``edgespool`` are 1, 2, 3, … without a gap;
- records that came twice (after a kill the origin may get a batch again) are the same bytes;
- what one speaker said of one key in one lane lies in the order in which it was said.

Source: design.md §4 "Envelope out", §6 "log:PATH"; origin_client.log_layout, "Record".
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

Json: TypeAlias = dict[str, object]

# What a sender writes and the origin must show unchanged.
CARRIED = (
    *("id", "source", "type", "time", "subject", "data", "session", "seq"),
    *("brand", "jurisdiction", "traceparent", "tracestate"),
)
# What the gateway tells beside the events: refusals, and copies of dead letters; and what it
# is told: pushes.
NOT_LANES = frozenset({"edge.refused.v1", "edge.dead.v1", "edge.push.v1"})


class Line(NamedTuple):
    """One record of the log, where it lies."""

    topic: str
    partition: str
    offset: int
    key: str
    envelope: Json

    @property
    def number(self) -> tuple[str, int]:
        """``(edgespool, edgeseq)``: the record's identity downstream."""
        return str(self.envelope.get("edgespool")), int(str(self.envelope.get("edgeseq")))


@dataclass
class Findings:
    """What the audit has to say.

    Attributes:
        forwarded: Distinct records in the log.
        repeated: Records that lie there once more, with the same bytes.
        lost: Accepted events that are not there.
        faults: Everything that does not add up, in words.
    """

    forwarded: int = 0
    repeated: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list[str])


def audit(log: Path, ledger: Path) -> Findings:
    """Compare the two books.

    Raises:
        ValueError: A file of either is not what its format says.
        OSError: One cannot be read.
    """
    findings = Findings()
    lines = _distinct(read_log(log), findings)
    _check_gaps(lines, findings)
    entries = [_object(line) for line in _lines(ledger)]
    _check_events(lines, entries, findings)
    _check_order(lines, entries, findings)
    return findings


def read_log(root: Path) -> Iterator[Line]:
    """Read ``<topic>/<partition>/<first offset>.jsonl`` of every lane, in order of offset.

    A line counts once its newline is there, and a file ends where the next one's name says so.
    """
    for partition in sorted(path for path in root.glob("edge.*/*") if path.is_dir()):
        if partition.parent.name in NOT_LANES:
            continue
        files = sorted(partition.glob("*.jsonl"))
        for file, behind in zip_longest(files, files[1:]):
            end = int(behind.stem) if behind else sys.maxsize
            for text in _lines(file):
                line = _object(text)
                offset = cast("int", line["offset"])
                if offset < end:
                    key, value = cast("str", line["key"]), cast("Json", line["value"])
                    yield Line(partition.parent.name, partition.name, offset, key, value)


def _lines(file: Path) -> list[str]:
    """Split at line feeds only: ``splitlines`` also splits inside JSON strings."""
    return file.read_text("utf-8").split("\n")[:-1]


def _distinct(log: Iterator[Line], findings: Findings) -> list[Line]:
    """Keep the first of each number; see that offsets run on and repetitions are the same."""
    first: dict[tuple[str, int], Line] = {}
    due: dict[tuple[str, str], int] = defaultdict(int)
    for line in log:
        where = line.topic, line.partition
        if line.offset != due[where]:
            findings.faults.append(f"{'/'.join(where)}: offset {line.offset}, not {due[where]}")
        due[where] = line.offset + 1
        known = first.setdefault(line.number, line)
        if known is not line:
            findings.repeated += 1
            if (known.topic, known.key, known.envelope) != (
                line.topic,
                line.key,
                line.envelope,
            ):
                findings.faults.append(f"{line.number}: two different records")
    findings.forwarded = len(first)
    return list(first.values())


def _check_gaps(lines: list[Line], findings: Findings) -> None:
    """See that each ``edgespool`` counts 1, 2, 3, …, in one lane."""
    runs: dict[str, list[int]] = defaultdict(list)
    lanes: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        spool, seq = line.number
        runs[spool].append(seq)
        lanes[spool].add(line.topic)
    for spool, numbers in runs.items():
        missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
        if missing or min(numbers) < 1:
            findings.faults.append(f"edgespool {spool}: gap at {(missing or numbers)[0]}")
        if len(lanes[spool]) > 1:
            findings.faults.append(f"edgespool {spool}: in {sorted(lanes[spool])}")


def _check_events(lines: list[Line], entries: list[Json], findings: Findings) -> None:
    """See that what was accepted, and only that, is there once and as it was sent."""
    by_id: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_id[str(line.envelope.get("id"))].append(line)
    for entry in entries:
        if entry["verdict"] != "accepted":
            continue
        event = cast("Json", entry["event"])
        found = by_id.pop(str(event["id"]), [])
        if not found:
            findings.lost += 1
            findings.faults.append(f"entry {entry['number']}: accepted, and lost")
        elif len(found) > 1:
            findings.faults.append(f"entry {entry['number']}: forwarded {len(found)} times")
        else:
            findings.faults += _differences(entry["number"], event, found[0])
    findings.faults += [f"event {stray}: forwarded, never accepted" for stray in by_id]


def _differences(number: object, event: Json, line: Line) -> Iterator[str]:
    """Name what the origin shows otherwise than it was sent."""
    for name in CARRIED:
        if name in event and event[name] != line.envelope.get(name):
            yield f"entry {number}: {name} is not what was sent"
    lane = str(event["type"]).partition(".")[0]
    if line.topic != f"edge.{lane}.v1":
        yield f"entry {number}: in {line.topic}"
    if line.key != event["session" if lane == "telemetry" else "subject"]:
        yield f"entry {number}: under the key of somebody else"


def _check_order(lines: list[Line], entries: list[Json], findings: Findings) -> None:
    """See that each speaker's words of one key and lane lie as they were said."""
    accepted = [entry for entry in entries if entry["verdict"] == "accepted"]
    said = {str(cast("Json", entry["event"])["id"]): entry for entry in accepted}
    last: dict[tuple[str, str, object], int] = {}
    homes: dict[tuple[str, str], str] = {}
    for line in sorted(lines, key=lambda line: (line.topic, line.partition, line.offset)):
        if homes.setdefault((line.topic, line.key), line.partition) != line.partition:
            findings.faults.append(f"{line.topic}: a key in two partitions")
        entry = said.get(str(line.envelope.get("id")))
        if entry is None:
            continue
        thread = line.topic, line.key, entry["speaker"]
        number = cast("int", entry["number"])
        if number < last.get(thread, 0):
            findings.faults.append(f"entry {number}: overtaken by entry {last[thread]}")
        last[thread] = max(number, last.get(thread, 0))


def _object(text: str) -> Json:
    found: object = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("a line is not a JSON object")  # noqa: TRY004  # no caller's mistake
    return cast("Json", found)


def main(arguments: list[str]) -> int:
    """Print the findings; 1 if anything is at fault."""
    log, ledger = map(Path, arguments)
    findings = audit(log, ledger)
    print(json.dumps(vars(findings)))  # noqa: T201  # standard output is its answer
    return 1 if findings.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
