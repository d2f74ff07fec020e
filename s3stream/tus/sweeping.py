"""Removes uploads: one that its client gives up, and all whose time has run out.

Any process can do it, beside servers at work: what is held is left for another time. Blocks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import LockedError, NotFoundError, S3StreamError
from .protocol import Refused
from .record import Kind, Status
from .shelf import Entry, Held, Shelf
from .standing import published, target_of

# A lock without a record: of a process that was killed between the removal of both.
_STALE_LOCK = timedelta(days=1)

_log = logging.getLogger("s3stream")


@dataclass(frozen=True)
class Swept:
    """What a sweep has come to, in uploads: `failed` could not be removed, and will be tried again.

    `kept` are those whose time has not run out, and those that a request is about.
    """

    removed: int
    kept: int
    failed: int

    def __str__(self) -> str:
        return f"{self.removed} removed, {self.kept} kept, {self.failed} failed"


def sweep(
    shelf: Shelf,
    now: datetime,
    lifetime: timedelta | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Swept:
    """Remove all that has expired; ends early, between two uploads, when `stop` says so.

    An unfinished upload goes with all that it has at the store, and so do those that were there
    only to be joined; of a finished one only the record, and the object stays. Records that were
    written less than a `lifetime` ago are not read. What cannot be removed holds up nothing else.
    Raises the store's error when it does not list them.
    """
    removed = kept = failed = 0
    for entry in shelf.entries():
        if stop():
            break
        try:
            gone = _swept(shelf, entry, now, lifetime)
        except S3StreamError as error:
            _log.warning("an expired upload could not be removed: %s", error)
            failed += 1
        else:
            removed += gone
            kept += not gone
    return Swept(removed, kept, failed)


def _swept(shelf: Shelf, entry: Entry, now: datetime, lifetime: timedelta | None) -> bool:
    if entry.written is None:
        if entry.locked is not None and now - entry.locked > _STALE_LOCK:
            shelf.remove_lock(entry.name)
        return False
    if lifetime is not None and now - entry.written < lifetime:
        return False
    try:
        if not shelf.read(entry.name).record.is_expired(now.timestamp()):
            return False
        with shelf.held(entry.name) as held:
            # Somebody may have written to it since.
            if not held.record.is_expired(now.timestamp()):
                return False
            remove(shelf, held, with_object=held.record.kind is Kind.PARTIAL)
    except (LockedError, Refused):
        return False  # a request is about it, or it is gone
    return True


def remove(shelf: Shelf, held: Held, *, with_object: bool) -> None:
    """Remove an upload that is held: what it has at the store, and then its record.

    `with_object`: the finished object too, unless another has taken its place. Raises the store's
    error when something could not be removed; the record is there then, to try again.
    """
    record = held.record
    if record.status is Status.FINISHED:
        if with_object:
            _remove_object(shelf, record.key, record.etag or "")
    elif (found := published(shelf, record)) is not None:
        if with_object:
            _remove_object(shelf, record.key, found.etag)
    elif record.upload_id is not None:
        target_of(shelf, record).abort(record.upload_id)
    # Of a finished one, too: the store may not have removed them at the end.
    shelf.remove_tails(held.name)
    shelf.remove(held)


def _remove_object(shelf: Shelf, key: str, etag: str) -> None:
    objects = shelf.objects()
    with suppress(NotFoundError):
        if objects.head(shelf.bucket, key).etag.strip('"') == etag.strip('"'):
            objects.delete(shelf.bucket, key)
