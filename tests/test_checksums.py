"""Checksums: the published check values, S3's notation, and that the parts' make the whole's."""

from __future__ import annotations

import base64
import mmap
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.checksums import ALGORITHMS, Algorithm

# Of "123456789": https://reveng.sourceforge.io/crc-catalogue/all.htm
CHECK_VALUES = {
    "crc64nvme": 0xAE8B14860A799888,
    "crc32c": 0xE3069283,
    "crc32": 0xCBF43926,
}

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))


def test_every_algorithm_has_a_check_value_here() -> None:
    assert set(ALGORITHMS) == set(CHECK_VALUES)
    assert [name == algorithm.name for name, algorithm in ALGORITHMS.items()] == [True] * 3


@every_algorithm
def test_the_published_check_value_comes_out(algorithm: Algorithm) -> None:
    assert algorithm.compute(b"123456789") == CHECK_VALUES[algorithm.name]


@given(st.binary())
def test_crc32_is_zlibs(data: bytes) -> None:
    assert ALGORITHMS["crc32"].compute(data) == zlib.crc32(data)


@every_algorithm
def test_parts_in_memory_and_in_files_have_the_checksum_of_their_bytes(
    algorithm: Algorithm,
) -> None:
    data = b"123456789" * 1_000
    assert algorithm.compute(bytearray(data)) == algorithm.compute(data)
    with mmap.mmap(-1, len(data)) as mapped:
        mapped[:] = data
        assert algorithm.compute(mapped) == algorithm.compute(data)


@pytest.mark.parametrize(
    ("name", "written"),
    [("crc64nvme", "rosUhgp5mIg="), ("crc32c", "4waSgw=="), ("crc32", "y/Q5Jg==")],
)
def test_s3_writes_a_checksum_as_base64_of_big_endian_bytes(name: str, written: str) -> None:
    algorithm = ALGORITHMS[name]
    assert algorithm.encode(CHECK_VALUES[name]) == written
    assert int.from_bytes(base64.b64decode(written), "big") == CHECK_VALUES[name]


@every_algorithm
def test_a_small_value_keeps_its_leading_zeros(algorithm: Algorithm) -> None:
    width = {"crc64nvme": 8, "crc32c": 4, "crc32": 4}[algorithm.name]
    assert base64.b64decode(algorithm.encode(1)) == bytes(width - 1) + b"\x01"


def test_s3s_names() -> None:
    assert {(algorithm.s3_name, algorithm.field) for algorithm in ALGORITHMS.values()} == {
        ("CRC64NVME", "ChecksumCRC64NVME"),
        ("CRC32C", "ChecksumCRC32C"),
        ("CRC32", "ChecksumCRC32"),
    }


@every_algorithm
@given(first=st.binary(), second=st.binary())
def test_two_checksums_combine_to_that_of_the_concatenation(
    algorithm: Algorithm, first: bytes, second: bytes
) -> None:
    combined = algorithm.combine(algorithm.compute(first), algorithm.compute(second), len(second))
    assert combined == algorithm.compute(first + second)


@every_algorithm
def test_lengths_beyond_four_gib_combine(algorithm: Algorithm) -> None:
    # Zeros can be appended by doubling: 2**33 of them at once, or 2**32 twice.
    start = algorithm.compute(b"123456789")
    run, length = algorithm.compute(b"\0"), 1
    while length < 1 << 32:
        run, length = algorithm.combine(run, run, length), 2 * length
    twice = algorithm.combine(algorithm.combine(start, run, length), run, length)
    at_once = algorithm.combine(start, algorithm.combine(run, run, length), 2 * length)
    assert twice == at_once != algorithm.combine(start, run, length)
