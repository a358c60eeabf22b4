"""Rows of a CSV file of bets in; out come the two facts that each bet is, as events.

Pure: lines go in, values come out; who reads the file and who sends the events is elsewhere.

Of the file's columns those in :data:`COLUMNS` are read, wherever they stand; others, such as a
crash game's ``cashed_out_e2`` and ``crashed_at_e2``, have no member in the catalogue.

Everything in an event follows from its row and the terms, so a second replay says the very same
events: their ids are UUIDs of version 5 over brand, bet and kind, as wide as the business key
that the gateway forms of brand, type and ``transaction_id``.
"""

import csv
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec

COLUMNS: Final = ("bet_id", "round_id", "player", "played_at", "stake_minor", "payout_minor")

SOURCE: Final = "/loadtests/replay"
PROVIDER: Final = "replay"
GAME: Final = "crash"

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:edge:loadtests:replay")
_ENCODE: Final = msgspec.json.Encoder().encode
AMOUNT_MINOR_MAX: Final = 10**12  # the catalogue's


def _form(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


# Source: the patterns that GET /v1/catalogue serves; two characters of an id are ours.
_FORMS: Final[Mapping[str, Callable[[str], object]]] = {
    "bet_id": _form("[A-Za-z0-9._:-]{1,62}"),
    "round_id": _form("[A-Za-z0-9._:-]{1,64}"),
    "player": _form("[A-Za-z0-9_-]{4,64}"),
    "played_at": _form(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z"),
    "stake_minor": _form("[0-9]{1,13}"),
    "payout_minor": _form("[0-9]{1,13}"),
}


class Terms(NamedTuple):
    """What the file does not say of its bets.

    Attributes:
        currency: ISO 4217 code of all amounts.
        brand: Whose players these are.
        jurisdiction: Under whose licence they played.
    """

    currency: str
    brand: str
    jurisdiction: str


class Bet(NamedTuple):
    """One row.

    Attributes:
        line: Where it ends in the file, from 1.
        bet_id: Unique in the file.
        round_id: Which all who play together share.
        player: The subject.
        played_at: RFC 3339, UTC.
        stake_minor: Minor units.
        payout_minor: Minor units; 0 is a loss.
    """

    line: int
    bet_id: str
    round_id: str
    player: str
    played_at: str
    stake_minor: int
    payout_minor: int


class BadRow(NamedTuple):
    """A row that is no bet.

    Attributes:
        line: Where it ends in the file, from 1.
        complaint: What is wrong; quotes no value, it may be a person's.
    """

    line: int
    complaint: str


class Fact(NamedTuple):
    """One event, ready to be sent.

    Attributes:
        line: Of its row.
        type: As in the catalogue.
        player: The subject: what keeps the order.
        encoded: JSON.
    """

    line: int
    type: str
    player: str
    encoded: bytes


def read_bets(lines: Iterable[str]) -> Iterator[Bet | BadRow]:
    """Read the rows below the header; a bad one costs its neighbours nothing.

    Rows end early where the file stops being CSV, or has not the columns: nothing behind that
    could be trusted. Empty lines are passed over.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, list[str]())
        if missing := [name for name in COLUMNS if name not in header]:
            yield BadRow(1, f"no column {', '.join(missing)}")
            return
        pick = itemgetter(*(header.index(name) for name in COLUMNS))
        for row in reader:
            if len(row) == len(header):
                yield _bet(reader.line_num, pick(row))
            elif row:
                yield BadRow(reader.line_num, f"{len(row)} fields, not {len(header)}")
    except csv.Error as error:
        yield BadRow(reader.line_num, f"not CSV: {error}")


def _bet(line: int, fields: tuple[str, ...]) -> Bet | BadRow:
    for name, text in zip(COLUMNS, fields, strict=True):
        if not _FORMS[name](text):
            return BadRow(line, f"{name} is not valid")
    bet_id, round_id, player, played_at, stake, payout = fields
    stake_minor, payout_minor = int(stake), int(payout)
    if max(stake_minor, payout_minor) > AMOUNT_MINOR_MAX:
        return BadRow(line, f"an amount above {AMOUNT_MINOR_MAX}")
    try:
        datetime.fromisoformat(played_at)
    except ValueError:
        return BadRow(line, "played_at never was")
    return Bet(line, bet_id, round_id, player, played_at, stake_minor, payout_minor)


def facts_of(bet: Bet, terms: Terms) -> tuple[Fact, Fact]:
    """State the stake, then the settlement, both at the time the file knows.

    A player's bets are one game session: the file does not tell their visits apart.
    """
    place: dict[str, object] = {
        "provider_id": PROVIDER,
        "game_id": GAME,
        "game_session_id": bet.player,
        "round_id": bet.round_id,
    }
    staked: dict[str, object] = {
        "transaction_id": f"s-{bet.bet_id}",
        "stake": {"amount_minor": bet.stake_minor, "currency": terms.currency},
        "stake_cash_minor": bet.stake_minor,
        "stake_bonus_minor": 0,
        "free_round_id": None,
        "bonus_id": None,
        "vertical": "crash",
        "jackpots": (),
        "feature": "base",
    }
    settled: dict[str, object] = {
        "transaction_id": f"p-{bet.bet_id}",
        "payout": {"amount_minor": bet.payout_minor, "currency": terms.currency},
        "payout_cash_minor": bet.payout_minor,
        "payout_bonus_minor": 0,
        "win_type": "base" if bet.payout_minor else "none",
        "round_closed": True,
    }
    return (
        _fact(bet, terms, "bet.round.staked", place | staked),
        _fact(bet, terms, "bet.round.settled", place | settled),
    )


def _fact(bet: Bet, terms: Terms, type_: str, payload: Mapping[str, object]) -> Fact:
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid5(_NAMESPACE, f"{terms.brand}/{bet.bet_id}/{type_}")),
        "source": SOURCE,
        "type": type_,
        "time": bet.played_at,
        "subject": bet.player,
        "brand": terms.brand,
        "jurisdiction": terms.jurisdiction,
        "data": payload,
    }
    return Fact(bet.line, type_, bet.player, _ENCODE(event))
