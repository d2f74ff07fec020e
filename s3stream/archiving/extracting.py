"""`s3stream.extract` and `s3stream.verify`: what is in an archive, held against its manifest.

Reads entry after entry; never holds one whole.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from fsspec.callbacks import DEFAULT_CALLBACK

from ..errors import IntegrityError, UsageError, add_note
from ..inventory import MAX_PIECE, ArchiveContents, Audit, is_piece
from ..naming import Names
from ..options import MiB
from .archived import ArchiveFile
from .choosing import Choice, check_memory_limit
from .formats import HEAD, format_of
from .members import Data, Member
from .places import open_place
from .unpacking import ReadBeside, members

_PIECE = 1 * MiB

_log = logging.getLogger("s3stream")


class _Take(Protocol):
    """What becomes of an entry's bytes; False when nobody wants them."""

    def __call__(self, member: Member, pieces: Iterator[bytes]) -> bool: ...


def verify(
    archive_uri: str,
    *,
    memory_limit: int = 64 * MiB,
    callback: Any = DEFAULT_CALLBACK,
    client: Any = None,
    **options: Any,
) -> ArchiveContents:
    """Read an archive of `archive`'s to its end, and compare it with its manifest.

    Nothing is written. `archive_uri` is an object, or any file that fsspec knows; `options` are its
    storage options. `memory_limit` bytes are read ahead at most; a zip's directory is held besides,
    a kilobyte an entry. `callback` is one of fsspec's and is told the bytes of the entries.

    Raises `IntegrityError` when an entry is not what was archived, is missing or too many, or when
    the archive is cut off, damaged, or has no manifest; `NotFoundError` when there is none.
    """
    options = _with_client(client, options)

    def take(member: Member, pieces: Iterator[bytes]) -> bool:
        for piece in pieces:
            callback.relative_update(len(piece))
        return True

    return _read(archive_uri, options, memory_limit, take)


def extract(
    archive_uri: str,
    dest: str | os.PathLike[str],
    *,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    memory_limit: int = 64 * MiB,
    dest_options: Mapping[str, Any] | None = None,
    callback: Any = DEFAULT_CALLBACK,
    client: Any = None,
    **options: Any,
) -> ArchiveContents:
    """Unpack an archive of `archive`'s into `dest`, and compare it with its manifest.

    `dest` is a local folder, a prefix (`s3://bucket/prefix/`), or any URL that fsspec can write
    below. Every file appears whole or not at all, in the place of one that is there; a local one
    has its time, an object the content type and metadata that it had. Never is anything written
    outside of `dest`: names that could lead there, links and devices are refused. `include` and
    `exclude` are globs of names, as in `archive`.

    A wrong entry of a zip is refused before it is there. Of a tar the manifest comes behind the
    entries: a wrong one is there already, and the error names it. Objects are published several at
    once (24, or the `max_concurrency` of `dest_options`), of `memory_limit` bytes together, or one
    alone; after the first error no other one is begun.

    `dest_options` are the storage options of `dest`; where None, S3 is reached as for the archive.
    The rest, what is raised too, is as in `verify`. Returns what was unpacked.
    """
    choice = Choice(include, exclude)
    options = _with_client(client, options)
    check_memory_limit(memory_limit)
    entries = size = 0

    @contextmanager
    def naming(member: Member) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            add_note(error, f"while {member.name!r} of {archive_uri} was unpacked")
            raise

    def take(member: Member, pieces: Iterator[bytes]) -> bool:
        nonlocal entries, size
        if not choice.takes(member.name):
            return False
        place.put(member, _told(pieces, callback))
        entries += 1
        size += member.size
        return True

    with open_place(dest, dest_options, options, memory_limit, naming) as place:
        whole = _read(archive_uri, options, memory_limit, take)
    for doubt in choice.doubts():
        _log.warning("%s: %s", archive_uri, doubt)
    return ArchiveContents(entries, size, whole.skipped)


def _with_client(client: Any, options: dict[str, Any]) -> dict[str, Any]:
    return options if client is None else {**options, "client": client}


def _told(pieces: Iterator[bytes], callback: Any) -> Iterator[bytes]:
    for piece in pieces:
        callback.relative_update(len(piece))
        yield piece


def _read(uri: str, options: Mapping[str, Any], limit: int, take: _Take) -> ArchiveContents:
    check_memory_limit(limit)
    with ArchiveFile(uri, options, limit) as raw:
        try:
            with io.BufferedReader(raw, _PIECE) as file:
                return _read_entries(uri, file, raw.read_beside, take)
        except IntegrityError as error:
            if raw.failed is None:
                raise
            raise raw.failed from error


def _read_entries(uri: str, file: Any, beside: ReadBeside, take: _Take) -> ArchiveContents:
    format = format_of(file.read(HEAD))
    if format is None:
        raise IntegrityError(f"{uri} is neither a zip nor a tar: expected an archive")
    audit = Audit(uri, foretold=format == "zip")
    names = Names()
    file.seek(0)
    for member, data in members(file, format, uri, beside):
        if is_piece(member.name):
            audit.read_piece(member.name, _piece_of_manifest(uri, member, data))
            continue
        said = audit.expect(member.name, member.size)
        if said is not None:
            # A zip has no other place for them.
            member = replace(member, content_type=said.content_type, metadata=said.metadata)  # noqa: PLW2901 - the same, with all that is told of it
        _add(names, uri, member.name)
        pieces = _Pieces(uri, member, data, audit)
        taken = take(member, iter(pieces))
        audit.saw(member.name, member.size, pieces.sha256 if taken else None)
    return audit.finish()


def _add(names: Names, uri: str, name: str) -> None:
    try:
        names.add(name)
    except UsageError as error:
        raise IntegrityError(
            f"{uri}: the entry {name!r} is refused: there was one of that name before it, or one"
            " that would have to be its folder"
        ) from error


class _Pieces:
    """The bytes of an entry, piece by piece; counted, and with their checksum.

    Whoever takes them all is told at their end, by an `IntegrityError`, when they are not what was
    archived, as far as that is known by then.
    """

    def __init__(self, archive: str, member: Member, data: Data, audit: Audit) -> None:
        self._archive = archive
        self._member = member
        self._data = data
        self._audit = audit
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        name, promised = self._member.name, self._member.size
        size = 0
        while piece := self._data.read(_PIECE):
            self._digest.update(piece)
            size += len(piece)
            if size > promised:
                break
            yield piece
        if size != promised:
            raise IntegrityError(
                f"{self._archive}: {name!r} has {size:,} bytes where {promised:,} are promised"
            )
        self._audit.compare(name, size, self.sha256)


def _piece_of_manifest(uri: str, member: Member, data: Data) -> bytes:
    piece = data.read(MAX_PIECE + 1)
    if len(piece) > MAX_PIECE:
        raise IntegrityError(f"{uri}: {member.name!r} is too long for a piece of a manifest")
    return piece
