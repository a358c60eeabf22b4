"""The gateway as a process: started, asked, killed, started again on the same spool and ports.

In: a configuration. Owns: the child process, from start to reaping; its configuration file and
its log lie in the directory it is given.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

Address: TypeAlias = tuple[str, int]
Settings: TypeAlias = Mapping[str, object]

# A start on two busy cores takes under two seconds, recovery of an evening's spool included.
START_TIMEOUT_S: Final = 20.0
# Above the demo's ``node.drain_s`` (10): who takes longer than he promised, hangs.
STOP_TIMEOUT_S: Final = 15.0
REQUEST_TIMEOUT_S: Final = 5.0
LOG_LINES_SHOWN: Final = 20


class GatewayError(Exception):
    """The gateway did not start, or did not stop; the message quotes the end of its log.

    Attributes:
        code: Its exit code, if it ended, other than by our impatience; a signal's number is
            negative.
    """

    def __init__(self, words: str, code: int | None = None) -> None:
        super().__init__(words)
        self.code = code


class Gateway:
    """One gateway, through all its lives.

    Attributes:
        public: Where clients talk to it; known once it listens, the same in every life.
        admin: Where operators do.
        lives: How often it was started.
        process: The process of its present life, if there is one.
        config: Its configuration file, written anew at each start.
        command: What runs ``edge``; the next life starts by it. Whoever hurts the gateway
            puts his own launcher there.
    """

    def __init__(self, room: Path, settings: Mapping[str, Settings | list[Settings]]) -> None:
        """Prepare a gateway that keeps its things in *room*.

        Args:
            room: An existing directory.
            settings: Sections of its configuration; ports of their own are given to it.
        """
        self.public: Address = ("127.0.0.1", 0)
        self.admin: Address = ("127.0.0.1", 0)
        self.lives = 0
        self.process: subprocess.Popen[str] | None = None
        self.command: tuple[str, ...] = (sys.executable, "-m", "edge")
        self.log = room / "gateway.log"
        self.config = room / "edge.toml"
        self._settings = settings

    def start(self) -> None:
        """Start it, and return when it listens.

        Raises:
            GatewayError: It does not.
        """
        assert self.process is None
        settings = dict(self._settings)
        for name, (host, port) in (("http", self.public), ("admin", self.admin)):
            section = settings.get(name, {})
            assert not isinstance(section, list)
            settings[name] = {"host": host, "port": port} | dict(section)
        self.config.write_text(toml(settings), "utf-8")
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own interpreter and package
                [*self.command, "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # A Ctrl-C at the terminal is for us; we end the gateway in our own time.
                start_new_session=True,
            )
        self.lives += 1
        self.public, self.admin = self._listening(self.process)

    def freeze(self) -> None:
        """Stop it where it stands, and return when none of its threads runs any more.

        Only a kill helps it on. Source: waitid(2).
        """
        assert self.process is not None
        # Whoever has just ended is not waited for, and stays to be reaped.
        os.kill(self.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def kill(self) -> None:
        """End it without a word, as a power failure would end the process."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to drain and leave; return its exit code.

        Raises:
            GatewayError: It is still there after *timeout_s*.
        """
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self._reap(timeout_s)
        except subprocess.TimeoutExpired as hanging:
            self.kill()
            raise GatewayError(f"no exit {timeout_s:.0f} s after SIGTERM") from hanging

    def close(self) -> None:
        """Leave nothing running, whatever happened before."""
        if self.process is not None:
            self.kill()

    def metrics(self) -> str:
        """Read ``/metrics``.

        Raises:
            OSError: Nobody answers.
        """
        host, port = self.admin
        with contextlib.closing(
            urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=REQUEST_TIMEOUT_S)
        ) as answer:
            return cast("bytes", answer.read()).decode()

    def last_words(self) -> str:
        """Quote the end of its log."""
        return "\n".join(self.log.read_text("utf-8").splitlines()[-LOG_LINES_SHOWN:])

    def _listening(self, process: subprocess.Popen[str]) -> tuple[Address, Address]:
        """Read the one line it prints when it listens."""
        assert process.stdout is not None
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            process.kill()

        # A silent child would block us for ever; killed, it ends its line.
        watchdog = threading.Timer(START_TIMEOUT_S, give_up)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        if not line:
            code = self._reap()
            if is_late.is_set():  # it did not end by itself, nor by whoever hurts it
                hangs = f"not listening {START_TIMEOUT_S:.0f} s after its start"
                raise GatewayError(f"{hangs}\n{self.last_words()}")
            raise GatewayError(
                f"exit code {code} before it listened\n{self.last_words()}", code
            )
        listening = cast("dict[str, str]", json.loads(line))
        return _address(listening["public"]), _address(listening["admin"])

    def _reap(self, timeout_s: float | None = None) -> int:
        assert self.process is not None
        code = self.process.wait(timeout_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return host, int(port)


def toml(settings: Mapping[str, Settings | list[Settings]]) -> str:
    """Write sections as TOML; a list of sections becomes an array of tables.

    What is ``None`` is left out. A JSON string, number, boolean or list of such is a TOML
    value as it stands.

    Source: TOML 1.0.
    """
    lines: list[str] = []
    for name, section in settings.items():
        many = isinstance(section, list)
        for table in section if isinstance(section, list) else [section]:
            lines.append(f"[[{name}]]" if many else f"[{name}]")
            lines += [
                f"{key} = {json.dumps(value)}"
                for key, value in table.items()
                if value is not None
            ]
    return "\n".join([*lines, ""])
