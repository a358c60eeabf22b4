"""Every fault that is done to a gateway from outside: one function each, by its own name.

A fault takes what it hurts (a process id, a path, a broker) and returns, or yields while it
lasts. None of them knows how the gateway is made.
"""

import os
import signal


def kill(process: int) -> None:
    """End a process without a word: SIGKILL."""
    os.kill(process, signal.SIGKILL)


def freeze(process: int) -> None:
    """Stop a process where it stands: SIGSTOP."""
    os.kill(process, signal.SIGSTOP)


def thaw(process: int) -> None:
    """Let a frozen process go on: SIGCONT."""
    os.kill(process, signal.SIGCONT)
