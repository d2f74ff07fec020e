"""What goes wrong while an archive is made or read: all of it is heard of, nothing is published."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import s3stream
from s3stream import AccessDeniedError, NotFoundError, PreconditionError, S3StreamError
from tests.archives import Listed, connection, entries, manifest, put
from tests.faults import Answer, CutAnswer, FlipByte, Hold, Meanwhile, ResetInBody
from tests.looking import assert_nothing, bytes_of, content
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server
    from tests.wire import Exchange

MIB = 1 << 20
LARGE = bytes_of(9 * MIB)


def asks_for(name: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.path.endswith(f"/{name}")


def archived(server: Server, bucket: str, key: str, **more: Any) -> s3stream.ArchiveResult:
    options: dict[str, Any] = {**connection(server), "compression": "stored", **more}
    return s3stream.archive(f"s3://{bucket}/{key}/in/", f"s3://{bucket}/{key}/a.zip", **options)


def test_a_reading_that_breaks_off_is_begun_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    objects = {"large": LARGE, "small": b"small"}
    put(seaweedfs, bucket, {f"{key}/in/{name}": data for name, data in objects.items()})
    proxy.inject("GetObject", CutAnswer(after=3), times=2, where=asks_for("small"))
    proxy.inject("GetObject", CutAnswer(after=100_000), times=3, where=asks_for("large"))
    archived(proxied, bucket, key)
    assert len(proxy.injected) == 5
    assert entries(seaweedfs, bucket, f"{key}/a.zip") == objects
    s3stream.verify(f"s3://{bucket}/{key}/a.zip", **connection(seaweedfs))


@pytest.mark.parametrize("name", ["large", "small"])
def test_a_source_that_always_breaks_off_is_an_error(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, name: str
) -> None:
    objects = {"before": LARGE, "large": LARGE, "small": b"small"}
    put(seaweedfs, bucket, {f"{key}/in/{name}": data for name, data in objects.items()})
    proxy.inject("GetObject", CutAnswer(after=3), times=None, where=asks_for(name))
    with pytest.raises(S3StreamError, match=f"cannot read.*{key}/in/{name}"):
        archived(proxied, bucket, key, changed="skip")
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


def test_a_source_that_may_not_be_read_is_an_error_and_no_skip(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": b"1", f"{key}/in/b": b"2"})
    proxy.inject("GetObject", Answer(403, "AccessDenied"), times=None, where=asks_for("b"))
    with pytest.raises(AccessDeniedError, match=f"{key}/in/b"):
        archived(proxied, bucket, key, changed="skip")
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


def test_a_bucket_that_is_gone_is_an_error_and_no_skip(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": b"1"})
    proxy.inject("GetObject", Answer(404, "NoSuchBucket"), times=None)
    with pytest.raises(S3StreamError, match="the bucket is gone"):
        archived(proxied, bucket, key, changed="skip")
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


def test_a_listing_that_fails_on_its_second_page(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/{number}": LARGE for number in range(3)})
    proxy.inject("ListObjectsV2", Answer(403, "AccessDenied"), times=None, skip=1)
    with pytest.raises(AccessDeniedError, match="cannot list"):
        archived(proxied, bucket, key, source_options={**connection(proxied), "MaxKeys": 2})
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
def test_a_destination_that_fails(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": LARGE, f"{key}/in/b": LARGE})
    proxy.inject(operation, Answer(403, "AccessDenied"), times=None)
    with pytest.raises(AccessDeniedError):
        archived(proxied, bucket, key)
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


def test_what_was_there_before_stays_when_it_fails(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": LARGE, f"{key}/a.zip": b"of yesterday"})
    proxy.inject("GetObject", Answer(403, "AccessDenied"), times=None)
    with pytest.raises(AccessDeniedError):
        archived(proxied, bucket, key)
    assert content(seaweedfs, bucket, f"{key}/a.zip") == b"of yesterday"


def test_a_wire_that_changes_and_breaks_what_is_sent(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": LARGE})
    proxy.inject("UploadPart", FlipByte(at=1_000))
    proxy.inject("UploadPart", ResetInBody(after=1_000))
    archived(proxied, bucket, key)
    assert len(proxy.injected) == 2
    assert entries(seaweedfs, bucket, f"{key}/a.zip") == {"a": LARGE}


# -- objects that change and vanish


@pytest.fixture
def before(store: Server) -> Iterator[tuple[Server, Proxy]]:
    """Each store, and a proxy before it."""
    with Proxy(store.endpoint_url) as proxy:
        yield replace(store, endpoint_url=proxy.url, https_url=None), proxy


def replaced(server: Server, bucket: str, key: str) -> Meanwhile:
    return Meanwhile(
        lambda: server.client().put_object(Bucket=bucket, Key=key, Body=b"twice as long")
    )


def deleted(server: Server, bucket: str, key: str) -> Meanwhile:
    return Meanwhile(lambda: server.client().delete_object(Bucket=bucket, Key=key))


@pytest.mark.parametrize(
    ("meanwhile", "error"), [(replaced, PreconditionError), (deleted, NotFoundError)]
)
def test_what_changes_between_listing_and_reading_is_an_error_or_a_recorded_skip(
    store: Server,
    before: tuple[Server, Proxy],
    bucket: str,
    key: str,
    meanwhile: Callable[[Server, str, str], Meanwhile],
    error: type[S3StreamError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxied, proxy = before
    objects = {f"{key}/in/{name}": name.encode() for name in ("a", "b", "c")}
    meant = meanwhile(store, bucket, f"{key}/in/b")
    put(store, bucket, objects)
    proxy.inject("GetObject", meant, where=asks_for("b"))
    with pytest.raises(error, match=f"{key}/in/b") as raised:
        archived(proxied, bucket, key)
    assert raised.value.__notes__ == ["changed='skip' would pass over it"]
    assert_nothing(store, bucket, f"{key}/a.zip")
    put(store, bucket, objects)
    proxy.inject("GetObject", meant, where=asks_for("b"))
    with caplog.at_level(logging.WARNING, "s3stream"):
        made = archived(proxied, bucket, key, changed="skip")
    assert len(proxy.injected) == 2
    assert made.contents == s3stream.ArchiveContents(2, 2, 1)
    assert list(entries(store, bucket, f"{key}/a.zip")) == ["a", "c"]
    told = manifest(store, bucket, f"{key}/a.zip")[1]
    assert told["skipped"] == "b"
    assert told["source"] == f"s3://{bucket}/{key}/in/b"
    assert told["reason"]
    assert f"s3://{bucket}/{key}/in/b is not in the archive: " in caplog.text
    verified = s3stream.verify(f"s3://{bucket}/{key}/a.zip", **connection(store))
    assert verified == made.contents


def after_the_first_range(proxy: Proxy, action: Callable[[], object]) -> None:
    """What happens when the first range of `large` was read, and no other one yet."""
    once = threading.Lock()

    def wait_and_act() -> None:
        proxy.wait_for("GetObject", finished=True)
        if once.acquire(blocking=False):
            action()
            done.set()
        done.wait()

    done = threading.Event()
    proxy.inject(
        "GetObject",
        Meanwhile(wait_and_act),
        times=None,
        where=lambda exchange: not exchange.request_headers["range"].startswith("bytes=0-"),
    )


@pytest.mark.parametrize("changed", ["error", "skip"])
@pytest.mark.parametrize("how", ["replaced", "deleted", "replaced, and no ETag is listed"])
def test_what_changes_while_its_beginning_is_in_the_archive_is_an_error_always(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    changed: str,
    how: str,
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/large": LARGE})
    client = seaweedfs.client()
    if how == "deleted":
        after_the_first_range(
            proxy, lambda: client.delete_object(Bucket=bucket, Key=f"{key}/in/large")
        )
    else:
        # Of the same size, so that nothing but the ETag tells.
        after_the_first_range(
            proxy,
            lambda: client.put_object(
                Bucket=bucket, Key=f"{key}/in/large", Body=bytes_of(len(LARGE), 1)
            ),
        )
    if "no ETag" in how:
        listed = Listed(((f"{key}/in/large", len(LARGE)),), etag="")
        proxy.inject("ListObjectsV2", listed)
    with pytest.raises((PreconditionError, NotFoundError), match=f"{key}/in/large"):
        archived(proxied, bucket, key, changed=changed)
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


def test_a_listing_without_etags(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": LARGE, f"{key}/in/b": b"2"})
    listed = Listed(((f"{key}/in/a", len(LARGE)), (f"{key}/in/b", 1)), etag="")
    proxy.inject("ListObjectsV2", listed)
    archived(proxied, bucket, key)
    assert proxy.injected
    assert entries(seaweedfs, bucket, f"{key}/a.zip") == {"a": LARGE, "b": b"2"}
    head = seaweedfs.client().head_object(Bucket=bucket, Key=f"{key}/in/a")
    assert manifest(seaweedfs, bucket, f"{key}/a.zip")[0]["etag"] == head["ETag"]


class Restless(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system whose files are written to, or gone, when they are read."""

    protocol = "restless"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("restless://"))
        return stripped

    def cat_file(self, path: str, *args: Any, **kwargs: Any) -> bytes:
        data: bytes = super().cat_file(path, *args, **kwargs)
        if path.endswith("longer"):
            self.pipe_file(path, b"longer than before")
        if path.endswith("gone"):
            self.rm_file(path)
        return data


