"""Reads many things ahead of who uses them, in order, within a number of bytes.

Threads and memory: knows neither stores nor archives. What is read is cut into ranges; several are
on their way at once, and none is begun for which there is no room before the earlier ones are used.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Generic, TypeVar

from .budget import Budget, budget_of_process
from .options import KiB, MiB
from .pace import Pace
from .sender import Sender
from .waiting import Cancellation, wait_for

T = TypeVar("T")  # something to be read
R = TypeVar("R")  # what reading a range of it gives

_PIECE = 4 * MiB
# When other files of the process hold all of its budget, it goes on in ranges of this.
_SMALLEST_PIECE = 64 * KiB
# What an answer without bytes holds: its headers, and what we make of them.
_OVERHEAD = 4 * KiB
_AT_ONCE = 16
_MOST_IN_A_ROW = 256
# What is still on its way when nobody wants it any more gets as long as a writer's parts.
_GRACE_SECONDS = 2.0


class _Slot(Generic[T, R]):
    """One range: of the how manyth thing it is, what it costs, and what has come of it."""

    def __init__(self, of: T, number: int, cost: int, *, is_last: bool) -> None:
        self.of = of
        self.number = number
        self.cost = cost
        self.is_last = is_last
        self.done = False
        self.value: R | None = None
        self.error: BaseException | None = None


class Ahead(Generic[T, R]):
    """Iterates over `wanted`: gives each thing, and an iterator over what was read of it.

    `read(thing, start, end)` is called on threads of their own. `limit` bounds the bytes that were
    read, or are being read, and were not used yet; they count with the budget of the process. What
    one has not taken of a thing when one goes on to the next is dropped. What `wanted` raises comes
    behind all things that it gave, never as an error of one of them. To be closed.
    """

    kept = 0

    def __init__(
        self,
        wanted: Iterator[T],
        size_of: Callable[[T], int],
        read: Callable[[T, int, int], R],
        *,
        limit: int,
        name: str,
        at_once: int = _AT_ONCE,
        pace: Pace | None = None,
        cancellation: Cancellation | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.alive = 0
        self.peak = 0
        self._wanted = wanted
        self._size_of = size_of
        self._read = read
        self._limit = limit
        # Several in flight also where little memory is given.
        self._piece = max(1, min(_PIECE, limit // 4 - _OVERHEAD))
        self._at_once = max(1, min(at_once, _AT_ONCE))
        self._cancellation = cancellation or Cancellation()
        self._sender: Sender[None] = Sender(self._at_once, name, pace, self._cancellation)
        self._budget = budget_of_process() if budget is None else budget
        self._changed = threading.Condition()
        self._row: deque[_Slot[T, R]] = deque()
        # What is being cut into ranges, and where its next one begins.
        self._current: tuple[T, int] | None = None
        self._number = 0
        self._is_exhausted = False
        self._failure: Exception | None = None

    def drop_kept(self) -> None:
        """Do without what is kept for recycling: nothing is."""

    def close(self) -> None:
        """Drop all; waits a little for what is on its way, and repeats nothing of it."""
        self._cancellation.request()
        self._sender.settle(_GRACE_SECONDS)
        self._row.clear()
        with self._budget.changed:
            self.alive = 0
            self._budget.leave(self)
            self._budget.changed.notify_all()

    def __iter__(self) -> Iterator[tuple[T, Iterator[R]]]:
        while self._fill():
            first = self._row[0]
            yield first.of, self._ranges_of(first.number)
            self._drop(first.number)
        if self._failure is not None:
            raise self._failure

    def _ranges_of(self, number: int) -> Iterator[R]:
        more = True
        while more and self._fill():
            slot = self._row[0]
            if slot.number != number:
                return
            more = not slot.is_last
            self._wait_for(slot)
            error, value = slot.error, slot.value
            slot.value = None
            if error is not None:
                raise error
            assert value is not None  # noqa: S101 - done, and no error
            cost = slot.cost
            self._row.popleft()
            del slot
            try:
                yield value
            finally:
                del value
                self._release(cost)

    def _drop(self, number: int) -> None:
        """Whatever is left of this thing: neither wanted nor to be waited for by who is next."""
        if self._current is not None and self._number == number:
            self._current = None
        while self._row and self._row[0].number == number:
            slot = self._row[0]
            self._wait_for(slot)
            self._row.popleft()
            self._release(slot.cost)

    def _fill(self) -> bool:
        """Begin to read all that there is room for; False when nothing is left."""
        # A range that is done may still count as in flight: with none in the row one is begun
        # whatever the count says, or this would seem to be the end.
        while not self._row or (
            self._sender.in_flight < self._at_once and len(self._row) < _MOST_IN_A_ROW
        ):
            if self._current is None:
                self._current = self._next()
            if self._current is None:
                break
            thing, start = self._current
            size = self._size_of(thing)
            granted = self._grant(min(size - start, self._piece))
            if granted is None:
                break
            end = start + granted
            slot: _Slot[T, R] = _Slot(thing, self._number, granted + _OVERHEAD, is_last=end == size)
            self._row.append(slot)
            self._current = None if slot.is_last else (thing, end)
            self._sender.submit(partial(self._run, slot, start, end))
            self._sender.collect(lambda outcome: None)
        return bool(self._row)

    def _next(self) -> tuple[T, int] | None:
        if self._is_exhausted:
            return None
        try:
            for thing in self._wanted:
                self._number += 1
                return thing, 0
        except Exception as error:  # noqa: BLE001 - raised in its turn, behind what came before
            self._failure = error
        self._is_exhausted = True
        return None

    def _grant(self, size: int) -> int | None:
        """How many of `size` bytes may be read now; None: only when something was used."""
        with self._budget.changed:
            self._budget.join(self)
            cost = size + _OVERHEAD
            if self.alive + cost > self._limit or not self._budget.has_room_for(cost):
                if self._row:
                    return None
                # Nobody's turn will come before ours: somebody else holds the budget.
                size = min(size, _SMALLEST_PIECE)
                cost = size + _OVERHEAD
            self.alive += cost
            self.peak = max(self.peak, self.alive)
            self._budget.make_way()
            return size

    def _release(self, cost: int) -> None:
        with self._budget.changed:
            self.alive -= cost
            self._budget.changed.notify_all()

    def _wait_for(self, slot: _Slot[T, R]) -> None:
        with self._changed:
            wait_for(self._changed, lambda: slot.done)

    def _run(self, slot: _Slot[T, R], start: int, end: int) -> None:
        try:
            slot.value = self._read(slot.of, start, end)
        except BaseException as error:  # noqa: BLE001 - handed to who wants the range, who raises it
            slot.error = error
        with self._changed:
            slot.done = True
            self._changed.notify_all()
