"""The gaming floor: everybody plays at once, and in the middle the gateway is killed.

The players of one brand keep a socket each, the others speak by HTTP; the trickster does both.

In: a stage. Out: what was answered wrongly, in words; the ledger holds the rest.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Iterator, Sequence
from typing import Final

from edge.demo.jackpot import BRAND, fall, judge
from edge.demo.ledger import ACCEPTED, DUPLICATE
from edge.demo.mischief import Trickster, rampage
from edge.demo.player import Casino, Player
from edge.demo.speaker import Speaker
from edge.demo.stage import Person, Stage
from edge.demo.stream import StreamSpeaker

PLAYERS: Final[tuple[Person, ...]] = (
    *(("ada", "north", "MT"), ("ben", "north", "MT"), ("cleo", "north", "SE")),
    *(("dora", "south", "GB"), ("emil", "south", "GB"), ("fay", "south", "IE")),
    *(("gus", "east", "DE"), ("hana", "east", "DE"), ("ivo", "east", "DK")),
    *(("jun", "west", "US-NJ"), ("kim", "west", "US-NJ"), ("leo", "west", "CA-ON")),
)
TRICKSTER: Final[Person] = ("mallory", "south", "GB")
# Of the evening: half of the tricks before, half after.
KILLED_AFTER: Final = 0.45
# Of an evening, from trick to trick: the last ends before closing time.
TRICK_PAUSE: Final = 1 / 20
# So many requests are under way when the freeze comes; the rush brings one per player.
KILL_IN_FLIGHT: Final = 6
# A player is back with the next word after a round, half a second at most, and the rush fills
# the line at once; a fraction of what is left of the evening.
CROWD_TIMEOUT_S: Final = 3.0
# Many times what an answer takes: who has none after that was not answered.
FROZEN_S: Final = 0.2
COUNT_EVERY_S: Final = 0.5


async def play(stage: Stage) -> list[str]:
    """Let everybody play until closing time; return what was answered wrongly.

    Raises:
        ExceptionGroup: Of ``GatewayError`` (it did not come back after the kill) and
            ``UnsettledError`` (an event never got its verdict).
    """
    loop = asyncio.get_running_loop()
    closing_s = loop.time() + stage.seconds
    casino, trickster = stage.casino(), stage.trickster(TRICKSTER)
    streams: dict[Person, StreamSpeaker] = {
        person: stage.stream(person) for person in PLAYERS if person[1] == BRAND
    }
    players = [stage.player(person, casino, streams.get(person)) for person in PLAYERS]
    winners = list(streams.values())
    stage.narrator.tell(
        f"{len(players)} players come in, {len(winners)} of them with a socket, 3 services, "
        "and one trickster, who keeps a socket, too"
    )
    async with contextlib.AsyncExitStack() as lines, asyncio.TaskGroup() as everybody:
        for speaker in _speakers(casino, players, trickster):
            lines.push_async_callback(speaker.connection.close)
        counter = (casino.pam.serve(), casino.games.serve(), casino.wallet.serve())
        sockets = (stream.serve() for stream in (*winners, trickster.stream))
        staff = [everybody.create_task(shift) for shift in (*counter, *sockets, _count(stage))]
        guests = [
            everybody.create_task(player.evening(lambda: loop.time() >= closing_s))
            for player in players
        ]
        guests.append(everybody.create_task(_kill_in_the_middle(stage, casino, winners)))
        guests.append(everybody.create_task(fall(stage, winners)))
        pause_s = stage.seconds * TRICK_PAUSE
        wrong = everybody.create_task(rampage(trickster, pause_s, stage.narrator.tell))
        await asyncio.wait([wrong, *guests])
        stage.narrator.tell("everybody has withdrawn and logged out")
        for shift in staff:
            shift.cancel()
    return [*wrong.result(), *judge(stage.seed, winners, [trickster.stream])]


async def _kill_in_the_middle(
    stage: Stage, casino: Casino, streams: Sequence[StreamSpeaker]
) -> None:
    """Kill the gateway with requests in flight, right after an answer, and start it again.

    It is frozen before, and each of *streams* held until then: so each has surely sent what no
    verdict came on. Some of the requests may have become durable, others were never read.

    Raises:
        GatewayError: It does not come back.
    """
    await asyncio.sleep(stage.seconds * KILLED_AFTER)
    await _in_time(asyncio.gather(*(stream.hold() for stream in streams)))
    stage.narrator.tell("a jackpot is near: everybody plays at once")
    casino.rush.set()
    await _in_time(_first_answer(stage))
    # Not in a thread: the freeze must not come a moment later, and everybody may notice.
    stage.gateway.freeze()
    casino.rush.clear()
    for stream in streams:
        stream.release()
    stage.narrator.tell(
        f"SIGSTOP: the gateway stands still, and cannot answer what {len(streams)} sockets send"
    )
    await _in_time(_doubt(streams))
    in_flight = stage.traffic.in_flight
    stage.gateway.kill()
    stage.narrator.tell(f"SIGKILL, with {in_flight} requests and frames in flight")
    began_s = time.monotonic()
    await asyncio.to_thread(stage.gateway.start)
    took_s = time.monotonic() - began_s
    stage.narrator.tell(f"started again on the same spool; it listens after {took_s:.1f} s")


async def _in_time(moment: Awaitable[object]) -> None:
    """Wait for *moment*; on a machine on which it never comes, not for long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CROWD_TIMEOUT_S):
            await moment


async def _first_answer(stage: Stage) -> None:
    """Return at the first answer out of a group commit: its neighbours are not told yet."""
    is_waited_for = True
    while is_waited_for:
        await stage.traffic.reaches(KILL_IN_FLIGHT)
        await stage.traffic.ebbs()
        # Fewer, and the neighbours' answers have been read in the same moment.
        is_waited_for = stage.traffic.in_flight < KILL_IN_FLIGHT - 1


async def _doubt(streams: Sequence[StreamSpeaker]) -> None:
    """Return when each has sent something, and has waited in vain for the verdict."""
    is_waited_for = True
    while is_waited_for:
        await asyncio.sleep(FROZEN_S)
        is_waited_for = not all(stream.is_in_doubt for stream in streams)


async def _count(stage: Stage) -> None:
    """Tell how far we are, until cancelled."""
    while True:
        await asyncio.sleep(COUNT_EVERY_S)
        tally = stage.ledger.tally()
        waiting = tally.pop("", 0)
        accepted, duplicate = tally.pop(ACCEPTED, 0), tally.pop(DUPLICATE, 0)
        stage.narrator.count(
            f"{accepted} accepted, {duplicate} duplicate, {tally.total()} refused, "
            f"{waiting} under way"
        )


def _speakers(casino: Casino, players: list[Player], guest: Trickster) -> Iterator[Speaker]:
    """Name everybody who has a line to the gateway."""
    yield from (desk.speaker for desk in (casino.pam, casino.games, casino.wallet))
    for player in players:
        if isinstance(player.client, Speaker):
            yield player.client
    yield from (guest.client, guest.forged, guest.expired)
