"""Each push on each socket, in its order, timed from before it was published."""

import contextlib
import json
import queue
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override
from websockets.sync.server import ServerConnection

from loadtests.bench.client import WrongAnswerError
from loadtests.bench.sockets.client import Sockets
from loadtests.bench.sockets.fan_out import PUSH_TOPIC, FanOut, PutPublisher, push
from loadtests.bench.sockets.speakers import Speakers, StreamIssuer
from tests.fakes_bench_sockets import playing, welcome

LISTENERS = 3


class Radio:
    """Publishes to all sockets at once, *delay_s* later; its other half is a server."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s
        self._lines: list[queue.SimpleQueue[bytes | None]] = []

    def publish(self, line: bytes) -> None:
        """Hand it to every socket."""
        for each in self._lines:
            each.put(line)

    def close(self) -> None:
        """End every socket."""
        for each in self._lines:
            each.put(None)

    def play(self, connection: ServerConnection) -> None:
        """Send what is published to one socket."""
        lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lines.append(lines)
        connection.send(welcome())
        while (line := lines.get()) is not None:
            time.sleep(self._delay_s)
            connection.send(b'{"op":"push","event":%b}' % line.strip(), text=True)


@contextlib.contextmanager
def listeners(radio: Radio) -> Generator[Sockets, None, None]:
    """Sockets that listen to it."""
    speakers = Speakers(StreamIssuer(), LISTENERS)
    with (
        playing(radio.play) as address,
        contextlib.closing(Sockets(address, is_gateway=True)) as ours,
        contextlib.closing(radio),
    ):
        ours.open(speakers.handshakes(LISTENERS, listens=True))
        yield ours


def test_every_push_is_timed_on_every_socket() -> None:
    radio = Radio(delay_s=0.02)

    with listeners(radio) as ours:
        fan_out = FanOut(ours)
        fan_out.run(radio, pushes=4, gap_s=0.01)

    assert len(fan_out.latencies_ns) == 4 * LISTENERS
    assert min(fan_out.latencies_ns) > 20_000_000


def test_pushes_do_not_wait_for_one_another() -> None:
    class Late(Radio):
        """Lets the second push go only with the last one."""

        def __init__(self) -> None:
            super().__init__()
            self._held: list[bytes] = []

        @override
        def publish(self, line: bytes) -> None:
            self._held.append(line)
            if len(self._held) in (1, 5):
                for each in self._held[-4:]:
                    super().publish(each)

    radio = Late()

    with listeners(radio) as ours:
        fan_out = FanOut(ours)
        fan_out.run(radio, pushes=4, gap_s=0.001)

    assert len(fan_out.latencies_ns) == 4 * LISTENERS


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((push(0), push(2)), "push 2, not 1"),
        ((push(0), push(0)), "push 0, not 1"),
        ((push(0), b'{"op":"bye"}'), "no push"),
        ((push(0), b"{}"), "no push"),
    ],
)
def test_what_is_not_the_next_push_ends_it(lines: Sequence[bytes], complaint: str) -> None:
    class Wrong(Radio):
        """Says something else."""

        def __init__(self) -> None:
            super().__init__()
            self._script = list(lines)

        @override
        def publish(self, line: bytes) -> None:
            del line
            super().publish(self._script.pop(0))

    radio = Wrong()
    with listeners(radio) as ours, pytest.raises(WrongAnswerError, match=complaint):
        FanOut(ours).run(radio, pushes=1, gap_s=0.001)


@pytest.mark.system
def test_a_line_lies_at_the_origin_soon(tmp_path: Path) -> None:
    with PutPublisher(f"log:{tmp_path / 'origin'}") as publisher:
        publisher.publish(push(0))
        files: list[Path] = []
        while not any(file.stat().st_size for file in files):  # before its input ends
            time.sleep(0.01)
            files = list((tmp_path / "origin").glob(f"{PUSH_TOPIC}/*/*.jsonl"))
        publisher.publish(push(1))

    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["value"]["data"]["number"] for line in lines] == [0, 1]


@pytest.mark.system
def test_an_origin_that_is_none_is_told() -> None:
    with (
        pytest.raises(WrongAnswerError, match="edge origin put"),
        PutPublisher("carrier-pigeon:"),
    ):
        pass
