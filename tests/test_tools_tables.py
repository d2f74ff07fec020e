"""Table libraries by fsspec: pandas, polars, pyarrow datasets, DuckDB.

What does not depend on the store is tried on one; tests/test_ecosystem.py has, on every store, what
writes much.
"""

from __future__ import annotations

import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from pyarrow import csv, feather, orc

import s3stream
from tests.looking import assert_nothing, content, exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20

# What these libraries say of each other's next releases is not about us.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture
def options(seaweedfs: Server) -> dict[str, Any]:
    return {**seaweedfs.storage_options(), "part_size": PART}


@pytest.fixture
def fs(options: dict[str, Any]) -> Any:
    return fsspec.filesystem("s3stream", **options)


@pytest.fixture
def url(bucket: str, key: str) -> str:
    return f"s3stream://{bucket}/{key}"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    numbers = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=3_000, freq="s").astype("datetime64[us]"),
            "carrier": ["AA", "DL", "Grüße"] * 1_000,
            "delay": numbers.random(3_000),
        }
    )


# -- pandas


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zip", "zstd", "tar"])
def test_pandas_writes_and_reads_csv_with_every_compression(
    url: str, options: dict[str, Any], frame: pd.DataFrame, compression: str
) -> None:
    frame.to_csv(url, index=False, compression=compression, storage_options=options)
    read = pd.read_csv(url, parse_dates=["when"], compression=compression, storage_options=options)
    assert_frame_equal(read, frame, check_dtype=False)


def test_pandas_infers_the_compression_from_the_name(
    seaweedfs: Server, url: str, options: dict[str, Any], bucket: str, key: str, frame: pd.DataFrame
) -> None:
    frame.to_csv(f"{url}.csv.gz", index=False, storage_options=options)
    text = gzip.decompress(content(seaweedfs, bucket, f"{key}.csv.gz"))
    assert text == frame.to_csv(index=False).encode()


def test_pandas_writes_and_reads_csv_in_pieces(
    url: str, options: dict[str, Any], frame: pd.DataFrame
) -> None:
    frame.to_csv(url, index=False, chunksize=100, storage_options=options)
    pieces = pd.read_csv(url, chunksize=700, parse_dates=["when"], storage_options=options)
    assert_frame_equal(pd.concat(pieces), frame, check_dtype=False)


@pytest.mark.parametrize("lines", [True, False])
def test_pandas_writes_and_reads_json(
    seaweedfs: Server,
    url: str,
    options: dict[str, Any],
    bucket: str,
    key: str,
    frame: pd.DataFrame,
    lines: bool,
) -> None:
    some = frame[["carrier", "delay"]].head(100)
    some.to_json(f"{url}.json.gz", orient="records", lines=lines, storage_options=options)
    text = gzip.decompress(content(seaweedfs, bucket, f"{key}.json.gz")).decode()
    rows = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    assert [row["carrier"] for row in rows] == some["carrier"].tolist()
    read = pd.read_json(f"{url}.json.gz", orient="records", lines=lines, storage_options=options)
    assert_frame_equal(read, some, check_dtype=False)


def test_pandas_pickles(url: str, options: dict[str, Any], frame: pd.DataFrame) -> None:
    frame.to_pickle(f"{url}.pkl.xz", storage_options=options)
    assert_frame_equal(pd.read_pickle(f"{url}.pkl.xz", storage_options=options), frame)


def test_pandas_writes_partitions_that_are_read_one_by_one(
    url: str, options: dict[str, Any], fs: Any, frame: pd.DataFrame
) -> None:
    frame.to_parquet(url, partition_cols=["carrier"], storage_options=options)
    assert {name.split("/")[-2] for name in fs.find(url)} == {
        "carrier=AA",
        "carrier=DL",
        "carrier=Gr%C3%BC%C3%9Fe",
    }
    read = pd.read_parquet(url, filters=[("carrier", "==", "DL")], storage_options=options)
    assert read["delay"].tolist() == frame[frame["carrier"] == "DL"]["delay"].tolist()
    assert set(read["carrier"]) == {"DL"}


