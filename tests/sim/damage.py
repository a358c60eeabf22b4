"""Bits that flip in a sealed segment: the frame they stood in is lost, and no other."""

from pathlib import Path

from edge.core.frame import FRAME_BYTES_MIN, HEADER_BYTES, MARK
from tests.sim.chance import Dice
from tests.sim.disk import Node, SimDisk


def pick(dice: Dice, disk: SimDisk, directory: Path) -> tuple[Node, int, int] | None:
    """Pick a frame of a lane's sealed segments: its file, start and end; ``None`` without one.

    A segment whose successor has no name on the platter yet is not sealed for sure.
    """
    seen = list(disk.nodes(directory, ".seg").values())[:-1]
    sealed = disk.sealed(directory)
    frames = [(node, at, end) for node in sealed for at, end in _frames(node.cached)]
    return dice.choice(frames) if frames and seen == sealed else None


def flip(dice: Dice, node: Node, at: int, end: int) -> None:
    """Flip a bit of a frame, behind its mark.

    In its last byte more often than in any other: spans are wrong at their ends.
    """
    spot = end - 1
    if dice.below(4):
        spot = at + len(MARK) + dice.below(end - at - len(MARK))
    node.flip(spot, 1 << dice.below(8))


def _frames(content: bytearray) -> list[tuple[int, int]]:
    """Find where the frames of a segment stand: edge.core.frame's Record."""
    found: list[tuple[int, int]] = []
    at = HEADER_BYTES
    while content.startswith(MARK, at):
        end = at + int.from_bytes(content[at + 8 : at + 12], "little")
        if not at + FRAME_BYTES_MIN <= end <= len(content):  # torn, or damaged before
            break
        found.append((at, end))
        at = end
    return found
