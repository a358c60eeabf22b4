"""Frames are read as RFC 6455 says, however they are cut, and as an older reader reads them."""

import gc
import itertools
from collections.abc import Iterable
from random import Random
from typing import Final

import pytest
from websockets.frames import Frame as TheirFrame, Opcode
from websockets.protocol import SERVER, Protocol

from edge.shell.stream.frames import (
    CLOSE,
    PING,
    PONG,
    REASON_BYTES_MAX,
    TEXT,
    Frame,
    FrameError,
    FrameReader,
    close_frame,
    control_frame,
    read_close,
    text_frame,
)
from tests.fakes_frames import BINARY, ServerFrames, client_frame, closing

BYTES_MAX: Final = 1_000
FRAGMENTS_MAX: Final = 4


def read(
    pieces: Iterable[bytes], *, fragments_max: int = FRAGMENTS_MAX
) -> tuple[list[Frame], int | None, str]:
    """Read everything as it comes; return what was read, and the code and reason of its end."""
    reader, frames = FrameReader(BYTES_MAX, fragments_max), list[Frame]()
    try:
        for piece in pieces:
            reader.feed(piece)
            while (frame := reader.next()) is not None:
                frames.append(frame)
                if frame[0] == CLOSE:
                    read_close(frame[1])
                    return frames, None, ""
    except FrameError as error:
        return frames, int(error.code), error.reason
    return frames, None, ""


