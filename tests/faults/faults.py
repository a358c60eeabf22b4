"""Every fault that a gateway must endure: one function each, by its own name.

A fault takes what it hurts (a process id, a path, a file's bytes, orders for the library that
stands before the C library, a broker, a proxy) and returns, or yields while it lasts.
"""

import contextlib
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path

from edge.shell.spool.segment import INDEX_SUFFIX, SEGMENT_SUFFIX
from tests.faults import mounts
from tests.faults.failpoints import Point
from tests.faults.launcher import NO_BOUNDS, launcher
from tests.faults.power_disk import Disk
from tests.faults.preload import WRITES, Kind, Manner, Preload
from tests.faults.proxy import Proxy, Way
from tests.kafka.broker import Broker


def kill(process: int) -> None:
    """End a process without a word: SIGKILL."""
    os.kill(process, signal.SIGKILL)


def kill_at(
    point: Point, nth: int = 1, *, bounds: Mapping[str, int] = NO_BOUNDS, refuses: int = 0
) -> tuple[str, ...]:
    """Write the command of a gateway that ends by SIGKILL when it passes *point* the *nth* time.

    The rest is as :func:`tests.faults.launcher.launcher` has it.
    """
    return launcher((point, nth), bounds, refuses)


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


@contextlib.contextmanager
def power_lost(disk: Disk, process: int, image: Path) -> Generator[None]:
    """Take a disk's power: *image* is what it holds then. Its writer is frozen till the end."""
    with frozen(process):
        disk.image(image)
        yield


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
        mounts.run("umount", "--lazy", str(directory))  # somebody may be reading there


def tell_of_damage(device: Path) -> None:
    """Have ext4 find damage, and do what it was mounted to do then; needs root."""
    Path("/sys/fs/ext4", device.name, "trigger_fs_error").write_text("planned", "ascii")


@contextlib.contextmanager
def without_descriptors(process: int, left: int) -> Generator[None]:
    """Let a process have no more than *left* files open; what it has open stays so."""
    usual, most = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (left, most))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # who has ended needs none
            resource.prlimit(process, resource.RLIMIT_NOFILE, (usual, most))


def fail_call(orders: Preload, call: int, kinds: frozenset[Kind], error: int) -> None:
    """Have one call of those kinds, the *call*-th from now on, do nothing and fail."""
    orders.hurt_calls(call, call, kinds=kinds, error=error)


def belie_call(orders: Preload, call: int, kinds: frozenset[Kind], error: int) -> None:
    """Have one call of those kinds do what it is asked for, and say that it failed."""
    orders.hurt_calls(call, call, kinds=kinds, error=error, manner=Manner.BELIED)


def cut_write(orders: Preload, call: int) -> None:
    """Have one write, the *call*-th from now on, end after half of its bytes."""
    orders.hurt_calls(call, call, kinds=WRITES, manner=Manner.CUT)


def hang_write(orders: Preload, part: str) -> None:
    """Have the next write, and its sync, of a path with *part* in it hang until it is spared."""
    orders.hurt_calls(1, 1, kinds=WRITES, manner=Manner.LATE, part=part)


def slow_writes(orders: Preload, ms: int) -> None:
    """Have a slow disk: each write waits so long before it is begun."""
    orders.slow_down(ms)


@contextlib.contextmanager
def lying_syncs(orders: Preload) -> Generator[None]:
    """Have every sync succeed without syncing, of files that are opened meanwhile."""
    orders.lie_about_syncs(is_lying=True)
    try:
        yield
    finally:
        orders.lie_about_syncs(is_lying=False)


def turn_clock(orders: Preload, seconds: float) -> None:
    """Have the wall clock jump, to so far off the true time."""
    orders.shift_clock(seconds)


def tear_write(file: Path) -> None:
    """Leave half of a write behind a file's end, as a crash in the midst of it would."""
    with file.open("ab") as torn_file:
        torn_file.write(b"\xffEF\xfe" + bytes(range(256)))


def torn(content: bytes, at: int, behind: bytes = b"") -> bytes:
    """Tear a file's tail off at a byte; what a disk may show in its place lies *behind*."""
    return content[:at] + behind


def flipped(content: bytes, bits: int, rng: random.Random) -> bytes:
    """Flip so many bits of a file, anywhere."""
    hit = bytearray(content)
    for bit in rng.sample(range(len(hit) * 8), bits):
        hit[bit // 8] ^= 1 << bit % 8
    return bytes(hit)


def without_page(content: bytes, at: int, page_bytes: int) -> bytes:
    """Lose a page of a file: it reads as zeros."""
    end = at + page_bytes
    return content[:at] + bytes(len(content[at:end])) + content[end:]


def second_process(config: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run another ``edge`` on a spool in use, to its end: that must come within a minute."""
    line = [sys.executable, "-m", "edge", *command, "--config", str(config)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)


def restore_all(copy: Path, spool: Path) -> None:
    """Put a spool's whole older copy in its place."""
    shutil.rmtree(spool)
    shutil.copytree(copy, spool)


def restore_segments(copy: Path, spool: Path) -> None:
    """Put older segments back under younger cursors: those are ahead of what there is."""
    for suffix in (SEGMENT_SUFFIX, INDEX_SUFFIX):
        for file in spool.glob(f"*/*/*{suffix}"):
            file.unlink()
        for file in copy.glob(f"*/*/*{suffix}"):
            shutil.copy2(file, spool / file.relative_to(copy))


def restore_cursors(copy: Path, spool: Path) -> None:
    """Put older cursors back."""
    for file in copy.glob("*/*/cursor"):
        shutil.copy2(file, spool / file.relative_to(copy))


def lose_cursors(_: Path, spool: Path) -> None:
    """Restore a spool without its cursors."""
    for file in spool.glob("*/*/cursor"):
        file.unlink()


def lose_identity(_: Path, spool: Path) -> None:
    """Restore a spool without the file that names it."""
    (spool / "0" / "id").unlink()


def upgrade(older: Path, spool: Path) -> None:
    """Leave a gateway the spool of a release before it, as that one's death left it."""
    shutil.copytree(older, spool)


def restart(broker: Broker) -> None:
    """End a broker in order, and start it again."""
    broker.restart()


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
def without_topic(broker: Broker, topic: str) -> Generator[None]:
    """Delete a topic with all that is in it: an unknown one, until it is made again."""
    broker.delete_topic(topic)
    try:
        yield
    finally:
        broker.create_topic(topic, 1)


def make_topic_anew(broker: Broker, topic: str) -> None:
    """Delete a topic and make it anew, empty, behind everybody's back."""
    broker.create_topic(topic, 1)


@contextlib.contextmanager
def failed_yet_written(
    broker: Broker,
    proxy: Proxy,
    topic: str,
    still: Callable[[], int],
    until_more: Callable[[int], None],
) -> Generator[None]:
    """Have records of *topic* reported failed that are in the log all the same.

    While nothing comes to the broker, *still* counts them and lets all answers be heard. Then
    none is until *until_more* has seen more; and who asks again is denied while this lasts.
    """
    with contextlib.ExitStack() as unheard:
        with black_hole(proxy.up):
            before = still()
            unheard.enter_context(black_hole(proxy.down))
        until_more(before)
        with denied(broker, topic):
            proxy.reset()
            proxy.heal()
            yield


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
