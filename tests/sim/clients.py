"""Who sends what next: something new, something again, or something that was said before."""

from collections.abc import Sequence
from typing import Final

import msgspec

from edge.core.instant import Instant
from edge.core.lane import Authority, Lane
from edge.core.principal import Principal
from tests.sim.chance import Dice
from tests.sim.claims import PLAYERS, SPECS, Claim, Note, make

_REMEMBERED: Final = 30
"""How many claims back somebody sends again; the rest is told apart by the ledger."""

_PADDING: Final = "x" * 600
_LARGE: Final = 0.02
_JUMP: Final = 2000  # beyond a session's window


class Clients:
    """Three players and a service.

    Args:
        dice: Decide.
        lanes: What they send to.
        poison: How many claims the origin will never take.
        poisoned: Where their names are noted.
    """

    def __init__(
        self,
        dice: Dice,
        lanes: Sequence[Lane],
        poison: float,
        poisoned: set[tuple[bytes, bytes]],
    ) -> None:
        self._dice = dice
        self._lanes = lanes
        self._poison = poison
        self._poisoned = poisoned
        self._claims: list[Claim] = []
        self._number = 0
        self._seqs = dict.fromkeys((player.subject for player in PLAYERS), 0)

    def next(self, now: Instant) -> Claim:
        """Make up a claim, or take one up again."""
        roll = self._dice.below(100)
        recent = self._claims[-_REMEMBERED:]
        if not recent or roll < 55:
            return self.new(self._dice.choice(self._lanes), now)
        claim = self._dice.choice(recent)
        if roll < 82:
            return claim
        return self._flawed(claim, now)

    def new(self, lane: Lane, now: Instant) -> Claim:
        """Make up a claim that has nothing in common with any other."""
        self._number += 1
        number = self._number
        size = self._dice.below(200)
        if self._dice.random() < _LARGE:
            size = len(_PADDING)
        note = Note(
            first=f"a{number}", second=f"b{number}", body=number, padding=_PADDING[:size]
        )
        player = self._dice.choice(PLAYERS)
        return self._make(lane, player, number, self._next_seq(lane, player), note, now)

    def _flawed(self, base: Claim, now: Instant) -> Claim:
        """Say something that collides with *base*, or skips numbers."""
        self._number += 1
        number, note, lane = self._number, base.note, base.lane
        subject = base.event.wire.subject
        player = next(each for each in PLAYERS if each.subject == subject)
        fresh = Note(first=f"a{number}", second=f"b{number}", body=number, padding="")
        replace = msgspec.structs.replace
        match self._dice.below(6):
            case 0:  # the same id, another body
                same = int(base.event.wire.id[-12:])
                other = replace(note, body=number)
                return self._make(lane, player, same, base.event.wire.seq, other, now)
            case 1:  # the same transaction under another id
                seq = self._next_seq(lane, player)
                return self._make(lane, player, number, seq, note, now)
            case 2:  # the same transaction with another body
                other = replace(note, body=number)
                seq = self._next_seq(lane, player)
                return self._make(lane, player, number, seq, other, now)
            case 3:  # a number that was used, or skipped
                seq = 1 + self._dice.below(max(1, self._seqs[subject]))
                return self._make(lane, player, number, seq, fresh, now)
            case 4:  # some numbers skipped
                self._seqs[subject] += self._dice.below(4)
                seq = self._next_seq(lane, player)
                return self._make(lane, player, number, seq, fresh, now)
            case _:  # very many numbers skipped, once in a while
                if self._dice.below(8) == 0:
                    self._seqs[subject] += _JUMP
                seq = self._next_seq(lane, player)
                return self._make(lane, player, number, seq, fresh, now)

    def _next_seq(self, lane: Lane, player: Principal) -> int | None:
        if SPECS[lane].authority is Authority.FACT:
            return None
        self._seqs[player.subject] += 1
        return self._seqs[player.subject]

    def _make(  # as what it makes
        self,
        lane: Lane,
        player: Principal,
        number: int,
        seq: int | None,
        note: Note,
        now: Instant,
    ) -> Claim:
        claim = make(SPECS[lane], player, number, seq, note, now)
        if self._dice.random() < self._poison:
            claim.is_poison = True
            self._poisoned.add(claim.name)
        self._claims.append(claim)
        return claim
