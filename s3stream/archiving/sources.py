"""Where an archive's entries come from: a bucket, a prefix, an object, or any path of fsspec's.

Lists and reads; must not know in what order, how far ahead, nor what becomes of it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from fsspec.core import url_to_fs

from ..errors import NotFoundError, PreconditionError, UsageError
from ..fs import S3StreamFileSystem
from ..inventory import Entry
from ..naming import safe_name
from ..pace import Pace
from ..store import ListedObject, Reader, endpoint_of
from ..uri import SCHEMES, split_path
from ..waiting import Cancellation


@dataclass(frozen=True)
class Piece:
    """Bytes of something, and what was seen of the whole when they were read."""

    data: bytes | mmap.mmap
    etag: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Found:
    """Something that a source has: its `path` below it, and what it would be as an entry.

    `problem`: why it cannot be one.
    """

    path: str
    entry: Entry
    source: Source
    problem: str | None = None


class Source(Protocol):
    """A place that entries come from. May be read from any number of threads."""

    pace: Pace | None
    connections: int

    def found(self) -> Iterator[Found]:
        """All that is there, in the order in which it is listed.

        Raises `NotFoundError` when there is nothing at all.
        """

    def only(self) -> Entry:
        """The one object or file that it is; `NotFoundError` when it is none."""

    def is_object(self, entry: Entry, endpoint_url: str, bucket: str, key: str) -> bool:
        """Whether the entry is this object at this endpoint."""

    def read(self, entry: Entry, start: int, end: int) -> Piece:
        """Read a range of bytes.

        Raises `PreconditionError` when it is not what was listed any more, `NotFoundError` when it
        is gone.
        """


def open_source(
    uri: str, options: Mapping[str, Any], *, nested: bool, cancellation: Cancellation
) -> Source:
    """Find out what a URI stands for. `nested` puts its entries into a folder named like it.

    Raises `UsageError` when it stands for two things.
    """
    scheme, found, _ = uri.partition("://")
    if found and scheme in SCHEMES:
        return _Store(uri, options, nested=nested, cancellation=cancellation)
    return _Tree(uri, options, nested=nested)


class _Store:
    """Objects at an S3 store."""

    def __init__(
        self, uri: str, options: Mapping[str, Any], *, nested: bool, cancellation: Cancellation
    ) -> None:
        self._uri = uri
        self._bucket, self._key = split_path(uri)
        if not self._bucket:
            raise UsageError(f"{uri!r} names no bucket: expected s3://bucket or s3://bucket/prefix")
        self._nested = nested
        # S3's own parameters begin with a capital, ours never do.
        given = {name: value for name, value in options.items() if name[:1].isupper()}
        ours = {name: value for name, value in options.items() if name not in given}
        given = {**(ours.pop("s3_additional_kwargs", None) or {}), **given}
        if "client" in ours:
            ours["skip_instance_cache"] = True
        client = S3StreamFileSystem(**ours).client
        self._endpoint_url = endpoint_of(client)
        self._reader = Reader(client, given, cancellation)
        self.pace: Pace | None = self._reader.pace
        self.connections = self._reader.connections

    def only(self) -> Entry:
        # Some stores have an object where a folder is.
        named = self._key and not self._key.endswith("/")
        found = self._reader.look(self._bucket, self._key) if named else None
        if found is None:
            raise NotFoundError(f"there is no object {self._uri}")
        return self._as_found(found, found.key.rpartition("/")[2]).entry

    def is_object(self, entry: Entry, endpoint_url: str, bucket: str, key: str) -> bool:
        return entry.source == f"s3://{bucket}/{key}" and self._endpoint_url == endpoint_url

    def found(self) -> Iterator[Found]:
        key = self._key
        if key and not key.endswith("/"):
            alone = self._reader.look(self._bucket, key)
            below = next(self._reader.objects(self._bucket, f"{key}/"), None)
            if alone is not None and below is not None:
                raise UsageError(
                    f"{self._uri!r} is an object, and there are others below it: {self._uri}/ are"
                    " those"
                )
            if alone is not None:
                yield self._as_found(alone, key.rpartition("/")[2])
                return
            key += "/"
        top = f"{(key or self._bucket).rstrip('/').rpartition('/')[2]}/" if self._nested else ""
        empty = True
        for listed in self._reader.objects(self._bucket, key):
            path = listed.key.removeprefix(key)
            # What a console makes when it is asked for a folder: the source itself.
            if path or listed.size:
                empty = False
                yield self._as_found(listed, path, top)
        if empty:
            raise NotFoundError(
                f"there is nothing to archive: {self._uri!r} is no object, and none lies below it",
                bucket=self._bucket,
                key=key,
            )

    def _as_found(self, listed: ListedObject, path: str, top: str = "") -> Found:
        # A "folder" with bytes is an object like others: it must not be lost.
        name = safe_name(path)
        if name.endswith("/") and listed.size:
            name = name.removesuffix("/") + "%2F"
        source = f"s3://{self._bucket}/{listed.key}"
        entry = Entry(
            top + (name or "%2F"), source, listed.size, listed.modified, listed.etag or None
        )
        return Found(path, entry, self)

    def read(self, entry: Entry, start: int, end: int) -> Piece:
        bucket, key = split_path(entry.source)
        got = self._reader.read(bucket, key, start, end, size=entry.size, etag=entry.etag)
        return Piece(got.data, got.etag, got.content_type, got.metadata)


class _Tree:
    """Files of any of fsspec's file systems."""

    pace: Pace | None = None

    def __init__(self, uri: str, options: Mapping[str, Any], *, nested: bool) -> None:
        self._uri = uri
        self._nested = nested
        try:
            self._fs, self._root = url_to_fs(uri, **options)
        except (ImportError, TypeError, ValueError) as error:
            raise UsageError(f"{uri!r} cannot be opened by fsspec: {error}") from error
        self.connections = 16

    def found(self) -> Iterator[Found]:
        root = self._root.rstrip("/")
        name = root.rpartition("/")[2]
        try:
            itself = self._fs.info(self._root)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is nothing to archive: no {self._uri!r} is there"
            ) from error
        if itself["type"] != "directory":
            yield self._as_found(itself, name, "")
            return
        empty = True
        for info in self._below(self._root):
            empty = False
            path = info["name"].rstrip("/").removeprefix(root).lstrip("/")
            yield self._as_found(info, path, f"{name}/" if self._nested else "")
        if empty:
            raise NotFoundError(
                f"there is nothing to archive: no file is at or below {self._uri!r}"
            )

    def _below(self, folder: str) -> Iterator[dict[str, Any]]:
        """All that is no folder, in the order in which S3 would list it; holds one folder's names.

        Not fsspec's walk: it passes over a folder below that cannot be read, and says nothing.
        """
        listed = {
            info["name"].rstrip("/") + ("/" if info["type"] == "directory" else ""): info
            for info in self._fs.ls(folder, detail=True)
            if info["name"].rstrip("/") != folder.rstrip("/")
        }
        for name, info in sorted(listed.items()):
            if info["type"] == "directory":
                yield from self._below(info["name"])
            else:
                # Asked by name a file system says what a link leads to.
                yield self._fs.info(name) if info.get("islink") else info

    def _as_found(self, info: dict[str, Any], path: str, top: str) -> Found:
        source = self._fs.unstrip_protocol(info["name"])
        entry = Entry(
            top + safe_name(path), source, info["size"], self._time_of(info), self._mark_of(info)
        )
        kind = info["type"]
        problem = None if kind == "file" else f"it is neither a file nor a folder, but: {kind}"
        return Found(path, entry, self, problem)

    def only(self) -> Entry:
        if not self._fs.isfile(self._root):
            raise NotFoundError(f"there is no file {self._uri}")
        return self._as_found(self._fs.info(self._root), self._root.rpartition("/")[2], "").entry

    def is_object(self, entry: Entry, endpoint_url: str, bucket: str, key: str) -> bool:
        return False

    def read(self, entry: Entry, start: int, end: int) -> Piece:
        try:
            data: bytes = self._fs.cat_file(entry.source, start=start, end=end) if end else b""
            if end == entry.size:
                self._refuse_if_changed(entry)
        except FileNotFoundError as error:
            raise NotFoundError(f"{entry.source} is gone: {error}") from error
        if len(data) != end - start:
            raise PreconditionError(f"{entry.source} was changed since it was listed")
        return Piece(data)

    def _refuse_if_changed(self, entry: Entry) -> None:
        self._fs.invalidate_cache(self._fs._parent(self._fs._strip_protocol(entry.source)))
        info = self._fs.info(entry.source)
        if (info["size"], self._mark_of(info)) != (entry.size, entry.etag):
            raise PreconditionError(f"{entry.source} was changed since it was listed")

    def _mark_of(self, info: Mapping[str, Any]) -> str | None:
        """What another content would have otherwise, as far as this file system says."""
        for name in ("ETag", "etag", "checksum", "md5Hash", "mtime", "LastModified", "created"):
            value = info.get(name)
            if value is not None:
                # Of one file some say the one when it is listed and the other when it is asked for.
                return str(value.timestamp() if isinstance(value, datetime) else value)
        return None

    def _time_of(self, info: Mapping[str, Any]) -> datetime | None:
        for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
            time = info.get(name)
            if isinstance(time, (int, float)):
                return datetime.fromtimestamp(time, timezone.utc)
            if isinstance(time, datetime):
                return time if time.utcoffset() is not None else time.replace(tzinfo=timezone.utc)
        return None
