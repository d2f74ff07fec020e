"""`s3stream.upload_file`: a local file as one object.

Decides whether it goes as a whole, in parts, or on from a checkpoint; sends nothing itself.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from .checkpoint import CHECKPOINTED, Checkpoint
from .errors import UsageError
from .fs import S3StreamFileSystem
from .journal import Journal
from .keeping import Keeper
from .lock import Lock, lock_of
from .multipart import prepared
from .options import WriteOptions
from .plan import plan_parts
from .sending import Sending
from .source import Source
from .state import UploadResult


def upload_file(
    path: str | os.PathLike[str],
    uri: str,
    *,
    callback: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    lock: Lock = "store",
    client: Any = None,
    **options: Any,
) -> UploadResult:
    """Write a local file to `s3://bucket/key`: whole, or not at all.

    Of a file that is larger than one part the parts are sent at once, none of them copied in
    memory. `options` are those of `s3stream.open`, and so is `callback`, which is told the bytes of
    the file, and then of every part that the store has accepted, on the caller's thread.

    `checkpoint` names a local file that is kept up to date while parts are sent, and gone when the
    object is published. When anything fails, or the process is killed, the upload is kept too, and
    the same call goes on with it: of the parts that the store still has, only those are sent again
    that are not what the file holds. Without, what was sent is removed. With it a `lock` is held,
    as by `resume`.

    Raises `S3StreamError` when the file is changed meanwhile; `UsageError` for a checkpoint of
    another object, of other options or of a file that was changed since; `NotFoundError` when its
    upload is gone; `LockedError` when another process is sending it; `UncertainError` when nobody
    can tell whether the object was published; and what opening the file raises.
    """
    fs, bucket, key, chosen = prepared(uri, client, options)
    held = None if checkpoint is None else lock_of(fs.client, bucket, key, chosen, lock)
    keeper = Keeper(None if checkpoint is None else Journal(checkpoint), held)
    with Source(path) as source:
        keeper.hold()
        try:
            noted = None if keeper.journal is None else keeper.journal.read()
            if keeper.journal is not None and noted is not None:
                _refuse_another(keeper.journal, noted, source, bucket, key, options)
                keeper.take_up(noted)
                chosen = replace(chosen, **noted.options)
            elif chosen.size_hint is None and not (chosen.equal_parts and "part_size" in options):
                chosen = fs._write_options({**options, "size_hint": source.size})
            cuts = plan_parts(chosen).cut(source.size, chosen.reserve)
            if noted is None and len(cuts) < 2:
                return _write_whole(fs, f"{bucket}/{key}", source, keeper, callback, options)
            if noted is None:
                noted = _first(bucket, key, chosen, source)
            return Sending(fs, noted, chosen, source, cuts, keeper, callback).run()
        finally:
            keeper.let_go()


def _write_whole(
    fs: S3StreamFileSystem,
    name: str,
    source: Source,
    keeper: Keeper,
    callback: Any,
    options: dict[str, Any],
) -> UploadResult:
    options = {**options, "callback": callback, "size_hint": source.size}
    with fs.open(name, "wb", buffering=0, **options) as file:
        for piece in source.pieces():
            file.write(piece)
        keeper.allow()
        # Whatever transaction somebody has begun on this file system, and whatever `publish` says.
        result: UploadResult = file.commit()
        return result


def _first(bucket: str, key: str, options: WriteOptions, source: Source) -> Checkpoint:
    belonging = {name: getattr(options, name) for name in CHECKPOINTED}
    return Checkpoint(bucket, key, None, None, belonging, (), source=source.mark)


def _refuse_another(
    journal: Journal,
    noted: Checkpoint,
    source: Source,
    bucket: str,
    key: str,
    options: dict[str, Any],
) -> None:
    """Raise `UsageError` unless this checkpoint is of just this upload."""
    problem = None
    if (noted.bucket, noted.key) != (bucket, key):
        problem = f"is of s3://{noted.bucket}/{noted.key}, not of s3://{bucket}/{key}"
    elif noted.source is None or noted.tail is not None:
        problem = "is of a stream that somebody has written, not of a local file"
    elif noted.source != source.mark:
        (size, at), (size_now, now) = noted.source, source.mark
        problem = (
            f"is of {source.path} as it was before it was changed: with {size:,} bytes, last"
            f" changed at {at:,} ns; now it has {size_now:,} bytes, changed at {now:,} ns"
        )
    for name in CHECKPOINTED:
        if problem is None and name in options and options[name] != noted.options[name]:
            problem = f"is of an upload with {name}={noted.options[name]!r}, not {options[name]!r}"
    if problem is not None:
        raise UsageError(
            f"the checkpoint {journal.path} {problem}; to begin again, delete it (what its upload"
            " has sent stays at the store until s3stream.abort_uploads() removes it)",
            bucket=bucket,
            key=key,
            upload_id=noted.upload_id,
        )
