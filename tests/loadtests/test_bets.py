"""Rows become the two facts each bet is, the same in every run; bad rows are told by line."""

import json
from typing import cast

import pytest
from hypothesis import example, given, strategies as st

from edge.core.decode import Shape, decode
from edge.core.event import Event
from loadtests.batches import body_of
from loadtests.bets import COLUMNS, BadRow, Bet, Terms, facts_of, read_bets
from tests.fakes_replay import TERMS, bet

HEADER = "bet_id,round_id,player,played_at,stake_minor,cashed_out_e2,payout_minor,crashed_at_e2"
ROW = "854,3294811,p_cd454b5d9cc55f29,2016-10-31T15:38:43Z,10000,,0,125"
BET = Bet(2, "854", "3294811", "p_cd454b5d9cc55f29", "2016-10-31T15:38:43Z", 10_000, 0)


def rows(*below: str, header: str = HEADER) -> list[Bet | BadRow]:
    return list(read_bets([f"{line}\n" for line in (header, *below)]))


def test_a_row_is_a_bet() -> None:
    assert rows(ROW) == [BET]


def test_columns_may_stand_anywhere_and_empty_lines_too() -> None:
    header = "payout_minor,stake_minor,played_at,player,round_id,bet_id"

    found = rows(
        "", "0,10000,2016-10-31T15:38:43Z,p_cd454b5d9cc55f29,3294811,854", header=header
    )

    assert found == [BET._replace(line=3)]


@pytest.mark.parametrize(
    ("place", "text", "complaint"),
    [
        (0, "", "bet_id is not valid"),
        (0, "8 54", "bet_id is not valid"),
        (0, "8" * 63, "bet_id is not valid"),
        (1, "ä", "round_id is not valid"),
        (2, "p_1", "player is not valid"),
        (2, "ann@example.org", "player is not valid"),
        (3, "2016-10-31 15:38:43", "played_at is not valid"),
        (3, "2016-10-31T15:38:43+00:00", "played_at is not valid"),
        (3, "2016-02-30T15:38:43Z", "played_at never was"),
        (4, "-1", "stake_minor is not valid"),
        (4, "1.0", "stake_minor is not valid"),
        (4, "\N{ARABIC-INDIC DIGIT ONE}", "stake_minor is not valid"),
        (6, "1_000", "payout_minor is not valid"),
        (6, "1000000000001", "an amount above 1000000000000"),
    ],
)
def test_a_bad_field_is_told_with_its_line_and_costs_its_neighbours_nothing(
    place: int, text: str, complaint: str
) -> None:
    fields: list[str] = [*ROW.split(",")]
    fields[place] = text

    assert rows(ROW, ",".join(fields), ROW) == [BET, BadRow(3, complaint), BET._replace(line=4)]


def test_a_short_row_is_bad() -> None:
    assert rows("854,3294811") == [BadRow(2, "2 fields, not 8")]


def test_a_file_without_its_columns_has_no_rows() -> None:
    assert rows(ROW, header="bet_id,round_id,player") == [
        BadRow(1, "no column played_at, stake_minor, payout_minor")
    ]
    assert list(read_bets([])) == [BadRow(1, f"no column {', '.join(COLUMNS)}")]


def test_rows_end_where_the_file_stops_being_csv() -> None:
    (bad,) = rows('85"4,"329"4811",p', ROW)

    assert isinstance(bad, BadRow)
    assert bad.complaint.startswith("not CSV: ")


@given(st.text() | st.text('"\n\r\0,a1'))
def test_any_text_is_rows_or_complaints(text: str) -> None:
    for row in read_bets([HEADER, *text.splitlines(keepends=True)]):
        assert isinstance(row, Bet | BadRow)


def events(of: Bet, terms: Terms = TERMS) -> list[dict[str, object]]:
    return [json.loads(fact.encoded) for fact in facts_of(of, terms)]


def test_a_bet_is_its_stake_then_its_settlement() -> None:
    staked, settled = events(BET._replace(payout_minor=12_000))

    assert staked["type"] == "bet.round.staked"
    assert settled["type"] == "bet.round.settled"
    assert staked["subject"] == settled["subject"] == BET.player
    assert staked["time"] == settled["time"] == BET.played_at
    stake, payout = (cast("dict[str, object]", each["data"]) for each in (staked, settled))
    assert stake["stake"] == {"amount_minor": 10_000, "currency": "EUR"}
    assert payout["payout"] == {"amount_minor": 12_000, "currency": "EUR"}
    assert payout["win_type"] == "base"


def test_a_loss_has_no_win_type() -> None:
    _, settled = events(BET)

    assert cast("dict[str, object]", settled["data"])["win_type"] == "none"


def test_a_second_replay_says_the_very_same() -> None:
    assert facts_of(BET, TERMS) == facts_of(BET, TERMS)


def test_ids_are_as_wide_as_the_business_key() -> None:
    """Another bet, another kind, another brand: another id. Another line: the same."""
    told = [
        *events(BET),
        *events(BET._replace(bet_id="855")),
        *events(BET, TERMS._replace(brand="north")),
    ]

    assert len({str(event["id"]) for event in told}) == 6
    assert events(BET) == events(BET._replace(line=9))


IDS = st.from_regex(r"[A-Za-z0-9._:-]{1,62}", fullmatch=True)
BETS = st.builds(
    Bet,
    line=st.just(2),
    bet_id=IDS,
    round_id=IDS,
    player=st.from_regex(r"[A-Za-z0-9_-]{4,64}", fullmatch=True),
    played_at=st.datetimes().map(lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0")),
    stake_minor=st.integers(0, 10**12),
    payout_minor=st.integers(0, 10**12),
)


LONGEST = Bet(2, "b" * 62, "r" * 64, "p" * 64, "9999-12-31T23:59:59Z", 10**12, 10**12)


@given(BETS)
@example(LONGEST)
def test_whatever_the_reader_lets_through_the_gateway_can_read(of: Bet) -> None:
    line = ",".join(str(each) for each in of[1:])
    (read,) = rows(line, header=",".join(COLUMNS))
    assert read == of

    assert all(
        isinstance(arrival, Event)
        for arrival in decode(body_of(facts_of(of, TERMS)), Shape.ARRAY)
    )


def test_the_line_of_a_fact_is_its_rows() -> None:
    assert {fact.line for fact in facts_of(bet(7), TERMS)} == {9}
