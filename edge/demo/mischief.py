"""What must be refused, and what must not count twice: the evening's bad guests.

Each trick is one line of a table: its name, the verdicts it must get, and how it is done. A
verdict other than the expected one is a fault of the evening.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from edge.demo import payloads
from edge.demo.ledger import ACCEPTED, DUPLICATE, Event
from edge.demo.payloads import Visit
from edge.demo.rounds import Round, Table, slip_submitted
from edge.demo.speaker import Speaker
from edge.demo.stream import StreamSpeaker

# Above the evening's burst of 40 per player, below the 200 events of one batch.
HAMMER_EVENTS: Final = 60
TABLE: Final = Table("starburst-7", "sitting-of-a-trickster")
# Passes Luhn; a test number that no bank ever issues.
CARD_NUMBER: Final = "4111 1111 1111 1111"


@dataclass(frozen=True, slots=True)
class Trickster:
    """A guest with a good token of its own, and worse ones at hand.

    Attributes:
        visit: Its own session.
        client: Its app, with its own good token.
        stream: Its app's socket, in the same session.
        forged: The same line with a token somebody else signed.
        expired: The same line with yesterday's token.
    """

    visit: Visit
    client: Speaker
    stream: StreamSpeaker
    forged: Speaker
    expired: Speaker

    def spin(self, stake_minor: int = 100) -> Event:
        """An innocent spin."""
        return TABLE.spin(self.visit, stake_minor)


async def _garbage(guest: Trickster) -> list[str]:
    return [
        await guest.client.blurt(b'[{"specversion": "1.0", "id": '),
        await guest.client.blurt(b"\xff\xfe"),
    ]


async def _malformed(guest: Trickster) -> list[str]:
    spin = guest.spin()
    return await guest.client.say(
        guest.spin(-5),
        guest.spin() | {"colour": "red"},
        guest.spin() | {"type": "game.spin.dreamt"},
        spin | {"dataschema": f"urn:edge:schema:{spin['type']}:9.9"},
        guest.spin(),
    )


async def _again(guest: Trickster) -> list[str]:
    spins = guest.spin(), guest.spin()
    first = await guest.client.say(*spins)
    return first + await guest.client.say(*spins, are_copies=True)


async def _conflict(guest: Trickster) -> list[str]:
    spin = guest.spin(100)
    dearer = TABLE.spin(guest.visit, 9900) | {"id": spin["id"], "seq": spin["seq"]}
    guest.visit.seq -= 1
    return await guest.client.say(spin) + await guest.client.say(dearer)


async def _over_a_socket(guest: Trickster) -> list[str]:
    return await guest.stream.say(
        guest.spin(), guest.spin(-5), guest.spin() | {"subject": "somebody-rich"}, guest.spin()
    )


async def _forged(guest: Trickster) -> list[str]:
    return await guest.forged.say(guest.spin(), guest.spin())


async def _expired(guest: Trickster) -> list[str]:
    return await guest.expired.say(guest.spin())


async def _somebody_else(guest: Trickster) -> list[str]:
    return await guest.client.say(guest.spin() | {"subject": "somebody-rich"})


async def _own_fortune(guest: Trickster) -> list[str]:
    won = Round(TABLE, guest.visit.code("round"), 100, guest.visit.code("tx"))
    return await guest.client.say(won.settled(guest.visit, 1_000_000))


async def _card_number(guest: Trickster) -> list[str]:
    slip_id = payloads.some_uuid(guest.visit.rng)
    return await guest.client.say(slip_submitted(guest.visit, slip_id, CARD_NUMBER))


async def _stale(guest: Trickster) -> list[str]:
    long_ago = payloads.timestamp(payloads.unix_ms() - 3_600_000)
    return await guest.client.say(guest.spin() | {"time": long_ago})


async def _hammer(guest: Trickster) -> list[str]:
    """Far more at once than the quota's burst; the rest as soon as ``Retry-After`` allows."""
    return await guest.client.say(*(guest.spin() for _ in range(HAMMER_EVENTS)))


async def _impatient(guest: Trickster) -> list[str]:
    """The same, but "later" is not taken for an answer."""
    spins = [guest.spin() for _ in range(HAMMER_EVENTS)]
    return await guest.client.say(*spins, is_patient=False)


Expected: TypeAlias = list[str] | set[str]


class Trick(NamedTuple):
    """One row of the table.

    Attributes:
        name: For the narrator.
        play: Does it; returns the verdicts.
        expected: The verdicts that are right, in order; a set where only the set is certain.
    """

    name: str
    play: Callable[[Trickster], Awaitable[list[str]]]
    expected: Expected


TRICKS: Final = (
    Trick("bytes that are no JSON", _garbage, ["body_malformed"] * 2),
    Trick(
        "four malformed events and a good one in one batch",
        _malformed,
        ["schema_violation", "schema_violation", "unknown_type", "unknown_version", ACCEPTED],
    ),
    Trick("the same batch twice", _again, [ACCEPTED] * 2 + [DUPLICATE] * 2),
    Trick(
        "a good spin, a bad one, somebody else's and a good one in one frame on a socket",
        _over_a_socket,
        [ACCEPTED, "schema_violation", "subject_mismatch", ACCEPTED],
    ),
    Trick("one id for two spins", _conflict, [ACCEPTED, "idempotency_conflict"]),
    Trick("a forged token", _forged, ["token_invalid"] * 2),
    Trick("yesterday's token", _expired, ["token_expired"]),
    Trick("another player's id", _somebody_else, ["subject_mismatch"]),
    Trick("a client that states its own win", _own_fortune, ["authority_denied"]),
    Trick("a card number in a free string", _card_number, ["pii_leak"]),
    Trick("a spin of an hour ago", _stale, ["clock_skew"]),
    Trick("60 spins at once, patiently", _hammer, [ACCEPTED] * HAMMER_EVENTS),
    Trick("60 spins at once, impatiently", _impatient, {ACCEPTED, "rate_exceeded"}),
)


async def rampage(guest: Trickster, pause_s: float, tell: Callable[[str], None]) -> list[str]:
    """Play all tricks, *pause_s* apart; return what was answered wrongly, in words."""
    wrong: list[str] = []
    for trick in TRICKS:
        verdicts = await trick.play(guest)
        answer = verdicts if isinstance(trick.expected, list) else set(verdicts)
        tell(f"{trick.name}: {_summary(verdicts)}")
        if answer != trick.expected:
            wrong.append(f"{trick.name}: {_summary(verdicts)}")
        await asyncio.sleep(pause_s)
    return wrong


def _summary(verdicts: list[str]) -> str:
    """Say each verdict once, with how often."""
    counts = {verdict: verdicts.count(verdict) for verdict in verdicts}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
