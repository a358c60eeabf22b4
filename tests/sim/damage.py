"""Damage to a sealed segment: a bit flips, or a page cannot be read any more.

The frames that were hit are lost, and no other.
"""

from dataclasses import dataclass
from pathlib import Path

from edge.core.frame import FRAME_BYTES_MIN, HEADER_BYTES, MARK
from tests.sim.chance import Dice
from tests.sim.disk import PAGE_BYTES, Node, SimDisk


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to a segment.

    Attributes:
        segment: Its number.
        offset: Where the frames stand that were hit; bytes from the segment's beginning.
        content: They, as they were.
        what: In words.
    """

    segment: int
    offset: int
    content: bytes
    what: str


def strike(dice: Dice, disk: SimDisk, directory: Path) -> Damage | None:
    """Damage a frame of a lane's sealed segments; if a page is lost, its neighbours, too.

    A segment whose successor has no name on the platter yet is not sealed for sure.

    Returns:
        ``None``: there is no frame.
    """
    seen = list(disk.nodes(directory, ".seg").items())[:-1]
    picks = [(name, node, frame) for name, node in seen for frame in _frames(node.cached)]
    if not picks or [node for _, node in seen] != disk.sealed(directory):
        return None
    name, node, frame = dice.choice(picks)
    segment = int(name.removesuffix(".seg"))
    page = dice.choice(frame) // PAGE_BYTES
    hit = _hit(node, page)
    if hit and dice.below(2):
        content = bytes(node.cached[hit.start : hit.stop])
        _lose(node, page)
        return Damage(segment, hit.start, content, f"page {page} is lost")
    content = bytes(node.cached[frame.start : frame.stop])
    spot = _spot(dice, frame)
    node.flip(spot, 1 << dice.below(8))
    return Damage(segment, frame.start, content, f"a bit flips at {spot}")


def _spot(dice: Dice, frame: range) -> int:
    """Pick a byte of a frame, behind its mark.

    The last one more often than any other: spans are wrong at their ends.
    """
    return dice.choice(frame[len(MARK) :]) if dice.below(4) else frame[-1]


def _hit(node: Node, page: int) -> range:
    """Tell where the frames stand that have a part in a page; none if that is not known.

    The page with the header is none to lose: that would cost the whole segment.
    """
    start, stop = page * PAGE_BYTES, min((page + 1) * PAGE_BYTES, len(node.cached))
    frames = _frames(node.cached)
    hit = [frame for frame in frames if frame.start < stop and start < frame.stop]
    if start < HEADER_BYTES or frames[-1].stop < stop:
        return range(0)
    return range(hit[0].start, hit[-1].stop)


def _lose(node: Node, page: int) -> None:
    """Have each read of a page fail; it is nowhere any more."""
    start, stop = page * PAGE_BYTES, (page + 1) * PAGE_BYTES
    for content in (node.cached, node.durable):
        content[start:stop] = bytes(len(content[start:stop]))
    node.lost.append((start, stop))


def _frames(content: bytearray) -> list[range]:
    """Find where the frames of a segment stand: edge.core.frame's Record."""
    found: list[range] = []
    at = HEADER_BYTES
    while content.startswith(MARK, at):
        end = at + int.from_bytes(content[at + 8 : at + 12], "little")
        if not at + FRAME_BYTES_MIN <= end <= len(content):  # torn, or damaged before
            break
        found.append(range(at, end))
        at = end
    return found
