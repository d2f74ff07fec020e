"""The bytes of one PATCH, on their way into the library's own resumable writer.

Holds the upload from `begin` to `close`. Every method blocks: none is for the loop's thread. Must
not know HTTP beyond the answers that the protocol owes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ..errors import IntegrityError, NotFoundError, S3StreamError
from ..resuming import kept_writer
from ..state import UploadResult
from ..writer import S3Writer
from .ledger import Ledger
from .protocol import CHECKSUM_MISMATCH, Patch, Refused, conflict, fits
from .record import Kind, Record, Status
from .shelf import Held, Shelf
from .standing import is_gone, offset_of, options_for, published


class Writing:
    """One PATCH of the upload of that name. Not for two threads at once.

    `expiry` tells until when an upload counts that was written to just now. `left` is the most that
    it may still bring; `finished_here` whether the object was published by it.
    """

    def __init__(
        self,
        shelf: Shelf,
        name: str,
        patch: Patch,
        max_size: int,
        expiry: Callable[[], float | None],
    ) -> None:
        self._shelf = shelf
        self._name = name
        self._patch = patch
        self._max_size = max_size
        self._expiry = expiry
        self._stack = ExitStack()
        self._writer: S3Writer | None = None
        self.left = 0
        self._length: int | None = None
        checksum = patch.checksum
        self._digest: Any = None if checksum is None else hashlib.new(checksum.algorithm)
        self.finished_here = False

    def begin(self) -> None:
        """Take hold of the upload, and open it where it stands. Raises `Refused`, `LockedError`."""
        held = self._held = self._stack.enter_context(self._shelf.held(self._name))
        refuse_if_over(held.record, time.time())
        if held.record.kind is Kind.FINAL:
            raise Refused(403, "the upload is made of others, and takes no bytes")
        self.left = fits(self._patch, held.record.length, self._max_size)
        self._length = held.record.length
        if self._patch.length is not None:
            self._length = self._patch.length
        self._ledger = Ledger(self._shelf, held, tentative=self._digest is not None)
        if held.record.status is Status.FINISHED:
            self._agree_on(held.record.offset)
            return
        if self._patch.offset != held.record.offset:
            try:
                self._agree_on(offset_of(self._shelf, held.record))
            except NotFoundError as error:
                if not is_gone(error):
                    raise
                # Published perhaps, and nobody has heard of it: opening it tells.
        self._open()
        if self._digest is None and not self.finished_here:
            self._ledger.accept(self._length, self._expiry)

    def write(self, data: bytes) -> None:
        """Take some bytes, at most as many as are `left`; waits while the store is slower."""
        if self._digest is not None:
            self._digest.update(data)
        assert self._writer is not None  # noqa: S101 - a finished upload has nothing left
        self._writer.write(data)
        self.left -= len(data)

    def end(self) -> None:
        """All has come: keep it, and publish the object if that was all of it.

        Raises `Refused` (460) when it is not what its checksum says; then nothing of it is kept.
        """
        checksum = self._patch.checksum
        if checksum is not None and self._digest.digest() != checksum.digest:
            raise Refused(CHECKSUM_MISMATCH, "the bytes do not have the checksum that was said")
        if self._writer is None:
            return
        if checksum is not None:
            self._ledger.accept(self._length, self._expiry)
        if self._writer.tell() == self._length:
            self._write_down(self._committed())
            return
        self._suspend()

    def break_off(self) -> None:
        """No more will come: keep what has come, unless it can be kept only with all the rest."""
        if self._writer is not None and self._digest is None:
            self._suspend()

    def close(self, error: BaseException | None = None) -> None:
        """Let go of the upload, of which the store has what it has; `error` is why, if it failed.

        What the clean-up after it has found to be wrong is attached to it.
        """
        try:
            if self._writer is not None:
                self._writer._discard_because_of(error or Refused(499, "broken off"))
                self._writer = None
        finally:
            self._stack.close()

    @property
    def record(self) -> Record:
        """The upload as it was written down last."""
        return self._held.record

    @property
    def held(self) -> Held:
        """The same, for who is to remove it."""
        return self._held

    def _agree_on(self, offset: int) -> None:
        if offset != self._patch.offset:
            raise conflict(offset)

    def _open(self) -> None:
        record = self._held.record
        fs, bucket = self._shelf.fs, self._shelf.bucket
        if record.whole is not None and (found := published(self._shelf, record)) is not None:
            self._finish(found)
            return
        options = options_for(self._shelf, record)
        try:
            self._writer = kept_writer(
                fs, bucket, record.key, options, self._ledger, record.checkpoint
            )
        except (NotFoundError, IntegrityError) as error:
            self._explain(error)
        assert self._writer is not None  # noqa: S101 - or that has raised
        if is_published(self._writer):
            self._finish(self._committed())
            return
        self._agree_on(self._writer.tell())

    def _explain(self, error: S3StreamError) -> None:
        """Say what it means that something is gone that had been kept."""
        if error.checkpoint is not None:
            # Only its tail: the rest stands, and the client is told from where to go on.
            self._shelf.write(self._held, replace(self.record, checkpoint=error.checkpoint))
            raise conflict(error.checkpoint.offset) from error
        if is_gone(error):
            raise Refused(410, "what was uploaded is gone from the store; begin anew") from error
        raise error

    def _finish(self, found: UploadResult) -> None:
        """Write down the end of what turned out to be published."""
        self._write_down(found)
        self._agree_on(self.record.offset)
        self.left = 0

    def _committed(self) -> UploadResult:
        assert self._writer is not None  # noqa: S101 - the callers have looked
        result = self._writer.commit()
        self._writer = None
        return result

    def _write_down(self, result: UploadResult) -> None:
        self._ledger.finish(result)
        self.finished_here = True

    def _suspend(self) -> None:
        assert self._writer is not None  # noqa: S101 - the callers have looked
        self._writer.suspend()
        self._writer = None
        self._ledger.settle()


def refuse_if_over(record: Record, now: float) -> None:
    """Raise `Refused` (410) for an upload whose time has run out."""
    if record.is_expired(now):
        raise Refused(410, "the upload has expired")


def is_published(writer: S3Writer) -> bool:
    """Whether what was taken up turned out to be published already."""
    return writer._transfer.result is not None