def octets(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def cut(stream: bytes, random: Random) -> list[bytes]:
    """Cut *stream* anywhere."""
    at = sorted(random.randrange(len(stream) + 1) for _ in range(random.randrange(6)))
    return [stream[a:b] for a, b in itertools.pairwise([0, *at, len(stream)]) if a < b]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_message_is_read_whole_or_octet_by_octet(size: int) -> None:
    stream = client_frame(b"x" * size) + client_frame(b"behind")

    expected = [(TEXT, b"x" * size), (TEXT, b"behind")], None, ""
    assert read([stream]) == expected
    assert read(octets(stream)) == expected


def test_a_long_message_is_read_though_its_length_takes_eight_octets() -> None:
    reader = FrameReader(100_000, 1)
    stream = client_frame(b"x" * 65_536)

    reader.feed(stream[:9])
    assert reader.next() is None
    reader.feed(stream[9:])

    assert reader.next() == (TEXT, b"x" * 65_536)
    assert reader.unread_bytes == 0


def test_fragments_are_one_message_and_control_frames_come_between() -> None:
    parts = (
        client_frame(b"a\xc3", 0x01),
        client_frame(b"p", 0x89),
        client_frame(b"\xa4b", 0x00),
        client_frame(b"", 0x8A),
        client_frame(b"c", 0x80),
        client_frame(b"next"),
    )

    assert read([b"".join(parts)]) == (
        [(PING, b"p"), (PONG, b""), (TEXT, "aäbc".encode()), (TEXT, b"next")],
        None,
        "",
    )


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        pytest.param(client_frame(b"", BINARY), 1003, id="binary"),
        pytest.param(client_frame(b"", 0x02), 1003, id="binary, first fragment"),
        pytest.param(client_frame(b"\xff"), 1007, id="no UTF-8"),
        pytest.param(client_frame(b"\xed\xa0\x80"), 1007, id="a surrogate"),
        pytest.param(
            client_frame(b"\xc3", 0x01) + client_frame(b"x", 0x80), 1007, id="cut character"
        ),
        pytest.param(client_frame(b"x" * 1001), 1009, id="too long"),
        pytest.param(client_frame(b"x" * 1001)[:4], 1009, id="too long, by its length alone"),
        pytest.param(b"\x81\xff" + b"\x7f" * 8, 1009, id="longer than anything"),
        pytest.param(b"\x81\xff" + b"\xff" * 8, 1009, id="longer than may be said"),
        pytest.param(
            client_frame(b"x" * 1000, 0x01) + client_frame(b"y", 0x80)[:2],
            1009,
            id="too long together",
        ),
        pytest.param(
            client_frame(b"x" * 800, 0x01) + client_frame(b"y" * 201, 0x80)[:4],
            1009,
            id="too long together, by a longer one",
        ),
        pytest.param(
            client_frame(b"", 0x01) + client_frame(b"", 0x00) * 3 + client_frame(b"", 0x80)[:2],
            1009,
            id="five fragments",
        ),
        pytest.param(b"\x81\x00", 1002, id="not masked"),
        pytest.param(b"\x89\x00", 1002, id="ping not masked"),
        pytest.param(client_frame(b"", 0xC1), 1002, id="RSV1"),
        pytest.param(client_frame(b"", 0xA1), 1002, id="RSV2"),
        pytest.param(client_frame(b"", 0x91), 1002, id="RSV3"),
        pytest.param(client_frame(b"", 0x83), 1002, id="reserved opcode"),
        pytest.param(client_frame(b"", 0x8B), 1002, id="reserved control opcode"),
        pytest.param(client_frame(b"", 0x09), 1002, id="fragmented ping"),
        pytest.param(client_frame(b"x" * 126, 0x89)[:2], 1002, id="ping of 126"),
        pytest.param(client_frame(b"", 0x80), 1002, id="continues nothing"),
        pytest.param(client_frame(b"", 0x00), 1002, id="continues nothing, and not the last"),
        pytest.param(
            client_frame(b"", 0x01) + client_frame(b""), 1002, id="a text within a text"
        ),
        pytest.param(
            client_frame(b"", 0x01) + client_frame(b"", 0x01), 1002, id="begins twice"
        ),
        pytest.param(client_frame(b"x" * 125, octets=2), 1002, id="two octets for 125"),
        pytest.param(client_frame(b"x" * 126, octets=8), 1002, id="eight octets for 126"),
        pytest.param(client_frame(b"x", CLOSE | 0x80), 1002, id="close of one octet"),
        pytest.param(closing(999), 1002, id="close code too low"),
        pytest.param(closing(1005), 1002, id="close code that is never sent"),
        pytest.param(closing(5000), 1002, id="close code too high"),
        pytest.param(
            client_frame(b"\x03\xe8\xff", 0x88), 1007, id="close reason that is no UTF-8"
        ),
    ],
)
def test_what_breaks_a_rule_ends_with_its_code_and_costs_what_came_before_nothing(
    stream: bytes, code: int
) -> None:
    before = client_frame(b"before")

    for pieces in ([before + stream], octets(before + stream)):
        frames, found, _ = read(pieces)
        assert frames[0] == (TEXT, b"before")
        assert found == code


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x0f\xa0bye", 4000)],
)
def test_a_close_frame_says_why(content: bytes, code: int) -> None:
    assert read_close(content) == code


def test_four_fragments_are_not_too_many() -> None:
    stream = client_frame(b"a", 0x01) + client_frame(b"b", 0x00) * 2 + client_frame(b"c", 0x80)

    assert read([stream]) == ([(TEXT, b"abbc")], None, "")


def test_what_has_come_of_a_message_waits_too_and_it_is_known_that_it_has_begun() -> None:
    reader = FrameReader(BYTES_MAX, FRAGMENTS_MAX)
    assert reader.is_between
    reader.feed(client_frame(b"abc", 0x01))
    assert reader.next() is None
    assert (reader.is_between, reader.unread_bytes) == (False, 3)
    reader.feed(client_frame(b"d", 0x80)[:4])
    assert reader.next() is None
    assert (reader.is_between, reader.unread_bytes) == (False, 7)
    reader.feed(client_frame(b"d", 0x80)[4:])
    assert reader.next() == (TEXT, b"abcd")
    assert (reader.is_between, reader.unread_bytes) == (True, 0)


def test_what_waits_is_counted_and_can_be_forgotten() -> None:
    reader = FrameReader(BYTES_MAX, FRAGMENTS_MAX)
    reader.feed(client_frame(b"x") + client_frame(b"y")[:3])

    assert reader.unread_bytes == 10
    assert reader.next() == (TEXT, b"x")
    assert reader.unread_bytes == 3
    assert reader.next() is None
    reader.feed(client_frame(b"y")[3:])
    reader.forget()
    assert reader.unread_bytes == 0
    assert reader.next() is None
    reader.feed(client_frame(b"z"))
    assert reader.next() == (TEXT, b"z")


