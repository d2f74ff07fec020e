"""Measures one object on its way: counts, waits, and the progress that somebody wants to hear of.

Knows numbers only; whoever has them says when they have changed.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from .errors import UsageError
from .stats import WriteStats
from .waiting import Stopwatch

_log = logging.getLogger("s3stream")


class Tally:
    """What it took to make the requests of one object; counted by any thread."""

    def __init__(self) -> None:
        self.retries = 0
        self.throttled = 0
        # Reentrant: a garbage collection in here may end a file of the user's.
        self._lock = threading.RLock()

    def retry(self) -> None:
        """An attempt was made again."""
        with self._lock:
            self.retries += 1

    def throttle(self) -> None:
        """The store has asked for fewer requests."""
        with self._lock:
            self.throttled += 1


class Meter:
    """The measures of one object, from its opening to its end.

    `waiting` runs while its producer waits for the store, `idle` while the store waits for it.
    `callback` is one of fsspec's: it is told the size as soon as one is known (`size_hint`, then
    what it came to), and each byte once when the store has accepted it. It is called by whoever
    calls us, and what it raises goes there.

    Raises `UsageError` for a callback that cannot be told.
    """

    def __init__(self, callback: Any = None, size_hint: int | None = None) -> None:
        for method in ("set_size", "relative_update"):
            if callback is not None and not callable(getattr(callback, method, None)):
                raise UsageError(
                    f"callback={callback!r}: expected one of fsspec's, with set_size() and"
                    " relative_update(), such as fsspec.callbacks.TqdmCallback()"
                )
        self._whole = Stopwatch(running=True)
        self.waiting = Stopwatch()
        self.idle = Stopwatch(running=True)
        self._callback = callback
        self.listens = callback is not None
        self._size: int | None = None
        self._told = 0
        self._final: WriteStats | None = None
        self._unsaid: str | None = None
        if size_hint is not None:
            self.tell_size(size_hint)

    def tell_size(self, size: int) -> None:
        """The object will have so many bytes."""
        if self._callback is not None and size != self._size:
            self._size = size
            self._callback.set_size(size)

    def tell(self, accepted: int) -> None:
        """The store has accepted so many bytes of it by now."""
        if self._callback is not None and accepted > self._told:
            more = accepted - self._told
            # Before the call: what was told is not told again, whatever comes of it.
            self._told = accepted
            self._callback.relative_update(more)

    def read(self, accepted: int, parts: int, tally: Tally) -> WriteStats:
        """All of it in numbers; after the end, those of the end."""
        if self._final is not None:
            return self._final
        producer, uplink = self.waiting.seconds, self.idle.seconds  # parts of the whole
        return WriteStats(
            bytes=accepted,
            parts=parts,
            retries=tally.retries,
            throttled=tally.throttled,
            seconds=self._whole.seconds,
            producer_waited=producer,
            uplink_waited=uplink,
        )

    def end(self, became: str, stats: WriteStats) -> None:
        """It is over, and these are its numbers; only the first end counts."""
        if self._final is None:
            self._final = stats
            self._unsaid = became

    def say(self, what: str) -> None:
        """Have the log say once how it ended.

        To be called without a lock of the file's: a log may be written to that very file, by a
        thread that holds the lock of the log.
        """
        became, self._unsaid = self._unsaid, None
        if became is not None:
            _log.info("%s: %s: %s", what, became, self._final)
