"""A page in a real Chromium without a window, driven over the DevTools protocol.

Source: https://chromedevtools.github.io/devtools-protocol/ (Target, Runtime, Page).
"""

import contextlib
import functools
import http.server
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from typing_extensions import override
from websockets.sync.client import ClientConnection, connect

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "headless_shell")
START_S: Final = 40.0  # of a browser, on a machine that is busy with other tests
WAIT_S: Final = 40.0
POLL_S: Final = 0.1
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # containers run as root, and the page is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1100,900",
    "--remote-debugging-port=0",
)


def browser() -> str | None:
    """Where one is, or ``None``."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Page:
    """One tab.

    Attributes:
        wire: To the tab.
        complaints: Exceptions that nobody caught, and what was logged as an error.
    """

    wire: ClientConnection
    complaints: list[str] = field(default_factory=list[str])
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Have the browser do something; return its answer."""
        number = next(self._ids)
        self.wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            heard: dict[str, Any] = json.loads(self.wire.recv(timeout=WAIT_S))
            if heard.get("id") == number:
                assert "error" not in heard, heard["error"]
                answer: dict[str, Any] = heard["result"]
                return answer
            if heard.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(str(heard["params"]["exceptionDetails"]))

    def ask(self, expression: str) -> Any:
        """Return what *expression* is in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Look again and again, until *condition* holds in the page."""
        end_s = time.monotonic() + WAIT_S
        while not self.ask(condition):
            shown = self.ask("document.body.innerText")
            assert time.monotonic() < end_s, f"{condition}: {shown} {self.complaints}"
            time.sleep(POLL_S)

    def open(self, url: str) -> None:
        """Go there, and wait until its modules have run."""
        self.call("Runtime.enable")
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def click(self, name: str) -> None:
        """Press a button, which can be pressed."""
        button = f"document.getElementById({json.dumps(name)})"
        assert self.ask(f"!{button}.disabled"), name
        self.ask(f"{button}.click()")

    def fill(self, name: str, text: str) -> None:
        """Write into a field."""
        self.ask(f"document.getElementById({json.dumps(name)}).value = {json.dumps(text)}")


@contextlib.contextmanager
def page(command: str, room: Path) -> Generator[Page]:
    """Start a browser that keeps its things in *room*; it ends with the test."""
    log = room / "chromium.log"
    with log.open("wb") as words:
        process = subprocess.Popen(
            [command, *FLAGS, f"--user-data-dir={room / 'profile'}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
    try:
        with connect(
            _page_url(process, log),
            compression=None,
            ping_interval=None,
            proxy=None,
        ) as wire:
            yield Page(wire)
    finally:
        process.kill()
        process.wait()


def _page_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the browser says where it listens; return where its one tab does."""
    end_s = time.monotonic() + START_S
    while True:
        said = log.read_text("utf-8", errors="replace")
        if found := re.search(r"DevTools listening on (ws://\S+)/devtools/browser/", said):
            break
        assert process.poll() is None, said
        assert time.monotonic() < end_s, said
        time.sleep(POLL_S)
    with connect(f"{found[0].split()[-1]}{_rest(said)}", proxy=None) as wire:
        browser_page = Page(wire)
        while True:
            targets = browser_page.call("Target.getTargets")["targetInfos"]
            tabs = [each["targetId"] for each in targets if each["type"] == "page"]
            if tabs:
                return f"{found[1]}/devtools/page/{tabs[0]}"
            assert time.monotonic() < end_s, targets
            time.sleep(POLL_S)


def _rest(said: str) -> str:
    found = re.search(r"/devtools/browser/(\S+)", said)
    assert found is not None
    return found[1]


class _Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; modules need their type."""

    extensions_map = {".html": "text/html", ".mjs": "text/javascript"}  # noqa: RUF012  # as its parent's

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Generator[str]:
    """Serve *folder* on loopback; yield the origin, without a slash at its end."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Files, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
