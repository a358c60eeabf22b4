"""Sends one batch until each of its events has its final verdict.

*Theory of operation.* The next batch of a shard begins when this one is settled, so nothing
later of a player is sent while something earlier may have to be sent again:

====================================  =======================================================
no answer                             the whole batch again: what had become durable comes
                                      back as a duplicate
a retryable refusal                   those events again, in their order, after Retry-After
a refused token                       the whole batch again with the token the file holds now
====================================  =======================================================

Between tries it waits what ``Retry-After`` asks for, and on top of that a random part of a
bound that doubles with each try that settled nothing ("full jitter"): a gateway that comes back
is not met by all shards at once. What it cannot mend: where a gateway takes a later event of the
same batch and refuses an earlier one of the same player for now, the later one is first at the
origin; :attr:`Tally.overtaken` counts these.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Final, Protocol

from loadtests.batches import Batch, body_of
from loadtests.bets import Fact
from loadtests.connection import NoAnswerError
from loadtests.ruling import Answer, Ruling, StuckError, code_of, read_ruling
from loadtests.tally import Tally

JITTER_MIN_S: Final = 0.1  # a restart takes about a second: ten tries in that time
JITTER_MAX_S: Final = 5.0  # as long as a full lane asks for
# Gateways ask for seconds; who asks for more is asked again after a minute.
RETRY_AFTER_MAX_S: Final = 60.0


class Post(Protocol):
    """A way to the gateway."""

    def post(self, k: str, token: str, body: bytes) -> Answer:
        """As :meth:`loadtests.connection.Connection.post`."""
        ...


class Token(Protocol):
    """A token that may be renewed."""

    @property
    def token(self) -> str:
        """As last read."""
        ...

    def renew(self, refused: str) -> bool:
        """As :meth:`loadtests.token_file.TokenFile.renew`."""
        ...


@dataclass(frozen=True, slots=True)
class Sender:
    """One shard's voice.

    Attributes:
        connection: To the gateway, nobody else's.
        token: Everybody's.
        tally: Everybody's.
        patience_s: How long it tries without settling one event.
        steady_s: A clock, s.
        pause: Waits, s; raises StuckError when there is nothing to wait for any more.
        rng: For the jitter.
    """

    connection: Post
    token: Token
    tally: Tally
    patience_s: float
    steady_s: Callable[[], float]
    pause: Callable[[float], None]
    rng: Random

    def send(self, batch: Batch) -> None:
        """Return when every event of *batch* has its final verdict, told to the tally.

        Raises:
            StuckError: That will not happen.
            TokenFileError: The token was refused, and its file holds none any more.
        """
        left = batch.facts
        jitter_s, progress_s = JITTER_MIN_S, self.steady_s()
        while left:
            ruling = self._try(batch.k, left)
            self.tally.count(left, ruling)
            if len(ruling.again) < len(left):
                jitter_s, progress_s = JITTER_MIN_S, self.steady_s()
            elif self.steady_s() - progress_s > self.patience_s:
                raise StuckError(f"{ruling.cause} for {self.patience_s:.0f} s")
            left = [left[index] for index in ruling.again]
            if left:
                wait_s = min(ruling.wait_s, RETRY_AFTER_MAX_S)
                self.pause(wait_s + self.rng.uniform(0, jitter_s))
                jitter_s = min(2 * jitter_s, JITTER_MAX_S)

    def _try(self, k: str, facts: Sequence[Fact]) -> Ruling:
        """Send *facts* once."""
        token = self.token.token
        try:
            answer = self.connection.post(k, token, body_of(facts))
        except NoAnswerError as silence:
            return Ruling(0, 0, (), range(len(facts)), 0.0, str(silence))
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return read_ruling(answer, len(facts))
        code = code_of(answer)
        if not self.token.renew(token):
            raise StuckError(f"{code}, and the file holds no other token")
        return Ruling(0, 0, (), range(len(facts)), 0.0, code)
