"""Where the entries of an archive are unpacked into: a folder, a prefix, a URL of fsspec's.

Each entry appears whole or not at all. Must not know archives.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from fsspec.core import url_to_fs

from ..errors import S3StreamError, UsageError
from ..opening import open
from ..uri import SCHEMES, split_path
from .unpacking import Member


class Place(Protocol):
    """Takes entries."""

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        """Write an entry, in the place of what is called so."""


def open_place(
    dest: str | os.PathLike[str], options: Mapping[str, Any] | None, of_s3: Mapping[str, Any]
) -> Place:
    """Find out what a destination is; `options` are its storage options, not for a local folder.

    Where there are none, S3 is reached by `of_s3`; nobody else gets those, for they hold secrets.
    Raises `UsageError` for one that cannot be.
    """
    uri: object = dest
    if isinstance(uri, os.PathLike):
        uri = os.fspath(uri)
    if not isinstance(uri, str) or not uri:
        raise UsageError(f"dest={dest!r}: expected a folder, or a URI such as s3://bucket/prefix/")
    scheme, found, _ = uri.partition("://")
    if not found:
        return _Folder(Path(uri))
    if scheme not in SCHEMES:
        return _Tree(uri, options or {})
    if not split_path(uri)[0]:
        raise UsageError(f"dest={dest!r} names no bucket: expected s3://bucket/prefix/")
    return _Store(uri, of_s3 if options is None else options)


class _Store:
    """A prefix at an S3 store. Folders are none there."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self._prefix = uri.rstrip("/") + "/"
        self._options = dict(options)

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        if member.is_folder:
            return
        with open(self._prefix + member.name, "wb", **self._options) as file:
            for piece in pieces:
                file.write(piece)


class _Tree:
    """A folder of any of fsspec's file systems."""

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        try:
            self._fs, self._root = url_to_fs(uri, **options)
        except (ImportError, TypeError, ValueError) as error:
            raise UsageError(f"dest={uri!r} cannot be opened by fsspec: {error}") from error

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        path = f"{self._root.rstrip('/')}/{member.name.rstrip('/')}"
        self._fs.makedirs(path if member.is_folder else self._fs._parent(path), exist_ok=True)
        if member.is_folder:
            return
        # In a transaction of its own: fsspec's own files are published by a close in an error too.
        with self._fs.transaction, self._fs.open(path, "wb") as file:
            for piece in pieces:
                file.write(piece)


class _Folder:
    """A local folder."""

    def __init__(self, root: Path) -> None:
        if root.exists() and not root.is_dir():
            raise UsageError(f"dest={str(root)!r} is a file: expected a folder")
        # A symbolic link in the path is the caller's own; one below it could lead anywhere.
        self._root = root.resolve()

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        path = self._root / member.name
        folder = path if member.is_folder else path.parent
        if not folder.resolve().is_relative_to(self._root):
            raise S3StreamError(
                f"{member.name!r} would be written to {folder.resolve()}, outside of {self._root}:"
                " a symbolic link leads there"
            )
        folder.mkdir(parents=True, exist_ok=True)
        if member.is_folder:
            return
        half = folder / f".s3stream-{uuid.uuid4().hex}"
        try:
            with half.open("xb") as file:
                for piece in pieces:
                    file.write(piece)
            if member.modified is not None:
                time = member.modified.timestamp()
                os.utime(half, (time, time))
            half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
