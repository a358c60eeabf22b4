"""What the audit must find: each thing that can be wrong at an origin, planted one by one."""

import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
import pytest

from tests.faults.ledger.audit import FAULTS_MAX, Allowed, Audit
from tests.faults.ledger.page import CLAIMED, OWED, REFUSED, Page
from tests.faults.ledger.shape import FACT_LANES, Findings
from tests.faults.ledger.sources import DEAD, Record, records
from tests.faults.ledger.words import Player, Service, Voice, event_id, number_of

RUN: Final = 7
STAMP_MS: Final = 1_771_099_200_000
BATCH: Final = 20
FACTS: Final = 4 * BATCH
ALL: Final = FACTS + 20

Voices: TypeAlias = list[tuple[Voice, Page]]
Records: TypeAlias = list[Record]


def voices() -> Voices:
    """A service's eighty facts and a player's twenty words, all accepted."""
    said: Voices = [
        (Service(RUN, 0, FACT_LANES), Page(BATCH)),
        (Player(RUN, 1, ("game", "telemetry")), Page(1)),
    ]
    for (_, page), batches in zip(said, (4, 20), strict=True):
        for batch in range(batches):
            for number in page.claim(STAMP_MS + batch):
                page.verdicts[number] = OWED
            page.settle()
    return said


def delivered(said: Voices) -> Records:
    """What a faultless gateway delivers of it: one run of each lane, one partition."""
    lanes: dict[str, int] = {}
    there: Records = []
    for voice, page in said:
        for number in range(page.claimed):
            envelope = voice.envelope(number, page.stamp_ms(number))
            lane = str(envelope["type"]).partition(".")[0]
            lanes[lane] = lanes.get(lane, 0) + 1
            numbers = {"edgespool": f"spool-{lane}", "edgeseq": str(lanes[lane])}
            key = str(envelope["session" if lane == "telemetry" else "subject"])
            value = orjson.dumps(numbers | envelope)
            there.append(Record(f"edge.{lane}.v1", 0, lanes[lane] - 1, key, value))
    return there


def audited(there: Records, said: Voices, allowed: Allowed | None = None) -> Findings:
    """Ask for all of it."""
    audit = Audit(RUN, said, allowed or Allowed())
    audit.take(there)
    return audit.finish()


def changed(record: Record, **members: object) -> Record:
    """The record with another envelope; a member that is ``None`` is taken out."""
    envelope: dict[str, Any] = orjson.loads(record.value) | members
    present = {name: value for name, value in envelope.items() if value is not None}
    return record._replace(value=orjson.dumps(present))


def letter(record: Record) -> Record:
    """The dead letter of a record, as the gateway writes it."""
    value = b'{"deadreason":"too large",' + record.value[1:]
    return record._replace(topic=DEAD, offset=0, value=value)


def renumbered(there: Records) -> Records:
    """The same with offsets that run on."""
    due: dict[str, int] = {}
    for at, record in enumerate(there):
        offset = due.get(record.topic, 0)
        due[record.topic] = offset + 1
        there[at] = record._replace(offset=offset)
    return there


def test_what_is_there_as_it_was_said_is_no_fault() -> None:
    said = voices()

    assert audited(delivered(said), said) == Findings(owed=ALL, delivered=ALL)


def lose(there: Records) -> None:
    """An event in the midst is not there; nor is its number."""
    del there[5]
    renumbered(there)


def change(there: Records) -> None:
    """An amount is another."""
    there[5] = changed(there[5], data={"amount_minor": 1})


def drop_member(there: Records) -> None:
    """Something that was sent is not there."""
    there[5] = changed(there[5], brand=None)


def misplace(there: Records) -> None:
    """An event lies in another lane's topic."""
    at = next(n for n, each in enumerate(there) if each.topic == "edge.bet.v1")
    there[at] = there[at]._replace(topic="edge.wallet.v1", offset=1000)
    renumbered(there)


def rekey(there: Records) -> None:
    """An event lies under another's key."""
    there[5] = there[5]._replace(key="player-somebody")


def invent(there: Records) -> None:
    """An event that nobody sent."""
    there.append(changed(there[-1], id=event_id(RUN, 0, 4000), edgespool="other", edgeseq="1"))
    renumbered(there)


def repeat_under_new_number(there: Records) -> None:
    """An event lies there twice, as two."""
    there.append(changed(there[0], edgespool="other", edgeseq="1"))
    renumbered(there)


def repeat_otherwise(there: Records) -> None:
    """An event lies there twice under one number, with other bytes."""
    there.append(changed(there[0], edgetime="later"))
    renumbered(there)


def give_number_twice(there: Records) -> None:
    """Two events lie there under one number."""
    lane = [n for n, each in enumerate(there) if each.topic == "edge.bet.v1"]
    there[lane[-1]] = changed(there[lane[-1]], edgeseq="1")


