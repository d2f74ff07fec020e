"""Producers that fail, through everything people put around our files: nothing is ever published.

The user's own exception comes through unchanged, no upload is left, and where no exception tells
that nothing was published a warning does.
"""

from __future__ import annotations

import contextlib
import gc
import gzip
import io
import lzma
import shutil
import tarfile
import threading
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import s3stream
from s3stream import S3Writer
from tests.looking import assert_nothing, bytes_of, content, exists, uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
LITTLE, MUCH = 1 << 10, 12 << 20
SIZES = pytest.mark.parametrize("size", [LITTLE, MUCH], ids=["1 KiB", "12 MiB"])


class ProducerError(Exception):
    """What the user's own code raises."""


class Place:
    """Where one test writes, in every way that a user may name it."""

    def __init__(self, server: Server, bucket: str, key: str) -> None:
        self.options: dict[str, Any] = {"part_size": PART, **server.storage_options()}
        self.path = f"{bucket}/{key}"
        self.url = f"s3stream://{self.path}"
        self.fs = fsspec.filesystem("s3stream", **self.options)

    def open(self, mode: str = "wb", **more: Any) -> Any:
        return s3stream.open(f"s3://{self.path}", mode, **{**self.options, **more})


@pytest.fixture
def place(proxied: Server, bucket: str, key: str) -> Place:
    return Place(proxied, bucket, key)


@pytest.fixture
def left(seaweedfs: Server, proxy: Proxy, bucket: str, key: str) -> Callable[[int], None]:
    """Asserts that nothing is left, and that there was an upload to be aborted if it was much."""

    def left(size: int) -> None:
        assert_nothing(seaweedfs, bucket, key)
        assert proxy.count("CompleteMultipartUpload") == proxy.count("PutObject") == 0
        assert proxy.count("CreateMultipartUpload") == (1 if size == MUCH else 0)

    return left


