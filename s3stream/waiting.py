"""Waiting that lets Ctrl-C through and that can be called off; for the rooms that have threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .errors import S3StreamError

# Some libraries (polars, for one) set up SIGINT so that a wait for a lock goes on after it: only
# when Python gets to run again is the KeyboardInterrupt raised. So no wait is longer than this.
_TICK_SECONDS = 0.25


class Cancellation:
    """Ends the waits that look at it, on whatever thread, within a quarter second.

    Asking for it takes no lock: a signal handler may, in the middle of anything.
    """

    def __init__(self, message: str = "the file was discarded while it was written to") -> None:
        self._message = message
        self._requested = False

    def request(self) -> None:
        """End the waits, those under way and those to come."""
        self._requested = True

    def check(self) -> None:
        """Raise `S3StreamError` when it was requested."""
        if self._requested:
            raise S3StreamError(self._message)


def wait_for(
    condition: threading.Condition,
    predicate: Callable[[], bool],
    timeout: float | None = None,
    cancellation: Cancellation | None = None,
) -> bool:
    """`Condition.wait_for` (at most `timeout` seconds) that Ctrl-C ends within a quarter second.

    Raises `S3StreamError` when `cancellation` is requested and there is still something to wait
    for.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while not predicate():
        if cancellation is not None:
            cancellation.check()
        left = _TICK_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return False
        condition.wait(min(left, _TICK_SECONDS))
    return True