@pytest.mark.parametrize(
    ("name", "error"), [("longer", PreconditionError), ("gone", NotFoundError)]
)
def test_files_of_other_file_systems_change_and_vanish_too(
    seaweedfs: Server, bucket: str, key: str, name: str, error: type[S3StreamError]
) -> None:
    fsspec.register_implementation("restless", Restless, clobber=True)
    fs = fsspec.filesystem("restless")
    dest = f"s3://{bucket}/{key}.tar"
    for changed in ("error", "skip"):
        fs.pipe({f"/{key}/a": b"1", f"/{key}/{name}": b"2"})
        if changed == "error":
            with pytest.raises(error, match=name):
                s3stream.archive(f"restless:///{key}", dest, **connection(seaweedfs))
            assert_nothing(seaweedfs, bucket, f"{key}.tar")
        else:
            s3stream.archive(f"restless:///{key}", dest, changed="skip", **connection(seaweedfs))
    assert entries(seaweedfs, bucket, f"{key}.tar") == {"a": b"1"}
    assert manifest(seaweedfs, bucket, f"{key}.tar")[1]["skipped"] == name
    fs.rm(f"/{key}", recursive=True)


# -- backpressure


class Endless(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system with large files, made when they are read; counts what was read."""

    protocol = "endless"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("endless://").lstrip("/")

    def __init__(self, files: int, size: int, told: Callable[[int], None]) -> None:
        super().__init__()
        self.files, self.size, self._told = files, size, told

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return [self.info(f"/{number}") for number in range(self.files)]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path == "/":
            return {"name": "/", "size": 0, "type": "directory"}
        return {"name": path, "size": self.size, "type": "file", "mtime": 0}

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        size = (end or 0) - (start or 0)
        self._told(size)
        return bytes(size)


def test_a_store_that_does_not_take_it_makes_the_reading_wait(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    limit, memory, part = 8 * MIB, 15 * MIB, 5 * MIB
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    lock = threading.Lock()
    read = 0
    ahead: list[int] = []

    def told(size: int) -> None:
        nonlocal read
        with lock:
            read += size
            arrived = sum(exchange.finished for exchange in proxy.of("UploadPart"))
            ahead.append(read - arrived * part)
            if read > 15 * MIB:
                # All that fits is nearly read: now the store may go on.
                hold.event.set()

    fsspec.register_implementation("endless", Endless, clobber=True)
    s3stream.archive(
        "endless://",
        f"s3://{bucket}/{key}.tar",
        source_options={"files": 2, "size": 40 * MIB, "told": told},
        memory_limit=limit,
        memory=memory,
        part_size=part,
        **connection(proxied),
    )
    assert proxy.injected
    assert read == 80 * MIB
    # What waits between reading and writing, what the writer holds, and what is in its buffer.
    assert max(ahead) <= limit + memory + MIB
    assert s3stream.verify(f"s3://{bucket}/{key}.tar", **connection(seaweedfs)).size == 80 * MIB


# -- reading an archive


def test_an_archive_that_is_replaced_while_it_is_read(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/large": LARGE})
    archived(seaweedfs, bucket, key)
    again = content(seaweedfs, bucket, f"{key}/a.zip")
    proxy.inject(
        "GetObject",
        Meanwhile(
            lambda: seaweedfs.client().put_object(
                Bucket=bucket, Key=f"{key}/a.zip", Body=again[:-1] + b"x"
            )
        ),
        skip=1,
    )
    with pytest.raises(PreconditionError, match=re.escape("a.zip was replaced while it was read")):
        s3stream.verify(f"s3://{bucket}/{key}/a.zip", **connection(proxied))
    assert proxy.injected


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_reading_of_an_archive_that_breaks_off_is_begun_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, format: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/large": LARGE})
    dest = f"s3://{bucket}/{key}/a.{format}"
    s3stream.archive(f"s3://{bucket}/{key}/in/", dest, **connection(seaweedfs))
    proxy.inject("GetObject", CutAnswer(after=3), times=2)
    assert s3stream.verify(dest, **connection(proxied)).size == len(LARGE)
    assert len(proxy.injected) == 2


def test_a_destination_that_fails_is_an_error_of_the_unpacking(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": b"1", f"{key}/in/b": b"2"})
    archived(seaweedfs, bucket, key)
    proxy.inject("PutObject", Answer(403, "AccessDenied"), times=None, where=asks_for("b"))
    with pytest.raises(AccessDeniedError, match=f"{key}/out/b"):
        s3stream.extract(
            f"s3://{bucket}/{key}/a.zip", f"s3://{bucket}/{key}/out", **connection(proxied)
        )
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, f"{key}/out/b")