def test_pandas_passes_on_what_storage_options_say_of_the_object(
    seaweedfs: Server, url: str, options: dict[str, Any], bucket: str, key: str, frame: pd.DataFrame
) -> None:
    frame.to_csv(
        url, storage_options={**options, "ContentType": "text/csv", "Metadata": {"a": "1"}}
    )
    head = seaweedfs.client().head_object(Bucket=bucket, Key=key)
    assert (head["ContentType"], head["Metadata"]) == ("text/csv", {"a": "1"})


# -- polars


def test_polars_writes_every_format_to_our_file_and_reads_it_by_fsspec(
    options: dict[str, Any], fs: Any, bucket: str, key: str, frame: pd.DataFrame
) -> None:
    ours = pl.from_pandas(frame)
    writers: dict[str, tuple[Any, Any]] = {
        "parquet": (pl.DataFrame.write_parquet, pl.read_parquet),
        "csv": (pl.DataFrame.write_csv, pl.read_csv),
        "ndjson": (pl.DataFrame.write_ndjson, pl.read_ndjson),
        "ipc": (pl.DataFrame.write_ipc, pl.read_ipc),
    }
    for ending, (write, read) in writers.items():
        name = f"{bucket}/{key}.{ending}"
        with fs.open(name, "wb") as file:
            write(ours, file)
        with fs.open(name, "rb") as file:
            assert read(file)["delay"].to_list() == frame["delay"].tolist(), ending


def test_polars_sinks_a_lazy_frame_that_fails_and_publishes_nothing(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str
) -> None:
    def fail(value: int) -> int:
        raise ValueError("the producer fails")

    lazy = pl.LazyFrame({"a": [1, 2]}).select(pl.col("a").map_elements(fail, return_dtype=pl.Int64))
    with (
        pytest.raises((ValueError, pl.exceptions.ComputeError), match="the producer fails"),
        s3stream.open(f"s3://{bucket}/{key}", **options) as file,
    ):
        lazy.sink_csv(file)
    assert not exists(seaweedfs, bucket, key)


def test_polars_scans_a_dataset_by_pyarrow(
    fs: Any, bucket: str, key: str, frame: pd.DataFrame
) -> None:
    table = pa.Table.from_pandas(frame)
    ds.write_dataset(
        table,
        f"{bucket}/{key}",
        filesystem=fs,
        format="parquet",
        partitioning=["carrier"],
        partitioning_flavor="hive",
    )
    dataset = ds.dataset(f"{bucket}/{key}", filesystem=fs, partitioning="hive")
    lazy = pl.scan_pyarrow_dataset(dataset).filter(pl.col("carrier") == "AA").select("delay")
    assert lazy.collect()["delay"].to_list() == frame[frame["carrier"] == "AA"]["delay"].tolist()


# -- pyarrow


@pytest.mark.parametrize(
    ("kind", "write"),
    [("csv", csv.write_csv), ("feather", feather.write_feather), ("orc", orc.write_table)],
)
def test_pyarrow_writes_other_formats_to_our_file(
    fs: Any, bucket: str, key: str, kind: str, write: Callable[[pa.Table, Any], object]
) -> None:
    table = pa.table({"x": list(range(1_000)), "y": [f"{n} ü" for n in range(1_000)]})
    with fs.open(f"{bucket}/{key}", "wb") as file:
        write(table, file)
    assert ds.dataset(f"{bucket}/{key}", filesystem=fs, format=kind).to_table().equals(table)


def test_a_dataset_of_a_transaction_appears_at_once(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str
) -> None:
    fs = fsspec.filesystem("s3stream", skip_instance_cache=True, **options)
    table = pa.table({"year": [2024, 2025, 2026], "x": [1, 2, 3]})
    with fs.transaction:
        ds.write_dataset(
            table, f"{bucket}/{key}", filesystem=fs, format="parquet", partitioning=["year"]
        )
        listed = seaweedfs.client().list_objects_v2(Bucket=bucket, Prefix=f"{key}/")
        assert listed["KeyCount"] == 0
    assert len(fs.find(f"{bucket}/{key}")) == 3
    read = pq.read_table(f"{bucket}/{key}/2025", filesystem=fs)
    assert read["x"].to_pylist() == [2]


# -- DuckDB


FAILS = "(SELECT CASE WHEN n = 999 THEN error('the query fails') ELSE n END FROM range(1000) t(n))"


