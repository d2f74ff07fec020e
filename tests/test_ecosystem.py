"""What people already use writes to our files and reads them again, on every store.

Each library gets what it knows: a URL, a file system or a file. What arrived is looked at with a
client of its own.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import pickle
import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
from pandas.testing import assert_frame_equal

import s3stream
from s3stream.options import MiB
from tests.looking import assert_nothing, bytes_of, content
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

PART = 5 * MiB


@pytest.fixture
def options(store: Server) -> dict[str, Any]:
    """Storage options under which 12 MiB are three parts."""
    return {**store.storage_options(), "part_size": PART}


@pytest.fixture
def fs(options: dict[str, Any]) -> Any:
    return fsspec.filesystem("s3stream", **options)


@pytest.fixture
def url(bucket: str, key: str) -> str:
    return f"s3stream://{bucket}/{key}"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """About 12 MiB, also as Parquet: random numbers do not compress."""
    numbers = np.random.default_rng(0)
    rows = 600_000
    return pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=rows, freq="s").astype("datetime64[us]"),
            "carrier": pd.Series(["AA", "DL", "UA", None] * (rows // 4)),
            "delay": numbers.random(rows),
            "distance": numbers.random(rows),
        }
    )


@pytest.fixture(scope="module")
def table() -> pa.Table:
    numbers = np.random.default_rng(1)
    return pa.table(
        {
            "month": np.arange(800_000) % 4 + 1,
            "x": numbers.random(800_000),
            "y": numbers.random(800_000),
        }
    )


def parts_of(store: Server, bucket: str, key: str) -> int:
    """How many parts the object was sent in, by its ETag, where the store keeps such."""
    head = store.client().head_object(Bucket=bucket, Key=key)
    if "multipart-etag" in CANNOT[store.name]:  # what was sent is then all that can be said
        return 1 if head["ContentLength"] < PART else -(-head["ContentLength"] // PART)
    return int(head["ETag"].strip('"').partition("-")[2] or 1)


# --- tables --------------------------------------------------------------------------------------


def test_pandas_writes_and_reads_parquet_by_url(
    store: Server, bucket: str, key: str, options: dict[str, Any], frame: pd.DataFrame
) -> None:
    url = f"s3stream://{bucket}/{key}.parquet"
    frame.to_parquet(url, storage_options=options)
    assert_frame_equal(pd.read_parquet(url, storage_options=options), frame)
    theirs = pd.read_parquet(io.BytesIO(content(store, bucket, f"{key}.parquet")))
    assert_frame_equal(theirs, frame)
    assert parts_of(store, bucket, f"{key}.parquet") == 3


def test_pandas_reads_only_the_columns_that_are_asked_for(
    url: str, options: dict[str, Any], frame: pd.DataFrame
) -> None:
    frame.head(1000).to_parquet(url, storage_options=options)
    read = pd.read_parquet(url, columns=["carrier"], storage_options=options)
    assert_frame_equal(read, frame.head(1000)[["carrier"]])


def test_pandas_writes_a_partitioned_parquet_dataset(
    url: str, options: dict[str, Any], fs: Any, frame: pd.DataFrame
) -> None:
    some = frame.head(4_000).dropna()
    some.to_parquet(url, partition_cols=["carrier"], storage_options=options)
    names = {name.split("/")[-2] for name in fs.find(url)}
    assert names == {"carrier=AA", "carrier=DL", "carrier=UA"}
    read = pd.read_parquet(url, storage_options=options)
    read["carrier"] = read["carrier"].astype(str)
    order = ["when", "carrier", "delay", "distance"]
    left = read[order].sort_values("when", ignore_index=True)
    assert_frame_equal(left, some.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_pandas_writes_and_reads_csv_by_url(
    store: Server,
    bucket: str,
    key: str,
    options: dict[str, Any],
    frame: pd.DataFrame,
    ending: str,
) -> None:
    name, some = f"{key}.{ending}", frame.head(200_000 if ending == "csv" else 40_000)
    url = f"s3stream://{bucket}/{name}"
    some.to_csv(url, index=False, storage_options=options)
    raw = content(store, bucket, name)
    text = gzip.decompress(raw) if ending == "csv.gz" else raw
    assert text == some.to_csv(index=False).encode()
    read = pd.read_csv(url, parse_dates=["when"], storage_options=options)
    assert_frame_equal(read, pd.read_csv(io.BytesIO(text), parse_dates=["when"]))
    assert parts_of(store, bucket, name) == (1 if ending == "csv.gz" else 3)


def test_pandas_that_fails_half_way_publishes_nothing(
    store: Server, bucket: str, key: str, options: dict[str, Any]
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("the producer fails")

    values = [bytes_of(1000, seed).hex() for seed in range(6_000)]
    broken = pd.DataFrame({"x": [*values, Broken()]}, dtype=object)
    with (
        pytest.warns(RuntimeWarning, match="nothing was published"),
        pytest.raises(RuntimeError, match="the producer fails"),
    ):
        broken.to_csv(f"s3stream://{bucket}/{key}", storage_options=options, chunksize=500)
    assert_nothing(store, bucket, key)


def test_polars_writes_parquet_to_our_file(
    store: Server, bucket: str, key: str, options: dict[str, Any], frame: pd.DataFrame
) -> None:
    ours = pl.from_pandas(frame)
    with s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file:
        ours.write_parquet(file)
    assert pl.read_parquet(io.BytesIO(content(store, bucket, key))).equals(ours)
    with s3stream.open(f"s3://{bucket}/{key}", "rb", **options) as file:
        assert pl.read_parquet(file).equals(ours)
    assert parts_of(store, bucket, key) > 1


def test_polars_sinks_csv_to_our_file(
    store: Server, bucket: str, key: str, options: dict[str, Any], frame: pd.DataFrame
) -> None:
    ours = pl.from_pandas(frame.head(200_000))
    with s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file:
        ours.lazy().sink_csv(file)
    assert content(store, bucket, key) == ours.write_csv().encode()
    assert parts_of(store, bucket, key) > 1


def test_pyarrow_writes_and_reads_a_table_by_the_file_system(
    store: Server, bucket: str, key: str, fs: Any, table: pa.Table
) -> None:
    pyarrow.parquet.write_table(table, f"{bucket}/{key}", filesystem=fs)
    assert pyarrow.parquet.read_table(f"{bucket}/{key}", filesystem=fs).equals(table)
    theirs = pyarrow.parquet.read_table(io.BytesIO(content(store, bucket, key)))
    assert theirs.equals(table)
    assert parts_of(store, bucket, key) > 1


def test_pyarrow_writes_a_table_to_our_file(
    store: Server, bucket: str, key: str, options: dict[str, Any], table: pa.Table
) -> None:
    with s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file:
        pyarrow.parquet.write_table(table, file)
    theirs = pyarrow.parquet.read_table(io.BytesIO(content(store, bucket, key)))
    assert theirs.equals(table)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_pyarrow_writes_and_reads_a_partitioned_dataset(
    store: Server, bucket: str, key: str, fs: Any, table: pa.Table, kind: str
) -> None:
    some = table if kind == "parquet" else table.slice(0, 40_000)
    partitioning = pyarrow.dataset.partitioning(pa.schema([("month", pa.int64())]), flavor="hive")
    root = f"{bucket}/{key}"
    pyarrow.dataset.write_dataset(some, root, filesystem=fs, format=kind, partitioning=partitioning)
    assert fs.ls(root, detail=False) == [f"{root}/month={month}" for month in (1, 2, 3, 4)]
    dataset = pyarrow.dataset.dataset(root, filesystem=fs, format=kind, partitioning=partitioning)
    read = (
        dataset.to_table()
        .select(["month", "x", "y"])
        .sort_by([("month", "ascending"), ("x", "ascending")])
    )
    assert read.equals(some.sort_by([("month", "ascending"), ("x", "ascending")]))
    march = dataset.to_table(filter=pyarrow.dataset.field("month") == 3)
    assert march.num_rows == some.num_rows // 4
    # Again over what is there, as a nightly job does.
    pyarrow.dataset.write_dataset(
        some.slice(0, 4),
        root,
        filesystem=fs,
        format=kind,
        partitioning=partitioning,
        existing_data_behavior="delete_matching",
    )
    again = pyarrow.dataset.dataset(root, filesystem=fs, format=kind, partitioning=partitioning)
    assert again.count_rows() == 4


# --- the standard library ------------------------------------------------------------------------


def test_copyfileobj_takes_a_file_there_and_back(
    store: Server, bucket: str, key: str, options: dict[str, Any], tmp_path: Path
) -> None:
    body = bytes_of(12 * MiB)
    (tmp_path / "there").write_bytes(body)
    with (
        (tmp_path / "there").open("rb") as source,
        s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file,
    ):
        shutil.copyfileobj(source, file)
    assert content(store, bucket, key) == body
    assert parts_of(store, bucket, key) == 3
    with (
        s3stream.open(f"s3://{bucket}/{key}", "rb", **options) as file,
        (tmp_path / "back").open("wb") as dest,
    ):
        shutil.copyfileobj(file, dest)
    assert (tmp_path / "back").read_bytes() == body


def write_csv(file: Any) -> None:
    writer = csv.writer(file)
    writer.writerow(["number", "text"])
    writer.writerows([number, f'{number} "ä", {"x" * 1000}\n'] for number in range(12_000))


def read_csv(file: Any) -> None:
    rows = list(csv.reader(file))
    assert rows[0] == ["number", "text"]
    assert len(rows) == 12_001
    assert rows[-1] == ["11999", f'11999 "ä", {"x" * 1000}\n']


JSON = {"text": "grüße", "list": [None, 1.5, True] * 10_000}


def write_json(file: Any) -> None:
    json.dump(JSON, file, ensure_ascii=False)


def read_json(file: Any) -> None:
    assert json.load(file) == JSON


def write_gzip(file: Any) -> None:
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as zipped:
        for seed in range(12):
            zipped.write(bytes_of(MiB, seed))


def read_gzip(file: Any) -> None:
    with gzip.GzipFile(fileobj=file) as zipped:
        for seed in range(12):
            assert zipped.read(MiB) == bytes_of(MiB, seed)
        assert zipped.read() == b""


def write_zip(file: Any) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large", bytes_of(12 * MiB))
        archive.writestr("folder/small.txt", "small")
        with archive.open("streamed", "w") as member:
            member.write(b"piece")
            member.write(b"wise")


def read_zip(file: Any) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["large", "folder/small.txt", "streamed"]
        assert archive.read("large") == bytes_of(12 * MiB)
        assert archive.read("streamed") == b"piecewise"


def write_tar(file: Any) -> None:
    with tarfile.open(fileobj=file, mode="w|") as archive:
        for name, body in (("small", b"small"), ("large", bytes_of(12 * MiB))):
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))


def read_tar(file: Any) -> None:
    with tarfile.open(fileobj=file, mode="r|") as archive:
        bodies = {}
        for member in archive:
            extracted = archive.extractfile(member)
            assert extracted is not None
            bodies[member.name] = extracted.read()
    assert bodies == {"small": b"small", "large": bytes_of(12 * MiB)}


PICKLED = {"bytes": bytes_of(12 * MiB), "numbers": list(range(10_000)), "text": "grüße"}


def write_pickle(file: Any) -> None:
    pickle.dump(PICKLED, file, protocol=5)


def read_pickle(file: Any) -> None:
    assert pickle.load(file) == PICKLED


ARRAY = np.random.default_rng(2).random((12, 131_072))


def write_numpy(file: Any) -> None:
    np.save(file, ARRAY)


def read_numpy(file: Any) -> None:
    assert np.array_equal(np.load(file), ARRAY)


def write_npz(file: Any) -> None:
    np.savez(file, array=ARRAY, other=np.arange(3))


def read_npz(file: Any) -> None:
    with np.load(file) as archive:
        assert np.array_equal(archive["array"], ARRAY)
        assert archive["other"].tolist() == [0, 1, 2]


def write_log(file: Any) -> None:
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("of this test alone")
    logger.addHandler(handler)
    for number in range(6_000):
        logger.warning("%d %s", number, "ä" * 1_000)
    handler.close()


def read_log(file: Any) -> None:
    lines = file.read().splitlines()
    assert lines == [f"WARNING {number} {'ä' * 1_000}" for number in range(6_000)]


TEXT: dict[str, Any] = {"encoding": "utf-8", "newline": ""}


@pytest.mark.parametrize(
    ("write", "read", "text", "parts"),
    [
        pytest.param(write_csv, read_csv, True, 3, id="csv"),
        pytest.param(write_json, read_json, True, 1, id="json"),
        pytest.param(write_gzip, read_gzip, False, 3, id="gzip"),
        pytest.param(write_zip, read_zip, False, 3, id="zipfile"),
        pytest.param(write_tar, read_tar, False, 3, id="tarfile"),
        pytest.param(write_pickle, read_pickle, False, 3, id="pickle"),
        pytest.param(write_numpy, read_numpy, False, 3, id="numpy"),
        pytest.param(write_npz, read_npz, False, 3, id="npz"),
        pytest.param(write_log, read_log, True, 3, id="logging"),
    ],
)
def test_what_writes_to_a_file_writes_to_ours(
    store: Server,
    bucket: str,
    key: str,
    options: dict[str, Any],
    write: Callable[[Any], None],
    read: Callable[[Any], None],
    text: bool,
    parts: int,
) -> None:
    """By the object at the store, and by our file for reading."""
    uri = f"s3://{bucket}/{key}"
    layers = TEXT if text else {}
    with s3stream.open(uri, "w" if text else "wb", **layers, **options) as file:
        write(file)
    there: Any = io.BytesIO(content(store, bucket, key))
    read(io.TextIOWrapper(there, **layers) if text else there)
    assert parts_of(store, bucket, key) == parts
    with s3stream.open(uri, "r" if text else "rb", **layers, **options) as file:
        read(file)


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="wb"),
    "zipfile": lambda file: zipfile.ZipFile(file, "w"),
    "tarfile": lambda file: tarfile.open(fileobj=file, mode="w|"),  # noqa: SIM115 - opened below
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_producer_that_fails_in_a_wrapper_publishes_nothing(
    store: Server, bucket: str, key: str, options: dict[str, Any], wrapper: str
) -> None:
    """Each wrapper writes a valid-looking end as the exception passes it; nobody gets to see it."""
    with (  # noqa: PT012
        pytest.raises(KeyError, match="producer"),
        s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file,
    ):
        file.write(bytes_of(6 * MiB))
        with WRAPPERS[wrapper](file):
            raise KeyError("producer")
    assert_nothing(store, bucket, key)
