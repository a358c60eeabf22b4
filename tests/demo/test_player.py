"""A player's evening is told in the order in which a casino lives it."""

import asyncio
import itertools
import random

from edge.demo.ledger import Event, Ledger
from edge.demo.payloads import Visit
from edge.demo.player import Casino, Player
from edge.demo.speaker import Desk, Speaker
from edge.demo.wire import Connection, Traffic
from tests.fakes_demo import AgreeableGateway


def evening(seed: int, rounds: int) -> list[Event]:
    """Play *rounds* rounds before closing time; return all that was said."""

    async def scene() -> list[Event]:
        ledger, gateway = Ledger(), AgreeableGateway()
        async with gateway:
            line = Connection(gateway.address, Traffic())
            pam, games, wallet = (Desk(Speaker(name, "t", line, ledger)) for name in "pgw")
            shifts = [asyncio.create_task(desk.serve()) for desk in (pam, games, wallet)]
            casino = Casino(pam, games, wallet)
            casino.rush.set()  # nobody thinks
            rng = random.Random(seed)  # noqa: S311  # replayable play, no secret
            visit = Visit("player-ada", "north", "MT", rng)
            closing = itertools.count()
            client = Speaker("ada", "t", line, ledger)
            await Player(visit, client, casino).evening(lambda: next(closing) >= rounds)
            for shift in shifts:
                shift.cancel()
            await line.close()
        return gateway.events

    return asyncio.run(scene())


def test_it_begins_with_the_login_and_ends_with_the_logout() -> None:
    kinds = [event["type"] for event in evening(seed=1, rounds=1)]

    assert kinds[:6] == [
        "player.session.started",
        "wallet.deposit.requested",
        "wallet.deposit.settled",
        "bonus.offer.claimed",
        "bonus.grant.credited",
        "game.session.opened",
    ]
    assert kinds[-3:] == [
        "wallet.withdrawal.requested",
        "wallet.withdrawal.settled",
        "player.session.ended",
    ]


def test_every_round_is_asked_for_staked_and_ended() -> None:
    kinds = [str(event["type"]) for event in evening(seed=2, rounds=60)]

    ends = [kind for kind in kinds if kind in {"bet.round.settled", "bet.round.rolled_back"}]
    assert kinds.count("game.spin.requested") == kinds.count("bet.round.staked") == 60
    assert len(ends) == 60
    assert set(ends) == {"bet.round.settled", "bet.round.rolled_back"}
    assert {"bet.slip.submitted", "bet.slip.decided", "telemetry.interaction.batch"} <= {*kinds}


def test_the_clients_numbers_have_no_gap() -> None:
    numbers = [event["seq"] for event in evening(seed=3, rounds=9) if "seq" in event]

    assert numbers == [*range(1, len(numbers) + 1)]
