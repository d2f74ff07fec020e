"""What tests of archives share: objects to archive, connections, and a look into an archive."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import zstandard

from tests.faults import Fault
from tests.looking import content

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.proxy import Connection
    from tests.servers import Server

TIME = "2026-11-28T03:00:00.000Z"


@dataclass(frozen=True)
class Listed(Fault):
    """The answer to a listing: these objects, by key and size, whatever the store has."""

    objects: tuple[tuple[str, int], ...]
    etag: str = "<ETag>e</ETag>"

    def happen(self, connection: Connection) -> Iterator[bytes]:
        prefix = connection.exchange.query["prefix"]
        listed = "".join(
            f"<Contents><Key>{quote(key, safe='')}</Key><Size>{size}</Size>{self.etag}"
            f"<LastModified>{TIME}</LastModified></Contents>"
            for key, size in self.objects
            if key.startswith(prefix)
        )
        yield from answered(
            connection,
            f"<ListBucketResult><EncodingType>url</EncodingType>{listed}"
            "<IsTruncated>false</IsTruncated></ListBucketResult>".encode(),
        )


@dataclass(frozen=True)
class Served(Fault):
    """The answer to a GetObject or HeadObject: these bytes, whatever the store has."""

    data: bytes

    def happen(self, connection: Connection) -> Iterator[bytes]:
        yield from answered(connection, self.data)


def answered(connection: Connection, body: bytes) -> Iterator[bytes]:
    """Read the request; a good answer to it."""
    for _ in connection.body():
        pass
    head = (
        "HTTP/1.1 200 OK\r\nETag: e\r\nLast-Modified: Sat, 28 Nov 2026 03:00:00 GMT\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    yield head.encode()
    if connection.exchange.method != "HEAD":
        yield body


MANIFEST = ".s3stream-manifest/"


def connection(server: Server) -> dict[str, Any]:
    """Storage options for a server."""
    return {
        "endpoint_url": server.endpoint_url,
        "key": server.access_key,
        "secret": server.secret_key,
    }


def put(server: Server, bucket: str, objects: dict[str, bytes], **more: Any) -> None:
    """Write objects by their keys, several at once."""
    client = server.client(max_pool_connections=8)
    with ThreadPoolExecutor(8) as pool:
        for done in [
            pool.submit(client.put_object, Bucket=bucket, Key=key, Body=data, **more)
            for key, data in objects.items()
        ]:
            done.result()


def unpacked(server: Server, bucket: str, key: str) -> dict[str, bytes]:
    """The entries of an archive at a store, in their order, by Python's own readers."""
    data = content(server, bucket, key)
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.testzip() is None
            return {name: opened.read(name) for name in opened.namelist()}
    if data[:4] == b"\x28\xb5\x2f\xfd":
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
            data = reader.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {}
        for info in tar:
            file = tar.extractfile(info)
            found[info.name + "/" * info.isdir()] = b"" if file is None else file.read()
        return found


def entries(server: Server, bucket: str, key: str) -> dict[str, bytes]:
    """The same, without the manifest."""
    found = unpacked(server, bucket, key)
    return {name: data for name, data in found.items() if not name.startswith(MANIFEST)}


def manifest(server: Server, bucket: str, key: str) -> list[dict[str, Any]]:
    """The lines of the manifest that tell of objects."""
    found = unpacked(server, bucket, key)
    pieces = [data for name, data in found.items() if name.startswith(MANIFEST)]
    lines = [json.loads(line) for piece in pieces for line in piece.splitlines()]
    return [line for line in lines if "name" in line or "skipped" in line]


def tree(root: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
