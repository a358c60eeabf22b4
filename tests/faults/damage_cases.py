"""Numbered cases of damage: a spool, one of its files, and what is done to the bytes.

All chance comes from the case itself, so a case is the same in every process and every run.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.faults import faults
from tests.faults.damage_judge import Damage, hit
from tests.faults.damage_spool import CURSOR, IDENTITY, Shape, Sound, segment_name

SEED: Final = 20_261_122
PAGE_BYTES: Final = 4096
"""What a disk loses at once."""

TAIL_BYTES: Final = 64 << 10
SCATTERED_BITS_MAX: Final = 64

SHAPES: Final = {
    # The last segment is longer than the tail that is cut.
    "tail": Shape(2, 6, 78 << 10, 76 << 10, 3000, 3, SEED),
    # Much waits: the cursor stands in the first of four segments.
    "backlog": Shape(4, 21, 8000, 6000, 600, 14, SEED),
    # Little waits: the cursor stands in the last of three.
    "nearly": Shape(3, 9, 5000, 4500, 400, 28, SEED),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One damage.

    Attributes:
        spool: Which, of ``SHAPES``.
        how: What is done, of ``MAKERS``.
        name: To which file; ``""``: chance decides.
        at: Where; for chance, which throw of the dice.
    """

    spool: str
    how: str
    name: str
    at: int

    def make(self, sound: Sound) -> Damage:
        """Change one file of *sound*, which stays as it is."""
        rng = random.Random(f"{SEED} {self}")  # noqa: S311  # replayable, no secret
        name = self.name or rng.choice(list(sound.files))
        return Damage(name, MAKERS[self.how](sound, name, self.at, rng))


def _cut(sound: Sound, name: str, at: int, _: random.Random) -> bytes:
    return faults.torn(sound.files[name], at)


def _zeros(sound: Sound, name: str, at: int, _: random.Random) -> bytes:
    """The size was kept, the bytes were not."""
    content = sound.files[name]
    return faults.torn(content, at, bytes(len(content) - at))


def _garbage(sound: Sound, name: str, at: int, rng: random.Random) -> bytes:
    behind = rng.randbytes(rng.randrange(1, PAGE_BYTES))
    return faults.torn(sound.files[name], at, behind)


def _stale(sound: Sound, name: str, at: int, _: random.Random) -> bytes:
    """Blocks of a segment before, whole frames in them."""
    return faults.torn(sound.files[name], at, sound.files[segment_name(sound.last - 1)])


def _flip(sound: Sound, name: str, _: int, rng: random.Random) -> bytes:
    return faults.flipped(sound.files[name], 1, rng)


def _scatter(sound: Sound, name: str, _: int, rng: random.Random) -> bytes:
    return faults.flipped(sound.files[name], rng.randrange(2, SCATTERED_BITS_MAX), rng)


def _page(sound: Sound, name: str, at: int, _: random.Random) -> bytes:
    return faults.without_page(sound.files[name], at, PAGE_BYTES)


MAKERS: Final[dict[str, Callable[[Sound, str, int, random.Random], bytes]]] = {
    "cut": _cut,
    "zeros": _zeros,
    "garbage": _garbage,
    "stale": _stale,
    "flip": _flip,
    "scatter": _scatter,
    "page": _page,
}
_BEHIND: Final = ("zeros", "garbage", "stale")


def clean_tails(sounds: dict[str, Sound]) -> Iterator[Case]:
    """Cut the long last segment at every byte of its last 64 KiB."""
    name = segment_name(sounds["tail"].last)
    size = len(sounds["tail"].files[name])
    assert size > TAIL_BYTES
    return (Case("tail", "cut", name, at) for at in range(size - TAIL_BYTES, size))


def followed_tails(sounds: dict[str, Sound]) -> Iterator[Case]:
    """Cut it at the same bytes, with something else behind: each kind at every third byte."""
    for case in clean_tails(sounds):
        yield Case(case.spool, _BEHIND[case.at % len(_BEHIND)], case.name, case.at)


def cuts(sounds: dict[str, Sound]) -> Iterator[Case]:
    """Cut small last segments, their headers too, at every byte, in every way."""
    for spool in ("backlog", "nearly"):
        name = segment_name(sounds[spool].last)
        for at in range(len(sounds[spool].files[name])):
            yield Case(spool, "cut", name, at)
            yield Case(spool, _BEHIND[at % len(_BEHIND)], name, at)


def flips(count: int) -> Iterator[Case]:
    """Flip one bit anywhere."""
    return (Case(("backlog", "nearly")[n % 2], "flip", "", n) for n in range(count))


def more(sounds: dict[str, Sound], count: int) -> Iterator[Case]:
    """Flip several bits of one file; lose each page; shorten the files that nothing shortens."""
    for n in range(count):
        yield Case(("backlog", "nearly")[n % 2], "scatter", "", n)
    for spool, sound in sounds.items():
        for name, content in sound.files.items():
            for at in range(0, len(content), PAGE_BYTES):
                yield Case(spool, "page", name, at)
            if name != segment_name(sound.last):
                for at in range(0, len(content), 41):  # any prime: no frame has such a rhythm
                    yield Case(spool, "cut", name, at)


def struck(sound: Sound, damage: Damage) -> str:
    """Say for the table what the damage struck."""
    named = {CURSOR: "cursor", IDENTITY: "id"}
    kinds = {".idx": "key index", ".jsonl": "dead letters", "redriven": "dead letters"}
    if damage.name in named:
        return named[damage.name]
    kind = next((kind for end, kind in kinds.items() if damage.name.endswith(end)), "")
    if kind:
        return kind
    was_hit = hit(sound, damage)
    if was_hit.torn:
        return "last frame"
    if not was_hit.frames:
        return "header, or nothing that counts"
    waiting = {frame.index for frame in sound.waiting}
    is_waiting = any(frame.index in waiting for frame in was_hit.frames)
    return "waiting frame" if is_waiting else "forwarded frame"
