"""`s3stream.archive`: what sources list becomes one archive at an S3 store, while it is read.

Puts sources, reading ahead, packer and the library's own writer together. Nothing is held whole:
what the writer does not take makes the reading wait.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from fsspec.callbacks import DEFAULT_CALLBACK

from ..ahead import Ahead
from ..errors import NotFoundError, PreconditionError, S3StreamError, UsageError, add_note
from ..files import S3BufferedWriter
from ..fs import S3StreamFileSystem, take_connection
from ..inventory import ArchiveContents, Entry, Ledger
from ..naming import Names
from ..opening import open
from ..options import MiB
from ..state import UploadResult
from ..store import CONNECTION_OPTIONS, endpoint_of
from ..uri import split_uri
from ..waiting import Cancellation
from .choosing import Choice, check_memory_limit
from .formats import choose_compression, choose_format
from .packing import Packer, Spout, import_zstandard, pack
from .sources import Found, Piece, Source, open_source

_log = logging.getLogger("s3stream")

Changed = Literal["error", "skip"]


@dataclass(frozen=True)
class ArchiveResult:
    """A published archive: `upload`, the object that it is, and its `contents`."""

    upload: UploadResult
    contents: ArchiveContents


def archive(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    dest: str,
    *,
    format: str | None = None,
    compression: str | None = None,
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    since: datetime | None = None,
    changed: Changed = "error",
    memory_limit: int = 64 * MiB,
    source_options: Mapping[str, Any] | None = None,
    callback: Any = DEFAULT_CALLBACK,
    client: Any = None,
    **options: Any,
) -> ArchiveResult:
    """Write what lies at `sources` into one archive at `dest`, whole or not at all.

    A source is a bucket or a prefix (`s3://bucket/prefix/`), an object, or any path or URL that
    fsspec knows. Entries are named by what stands behind the prefix; of several sources each has a
    folder of its name. They come in the order of the listing, read ahead by several requests at
    once, and a manifest with their SHA-256 after them, in `.s3stream-manifest/`.

    `format` is `zip`, `tar`, `tar.gz` or `tar.zst`, by the name of `dest` where it is None. A zip's
    entries are `compression="deflated"`, or `"stored"`. `include` and `exclude` are globs of the
    names below a source, in which `*` stands for slashes too; `since` leaves out what was last
    written before. Globs that match nothing are warned of.

    An object that is not what was listed any more is an error; with `changed="skip"` it is passed
    over, logged and recorded in the manifest, unless some of it is in the archive already.

    Neither an object nor the archive is ever held whole, in memory or on disk: `memory_limit` bytes
    at most wait between reading and writing, and count with `limit_memory`; the writer has its own
    `memory`. An entry costs some 40 bytes besides, and a zip's 600 more.

    `options` are those of `s3stream.open` for `dest`. `source_options` are the storage options of
    the sources; where None, S3 is reached as for `dest`. `callback` is one of fsspec's and is told
    the bytes that were read.

    Raises `NotFoundError` when a source has nothing, `PreconditionError` or `NotFoundError` when an
    object has changed or vanished, `UsageError` for names that no file system could have beside
    each other, and what reading and writing raise. Nothing is published then.
    """
    bucket, key = split_uri(dest)
    chosen = choose_format(key, format)
    how = choose_compression(chosen, compression)
    if chosen == "tar.zst":
        import_zstandard()
    choice = Choice(include, exclude, since)
    check_memory_limit(memory_limit)
    allowed: object = changed
    if allowed not in ("error", "skip"):
        raise UsageError(f"changed={changed!r}: expected 'error' or 'skip'")
    for name in ("checkpoint", "lock"):
        if name in options:
            raise UsageError(f"{name}=: an archive cannot be taken up again, only made anew")
    uris = _uris(sources)
    if client is not None:
        options["client"] = client
    connection = {n: v for n, v in options.items() if n in {*CONNECTION_OPTIONS, "client"}}
    cancellation = Cancellation("the archive was given up")
    given = dict(source_options) if source_options is not None else None
    opened = [
        open_source(
            uri,
            _options_for(uri, given, connection),
            nested=len(uris) > 1,
            cancellation=cancellation,
        )
        for uri in uris
    ]
    wanted = _Wanted(opened, choice, _endpoint(connection), bucket, key)
    with open(dest, "wb", **options) as target:
        ahead: Ahead[Found, Piece] = Ahead(
            iter(wanted),
            lambda found: found.entry.size,
            lambda found, start, end: found.source.read(found.entry, start, end),
            limit=memory_limit,
            name=f"s3stream archive {bucket}/{key}",
            at_once=min(source.connections for source in opened),
            pace=opened[0].pace,
            cancellation=cancellation,
        )
        with closing(ahead):
            contents = _fill(target, chosen, how, ahead, changed, callback)
        for doubt in choice.doubts():
            _log.warning("%s: %s", dest, doubt)
        return ArchiveResult(target.commit(), contents)


def _uris(sources: Any) -> list[str]:
    given = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    if not isinstance(given, Iterable):
        raise UsageError(
            f"sources={sources!r}: expected a URI such as s3://bucket/prefix/, or some"
        )
    uris = []
    for source in given:
        uri = os.fspath(source) if isinstance(source, (str, os.PathLike)) else source
        if not isinstance(uri, str) or not uri:
            raise UsageError(f"source {source!r}: expected a URI such as s3://bucket/prefix/")
        uris.append(uri)
    if not uris:
        raise UsageError("sources=[]: there is nothing to archive")
    return uris


def _options_for(
    uri: str, given: dict[str, Any] | None, connection: Mapping[str, Any]
) -> Mapping[str, Any]:
    if given is not None:
        return given
    return connection if uri.startswith(("s3://", "s3stream://")) else {}


def _endpoint(connection: Mapping[str, Any]) -> str:
    more = dict(connection)
    made = take_connection(more.pop("client", None), more)
    return endpoint_of(S3StreamFileSystem(**made).client)


class _Wanted:
    """What of the sources is to be archived, in their order; no two of the same name."""

    def __init__(
        self, sources: list[Source], choice: Choice, endpoint: str, bucket: str, key: str
    ) -> None:
        self._sources = sources
        self._choice = choice
        self._names = Names()
        self._dest = (endpoint, bucket, key)

    def __iter__(self) -> Iterator[Found]:
        for source in self._sources:
            for found in source.found():
                if source.is_object(found.entry, *self._dest):
                    continue  # the archive of the last time: it is to be replaced, not to grow
                if not self._choice.takes_entry(found.path, found.entry):
                    continue
                if found.problem is not None:
                    raise UsageError(
                        f"{found.entry.source} cannot be archived: {found.problem}; leave it out"
                        f" with exclude={found.path!r}"
                    )
                self._names.add(found.entry.name)
                yield found
        if self._choice.seen == 0:
            raise NotFoundError("there is nothing to archive but the archive of the last time")


def _fill(
    target: S3BufferedWriter,
    format: str,
    compression: str,
    ahead: Ahead[Found, Piece],
    changed: Changed,
    callback: Any,
) -> ArchiveContents:
    spout = Spout(target)
    packer = pack(spout, format, compression)
    ledger = Ledger()
    try:
        for found, pieces in ahead:
            _pack(packer, ledger, found.entry, pieces, changed, callback)
            if ledger.is_full:
                _put(packer, *ledger.take())
        contents = ledger.contents
        _put(packer, *ledger.finish())
        packer.finish()
    except BaseException as error:
        spout.shut()
        packer.abandon()
        if not isinstance(error, Exception):
            # A Ctrl-C says nothing by itself.
            add_note(error, "nothing was published")
        raise
    return contents


def _pack(
    packer: Packer,
    ledger: Ledger,
    entry: Entry,
    pieces: Iterator[Piece],
    changed: Changed,
    callback: Any,
) -> None:
    piece: Piece | None
    try:
        piece = next(pieces)
    except (NotFoundError, PreconditionError) as error:
        if changed == "error":
            add_note(error, "changed='skip' would pass over it")
            raise
        _log.warning("%s is not in the archive: %s", entry.source, error)
        ledger.skip(entry, str(error))
        return
    entry = replace(
        entry,
        etag=piece.etag or entry.etag,
        content_type=piece.content_type,
        metadata=piece.metadata,
    )
    digest = hashlib.sha256()
    size = 0
    packer.begin(entry)
    while piece is not None:
        if piece.etag is not None and piece.etag != entry.etag:
            # Where the listing has no ETags nothing else shows it.
            raise PreconditionError(f"{entry.source} was replaced while it was read")
        size += len(piece.data)
        digest.update(piece.data)
        packer.write(piece.data)
        callback.relative_update(len(piece.data))
        piece = None  # or it would be held while the next one is waited for
        piece = next(pieces, None)
    packer.end()
    if size != entry.size:
        raise S3StreamError(f"{entry.source} gave {size:,} of its {entry.size:,} bytes")
    ledger.record(entry, digest.hexdigest())


def _put(packer: Packer, name: str, data: bytes) -> None:
    packer.begin(Entry(name, "", len(data)))
    packer.write(data)
    packer.end()
