"""The libraries: each is one function from an endpoint to an `open` that gives a writable file.

Every library runs with its own defaults, except that an even endpoint makes runs comparable: the
same part size and number of parts in flight for all, where a library lets one choose them.
"""

from __future__ import annotations

import fcntl
import importlib
import io
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Protocol

from .bare import BareWriter, Line

BUCKET = "benchmark"
REGION = "us-east-1"
ACCESS = "null"
SECRET = "nothing-secret"
PART_SIZE = 8 * 2**20
CONCURRENCY = 8


class Sink(Protocol):
    """What a workload needs of a file."""

    def write(self, data: bytes, /) -> object: ...
    def close(self) -> object: ...


Opener = Callable[[str], Sink]


@dataclass(frozen=True)
class Endpoint:
    """Where the null server listens, and how to speak to it.

    `ca` is the certificate authority to trust when it speaks TLS. `even` gives every library parts
    of 8 MiB, eight in flight; otherwise each has what its authors have chosen.
    """

    url: str
    ca: str | None
    even: bool = True

    @property
    def host_and_port(self) -> str:
        return self.url.partition("://")[2]

    def evenly(self, **names: int) -> dict[str, Any]:
        """These arguments where runs are to be comparable, none where a library is to choose."""
        return dict(names) if self.even else {}


@dataclass(frozen=True)
class Library:
    """One row of the table.

    `modules` are imported before the memory baseline is taken; `distributions` are the ones whose
    versions decide the figures; `ours` rows run with the interpreter that runs the benchmark.
    `workloads` and `links` are where the row means something, None for everywhere.
    """

    connect: Callable[[Endpoint], Opener]
    modules: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    ours: bool = False
    workloads: tuple[str, ...] | None = None
    links: tuple[str, ...] | None = None
    note: str = ""

    def belongs_to(self, link: str, workload: str) -> bool:
        return (self.workloads is None or workload in self.workloads) and (
            self.links is None or link in self.links
        )


def bare(endpoint: Endpoint) -> Opener:
    line = Line(endpoint.url, endpoint.ca, PART_SIZE, CONCURRENCY)
    return lambda key: io.BufferedWriter(BareWriter(line, BUCKET, key), 2**17)


def s3stream(endpoint: Endpoint, **options: Any) -> Opener:
    module = importlib.import_module("s3stream")
    client_kwargs: dict[str, Any] = {"region_name": REGION}
    if endpoint.ca:
        client_kwargs["verify"] = endpoint.ca
    options |= endpoint.evenly(part_size=PART_SIZE, max_concurrency=CONCURRENCY)

    def opener(key: str) -> Sink:
        file: Sink = module.open(
            f"s3://{BUCKET}/{key}",
            "wb",
            key=ACCESS,
            secret=SECRET,
            endpoint_url=endpoint.url,
            client_kwargs=client_kwargs,
            **options,
        )
        return file

    return opener


def s3stream_unsigned(endpoint: Endpoint) -> Opener:
    return s3stream(endpoint, config_kwargs={"s3": {"payload_signing_enabled": False}})


def s3fs(endpoint: Endpoint) -> Opener:
    client_kwargs: dict[str, Any] = {"region_name": REGION}
    if endpoint.ca:
        client_kwargs["verify"] = endpoint.ca
    fs = importlib.import_module("s3fs").S3FileSystem(
        key=ACCESS,
        secret=SECRET,
        endpoint_url=endpoint.url,
        client_kwargs=client_kwargs,
        **endpoint.evenly(max_concurrency=CONCURRENCY),
    )
    chosen = endpoint.evenly(block_size=PART_SIZE)

    def opener(key: str) -> Sink:
        file: Sink = fs.open(f"{BUCKET}/{key}", "wb", **chosen)
        return file

    return opener


def boto3_client(endpoint: Endpoint, **more: Any) -> Any:
    return importlib.import_module("boto3").client(
        "s3",
        **more,
        endpoint_url=endpoint.url,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name=REGION,
        verify=endpoint.ca,
    )


