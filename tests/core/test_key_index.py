"""A key index gives back what its segment's frames say, or nothing; and zeros take no room."""

import sys
from array import array
from typing import Final
from zlib import crc32

import pytest
from hypothesis import given, settings, strategies as st

from edge.core.frame import ROW, Header, encode as encode_frame, row_of, seed
from edge.core.key_index import (
    HEADING_BYTES,
    Heading,
    Page,
    decode,
    decode_heading,
    encode,
    page_of,
)
from edge.core.record import Footprint, Record

RUN: Final = "01234567-89ab-4cde-8f01-23456789abcd"
HEADER: Final = Header(7, RUN, 3, 6, 5000)
END: Final = 4242

U64 = st.integers(0, 2**64 - 1)
FOOTPRINTS = st.builds(
    Footprint,
    time_ms=st.integers(-(2**63), 2**63 - 1),
    id_key=st.integers(1, 2**64 - 1),
    digest=U64,
    key=st.just(0) | U64,
    key2=st.just(0) | U64,
    digest2=U64,
    session=U64,
    seq=st.integers(0, 2**31 - 1),
)


def rows(*footprints: Footprint, first_ms: int = 1000) -> bytes:
    """The rows of records that were accepted one ms after the other."""
    return b"".join(row_of(each, first_ms + at) for at, each in enumerate(footprints))


def read(content: bytes, *, with_keys: bool = True) -> Page | None:
    """Read an index as a start does: the heading, and then as much as it says."""
    heading = decode_heading(content[:HEADING_BYTES])
    if heading is None:
        return None
    size = heading.size(with_keys=with_keys)
    return decode(heading, content[HEADING_BYTES:][:size], with_keys=with_keys)


def entries_of(page: Page) -> list[tuple[int, int, int]]:
    """Its entries, one by one."""
    assert page.entries is not None
    columns = page.entries.keys, page.entries.digests, page.entries.accepted_ms
    return list(zip(*columns, strict=True))


def expected_entries(footprints: list[Footprint]) -> list[tuple[int, int, int]]:
    """What recall remembers of them, in its order."""
    found: list[tuple[int, int, int]] = []
    for accepted_ms, each in enumerate(footprints, 1000):
        found.append((each.id_key, each.digest, accepted_ms))
        found += [(each.key, each.digest, accepted_ms)] * (each.key > 0)
        found += [(each.key2, each.digest2, accepted_ms)] * (each.key2 > 0)
    return found


@given(st.lists(FOOTPRINTS, max_size=20))
@settings(max_examples=200, deadline=None)
def test_what_went_in_comes_out(footprints: list[Footprint]) -> None:
    content = encode(HEADER, END, len(footprints), rows(*footprints))

    page, bare = read(content), read(content, with_keys=False)

    assert page is not None
    assert bare is not None
    assert entries_of(page) == expected_entries(footprints)
    assert (page.count, bare.count, bare.entries) == (len(entries_of(page)),) * 2 + (None,)
    for each in (page, bare):
        numbered = any(each.sessions) or any(footprint.session for footprint in footprints)
        assert list(each.sessions) == [f.session for f in footprints] * numbered
        assert list(each.seqs) in ([f.seq for f in footprints], [])
        assert any(each.seqs) == any(f.seq for f in footprints)
    assert page == page_of(rows(*footprints))


def test_a_row_is_a_slice_of_the_frame() -> None:
    footprint = Footprint(1, 2, 3, 4, 5, 6, 7, 8)
    record = Record(b"key", 9, footprint, b"{}")

    assert encode_frame(record, 1, seed(RUN))[ROW] == row_of(footprint, 9)


def test_the_heading_tells_of_which_segment_it_is() -> None:
    content = encode(HEADER, END, 3, rows(Footprint(0, 1, 1, key=5), Footprint(0, 2, 2)))

    heading = decode_heading(content)

    assert heading is not None
    assert heading == Heading(0b111100, heading.checksums, 7, RUN, END, 3, 2, 3, 1000, 1001)
    assert heading.is_of(HEADER, END)
    others = [(HEADER, END - 1), (Header(8, RUN), END), (Header(7, RUN[:-1] + "0"), END)]
    assert not any(heading.is_of(*other) for other in others)


def test_of_a_lost_header_number_and_end_are_enough() -> None:
    """Then the index alone tells how many frames there were, and their keys."""
    heading = decode_heading(encode(HEADER, END, 0, b""))
    assert heading is not None

    assert heading.is_of(Header(HEADER.number, ""), END)
    assert not heading.is_of(Header(HEADER.number, ""), END + 1)
    assert not heading.is_of(Header(HEADER.number + 1, ""), END)


def test_zeros_take_no_room() -> None:
    """Five columns: four of which no event is without, and a key."""
    some = [Footprint(0, number, number, key=number) for number in (1, 2, 3)]

    assert len(encode(HEADER, END, 3, rows(*some))) == HEADING_BYTES + 3 * 8 * 4
    assert read(encode(HEADER, END, 1, b"")) == Page(
        0, 0, page_of(b"").entries, array("Q"), array("Q")
    )


def test_every_flipped_bit_is_noticed() -> None:
    whole = encode(HEADER, END, 2, rows(*[Footprint(0, 1, 2, 3, 4, 5, 6, 7)] * 2))
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8

        assert read(bytes(broken)) is None, bit


def test_every_torn_end_is_noticed() -> None:
    whole = encode(HEADER, END, 2, rows(*[Footprint(0, 1, 2, 3, 4, 5, 6, 7)] * 2))

    assert [length for length in range(len(whole)) if read(whole[:length])] == []


@pytest.mark.parametrize("at", [0, 8], ids=["mark", "version"])
def test_what_another_program_wrote_is_not_read(at: int) -> None:
    """Its checksum is right: a later version has its own idea of what follows."""
    content = bytearray(encode(HEADER, END, 0, b""))
    content[at] ^= 1
    content[HEADING_BYTES - 4 :] = _checksum(bytes(content[: HEADING_BYTES - 4]))

    assert decode_heading(bytes(content)) is None


def _checksum(body: bytes) -> bytes:
    return crc32(body).to_bytes(4, sys.byteorder)
