"""The ledger's process: ``python -m tests.faults.ledger SEED``.

In: one JSON object per line on standard input, an order; out: one per line on standard output,
its answer. The first line is the issuer's key set. It talks on while it waits for orders, and
ends when there are no more.
"""

import gc
import hashlib
import os
import select
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from edge.demo.issuer import Issuer
from loadtests.bench.figures import percentile
from tests.faults.ledger.audit import Allowed, Audit
from tests.faults.ledger.hall import Hall, Mood
from tests.faults.ledger.shape import Account, Findings, Shape
from tests.faults.ledger.sources import records

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_BYTES: Final = 1 << 16
NS_PER_MS: Final = 1e6


class Clerk:
    """What the process does: each order is a method.

    Attributes:
        hall: Where everybody talks.
    """

    def __init__(self, seed: int) -> None:
        run = int.from_bytes(hashlib.blake2b(b"%d" % seed, digest_size=4).digest())
        self._issuer = Issuer()
        self.hall = Hall(run, self._issuer)
        self._marks: list[Sequence[int]] = []
        self._marked_s = time.monotonic()

    def jwks(self) -> str:
        """Write the key set."""
        return self._issuer.jwks().decode()

    def obey(self, order: dict[str, Any]) -> Any:  # any JSON
        """Do what *order* names."""
        match order["order"]:
            case "begin":
                self.hall.begin(tuple(order["address"]), msgspec.convert(order["shape"], Shape))
            case "rest":
                self.hall.rest(order["timeout_s"])
            case "resume":
                self.hall.wake(Mood.TALKING)
            case "settle":
                return self.hall.settle(tuple(order["address"]), order["timeout_s"])
            case "audit":
                return asdict(self._audit(order))
            case _:
                pass
        return asdict(self._mark())

    def _mark(self) -> Account:
        """Write down where everybody stands, and what was counted since the last time."""
        speakers, tally = self.hall.speakers, self.hall.tally
        self._marks.append([speaker.page.settled for speaker in speakers])
        now_s = time.monotonic()
        seconds, self._marked_s = now_s - self._marked_s, now_s
        latencies_ns = sorted(tally.latencies_ns)
        account = Account(
            mark=len(self._marks) - 1,
            claimed=sum(speaker.page.claimed for speaker in speakers),
            accepted=tally.accepted,
            unanswered=sum(speaker.unanswered for speaker in speakers),
            refused=dict(tally.refused),
            repeated=tally.repeated,
            broken=tally.broken,
            complaints=tuple(tally.complaints),
            verdicts=tally.verdicts,
            seconds=seconds,
            p50_ms=_percentile_ms(latencies_ns, 0.5),
            p99_ms=_percentile_ms(latencies_ns, 0.99),
        )
        tally.verdicts = 0
        del tally.latencies_ns[:]
        return account

    def _audit(self, order: dict[str, Any]) -> Findings:
        voices = [(speaker.voice, speaker.page) for speaker in self.hall.speakers]
        audit = Audit(self.hall.run, voices, Allowed(**order["allowed"]))
        for origin in order["origins"]:
            audit.take(records(origin))
        before: int | None = order["before"]
        return audit.finish(None if before is None else self._marks[before])


def _percentile_ms(ascending_ns: list[int], share: float) -> float | None:
    """Return their percentile, ms; ``None`` if there is none."""
    if not ascending_ns:
        return None
    return percentile(ascending_ns, share) / NS_PER_MS


def main(seed: int, orders: int, answers: int) -> None:
    """Obey until the descriptor *orders* ends."""
    gc.disable()  # nothing here is cyclic, and a look through millions would be felt
    clerk = Clerk(seed)
    _say(answers, {"jwks": clerk.jwks()})
    received = b""
    while True:
        clerk.hall.pump(lambda: bool(select.select([orders], [], [], 0)[0]))
        chunk = os.read(orders, READ_BYTES)
        if not chunk:
            clerk.hall.close()
            return
        received += chunk
        *lines, received = received.split(b"\n")
        for line in lines:
            _say(answers, clerk.obey(orjson.loads(line)))


def _say(answers: int, words: object) -> None:
    left = orjson.dumps(words) + b"\n"
    while left:
        left = left[os.write(answers, left) :]


if __name__ == "__main__":
    main(int(sys.argv[1]), 0, 1)
