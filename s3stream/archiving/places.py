"""Where the entries of an archive are unpacked into: a folder, a prefix, a URL of fsspec's.

Each entry appears whole or not at all. Must not know archives.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from fsspec.core import url_to_fs

from ..behind import Behind
from ..errors import S3StreamError, UsageError, add_note, in_full
from ..fs import S3StreamFileSystem, take_connection
from ..opening import open
from ..options import WriteOptions
from ..store import CONNECTION_OPTIONS, connections_of
from ..uri import SCHEMES, split_path
from .describing import parameters_for
from .members import Member

_log = logging.getLogger("s3stream")

# Seconds that a Ctrl-C waits for what is on its way to the store.
_INTERRUPTED_SECONDS = 5.0

# Told about each entry while it is written; what goes wrong with it there is to name it.
Naming = Callable[[Member], AbstractContextManager[None]]


class Place:
    """Takes entries, one after the other. In a `with` body, at whose end all of them are there."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        """Write an entry, in the place of what is called so.

        Where entries end behind the next ones, what it raises may be the error of an earlier one.
        """
        raise NotImplementedError

    def __enter__(self) -> Place:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left to do where each entry has ended when the next one begins."""


def open_place(
    dest: str | os.PathLike[str],
    options: Mapping[str, Any] | None,
    of_s3: Mapping[str, Any],
    limit: int,
    naming: Naming,
) -> Place:
    """Find out what a destination is; `options` are its storage options, not for a local folder.

    Where there are none, S3 is reached by `of_s3`; nobody else gets those, for they hold secrets.
    `limit`: bytes of entries that may be on their way to a store at once, or one entry alone.
    Raises `UsageError` for one that cannot be.
    """
    uri: object = dest
    if isinstance(uri, os.PathLike):
        uri = os.fspath(uri)
    if not isinstance(uri, str) or not uri:
        raise UsageError(f"dest={dest!r}: expected a folder, or a URI such as s3://bucket/prefix/")
    scheme, found, _ = uri.partition("://")
    if not found:
        return _Folder(Path(uri), naming)
    if scheme not in SCHEMES:
        return _Tree(uri, options or {}, naming)
    if not split_path(uri)[0]:
        raise UsageError(f"dest={dest!r} names no bucket: expected s3://bucket/prefix/")
    return _Store(uri, of_s3 if options is None else options, limit, naming)


class _Store(Place):
    """A prefix at an S3 store: entries are published behind the reading of the next ones.

    Folders are none there.
    """

    def __init__(self, uri: str, options: Mapping[str, Any], limit: int, naming: Naming) -> None:
        super().__init__(naming)
        self._prefix = uri.rstrip("/") + "/"
        self._options = dict(options)
        # S3's own parameters begin with a capital, ours never do.
        by_name = {name: value for name, value in options.items() if name[:1].isupper()}
        self._given = {**(options.get("s3_additional_kwargs") or {}), **by_name}
        self._behind = Behind(
            at_once=_at_once(options), limit=limit, name=f"s3stream extract {self._prefix}"
        )

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        if member.is_folder:
            return
        self._behind.make_room(member.size)
        uri = self._prefix + member.name
        with self._naming(member):
            given = {**self._options, **self._parameters_for(member, uri)}
            file = open(uri, "wb", **given)
        try:
            for piece in pieces:
                self._behind.check()
                with self._naming(member):
                    file.write(piece)
            self._behind.submit(
                partial(self._publish, member, file.commit), file._interrupt, member.size
            )
        except BaseException as error:
            file._interrupt()  # it may have been handed on
            if not isinstance(error, Exception):
                self._behind.give_up(0)  # so that all of them come to their end at once
            file._discard_because_of(error)
            raise

    def _parameters_for(self, member: Member, uri: str) -> dict[str, Any]:
        parameters, left_out = parameters_for(member.content_type, member.metadata, self._given)
        for what in left_out:
            _log.warning("%s is unpacked without %s: S3 cannot keep that", uri, what)
        return parameters

    def _publish(self, member: Member, commit: Callable[[], object]) -> None:
        with self._naming(member):
            commit()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._behind.give_up(_INTERRUPTED_SECONDS)
            return
        try:
            # What was read whole is published, also when the archive is damaged behind it.
            self._behind.finish()
        except BaseException as failed:
            hurried = not isinstance(failed, Exception)
            self._behind.give_up(_INTERRUPTED_SECONDS if hurried else None)
            if error is None or hurried:
                raise
            if failed is not error:
                add_note(error, f"and {type(failed).__name__}: {in_full(failed)}")


def _at_once(options: Mapping[str, Any]) -> int:
    """How many objects are published at once: as many as a file would have parts in flight."""
    more = {n: v for n, v in options.items() if n in {*CONNECTION_OPTIONS, "store"}}
    made = take_connection(options.get("client"), more)
    connections = connections_of(S3StreamFileSystem(**made).client)
    chosen = {n: options[n] for n in ("max_concurrency",) if n in options}
    return min(WriteOptions(**chosen).max_concurrency, connections)


class _Tree(Place):
    """A folder of any of fsspec's file systems."""

    def __init__(self, uri: str, options: Mapping[str, Any], naming: Naming) -> None:
        super().__init__(naming)
        try:
            self._fs, self._root = url_to_fs(uri, **options)
        except (ImportError, TypeError, ValueError) as error:
            raise UsageError(f"dest={uri!r} cannot be opened by fsspec: {error}") from error

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        path = f"{self._root.rstrip('/')}/{member.name.rstrip('/')}"
        with self._naming(member):
            self._fs.makedirs(path if member.is_folder else self._fs._parent(path), exist_ok=True)
        if member.is_folder:
            return
        # In a transaction of its own: fsspec's own files are published by a close in an error too.
        with self._fs.transaction, self._fs.open(path, "wb") as file:
            for piece in pieces:
                with self._naming(member):
                    file.write(piece)


class _Folder(Place):
    """A local folder."""

    def __init__(self, root: Path, naming: Naming) -> None:
        super().__init__(naming)
        if root.exists() and not root.is_dir():
            raise UsageError(f"dest={str(root)!r} is a file: expected a folder")
        # A symbolic link in the path is the caller's own; one below it could lead anywhere.
        self._root = root.resolve()

    def put(self, member: Member, pieces: Iterator[bytes]) -> None:
        path = self._root / member.name
        with self._naming(member):
            folder = self._make_folder(member, path)
        if member.is_folder:
            return
        half = folder / f".s3stream-{uuid.uuid4().hex}"
        try:
            with half.open("xb") as file:
                for piece in pieces:
                    with self._naming(member):
                        file.write(piece)
            with self._naming(member):
                if member.modified is not None:
                    time = member.modified.timestamp()
                    os.utime(half, (time, time))
                half.replace(path)
        except BaseException:
            half.unlink(missing_ok=True)
            raise

    def _make_folder(self, member: Member, path: Path) -> Path:
        folder = path if member.is_folder else path.parent
        if not folder.resolve().is_relative_to(self._root):
            raise S3StreamError(
                f"{member.name!r} would be written to {folder.resolve()}, outside of {self._root}:"
                " a symbolic link leads there"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder
