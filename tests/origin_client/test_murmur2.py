"""``origin_client.murmur2``: the hashes that Kafka's own tests and librdkafka's expect."""

import pytest
from hypothesis import given, strategies as st

from origin_client.murmur2 import KEYS_MAX, murmur2, partition

# Signed, as Java prints them. Source: Kafka's UtilsTest.testMurmur2; the rows of librdkafka's
# rdmurmur2.c add every length of tail.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
    "1": -1993445489,
    "12": 126087238,
    "123": -267702483,
    "1234": -1614185708,
    "12345": -1188365604,
}


@pytest.mark.parametrize(("text", "signed"), VECTORS.items(), ids=VECTORS)
def test_the_hash_is_kafkas(text: str, signed: int) -> None:
    assert murmur2(text.encode()) == signed & 0xFFFFFFFF


def test_a_negative_hash_is_made_positive_by_dropping_its_sign_bit() -> None:
    assert partition(b"21", 1000) == (-973932308 & 0x7FFFFFFF) % 1000


def test_a_key_that_comes_again_is_not_hashed_again() -> None:
    partition.cache_clear()
    for _ in range(3):
        partition(b"player-0001", 4)

    found = partition.cache_info()
    assert (found.misses, found.hits, found.maxsize) == (1, 2, KEYS_MAX)


@given(key=st.binary(max_size=64), partitions=st.integers(1, 64))
def test_any_key_has_one_of_the_partitions(key: bytes, partitions: int) -> None:
    assert 0 <= partition(key, partitions) < partitions
