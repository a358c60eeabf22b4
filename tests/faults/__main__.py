"""``python -m tests.faults``: campaigns of faults, and one table of what they found.

In: which campaigns, short or full; out: lines of progress, the table, and exit code 1 if a goal
was missed. Each campaign has a room of its own, which is removed. Full results are kept in
``tests/faults/results/``, from which ``--readme`` writes the table of all that ran so far. One who is told
to end by SIGTERM or SIGHUP cleans up first: gateways end, mounts and loop devices go.
"""

import argparse
import contextlib
import inspect
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final, NoReturn, cast

from loadtests.bench.report import machine
from tests.faults.backups import backups
from tests.faults.broker_faults import broker_faults
from tests.faults.bulkheads import bulkheads
from tests.faults.clock_jumps import clock_jumps
from tests.faults.cluster import three_brokers
from tests.faults.damage import damage
from tests.faults.dirty_start import dirty_start
from tests.faults.io_errors import io_errors
from tests.faults.io_hangs import hanging_syncs
from tests.faults.kills import kills
from tests.faults.outage import outage
from tests.faults.overload import overload
from tests.faults.power import power_loss
from tests.faults.power_tail import recovered_tail
from tests.faults.reserve import reserve
from tests.faults.restarts import restarts
from tests.faults.row import Campaign, Row, Scale, Tell
from tests.faults.second_owner import second_owner
from tests.faults.shortage import shortage
from tests.faults.strace import orders_of_syncs
from tests.faults.table import RESULTS, Result, Shelf, commit, markdown, today, write_readme
from tests.faults.upgrade import upgrade
from tests.sim.campaign import simulation

CAMPAIGNS: Final[tuple[tuple[str, Campaign], ...]] = (
    ("kills", kills),
    ("restarts", restarts),
    ("power", power_loss),
    ("tail", recovered_tail),
    ("io-errors", io_errors),
    ("hangs", hanging_syncs),
    ("clock", clock_jumps),
    ("dirty-start", dirty_start),
    ("strace", orders_of_syncs),
    ("damage", damage),
    ("shortage", shortage),
    ("backups", backups),
    ("upgrade", upgrade),
    ("second-owner", second_owner),
    ("bulkheads", bulkheads),
    ("reserve", reserve),
    ("broker", broker_faults),
    ("outage", outage),
    ("cluster", three_brokers),
    ("overload", overload),
    ("simulation", simulation),
)
"""All there are, in the order of the table."""

SKIPPED: Final = "SKIPPED"
"""So begins the line of a campaign that does not run, with its reason."""

ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)
EXIT_SIGNALLED: Final = 128
"""And the signal's number. Source: POSIX.1-2017, Shell Command Language §2.8.2."""


def run(
    name: str, campaign: Campaign, scale: Scale, tell: Tell, *, keeps: bool = False
) -> Result:
    """Run one campaign in a room of its own, which is removed unless it *keeps* it.

    One that breaks has missed its goal, and the others go on.
    """
    began_s = time.monotonic()
    rows: list[Row] = []
    skipped: list[str] = []

    def listen(line: str) -> None:
        if line.startswith(SKIPPED):
            skipped.append(line)
        tell(line)

    room = Path(tempfile.mkdtemp(prefix=f"edge-faults-{name}-"))
    try:
        rows.extend(campaign(scale, room, listen))
    except Exception as error:  # noqa: BLE001  # the supervisor of campaigns: the rest is to run
        tell(traceback.format_exc())
        rows.append(Row(name, "runs to its end", f"broke: {type(error).__name__}", False))
    finally:
        if keeps:
            tell(f"its room is {room}")
        else:
            shutil.rmtree(room, ignore_errors=True)
    seconds = time.monotonic() - began_s
    return Result(
        name=name,
        commit=commit(),
        date=today(),
        seconds=seconds,
        rows=rows,
        machine=machine(),
        skipped="" if rows else "; ".join(skipped),
    )


