"""Waiting that lets Ctrl-C through; for the rooms that have threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Some libraries (polars, for one) set up SIGINT so that a wait for a lock goes on after it: only
# when Python gets to run again is the KeyboardInterrupt raised. So no wait is longer than this.
_TICK_SECONDS = 0.25


def wait_for(
    condition: threading.Condition, predicate: Callable[[], bool], timeout: float | None = None
) -> bool:
    """`Condition.wait_for` (at most `timeout` seconds) that Ctrl-C ends within a quarter second."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while not predicate():
        left = _TICK_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return False
        condition.wait(min(left, _TICK_SECONDS))
    return True
