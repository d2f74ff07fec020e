"""Keeps the upload behind an open file by its record at the store, as a checkpoint does by a file.

The library's writer tells it of every part. Must not know requests.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import replace

from ..checkpoint import Checkpoint
from ..checksums import ALGORITHMS
from ..errors import S3StreamError
from ..parts import Buffer
from ..state import UploadResult
from ..store import crc_of
from .record import Record, Status, Whole
from .shelf import Held, Shelf

_FINISHING_ATTEMPTS = 2

_log = logging.getLogger("s3stream")


class Ledger:
    """The record of an upload that is held, kept up to date while it is written.

    With `tentative`, nothing of what is written counts until `accept()`: only the multipart upload
    itself is noted, so that it can be found and removed.
    """

    def __init__(self, shelf: Shelf, held: Held, *, tentative: bool = False) -> None:
        self._shelf = shelf
        self._held = held
        self.tails = shelf.tails(held.name)
        self._tentative = tentative
        self._length = held.record.length
        # When an upload counts until that is written to now; as it was, until that is accepted.
        self._expiry: Callable[[], float | None] = lambda: held.record.expires
        self._is_settled = True
        self._waiting: Checkpoint | None = None

    @property
    def record(self) -> Record:
        """As it stands at the store."""
        return self._held.record

    def accept(self, length: int | None, expiry: Callable[[], float | None]) -> None:
        """From here on what is written counts; so do a length that was said, and a new expiry.

        `expiry` is asked at every write: a request may take longer than an upload counts.
        """
        self._tentative = False
        self._length, self._expiry = length, expiry
        self._is_settled = False
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self.keep(waiting)

    def settle(self) -> None:
        """Write down what was accepted, if no part has brought that about."""
        if not self._is_settled:
            self._write(self.record.checkpoint, self.record.whole)

    def finish(self, result: UploadResult) -> None:
        """Write down that the object is there.

        Tried once more when it fails, for nobody hears of the object before it is said here.
        """
        finished = replace(
            self.record,
            length=result.size,
            expires=self._expiry(),
            status=Status.FINISHED,
            checkpoint=None,
            whole=None,
            etag=result.etag,
            version_id=result.version_id,
        )
        for attempt in range(1, _FINISHING_ATTEMPTS + 1):
            try:
                self._shelf.write(self._held, finished)
            except S3StreamError:  # noqa: PERF203 - it costs nothing since Python 3.11
                if attempt == _FINISHING_ATTEMPTS:
                    raise
            else:
                return

    # -- what a writer wants of who keeps its upload

    def take_up(self, checkpoint: Checkpoint) -> None:
        """It is the one of the record."""

    def renew(self) -> None:
        """Raise `LockedError` when another has taken it over, as far as we have heard."""
        if self._held.lock is not None:
            self._held.lock.renew()

    def allow(self) -> None:
        """Raise `LockedError` when another has taken it over; asks the store."""
        if self._held.lock is not None:
            self._held.lock.renew(surely=True)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write down how far it has come."""
        if checkpoint.upload_id is None:
            return  # nothing has begun
        if self._tentative:
            self._waiting = checkpoint
            if checkpoint.upload_id != self.record.upload_id:
                begun = replace(checkpoint, parts=(), tail=None)
                self._shelf.write(self._held, replace(self.record, checkpoint=begun, whole=None))
            return
        self._write(checkpoint)

    def announce(self, checkpoint: Checkpoint, body: Buffer) -> None:
        """Write down by what the object is known that is about to be written in one call.

        Or nobody would know of it, should the end not be written down.
        """
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        name = checkpoint.options["checksum"]
        crc = None if name is None else crc_of(ALGORITHMS[name], body)
        self._write(checkpoint, Whole(len(body), etag, crc))

    def _write(self, checkpoint: Checkpoint | None, whole: Whole | None = None) -> None:
        record = replace(
            self.record,
            checkpoint=checkpoint,
            whole=whole,
            length=self._length,
            expires=self._expiry(),
        )
        self._shelf.write(self._held, record)
        self._is_settled = True

    def forget(self) -> None:
        """Nothing has begun: the record says so already."""

    def is_noted(self) -> bool:
        """Whether anybody could find the multipart upload again."""
        return self.record.upload_id is not None

    def let_go(self, seconds: float | None = None) -> None:
        """Others may take it up when the request has ended, which holds it."""

    def clear(self) -> None:
        """Remove the tails of an upload that has ended."""
        if self.record.upload_id is None:
            return  # it never had any
        try:
            self._shelf.remove_tails(self._held.name)
        except S3StreamError as error:
            # The object is there: an error here must not say that it is not.
            _log.warning("a tail is left: %s", error)