class Duck:
    """DuckDB that writes by our file system, through the proxy."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, fs: Any, root: str) -> None:
        self.fs = fs
        self.root = root
        self._connection = connection

    def __call__(self, query: str) -> list[Any]:
        return self._connection.execute(query).fetchall()

    def copy(self, query: str, name: str, more: str = "") -> None:
        self(f"COPY {query} TO 's3stream://{self.root}/{name}' (FORMAT parquet{more})")


@pytest.fixture
def duck(proxied: Server, bucket: str, key: str) -> Iterator[Duck]:
    options = proxied.storage_options()
    fs = fsspec.filesystem("s3stream", part_size=PART, skip_instance_cache=True, **options)
    with duckdb.connect() as connection:
        connection.register_filesystem(fs)
        yield Duck(connection, fs, f"{bucket}/{key}")


def test_duckdb_writes_and_reads_parquet_of_several_parts(
    seaweedfs: Server, duck: Duck, proxy: Proxy, bucket: str, key: str
) -> None:
    duck.copy("(SELECT n, hash(n) AS h FROM range(600000) t(n))", "a.parquet")
    assert proxy.count("UploadPart") > 1
    theirs = pq.read_table(io.BytesIO(content(seaweedfs, bucket, f"{key}/a.parquet")))
    assert theirs["n"].to_pylist() == list(range(600_000))
    where = f"read_parquet('s3stream://{duck.root}/*.parquet')"
    found = duck(f"SELECT count(*), sum(n) FROM {where} WHERE n >= 599998")
    assert found == [(2, 599_998 + 599_999)]


def test_duckdb_writes_partitions(duck: Duck) -> None:
    """OVERWRITE_OR_IGNORE: or it lists the folder that it has made, and S3 has none."""
    duck.copy(
        "(SELECT n, n % 3 AS m FROM range(30) t(n))",
        "by_m",
        ", PARTITION_BY (m), OVERWRITE_OR_IGNORE",
    )
    where = f"read_parquet('s3stream://{duck.root}/by_m/*/*.parquet', hive_partitioning=true)"
    assert duck(f"SELECT m, count(*) FROM {where} GROUP BY m ORDER BY m") == [
        (0, 10),
        (1, 10),
        (2, 10),
    ]


def test_duckdb_in_a_transaction_publishes_nothing_of_a_query_that_fails(
    seaweedfs: Server, duck: Duck, proxy: Proxy, bucket: str, key: str
) -> None:
    def write() -> None:
        with duck.fs.transaction:
            duck.copy("(SELECT 1 AS n)", "fine.parquet")
            duck.copy(FAILS, "a.parquet")

    with pytest.raises(duckdb.Error, match="the query fails"):
        write()
    assert proxy.count("PutObject") == proxy.count("CompleteMultipartUpload") == 0
    for name in ("fine.parquet", "a.parquet"):
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")
    with duck.fs.transaction:
        duck.copy("(SELECT 1 AS n)", "fine.parquet")
        assert not exists(seaweedfs, bucket, f"{key}/fine.parquet")
    assert duck(f"SELECT n FROM 's3stream://{duck.root}/fine.parquet'") == [(1,)]


@pytest.mark.skipif(
    duckdb.__version__ < "2",
    reason="DuckDB 1 removes by itself what it was to replace when its query fails",
)
def test_duckdb_in_a_transaction_replaces_an_object_or_leaves_it(
    seaweedfs: Server, duck: Duck, bucket: str, key: str
) -> None:
    duck.copy("(SELECT 1 AS n)", "a.parquet")
    before = content(seaweedfs, bucket, f"{key}/a.parquet")
    with pytest.raises(duckdb.Error, match="the query fails"), duck.fs.transaction:
        duck.copy(FAILS, "a.parquet", ", USE_TMP_FILE false")
    assert content(seaweedfs, bucket, f"{key}/a.parquet") == before
    with duck.fs.transaction:
        duck.copy("(SELECT 2 AS n)", "a.parquet", ", USE_TMP_FILE false")
    assert duck(f"SELECT n FROM 's3stream://{duck.root}/a.parquet'") == [(2,)]
    assert duck.fs.find(duck.root) == [f"{duck.root}/a.parquet"]
