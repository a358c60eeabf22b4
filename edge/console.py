"""What every command has in common: its settings, what it says, and how it ends.

Results go to standard output, the rest to standard error.

0 is done, 1 failed, 2 a wrong usage, 78 a wrong configuration.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from edge.config import Config, ConfigError
from edge.settings import PREFIX, SEPARATOR
from edge.shell.clock import SystemClock
from edge.shell.journal import LINE_BYTES_MAX, configure, harmless

Environ: TypeAlias = Mapping[str, str]
"""The environment, for settings."""

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
# Source: sysexits.h, EX_CONFIG.
MISCONFIGURED: Final = 78


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let a command be told its settings."""
    meaning = "TOML; variables EDGE_<SECTION>__<FIELD> go over it"
    parser.add_argument("--config", type=Path, metavar="FILE", help=meaning)


def load_config(arguments: argparse.Namespace, environ: Environ, instead: str) -> Config:
    """Read the settings of a command that can do with less than all of them.

    Args:
        arguments: With :func:`add_config`'s.
        environ: The environment.
        instead: What may be given in place of settings.

    Raises:
        ConfigError: There are none at all, or as :meth:`Config.load`.
    """
    has_any = any(
        name.startswith(PREFIX) and SEPARATOR in name.removeprefix(PREFIX) for name in environ
    )
    if arguments.config is None and not has_any:
        raise ConfigError("", f"there are no settings: give {instead} or --config FILE")
    return Config.load(arguments.config, environ)


def say(line: str) -> None:
    """Give a result."""
    sys.stdout.write(line + "\n")


def tell(line: str) -> None:
    """Say *line* on standard error: one line, whatever a path or a value in it holds."""
    sys.stderr.write(f"edge: {harmless(line, LINE_BYTES_MAX)}\n")


def fail(line: str, code: int) -> int:
    """Say why it ends with *code*, and return that."""
    tell(line)
    return code


def keep_journal() -> None:
    """Log to standard error from now on, as JSON lines."""
    # A stream of the journal's own: a write that hangs must not hold the lock of ``sys.stderr``,
    # which the interpreter flushes when it ends.
    stream = open(sys.stderr.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # a descriptor, open until the end
    configure(stream, SystemClock())
