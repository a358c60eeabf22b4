"""Sends events until each has its one verdict, and writes both into the ledger.

*Theory of operation.* A speaker says one batch after the other; the next begins when every
event of the last has its final verdict, so a speaker never overtakes itself and the origin's
order can be checked against the ledger's. What comes back decides:

====================================  ====================================================
no answer at all                      the whole batch again, same ids and numbers, soon
a refusal marked ``retryable``        that event again, after what ``Retry-After`` says
any other refusal                     that event's final verdict
a problem document                    429, 503: the whole batch later; else final for all
not listed in ``refused``             durable: accepted, or a duplicate
====================================  ====================================================
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from edge.demo.ledger import Entry, Event, Ledger
from edge.demo.wire import Answer, Connection, NoAnswerError

# A restart takes about a second; ten tries in that time disturb nobody.
SILENCE_PAUSE_S: Final = 0.1
# Nobody who is alive needs longer: the restart and the longest ``Retry-After`` of the evening
# together stay under 10 s.
PATIENCE_S: Final = 30.0
JSON_BATCH: Final = "application/cloudevents-batch+json"
BATCH_EVENTS_MAX: Final = 200  # design.md §4


class UnsettledError(Exception):
    """Events are still without a verdict after :data:`PATIENCE_S`."""


class Verdicts(NamedTuple):
    """One answer, read.

    Attributes:
        accepted: How many events became durable with this request.
        duplicate: How many were before.
        refused: Index into the batch → the code, and whether to try again.
        pause_s: How long to wait before trying again.
    """

    accepted: int
    duplicate: int
    refused: dict[int, tuple[str, bool]]
    pause_s: float


@dataclass(slots=True)
class Speaker:
    """One sender: a name, a token, a connection, and the ledger it writes into.

    Attributes:
        name: In the ledger; also the ``k`` that keeps it on one node.
        token: Of its own, valid unless its mischief is exactly that.
        connection: Its line to the gateway.
        ledger: The clients' book.
    """

    name: str
    token: str
    connection: Connection
    ledger: Ledger

    async def say(
        self, *events: Event, are_copies: bool = False, is_patient: bool = True
    ) -> list[str]:
        """Send *events* as one batch, again and again until each has its final verdict.

        Cancelled, it leaves entries without a verdict in the ledger.

        Args:
            events: At most 200.
            are_copies: All of them repeat what was accepted before.
            is_patient: Whether "later" is taken for an answer; else it is the final verdict.

        Returns:
            The verdicts, in the order of *events*.

        Raises:
            UnsettledError: Patience ended first.
        """
        entries = [self.ledger.enter(self.name, event, is_copy=are_copies) for event in events]
        await self._until_settled(entries, _batch(entries), is_patient=is_patient)
        return [entry.verdict for entry in entries]

    async def blurt(self, body: bytes) -> str:
        """Send what is no event at all, until it is refused.

        Raises:
            UnsettledError: Patience ended first.
        """
        entry = self.ledger.enter(self.name, None)
        await self._until_settled([entry], body, is_patient=True)
        return entry.verdict

    async def _until_settled(
        self, entries: list[Entry], body: bytes, *, is_patient: bool
    ) -> None:
        """Send *body*, then what is left of *entries*, until nothing is."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while left := await self._try(entries, body, is_patient=is_patient):
                    if left != entries:
                        entries, body = left, _batch(left)
        except TimeoutError as timeout:
            raise UnsettledError(f"{self.name}: {len(entries)} events") from timeout

    async def _try(self, entries: list[Entry], body: bytes, *, is_patient: bool) -> list[Entry]:
        """Send *entries* once; return those that are to be sent again, after the wait."""
        try:
            verdicts = read(await self._post(body), len(entries))
        except NoAnswerError:
            for entry in entries:
                entry.unanswered += 1
            await asyncio.sleep(SILENCE_PAUSE_S)
            return entries
        again = self._write_down(entries, verdicts, is_patient=is_patient)
        if again:
            await asyncio.sleep(verdicts.pause_s)
        return again

    def _write_down(
        self, entries: list[Entry], verdicts: Verdicts, *, is_patient: bool
    ) -> list[Entry]:
        """Settle what has its final verdict; return the rest."""
        refused = verdicts.refused
        durable = [entry for at, entry in enumerate(entries) if at not in refused]
        self.ledger.settle(durable, verdicts.accepted, verdicts.duplicate)
        again: list[Entry] = []
        for at, (code, is_retryable) in refused.items():
            if is_retryable and is_patient:
                entries[at].put_off += 1
                again.append(entries[at])
            else:
                self.ledger.close(entries[at], code)
        return again

    async def _post(self, body: bytes) -> Answer:
        headers = {"authorization": f"Bearer {self.token}", "content-type": JSON_BATCH}
        return await self.connection.post(f"/v1/events?k={self.name}", headers, body)


def _batch(entries: list[Entry]) -> bytes:
    """Write the body of a request."""
    return json.dumps([entry.event for entry in entries]).encode()


def read(answer: Answer, count: int) -> Verdicts:
    """Read the answer to a batch of *count* events.

    Raises:
        ValueError: It is not an answer that design.md §4 knows.
    """
    body = cast("dict[str, object]", json.loads(answer.body))
    if "code" in body:
        refusal = str(body["code"]), answer.status in {429, 503}
        return Verdicts(0, 0, dict.fromkeys(range(count), refusal), _pause_s(answer, None))
    refused = cast("list[dict[str, object]]", body["refused"])
    return Verdicts(
        accepted=cast("int", body["accepted"]),
        duplicate=cast("int", body["duplicate"]),
        refused={
            cast("int", each["index"]): (str(each["code"]), each["retryable"] is True)
            for each in sorted(refused, key=lambda each: cast("int", each["index"]))
        },
        pause_s=_pause_s(answer, cast("int | None", body["retry_after_ms"])),
    )


def _pause_s(answer: Answer, retry_after_ms: int | None) -> float:
    """Return the longer of the two hints; both are promises, the header in whole seconds."""
    return max(int(answer.headers.get("retry-after", "0")), (retry_after_ms or 0) / 1000)


@dataclass(slots=True)
class Desk:
    """A backend service: takes what its colleagues state, and says it in batches.

    While one batch is under way the next fills, so its size follows the load by itself. A
    batch may mix players.

    Attributes:
        speaker: Who says it.
    """

    speaker: Speaker
    _inbox: asyncio.Queue[tuple[Event, asyncio.Future[str]]] = field(
        # Every player waits for each of its statements: never more in here than players.
        default_factory=lambda: asyncio.Queue(BATCH_EVENTS_MAX)
    )

    async def state(self, event: Event) -> str:
        """Have *event* said; return its final verdict."""
        verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._inbox.put((event, verdict))
        return await verdict

    async def serve(self) -> None:
        """Say what comes in, until cancelled."""
        while True:
            batch = [await self._inbox.get()]
            while not self._inbox.empty() and len(batch) < BATCH_EVENTS_MAX:
                batch.append(self._inbox.get_nowait())
            verdicts = await self.speaker.say(*(event for event, _ in batch))
            for (_, waiting), verdict in zip(batch, verdicts, strict=True):
                if not waiting.done():
                    waiting.set_result(verdict)
