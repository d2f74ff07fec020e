"""Ends many things behind whoever makes them: several at once, within a number of bytes.

Threads: knows neither stores nor archives. The counterpart of `ahead`: made one after the other,
ended beside the making of the next ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from .sender import Sender
from .waiting import wait_for


class Behind:
    """Runs the last step of each thing on a thread of its own, at most `at_once` of them at once.

    What is being made and what has not ended yet is `limit` bytes together, or one thing alone. The
    first error is kept: whatever is called then raises it, and nothing more is begun. Not for two
    threads at once.
    """

    def __init__(self, *, at_once: int, limit: int, name: str) -> None:
        self.held = 0
        self.peak = 0
        self._limit = limit
        self._sender: Sender[None] = Sender(at_once, name)
        self._changed = threading.Condition()
        # By a number of its own: what ends the wait of each step that has not ended.
        self._under_way: dict[int, Callable[[], None]] = {}
        self._begun = 0
        self._error: BaseException | None = None

    def make_room(self, size: int) -> None:
        """Wait until something of `size` bytes may be made, and count it in."""
        with self._changed:
            wait_for(
                self._changed,
                lambda: self._error is not None or self.held == 0 or self._has_room_for(size),
            )
            self._raise_error()
            self.held += size
            self.peak = max(self.peak, self.held)

    def check(self) -> None:
        """Raise the first error, if there is one by now."""
        with self._changed:
            self._raise_error()

    def submit(self, step: Callable[[], object], interrupt: Callable[[], None], size: int) -> None:
        """Have the last step of something of `size` bytes done; waits for a place.

        `interrupt` ends it early, with an error, from any thread. What raises here may have been
        begun or not.
        """
        self._begun += 1
        number = self._begun
        self._under_way[number] = interrupt

        def end() -> None:
            error: BaseException | None = None
            try:
                step()
            except BaseException as raised:
                error = raised
                raise
            finally:
                with self._changed:
                    self._error = self._error or error
                    self.held -= size
                    del self._under_way[number]
                    self._changed.notify_all()

        if not self._sender.submit(end):
            del self._under_way[number]
            self.check()
        self._sender.collect(lambda outcome: None)  # its errors are kept here already

    def finish(self) -> None:
        """Wait until all of them have ended; at the first error for no other one."""
        with self._changed:
            wait_for(self._changed, lambda: self._error is not None or not self._under_way)
            self._raise_error()

    def give_up(self, seconds: float | None = None) -> None:
        """End what has not ended, and wait for that, `seconds` at most."""
        for interrupt in list(self._under_way.values()):
            interrupt()
        self._sender.settle(seconds)

    def _has_room_for(self, size: int) -> bool:
        return self.held + size <= self._limit

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