def overtake(there: Records) -> None:
    """Two events of one key change places."""
    game = [n for n, each in enumerate(there) if each.topic == "edge.game.v1"]
    first, second = game[-2:]
    there[first], there[second] = there[second], there[first]
    renumbered(there)


def bury(there: Records) -> None:
    """An event is a dead letter instead."""
    there[5] = letter(there[5])
    renumbered(there)


def meet_stranger(there: Records) -> None:
    """An event of somebody else's, which came twice."""
    other = changed(there[-1], id="prober-1", edgespool="other", edgeseq="1")
    there += [other, other]
    renumbered(there)


def go_back(there: Records) -> None:
    """A log whose offsets do not rise."""
    there[-1] = there[-1]._replace(offset=0)


def split_key(there: Records) -> None:
    """A key lies in two partitions."""
    there[-1] = there[-1]._replace(partition=1)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (lose, "accepted, and lost"),
        (lose, "1 of"),
        (change, "data is not what was sent"),
        (drop_member, "brand is not what was sent"),
        (misplace, "in edge.wallet.v1"),
        (rekey, "under another's key"),
        (invent, "delivered, never sent"),
        (repeat_under_new_number, "under two numbers, or as two records"),
        (repeat_otherwise, "under two numbers, or as two records"),
        (give_number_twice, "under a number that another event has"),
        (overtake, "overtaken"),
        (bury, "dead, too large"),
        (go_back, "again"),
        (split_key, "two partitions"),
    ],
)
def test_what_is_wrong_there_is_found(plant: Callable[[Records], None], words: str) -> None:
    said = voices()
    there = delivered(said)
    plant(there)

    assert any(words in fault for fault in audited(there, said).faults)


def test_what_came_again_byte_for_byte_is_counted_and_no_fault() -> None:
    said = voices()
    there = delivered(said)

    found = audited(renumbered([*there, *there[:7]]), said)

    assert found == Findings(owed=ALL, delivered=ALL, repeated=7)


def test_what_was_refused_must_not_be_there() -> None:
    said = voices()
    there = delivered(said)
    said[0][1].verdicts[3] = REFUSED

    assert [fault for fault in audited(there, said).faults if "refused" in fault]


def test_what_has_no_verdict_may_be_there_or_not() -> None:
    said = voices()
    there = delivered(said)
    said[1][1].verdicts[-1] = CLAIMED

    assert audited(there, said).faults == []
    assert audited(there[:-1], said).faults == []