def smart_open(endpoint: Endpoint) -> Opener:
    module = importlib.import_module("smart_open")
    params = {"client": boto3_client(endpoint), **endpoint.evenly(min_part_size=PART_SIZE)}

    def opener(key: str) -> Sink:
        file: Sink = module.open(f"s3://{BUCKET}/{key}", "wb", transport_params=params)
        return file

    return opener


class PutObject:
    """boto3's own call for an object that is in memory."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key
        self._body = b""

    def write(self, data: bytes, /) -> None:
        self._body += data

    def close(self) -> None:
        self._client.put_object(Bucket=BUCKET, Key=self._key, Body=self._body)


def put_object(endpoint: Endpoint) -> Opener:
    client = boto3_client(endpoint)
    return lambda key: PutObject(client, key)


class CallLoop:
    """The least that one can do with botocore: cut, call upload_part on threads, complete."""

    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._where = {"Bucket": BUCKET, "Key": key}
        self._part = bytearray()
        self._calls: list[Future[Any]] = []
        self._free = BoundedSemaphore(CONCURRENCY)

    def write(self, data: bytes, /) -> None:
        with memoryview(data) as view:
            taken = 0
            while taken < len(view):
                until = taken + PART_SIZE - len(self._part)
                self._part += view[taken:until]
                taken = until
                if len(self._part) == PART_SIZE:
                    self._send()

    def close(self) -> None:
        if not self._calls:
            self._client.put_object(**self._where, Body=self._part)
            return
        if self._part:
            self._send()
        answers = [call.result() for call in self._calls]
        self._threads.shutdown()
        parts = [{"PartNumber": n, "ETag": done["ETag"]} for n, done in enumerate(answers, 1)]
        self._client.complete_multipart_upload(**self._where, MultipartUpload={"Parts": parts})

    def _send(self) -> None:
        if not self._calls:
            self._threads = ThreadPoolExecutor(CONCURRENCY)
            started = self._client.create_multipart_upload(**self._where)
            self._where["UploadId"] = started["UploadId"]
        self._free.acquire()
        call = self._threads.submit(
            self._client.upload_part,
            **self._where,
            PartNumber=len(self._calls) + 1,
            Body=self._part,
        )
        call.add_done_callback(lambda done: self._free.release())
        self._calls.append(call)
        self._part = bytearray()


def botocore(endpoint: Endpoint) -> Opener:
    config = importlib.import_module("botocore.config").Config(
        request_checksum_calculation="when_required",
        max_pool_connections=CONCURRENCY,
        s3={"payload_signing_enabled": endpoint.ca is None},
    )
    client = boto3_client(endpoint, config=config)
    return lambda key: io.BufferedWriter(Unbuffered(CallLoop(client, key)), 2**17)


class Unbuffered(io.RawIOBase):
    """A file face for `CallLoop`, so that small writes are gathered in C."""

    def __init__(self, loop: CallLoop) -> None:
        self._loop = loop

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._loop.write(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._loop.close()


class Piped:
    """A file in front of boto3's ``upload_fileobj``, which pulls where a producer pushes."""

    def __init__(self, client: Any, config: Any, key: str) -> None:
        reading, writing = os.pipe()
        self._source = os.fdopen(reading, "rb")
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # boto3 reads 8 MiB at a time; Linux's default of 64 KiB would be all task switches.
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 2**20)
        self._pipe = os.fdopen(writing, "wb")
        self.write = self._pipe.write
        thread = ThreadPoolExecutor(1)
        self._done = thread.submit(self._upload, client, config, key)
        thread.shutdown(wait=False)

    @property
    def closed(self) -> bool:
        return self._pipe.closed

    def flush(self) -> None:
        self._pipe.flush()

    def close(self) -> None:
        if not self.closed:
            self._pipe.close()
            self._done.result()

    def _upload(self, client: Any, config: Any, key: str) -> None:
        with self._source:  # closed after a failure too: the producer's pipe breaks, no hang
            client.upload_fileobj(self._source, BUCKET, key, Config=config)


