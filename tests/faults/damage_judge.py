"""What must come out of a damaged spool, and whether it did: one file's damage in, words out.

In a sentence: every frame that was not hit comes once, unchanged and in order; each that was
hit is counted and kept raw; nothing else comes. The exceptions are these, and no others:

=========================  ================================================================
hit                        what comes
=========================  ================================================================
last frames of the last    what a torn write leaves looks the same: bytes behind the last
segment                    whole frame are counted as torn, not kept
both copies of a header    no frame of that segment is believed: all of them are kept raw
the last segment's, too    nothing tells their number: counted are the places that look like one
the cursor                 the one before it counts, else everything goes again
both lines of the id       recall forgets: nobody knows how the keys were hashed
=========================  ================================================================
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from edge.core.frame import HEADER_BYTES, MARK, decode_header
from tests.faults.damage_spool import CURSOR, IDENTITY, Came, Placed, Sound, segment_name


@dataclass(frozen=True, slots=True)
class Damage:
    """One file of a spool, changed.

    Attributes:
        name: Which.
        content: Its bytes now.
    """

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """What the damage hit.

    Attributes:
        frames: Frames that are not whole any more, but for the torn ones.
        torn: Frames behind the last whole one of the last segment.
        torn_bytes: Bytes there.
        is_behind: The cursor stands behind what is left.
    """

    frames: list[Placed]
    torn: list[Placed]
    torn_bytes: int
    is_behind: bool

    @property
    def gone(self) -> set[int]:
        """Which records cannot come any more."""
        return {frame.index for frame in (*self.frames, *self.torn)}


def hit(sound: Sound, damage: Damage) -> Hit:
    """Find what the damage hit, by comparing bytes."""
    before, now = sound.files[damage.name], damage.content
    within = _within(sound, damage)
    segment = within[0].segment if within else 0
    has_header = decode_header(now[:HEADER_BYTES]) is not None
    whole = [
        f for f in within if has_header and before[f.start : f.end] == now[f.start : f.end]
    ]
    lost = [f for f in within if f not in whole]
    is_behind = segment == sound.cursor.segment and len(now) < sound.cursor.offset
    if segment != sound.last or not has_header:
        return Hit(lost, [], 0, is_behind)
    is_read_from_the_cursor = segment == sound.cursor.segment and not is_behind
    start = sound.cursor.offset if is_read_from_the_cursor else HEADER_BYTES
    end = max([f.end for f in whole if f.start >= start], default=start)
    torn = [f for f in lost if f.start >= end]
    return Hit([f for f in lost if f.start < end], torn, max(0, len(now) - end), is_behind)


def judge(sound: Sound, damage: Damage, came: Came) -> Iterator[str]:
    """Say in words what did not come as it must."""
    was_hit = hit(sound, damage)
    index = {frame.value: frame.index for frame in sound.frames}
    delivered = [index.get(value) for value in came.delivered]
    if None in delivered:
        yield "something was invented"
        return
    yield from _delivered(sound, damage, was_hit, [n for n in delivered if n is not None])
    yield from _kept(sound, damage, was_hit, came)
    if came.torn_bytes != was_hit.torn_bytes:
        yield f"{came.torn_bytes} torn bytes, not {was_hit.torn_bytes}"
    if came.left:
        yield f"{came.left} records are counted as waiting, and never come"
    yield from _known(sound, damage, was_hit, came)
    yield from _letters(sound, damage, came)


def _delivered(
    sound: Sound, damage: Damage, was_hit: Hit, delivered: list[int]
) -> Iterator[str]:
    """What was not hit comes once, in order; before the cursor only if that was hit."""
    first = min((frame.index for frame in sound.waiting), default=len(sound.frames))
    if damage.name == CURSOR or was_hit.is_behind:
        first = min([first, *delivered])
    wanted = [f.index for f in sound.frames if f.index >= first and f.index not in was_hit.gone]
    if delivered != wanted:
        lost = sorted(set(wanted) - set(delivered))
        order = "in order" if all(a < b for a, b in pairwise(delivered)) else "out of order"
        yield f"delivered {len(delivered)} of {len(wanted)}, {order}, lost {lost}"


def _kept(sound: Sound, damage: Damage, was_hit: Hit, came: Came) -> Iterator[str]:
    """What was hit behind the cursor is counted, and its bytes are in the dead letters."""
    waiting = sound.frames if was_hit.is_behind else sound.waiting
    hurt = [frame for frame in was_hit.frames if frame in waiting]
    raw = b"".join(_raw(sound, damage, frame) for frame in hurt)
    count = len(hurt)
    has_header = decode_header(damage.content[:HEADER_BYTES]) is not None
    if damage.name == segment_name(sound.last) and not has_header:
        # Nothing says where its frames end: all that is there is kept.
        is_begun = sound.cursor.segment == sound.last and not was_hit.is_behind
        raw = damage.content[sound.cursor.offset if is_begun else HEADER_BYTES :]
        count = bool(raw) + raw[1:].count(MARK)
    told = sum(letter.frames for letter in came.letters)
    if came.quarantined != told:
        yield f"{came.quarantined} frames counted, {told} in dead letters"
    if came.quarantined != count:
        yield f"{came.quarantined} frames counted, {count} hit"
    if b"".join(base64.b64decode(letter.raw) for letter in came.letters) != raw:
        yield "what was hit is not kept as it was found"


def _within(sound: Sound, damage: Damage) -> list[Placed]:
    """Name the frames of the damaged file."""
    return [frame for frame in sound.frames if segment_name(frame.segment) == damage.name]


def _raw(sound: Sound, damage: Damage, frame: Placed) -> bytes:
    """Tell what is found where a frame stood; a sealed segment that is short reads as zeros."""
    raw = damage.content[frame.start : frame.end]
    return raw if frame.segment == sound.last else raw.ljust(frame.end - frame.start, b"\0")


def _known(sound: Sound, damage: Damage, was_hit: Hit, came: Came) -> Iterator[str]:
    """Recall knows what is whole, what an index still knows, and nothing else."""
    every = {frame.index for frame in sound.frames}
    is_nameless = damage.name == IDENTITY and not _has_line(sound, damage) and not came.known
    if not is_nameless and not every - was_hit.gone <= came.known:
        yield f"recall does not know {sorted(every - was_hit.gone - came.known)}"
    if not came.known <= every:
        yield f"recall knows {sorted(came.known - every)}"


def _has_line(sound: Sound, damage: Damage) -> bool:
    """Whether of the id's two lines, which are the same, one is whole."""
    return sound.files[IDENTITY].splitlines()[0] in damage.content


def _letters(sound: Sound, damage: Damage, came: Came) -> Iterator[str]:
    """Letters of an earlier time lie where they lay, whatever came behind them."""
    for name, content in (sound.files | {damage.name: damage.content}).items():
        file = name.rpartition("/")[2]
        if file.endswith(".jsonl") and not came.dead.get(file, b"").startswith(content):
            yield "a dead letter of an earlier time is gone"
