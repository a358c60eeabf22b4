"""Replays a CSV file of bets as facts: ``python -m loadtests.replay --csv PATH --to URL …``.

In: a CSV file as :mod:`loadtests.bets` reads it (``.gz``: gzip), the URL of a gateway, a file
with a service's token (scope ``facts:bet``), and what the file does not say: currency, brand
and jurisdiction. Out: each bet as ``bet.round.staked`` and ``bet.round.settled``, in the order
of the file for each player; on standard output one line that says what became of them
(``--json``: as JSON); on standard error a progress bar, if that is a terminal, and what went
wrong.

*Theory of operation.* The file is read twice. The first reading sends nothing: a bad row is
told with its line and ends it all with 2, and a good file's rows are counted, so that the bar
knows its end. The second sends, never holding more than a few batches in memory. There is no
state to resume from: whoever was interrupted starts again, and what was durable is a
``duplicate``.

Exit codes: 0 every event is durable · 1 some are refused for good, or it gave up, or Ctrl-C ·
2 wrong usage: arguments, file, token; nothing was sent.
"""

import argparse
import contextlib
import gzip
import re
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from random import Random
from typing import Final

from loadtests.bar import DRAW_EVERY_S, Bar
from loadtests.batches import SHARDS, Batch, batches
from loadtests.bets import BadRow, Bet, Fact, Terms, facts_of, read_bets
from loadtests.connection import Connection
from loadtests.ruling import StuckError
from loadtests.sender import Sender
from loadtests.tally import Tally
from loadtests.token_file import TokenFile, TokenFileError

# Outlasts a deployment; a gateway that is away for longer is somebody's business.
PATIENCE_S: Final = 300.0
# More of them are the same mistake, usually.
BAD_ROWS_LISTED_MAX: Final = 20
# One under way and one ready, for each shard: 4 MiB at most.
BATCHES_WAITING_MAX: Final = 2 * SHARDS

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2


class FileError(Exception):
    """The file is no file of bets; the message has a line for each complaint."""


def main(arguments: Sequence[str]) -> int:
    """Replay one file; return the exit code."""
    options = _parser().parse_args(arguments)
    terms = Terms(options.currency, options.brand, options.jurisdiction)
    stop = threading.Event()
    try:
        tally = Tally(total=2 * count_bets(options.csv))
        token = TokenFile(options.token_file)
    except (FileError, TokenFileError) as error:
        return _told(error, WRONG_USAGE)
    bar = Bar(sys.stderr, tally)
    code = DONE
    try:
        with contextlib.ExitStack() as stack, bar:
            senders = [
                Sender(
                    connection=stack.enter_context(Connection(options.to)),
                    token=token,
                    tally=tally,
                    patience_s=options.patience_s,
                    steady_s=time.monotonic,
                    pause=interruptible(stop),
                    rng=Random(),  # noqa: S311  # spreads retries; no secret
                )
                for _ in range(SHARDS)
            ]
            send_all(batches(_facts(options.csv, terms)), senders, stop, bar.draw)
    except (FileError, StuckError, TokenFileError) as error:
        code = _told(error, FAILED)
    except KeyboardInterrupt:
        code = _told("interrupted; run it again to go on", FAILED)
    for refusal in tally.listed:
        code = _told(refusal, FAILED)
    told = tally.as_json if options.json else tally.summary
    print(told(bar.elapsed_s))  # noqa: T201  # its answer
    return code


def count_bets(path: Path) -> int:
    """Read the whole file once, and see that it is good.

    Raises:
        FileError: It is not.
    """
    count = 0
    complaints: list[str] = []
    for row in _rows(path):
        if isinstance(row, Bet):
            count += 1
        else:
            complaints.append(f"{path}, line {row.line}: {row.complaint}")
            if len(complaints) == BAD_ROWS_LISTED_MAX:
                break
    if complaints:
        raise FileError("\n".join(complaints))
    return count


def send_all(
    all_batches: Iterable[Batch],
    senders: Sequence[Sender],
    stop: threading.Event,
    draw: Callable[[], None],
) -> None:
    """Send every batch, each shard's in order by its own sender, side by side.

    Args:
        all_batches: Read as they are sent.
        senders: One for each shard.
        stop: Set on the way out, whatever happened: nobody waits any longer then.
        draw: Called now and then.

    Raises:
        StuckError: A sender's; the others have ended too.
        TokenFileError: As StuckError.
        FileError: The file changed while it was read.
    """
    waiting: set[Future[None]] = set()
    with contextlib.ExitStack() as stack:
        desks = [stack.enter_context(ThreadPoolExecutor(1)) for _ in senders]
        for desk in desks:
            stack.callback(desk.shutdown, wait=False, cancel_futures=True)
        stack.callback(stop.set)
        for batch in all_batches:
            waiting.add(desks[batch.shard].submit(senders[batch.shard].send, batch))
            while len(waiting) >= BATCHES_WAITING_MAX:
                waiting = _settled(waiting, draw)
        while waiting:
            waiting = _settled(waiting, draw)


def _settled(waiting: set[Future[None]], draw: Callable[[], None]) -> set[Future[None]]:
    """Wait a little; return those of *waiting* that go on."""
    done, going_on = wait(waiting, DRAW_EVERY_S, FIRST_COMPLETED)
    for future in done:
        future.result()
    draw()
    return going_on


def interruptible(stop: threading.Event) -> Callable[[float], None]:
    """Make a way to wait that ends with StuckError when *stop* is set."""

    def pause(seconds: float) -> None:
        if stop.wait(seconds):
            raise StuckError("stopped")

    return pause


def _rows(path: Path) -> Iterator[Bet | BadRow]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            yield from read_bets(file)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {error}") from error


def _facts(path: Path, terms: Terms) -> Iterator[Fact]:
    for row in _rows(path):
        if isinstance(row, BadRow):
            raise FileError(f"{path}, line {row.line}: {row.complaint}, since we began")
        yield from facts_of(row, terms)


def _told(complaint: object, code: int) -> int:
    sys.stderr.write(f"{complaint}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.replay", description="Replay a CSV file of bets as facts."
    )
    parser.add_argument("--csv", type=Path, required=True, metavar="PATH", help="the bets")
    parser.add_argument("--to", type=_url, required=True, metavar="URL", help="the gateway")
    parser.add_argument(
        "--token-file", type=Path, required=True, metavar="F", help="read again on a 401"
    )
    parser.add_argument("--currency", type=_like("[A-Z]{3}"), required=True)
    parser.add_argument("--brand", type=_like("[a-z0-9-]{2,32}"), required=True)
    parser.add_argument(
        "--jurisdiction", type=_like("[A-Z]{2}(-[A-Z0-9]{2,8})?"), required=True
    )
    parser.add_argument(
        "--patience-s",
        type=float,
        default=PATIENCE_S,
        metavar="S",
        help="give up when nothing was settled for so long (%(default).0f)",
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    return parser


def _url(text: str) -> str:
    try:
        Connection(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _like(pattern: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"is not like {pattern}")
        return text

    return check


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
