"""How many requests may be on their way to one endpoint: half at a SlowDown, then more again.

Additive increase, multiplicative decrease, for all writers of the process together. Knows numbers
only: who waits, and for what, is not its business.
"""

from __future__ import annotations

import math
import os
import threading


class Pace:
    """The number of requests that an endpoint takes at once, as far as it has let us know.

    Without bound until the store slows us down. It halves at most once for the requests that were
    under way together: the others were sent before the news. Each request that succeeds then
    raises it by its share, so that it has grown by one when all that were allowed have succeeded.
    """

    def __init__(self) -> None:
        # Reentrant: a garbage collection in here may end a file of the user's, which sends a part.
        self._lock = threading.RLock()
        self._in_flight = 0
        self._limit = math.inf
        self._old_news = 0

    @property
    def limit(self) -> float:
        """The most requests at once: infinite until the first SlowDown, never below one."""
        return self._limit

    def try_enter(self) -> bool:
        """Count one request in, if the limit allows one more."""
        with self._lock:
            if self._in_flight + 1 > self._limit:
                return False
            self._in_flight += 1
            return True

    def leave(self, *, succeeded: bool) -> None:
        """Count one request out."""
        with self._lock:
            self._in_flight -= 1
            self._old_news = max(0, self._old_news - 1)
            if succeeded:
                self._limit += 1 / self._limit

    def slow_down(self) -> None:
        """The store has asked for fewer requests."""
        with self._lock:
            if self._old_news == 0:
                self._limit = max(1, self._in_flight // 2)
                self._old_news = self._in_flight


# By process too: a forked child starts with nothing under way.
_PACES: dict[tuple[int, str], Pace] = {}


def pace_of(endpoint_url: str) -> Pace:
    """Find the pace that this process shares for an endpoint."""
    # setdefault is one step: a lock could be held by another thread at the moment of a fork.
    return _PACES.setdefault((os.getpid(), endpoint_url), Pace())
