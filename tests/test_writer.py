"""The raw writer: what `io` promises of a writable, unseekable binary file, and what we add."""

from __future__ import annotations

import array
import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3stream
from s3stream import S3Writer, WriteOptions
from tests.looking import assert_nothing, bytes_of, content

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
SMALL_PARTS = WriteOptions(part_size=PART)


@pytest.fixture
def opened(seaweedfs: Server, bucket: str, key: str) -> Callable[..., S3Writer]:
    """Opens a raw writer for this test's key."""
    client = seaweedfs.client()

    def opened(**options: Any) -> S3Writer:
        return S3Writer(
            bucket, key, client=client, options=WriteOptions(**{"part_size": PART, **options})
        )

    return opened


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda b: memoryview(b).cast("I"),
        lambda b: memoryview(b).cast("B", (3, 2, 4)),
        lambda b: array.array("Q", b),
        lambda b: np.frombuffer(b, dtype="<f4").reshape(2, 3),
        pa.py_buffer,
    ],
    ids=["bytes", "bytearray", "view", "view of ints", "3-d view", "array", "numpy", "pyarrow"],
)
def test_any_contiguous_buffer_is_counted_in_bytes(
    opened: Callable[..., S3Writer],
    seaweedfs: Server,
    bucket: str,
    key: str,
    make: Callable[[bytes], Any],
) -> None:
    data = bytes_of(24)
    with opened() as file:
        assert file.write(make(data)) == 24
        assert file.tell() == 24
    assert content(seaweedfs, bucket, key) == data


def test_buffers_without_bytes_are_written_as_nothing(opened: Callable[..., S3Writer]) -> None:
    with opened() as file:
        assert file.write(b"") == 0
        assert file.write(np.zeros((0, 3))) == 0
    assert file.result.size == 0