def test_what_has_been_read_is_not_kept_with_what_has_not() -> None:
    reader = FrameReader(BYTES_MAX, FRAGMENTS_MAX)
    reader.feed(client_frame(b"x" * 1000) * 100 + client_frame(b"y")[:1])
    while reader.next() is not None:
        pass

    kept = [each for each in gc.get_referents(reader) if isinstance(each, bytes | bytearray)]
    assert max(map(len, kept)) == 1


def their_texts(pieces: Iterable[bytes]) -> tuple[list[Frame], bool]:
    """Read the same by ``websockets``; it leaves it to others to judge what a text is."""
    protocol, parts = Protocol(SERVER, max_size=BYTES_MAX), list[bytes]()
    frames: list[Frame] = []
    for piece in pieces:
        protocol.receive_data(piece)
        for event in protocol.events_received():
            assert isinstance(event, TheirFrame)
            if event.opcode in {Opcode.CLOSE, Opcode.BINARY}:
                return frames, True
            if event.opcode in {Opcode.PING, Opcode.PONG}:
                frames.append((int(event.opcode), bytes(event.data)))
                continue
            parts.append(bytes(event.data))
            if event.fin:
                try:
                    frames.append((TEXT, b"".join(parts).decode().encode()))
                except UnicodeDecodeError:
                    return frames, True
                parts = []
        if protocol.parser_exc is not None:
            return frames, True
    return frames, False


HEADS: Final = (
    0x81,
    0x81,
    0x81,
    0x81,
    0x01,
    0x00,
    0x80,
    0x89,
    0x8A,
    0x88,
    0x82,
    0x02,
    0xC1,
    0x83,
)
CONTENTS: Final = (
    b"",
    b"x",
    "ä€😀".encode(),
    b"\xc3",
    b"\xa4",
    b"\xff",
    b"x" * 126,
    b"y" * 600,
)
FILLER: Final = bytes(BYTES_MAX + 14)
"""Completes whatever is begun, and is then itself no frame: so each stream comes to an end."""


def any_stream(random: Random) -> bytes:
    """Write a few frames, each as likely wrong as right; an octet of some is another."""
    written = bytearray()
    for _ in range(random.randrange(1, 8)):
        written += client_frame(random.choice(CONTENTS), random.choice(HEADS))
    if random.random() < 0.3:
        written[random.randrange(len(written))] = random.randrange(256)
    return bytes(written) + FILLER


@pytest.mark.parametrize("seed", range(20))
def test_ours_and_websockets_read_the_same_frames_and_stop_at_the_same(seed: int) -> None:
    random = Random(seed)  # noqa: S311  # replayable, no secret
    compared = 0
    for _ in range(200):
        pieces = cut(any_stream(random), random)
        frames, code, reason = read(pieces, fragments_max=64)
        if reason == "length in too many octets":
            continue  # they are lenient there
        compared += 1
        if frames and frames[-1][0] == CLOSE:
            frames.pop()
        else:
            assert code is not None
        assert (frames, True) == their_texts(pieces), (seed, b"".join(pieces).hex())
    assert compared > 150


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_our_frames_are_a_servers(size: int) -> None:
    read_by_them = ServerFrames()
    read_by_them.feed(text_frame(b"x" * size) + control_frame(PING, b"?"))
    read_by_them.feed(control_frame(PONG, b"!" * 125) + close_frame(4401, "token_expired"))

    assert read_by_them.texts == [b"x" * size]
    assert (read_by_them.pings, read_by_them.pongs) == ([b"?"], [b"!" * 125])
    assert read_by_them.close == (4401, "token_expired")


def test_a_reason_that_is_too_long_is_cut() -> None:
    read_by_them = ServerFrames()
    read_by_them.feed(close_frame(1000, "x" * 200))

    assert read_by_them.close == (1000, "x" * REASON_BYTES_MAX)
