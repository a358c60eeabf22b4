"""A frame is read back as written, or not at all."""

from itertools import accumulate
from struct import pack
from uuid import UUID
from zlib import crc32

import pytest
from hypothesis import given, strategies as st

from edge.core.frame import (
    FRAME_BYTES_MAX,
    FRAME_BYTES_MIN,
    HEADER_BYTES,
    MARK,
    Frame,
    Gap,
    Header,
    UnknownVersion,
    decode_header,
    encode,
    encode_header,
    scan,
    seed,
    size,
)
from edge.core.record import Footprint, Record

RUN = "01234567-89ab-4cde-8f01-23456789abcd"
OTHER_RUN = "11234567-89ab-4cde-8f01-23456789abcd"
HEADER = Header(number=7, edgespool=RUN, seq_first=3, predecessor=5, predecessor_end=4711)
UNSIGNED = st.integers(0, (1 << 64) - 1)
SIGNED = st.integers(-(1 << 63), (1 << 63) - 1)
RECORDS = st.builds(
    Record,
    key=st.text(max_size=20).map(str.encode),
    accepted_ms=SIGNED,
    footprint=st.builds(
        Footprint,
        time_ms=SIGNED,
        id_key=UNSIGNED,
        digest=UNSIGNED,
        key=UNSIGNED,
        key2=UNSIGNED,
        digest2=UNSIGNED,
        session=UNSIGNED,
        seq=UNSIGNED,
    ),
    envelope=st.text(max_size=60).map(lambda text: b'{"a":"%s"}' % text.encode()),
)


def record(index: int = 0, envelope: bytes = b'{"a":1}') -> Record:
    """Make a record that differs from others."""
    return Record(
        key=b"player",
        accepted_ms=index,
        footprint=Footprint(time_ms=1, id_key=index, digest=3),
        envelope=envelope,
    )


def written(records: list[Record], run: str = RUN) -> list[bytes]:
    """Write them, numbered from the segment's first number."""
    return [encode(r, n, seed(run)) for n, r in enumerate(records, HEADER.seq_first)]


def whole(records: list[Record], first: int = HEADER.seq_first) -> list[Frame | Gap]:
    """What a scan of them yields."""
    return [Frame(size(r), n, r) for n, r in enumerate(records, first)]


@given(st.lists(RECORDS, max_size=6))
def test_what_was_written_is_read(records: list[Record]) -> None:
    assert list(scan(b"".join(written(records)), HEADER, is_end=True)) == whole(records)


def test_a_frame_is_as_documented() -> None:
    """Somebody else's reader, made from the module's first page only."""
    frame = encode(record(9), 3, seed(RUN))

    mark, checksum, length, edgeseq, accepted_ms = (
        frame[0:4],
        int.from_bytes(frame[4:8], "little"),
        int.from_bytes(frame[8:12], "little"),
        int.from_bytes(frame[12:20], "little"),
        int.from_bytes(frame[20:28], "little"),
    )

    assert (mark, length, edgeseq, accepted_ms) == (b"\xffEF\xfe", len(frame), 3, 9)
    assert checksum == crc32(frame[8:], crc32(UUID(RUN).bytes))
    assert int.from_bytes(frame[92:96], "little") == 6
    assert frame[96:] == b'player{"a":1}'


def test_size_is_known_before_it_is_written() -> None:
    assert size(record()) == len(encode(record(), 1, seed(RUN))) == FRAME_BYTES_MIN + 6 + 7


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_walked_over_without_inventing_a_frame(
    window: bytes,
    is_end: bool,  # noqa: FBT001  # drawn
) -> None:
    found = list(scan(window, HEADER, is_end=is_end))

    assert not any(isinstance(one, Frame) for one in found)
    assert sum(one.length for one in found) == (len(window) if is_end else 0)


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_costs_the_frame_it_hits(
    records: list[Record], draw: st.DataObject
) -> None:
    frames = written(records)
    bytes_all = bytearray(b"".join(frames))
    bit = draw.draw(st.integers(0, 8 * len(bytes_all) - 1))
    bytes_all[bit // 8] ^= 1 << bit % 8
    hit = next(i for i, end in enumerate(accumulate(map(len, frames))) if bit // 8 < end)

    found = list(scan(bytes(bytes_all), HEADER, is_end=True))

    expected = whole(records)
    expected[hit] = Gap(len(frames[hit]))
    assert found == expected


@given(st.lists(RECORDS, min_size=1, max_size=3), st.data())
def test_a_torn_end_costs_only_the_torn_frame(
    records: list[Record], draw: st.DataObject
) -> None:
    frames = written(records)
    torn = draw.draw(st.integers(1, len(frames[-1]) - 1))

    found = list(scan(b"".join(frames)[:-torn], HEADER, is_end=True))

    assert found == [*whole(records)[:-1], Gap(len(frames[-1]) - torn)]


def test_two_damaged_neighbours_are_two_gaps() -> None:
    first, second, third = written([record(1), record(2), record(3)])
    broken = first[:-1] + b"!" + second[:-1] + b"!" + third

    found = list(scan(broken, HEADER, is_end=True))

    assert found == [Gap(len(first)), Gap(len(second)), *whole([record(3)], 5)]


def test_a_sender_cannot_plant_a_frame() -> None:
    """The mark is no UTF-8, so JSON cannot carry one; nor can it come in as text."""
    with pytest.raises(UnicodeDecodeError):
        MARK.decode()


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(encode(record(), 3, seed(OTHER_RUN)), id="of another run"),
        pytest.param(encode(record(), 2, seed(RUN)), id="stale, of an earlier segment"),
    ],
)
def test_a_frame_of_another_place_is_none(foreign: bytes) -> None:
    mine = encode(record(1), 4, seed(RUN))

    found = list(scan(foreign + mine, HEADER, is_end=True))

    assert found == [Gap(len(foreign)), Frame(len(mine), 4, record(1))]