def test_what_is_no_contiguous_buffer_is_refused_and_costs_nothing(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    with opened() as file:
        with pytest.raises(TypeError, match="mode 'w'"):
            file.write("text")
        with pytest.raises(TypeError, match="int"):
            file.write(1)
        with pytest.raises(BufferError, match="contiguous"):
            file.write(memoryview(b"abcdef")[::2])
        file.write(b"still fine")
    assert content(seaweedfs, bucket, key) == b"still fine"


def test_a_reused_buffer_is_copied_before_write_returns(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    block = bytearray(1 << 20)
    expected = b""
    with opened() as file:
        for letter in b"ABCDEFGHIJKL":
            block[:] = bytes([letter]) * len(block)
            expected += block
            file.write(block)
        block[:] = bytes(len(block))
    assert content(seaweedfs, bucket, key) == expected


def test_writelines_and_flush(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    with opened() as file:
        file.writelines([b"one\n", b"two\n"])
        file.flush()
        file.writelines(iter([b"three\n"]))
    assert content(seaweedfs, bucket, key) == b"one\ntwo\nthree\n"


def test_flush_forces_no_small_part(proxied: Server, proxy: Proxy, bucket: str, key: str) -> None:
    with S3Writer(bucket, key, client=proxied.client(), options=SMALL_PARTS) as file:
        for _ in range(5):
            file.write(b"x" * 1000)
            file.flush()
        assert proxy.count() == 0
    assert [exchange.operation for exchange in proxy.log] == ["PutObject"]


def test_it_is_a_writable_unseekable_binary_file(opened: Callable[..., S3Writer]) -> None:
    with opened() as file:
        assert isinstance(file, io.RawIOBase)
        assert file.writable()
        assert not file.readable()
        assert not file.seekable()
        assert not file.isatty()
        assert file.mode == "wb"
        assert file.name.startswith("s3://")
        attempts: list[Callable[[], object]] = [
            file.fileno,
            lambda: file.seek(0),
            lambda: file.truncate(0),
            lambda: file.read(1),
            file.readline,
        ]
        for attempt in attempts:
            with pytest.raises(io.UnsupportedOperation):
                attempt()


def test_after_close_everything_but_close_is_refused(opened: Callable[..., S3Writer]) -> None:
    file = opened()
    file.close()
    assert file.closed
    file.close()
    attempts: list[Callable[[], object]] = [
        lambda: file.write(b""),
        lambda: file.writelines([b"x"]),
        file.flush,
        file.tell,
        file.writable,
        file.__enter__,
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="closed file"):
            attempt()


def test_commit_publishes_at_once_and_closes(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    file = opened()
    file.write(bytes_of(2 * PART))
    result = file.commit()
    assert file.closed
    assert content(seaweedfs, bucket, key) == bytes_of(2 * PART)
    assert result == file.result == file.commit()
    assert (result.parts, result.size) == (2, 2 * PART)
    file.discard()  # harmless: it is over
    assert content(seaweedfs, bucket, key) == bytes_of(2 * PART)


def test_discard_publishes_nothing_and_closes(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    file = opened()
    file.write(bytes_of(3 * PART))
    file.discard()
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)
    with pytest.raises(ValueError, match="aborted"):
        _ = file.result
    with pytest.raises(ValueError, match="discarded"):
        file.commit()
    file.discard()
    file.close()
    assert_nothing(seaweedfs, bucket, key)


def test_with_publish_commit_closing_publishes_nothing(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    with opened(publish="commit") as file:
        file.write(b"prepared")
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)
    file.commit()
    assert content(seaweedfs, bucket, key) == b"prepared"


def test_a_closed_file_that_is_never_committed_warns_and_leaves_nothing(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    file = opened(publish="commit")
    file.write(bytes_of(2 * PART))
    file.close()
    with pytest.warns(RuntimeWarning, match=r"commit\(\) was never called"):
        del file
    assert_nothing(seaweedfs, bucket, key)


def test_repr_is_a_status_line(opened: Callable[..., S3Writer], bucket: str, key: str) -> None:
    file = opened()
    assert repr(file) == (
        f"<S3Writer s3://{bucket}/{key} fresh, 0 bytes, 0 parts sent, 0 in flight>"
    )
    file.write(bytes_of(PART + 1))
    file.commit()
    assert f"committed, {PART + 1:,} bytes, 2 parts sent, 0 in flight, upload " in repr(file)


def test_pickling_is_refused_with_the_reason(opened: Callable[..., S3Writer]) -> None:
    with opened() as file:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="belongs to its process"):
                pickle.dumps(file, protocol)


def test_result_is_refused_until_there_is_one(opened: Callable[..., S3Writer]) -> None:
    with opened() as file, pytest.raises(ValueError, match="fresh"):
        _ = file.result


def test_on_commit_is_told_once(seaweedfs: Server, bucket: str, key: str) -> None:
    told: list[s3stream.UploadResult] = []
    file = S3Writer(bucket, key, client=seaweedfs.client(), on_commit=told.append)
    file.commit()
    file.commit()
    file.close()
    assert told == [file.result]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 3 << 20), max_size=12), reserve=st.sampled_from([0, PART]))
def test_whatever_the_writes_the_object_is_their_concatenation(
    opened: Callable[..., S3Writer],
    seaweedfs: Server,
    bucket: str,
    key: str,
    sizes: list[int],
    reserve: int,
) -> None:
    data = bytes_of(sum(sizes))
    at = 0
    with opened(reserve=reserve) as file:
        for size in sizes:
            file.write(data[at : at + size])
            at += size
            assert file.tell() == at
    assert content(seaweedfs, bucket, key) == data


def test_parts_too_large_for_memory_wait_in_temporary_files(
    opened: Callable[..., S3Writer], seaweedfs: Server, bucket: str, key: str
) -> None:
    # The hint asks for parts of 8 MiB, over a third of the memory.
    hint = 9_000 * (8 << 20)
    data = bytes_of(20 << 20)
    with opened(memory=3 * PART, size_hint=hint) as file:
        file.write(data)
    assert content(seaweedfs, bucket, key) == data
    assert file.result.parts == 3
    assert file.peak_memory < 8 << 20