def boto3(endpoint: Endpoint) -> Opener:
    transfer = importlib.import_module("boto3.s3.transfer")
    client = boto3_client(endpoint)
    config = transfer.TransferConfig(
        **endpoint.evenly(
            multipart_threshold=PART_SIZE,
            multipart_chunksize=PART_SIZE,
            max_concurrency=CONCURRENCY,
        )
    )
    return lambda key: Piped(client, config, key)


def obstore(endpoint: Endpoint) -> Opener:
    module = importlib.import_module("obstore")
    options: dict[str, Any] = {"allow_http": True}
    if endpoint.ca:
        options["root_certificate"] = Path(endpoint.ca).read_text("ascii")
    store = importlib.import_module("obstore.store").S3Store(
        BUCKET,
        endpoint=endpoint.url,
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        region=REGION,
        virtual_hosted_style_request=False,
        client_options=options,
    )

    chosen = endpoint.evenly(buffer_size=PART_SIZE, max_concurrency=CONCURRENCY)

    def opener(key: str) -> Sink:
        file: Sink = module.open_writer(store, key, **chosen)
        return file

    return opener


def pyarrow(endpoint: Endpoint) -> Opener:
    if endpoint.even:
        importlib.import_module("pyarrow").set_io_thread_count(CONCURRENCY)
    trust = {"tls_ca_file_path": endpoint.ca} if endpoint.ca else {}
    fs = importlib.import_module("pyarrow.fs").S3FileSystem(
        access_key=ACCESS,
        secret_key=SECRET,
        region=REGION,
        scheme=endpoint.url.partition("://")[0],
        endpoint_override=endpoint.host_and_port,
        **trust,
    )

    def opener(key: str) -> Sink:
        file: Sink = fs.open_output_stream(f"{BUCKET}/{key}")
        return file

    return opener


LIBRARIES: dict[str, Library] = {
    "bare": Library(bare, ours=True, note="raw sockets, no signature, no checksum: the limit"),
    "s3stream": Library(
        s3stream, ("s3stream",), ("s3stream", "botocore", "urllib3", "awscrt"), ours=True
    ),
    "unsigned": Library(
        s3stream_unsigned,
        ("s3stream",),
        ("s3stream", "botocore", "urllib3", "awscrt"),
        ours=True,
        links=("http",),
        note="s3stream with payload_signing_enabled=False: checksums, but no SHA-256",
    ),
    "put_object": Library(
        put_object,
        ("boto3",),
        ("boto3", "botocore"),
        workloads=("objects",),
        note="boto3's client, one call for each object",
    ),
    "botocore": Library(
        botocore,
        ("boto3",),
        ("botocore",),
        note="a loop of upload_part calls (put_object for small objects), without checksums",
    ),
    "obstore": Library(
        obstore,
        ("obstore", "obstore.store"),
        ("obstore",),
        workloads=("stream", "fresh", "copy", "lines", "objects", "one-write"),
        note="sends the caller's own bytes and keeps references to them instead of copies; pyarrow"
        " takes its file for closed, because `closed` is a method there",
    ),
    "pyarrow": Library(
        pyarrow, ("pyarrow", "pyarrow.fs"), ("pyarrow",), note="has a part size of its own"
    ),
    "boto3": Library(
        boto3,
        ("boto3", "boto3.s3.transfer"),
        ("boto3", "botocore", "s3transfer"),
        note="upload_fileobj fed through a pipe",
    ),
    "smart_open": Library(
        smart_open,
        ("smart_open", "boto3"),
        ("smart_open", "boto3", "botocore"),
        note="one part at a time",
    ),
    "s3fs": Library(s3fs, ("s3fs",), ("s3fs", "aiobotocore", "aiohttp"), note="one part at a time"),
}
