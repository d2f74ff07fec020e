"""How a file that becomes an object comes to its end: published, kept, or discarded, and only once.

By whoever ends it: its user, an exception, the garbage collector, the end of the process. Must not
know how bytes come in, nor what a `close()` is to do.
"""

from __future__ import annotations

import enum
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import getpid
from typing import Any

from . import endings
from .checkpoint import Checkpoint
from .cleanup import COLLECTED, THOROUGH, Patience
from .discarding import Discarding
from .errors import S3StreamError, UsageError
from .guard import Keeping
from .opened import Opened
from .prepared import PreparedUpload
from .state import Phase, UploadResult
from .transfer import Transfer

# Enough for a thread to notice that its write was cancelled, and to discard.
_LOCK_SECONDS = THOROUGH.settle + 1.0

_UNDECIDED = frozenset({Phase.COMMITTING, Phase.UNCERTAIN})


class Door(enum.Enum):
    """Who may still come in: writes and the end; only the end; nobody."""

    OPEN = "open"
    SEALED = "sealed"
    SHUT = "shut"


class Closing(Discarding):
    """For a raw writer to inherit, before the io class that it is."""

    name: str
    mode: str
    # Shut until all is made: a constructor that raises leaves something for the finaliser.
    closed: bool = True
    _door = Door.SHUT

    def _let_in(
        self,
        transfer: Transfer,
        keeper: Keeping | None,
        on_commit: Callable[[UploadResult], None] | None,
        store: str,
    ) -> None:
        """All is made: open from now on, to be ended by whoever comes."""
        self._transfer = transfer
        self._keeper = keeper
        self._on_commit = on_commit
        self._store = store
        self._lock = threading.RLock()
        self._has_face = False  # who wraps us and says the end: io holds a lock while it closes us
        self._opened = Opened()
        self._dropped = False
        self._turn(Door.OPEN)
        endings.watch(self)

    # -- on purpose

    def commit(self) -> UploadResult:
        """Publish the object and close the file, whatever exception is in flight.

        Returns where and what it is. Raises the first error, after cleaning up, when it cannot be
        published; `UncertainError` when nobody can know.
        """
        self._refuse_if_forked()
        with self._alone():
            already = self._transfer.result
            try:
                return self._transfer.commit()
            finally:
                self._shut()
                if self._keeper is not None:
                    self._let_go_or_clear()
                # Whatever else was raised: it may be there all the same.
                result = self._transfer.result
                if already is None and result is not None and self._on_commit is not None:
                    self._on_commit(result)

    def suspend(self) -> Checkpoint:
        """Bring all to the store without publishing it, close the file, and tell how to go on.

        `s3stream.resume(checkpoint)`, anywhere, gives a file that goes on behind the last byte.
        What makes no part (less than `min_part_size`, or than `part_size` with `equal_parts`) is
        kept as an object beside. Raises the first error; what the store has is kept then too, and
        the error's `checkpoint` goes on from there. `UsageError` for one of mode `ab`, whose object
        may be another when it is taken up.
        """
        self._refuse_if_forked()
        if self.mode == "ab":
            raise UsageError(f"{self!r}: appending cannot be suspended; commit() or discard() it")
        with self._alone():
            if self._is_shut():
                raise ValueError(f"{self!r}: it is over, there is nothing to suspend")
            try:
                checkpoint = self._transfer.suspend()
            except BaseException as error:
                self._leave_in_spite_of(error)
                raise
            self._leave()
            return checkpoint

    def _leave_in_spite_of(self, error: BaseException) -> None:
        """End as `suspend` does that has failed, or a flush before it."""
        with self._alone():
            try:
                self._transfer.retreat.let_go_in_spite_of(error)
            finally:
                self._leave()

    def _leave(self) -> None:
        self._shut()
        if self._keeper is not None:
            self._keeper.let_go()

    def _discard(self, patience: Patience, *, on_purpose: bool = False) -> None:
        if self._is_forked():
            # What the parent has sent is the parent's, and so was the lock.
            self._shut()
            return
        self._cancel()
        with self._alone():
            try:
                if self._keeper is None or on_purpose:
                    failed: S3StreamError | None = self._transfer.retreat.discard(patience)
                else:
                    failed = self._transfer.retreat.let_go(patience)
            finally:
                self._shut()
                if self._keeper is not None:
                    self._let_go_or_clear(patience.abort)
            if failed is not None:
                raise failed

    def _let_go_or_clear(self, seconds: float | None = None) -> None:
        assert self._keeper is not None  # noqa: S101 - the callers have looked
        if self._transfer.phase in {Phase.COMMITTED, Phase.ABORTED}:
            self._keeper.clear()
        else:
            self._keeper.let_go(seconds)

    def _prepare(self) -> bool:
        """Bring all to the store, for a commit that is to come; False after a discard."""
        self._refuse_if_forked()
        with self._alone():
            try:
                prepared = self._transfer.prepare()
            except BaseException:
                self._shut()
                raise
            if prepared and self._door is Door.OPEN:
                self._turn(Door.SEALED)
            return prepared

    def _refuse_to_hand_over(self) -> None:
        if self.mode == "ab":
            raise UsageError(
                f"{self!r}: appending cannot be prepared, for what is there may be another object"
                " by then; commit() or discard() it"
            )
        if self._keeper is not None:
            raise UsageError(
                f"{self!r}: a file that has a checkpoint, or was resumed, cannot be prepared, for"
                " whoever takes it up would publish it alone; write it without checkpoint="
            )

    def _hand_over(self) -> PreparedUpload:
        self._refuse_if_forked()
        with self._lock:
            try:
                return self._transfer.hand_over()
            finally:
                self._shut()

    def _seal(self) -> None:
        try:
            self._transfer.raise_if_failed()
        except BaseException as error:
            self._discard_because_of(error)
            raise
        self._turn(Door.SEALED)

    # -- when nobody closes it, or has the time to

    def __del__(self) -> None:
        # Past the end of the interpreter nothing can be done, and exit has seen to this file.
        if not self._is_shut() and not endings.is_too_late():
            closed = self.closed
            self._abandon("commit() was never called" if closed else "it was never closed")

    def _dealloc_warn(self, source: object) -> None:
        # Io's own hook: who wraps us calls it when it is collected without having been closed, and
        # then flush() and close(). A finaliser never publishes.
        if self._door is Door.OPEN and not self._dropped:
            self._dropped = True
            if not self._is_forked():
                self._warn("it was never closed")

    def _cancel(self) -> None:
        if not self._is_shut():
            self._transfer.cancel()

    def _interrupt(self) -> None:
        if not self._is_shut():
            self._transfer.interrupt()

    def _say_opened_at(self, line: str) -> None:
        self._opened.at = line

    def _abandon(self, why: str, seconds: float | None = None) -> None:
        """Discard where nobody could catch an error, and warn.

        With `seconds`, waits no longer than that for others; what comes of the abort is told later.
        """
        if self._is_forked() or self._is_shut():
            return
        patience = COLLECTED if seconds is None else Patience(settle=seconds, abort=0)
        warned = self._dropped
        self._cancel()
        # Another thread may have a commit on its way, or be discarding because we have cancelled.
        if not self._lock.acquire(timeout=max(patience.settle, _LOCK_SECONDS)):
            self._warn(f"{why} while another thread is closing it")
            return
        try:
            if not self._is_shut():
                self._discard_quietly(patience)
            if not warned and self._transfer.result is None:
                self._warn(why)
        finally:
            self._lock.release()
            self._say_the_end()

    def _warn(self, why: str) -> None:
        became = "nothing was published"
        if self._transfer.phase in _UNDECIDED:
            became = "nobody knows whether it was published"
        elif self._keeper is not None:
            kept = self._transfer.checkpoint().offset
            became = f"nothing was published yet, {kept:,} bytes are kept to be taken up again"
        # RuntimeWarning, because ResourceWarning is hidden by default.
        warnings.warn(
            f"{became}: {self.name} (opened at {self._opened.at}, after"
            f" {self._length():,} bytes and what was buffered): {why}; close() it, or"
            " commit() to publish whatever is being raised",
            RuntimeWarning,
            stacklevel=3,
        )

    def _length(self) -> int:
        return self._transfer.position

    # -- once, and by one thread

    def _turn(self, door: Door) -> None:
        self._door = door
        # A plain attribute: BufferedWriter looks at it in every single write, and a property would
        # double what a small write costs.
        self.closed = door is not Door.OPEN

    def _shut(self) -> None:
        self._turn(Door.SHUT)
        self._opened.forget()
        endings.forget(self)
        if not self._is_forked():
            self._transfer.end()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock; and when that is let go of, have the log say it if this was the end."""
        lock: Any = self._lock
        try:
            with lock:
                yield
        finally:
            if not self._has_face and not lock._is_owned():
                self._say_the_end()

    def _say_the_end(self) -> None:
        self._transfer.say_the_end(f"{self.name} at {self._store}" if self._store else self.name)

    def _is_shut(self) -> bool:
        return self._door is Door.SHUT

    def _is_forked(self) -> bool:
        return self._opened.process != getpid()

    def _refuse_if_forked(self) -> None:
        if self._is_forked():
            raise S3StreamError(f"{self.name} was opened by the parent of this forked process")
