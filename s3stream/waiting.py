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

    def __init__(
        self,
        message: str = "the file was discarded while it was written to",
        *,
        within: Cancellation | None = None,
    ) -> None:
        """With the end of what it is `within` it ends too."""
        self._message = message
        self._within = within
        self._requested = False

    def request(self) -> None:
        """End the waits, those under way and those to come."""
        self._requested = True

    def check(self) -> None:
        """Raise `S3StreamError` when it was requested."""
        if self._within is not None:
            self._within.check()
        if self._requested:
            raise S3StreamError(self._message)


class Stopwatch:
    """Seconds that have passed while it ran; whoever likes may read it while it runs."""

    def __init__(self, *, running: bool = False) -> None:
        # Seconds before it was last started, and when that was: one value, read in one step.
        self._state: tuple[float, float | None] = (0.0, time.monotonic() if running else None)

    @property
    def seconds(self) -> float:
        """What it shows now."""
        before, since = self._state
        return before if since is None else before + time.monotonic() - since

    def start(self) -> bool:
        """Let it run; False when it does already, and somebody else will stop it."""
        before, since = self._state
        if since is not None:
            return False
        self._state = before, time.monotonic()
        return True

    def stop(self) -> None:
        """Let it stand; harmless when it does."""
        self._state = self.seconds, None


def wait_for(
    condition: threading.Condition,
    predicate: Callable[[], bool],
    timeout: float | None = None,
    cancellation: Cancellation | None = None,
    stopwatch: Stopwatch | None = None,
) -> bool:
    """`Condition.wait_for` (at most `timeout` seconds) that Ctrl-C ends within a quarter second.

    A `stopwatch` runs while it waits. Raises `S3StreamError` when `cancellation` is requested and
    there is still something to wait for.
    """
    if predicate():
        return True
    deadline = None if timeout is None else time.monotonic() + timeout
    started = stopwatch is not None and stopwatch.start()
    try:
        while True:
            if cancellation is not None:
                cancellation.check()
            left = _TICK_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return False
            condition.wait(min(left, _TICK_SECONDS))
            if predicate():
                return True
    finally:
        if stopwatch is not None and started:
            stopwatch.stop()
