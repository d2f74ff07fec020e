"""Stretches of a local file, and what else a part can be given as."""

from __future__ import annotations

import array
import io
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import S3StreamError, UsageError
from s3stream.regions import FileRegion, body_of, read_range

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"0123456789abcdef"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("regions") / "file"
    path.write_bytes(TEXT)
    return path


@given(
    start=st.integers(0, len(TEXT)),
    size=st.none() | st.integers(0, len(TEXT)),
    steps=st.lists(st.tuples(st.sampled_from(["read", "seek"]), st.integers(0, 20))),
)
def test_a_region_reads_like_a_file_of_just_its_bytes(
    path: Path, start: int, size: int | None, steps: list[tuple[str, int]]
) -> None:
    end = len(TEXT) if size is None else min(start + size, len(TEXT))
    model = io.BytesIO(TEXT[start:end])
    with FileRegion(path, start, None if size is None else end - start) as region:
        assert region.size == end - start
        for verb, number in steps:
            if verb == "read":
                assert region.read(number) == model.read(number)
            else:
                assert region.seek(number) == model.seek(number)
            assert region.tell() == model.tell()
        assert region.seek(0, os.SEEK_END) == end - start
        assert region.seek(-1, os.SEEK_CUR) == max(0, end - start - 1)
        region.seek(0)
        assert region.read() == TEXT[start:end]
        assert region.read() == b""


@pytest.mark.parametrize(("offset", "size"), [(0, 17), (16, 1), (-1, 4), (10, 7), (4, -1)])
def test_a_region_that_the_file_does_not_have_is_refused(
    path: Path, offset: int, size: int
) -> None:
    with pytest.raises(UsageError, match=f"offset={offset}, size={size}: the file ends after 16"):
        FileRegion(path, offset, size)
    with path.open("rb") as file, pytest.raises(UsageError, match="ends after 16 bytes"):
        read_range(file, offset, size)


def test_a_file_that_becomes_shorter_is_an_error_and_not_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "shrinking"
    path.write_bytes(TEXT)
    with FileRegion(path, 4, 10) as region:
        assert region.read(2) == b"45"
        os.truncate(path, 8)
        assert region.read(2) == b"67"
        with pytest.raises(S3StreamError, match=r"shrinking was truncated: .* byte 8, .* to 14"):
            region.read(2)


class Reluctant(io.BytesIO):
    """A raw file, which may give less than it is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 0, 3))


class Empty(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        return b""


def test_a_file_that_gives_little_at_a_time_is_read_to_the_end() -> None:
    assert read_range(Reluctant(TEXT), 2, 10) == TEXT[2:12]
    assert read_range(Reluctant(TEXT), 2, None) == TEXT[2:]
    with pytest.raises(UsageError, match=r"after 0 bytes read\(\) has given b''"):
        read_range(Empty(TEXT), 2, 10)
    with pytest.raises(UsageError, match="expected a binary file"):
        read_range(io.StringIO("text"), 0, 4)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileRegion(tmp_path / "nothing", 0)


def test_bytes_are_sent_as_they_are_and_other_buffers_by_value() -> None:
    given: bytes | bytearray
    for given in (b"0123", bytearray(b"0123")):
        assert body_of(given) is given
    assert body_of(array.array("H", [1, 2])) == array.array("H", [1, 2]).tobytes()
    assert body_of(memoryview(b"")) == b""
    for wrong in ("text", 7, memoryview(b"0123")[::2]):
        with pytest.raises(TypeError, match="expected bytes or another C-contiguous buffer"):
            body_of(wrong)
