"""Where the records of uploads lie at the store, and how one is read, written and locked.

A record is written where there is none, and replaced only over the one that was read: of several
servers that think an upload theirs, one can write. Must not know what stands in a request.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ..beside import Tails
from ..errors import LockedError, S3StreamError
from ..fs import S3StreamFileSystem
from ..lock import StoreLock
from ..options import WriteOptions
from ..store import LockObject, Objects
from .describing import FOLDER
from .protocol import Refused
from .record import Record, name_of

_RECORD = "record"
_LOCK = "lock"
# For the lock of who is just about to end: a client that goes on at once need not ask again.
_PATIENCE_SECONDS = 1.0

_log = logging.getLogger("s3stream")


@dataclass
class Held:
    """A record as it was read or written last, by its name; `etag` is what it may be replaced by.

    `lock` is what keeps others off, None where only this process is asked.
    """

    name: str
    record: Record
    etag: str
    lock: StoreLock | None = None


@dataclass(frozen=True)
class Entry:
    """What a listing tells of one upload: when its record was last written, None without one."""

    name: str
    written: datetime | None
    locked: datetime | None


class Shelf:
    """The records of a bucket below a prefix. `with_locks` is False where one process serves all.

    `options` are the library's, for the objects; what of them is for objects beside them counts.
    """

    def __init__(
        self,
        fs: S3StreamFileSystem,
        bucket: str,
        prefix: str,
        options: WriteOptions,
        *,
        with_locks: bool,
    ) -> None:
        self.fs = fs
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self._with_locks = with_locks
        self._below = f"{prefix}{FOLDER}/"
        # Of this process: asked first, because it costs nothing.
        self._at_work: set[str] = set()
        self._changed = threading.Condition()

    def key_of_part(self, name: str) -> str:
        """The key of an object that is there only to be joined with others."""
        return f"{self._below}parts/{name}"

    def tails(self, name: str) -> Tails:
        """Where bytes of an upload lie that make no part yet: not among finished objects."""
        return Tails(self.fs.client, self.bucket, self._of_tails(name), self.options)

    def remove_tails(self, name: str) -> None:
        """Remove all tails of an upload, of whatever multipart uploads it has had at the store."""
        objects = self.objects()
        for version in objects.list(self.bucket, self._of_tails(name))[0]:
            objects.delete(self.bucket, version.key)

    def objects(self) -> Objects:
        """The calls about objects that lie here."""
        return Objects(self.fs.client, self.options.s3_additional_kwargs)

    def create(self, upload_id: str, record: Record) -> Held:
        """Put down the record of a new upload."""
        name = name_of(upload_id)
        there = self._object(name)
        content = record.to_json().encode()
        etag = there.create(content)
        if etag is None:
            claim = there.look()
            if claim is None or claim.content != content:
                raise LockedError("there is an upload of this id", bucket=self.bucket, key=name)
            etag = claim.etag  # the answer to our own was lost
        return Held(name, record, etag)

    def read(self, name: str) -> Held:
        """Read the record of that name. Raises `Refused` (404) when there is none."""
        claim = self._object(name).look()
        if claim is None:
            raise Refused(404, "there is no such upload")
        return Held(name, Record.from_json(claim.content.decode(errors="replace")), claim.etag)

    def write(self, held: Held, record: Record) -> None:
        """Put another record in the place of the one that is held.

        Raises `LockedError` when that is not there any more: somebody else has it by now.
        """
        record = replace(record, turn=held.record.turn + 1)  # or the ETag might stay the same
        content = record.to_json().encode()
        there = self._object(held.name)
        etag = there.replace(content, held.etag)
        if etag is None:
            claim = there.look()
            if claim is None or claim.content != content:
                raise LockedError(
                    "another server has written this upload's record", **self._where(held)
                )
            etag = claim.etag  # the answer to our own was lost
        held.record, held.etag = record, etag

    def remove(self, held: Held) -> None:
        """Remove a record; its upload has ended."""
        self._object(held.name).remove()

    @contextmanager
    def held(self, name: str) -> Iterator[Held]:
        """Hold an upload: nobody else, here or in another process, works on it meanwhile.

        Raises `LockedError` when somebody does, `Refused` (404) when there is no such upload.
        """
        with self._here(name):
            if not self._with_locks:
                yield self.read(name)
                return
            # Before there is a lock: else who asks for what is not there would leave one.
            self.read(name)
            lock = self._taken(name)
            try:
                held = self.read(name)
                held.lock = lock
                yield held
            finally:
                self._release(lock)

    def check(self) -> None:
        """See that a server could work here: raises what would keep it from that.

        `NotFoundError` without the bucket, `AccessDeniedError`, `UsageError` without locks.
        """
        self.objects().list(self.bucket, self._below, at_most=1)
        if self._with_locks:
            self._release(self._taken(f"check-{uuid.uuid4().hex}"))

    def entries(self) -> list[Entry]:
        """All uploads that there is something of."""
        below = self.objects().list(self.bucket, f"{self._below}uploads/")[0]
        found: dict[str, dict[str, datetime]] = {}
        for version in below:
            name, _, what = version.key.rpartition("/")[2].partition(".")
            found.setdefault(name, {})[what] = version.modified
        return [Entry(name, at.get(_RECORD), at.get(_LOCK)) for name, at in found.items()]

    def remove_lock(self, name: str) -> None:
        """Remove the lock of an upload that is no more."""
        self.objects().delete(self.bucket, self._key(name, _LOCK))

    @contextmanager
    def _here(self, name: str) -> Iterator[None]:
        with self._changed:
            if not self._changed.wait_for(lambda: name not in self._at_work, _PATIENCE_SECONDS):
                raise LockedError(
                    "another request to this server is about this upload",
                    bucket=self.bucket,
                    key=name,
                )
            self._at_work.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._at_work.discard(name)
                self._changed.notify_all()

    def _taken(self, name: str) -> StoreLock:
        lock = StoreLock(
            self.fs.client,
            self.bucket,
            self._key(name, _LOCK),
            self.options.lease,
            self.options.s3_additional_kwargs,
            _PATIENCE_SECONDS,
        )
        return lock.__enter__()

    def _release(self, lock: StoreLock) -> None:
        try:
            lock.__exit__()
        except S3StreamError as error:
            # What was done under it is done; it runs out by itself.
            _log.warning("the lock of an upload is left: %s", error)

    def _object(self, name: str) -> LockObject:
        given = self.options.s3_additional_kwargs
        return LockObject(
            self.fs.client, self.bucket, self._key(name, _RECORD), given, what="record"
        )

    def _key(self, name: str, what: str) -> str:
        return f"{self._below}uploads/{name}.{what}"

    def _of_tails(self, name: str) -> str:
        return f"{self._below}tails/{name}"

    def _where(self, held: Held) -> dict[str, Any]:
        return {"bucket": self.bucket, "key": held.record.key}
