"""Runs every script of examples/ as a user would, and looks at what it left in the store."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.faults import Answer
from tests.looking import bytes_of
from tests.servers import REGION

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import LifecycleRuleOutputTypeDef

    from tests.proxy import Proxy
    from tests.servers import Server

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MIB = 1 << 20


class Run:
    """One example: runs it under a prefix of its own, then shows what is there."""

    def __init__(self, server: Server, bucket: str, prefix: str, directory: Path) -> None:
        self.directory = directory
        self._bucket = bucket
        self._prefix = prefix
        self._client: S3Client = server.client()
        self._environ = {
            **os.environ,
            "AWS_ENDPOINT_URL_S3": server.endpoint_url,
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "PYTHONUTF8": "1",
            "PYTHONWARNINGS": "",  # what a user sees, wherever the tests run
            # But for Dask's word on a machine too slow to end a worker in four seconds.
            "DASK_LOGGING__DISTRIBUTED": "error",
        }

    def __call__(self, script: str, *arguments: str, scheme: str = "s3", name: str = "") -> str:
        """Run a script to its end, which must be a good one; returns what it printed."""
        done = self._run(script, *arguments, f"{scheme}://{self._bucket}/{self._prefix}{name}")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert self.unfinished() == []
        return done.stdout

    def to_a_bad_end(self, script: str, *arguments: str) -> str:
        """Run a script that has to fail; returns what it said of that."""
        done = self._run(script, *arguments, f"s3://{self._bucket}/{self._prefix}")
        assert done.returncode == 1, done.stderr
        assert done.stdout == ""
        assert self.unfinished() == []
        return done.stderr

    def _run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", EXAMPLES / script, *arguments],
            env=self._environ,
            cwd=self.directory,
            capture_output=True,
            encoding="utf-8",
            timeout=280,
            check=False,
        )

    def put(self, name: str, data: bytes) -> None:
        """Write an object that the example is to find."""
        self._client.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=data)

    def uri(self, name: str) -> str:
        """Of an object or a prefix there."""
        return f"s3://{self._bucket}/{self._prefix}/{name}"

    def names(self) -> list[str]:
        """Keys of the objects there, without the prefix."""
        pages = self._client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}/")
        keys = (entry["Key"] for page in found for entry in page.get("Contents", []))
        return [key.removeprefix(f"{self._prefix}/") for key in keys]

    def content(self, name: str) -> bytes:
        key = f"{self._prefix}/{name}"
        return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def unfinished(self) -> list[str]:
        """Keys of the multipart uploads that are still there."""
        found = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=f"{self._prefix}/")
        return [upload["Key"] for upload in found.get("Uploads", [])]

    def rules(self) -> list[LifecycleRuleOutputTypeDef]:
        """The bucket's lifecycle rules that are for keys of this prefix."""
        found = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
        rules = found["Rules"]
        return [rule for rule in rules if rule["Filter"]["Prefix"].startswith(self._prefix)]

    def local_file(self, seed: int, size: int) -> tuple[bytes, Path]:
        """A file to be sent: its bytes and where it is."""
        content, path = bytes_of(size, seed), self.directory / "large.bin"
        path.write_bytes(content)
        return content, path


def check_writing(run: Run) -> None:
    printed = run("writing.py")

    assert run.names() == ["greeting.txt", "squares.bin", "winner.txt"]
    squares = b"".join((n * n).to_bytes(8, "big") for n in range(100_000))
    assert run.content("squares.bin") == squares
    greeting = "Grüß Gott\r\ndzień dobry\r\nこんにちは\r\n"
    assert run.content("greeting.txt").decode("utf-8") == greeting
    assert run.content("winner.txt") == b"first\n"
    assert "squares.bin: 800,000 bytes" in printed
    assert "(verified by the store)" in printed
    assert "winner.txt stays as it is" in printed
    assert "never.csv is not there: the producer has failed" in printed


def check_pandas_parquet(run: Run) -> None:
    printed = run("pandas_parquet.py", scheme="s3stream")

    assert run.names() == ["temperatures.csv.gz", "temperatures.parquet"]
    frame = pd.read_parquet(io.BytesIO(run.content("temperatures.parquet")))
    assert frame.shape == (366, 3)
    text = gzip.decompress(run.content("temperatures.csv.gz")).decode("utf-8")
    again = pd.read_csv(io.StringIO(text), parse_dates=["day"])
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)
    assert "Schiphol" in printed