@pytest.mark.parametrize(
    ("length", "key_bytes"),
    [
        pytest.param(FRAME_BYTES_MIN - 1, 0, id="shorter than any frame"),
        pytest.param(1 << 31, 0, id="beyond the file"),
        pytest.param(FRAME_BYTES_MIN, 1, id="key longer than the frame"),
        pytest.param(FRAME_BYTES_MAX + 1, 0, id="longer than any frame"),
    ],
)
def test_an_absurd_length_is_not_followed(length: int, key_bytes: int) -> None:
    body = pack("<IQqqQQQQQQQI", length, 3, *([0] * 9), key_bytes)
    body += bytes(FRAME_BYTES_MAX + 1)
    window = MARK + pack("<I", crc32(body[: max(0, length - 8)], seed(RUN))) + body

    assert list(scan(window, HEADER, is_end=True)) == [Gap(len(window))]


def test_a_frame_cut_by_the_window_is_left_to_the_next_one() -> None:
    first, second = written([record(1), record(2)])

    found = list(scan(first + second[:-1], HEADER, is_end=False))

    assert found == whole([record(1)])


def test_a_full_window_without_any_frame_is_passed_but_for_a_cut_mark() -> None:
    window = bytes(FRAME_BYTES_MAX - 2) + MARK[:2]

    found = list(scan(window, HEADER, is_end=False))

    assert sum(gap.length for gap in found) == FRAME_BYTES_MAX - 3


def test_the_header_is_as_documented() -> None:
    start = encode_header(HEADER)

    copy = start[:64]
    assert start == copy * 2
    assert copy[0:8] == b"\xffEDGESG\xfe"
    assert [int.from_bytes(copy[a:b], "little") for a, b in [(8, 10), (10, 12), (12, 20)]] == [
        1,
        0,
        7,
    ]
    assert copy[20:36] == UUID(RUN).bytes
    assert [int.from_bytes(copy[a : a + 8], "little") for a in (36, 44, 52)] == [3, 5, 4711]
    assert copy[60:] == crc32(copy[:60]).to_bytes(4, "little")


def test_one_flipped_bit_in_the_header_is_mended() -> None:
    for bit in range(8 * HEADER_BYTES):
        start = bytearray(encode_header(HEADER))
        start[bit // 8] ^= 1 << bit % 8

        assert decode_header(bytes(start)) == HEADER, bit


@pytest.mark.parametrize("length", [0, 1, 60, 63])
def test_a_short_header_is_none(length: int) -> None:
    assert decode_header(encode_header(HEADER)[:length]) is None


@given(st.binary(max_size=HEADER_BYTES))
def test_any_bytes_are_no_header(start: bytes) -> None:
    assert decode_header(start) is None


def resealed(at: int, replacement: bytes) -> bytes:
    """Write a header with other bytes in it, its checksums right."""
    copy = bytearray(encode_header(HEADER)[:60])
    copy[at : at + len(replacement)] = replacement
    return (bytes(copy) + crc32(copy).to_bytes(4, "little")) * 2


def test_another_version_is_named() -> None:
    with pytest.raises(UnknownVersion) as caught:
        decode_header(resealed(8, b"\x02\x00"))

    assert caught.value.version == 2


def test_another_mark_is_no_header() -> None:
    assert decode_header(resealed(0, b"?")) is None


def test_a_lost_run_has_a_seed_under_which_nothing_is_valid() -> None:
    lost = Header(number=7, edgespool="")

    found = list(scan(encode(record(), 3, seed(RUN)), lost, is_end=True))

    assert [type(one) for one in found] == [Gap]
