"""The ledger, as a campaign sees it: a process, its orders, its answers."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from tests.faults.ledger.audit import Allowed
from tests.faults.ledger.shape import Account, Address, Findings, Shape

END_TIMEOUT_S: Final = 5.0  # it has nothing to finish when its input ends
REST_S: Final = 10.0
SETTLE_S: Final = 60.0
NOTHING: Final = Allowed()


class LedgerError(Exception):
    """The ledger ended, which no fault may bring about: the campaign proves nothing."""


class Ledger:
    """One ledger's orders.

    Attributes:
        jwks: The key set of its tokens' issuer, whose name and audience are those of
            :class:`edge.demo.issuer.Issuer`.
        seed: Replays what is said.
    """

    def __init__(self, seed: int, orders: IO[str], answers: IO[str]) -> None:
        self.seed = seed
        self._orders = orders
        self._answers = answers
        self.jwks = str(self._answer()["jwks"])

    def begin(self, address: Address, shape: Shape) -> Account:
        """Let it talk to *address*; whoever was under way elsewhere has no answer.

        With the shape it had, but for the rate, its voices go on; with another, new ones begin.

        Raises:
            LedgerError: It ended.
        """
        return msgspec.convert(
            self._order("begin", address=address, shape=asdict(shape)), Account
        )

    def mark(self) -> Account:
        """Return the books of this moment, which goes on; resets the interval of latencies.

        Raises:
            LedgerError: It ended.
        """
        return msgspec.convert(self._order("mark"), Account)

    def rest(self, timeout_s: float = REST_S) -> Account:
        """Let it send nothing more; what is not answered within *timeout_s* stays unanswered.

        Raises:
            LedgerError: It ended.
        """
        return msgspec.convert(self._order("rest", timeout_s=timeout_s), Account)

    def resume(self) -> Account:
        """Let it talk on, where and as it did before it was to rest.

        Raises:
            LedgerError: It ended.
        """
        return msgspec.convert(self._order("resume"), Account)

    def settle(self, address: Address, timeout_s: float = SETTLE_S) -> list[str]:
        """Let it ask for every verdict that is missing, and send one fresh event.

        Returns:
            What did not come about in *timeout_s*, in words; it is at rest then.

        Raises:
            LedgerError: It ended.
        """
        if self._order("settle", address=address, timeout_s=timeout_s):
            return []
        left = self.mark().unanswered
        return [f"not settled within {timeout_s:.0f} s, {left} events without a verdict"]

    def audit(
        self,
        *origins: str | Path,
        before: Account | None = None,
        allowed: Allowed = NOTHING,
    ) -> Findings:
        """Compare its books with all that lies at *origins*, read one after another.

        Args:
            *origins: ``log:DIRECTORY``, a directory, or ``kafka://host:port``.
            before: Only what was owed at this mark must be there; ``None``: all.
            allowed: What is no fault.

        Raises:
            LedgerError: It ended, for an origin that cannot be read too.
        """
        urls = [f"log:{each}" if isinstance(each, Path) else each for each in origins]
        found = self._order(
            "audit",
            origins=urls,
            before=None if before is None else before.mark,
            allowed=asdict(allowed),
        )
        return msgspec.convert(found, Findings)

    def _order(self, order: str, **more: object) -> Any:  # any JSON
        try:
            self._orders.write(json.dumps({"order": order, **more}) + "\n")
            self._orders.flush()
        except OSError as gone:
            raise LedgerError("it ended before") from gone
        return self._answer()

    def _answer(self) -> Any:  # any JSON
        line = self._answers.readline()
        if not line:
            raise LedgerError("it ended; its traceback is in ledger.log")
        return json.loads(line)


@contextlib.contextmanager
def ledger(room: Path, seed: int) -> Generator[Ledger]:
    """Start one, whose log lies in *room*; end it at the end.

    Raises:
        LedgerError: It does not start.
    """
    with (room / "ledger.log").open("wb") as log:
        process = subprocess.Popen(
            _command(seed),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Ledger(seed, process.stdin, process.stdout)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _command(seed: int) -> Sequence[str]:
    return [sys.executable, "-m", "tests.faults.ledger", str(seed)]