def check_pyarrow_tables(run: Run) -> None:
    printed = run("pyarrow_tables.py", scheme="s3stream")

    years = [f"by_year/year={year}/part-0.parquet" for year in (2000, 2001, 2002, 2003)]
    assert run.names() == [*years, "readings.parquet"]
    table = pq.read_table(io.BytesIO(run.content("readings.parquet")))
    assert table["reading"].to_pylist() == [n / 7 for n in range(100_000)]
    for first, name in enumerate(years):
        part = pq.read_table(io.BytesIO(run.content(name)))
        assert part.column_names == ["reading"]
        assert sorted(part["reading"].to_pylist()) == [n / 7 for n in range(first, 100_000, 4)]
    assert "2003: 25000 readings" in printed


def check_copy_large_file(run: Run) -> None:
    # Half of it can be compressed, half cannot.
    large = random.Random(20).randbytes(12 * MIB) + b"all work and no play\n" * (12 * MIB // 21)
    source = run.directory / "large.bin"
    source.write_bytes(large)

    printed = run("copy_large_file.py", str(source))

    assert run.names() == ["large.bin", "large.bin.gz"]
    assert run.content("large.bin") == large
    assert gzip.decompress(run.content("large.bin.gz")) == large
    assert f"size={len(large)}, parts=5" in printed


def check_dask_dataset(run: Run) -> None:
    said = run.to_a_bad_end("dask_dataset.py", "2")
    assert "RuntimeError: the task that writes file 2 has failed" in said
    assert run.names() == []

    printed = run("dask_dataset.py")
    assert run.names() == [f"part-{number}.parquet" for number in range(4)]
    for number in range(4):
        table = pq.read_table(io.BytesIO(run.content(f"part-{number}.parquet")))
        assert table["square"].to_pylist() == [n * n for n in range(100_000)]
        assert table["file"].to_pylist() == [number] * 100_000
    assert printed.count("parts=1") == 4


def check_dask_workers(run: Run) -> None:
    printed = run("dask_workers.py", name="/squares.bin")

    assert run.names() == ["squares.bin"]
    squares = b"".join((n * n).to_bytes(8, "big") for n in range(4_000_000))
    assert run.content("squares.bin") == squares
    assert "parts=4" in printed
    assert "verified=True" in printed


def check_by_hand(run: Run) -> None:
    large, source = run.local_file(21, 20 * MIB)

    printed = run("by_hand.py", str(source), name="/joined.bin")

    assert run.names() == ["joined.bin"]
    assert run.content("joined.bin") == large
    assert f"size={len(large)}, parts=3" in printed
    assert f"part 3: {4 * MIB:,} bytes" in printed
    assert re.search(r"unfinished: .*/joined.bin.forgotten, 1 part of 9 bytes", printed)


def check_interrupted(run: Run) -> None:
    printed = run("interrupted.py", name="/film.mp4")

    assert run.names() == ["film.mp4"]
    film = b"".join(n.to_bytes(4, "big") for n in range(3_250_000)) + b"."
    assert run.content("film.mp4") == film
    kept = re.findall(r"([\d,]+) bytes kept: (\d) parts, and a tail of ([\d,]+) b", printed)
    assert kept == [
        ("1", "0", "1"),
        ("4,000,000", "0", "4,000,000"),
        ("6,000,001", "1", "757,121"),
        ("6,000,002", "1", "757,122"),
        ("12,999,999", "2", "2,514,239"),
    ]
    assert "parts=3" in printed


def check_parallel_file(run: Run) -> None:
    large, source = run.local_file(22, 30 * MIB + 1)

    printed = run("parallel_file.py", str(source), name="/large.bin")

    assert run.names() == ["large.bin"]
    assert run.content("large.bin") == large
    assert f"size={len(large)}, parts=4" in printed
    assert f"{len(large):,} of {len(large):,} bytes" in printed
    (rule,) = run.rules()
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def check_streaming_uploader(run: Run) -> None:
    printed = run("streaming_uploader.py")

    assert run.names() == ["small.bin", "streamed.bin"]
    whole = b"".join(bytes([n]) * MIB for n in range(19))
    assert run.content("streamed.bin") == whole
    assert run.content("small.bin") == whole[: 12 * MIB]
    assert f"streamed.bin: {19 * MIB:,} bytes in 2 parts" in printed
    assert f"small.bin: {12 * MIB:,} bytes in one PutObject" in printed
    assert "broken.bin is not there: the source broke after 24 MiB" in printed


def check_duckdb_parquet(run: Run) -> None:
    printed = run("duckdb_parquet.py", scheme="s3stream")

    quarters = [f"by_quarter/quarter={quarter}/data_0.parquet" for quarter in range(4)]
    assert run.names() == [*quarters, "readings.parquet"]
    table = pq.read_table(io.BytesIO(run.content("readings.parquet")))
    assert table["n"].to_pylist() == list(range(100_000))
    assert pq.read_table(io.BytesIO(run.content(quarters[3]))).num_rows == 25_000
    assert "still there: [(25000, " in printed


def check_arrays(run: Run) -> None:
    printed = run("arrays.py", scheme="s3stream")

    names = run.names()
    assert "weather.h5" in names
    assert {"weather.zarr/zarr.json", "weather.zarr/celsius/c/1/0"} <= set(names)
    with h5py.File(io.BytesIO(run.content("weather.h5"))) as hdf:
        assert hdf["celsius"].shape == (240, 3)
    assert "hour: 480" in printed
    assert "Schiphol" in printed


def check_from_s3fs(run: Run) -> None:
    printed = run("from_s3fs.py")

    assert run.names() == ["again.csv", "moved.txt", "notes.txt"]
    assert run.content("again.csv") == b"hour,count\n7,1\n"
    assert (run.directory / "days" / "monday.csv").read_bytes().count(b"\n") == 10_001
    assert "{'kind': 'note', 'year': '2026'}" in printed
    assert "hand {'written-by': 'hand'}" in printed
    assert f"{5 * MIB + 7}\n" in printed


def check_backup(run: Run) -> None:
    objects = {"a.txt": b"a", "deep/b.bin": random.Random(22).randbytes(6 * MIB), "c.tmp": b"no"}
    for name, data in objects.items():
        run.put(f"in/{name}", data)

    printed = run("backup.py", run.uri("in/"), name="/out")

    (archive,) = [name for name in run.names() if name.startswith("out/")]
    assert re.fullmatch(r"out/\d{4}-\d\d-\d\d\.tar\.gz", archive)
    with tarfile.open(fileobj=io.BytesIO(run.content(archive))) as tar:
        names = tar.getnames()
        (deep,) = [tar.extractfile(name) for name in names if name == "deep/b.bin"]
        assert deep is not None
        assert deep.read() == objects["deep/b.bin"]
    assert names == ["a.txt", "deep/b.bin", ".s3stream-manifest/000001.jsonl"]
    assert f"2 objects, {6 * MIB + 1:,} bytes, 0 skipped: verified" in printed


CHECKS = {
    "arrays.py": check_arrays,
    "backup.py": check_backup,
    "by_hand.py": check_by_hand,
    "copy_large_file.py": check_copy_large_file,
    "dask_dataset.py": check_dask_dataset,
    "dask_workers.py": check_dask_workers,
    "duckdb_parquet.py": check_duckdb_parquet,
    "from_s3fs.py": check_from_s3fs,
    "interrupted.py": check_interrupted,
    "pandas_parquet.py": check_pandas_parquet,
    "parallel_file.py": check_parallel_file,
    "pyarrow_tables.py": check_pyarrow_tables,
    "streaming_uploader.py": check_streaming_uploader,
    "writing.py": check_writing,
}


@pytest.mark.parametrize("script", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(script: str, seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    assert script in CHECKS, f"examples/{script} has no entry in CHECKS"
    CHECKS[script](Run(seaweedfs, bucket, key, tmp_path))


def test_no_example_is_missing() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(CHECKS)


def test_parts_of_a_local_file_are_sent_again_when_the_store_fails(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    proxy.inject("UploadPart", Answer(503, "SlowDown"), skip=1)

    check_parallel_file(Run(proxied, bucket, key, tmp_path))

    ((_, exchange),) = proxy.injected
    assert exchange.operation == "UploadPart"
    assert proxy.count("UploadPart") == 5
