"""The file you write to, and the one question it answers: does this close publish or discard?

Knows what `io` promises and how a file ends (exceptions, finalisers, forks). Must not know S3
calls, nor who wraps it (buffers, text, compression, file systems).
"""

from __future__ import annotations

import enum
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import endings
from .carrier import Keeping
from .checkpoint import Checkpoint
from .cleanup import COLLECTED, THOROUGH, Patience, patience_with
from .discarding import Discarding
from .errors import LockedError, S3StreamError, UsageError, attach, offer
from .oneway import OneWay
from .options import WriteOptions
from .predecessor import Predecessor
from .prepared import PreparedUpload
from .state import Phase, UploadResult
from .stats import WriteStats
from .transfer import Transfer

# Enough for a thread to notice that its write was cancelled, and to discard.
_LOCK_SECONDS = THOROUGH.settle + 1.0

_UNDECIDED = frozenset({Phase.COMMITTING, Phase.UNCERTAIN})


class _Door(enum.Enum):
    """Who may still come in: writes and the end; only the end; nobody."""

    OPEN = "open"
    SEALED = "sealed"
    SHUT = "shut"


class S3Writer(OneWay, Discarding, io.RawIOBase):
    """A file that becomes the object `key` of `bucket` when it is closed, whole, or not at all.

    `client` is a boto3 S3 client. Every `write` takes all that it is given, copies it before it
    returns, and waits while `max_concurrency` parts are in flight. What does not fill a part is
    sent by one PutObject at `close()`. A `close()` while an exception is unwinding, the end of a
    `with` body that raised, and the garbage collector discard: nothing is published, and no part
    is left behind.

    Raises `UsageError` for options or S3 parameters that cannot be; sends nothing until the first
    part is cut. After a failure every later call raises the first error again. `on_commit` is
    called with the result, on the thread that published, once the object is there. `start` and
    `keeper` are for `resume` and `open(checkpoint=)`: with a keeper only `discard()` discards, and
    whatever else would, leaves what was sent to be taken up again. `predecessor` is for mode `ab`.
    `callback` is one of fsspec's: see `s3stream.open`. `store` is the name of the store's profile,
    for `repr` and the log.
    """

    # Shut until all is made: a constructor that raises leaves something for the finaliser.
    closed: bool = True
    _door = _Door.SHUT

    def __init__(
        self,
        bucket: str,
        key: str,
        *,
        client: Any,
        options: WriteOptions | None = None,
        on_commit: Callable[[UploadResult], None] | None = None,
        start: Checkpoint | None = None,
        keeper: Keeping | None = None,
        predecessor: Predecessor | None = None,
        callback: Any = None,
        store: str = "",
    ) -> None:
        super().__init__()
        options = options or WriteOptions()
        self.name = f"s3://{bucket}/{key}"
        self.mode = "wb" if options.if_none_match is None else "xb"
        self._publish = options.publish
        self._on_commit = on_commit
        self._keeper = keeper
        if predecessor is not None:
            self.mode = "ab"
        self._store = store
        self._transfer = Transfer(
            client, bucket, key, options, start, keeper, predecessor, callback
        )
        self._lock = threading.RLock()
        self._has_face = False  # who wraps us and says the end: io holds a lock while it closes us
        self._process = os.getpid()
        self._opened_at = first_foreign_line()
        # Opened inside an `except` block: that exception is no reason to discard.
        self._handled_at_open = sys.exc_info()[1]
        self._dropped = False
        self._turn(_Door.OPEN)
        endings.watch(self)

    # -- what io promises of a writable, unseekable binary file

    def writable(self) -> bool:
        """Tell that this file is for writing."""
        self._refuse_if_closed()
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        self._refuse_if_closed()
        return self._transfer.position

    def write(self, data: Any, /) -> int:
        """Write all of a C-contiguous buffer of any shape; returns its length in bytes.

        Raises `TypeError` for text, the first error of the upload when it has failed, and
        `TooLargeError` when the object cannot fit.
        """
        view = as_bytes(data)
        self._refuse_if_closed()
        if self._dropped:  # a wrapper that is being collected empties its buffer into us
            return len(view)
        with self._lock:
            self._refuse_if_closed()
            self._transfer.write(view)
        return len(view)

    def flush(self) -> None:
        """Raise the error of a part that failed in the background; never forces a small part."""
        self._refuse_if_closed()
        if self._dropped:
            return
        with self._lock:
            self._transfer.raise_if_failed()

    def close(self) -> None:
        """Publish the object, or clean up when that must not or cannot be; only the first counts.

        When it returns with no exception in flight and `publish` is `"close"`, the object is there
        with exactly the bytes written. When an exception is unwinding nothing is published, a
        `RuntimeWarning` says so, and that exception goes on. With `publish="commit"` it ends the
        writing, and `commit()` or `discard()` has the last word.
        """
        if self._is_forked():
            self._shut()
            return
        with self._alone():
            if self._door is not _Door.OPEN:
                return
            unwinding = sys.exc_info()[1]
            if self._dropped:
                self._discard_quietly(COLLECTED)
            elif unwinding is not None and unwinding is not self._handled_at_open:
                self._discard_because_of(unwinding)
                self._warn(f"it was closed while {type(unwinding).__name__} was being raised")
            elif self._publish == "commit":
                self._seal()
            else:
                self.commit()

    def __enter__(self) -> S3Writer:
        self._refuse_if_closed()
        return self

    # -- what is ours

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
                self._keep_in_spite_of(error)
            finally:
                self._leave()

    def _leave(self) -> None:
        self._shut()
        if self._keeper is not None:
            self._keeper.let_go()

    def _keep_in_spite_of(self, error: BaseException) -> None:
        """Leave what the store has, and put on the error how to go on from there."""
        failed = self._transfer.let_go(patience_with(error), handed_out=True)
        if failed is not None:
            attach(error, failed)
        checkpoint = self._transfer.checkpoint()
        if checkpoint.upload_id is not None and not isinstance(error, LockedError):
            offer(
                error,
                checkpoint,
                f"{checkpoint.offset:,} bytes are kept: s3stream.resume() goes on from there with"
                " this error's .checkpoint",
            )

    def _discard(self, patience: Patience, *, on_purpose: bool = False) -> None:
        if self._is_forked():
            # What the parent has sent is the parent's, and so was the lock.
            self._shut()
            return
        self._cancel()
        with self._alone():
            try:
                if self._keeper is None or on_purpose:
                    failed: S3StreamError | None = self._transfer.discard(patience)
                else:
                    failed = self._transfer.let_go(patience)
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

    @property
    def result(self) -> UploadResult:
        """Where and what the published object is. Raises `ValueError` until there is one."""
        result = self._transfer.result
        if result is None:
            raise ValueError(
                f"{self.name} is not published ({self._transfer.phase.value}): there is no result"
            )
        return result

    @property
    def stats(self) -> WriteStats:
        """How the writing has gone so far, in numbers; once the file is closed, until its end.

        What the store has accepted is counted when this file hears of it, at the next `write` or
        `close`. May be asked by any thread, also while another one waits in `write`.
        """
        return self._transfer.stats

    @property
    def peak_memory(self) -> int:
        """The most bytes of parts that this writer had in memory at once."""
        return self._transfer.peak_memory

    def __repr__(self) -> str:
        store = f", store {self._store}" if self._store else ""
        return f"<{type(self).__name__} {self.name} {self._transfer.status}{store}>"

    # -- how files end when nobody closes them

    def __del__(self) -> None:
        # Past the end of the interpreter nothing can be done, and exit has seen to this file.
        if not self._is_shut() and not endings.is_too_late():
            closed = self.closed
            self._abandon("commit() was never called" if closed else "it was never closed")

    def _dealloc_warn(self, source: object) -> None:
        # Io's own hook: who wraps us calls it when it is collected without having been closed, and
        # then flush() and close(). A finaliser never publishes.
        if self._door is _Door.OPEN and not self._dropped:
            self._dropped = True
            if not self._is_forked():
                self._warn("it was never closed")

    def _prepare(self) -> bool:
        """Bring all to the store, for a commit that is to come; False after a discard."""
        self._refuse_if_forked()
        with self._alone():
            try:
                prepared = self._transfer.prepare()
            except BaseException:
                self._shut()
                raise
            if prepared and self._door is _Door.OPEN:
                self._turn(_Door.SEALED)
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
        self._turn(_Door.SEALED)

    def _cancel(self) -> None:
        if not self._is_shut():
            self._transfer.cancel()

    def _interrupt(self) -> None:
        if not self._is_shut():
            self._transfer.interrupt()

    def _say_opened_at(self, line: str) -> None:
        self._opened_at = line

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
            f"{became}: {self.name} (opened at {self._opened_at}, after"
            f" {self._length():,} bytes and what was buffered): {why}; close() it, or"
            " commit() to publish whatever is being raised",
            RuntimeWarning,
            stacklevel=3,
        )

    def _length(self) -> int:
        return self._transfer.position

    def _turn(self, door: _Door) -> None:
        self._door = door
        # A plain attribute: BufferedWriter looks at it in every single write, and a property would
        # double what a small write costs.
        self.closed = door is not _Door.OPEN

    def _shut(self) -> None:
        self._turn(_Door.SHUT)
        self._handled_at_open = None
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
        return self._door is _Door.SHUT

    def _is_forked(self) -> bool:
        return self._process != os.getpid()

    def _refuse_if_forked(self) -> None:
        if self._is_forked():
            raise S3StreamError(f"{self.name} was opened by the parent of this forked process")

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError(f"I/O operation on closed file {self.name}")
        if not self._dropped:
            self._refuse_if_forked()


def first_foreign_line() -> str:
    """Find the file and line of the code that uses us, past ourselves and the wrappers we know."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if room not in {"s3stream", "fsspec"}:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def as_bytes(data: Any) -> memoryview:
    """See any C-contiguous buffer as flat bytes; raises `TypeError` for text and what is none."""
    if isinstance(data, str):
        raise TypeError("a binary file takes bytes, not str: encode it, or open with mode 'w'")
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}") from None
    if not view.c_contiguous:
        raise BufferError("the buffer is not C-contiguous: copy it first, e.g. with bytes(...)")
    # A shape with a zero in it cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"")