def _text(size: int) -> str:
    return bytes_of(size // 2).hex()


def _table(size: int) -> pa.Table:
    return pa.table({"noise": [bytes_of(max(size // 8, 64), seed) for seed in range(8)]})


# -- everything that may stand between user code and our file. Each writes `size` bytes that do
#    not compress, and then fails inside its `with` body.


def in_raw(place: Place, size: int) -> None:
    with place.open(buffering=0) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_buffered(place: Place, size: int) -> None:
    with place.open() as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_text(place: Place, size: int) -> None:
    with place.open("w") as file:
        file.write(_text(size))
        raise ProducerError


def in_compressed(place: Place, size: int) -> None:
    with place.open(compression="gzip") as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_fs_open(place: Place, size: int) -> None:
    with place.fs.open(place.path, "wb") as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_fs_open_text(place: Place, size: int) -> None:
    with place.fs.open(place.path, "w") as file:
        file.write(_text(size))
        raise ProducerError


def in_fsspec_open(place: Place, size: int) -> None:
    with fsspec.open(place.url, "wb", **place.options) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_fsspec_open_text(place: Place, size: int) -> None:
    with fsspec.open(place.url, "wt", **place.options) as file:
        file.write(_text(size))
        raise ProducerError


def in_fsspec_open_compressed(place: Place, size: int) -> None:
    with fsspec.open(place.url, "wb", compression="gzip", **place.options) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_text_io_wrapper(place: Place, size: int) -> None:
    with io.TextIOWrapper(place.open()) as file:
        file.write(_text(size))
        raise ProducerError


def in_buffered_writer(place: Place, size: int) -> None:
    with io.BufferedWriter(place.open(buffering=0)) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_gzip(place: Place, size: int) -> None:
    with place.open() as below, gzip.GzipFile(fileobj=below, mode="wb") as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_lzma(place: Place, size: int) -> None:
    with place.open() as below, lzma.open(below, "wb", preset=0) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_zip(place: Place, size: int) -> None:
    with place.open() as below, zipfile.ZipFile(below, "w") as file:
        file.writestr("noise", bytes_of(size))
        raise ProducerError


def in_tar(place: Place, size: int) -> None:
    with place.open() as below, tarfile.open(fileobj=below, mode="w|") as file:
        member = tarfile.TarInfo("noise")
        member.size = size
        file.addfile(member, io.BytesIO(bytes_of(size)))
        raise ProducerError


def in_parquet_writer_on_a_handle(place: Place, size: int) -> None:
    table = _table(size)
    with place.open() as file, pq.ParquetWriter(file, table.schema, compression="none") as writer:
        writer.write_table(table)
        raise ProducerError


def in_parquet_writer_by_path(place: Place, size: int) -> None:
    table = _table(size)
    with pq.ParquetWriter(
        place.path, table.schema, filesystem=place.fs, compression="none"
    ) as writer:
        writer.write_table(table)
        raise ProducerError


def in_contextlib_closing(place: Place, size: int) -> None:
    with contextlib.closing(place.open()) as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_finally_raw(place: Place, size: int) -> None:
    file = place.open(buffering=0)
    try:
        file.write(bytes_of(size))
        raise ProducerError
    finally:
        file.close()


def in_finally_text(place: Place, size: int) -> None:
    file = place.open("w")
    try:
        file.write(_text(size))
        raise ProducerError
    finally:
        file.close()


def in_finally_wrapped(place: Place, size: int) -> None:
    file = io.TextIOWrapper(place.open())
    try:
        file.write(_text(size))
        raise ProducerError
    finally:
        file.close()


def in_copyfileobj(place: Place, size: int) -> None:
    class Source(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            data = super().read(count)
            if not data:
                raise ProducerError
            return data

    with place.open() as file:
        shutil.copyfileobj(Source(bytes_of(size)), file)


def in_a_transaction(place: Place, size: int) -> None:
    with place.fs.transaction, place.fs.open(place.path, "wb") as file:
        file.write(bytes_of(size))
        raise ProducerError


def in_a_transaction_after_close(place: Place, size: int) -> None:
    with place.fs.transaction:
        with place.fs.open(place.path, "wb") as file:
            file.write(bytes_of(size))
        raise ProducerError


# True: their exception is all there is to see. False: who only calls close() is warned too.
SILENT: dict[Callable[[Place, int], None], bool] = {
    in_raw: True,
    in_buffered: True,
    in_text: True,
    in_compressed: True,
    in_fs_open: True,
    in_fs_open_text: True,
    in_fsspec_open: False,
    in_fsspec_open_text: False,
    in_fsspec_open_compressed: False,
    in_text_io_wrapper: False,
    in_buffered_writer: False,
    in_gzip: True,
    in_lzma: True,
    in_zip: True,
    in_tar: True,
    in_parquet_writer_on_a_handle: True,
    in_parquet_writer_by_path: False,
    in_contextlib_closing: False,
    in_finally_raw: False,
    in_finally_text: False,
    in_finally_wrapped: False,
    in_copyfileobj: True,
    in_a_transaction: True,
    in_a_transaction_after_close: True,
}


@SIZES
@pytest.mark.parametrize("produce", SILENT, ids=lambda produce: produce.__name__)
def test_a_producer_that_raises_publishes_nothing(
    place: Place,
    left: Callable[[int], None],
    produce: Callable[[Place, int], None],
    size: int,
    recwarn: pytest.WarningsRecorder,
) -> None:
    warnings.simplefilter("always")
    with pytest.raises(ProducerError) as raised:
        produce(place, size)
    assert not getattr(raised.value, "__notes__", [])
    said = [str(warning.message) for warning in recwarn if warning.category is RuntimeWarning]
    if SILENT[produce]:
        assert said == []
    else:
        assert len(said) == 1
        assert "nothing was published" in said[0]
        assert "ProducerError" in said[0]
    if produce is in_a_transaction_after_close:
        return  # a small file is at the store as a part of an upload: tests/test_transaction.py
    left(size)


# -- libraries that fail by themselves


def pandas_parquet_by_url(place: Place, size: int) -> None:
    frame = pd.DataFrame({"a": ["x" * size, object()]})  # the second cannot be written
    frame.to_parquet(place.url, storage_options=place.options)


def pandas_parquet_by_handle(place: Place, size: int) -> None:
    frame = pd.DataFrame({"a": ["x" * size, object()]})
    with place.open() as file:
        frame.to_parquet(file)


class Unprintable:
    """Ends a CSV in the middle."""

    def __str__(self) -> str:
        raise ProducerError


def _frame(size: int) -> pd.DataFrame:
    lines: list[object] = [_text(max(size // 100, 2)) for _ in range(120)]
    return pd.DataFrame({"a": [*lines, Unprintable()]})


def pandas_csv_by_url(place: Place, size: int) -> None:
    _frame(size).to_csv(place.url, chunksize=1, storage_options=place.options)


def pandas_csv_compressed_by_url(place: Place, size: int) -> None:
    fast = {"method": "gzip", "compresslevel": 1}
    _frame(size * 2).to_csv(place.url, chunksize=1, compression=fast, storage_options=place.options)


def pandas_csv_by_handle(place: Place, size: int) -> None:
    with place.open("w", newline="") as file:
        _frame(size).to_csv(file, chunksize=1)


def polars_csv_by_handle(place: Place, size: int) -> None:
    with place.open() as file:
        pl.DataFrame({"a": [_text(size)]}).write_csv(file)
        pl.DataFrame({"a": [[1]]}).write_csv(file)  # CSV has no lists


def polars_sink(place: Place, size: int) -> None:
    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        raise ProducerError

    frame = pl.DataFrame({"a": [_text(size)]})
    with place.open() as file:
        frame.write_parquet(file, compression="uncompressed")
        frame.lazy().map_batches(fail).sink_parquet(file)


@SIZES
@pytest.mark.parametrize(
    "produce",
    [
        pandas_parquet_by_url,
        pandas_parquet_by_handle,
        pandas_csv_by_url,
        pandas_csv_compressed_by_url,
        pandas_csv_by_handle,
        polars_csv_by_handle,
        polars_sink,
    ],
    ids=lambda produce: produce.__name__,
)
@pytest.mark.filterwarnings("ignore:nothing was published:RuntimeWarning")
def test_a_library_that_fails_publishes_nothing(
    seaweedfs: Server,
    place: Place,
    proxy: Proxy,
    bucket: str,
    key: str,
    produce: Callable[[Place, int], None],
    size: int,
) -> None:
    errors = (ProducerError, pa.ArrowException, pl.exceptions.PolarsError, TypeError)
    with pytest.raises(errors):
        produce(place, size)
    gc.collect(1)  # the traceback held the file
    assert_nothing(seaweedfs, bucket, key)
    assert proxy.count("CompleteMultipartUpload") == proxy.count("PutObject") == 0


# -- nobody closes


def dropped_raw(place: Place, size: int) -> None:
    place.open(buffering=0).write(bytes_of(size))


def dropped_buffered(place: Place, size: int) -> None:
    place.open().write(bytes_of(size))


def dropped_text(place: Place, size: int) -> None:
    place.open("w").write(_text(size))


def dropped_compressed(place: Place, size: int) -> None:
    place.open(compression="gzip").write(bytes_of(size))


def dropped_fsspec(place: Place, size: int) -> None:
    fsspec.open(place.url, "wb", **place.options).open().write(bytes_of(size))


def dropped_text_io_wrapper(place: Place, size: int) -> None:
    io.TextIOWrapper(place.open()).write(_text(size))


def dropped_buffered_writer(place: Place, size: int) -> None:
    io.BufferedWriter(place.open(buffering=0)).write(bytes_of(size))


# Collected in a cycle, a GzipFile may come after the file its trailer goes to. Python 3.13 says
# so ("write to closed file"), of any file; what is asserted is what ours says.
GZIP_COMPLAINS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def dropped_gzip(place: Place, size: int) -> None:
    gzip.GzipFile(fileobj=place.open(), mode="wb").write(bytes_of(size))
    gc.collect()  # a GzipFile has a cycle of its own, from Python 3.12 on


def dropped_zip(place: Place, size: int) -> None:
    zipfile.ZipFile(place.open(), "w").writestr("noise", bytes_of(size))


def dropped_in_a_cycle(place: Place, size: int) -> None:
    file = place.open()
    file.write(bytes_of(size))
    file.itself = file
    del file
    gc.collect()


def generator_closed_early(place: Place, size: int) -> None:
    def produce() -> Generator[int, None, None]:
        file = place.open()
        yield file.write(bytes_of(size))
        file.close()

    numbers = produce()
    next(numbers)
    numbers.close()


@SIZES
@pytest.mark.parametrize(
    "produce",
    [
        dropped_raw,
        dropped_buffered,
        dropped_text,
        dropped_compressed,
        dropped_fsspec,
        dropped_text_io_wrapper,
        dropped_buffered_writer,
        pytest.param(dropped_gzip, marks=GZIP_COMPLAINS),
        dropped_zip,
        dropped_in_a_cycle,
        generator_closed_early,
    ],
    ids=lambda produce: produce.__name__,
)
def test_what_nobody_closes_is_discarded_with_a_warning_that_says_where(
    place: Place, left: Callable[[int], None], produce: Callable[[Place, int], None], size: int
) -> None:
    with pytest.warns(RuntimeWarning, match=r"published.*test_producers\.py") as caught:
        produce(place, size)
    assert len([w for w in caught if w.category is RuntimeWarning]) == 1
    left(size)


@SIZES
def test_a_generator_closed_early_discards_without_a_word(
    place: Place, left: Callable[[int], None], size: int
) -> None:
    def produce() -> Generator[int, None, None]:
        with place.open() as file:
            yield file.write(bytes_of(size))
            yield 0

    numbers = produce()
    next(numbers)
    numbers.close()  # GeneratorExit, thrown in at the yield
    left(size)


# -- the honest cases


@SIZES
@pytest.mark.parametrize("buffering", [0, -1])
def test_opened_and_closed_inside_an_except_block_it_is_published(
    seaweedfs: Server, place: Place, bucket: str, key: str, size: int, buffering: int
) -> None:
    try:
        raise ProducerError
    except ProducerError:
        file = place.open(buffering=buffering)
        file.write(bytes_of(size))
        file.close()
    assert content(seaweedfs, bucket, key) == bytes_of(size)


def test_nested_handlers_do_not_hinder(
    seaweedfs: Server, place: Place, bucket: str, key: str
) -> None:
    try:
        raise KeyError
    except KeyError:
        try:
            raise ProducerError
        except ProducerError:
            file = place.open()
            try:
                raise ValueError
            except ValueError:
                file.write(b"written in the innermost")
            file.close()
    assert content(seaweedfs, bucket, key) == b"written in the innermost"


def test_a_file_used_across_a_handled_exception_is_published(
    seaweedfs: Server, place: Place, bucket: str, key: str
) -> None:
    file = place.open()
    try:
        file.write(b"before, ")
        raise ProducerError
    except ProducerError:
        file.write(b"in the handler, ")
    file.write(b"after")
    file.close()
    assert content(seaweedfs, bucket, key) == b"before, in the handler, after"


def test_commit_in_an_except_block_publishes_and_close_does_not(
    seaweedfs: Server, place: Place, bucket: str, key: str
) -> None:
    file = place.open()
    try:
        file.write(b"all there is")
        raise EOFError
    except EOFError:
        file.commit()
    assert content(seaweedfs, bucket, key) == b"all there is"

    other = s3stream.open(f"s3://{bucket}/{key}-closed", **place.options)
    try:
        other.write(b"all there is")
        raise EOFError
    except EOFError:
        with pytest.warns(RuntimeWarning, match="commit\\(\\) to publish"):
            other.close()
    assert not exists(seaweedfs, bucket, f"{key}-closed")


# -- publish="commit": where no exception can be seen


@pytest.fixture
def write_failing_dataset(place: Place, proxy: Proxy) -> Callable[[Any], None]:
    """Has pyarrow write a dataset whose source fails when a part is at the store already.

    pyarrow then closes its files on threads of its own, where our close sees no exception.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for _ in range(8):
            yield from _table(4 << 20).to_batches()
        proxy.wait_for("UploadPart", 1, finished=True)
        raise ProducerError

    def write(fs: Any) -> None:
        source = pa.RecordBatchReader.from_batches(_table(LITTLE).schema, batches())
        options = ds.ParquetFileFormat().make_write_options(compression="none")
        with pytest.raises(ProducerError):
            ds.write_dataset(
                source, place.path, format="parquet", file_options=options, filesystem=fs
            )
        assert proxy.count("CreateMultipartUpload") == 1

    return write


def _assert_no_dataset(server: Server, bucket: str, key: str) -> None:
    client = server.client()
    assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix=key)
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket, Prefix=key)


def test_a_dataset_whose_source_fails_is_discarded_with_publish_commit(
    seaweedfs: Server,
    place: Place,
    proxy: Proxy,
    bucket: str,
    key: str,
    write_failing_dataset: Callable[[Any], None],
) -> None:
    fs = fsspec.filesystem("s3stream", **place.options, publish="commit")

    said: list[str] = []
    warned = threading.Event()

    def show(message: Warning | str, *rest: Any, **more: Any) -> None:
        said.append(str(message))
        warned.set()

    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = show
        write_failing_dataset(fs)
        gc.collect()
        assert warned.wait(120)  # it may be one of pyarrow's threads that lets go of the file last
        proxy.wait_for("ListParts", 1, finished=True)
    assert "nothing was published" in said[0]
    _assert_no_dataset(seaweedfs, bucket, key)


def test_a_dataset_whose_source_fails_is_discarded_in_a_transaction(
    seaweedfs: Server,
    place: Place,
    bucket: str,
    key: str,
    write_failing_dataset: Callable[[Any], None],
) -> None:
    def write() -> None:
        with place.fs.transaction:
            write_failing_dataset(place.fs)
            assert len(place.fs.transaction.files) == 1
            raise ProducerError

    with pytest.raises(ProducerError):
        write()
    _assert_no_dataset(seaweedfs, bucket, key)


def test_a_close_in_an_executor_publishes_nothing_with_publish_commit(
    seaweedfs: Server, place: Place, bucket: str, key: str
) -> None:
    file: Any = place.open(publish="commit")

    def produce() -> None:
        with ThreadPoolExecutor(1) as executor:
            try:
                file.write(bytes_of(MUCH))
                raise ProducerError
            finally:
                executor.submit(file.close).result()

    with pytest.raises(ProducerError):
        produce()
    assert file.closed
    assert not exists(seaweedfs, bucket, key)
    file.discard()
    assert_nothing(seaweedfs, bucket, key)


def test_with_publish_commit_commit_publishes_after_any_close(
    seaweedfs: Server, place: Place, bucket: str, key: str
) -> None:
    file: S3Writer = place.open(publish="commit")
    with ThreadPoolExecutor(1) as executor:
        file.write(bytes_of(MUCH))
        executor.submit(file.close).result()
    assert not exists(seaweedfs, bucket, key)
    file.commit()
    assert content(seaweedfs, bucket, key) == bytes_of(MUCH)
    assert uploads(seaweedfs, bucket, key) == []
