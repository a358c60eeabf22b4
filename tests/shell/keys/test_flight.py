"""``edge.shell.keys.flight``: one call at a time, and none of them holds the process."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.shell.keys.flight import Flight


def test_what_a_call_returns_or_raises_comes_out() -> None:
    def fail() -> int:
        raise OSError("planted")

    flight = Flight[int]()

    assert asyncio.run(flight.run(lambda: 7)) == 7
    with pytest.raises(OSError, match="planted"):
        asyncio.run(flight.run(fail))
    assert asyncio.run(flight.run(lambda: 8)) == 8


def test_while_one_hangs_no_other_begins() -> None:
    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await flight.run(hang)

    def hang() -> None:
        calls.append(threading.current_thread())
        gate_opens.wait(30)

    calls: list[threading.Thread] = []
    gate_opens = threading.Event()
    flight = Flight[None]()
    for _ in range(2):
        asyncio.run(give_up())
    gate_opens.set()
    calls[0].join()
    asyncio.run(flight.run(hang))

    assert len(calls) == 2


SCRIPT = """
import asyncio, sys
from pathlib import Path
from edge.config import Auth, Issuer
from edge.shell.clock import SystemClock
from edge.shell.keys import keyring

keyring.RENEWAL_TIMEOUT_S = 0.1
issuer = Issuer(issuer="https://id.example", audience="edge", jwks_path=sys.argv[1])
keys = keyring.Keyring(Auth(issuers=(issuer,)), Path("unused"), SystemClock())
asyncio.run(keys.start())
print(keys.statistics()[0].error)
"""


def test_a_fifo_for_a_key_file_keeps_no_process_from_ending(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jwks.json")

    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "jwks.json")],
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
    )

    assert ended.stdout == "no answer within 0.1 s\n"
