"""Players' clients as processes that may be killed: ``python -m tests.system.stream.players``.

In: one JSON object a line on standard input, an order; out: one a line on standard output, its
answer. Owns the players' processes: each is forked from this one, which has loaded everything,
so that a new life costs milliseconds.

A player says one event after another over the reference client, and keeps a journal: an event
before it is sent, its fate when that is told. Whoever is killed at any moment finds there, in
his next life, what he must send again, and with which number he goes on.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from typing_extensions import override

from loadtests.client import Address, Client, Listener
from loadtests.jitter import Jitter
from loadtests.outbox import Fate, Outbox, Said
from loadtests.session import Rules, Session
from tests.faults.ledger.shape import CLIENT_LANES
from tests.faults.ledger.words import Event, Player

# A dead socket is found soon, a gateway that starts is met soon: there are 200 kills to come.
RULES: Final = Rules(verdict_s=2.0, knock_first_s=0.05, knock_most_s=0.3)
BURST_MAX: Final = 8  # events said without a pause
PAUSE_MAX_S: Final = 0.12  # between bursts: about 70 events a second of each player
BAD_ONE_IN: Final = 7  # events refused for good: fewer would leave few kills their refusals
UNSETTLED_MAX: Final = 300
SETTLE_TIMEOUT_S: Final = 120.0  # of a busy machine, after the last kill
POLL_S: Final = 0.01


def is_bad(number: int) -> bool:
    """Whether the event is to be refused."""
    return number % BAD_ONE_IN == BAD_ONE_IN - 1


def event(player: Player, number: int, unix_ms: int) -> Event:
    """What a player says, before it has its session and number."""
    said = player.event(number, unix_ms)
    del said["session"], said["seq"]
    if is_bad(number):
        said["data"] = {**json.loads(json.dumps(said["data"])), "surprise": 1}
    return said


@dataclass
class Journal:
    """What a player wrote down, in all his lives.

    Attributes:
        said: Each event that had its number, by that.
        fates: What was told of each number; more than one is a fault.
        births: How many events had no fate when each life began.
    """

    said: dict[int, Said] = field(default_factory=dict[int, Said])
    fates: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    births: list[int] = field(default_factory=list[int])

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """Read what is whole; a line that a kill cut short was never acted upon."""
        journal = cls()
        if path.exists():
            *whole, torn = path.read_bytes().split(b"\n")
            os.truncate(path, path.stat().st_size - len(torn))
            for line in whole:
                journal._take(json.loads(line))
        return journal

    def unsettled(self) -> list[Said]:
        """Return the events without a fate."""
        return [said for seq, said in self.said.items() if seq not in self.fates]

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"said": seq, "id": name, "encoded": encoded}:
                self.said[seq] = Said(seq, name, encoded.encode())
            case {"fate": seq, "outcome": outcome}:
                self.fates.setdefault(seq, []).append(outcome)
            case {"born": unsettled}:
                self.births.append(unsettled)
            case _:
                raise ValueError(line)


class Scribe(Listener):
    """Appends to a journal; what is written survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *lines: Mapping[str, object]) -> None:
        """Write whole lines."""
        left = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        while left:
            left = left[os.write(self._file, left) :]

    @override
    def said(self, fresh: Sequence[Said]) -> None:
        self.write(
            *({"said": seq, "id": name, "encoded": text.decode()} for seq, name, text in fresh)
        )

    @override
    def told(self, fate: Fate) -> None:
        self.write({"fate": fate.seq, "outcome": fate.outcome, "code": fate.code})


class Purse:
    """One token that outlives the test."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, *, is_spent: bool) -> str:
        """Always the same."""
        del is_spent
        return self._token


async def play(order: Mapping[str, Any]) -> None:
    """Live one life, until SIGTERM and until every event has its fate."""
    await asyncio.sleep(order["sleep_s"])
    path = Path(order["journal"])
    journal = Journal.read(path)
    player = Player(order["run"], order["voice"], CLIENT_LANES)
    rng = Random(f"{order['run']}-{order['voice']}-{len(journal.births)}")  # noqa: S311  # replayable, no secret
    left = journal.unsettled()
    scribe = Scribe(path)
    scribe.write({"born": len(left)})
    jitter = Jitter(rng, RULES.retry_first_s, RULES.retry_most_s)
    number = len(journal.said)
    outbox = Outbox(jitter, left, number + 1, events_max=UNSETTLED_MAX)
    rests = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, rests.set)
    client = Client(
        Address(order["url"], k=player.k),
        Purse(order["token"]),
        scribe,
        session=Session(rng, RULES, outbox),
    )
    async with client:
        while not rests.is_set():
            for _ in range(rng.randint(1, BURST_MAX)):
                await client.say(event(player, number, time.time_ns() // 1_000_000))
                number += 1
            await asyncio.sleep(rng.uniform(0, PAUSE_MAX_S))
        await client.settled()
    if outbox.contradictions:
        raise AssertionError(f"{outbox.contradictions} words about events that had their fate")


class Nursery:
    """Forks players, and kills them."""

    def __init__(self) -> None:
        self._processes: dict[int, int] = {}

    def obey(self, order: Mapping[str, Any]) -> list[str]:
        """Do what *order* says; return what went wrong."""
        if order["order"] == "rest":
            return [*self._rest()]
        voice = order["voice"]
        faults = self._kill(voice)
        self._processes[voice] = os.fork()
        if not self._processes[voice]:
            _be(order)
        return faults

    def close(self) -> None:
        """Leave nobody."""
        for voice in list(self._processes):
            self._kill(voice)

    def _kill(self, voice: int) -> list[str]:
        """End one player, and wait until he is gone: two would write one journal."""
        if voice not in self._processes:
            return []
        process = self._processes.pop(voice)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        return [] if code == -signal.SIGKILL else [f"player {voice} ended by itself: {code}"]

    def _rest(self) -> Iterator[str]:
        for process in self._processes.values():
            os.kill(process, signal.SIGTERM)
        end_s = time.monotonic() + SETTLE_TIMEOUT_S
        while self._processes and time.monotonic() < end_s:
            for voice, process in list(self._processes.items()):
                found, status = os.waitpid(process, os.WNOHANG)
                if found:
                    del self._processes[voice]
                    code = os.waitstatus_to_exitcode(status)
                    yield from [f"player {voice}: exit code {code}"] if code else []
            time.sleep(POLL_S)
        yield from (f"player {voice} still waits for verdicts" for voice in self._processes)


def _be(order: Mapping[str, Any]) -> None:
    """Be a player, and never return to where he was forked from."""
    code = 1
    try:
        asyncio.run(play(order))
        code = 0
    except BaseException as error:  # noqa: BLE001  # the end of a process, told by its parent
        sys.stderr.write(f"player {order['voice']}: {error!r}\n")
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Obey until standard input ends."""
    nursery = Nursery()
    try:
        for line in sys.stdin:
            print(json.dumps(nursery.obey(json.loads(line))), flush=True)  # noqa: T201  # its answer
    finally:
        nursery.close()


if __name__ == "__main__":
    main()
