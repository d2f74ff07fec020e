"""How an upload is removed from the store, and how long somebody wants to wait for that.

Must not know parts, memory, nor why the upload is to go.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .endings import is_at_exit, late
from .errors import CleanupError, S3StreamError
from .sender import Outcome, Sender
from .store import Target

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How many seconds a discard waits for others; what takes longer goes on without it.

    `settle`: for requests in flight, before it aborts the upload over their heads (and once more
    when they have ended). Longer would hold up a Ctrl-C; shorter would often abort twice.
    `abort`: for the store to confirm the abort; None waits for all of its retries, and 0 not at
    all: what comes of it is told by a warning then.
    """

    settle: float = 2.0
    abort: float | None = None


THOROUGH = Patience()
HURRIED = Patience(abort=1.0)
COLLECTED = Patience(abort=3.0)  # nobody waits for a garbage collection to end
AT_ONCE = Patience(settle=0, abort=0)


def patience_with(error: BaseException) -> Patience:
    """How long somebody who is to see this error wants to wait for the clean-up."""
    # KeyboardInterrupt, SystemExit, GeneratorExit: they want out, and a hung store takes minutes.
    return THOROUGH if isinstance(error, Exception) else HURRIED


def abort(target: Target, upload_id: str, timeout: float | None) -> CleanupError | None:
    """Abort an upload; returns what went wrong, if anything did within `timeout` seconds.

    On a thread: Ctrl-C has to end the wait, and a garbage collection that came in the middle of the
    connection pool must not wait for that pool's lock on the same thread.
    """
    aborting: Sender[None] = Sender(1, f"s3stream abort {target.key}")
    failures: list[CleanupError] = []

    def keep(outcome: Outcome[None]) -> None:
        if outcome.error is not None:
            failures.append(_failure(target, upload_id, outcome.error))

    here = threading.get_ident()

    def work() -> None:
        # At exit no thread may start any more (Python 3.12 and later): it is made on this one.
        waited_for = threading.get_ident() == here and is_at_exit()
        target.abort(upload_id, hurried=waited_for)

    aborting.submit(work)
    if aborting.settle(timeout):
        aborting.collect(keep)
        return failures[0] if failures else None

    def tell() -> None:
        aborting.collect(keep)
        for failed in failures:
            warn_of(failed)

    when_settled(aborting, f"the abort of upload {upload_id}", tell)
    if not timeout:
        return None
    return _failure(target, upload_id, f"the store has not confirmed it within {timeout:g} s")


def when_settled(sender: Sender[T], what: str, action: Callable[[], None]) -> None:
    """Do something when a sender has no job left; the end of the process waits a little for it."""
    over = late(what)

    def act() -> None:
        try:
            action()
        finally:
            over.set()

    sender.when_settled(act)


class Removal:
    """The removal of an upload that was begun perhaps: `upload_id` tells its id when it is known.

    What is in flight for it is in flight with `sender`.
    """

    def __init__(
        self, target: Target, sender: Sender[T], upload_id: Callable[[], str | None]
    ) -> None:
        self._target = target
        self._sender = sender
        self._upload_id = upload_id

    def now(self, timeout: float | None) -> CleanupError | None:
        """Abort it; returns what went wrong, if anything did within `timeout` seconds."""
        upload_id = self._upload_id()
        return None if upload_id is None else abort(self._target, upload_id, timeout)

    def after(self, what: str) -> None:
        """Abort it, once more perhaps, when `what` is in flight has ended."""
        when_settled(self._sender, what, self._after_stragglers)

    def _after_stragglers(self) -> None:
        # The straggler may have been the call that made the upload: only now is its id known.
        failed = self.now(None)
        if failed is not None:
            warn_of(failed)


def warn_of(failed: S3StreamError) -> None:
    """Tell of a failed clean-up where no caller could catch it."""
    warnings.warn(str(failed), RuntimeWarning, stacklevel=3)


def _failure(target: Target, upload_id: str, cause: BaseException | str) -> CleanupError:
    failed = CleanupError(
        f"nothing was published, but the upload is still there and costs storage: {cause}",
        bucket=target.bucket,
        key=target.key,
        upload_id=upload_id,
    )
    failed.__cause__ = cause if isinstance(cause, BaseException) else None
    return failed
