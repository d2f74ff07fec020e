"""Keeps an upload for the time after its writer: written down, locked, and taken up again.

Decides what of a checkpoint still holds, by what the store says. Must not know files.
"""

from __future__ import annotations

import itertools
import logging
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from .beside import Tails
from .checkpoint import Checkpoint
from .endings import late
from .errors import LockedError, NotFoundError, S3StreamError, UncertainError
from .journal import Journal
from .lock import StoreLock
from .manifest import Listed, is_listed
from .options import WriteOptions
from .parts import Buffer
from .state import UploadResult
from .store import Origin, Target

_log = logging.getLogger("s3stream")


class Keeper:
    """Of one upload: its journal, if it has one, the lock that it is held by, and its tails.

    Once another has taken the lock over, all of that is the other's, and left alone.
    """

    def __init__(
        self,
        journal: Journal | None,
        lock: AbstractContextManager[Any] | None,
        tails: Tails | None = None,
    ) -> None:
        self.journal = journal
        self._lock = lock
        self.tails = tails
        self._lost: LockedError | None = None
        self._upload_id: str | None = None
        self._noted: str | None = None  # the upload that the journal names

    def hold(self) -> None:
        """Take the lock. Raises `LockedError`, or whatever somebody's own lock raises."""
        if self._lock is not None:
            self._lock.__enter__()

    def take_up(self, checkpoint: Checkpoint) -> None:
        """It is that one, which is written down already."""
        self._upload_id = self._noted = checkpoint.upload_id

    def renew(self) -> None:
        """Raise `LockedError` when another has taken it over, as far as we have heard."""
        if isinstance(self._lock, StoreLock):
            self._ours(self._lock.renew)

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write down how far it has come, unless that is another's by now."""
        self._upload_id = checkpoint.upload_id
        if self.journal is not None and self._lost is None:
            self.journal.write(checkpoint)
            self._noted = checkpoint.upload_id

    def announce(self, checkpoint: Checkpoint, body: Buffer) -> None:
        """Nothing is kept of it: who has all its bytes writes a small object again."""

    def forget(self) -> None:
        """Nothing has come of it that could be taken up."""
        if self.journal is not None and self._lost is None:
            self.journal.remove()

    def is_noted(self) -> bool:
        """Whether anybody could find the upload, or it is not ours to say."""
        return self.journal is None or self._lost is not None or self._noted is not None

    def allow(self) -> None:
        """Raise `LockedError` when another has taken the upload over; asks the store."""
        lock = self._lock
        if isinstance(lock, StoreLock):
            self._ours(lambda: lock.renew(surely=True))

    def let_go(self, seconds: float | None = None) -> None:
        """Leave everything for somebody to take up again; waits no longer than so for the store."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        if not isinstance(lock, StoreLock):
            self._unless_it_fails(
                "its lock is left", lambda: lock.__exit__(None, None, None), Exception
            )
            return
        over = late(f"the lock of upload {self._upload_id}")

        def release() -> None:
            try:
                self._unless_it_fails("its lock is left", lambda: lock.__exit__(None, None, None))
            finally:
                over.set()

        # On a thread: a garbage collection may have come in the middle of the connection pool.
        releasing = threading.Thread(target=release, name="s3stream unlock", daemon=True)
        try:
            releasing.start()
        except RuntimeError:
            release()  # at exit, from Python 3.12 on, no thread may start
            return
        releasing.join(seconds)

    def clear(self) -> None:
        """Remove what lies beside an object that is published, or given up for good."""
        upload_id, tails = self._upload_id, self.tails
        if upload_id is not None and tails is not None and self._lost is None:
            self._unless_it_fails("its tail is left", lambda: tails.remove(upload_id))
        if self.journal is not None and self._lost is None:
            self._unless_it_fails("its checkpoint is left", self.journal.remove)
        self.let_go()

    def _ours(self, renew: Callable[[], None]) -> None:
        try:
            renew()
        except LockedError as error:
            self._lost = error
            raise

    def _unless_it_fails(
        self, otherwise: str, action: Any, kind: type[Exception] = S3StreamError
    ) -> None:
        # The upload has come to its end: an error here must not say that it has not.
        try:
            action()
        except kind as error:
            warnings.warn(f"{otherwise}: {error}", RuntimeWarning, stacklevel=4)


def look(client: Any, checkpoint: Checkpoint, options: WriteOptions) -> Checkpoint | UploadResult:
    """What of a checkpoint the store confirms; or the object, if it was published already.

    Only gapless parts count that are listed as they were sent, and the tail behind all of them. An
    upload of which nothing is left but its id is aborted, and begun anew.

    Raises `NotFoundError` when it is gone, `UncertainError` when nobody can tell what became of it.
    """
    upload_id = checkpoint.upload_id
    nothing = replace(checkpoint, upload_id=None, parts=(), tail=None)
    if upload_id is None:
        return nothing
    origin = Origin(checkpoint.writer_id)
    target = Target(client, checkpoint.bucket, checkpoint.key, options, origin=origin)
    try:
        listed = target.list_parts(upload_id).parts
    except NotFoundError as gone:
        result = _published(target, upload_id, checkpoint)
        if result is not None:
            return result
        if not checkpoint.offset:
            return nothing  # it was given up for that, and begun anew
        raise _gone(checkpoint) from gone
    confirmed = confirmed_by(listed, checkpoint)
    if confirmed.offset < checkpoint.offset:
        _log.warning(
            "s3://%s/%s: of %s bytes that were sent the store has %s: going on from there",
            checkpoint.bucket,
            checkpoint.key,
            checkpoint.offset,
            confirmed.offset,
        )
    if not confirmed.offset:
        target.abort(upload_id)
        return nothing
    return confirmed


def confirmed_by(listed: Listed, checkpoint: Checkpoint) -> Checkpoint:
    """What of a checkpoint holds when these are the parts that the store lists."""
    parts = tuple(itertools.takewhile(lambda part: is_listed(part, listed), checkpoint.firm))
    return replace(checkpoint, parts=parts)


def _published(target: Target, upload_id: str, checkpoint: Checkpoint) -> UploadResult | None:
    parts = list(checkpoint.gapless)
    if not parts:
        return None
    try:
        return target.find(upload_id, parts, sum(part.size for part in parts))
    except UncertainError:
        # Where nothing was promised nothing can be lost.
        if not checkpoint.offset:
            return None
        raise


def _gone(checkpoint: Checkpoint) -> NotFoundError:
    return NotFoundError(
        "cannot go on: the upload is gone (aborted, expired, or completed by somebody else), and"
        f" with it {checkpoint.offset:,} bytes; to begin again, do it without its checkpoint",
        bucket=checkpoint.bucket,
        key=checkpoint.key,
        upload_id=checkpoint.upload_id,
    )
