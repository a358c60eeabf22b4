"""The proof fails when it should: each way to lose, double, swap or falsify a bet is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from tests.system.proof import SETTLED, STAKED, Found, Proof, prove, read_bets, read_log

HEADER = "bet_id,round_id,player,played_at,stake_minor,payout_minor"
# The first player's two bets lie in one partition, between them one of the second's.
BETS: list[dict[str, str]] = [
    dict(zip(HEADER.split(","), row.split(","), strict=True))
    for row in (
        "1,r-1,p_ann,2016-10-31T15:38:43Z,100,0",
        "2,r-1,p_bob,2016-10-31T15:38:43Z,250,500",
        "3,r-2,p_ann,2016-10-31T15:39:10Z,300,900",
    )
]


def found(seq: int, type_: str, bet: dict[str, str], spool: str = "life-1") -> Found:
    """One record, as a gateway writes it."""
    name, letter = ("stake", "s") if type_ == STAKED else ("payout", "p")
    payload = {
        "provider_id": "replay",
        "round_id": bet["round_id"],
        "transaction_id": f"{letter}-{bet['bet_id']}",
        name: {"amount_minor": int(bet[f"{name}_minor"]), "currency": "EUR"},
    }
    event = {
        "edgespool": spool,
        "edgeseq": f"{seq}",
        "type": type_,
        "time": bet["played_at"].replace("Z", ".000Z"),
        "subject": bet["player"],
        "brand": "demo",
        "jurisdiction": "MT",
        "data": payload,
    }
    partition = 0 if bet["player"] == "p_ann" else 1
    return Found(partition, bet["player"], json.dumps(event).encode())


def all_of_it() -> list[Found]:
    """What a faultless gateway leaves behind: partition 0, then 1."""
    ann, bob, ann_again = BETS
    return [
        found(1, STAKED, ann),
        found(2, SETTLED, ann),
        found(5, STAKED, ann_again),
        found(6, SETTLED, ann_again),
        found(3, STAKED, bob),
        found(4, SETTLED, bob),
    ]


def altered(record: Found, **members: object) -> Found:
    """The record with other members; those of ``data`` replace its whole."""
    return record._replace(value=json.dumps(json.loads(record.value) | members).encode())


def with_payout(record: Found, payout_minor: int) -> Found:
    payload = json.loads(record.value)["data"]
    payload["payout"]["amount_minor"] = payout_minor
    return altered(record, data=payload)


def test_what_is_all_there_is_proved() -> None:
    proof = prove(BETS, all_of_it())

    assert proof == Proof(
        records=6,
        copies=0,
        counts=proof.counts,
        sums_minor=proof.sums_minor,
        players=2,
        spools=1,
        faults=[],
    )
    assert proof.counts == {STAKED: 3, SETTLED: 3}
    assert proof.sums_minor == {STAKED: 650, SETTLED: 1400}


def test_a_batch_that_was_written_again_is_counted_and_no_fault() -> None:
    records = all_of_it()

    proof = prove(BETS, [*records[:4], *records[:4], *records[4:]])

    assert (proof.records, proof.copies, proof.faults) == (10, 4, [])
    assert proof.sums_minor == {STAKED: 650, SETTLED: 1400}


def lose_one(records: list[Found]) -> list[Found]:
    return [record for record in records if record != records[4]]


def lose_the_last_number(records: list[Found]) -> list[Found]:
    """No gap tells of it, only the file."""
    return [record for record in records if record != records[3]]


def swap_two(records: list[Found]) -> list[Found]:
    """Settled before staked."""
    return [records[1], records[0], *records[2:]]


def swap_two_bets(records: list[Found]) -> list[Found]:
    return [*records[2:4], *records[:2], *records[4:]]


def alter_a_payout(records: list[Found]) -> list[Found]:
    return [*records[:3], with_payout(records[3], 901), *records[4:]]


def alter_two_payouts_by_as_much(records: list[Found]) -> list[Found]:
    """The sum is right, and the bets are not."""
    return [
        *records[:3],
        with_payout(records[3], 901),
        records[4],
        with_payout(records[5], 499),
    ]


def accept_one_twice(records: list[Found]) -> list[Found]:
    """Under another number it is another record."""
    return [*records, found(7, SETTLED, BETS[1])]


def accept_one_again_in_another_life(records: list[Found]) -> list[Found]:
    return [*records, found(1, SETTLED, BETS[1], spool="life-2")]


def write_another_under_a_number(records: list[Found]) -> list[Found]:
    return [*records, with_payout(records[5], 501)]


def write_one_under_another_key(records: list[Found]) -> list[Found]:
    return [*records[:5], records[5]._replace(key="p_ann")]


def write_one_for_another_player(records: list[Found]) -> list[Found]:
    return [*records[:5], altered(records[5], subject="p_ann")]


def write_one_elsewhere(records: list[Found]) -> list[Found]:
    return [*records[:5], records[5]._replace(partition=2)]


def write_a_stranger(records: list[Found]) -> list[Found]:
    return [*records, found(7, STAKED, BETS[1] | {"bet_id": "9"})]


def write_for_another_brand(records: list[Found]) -> list[Found]:
    return [*records[:5], altered(records[5], brand="north")]


def write_under_another_licence(records: list[Found]) -> list[Found]:
    return [*records[:5], altered(records[5], jurisdiction="GB")]


def write_another_time(records: list[Found]) -> list[Found]:
    return [*records[:5], altered(records[5], time="2016-10-31T15:38:44.000Z")]


def leave_a_gap(records: list[Found]) -> list[Found]:
    return [*records[:5], altered(records[5], edgeseq="7")]


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lose_one, "missing"),
        (lose_one, "5 numbers up to 6"),
        (lose_the_last_number, "missing"),
        (swap_two, "overtaken"),
        (swap_two_bets, "overtaken"),
        (alter_a_payout, "not as it is in the file"),
        (alter_two_payouts_by_as_much, "not as it is in the file"),
        (accept_one_twice, "more than once"),
        (accept_one_again_in_another_life, "more than once"),
        (write_another_under_a_number, "two different records"),
        (write_one_under_another_key, "under another player"),
        (write_one_for_another_player, "under another player"),
        (write_one_elsewhere, "in another partition"),
        (write_a_stranger, "not in the file"),
        (write_for_another_brand, "not in the file"),
        (write_under_another_licence, "not as it is in the file"),
        (write_another_time, "not as it is in the file"),
        (leave_a_gap, "6 numbers up to 7"),
    ],
)
def test_harm_is_found(harm: Callable[[list[Found]], list[Found]], fault: str) -> None:
    proof = prove(BETS, harm(all_of_it()))

    assert fault in " ".join(proof.faults)


def test_an_altered_payout_shows_in_the_sum() -> None:
    assert prove(BETS, alter_a_payout(all_of_it())).sums_minor[SETTLED] == 1401


def test_the_table_shows_every_figure_and_the_first_faults() -> None:
    proof = prove(BETS, lose_one(all_of_it()))

    title, *rows = proof.table("a title").splitlines()

    assert title == "a title"
    assert [row.split()[-1] for row in rows[:9]] == [
        "5",
        "0",
        "2",
        "3",
        "400",
        "1,400",
        "2",
        "1",
        "2",
    ]
    assert all("missing" in row or "numbers up to" in row for row in rows[9:])


def line(offset: int, value: object) -> str:
    return json.dumps({"offset": offset, "key": "k", "headers": {}, "value": value}) + "\n"


def test_the_log_is_read_as_its_format_says(tmp_path: Path) -> None:
    """A line counts once its newline is there; a file ends where the next one's name says."""
    for partition in ("0", "1"):
        (tmp_path / "topic" / partition).mkdir(parents=True)
    first = tmp_path / "topic" / "0" / f"{0:020d}.jsonl"
    first.write_text(line(0, {"n": 0}) + line(1, {"n": 1}) + line(2, {"void": True}))
    second = tmp_path / "topic" / "0" / f"{2:020d}.jsonl"
    second.write_text(line(2, {"n": "a\u2028b"}) + line(3, {"torn": True})[:-1])
    (tmp_path / "topic" / "1" / f"{0:020d}.jsonl").write_text(line(0, {"n": 3}))

    records = list(read_log(tmp_path, "topic"))

    told = [(r.partition, r.key, cast("object", json.loads(r.value)["n"])) for r in records]
    assert told == [(0, "k", 0), (0, "k", 1), (0, "k", "a\u2028b"), (1, "k", 3)]


def test_the_file_is_read_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "bets.csv"
    path.write_text("\n".join([HEADER, *(",".join(bet.values()) for bet in BETS)]))

    assert read_bets(path) == BETS
