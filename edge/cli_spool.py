"""``edge spool``: look into a spool, empty it, and send again what was dead.

Arguments in, one call, an exit code out, as in :mod:`edge.cli`.
"""

import argparse
import contextlib
import math
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

import msgspec

from edge.config import Config, OriginSettings
from edge.console import (
    DONE,
    FAILED,
    Environ,
    add_config,
    fail,
    keep_journal,
    load_config,
    say,
    tell,
)
from edge.core.lane import Lane

if TYPE_CHECKING:
    from edge.shell.redrive import Report


TIMEOUT_S: Final = 30.0  # a broker's restart is over by then


def add_spool(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="name")

    def add(name: str, command: Callable[..., int], meaning: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=meaning)
        added.set_defaults(command=command)
        add_config(added)
        added.add_argument("--path", type=Path, metavar="DIR", help="instead of spool.path")
        return added

    for name, meaning in (
        ("ls", "list segments"),
        ("cat", "print records"),
        ("stats", "sum up each lane"),
        ("verify", "look for damage; ends with 1 if there is any"),
    ):
        add(name, _inspect, meaning).add_argument(
            "--json", action="store_true", help="one JSON object per line"
        )
    export = add(
        "export",
        _export,
        "write all that waits as JSON lines; ends with 1 if any is unreadable",
    )
    export.add_argument("--all", action="store_true", help="also what is retained for recall")
    export.add_argument("--out", type=Path, metavar="FILE", help="instead of standard output")
    drain = add("drain", _drain, "forward all that waits in a spool nobody owns")
    drain.add_argument("--timeout-s", type=_seconds, metavar="S", help="stop after so long")
    redrive = add(
        "redrive", _redrive, "send dead letters again, beside a running gateway or not"
    )
    redrive.add_argument("--lane", choices=[lane.value for lane in Lane], help="only this one")
    redrive.add_argument("--json", action="store_true", help="one JSON object per lane")
    for command in (drain, redrive):
        command.add_argument("--to", metavar="URL", help="instead of origin.url")
    redrive.add_argument(
        "--timeout-s",
        type=_seconds,
        metavar="S",
        default=TIMEOUT_S,
        help=f"stop when the origin has not answered for so long (default {TIMEOUT_S:g})",
    )


def _inspect(arguments: argparse.Namespace, environ: Environ) -> int:
    from edge.shell.spool.inspect import inspect, lines

    path = _path(arguments, environ)
    is_empty = True
    try:
        for line in lines(inspect(arguments.name, path), is_json=arguments.json):
            say(line)
            is_empty = False
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"cannot read {path}: {error.strerror}", FAILED)
    if arguments.name != "verify":
        return DONE
    if is_empty and not arguments.json:
        say("no damage found")
    return DONE if is_empty else FAILED


def _export(arguments: argparse.Namespace, environ: Environ) -> int:
    from edge.shell.spool.export import durable_file, export

    path = _path(arguments, environ)
    records = complaints = 0

    def complain(complaint: str) -> None:
        nonlocal complaints
        complaints += 1
        tell(complaint)

    try:
        with contextlib.ExitStack() as stack:
            output = (
                stack.enter_context(durable_file(arguments.out))
                if arguments.out
                else sys.stdout.buffer
            )
            for line in export(path, complain, with_retained=arguments.all):
                output.write(line)
                records += 1
    except BrokenPipeError:
        raise
    except OSError as error:  # also of the end of the block, where the file gets its name
        return fail(f"cannot export {path}: {error}", FAILED)
    tell(f"{records} records exported; places where one is missing: {complaints}")
    return FAILED if complaints else DONE


def _drain(arguments: argparse.Namespace, environ: Environ) -> int:
    config = _config(arguments, environ)

    from edge.app_out import drain_spool
    from edge.shell.spool.claim import SpoolLocked

    keep_journal()
    try:
        drained = drain_spool(config, _stop_signal(), arguments.timeout_s)
    except SpoolLocked as error:
        return fail(str(error), FAILED)
    except OSError as error:
        return fail(f"cannot drain {config.spool.path}: {error}", FAILED)
    if drained.dead:
        tell(f"dead letters stay: {', '.join(drained.dead)}; edge spool redrive sends them")
    counts = f"{drained.forwarded} forwarded, {sum(drained.left.values())} left"
    if drained.left:
        left = ", ".join(f"{lane} {records}" for lane, records in drained.left.items())
        return fail(f"{counts}: {left}", FAILED)
    tell(counts)
    return DONE


def _redrive(arguments: argparse.Namespace, environ: Environ) -> int:
    config = _config(arguments, environ)

    from edge.app_out import redrive
    from edge.shell.spool.claim import SpoolLocked
    from origin_client.origin import OriginUnavailable

    keep_journal()
    lanes = [Lane(arguments.lane)] if arguments.lane else list(Lane)
    reports: list[Report] = []
    try:
        for lane, report in redrive(config, lanes, _stop_signal(), arguments.timeout_s):
            reports.append(report)
            _say_redriven(lane, report, is_json=arguments.json)
    except SpoolLocked as error:
        return fail(str(error), FAILED)
    except OriginUnavailable as error:
        return fail(f"origin unavailable: {error}; what it has not acknowledged stays", FAILED)
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"cannot redrive: {error}", FAILED)
    if not any(any(report.counts().values()) for report in reports):
        tell("no dead letters")
    is_clean = not any(report.refused or report.damaged for report in reports)
    return DONE if is_clean else FAILED


def _say_redriven(lane: Lane, report: "Report", *, is_json: bool) -> None:
    """Give one lane's result; why something was refused is for people only."""
    counts = report.counts()
    if is_json:
        say(msgspec.json.encode({"lane": lane} | counts).decode())
    elif any(counts.values()):
        say(f"{lane}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    if report.refused:
        tell(f"{lane}: last refused because: {report.reason}")


def _seconds(text: str) -> float:
    """Read a duration.

    Raises:
        ArgumentTypeError: It is none.
    """
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")


def _stop_signal() -> threading.Event:
    """Return what SIGTERM and SIGINT set from now on."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return stop


def _path(arguments: argparse.Namespace, environ: Environ) -> Path:
    """Tell whose spool it is; other settings need not be right for that."""
    return arguments.path or Path(load_config(arguments, environ, "--path DIR").spool.path)


def _config(arguments: argparse.Namespace, environ: Environ) -> Config:
    """Read the settings, with what the arguments say over them.

    The origin's options go with another URL only if that is of the same kind: others would not
    be understood, and may be secrets.
    """
    options = {"--path DIR": arguments.path, "--to URL": arguments.to}
    missing = " and ".join(option for option, given in options.items() if not given)
    says_all = not missing and not arguments.config
    config = Config() if says_all else load_config(arguments, environ, missing)
    spool, origin = config.spool, config.origin
    if arguments.path:
        spool = msgspec.structs.replace(spool, path=str(arguments.path))
    if arguments.to:
        is_same_kind = arguments.to.partition(":")[0] == origin.url.partition(":")[0]
        options = origin.options if is_same_kind else {}
        origin = OriginSettings(url=arguments.to, options=options)
    return msgspec.structs.replace(config, spool=spool, origin=origin)
