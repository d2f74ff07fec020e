"""Gives out and takes back the buffers of one writer's parts, within its limit and the budget.

Knows bytes and waiting, not parts or uploads. What may not have memory gets a memory-mapped
temporary file instead; its space is reserved when it is given out, so that a full disk is an error
there and not a crash at some later write.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar

from .budget import Budget, budget_of_process
from .errors import S3StreamError, TooLargeError
from .waiting import Cancellation, Stopwatch, wait_for

Buffer = bytearray | mmap.mmap
T = TypeVar("T")

# Being filled, held back, and two on their way: the fewest that keep a slow uplink busy.
_MAX_SPOOLED = 4
# A writer with more than these has something on its way: one held back, one being filled.
_KEPT = 2


class Memory:
    """The buffers of one writer: never more than `limit` bytes of memory alive at once.

    `take` waits for a `give_back` when the limit is reached. It can count on one to come as long
    as whoever fills buffers keeps no more than two of them (of at most a third of the limit) to
    itself. When it is the budget that is spent, it waits only while some of its own buffers are on
    their way, and then takes a temporary file: a writer that nobody feeds may hold the memory that
    another one wants, for as long as it likes. A `cancellation` ends every wait; `waiting` runs
    during each.
    """

    def __init__(
        self,
        limit: int,
        spool: bool | str,
        cancellation: Cancellation | None = None,
        budget: Budget | None = None,
        waiting: Stopwatch | None = None,
    ) -> None:
        self.limit = limit
        self.alive = 0
        self.peak = 0
        self._spool = spool
        self._cancellation = cancellation
        self._waiting = waiting
        self._budget = budget_of_process() if budget is None else budget
        self._changed = self._budget.changed
        self._lent: dict[int, int] = {}
        self._files: dict[int, IO[bytes]] = {}
        self._free: list[bytearray] = []
        self._usual = 0

    def is_being_changed_here(self) -> bool:
        """Whether this very thread is in the middle of giving out or taking back.

        Then a garbage collection has brought us here, and who waits holds up everybody.
        """
        changed: Any = self._changed
        return bool(changed._is_owned())

    @property
    def kept(self) -> int:
        """Bytes of buffers kept for recycling."""
        return sum(map(len, self._free))

    def drop_kept(self) -> None:
        """Keep none for recycling; to be called while holding the budget's `changed`."""
        self._free.clear()

    def take(self, size: int, room: int) -> Buffer:
        """Give out a buffer of `size` bytes, waiting until the limits allow it.

        One that is to grow to a `room` of over a third of the limit is a file of that size at once.
        Raises `TooLargeError` when it would need a temporary file and may not have one,
        `S3StreamError`, with the `errno` of the disk, when there is no room for one.
        """
        if room > self.limit // 3:
            if self._spool is False:
                raise TooLargeError(
                    f"a part of {room:,} bytes is over a third of memory={self.limit:,} and"
                    " spool=False forbids a temporary file; raise memory or allow spool"
                )
            return self._take_file(room)
        with self._changed:
            self._budget.join(self)
            granted = self._grant(size)
            # The last to come back: it may still be in the processor's cache.
            usable = (b for b in reversed(self._free) if len(b) == size)
            recycled = next(usable, None) if granted else None
            if recycled is not None:
                self._free = [b for b in self._free if b is not recycled]
            self._make_way()
            self._usual = max(self._usual, size)
        if not granted:
            return self._take_file(room)
        buffer = bytearray(size) if recycled is None else recycled
        with self._changed:
            self._lent[id(buffer)] = size
        return buffer

    def extend(self, buffer: Buffer, size: int, room: int) -> Buffer:
        """Make `buffer` one of `size` bytes, longer or shorter, that begins with the same bytes.

        It may come back as another one, and is to grow to `room` at most.
        """
        if isinstance(buffer, mmap.mmap):
            if size != len(buffer):
                with self._explained(size):
                    _reserve_on_disk(self._files[id(buffer)], size)
                    buffer.resize(size)
        elif size > len(buffer):
            return self._grow(buffer, size, room)
        else:
            # The allocation stays what it was, and so does the count.
            del buffer[size:]
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Take a buffer back; a second time is a `KeyError`."""
        if isinstance(buffer, mmap.mmap):
            # Where a signal handler discards in the middle of a copy, the view of it is still open,
            # and the mapping goes when that does.
            with suppress(BufferError):
                buffer.close()
        with self._changed:
            size = self._lent.pop(id(buffer))
            if isinstance(buffer, mmap.mmap):
                self._files.pop(id(buffer)).close()
            else:
                self.alive -= size
                if len(buffer) == size == self._usual:
                    self._free.append(buffer)
            self._changed.notify_all()

    def lend(
        self, buffer: Buffer, work: Callable[[], T], hand_on: Callable[[Callable[[], T]], bool]
    ) -> None:
        """Hand on a job that uses a buffer, and see that whoever has it last gives it back.

        The buffer is in `loan` until somebody takes it out, which a list does in one step: the job
        when it begins, or else we when it was not handed on. Then it can begin no more.
        """
        loan = [buffer]

        def job() -> T:
            borrowed = loan.pop()
            try:
                return work()
            finally:
                self.give_back(borrowed)

        handed_on = False
        try:
            handed_on = hand_on(job)
        finally:
            if not handed_on:
                with suppress(IndexError):
                    self.give_back(loan.pop())

    def drop_free(self) -> None:
        """Let go of the buffers kept for recycling."""
        with self._changed:
            self.drop_kept()
            if not self.alive:
                self._budget.leave(self)

    def __del__(self) -> None:
        self._budget.leave(self)

    def _grow(self, buffer: bytearray, size: int, room: int) -> Buffer:
        more = size - len(buffer)
        with self._changed:
            granted = self._grant(more)
            if granted:
                self._make_way()
                self._lent[id(buffer)] += more
                self._usual = max(self._usual, size)
        if not granted:
            larger = self._take_file(max(size, room))
            larger[: len(buffer)] = buffer
            self.give_back(buffer)
            return larger
        # Private pages that are only ever read cost no memory; bytes(more) would.
        with mmap.mmap(-1, more, access=mmap.ACCESS_COPY) as zeros:
            buffer.extend(zeros)
        return buffer

    def _grant(self, size: int) -> bool:
        """Wait for memory; False when other writers have it, and nothing of ours is on its way."""
        self._wait_for(
            lambda: (
                self.alive + size <= self.limit
                and (self._budget.has_room_for(size) or len(self._lent) <= _KEPT)
            )
        )
        if not self._budget.has_room_for(size):
            if self._spool is False:
                raise S3StreamError(
                    f"other files hold {self._budget.alive:,} of the {self._budget.limit:,} bytes"
                    " that all may have, and spool=False forbids a temporary file; allow spool, or"
                    " raise s3stream.limit_memory()"
                )
            return False
        self.alive += size
        self.peak = max(self.peak, self.alive)
        self._budget.make_way()
        return True

    def _make_way(self) -> None:
        # What is kept for recycling must not come on top of the limit.
        if self.alive + self.kept > self.limit:
            self.drop_kept()

    def _wait_for(self, predicate: Callable[[], bool]) -> None:
        wait_for(self._changed, predicate, cancellation=self._cancellation, stopwatch=self._waiting)

    def _take_file(self, size: int) -> Buffer:
        with self._changed:
            self._wait_for(lambda: len(self._files) < _MAX_SPOOLED)
        with self._explained(size):
            # Unlinked at once: a process that dies leaves nothing behind.
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by give_back
            try:
                _reserve_on_disk(file, size)
                mapped = mmap.mmap(file.fileno(), size)
            except BaseException:
                file.close()
                raise
        with self._changed:
            self._lent[id(mapped)] = size
            self._files[id(mapped)] = file
        return mapped

    @property
    def _folder(self) -> str:
        return self._spool if isinstance(self._spool, str) else tempfile.gettempdir()

    @contextmanager
    def _explained(self, size: int) -> Iterator[None]:
        """Say of an error of the disk what the file was for, and what to do."""
        try:
            yield
        except OSError as error:
            failed = S3StreamError(
                f"no temporary file of {size:,} bytes in {self._folder} for a part that may not"
                f" wait in memory: {error.strerror or error}; make room, name another folder with"
                " spool=, or raise memory= and s3stream.limit_memory()"
            )
            failed.errno = error.errno or failed.errno
            raise failed from error


def _reserve_on_disk(file: IO[bytes], size: int) -> None:
    """Make the file at least `size` bytes of real disk: writing to a mapped hole may be SIGBUS."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(1 << 20)
    end = file.seek(0, os.SEEK_END)
    while end < size:
        end += file.write(zeros[: size - end])
    file.flush()
