"""The faces: what `s3stream.open` gives for each mode, buffering and compression."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import io
import locale
import lzma
import pickle
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

import s3stream
from tests.faults import Answer
from tests.looking import assert_nothing, bytes_of, content, uploads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20


@pytest.fixture
def opened(seaweedfs: Server, bucket: str, key: str) -> Callable[..., Any]:
    """`s3stream.open` for this test's key."""

    def opened(mode: str = "wb", buffering: int = -1, *, ending: str = "", **options: Any) -> Any:
        options = {"part_size": PART, **options, **seaweedfs.storage_options()}
        return s3stream.open(f"s3://{bucket}/{key}{ending}", mode, buffering, **options)

    return opened


@pytest.mark.parametrize(
    ("mode", "buffering", "kind"),
    [
        ("wb", 0, s3stream.S3Writer),
        ("wb", -1, s3stream.S3BufferedWriter),
        ("xb", 100, s3stream.S3BufferedWriter),
        ("w", -1, s3stream.S3TextWriter),
        ("xt", 1, s3stream.S3TextWriter),
    ],
)
def test_modes_and_buffering_are_the_built_ins(
    opened: Callable[..., Any], mode: str, buffering: int, kind: type
) -> None:
    with opened(mode, buffering) as file:
        assert type(file) is kind
        assert isinstance(file, io.IOBase)
        assert file.writable()
        assert not file.seekable()


@pytest.mark.parametrize("scheme", ["s3", "s3stream"])
def test_both_schemes_name_the_same_object(
    seaweedfs: Server, bucket: str, key: str, scheme: str
) -> None:
    with s3stream.open(f"{scheme}://{bucket}/{key}", **seaweedfs.storage_options()) as file:
        file.write(b"same")
    assert content(seaweedfs, bucket, key) == b"same"


def test_small_writes_are_gathered_and_nothing_is_lost(
    opened: Callable[..., Any], seaweedfs: Server, bucket: str, key: str
) -> None:
    lines = [b"line %d\n" % number for number in range(1_000_000)]
    with opened() as file:
        for line in lines:
            file.write(line)
        assert file.tell() == sum(map(len, lines))
    assert content(seaweedfs, bucket, key) == b"".join(lines)


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", [None, "utf-8", "utf-16", "latin-1"])
def test_text_is_written_as_the_built_in_writes_it(
    opened: Callable[..., Any],
    seaweedfs: Server,
    bucket: str,
    key: str,
    tmp_path: Any,
    newline: str | None,
    encoding: str | None,
) -> None:
    text = "een\ntwée\r\ndrie\r" * 1000
    local = tmp_path / "local"
    with local.open("w", newline=newline, encoding=encoding) as file:
        file.write(text)
    with opened("w", newline=newline, encoding=encoding) as file:
        assert file.encoding.lower() == (encoding or locale.getpreferredencoding(False)).lower()
        assert file.write(text) == len(text)
    assert content(seaweedfs, bucket, key) == local.read_bytes()


def test_text_errors_are_handled_as_asked(
    opened: Callable[..., Any], seaweedfs: Server, bucket: str, key: str
) -> None:
    with opened("w", encoding="ascii", errors="replace") as file:
        file.write("twée")
    assert content(seaweedfs, bucket, key) == b"tw?e"
    strict = opened("w", encoding="ascii")
    with pytest.raises(UnicodeEncodeError):  # noqa: SIM117
        with strict:
            strict.write("twée")
    assert strict.closed
    assert content(seaweedfs, bucket, key) == b"tw?e"


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(),
}


@pytest.mark.parametrize("ending", DECOMPRESS)
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_compression_is_inferred_from_the_key_and_read_back(
    opened: Callable[..., Any], seaweedfs: Server, bucket: str, key: str, ending: str, mode: str
) -> None:
    text = "twée\n" * 1000
    with opened(mode, ending=ending, compression="infer", **_encoded(mode)) as file:
        file.write(text if mode == "w" else text.encode())
        file.flush()
    stored = content(seaweedfs, bucket, key + ending)
    assert DECOMPRESS[ending](stored) == text.encode()
    assert file.result.size == len(stored)
    reading = mode.replace("w", "r")
    with opened(reading, ending=ending, compression="infer", **_encoded(mode)) as file:
        assert file.read() == (text if mode == "w" else text.encode())


def _encoded(mode: str) -> dict[str, str]:
    return {} if "b" in mode else {"encoding": "utf-8"}


