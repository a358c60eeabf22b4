"""One player's evening, and what the services state about it.

The player's client asks; the services decide and state. Whoever waits for somebody else here
waits in the real casino too: no stake before the login, no payout before the withdrawal.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.demo import payloads
from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from edge.demo.rounds import Round, Table, slip_decided, slip_submitted
from edge.demo.speaker import Desk

GAMES: Final = ("starburst-7", "book-of-sun", "crazy-fruit", "mega-reel")
# A real spin takes 2.5 s or more; the evening is shortened about tenfold.
THINK_S: Final = (0.15, 0.45)
STAKES_MINOR: Final = (20, 50, 100, 200, 500)


class Client(Protocol):
    """A player's app, by whatever way it speaks: HTTP, or a socket."""

    async def say(self, *events: Event, are_copies: bool = False) -> list[str]:
        """Send *events* until each has its final verdict.

        Raises:
            UnsettledError: Patience ended first.
        """
        ...


@dataclass(frozen=True, slots=True)
class Casino:
    """Everybody behind the counter.

    Attributes:
        pam: Player account management: states sessions.
        games: The game servers: state rounds and slips.
        wallet: The cashier: states money and grants.
        rush: Set for a moment when everybody is to play at once.
    """

    pam: Desk
    games: Desk
    wallet: Desk
    rush: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Player:
    """One player at the casino.

    Attributes:
        visit: The session.
        client: The player's app.
        casino: Everybody behind the counter.
    """

    visit: Visit
    client: Client
    casino: Casino

    async def evening(self, is_closing: Callable[[], bool]) -> None:
        """Log in, play until closing time, withdraw, log out.

        Raises:
            UnsettledError: Something it said never got its verdict.
        """
        visit, casino = self.visit, self.casino
        await casino.pam.state(payloads.session_started(visit))
        await self._deposit(visit.rng.randrange(20, 200) * 100)
        await self._claim(f"welcome-{visit.brand}")
        table = Table(visit.rng.choice(GAMES), visit.code("sitting"))
        await casino.games.state(table.opened(visit))
        while not is_closing():
            await self._round(table)
            await self._aside()
            await self._think()
        await self._withdraw(visit.rng.randrange(10, 100) * 100)
        await casino.pam.state(payloads.session_ended(visit))

    async def _deposit(self, amount_minor: int) -> None:
        await self.client.say(payloads.deposit_requested(self.visit, amount_minor))
        await self.casino.wallet.state(payloads.deposit_settled(self.visit, amount_minor))

    async def _claim(self, offer_id: str) -> None:
        await self.client.say(payloads.offer_claimed(self.visit, offer_id))
        await self.casino.wallet.state(payloads.grant_credited(self.visit, offer_id))

    async def _withdraw(self, amount_minor: int) -> None:
        withdrawal_id = self.visit.code("wd")
        asked = payloads.withdrawal_requested(self.visit, withdrawal_id, amount_minor)
        await self.client.say(asked)
        paid = payloads.withdrawal_settled(self.visit, withdrawal_id, amount_minor)
        await self.casino.wallet.state(paid)

    async def _round(self, table: Table) -> None:
        """Spin once; one round in twenty is rolled back, one in four wins.

        One spin in twenty is sent again, by an app that is not sure: a duplicate.
        """
        visit, games = self.visit, self.casino.games
        stake_minor = visit.rng.choice(STAKES_MINOR)
        spin = table.spin(visit, stake_minor)
        await self.client.say(spin)
        if visit.rng.random() < 1 / 20:
            await self.client.say(spin, are_copies=True)
        played = Round(table, visit.code("round"), stake_minor, visit.code("tx"))
        await games.state(played.staked(visit))
        luck = visit.rng.random()
        if luck < 1 / 20:
            await games.state(played.rolled_back(visit))
        else:
            payout_minor = stake_minor * visit.rng.randrange(1, 40) if luck > 3 / 4 else 0
            await games.state(played.settled(visit, payout_minor))

    async def _aside(self) -> None:
        """Between rounds: telemetry often, a slip now and then."""
        visit = self.visit
        if visit.rng.random() < 1 / 3:
            await self.client.say(payloads.interactions(visit), payloads.interactions(visit))
        if visit.rng.random() < 1 / 10:
            slip_id = payloads.some_uuid(visit.rng)
            await self.client.say(slip_submitted(visit, slip_id))
            await self.casino.games.state(slip_decided(visit, slip_id))

    async def _think(self) -> None:
        """Wait a little, or until the rush."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.visit.rng.uniform(*THINK_S)):
                await self.casino.rush.wait()