def test_a_batch_that_was_put_off_in_part_may_lie_in_any_order_but_not_two_batches() -> None:
    said = voices()
    page = said[0][1]
    subjects = [said[0][0].event(number, 0)["subject"] for number in range(FACTS)]
    kinds = [str(said[0][0].event(number, 0)["type"])[:4] for number in range(FACTS)]
    pairs = [
        (one, other)
        for one in range(FACTS)
        for other in range(one + 1, FACTS)
        if (subjects[one], kinds[one]) == (subjects[other], kinds[other])
    ]
    within = next(pair for pair in pairs if pair[0] // BATCH == pair[1] // BATCH)
    across = next(pair for pair in pairs if pair[0] // BATCH != pair[1] // BATCH)
    for number in (*within, *across):
        page.is_torn[number // BATCH] = 1

    def swapped(one: int, other: int) -> list[str]:
        there = delivered(said)
        there[one], there[other] = there[other], there[one]
        return audited(renumbered(there), said).faults

    assert swapped(*within) == []
    assert len(swapped(*across)) == 1


@pytest.mark.parametrize(
    ("plant", "allowed", "figure"),
    [
        (bury, Allowed(dead_one_in=1), Findings(owed=ALL, delivered=ALL, dead=1)),
        (
            repeat_under_new_number,
            Allowed(again=True),
            Findings(owed=ALL, delivered=ALL, again=1),
        ),
        (meet_stranger, Allowed(strangers=True), Findings(owed=ALL, delivered=ALL, strays=1)),
    ],
)
def test_what_a_campaign_brings_about_itself_is_counted_and_no_fault(
    plant: Callable[[Records], None], allowed: Allowed, figure: Findings
) -> None:
    said = voices()
    there = delivered(said)
    plant(there)

    assert audited(there, said, allowed) == figure


def test_where_strangers_may_be_an_event_of_our_own_that_nobody_sent_is_a_fault() -> None:
    said = voices()
    there = delivered(said)
    invent(there)

    found = audited(there, said, Allowed(strangers=True))

    assert found.faults == [f"event {event_id(RUN, 0, 4000)}: delivered, never sent"]


def test_dead_may_be_what_the_launcher_has_refused_and_nothing_else() -> None:
    said = voices()
    there = delivered(said)
    refused = [zlib.crc32(each.value) % 3 == 0 for each in there]

    chosen = [
        letter(r) if is_refused else r for r, is_refused in zip(there, refused, strict=True)
    ]
    every = audited(renumbered([letter(each) for each in there]), said, Allowed(dead_one_in=3))

    assert audited(renumbered(chosen), said, Allowed(dead_one_in=3)) == Findings(
        owed=ALL, delivered=ALL, dead=sum(refused)
    )
    assert len(every.faults) == refused.count(False)
    assert every.dead == ALL


def test_a_letter_must_say_what_was_sent_and_may_be_written_twice() -> None:
    said = voices()
    there = delivered(said)
    bury(there)
    both = Allowed(dead_one_in=1)

    def with_letter(buried: Record) -> Findings:
        return audited(renumbered([*there[:5], buried, *there[6:]]), said, both)

    assert audited(renumbered([*there, there[5]]), said, both) == Findings(
        owed=ALL, delivered=ALL, dead=1
    )
    assert len(with_letter(changed(there[5], data={"amount_minor": 1})).faults) == 1
    assert len(with_letter(there[5]._replace(key="nobody")).faults) == 1


def test_what_is_dead_and_delivered_is_a_fault() -> None:
    said = voices()
    there = delivered(said)

    found = audited(renumbered([*there, letter(there[5])]), said, Allowed(dead_one_in=1))

    assert len(found.faults) == 1


def test_only_what_was_owed_at_a_mark_is_asked_for() -> None:
    said = voices()
    audit = Audit(RUN, said, Allowed())
    audit.take(each for each in delivered(said) if each.topic != "edge.telemetry.v1")

    found = audit.finish(owed_below=[FACTS])

    assert (found.owed, found.lost, found.faults) == (FACTS, 0, [])


def test_a_thousand_faults_are_counted_and_a_hundred_are_told() -> None:
    said = voices()

    found = audited([], said)
    many = audited([changed(each, brand="x", source="y") for each in delivered(said)], said)

    assert (found.owed, found.lost, len(found.faults)) == (ALL, ALL, ALL)
    assert len(many.faults) == FAULTS_MAX + 1
    assert many.faults[-1] == "and 100 more"


def test_the_log_is_read_up_to_its_last_whole_line_and_to_where_the_next_file_begins(
    tmp_path: Path,
) -> None:
    partition = tmp_path / "edge.bet.v1" / "0"
    partition.mkdir(parents=True)

    def line(offset: int, value: str) -> str:
        return json.dumps({"offset": offset, "key": "p", "headers": {}, "value": value}) + "\n"

    first = line(0, "a") + line(1, "b") + line(2, "void")
    (partition / f"{0:020d}.jsonl").write_text(first)
    (partition / f"{2:020d}.jsonl").write_text(line(2, "c") + line(3, "torn")[:-1])

    found = [(each.offset, each.value.strip()) for each in records(f"log:{tmp_path}")]

    assert found == [(0, b'"a"'), (1, b'"b"'), (2, b'"c"')]


def test_dead_letters_are_read_where_they_lie_but_those_of_unreadable_frames(
    tmp_path: Path,
) -> None:
    dead = tmp_path / "0" / "bet" / "dead"
    dead.mkdir(parents=True)
    letter = {"dead_ms": 1, "reason": "r", "crc32": 2}
    lines = [letter | {"key": "p", "value": {"id": "x"}}, letter | {"raw": "AA=="}]
    content = "".join(json.dumps(each, separators=(",", ":")) + "\n" for each in lines)
    (dead / "0000000001.jsonl").write_text(content)

    assert [*records(f"dead:{tmp_path}")] == [Record(DEAD, 0, 0, "p", b'{"id":"x"}')]


def test_nothing_else_can_be_audited() -> None:
    with pytest.raises(ValueError, match="cannot audit ftp:x"):
        records("ftp:x")


def test_a_name_tells_voice_and_number_and_nobody_elses_does() -> None:
    name = event_id(RUN, 3, 0xABC)

    assert number_of(name, RUN) == (3, 0xABC)
    for stranger in (name[:-1], name.upper(), event_id(8, 3, 0xABC), f"{name[:-1]}g", "x" * 36):
        assert number_of(stranger, RUN) is None


def test_every_lane_is_spoken_of() -> None:
    for voice, lanes in (
        (Service(RUN, 0, FACT_LANES), set(FACT_LANES)),
        (Player(RUN, 1, (*FACT_LANES, "telemetry")), {*FACT_LANES, "telemetry"}),
    ):
        said = [voice.event(number, STAMP_MS) for number in range(200)]

        assert {str(event["type"]).partition(".")[0] for event in said} == lanes
        assert len({str(event["id"]) for event in said}) == 200
        assert said[5] == replace(voice).event(5, STAMP_MS)
