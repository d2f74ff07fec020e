"""Files that go on where an upload was put down: `resume`, and what `open(checkpoint=)` opens.

Only brings together what is known of an upload, its lock, and a writer; decides nothing about it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from .beside import Tails
from .checkpoint import CHECKPOINTED, Checkpoint
from .errors import IntegrityError, NotFoundError, S3StreamError, UsageError, offer
from .files import S3BufferedWriter, wrap
from .fs import S3StreamFileSystem, take_connection
from .guard import Keeping
from .journal import Journal
from .keeping import Keeper, look
from .lock import Lock, lock_of
from .options import WriteOptions
from .state import UploadResult
from .writer import S3Writer


def resume(
    checkpoint: Checkpoint,
    *,
    buffering: int = -1,
    lock: Lock = "store",
    callback: Any = None,
    client: Any = None,
    **options: Any,
) -> S3BufferedWriter:
    """Open the file again that `suspend()` has put down: `tell()` is the offset to go on from.

    The store is asked what it has, and only that counts. `options` are those of `s3stream.open`:
    the connection's, and S3's parameters that are secrets (SSE-C), which no checkpoint holds; those
    by which the parts were cut come from the checkpoint. From here on only `discard()` discards:
    after an exception the checkpoint still holds. `callback` is that of `s3stream.open`, and is
    told first what is there.

    While it is open nobody else can resume it: `lock="store"` locks it on the store, waiting for
    the lease of an owner who may have died (at most ten minutes, or our own `lease`); any context
    manager can stand for it; None locks nothing. Raises `LockedError`; `NotFoundError` when the
    upload is gone, or its tail (the error's `checkpoint` goes on without it then); `UsageError` for
    an option that belongs to the upload and is another there, or a store that has no locks.
    """
    if not isinstance(checkpoint, Checkpoint):
        raise UsageError(
            f"checkpoint={type(checkpoint).__name__}: expected a Checkpoint; Checkpoint.from_json()"
            " reads one"
        )
    fs = S3StreamFileSystem(**take_connection(client, options))
    bucket, key = checkpoint.bucket, checkpoint.key
    raw = open_kept(fs, bucket, key, options, lock, callback, checkpoint=checkpoint)
    return wrap(raw, text=False, buffering=buffering)  # type: ignore[return-value]  # the raw one is asked for by buffering=0


def open_kept(
    fs: S3StreamFileSystem,
    bucket: str,
    key: str,
    chosen: dict[str, Any],
    lock: Lock,
    callback: Any,
    *,
    checkpoint: Checkpoint | None = None,
    journal: Journal | None = None,
) -> S3Writer:
    """A writer whose upload outlives it; taken up from a checkpoint, or the one in a journal."""
    options = fs._write_options(chosen)
    held = lock_of(fs.client, bucket, key, options, lock)
    tails = Tails(fs.client, bucket, key, options)
    if journal is not None:
        tails.refuse_a_key_too_long()
    keeper = Keeper(journal, held, tails)
    keeper.hold()
    try:
        if journal is not None:
            checkpoint = journal.read()
            journal.refuse_if_unwritable()
        if checkpoint is None:
            return fs._make_writer(bucket, key, options, keeper=keeper, callback=callback)
        options = _continued(checkpoint, options, chosen, (bucket, key))
        return _taken_up(fs, checkpoint, options, keeper, callback)
    except BaseException:
        keeper.let_go()
        raise


def kept_writer(
    fs: S3StreamFileSystem,
    bucket: str,
    key: str,
    options: WriteOptions,
    keeper: Keeping,
    checkpoint: Checkpoint | None,
) -> S3Writer:
    """A writer for who keeps its upload in a way of its own, and holds it while that is open.

    Goes on from a checkpoint, as `resume` does and with the same errors, or begins.
    """
    if checkpoint is None:
        return fs._make_writer(bucket, key, options, keeper=keeper)
    return _taken_up(fs, checkpoint, replace(options, **checkpoint.options), keeper, None)


def _taken_up(
    fs: S3StreamFileSystem,
    checkpoint: Checkpoint,
    options: WriteOptions,
    keeper: Keeping,
    callback: Any,
) -> S3Writer:
    bucket, key = checkpoint.bucket, checkpoint.key
    keeper.take_up(checkpoint)
    seen = look(fs.client, checkpoint, options)
    # Where nothing is left of it the writer's id is: what it has published without hearing of it
    # can be known by that.
    start = checkpoint if isinstance(seen, UploadResult) else seen
    raw = fs._make_writer(bucket, key, options, keeper=keeper, callback=callback, start=start)
    if isinstance(seen, UploadResult):
        raw._transfer.found(seen)
        return raw
    if seen.tail is not None and seen.offset > raw.tell():
        try:
            begun = raw.tell() - seen.tail.offset  # so much of it has become a part
            for piece in Tails(fs.client, bucket, key, options).read(seen.tail):
                raw.write(memoryview(piece)[begun:])
                begun = max(0, begun - len(piece))
        except BaseException as error:
            raw._discard_because_of(error)
            if isinstance(error, (NotFoundError, IntegrityError)):
                _offer_the_parts(error, replace(seen, tail=None))
            raise
    return raw


def _offer_the_parts(error: S3StreamError, parts: Checkpoint) -> None:
    offer(
        error,
        parts,
        f"the parts up to byte {parts.offset:,} are fine, and only the tail behind them is lost:"
        " s3stream.resume() goes on from there with this error's .checkpoint, and so does"
        " open(checkpoint=) when its to_json() is written to that file",
    )


def _continued(
    checkpoint: Checkpoint, options: WriteOptions, chosen: dict[str, Any], where: tuple[str, str]
) -> WriteOptions:
    """The options for going on: the upload's own from the checkpoint, all others as chosen."""
    there = (checkpoint.bucket, checkpoint.key)
    if there != where:
        raise UsageError(
            f"the checkpoint is of s3://{'/'.join(there)}, not of s3://{'/'.join(where)}"
        )
    if checkpoint.source is not None:
        raise UsageError("the checkpoint is that of a local file: upload_file() goes on with it")
    for name in CHECKPOINTED:
        if name in chosen and chosen[name] != checkpoint.options[name]:
            raise UsageError(
                f"{name}={chosen[name]!r}: the upload was begun with {checkpoint.options[name]!r},"
                " and goes on with it; leave it out"
            )
    return replace(options, **checkpoint.options)


def journal_at(path: Any) -> Journal:
    """The journal that `open(checkpoint=path)` names."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise UsageError(f"checkpoint={path!r}: expected the path of a file")
    return Journal(path)
