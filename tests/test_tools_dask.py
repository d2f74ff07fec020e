"""Dask's collections from worker processes: writers are opened where they write.

File systems travel to the workers by pickle, and every partition becomes an object there. What a
dataset owes that appears at once is elsewhere; here each object appears whole or not at all.
"""

from __future__ import annotations

import gzip
import io
import os
from typing import TYPE_CHECKING, Any

import dask
import dask.bag as db
import dask.dataframe as dd
import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from pandas.testing import assert_frame_equal

import s3stream
from tests.looking import assert_nothing, bytes_of, content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server

# What these libraries say of each other's next releases is not about us.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PARTITIONS = 4


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two processes, for all tests of this file: starting them takes seconds."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            memory_limit=None,
            silence_logs=50,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def options(seaweedfs: Server, workers: Client) -> dict[str, Any]:
    return seaweedfs.storage_options()


@pytest.fixture
def url(bucket: str, key: str) -> str:
    return f"s3stream://{bucket}/{key}"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame({"n": range(1_000), "third": [n % 3 for n in range(1_000)]})


@pytest.fixture
def collection(frame: pd.DataFrame) -> dd.DataFrame:
    collection: dd.DataFrame = dd.from_pandas(frame, npartitions=PARTITIONS)
    return collection


def failing(part: pd.DataFrame) -> pd.DataFrame:
    if 999 in part["n"].to_numpy():
        raise RuntimeError("the task fails")
    return part


def test_a_dataframe_to_parquet_and_back(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    url: str,
    frame: pd.DataFrame,
    collection: dd.DataFrame,
) -> None:
    collection.to_parquet(url, storage_options=options)
    rows: list[int] = []
    for number in range(PARTITIONS):
        part = content(seaweedfs, bucket, f"{key}/part.{number}.parquet")
        rows += pq.read_table(io.BytesIO(part))["n"].to_pylist()
    assert rows == list(range(1_000))
    read = dd.read_parquet(url, storage_options=options).compute()
    assert_frame_equal(read, frame, check_dtype=False, check_index_type=False)


def test_a_dataframe_to_partitions_by_value(
    options: dict[str, Any], url: str, frame: pd.DataFrame, collection: dd.DataFrame
) -> None:
    fs = fsspec.filesystem("s3stream", **options)
    collection.to_parquet(url, partition_on=["third"], storage_options=options)
    assert {name.split("/")[-2] for name in fs.find(url)} == {"third=0", "third=1", "third=2"}
    read = dd.read_parquet(url, filters=[("third", "==", 1)], filesystem=fs).compute()
    assert sorted(read["n"]) == frame[frame["third"] == 1]["n"].tolist()


def test_a_dataframe_to_compressed_csv_and_back(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    url: str,
    frame: pd.DataFrame,
    collection: dd.DataFrame,
) -> None:
    names = collection.to_csv(
        f"{url}/*.csv.gz", index=False, compression="gzip", storage_options=options
    )
    assert names == [f"{bucket}/{key}/{number}.csv.gz" for number in range(PARTITIONS)]
    text = gzip.decompress(content(seaweedfs, bucket, f"{key}/3.csv.gz")).decode()
    assert text.splitlines()[-1] == "999,0"
    read = dd.read_csv(
        f"{url}/*.csv.gz", compression="gzip", blocksize=None, storage_options=options
    )
    assert_frame_equal(read.compute().reset_index(drop=True), frame)


def test_a_dataframe_to_one_csv_that_is_read_in_blocks(
    options: dict[str, Any], url: str, frame: pd.DataFrame, collection: dd.DataFrame
) -> None:
    """Every partition is appended to what is there: mode `ab`, on another worker each."""
    collection.to_csv(url, single_file=True, index=False, storage_options=options)
    read = dd.read_csv(url, blocksize=1_000, storage_options=options)
    assert read.npartitions > 4
    assert_frame_equal(read.compute().reset_index(drop=True), frame)


def test_a_bag_to_text_and_back(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str, url: str
) -> None:
    bag = db.from_sequence([f"{n} grüße" for n in range(100)], npartitions=PARTITIONS)
    bag.to_textfiles(f"{url}/*.txt.gz", storage_options=options)
    text = gzip.decompress(content(seaweedfs, bucket, f"{key}/0.txt.gz")).decode("utf-8")
    assert text.splitlines() == [f"{n} grüße" for n in range(25)]
    again = db.read_text(f"{url}/*.txt.gz", storage_options=options)
    assert again.map(lambda line: int(line.split()[0])).sum().compute() == sum(range(100))


def test_of_a_partition_that_fails_nothing_is_published(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    url: str,
    collection: dd.DataFrame,
) -> None:
    broken = collection.map_partitions(failing, meta=collection._meta)
    with pytest.raises(RuntimeError, match="the task fails"):
        broken.to_csv(f"{url}/*.csv", storage_options=options)
    assert_nothing(seaweedfs, bucket, f"{key}/3.csv")


def write_and_fail(fs: s3stream.S3StreamFileSystem, name: str, size: int) -> None:
    with fs.open(name, "wb") as file:
        file.write(bytes_of(size))
        raise RuntimeError("the task fails")


def test_of_a_task_that_fails_while_it_writes_nothing_is_left(
    seaweedfs: Server, workers: Client, options: dict[str, Any], bucket: str, key: str
) -> None:
    fs = fsspec.filesystem("s3stream", part_size=5 << 20, **options)
    with pytest.raises(RuntimeError, match="the task fails"):
        workers.submit(write_and_fail, fs, f"{bucket}/{key}", 12 << 20, pure=False).result()
    assert_nothing(seaweedfs, bucket, key)


def write_here(fs: s3stream.S3StreamFileSystem, name: str) -> int:
    with fs.open(name, "wb") as file:
        file.write(str(os.getpid()).encode())
    return os.getpid()


def test_a_file_system_travels_to_the_workers_and_writes_there(
    seaweedfs: Server, workers: Client, options: dict[str, Any], bucket: str, key: str
) -> None:
    fs = fsspec.filesystem("s3stream", **options)
    pids = workers.run(write_here, fs, f"{bucket}/{key}")
    assert len(set(pids.values())) == 2
    assert os.getpid() not in pids.values()
    assert int(content(seaweedfs, bucket, key)) in pids.values()


def test_threads_of_this_process_write_as_well(
    options: dict[str, Any], url: str, frame: pd.DataFrame, collection: dd.DataFrame
) -> None:
    with dask.config.set(scheduler="threads"):
        collection.to_parquet(url, storage_options=options)
        read = dd.read_parquet(url, storage_options=options).compute()
    assert read["n"].tolist() == frame["n"].tolist()
