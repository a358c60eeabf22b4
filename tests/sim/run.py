"""One seed after another: what came of each, and the line that replays it."""

import asyncio
import gc
import logging
import tempfile
import traceback
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from typing_extensions import override

from edge.core.lane import Lane
from tests.sim.bugs import noticed
from tests.sim.chance import Dice
from tests.sim.disk import PAGE_BYTES, Violation
from tests.sim.every import Tree
from tests.sim.limits import SEED_CPU_S_MAX, allotted
from tests.sim.weather import draw_bounds, draw_settings, draw_temper
from tests.sim.world import Tell, World

STEPS: Final = 200
_SEEDS_PER_COLLECTION: Final = 20
"""A world is full of cycles, and has few objects but large ones: the collector would wait."""

LANES: Final = (Lane.WALLET, Lane.BET, Lane.PLAYER)


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke a rule.

    Attributes:
        seed: Which.
        steps: In how many.
        cause: The rule.
    """

    seed: int
    steps: int
    cause: str

    @override
    def __str__(self) -> str:
        """The one line that replays it, and why it should be."""
        return f"python -m tests.sim --seed {self.seed} --steps {self.steps}  # {self.cause}"


@contextmanager
def stage() -> Generator[Path]:
    """Set up what all worlds of a process share; gives the directory of their locks.

    A writer asks for work without waiting, a page is as small as the simulated disk's, and
    warnings are nobody's business.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="sim-") as root,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr("edge.shell.spool.lane_writer.IDLE_INTERVAL_S", 0)
            patch.setattr("edge.shell.spool.segment._PAGE_BYTES", PAGE_BYTES)
            for lane in LANES:
                (Path(root) / lane / "dead").mkdir(parents=True)
            yield Path(root)
    finally:
        logging.disable(level)


def live(seed: int, steps: int, root: Path, tell: Tell | None = None) -> Failure | None:
    """Live through one seed, on a :func:`stage`; return what went wrong."""

    async def story() -> None:  # commits make their futures on the running loop
        dice = Dice(seed)
        lanes = LANES[: dice.choice((2, 2, 3))]
        temper, settings = draw_temper(dice), draw_settings(dice, root)
        bounds = draw_bounds(dice)
        with noticed() as bugs:
            World(
                dice,
                root,
                bugs=bugs,
                lanes=lanes,
                temper=temper,
                settings=settings,
                bounds=bounds,
                tell=tell,
            ).run(steps)

    if seed % _SEEDS_PER_COLLECTION == 0:
        gc.collect()
    try:
        with allotted(SEED_CPU_S_MAX):
            asyncio.run(story())
    except Violation as violation:
        return Failure(seed, steps, str(violation))
    except Exception as error:  # noqa: BLE001  # whatever production raises is a finding
        if tell:
            tell(traceback.format_exc())
        return Failure(seed, steps, repr(error))
    return None


def first_failure(seeds: Iterable[int], steps: int) -> Failure | None:
    """Live through many seeds; return the first that breaks a rule, without those behind it."""
    with stage() as root:
        found = (live(seed, steps, root) for seed in seeds)
        return next((failure for failure in found if failure), None)


def explored(length: int, errors: int, tell: Tell | None = None) -> tuple[int, str]:
    """Try all that short traces may leave, up to the first way that breaks a rule.

    Args:
        length: Steps of a trace.
        errors: Calls that fail on each way, at most.
        tell: Takes the steps of the way that breaks a rule.

    Returns:
        How many ways were tried, and the line that shows the last one again if it broke a rule.
    """
    tree = Tree(length, errors)

    async def story(root: Path) -> None:
        with noticed() as bugs:
            tree.walk(root, bugs)

    with stage() as root:
        try:
            asyncio.run(story(root))
        except Violation as violation:
            cause = str(violation)
        except Exception as error:  # noqa: BLE001  # whatever production raises is a finding
            cause = repr(error)
            tree.trace.append(traceback.format_exc())
        else:
            return tree.ways, ""
    if tell:
        for step in tree.trace:
            tell(step)
    line = f"python -m tests.sim --tree {length} {errors}"
    return tree.ways, f"{line}  # {cause}, on way {tree.ways:,}"