def chosen(only: str) -> list[tuple[str, Campaign]]:
    """Return the campaigns of that comma separated list, in our order; all, if it is empty.

    Raises:
        ValueError: There is no such campaign.
    """
    names = [name for name in only.split(",") if name]
    known = [name for name, _ in CAMPAIGNS]
    if strangers := sorted(set(names) - set(known)):
        raise ValueError(f"no campaign {', '.join(strangers)}; there are {', '.join(known)}")
    return [each for each in CAMPAIGNS if not names or each[0] in names]


def seeded(campaign: Campaign, seed: int | None) -> Campaign:
    """Give the campaign another seed than its own.

    Raises:
        ValueError: It takes none.
    """
    if seed is None:
        return campaign
    if "seed" not in inspect.signature(campaign).parameters:
        raise ValueError("this campaign takes no seed")
    takes_seed = cast("Callable[..., Iterable[Row]]", campaign)

    def with_seed(scale: Scale, room: Path, tell: Tell) -> Iterable[Row]:
        return takes_seed(scale, room, tell, seed=seed)

    return with_seed


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; 1 if a goal was missed, 2 if it cannot be asked for."""
    options = _options(arguments)
    try:
        campaigns = [(name, seeded(each, options.seed)) for name, each in chosen(options.only)]
        if options.readme is not None:
            _publish(
                options
            )  # a file that cannot be written is not to be found out hours later
    except ValueError as error:
        _say(f"faults: {error}")
        return 2
    if options.list:
        for name, campaign in campaigns:
            _say(f"{name:12} {(inspect.getdoc(campaign) or '').partition(chr(10))[0]}")
        return 0
    scale = Scale.FULL if options.full else Scale.SHORT
    with ended_in_order():
        results = [
            _told(name, campaign, scale, options.results, keeps=options.keep)
            for name, campaign in campaigns
        ]
    _say("\n" + markdown(row for result in results for row in result.rows))
    for fault in (fault for result in results for fault in result.faults()):
        _say(f"FAULT: {fault}")
    if options.readme is not None:
        _publish(options)
    left_out = [each for each in results if scale is Scale.SHORT and each.skipped]
    for result in left_out:
        _say(f"NOT RUN, AND IN NO VERDICT: {result.name}: {result.skipped}")
    return 0 if all(each.is_reached for each in results if each not in left_out) else 1


@contextlib.contextmanager
def ended_in_order() -> Generator[None]:
    """Have a signal to end unwind what runs, once: what is entered is left, what is built goes."""
    before = {number: signal.signal(number, _end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    for each in ENDINGS:
        signal.signal(each, signal.SIG_IGN)  # a second one would cut the cleaning short
    sys.exit(EXIT_SIGNALLED + number)


def _publish(options: Any) -> None:  # argparse's namespace
    """Write the table of all full results so far.

    Raises:
        ValueError: The file has no place for it.
    """
    write_readme(options.readme, [name for name, _ in CAMPAIGNS], Shelf(options.results))


def _told(name: str, campaign: Campaign, scale: Scale, shelf: Path, *, keeps: bool) -> Result:
    """Run one, say so, and keep what it came to if it was run in full."""
    began_s = time.monotonic()

    def tell(line: str) -> None:
        _say(f"{name} {time.monotonic() - began_s:7.1f} s  {line}")

    tell("begins")
    result = run(name, campaign, scale, tell, keeps=keeps)
    tell("reached" if result.is_reached else "MISSED")
    if scale is Scale.FULL:
        Shelf(shelf).put(result)
    return result


def _options(arguments: Sequence[str]) -> Any:  # argparse's namespace
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--short", action="store_true", help="as in make test; the default")
    size.add_argument("--full", action="store_true", help="all that the goals ask: hours")
    parser.add_argument("--only", default="", metavar="A,B", help="these campaigns")
    parser.add_argument("--list", action="store_true", help="name the campaigns")
    parser.add_argument("--seed", type=int, help="another than each campaign's own")
    parser.add_argument("--keep", action="store_true", help="leave the rooms, for a look")
    parser.add_argument("--readme", type=Path, help="write all full results into this file")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where they are kept")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
