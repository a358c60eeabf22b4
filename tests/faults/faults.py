"""Every fault that is done to a gateway from outside: one function each, by its own name.

A fault takes what it hurts (a process id, a path, a broker) and returns, or yields while it
lasts. None of them knows how the gateway is made.
"""

import contextlib
import itertools
import os
import shutil
import signal
import time
from collections.abc import Generator, Iterable
from pathlib import Path

from tests.faults import mounts
from tests.faults.proxy import Proxy, Way
from tests.kafka.broker import Broker


def kill(process: int) -> None:
    """End a process without a word: SIGKILL."""
    os.kill(process, signal.SIGKILL)


def freeze(process: int) -> None:
    """Stop a process where it stands: SIGSTOP."""
    os.kill(process, signal.SIGSTOP)


def thaw(process: int) -> None:
    """Let a frozen process go on: SIGCONT."""
    os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def frozen(process: int) -> Generator[None]:
    """Keep a process stopped; it goes on whatever happens meanwhile."""
    freeze(process)
    try:
        yield
    finally:
        thaw(process)


def tear_write(file: Path) -> None:
    """Leave half of a write behind a file's end, as a crash in the midst of it would."""
    with file.open("ab") as torn:
        torn.write(b"\xffEF\xfe" + bytes(range(256)))


@contextlib.contextmanager
def without_room(directory: Path) -> Generator[None]:
    """Use up a file system by a file that is nobody's; at the end that is gone."""
    alien = directory / "alien"
    with alien.open("wb", buffering=0) as file:
        for piece in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):  # what is wanted
                while file.write(bytes(piece)) == piece:
                    pass
    try:
        yield
    finally:
        alien.unlink()


@contextlib.contextmanager
def without_inodes(directory: Path) -> Generator[None]:
    """Use up a file system's files by empty ones that are nobody's; at the end they are gone."""
    aliens = directory / "aliens"
    aliens.mkdir()
    try:
        with contextlib.suppress(OSError):  # what is wanted
            for number in itertools.count():
                (aliens / f"{number}").touch()
        yield
    finally:
        shutil.rmtree(aliens)


@contextlib.contextmanager
def read_only(directory: Path) -> Generator[None]:
    """Have every path below *directory* lead to a read-only mount; needs root.

    What is open stays writable: a mount that somebody writes to cannot be made read-only.
    """
    mounts.run("mount", "--bind", "-o", "ro", str(directory), str(directory))
    try:
        yield
    finally:
        # Lazily: somebody may be reading a file there at this moment.
        mounts.run("umount", "--lazy", str(directory))


def tell_of_damage(device: Path) -> None:
    """Have ext4 find damage, and do what it was mounted to do then; needs root."""
    Path("/sys/fs/ext4", device.name, "trigger_fs_error").write_text("planned", "ascii")


@contextlib.contextmanager
def hung(broker: Broker) -> Generator[None]:
    """Freeze a broker: connections stay open, nothing is answered."""
    broker.pause()
    try:
        yield
    finally:
        broker.resume()


@contextlib.contextmanager
def crashed(broker: Broker) -> Generator[None]:
    """End a broker without a word; it starts again on the same records."""
    broker.kill()
    try:
        yield
    finally:
        broker.start()


@contextlib.contextmanager
def denied(broker: Broker, topic: str) -> Generator[None]:
    """Take away the right to write to *topic*: refused at once."""
    broker.deny(topic)
    try:
        yield
    finally:
        broker.allow(topic)


@contextlib.contextmanager
def without_second_directory(broker: Broker) -> Generator[None]:
    """Rename a broker's log directory away: its topics have no leader until a restart."""
    lost = broker.second_directory.with_name("lost")
    broker.second_directory.rename(lost)
    try:
        yield
    finally:
        broker.kill()  # a stop would want to write what it has no place for
        lost.rename(broker.second_directory)
        broker.start()


@contextlib.contextmanager
def limited(broker: Broker, topic: str, max_bytes: int, usual_bytes: int) -> Generator[None]:
    """Have *topic* take no request's records that are larger than this."""
    broker.set_topic(topic, max_message_bytes=max_bytes)
    try:
        yield
    finally:
        broker.set_topic(topic, max_message_bytes=usual_bytes)


@contextlib.contextmanager
def black_hole(*ways: Way) -> Generator[None]:
    """Let nothing pass, and tell nobody."""
    for way in ways:
        way.is_held = True
    try:
        yield
    finally:
        for way in ways:
            way.is_held = False


@contextlib.contextmanager
def late(*ways: Way, latency_s: float, jitter_s: float) -> Generator[None]:
    """Let everything arrive later, and not evenly so."""
    for way in ways:
        way.latency_s, way.jitter_s = latency_s, jitter_s
    try:
        yield
    finally:
        for way in ways:
            way.latency_s = way.jitter_s = 0.0


@contextlib.contextmanager
def narrow(*ways: Way, bytes_per_s: float) -> Generator[None]:
    """Let only so much pass."""
    usual = [way.bytes_per_s for way in ways]
    for way in ways:
        way.bytes_per_s = bytes_per_s
    try:
        yield
    finally:
        for way, before in zip(ways, usual, strict=True):
            way.bytes_per_s = before


@contextlib.contextmanager
def refused(proxy: Proxy) -> Generator[None]:
    """Reset all connections and take no new one, as a machine that is up without its server."""
    proxy.refuse()
    proxy.reset()
    try:
        yield
    finally:
        proxy.accept()


def flap(proxy: Proxy, spans_s: Iterable[tuple[float, float]]) -> None:
    """Be away and there again, so long each time."""
    for away_s, there_s in spans_s:
        with refused(proxy):
            time.sleep(away_s)
        time.sleep(there_s)


def reset(proxy: Proxy) -> None:
    """End all connections by RST."""
    proxy.reset()


def half_close(proxy: Proxy, way: Way) -> None:
    """Send FIN one way on every connection; the other way stays open."""
    proxy.end(of=way)


def cut_before_answer(proxy: Proxy) -> None:
    """Have what is asked next done, and the connection reset instead of the answer."""
    proxy.cut_before_answer()
