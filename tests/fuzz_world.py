"""What the fuzz test plays with: files that are watched on the wire, a bucket to look into, faults.

Every file has a line of its own to the store, with a proxy in it. So what was really asked of the
store and what it answered is known for each file, and judged by that.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import uuid
import warnings
import weakref
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from s3stream import IntegrityError, S3StreamError, S3StreamFileSystem, UncertainError
from tests.fuzz_faults import ABORT, COMMITS, DENIED, DOWN, FLIPPED, LOST, PART
from tests.looking import bytes_of
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from types_boto3_s3.client import S3Client

    from tests.servers import Server
    from tests.wire import Exchange

SIZE = 5 << 20  # of a part: SeaweedFS refuses smaller ones, as AWS does
_BLOCK = bytes_of(4 * SIZE)


class ProducerError(Exception):
    """What the user's own code raises."""


def _with(file: Any) -> None:
    with file:
        pass


def _raise(file: Any) -> None:
    with file:
        raise ProducerError


def _close_in_finally(file: Any) -> None:
    try:
        raise ProducerError
    finally:
        file.close()


PUBLISHING: dict[str, Callable[[Any], object]] = {
    "close": lambda file: file.close(),
    "with": _with,
    "commit": lambda file: file.commit(),
}
DISCARDING: dict[str, Callable[[Any], object]] = {
    "discard": lambda file: file.discard(),
    "raise": _raise,
    "close in finally": _close_in_finally,
}


class Line:
    """A file system with a proxy of its own before the store, for one file at a time."""

    def __init__(self, server: Server, proxy: Proxy) -> None:
        self.proxy = proxy
        self._options = replace(server, endpoint_url=proxy.url).storage_options()
        self._options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": 3}}
        self._connect()

    def open(self, path: str, **options: Any) -> Any:
        # After some 35 retries for nothing a client of botocore's retries no more.
        if len(self.proxy.injected) - self._faults > 15:
            self.close()
            self._connect()
        return self._fs.open(path, **options)

    def close(self) -> None:
        self._fs.client.close()

    def _connect(self) -> None:
        self._fs = S3StreamFileSystem(**self._options, skip_instance_cache=True)
        self._faults = len(self.proxy.injected)


@dataclass(eq=False)
class Handle:
    """An open file, what was written to it, and what has come of its requests."""

    line: Line
    key: str
    options: dict[str, Any]
    file: Any
    serial: int
    began: int  # in the log of the line
    written: bytearray = field(default_factory=bytearray, repr=False)
    error: S3StreamError | None = None
    sealed: bool = False
    disturbed: bool = False
    refused: bool = False

    @property
    def log(self) -> list[Exchange]:
        return self.line.proxy.log[self.began :]

    @property
    def exclusive(self) -> bool:
        return "x" in self.options["mode"]

    def answered(self, *operations: str) -> list[int]:
        """What the store has answered such requests, heard or not."""
        return [x.store_status for x in self.log if x.operation in operations and x.store_status]

    @property
    def taken(self) -> bool:
        """Whether the store has made the object."""
        return 200 in self.answered(*COMMITS)

    def sent(self) -> list[Exchange]:
        """All requests but the parts, which may be on their way and change nothing to be seen."""
        return [x for x in self.log if x.operation != PART]

    @property
    def upload_ids(self) -> set[str]:
        return {x.query["uploadId"] for x in self.log if "uploadId" in x.query}

    def write(self, size: int) -> None:
        start = (len(self.written) * 31 + self.serial) % (len(_BLOCK) - size)
        data = _BLOCK[start : start + size]
        self.file.write(data.decode("latin-1") if self.options["mode"] == "w" else data)
        self.written += data

    def failed(self, error: BaseException | None, there_was_one: bool = False) -> None:
        """Judge an error: the first must have a reason, and every later one must be the first."""
        assert isinstance(error, S3StreamError)
        if self.error is None:
            self.error = error
            hit = {x.fault for x in self.log if x.fault and x.operation != ABORT}
            if isinstance(error, FileExistsError):
                assert self.exclusive
                assert there_was_one
            elif isinstance(error, (IntegrityError, UncertainError)):
                # The store may have refused an exclusive create, and nobody has heard it.
                unheard = self.exclusive and there_was_one and LOST in hit
                assert unheard or hit & {DENIED, DOWN, FLIPPED}, (error, hit)
            else:
                assert hit & {DENIED, DOWN}, (error, hit)
            assert error.key == self.key
        assert error is self.error

    def end(self, how: str) -> tuple[BaseException | None, list[str]]:
        """Do it: the error that it raised and the warnings that it gave."""
        raised: BaseException | None = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                if how == "drop":
                    self._drop()
                else:
                    (PUBLISHING | DISCARDING)[how](self.file)
            except (ProducerError, S3StreamError) as error:
                raised = error
        said = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
        return raised, said

    def _drop(self) -> None:
        file = weakref.ref(self.file)
        self.file = None
        self.error = None  # the file is in its traceback
        if file() is not None:
            gc.collect()
        assert file() is None


def settle() -> None:
    """Wait until no thread of ours runs."""
    for thread in threading.enumerate():
        if thread.name.startswith("s3stream"):
            thread.join(120)
            assert not thread.is_alive(), thread.name


@dataclass
class World:
    """A bucket, a client of its own to look into it, and lines to write to it."""

    bucket: str
    client: S3Client
    lines: list[Line]

    def etags(self) -> dict[str, str]:
        listed = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {entry["Key"]: entry["ETag"] for entry in listed}

    def content(self, key: str) -> bytes:
        with self.client.get_object(Bucket=self.bucket, Key=key)["Body"] as body:
            return body.read()

    def uploads(self) -> dict[str, str]:
        """Upload ids, and the keys that they are for."""
        listed = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return {upload["UploadId"]: upload["Key"] for upload in listed}

    def abort(self, upload_id: str, key: str) -> None:
        self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    def empty(self) -> None:
        for upload_id, key in self.uploads().items():
            self.abort(upload_id, key)
        for key in self.etags():
            self.client.delete_object(Bucket=self.bucket, Key=key)


@contextmanager
def world(server: Server, lines: int) -> Iterator[World]:
    """A bucket of its own, gone in the end: only so does SeaweedFS give its disk back at once."""
    bucket, client = f"fuzz-{uuid.uuid4().hex}", server.client()
    client.create_bucket(Bucket=bucket)
    with ExitStack() as stack:
        stack.callback(client.close)
        stack.callback(client.delete_bucket, Bucket=bucket)
        made = World(bucket, client, [])
        stack.callback(made.empty)
        for _ in range(lines):
            proxy = stack.enter_context(Proxy(server.endpoint_url))
            made.lines.append(Line(server, proxy))
            stack.callback(made.lines[-1].close)
        yield made


def be_a_child(handle: Handle, how: str) -> NoReturn:
    """What a forked child may do to a file of its parent's."""
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(30)
        with suppress(S3StreamError, ValueError):
            if how == "write":
                handle.write(SIZE)
            elif how == "flush":
                handle.file.flush()
            else:
                handle.end(how)
        status = 0
    finally:
        os._exit(status)