def test_compression_infer_leaves_other_names_alone(
    opened: Callable[..., Any], seaweedfs: Server, bucket: str, key: str
) -> None:
    with opened(ending=".csv", compression="infer") as file:
        file.write(b"a,b\n")
    assert content(seaweedfs, bucket, f"{key}.csv") == b"a,b\n"


def test_a_compressed_file_streams_and_counts_what_goes_in(
    opened: Callable[..., Any], seaweedfs: Server, bucket: str, key: str
) -> None:
    data = bytes_of(2 * PART)
    with opened(compression="gzip") as file:
        assert file.write(data) == len(data)
        assert file.tell() == len(data)
    assert file.result.parts == 3
    assert gzip.decompress(content(seaweedfs, bucket, key)) == data
    with pytest.raises(ValueError, match="closed file"):
        file.write(b"more")


@pytest.mark.parametrize(
    ("mode", "options"),
    [("wb", {}), ("w", {}), ("wb", {"compression": "gzip"}), ("w", {"compression": "gzip"})],
)
def test_every_face_commits_and_discards(
    opened: Callable[..., Any],
    seaweedfs: Server,
    bucket: str,
    key: str,
    mode: str,
    options: dict[str, Any],
) -> None:
    data: Any = "some text" if mode == "w" else b"some bytes"
    dropped = opened(mode, **options)
    dropped.write(data)
    with pytest.raises(ValueError, match="fresh"):
        _ = dropped.result
    dropped.discard()
    assert dropped.closed
    dropped.close()
    assert_nothing(seaweedfs, bucket, key)
    with pytest.raises(ValueError, match="discarded"):
        dropped.commit()

    kept = opened(mode, **options)
    kept.write(data)
    result = kept.commit()
    assert kept.closed
    assert kept.result == result == kept.commit()
    stored = content(seaweedfs, bucket, key)
    assert len(stored) == result.size
    plain = gzip.decompress(stored) if options else stored
    assert plain == (data.encode() if mode == "w" else data)


@pytest.mark.parametrize(
    ("mode", "options"), [("wb", {}), ("w", {}), ("wb", {"compression": "gzip"})]
)
def test_every_face_refuses_pickling_and_shows_its_status(
    opened: Callable[..., Any], key: str, mode: str, options: dict[str, Any]
) -> None:
    with opened(mode, **options) as file:
        assert "S3Writer s3://" in repr(file)
        assert f"{key} fresh, 0 bytes" in repr(file)
        with pytest.raises(TypeError, match="belongs to its process"):
            pickle.dumps(file)


@pytest.mark.parametrize(
    ("mode", "options"), [("wb", {}), ("w", {}), ("wb", {"compression": "gzip"})]
)
def test_a_failed_commit_through_a_face_cleans_up(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    mode: str,
    options: dict[str, Any],
) -> None:
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), times=None)
    file: Any = s3stream.open(
        f"s3://{bucket}/{key}", mode, part_size=PART, **options, **proxied.storage_options()
    )
    data: Any = bytes_of(4 * PART)

    def produce() -> None:
        file.write(data.decode("latin-1") if mode == "w" else data)
        file.commit()

    with pytest.raises(PermissionError):
        produce()
    with pytest.raises(PermissionError):
        file.commit()
    assert file.closed
    assert proxy.injected
    assert uploads(seaweedfs, bucket, key) == []


def test_line_buffering_is_refused_for_bytes_as_the_built_in_does(
    opened: Callable[..., Any],
) -> None:
    with pytest.warns(RuntimeWarning, match="binary mode") as caught:
        file = opened("wb", 1)
    file.close()
    assert [warning.filename for warning in caught] == [__file__]


def test_reading_seeks_and_reads_by_ranges(opened: Callable[..., Any]) -> None:
    data = bytes_of(3 << 20)
    with opened() as file:
        file.write(data)
    with opened("rb") as file:
        assert file.seek(1 << 20) == 1 << 20
        assert file.read(10) == data[1 << 20 : (1 << 20) + 10]
        assert file.seek(-5, io.SEEK_END) == len(data) - 5
        assert file.read() == data[-5:]


def test_a_compression_that_is_not_installed_is_refused_and_not_left_out(
    opened: Callable[..., Any],
) -> None:
    if importlib.util.find_spec("lz4") is None:
        with pytest.raises(ValueError, match=r"'\.lz4' needs the package lz4"):
            opened(ending=".lz4", compression="infer")
    else:
        opened(ending=".lz4", compression="infer").discard()
