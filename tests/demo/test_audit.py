"""The audit sees every single thing that can be wrong with an origin's log."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from edge.demo import audit

Json: TypeAlias = dict[str, object]
Book: TypeAlias = list[Json]
Log: TypeAlias = dict[str, list[Json]]

RUN, RUN_2 = "0198f3a0-0000-7000-8000-000000000001", "0198f3a0-0000-7000-8000-000000000002"


def event(name: str, kind: str = "bet.slip.submitted") -> Json:
    return {
        "id": f"id-{name}",
        "source": "app://casino",
        "type": kind,
        "time": "2026-11-22T20:00:00.000Z",
        "subject": "player-ada",
        "session": "visit-1",
        "seq": 1,
        "data": {"stake": {"amount_minor": 100, "odds": [18500, 21000]}},
    }


def entry(number: int, name: str, verdict: str = "accepted") -> Json:
    return {"number": number, "speaker": "ada", "verdict": verdict, "event": event(name)}


def line(offset: int, name: str, run: str, seq: int, key: str = "player-ada") -> Json:
    numbered = {"edgespool": run, "edgeseq": str(seq), "edgetime": "2026-11-22T20:00:00.001Z"}
    return {"offset": offset, "key": key, "headers": {}, "value": numbered | event(name)}


BOOK: Book = [
    entry(1, "a"),
    entry(2, "b"),
    entry(3, "b", "duplicate"),
    entry(4, "x", "schema_violation"),
    {"number": 5, "speaker": "ada", "verdict": "body_malformed", "event": None},
    entry(6, "c"),
]
WHERE = "edge.bet.v1/2"
LOG: Log = {WHERE: [line(0, "a", RUN, 1), line(1, "b", RUN, 2), line(2, "c", RUN_2, 1)]}


def write(room: Path, log: Log, book: Book) -> tuple[Path, Path]:
    """Put both books on disk, the log cut into two files per partition."""
    for where, lines in log.items():
        partition = room / "origin" / where
        partition.mkdir(parents=True)
        for first, chunk in ((0, lines[:1]), (1, lines[1:])):
            text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in chunk)
            (partition / f"{first:020d}.jsonl").write_text(text, "utf-8")
    ledger = room / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(each) + "\n" for each in book), "utf-8")
    return room / "origin", ledger


def test_books_that_agree_have_no_fault(tmp_path: Path) -> None:
    findings = audit.audit(*write(tmp_path, LOG, BOOK))

    assert findings == audit.Findings(forwarded=3, repeated=0, lost=0, faults=[])


def test_what_is_told_beside_the_events_is_no_event(tmp_path: Path) -> None:
    push: Json = {"offset": 0, "key": "", "headers": {}, "value": {"pushto": "all"}}
    told = {"edge.refused.v1/0": [line(7, "a", RUN, 1)], "edge.dead.v1/1": LOG[WHERE]}
    told["edge.push.v1/0"] = [push]

    findings = audit.audit(*write(tmp_path, LOG | told, BOOK))

    assert findings == audit.Findings(forwarded=3, repeated=0, lost=0, faults=[])


def leave_alone(_log: Log) -> None:
    """Do no harm."""


def lose_a_record(log: Log) -> None:
    log[WHERE].pop()


def lose_a_record_in_the_middle(log: Log) -> None:
    del log[WHERE][1]


def leave_a_gap_in_a_run(log: Log) -> None:
    log[WHERE][1]["value"]["edgeseq"] = "3"  # type: ignore[index]  # a plain nested dict


def change_a_payload(log: Log) -> None:
    log[WHERE][1]["value"]["data"]["stake"]["amount_minor"] = 101  # type: ignore[index]  # same


def change_an_attribute(log: Log) -> None:
    log[WHERE][0]["value"]["seq"] = 2  # type: ignore[index]  # same


def forward_a_refused_event(log: Log) -> None:
    log[WHERE].append(line(3, "x", RUN_2, 2))


def forward_twice_under_two_numbers(log: Log) -> None:
    log[WHERE].append(line(3, "c", RUN_2, 2))


def give_one_number_to_two(log: Log) -> None:
    log[WHERE].append(line(3, "a", RUN_2, 1))


def turn_the_order(log: Log) -> None:
    first, second, third = log[WHERE]
    log[WHERE] = [
        second | {"offset": 0},
        first | {"offset": 1},
        third,
    ]


def skip_an_offset(log: Log) -> None:
    log[WHERE][2]["offset"] = 3


def use_another_key(log: Log) -> None:
    log[WHERE][0]["key"] = "player-bob"


def use_two_partitions(log: Log) -> None:
    log["edge.bet.v1/3"] = [log[WHERE].pop() | {"offset": 0}]


def use_another_lane(log: Log) -> None:
    log["edge.game.v1/2"] = [log[WHERE].pop() | {"offset": 0}]


def share_a_run_between_lanes(log: Log) -> None:
    log["edge.game.v1/2"] = [line(0, "c", RUN, 3)]
    log[WHERE].pop()


@pytest.mark.parametrize(
    ("harm", "lost", "complaint"),
    [
        (lose_a_record, 1, "entry 6: accepted, and lost"),
        (lose_a_record_in_the_middle, 1, "entry 2: accepted, and lost"),
        (leave_a_gap_in_a_run, 0, f"edgespool {RUN}: gap at 2"),
        (change_a_payload, 0, "entry 2: data is not what was sent"),
        (change_an_attribute, 0, "entry 1: seq is not what was sent"),
        (forward_a_refused_event, 0, "event id-x: forwarded, never accepted"),
        (forward_twice_under_two_numbers, 0, "entry 6: forwarded 2 times"),
        (give_one_number_to_two, 0, f"('{RUN_2}', 1): two different records"),
        (turn_the_order, 0, "entry 1: overtaken by entry 2"),
        (skip_an_offset, 0, "edge.bet.v1/2: offset 3, not 2"),
        (use_another_key, 0, "entry 1: under the key of somebody else"),
        (use_two_partitions, 0, "edge.bet.v1: a key in two partitions"),
        (use_another_lane, 0, "entry 6: in edge.game.v1"),
        (share_a_run_between_lanes, 0, f"edgespool {RUN}: in ['edge.bet.v1', 'edge.game.v1']"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_every_harm_is_named(
    tmp_path: Path, harm: Callable[[Log], None], lost: int, complaint: str
) -> None:
    log = copy.deepcopy(LOG)
    harm(log)

    findings = audit.audit(*write(tmp_path, log, BOOK))

    assert complaint in findings.faults
    assert findings.lost == lost


def test_the_same_record_again_is_counted_and_no_fault(tmp_path: Path) -> None:
    log = copy.deepcopy(LOG)
    log[WHERE] += [line(3, "b", RUN, 2), line(4, "c", RUN_2, 1)]

    findings = audit.audit(*write(tmp_path, log, BOOK))

    assert findings == audit.Findings(forwarded=3, repeated=2, lost=0, faults=[])


def test_a_file_ends_where_the_next_begins_and_a_line_at_its_newline(tmp_path: Path) -> None:
    log, ledger = write(tmp_path, LOG, BOOK)
    first, second = sorted((log / WHERE).iterdir())
    with first.open("a") as lines:
        lines.write(json.dumps(line(1, "x", RUN, 2)) + "\n")
    with second.open("a") as lines:
        lines.write('{"offset": 3, "key"')

    assert audit.audit(log, ledger).faults == []


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path: Path) -> None:
    log, book = copy.deepcopy(LOG), copy.deepcopy(BOOK)
    for found in (log[WHERE][0]["value"], book[0]["event"]):
        found["data"] = {"specifiers": "a\u2028b\x85c"}  # type: ignore[index]  # a nested dict

    assert audit.audit(*write(tmp_path, log, book)).faults == []


def test_a_line_that_is_no_record_stops_the_audit(tmp_path: Path) -> None:
    log, ledger = write(tmp_path, LOG, BOOK)
    ledger.write_text("[]\n")

    with pytest.raises(ValueError, match="not a JSON object"):
        audit.audit(log, ledger)


@pytest.mark.parametrize(
    ("harm", "exit_code"), [(leave_alone, 0), (lose_a_record, 1)], ids=["sound", "loss"]
)
def test_as_a_program_it_prints_its_findings_and_exits_with_them(
    tmp_path: Path, harm: Callable[[Log], None], exit_code: int
) -> None:
    log = copy.deepcopy(LOG)
    harm(log)

    done = subprocess.run(
        [sys.executable, "-I", audit.__file__, *map(str, write(tmp_path, log, BOOK))],
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (exit_code, b"")
    assert json.loads(done.stdout)["lost"] == exit_code


def test_the_program_imports_nothing_of_ours() -> None:
    source = Path(audit.__file__).read_text("utf-8")

    assert "edge." not in "".join(row for row in source.splitlines() if "import " in row)
