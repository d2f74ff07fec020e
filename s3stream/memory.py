"""Gives out and takes back the buffers that parts live in, within a limit.

Knows bytes and waiting, not parts or uploads. A part too large for its share of the limit gets a
memory-mapped temporary file instead of memory; its space is reserved when it is given out, so that
a full disk is an error there and not a crash at some later write.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Callable
from typing import IO

from .errors import TooLargeError
from .waiting import Cancellation, wait_for

Buffer = bytearray | mmap.mmap

# Being filled, held back, and two on their way: the fewest that keep a slow uplink busy.
_MAX_SPOOLED = 4


class Memory:
    """The buffers of one writer: never more than `limit` bytes of memory alive at once.

    `take` waits for a `give_back` when the limit is reached. It can count on one to come as long
    as whoever fills buffers keeps no more than two of them (of at most a third of the limit) to
    itself; a `cancellation` ends the wait. Buffers are recycled, so that a long stream does not pay
    for fresh pages.
    """

    def __init__(
        self, limit: int, spool: bool | str, cancellation: Cancellation | None = None
    ) -> None:
        self.limit = limit
        self.alive = 0
        self.peak = 0
        self._spool = spool
        self._cancellation = cancellation
        self._changed = threading.Condition()
        self._lent: dict[int, int] = {}
        self._files: dict[int, IO[bytes]] = {}
        self._free: list[bytearray] = []
        self._usual = 0

    def take(self, size: int, room: int) -> Buffer:
        """Give out a buffer of `size` bytes, waiting until the limit allows it.

        One that is to grow to a `room` of over a third of the limit is a file of that size at once.
        Raises `TooLargeError` when it would need a temporary file and may not have one, `OSError`
        when the disk is full.
        """
        if room > self.limit // 3:
            return self._take_file(room)
        with self._changed:
            self._grant(size)
            recycled = next((b for b in self._free if len(b) == size), None)
            if recycled is not None:
                self._free = [b for b in self._free if b is not recycled]
            self._make_way()
            self._usual = max(self._usual, size)
        buffer = bytearray(size) if recycled is None else recycled
        with self._changed:
            self._lent[id(buffer)] = size
        return buffer

    def extend(self, buffer: Buffer, size: int) -> Buffer:
        """Make `buffer` one of `size` bytes, longer or shorter, that begins with the same bytes."""
        if isinstance(buffer, mmap.mmap):
            _reserve_on_disk(self._files[id(buffer)], size)
            buffer.resize(size)
        elif size > len(buffer):
            more = size - len(buffer)
            with self._changed:
                self._grant(more)
                self._make_way()
                self._lent[id(buffer)] += more
                self._usual = max(self._usual, size)
            # Private pages that are only ever read cost no memory; bytes(more) would.
            with mmap.mmap(-1, more, access=mmap.ACCESS_COPY) as zeros:
                buffer.extend(zeros)
        else:
            # The allocation stays what it was, and so does the count.
            del buffer[size:]
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        """Take a buffer back; a second time is a `KeyError`."""
        if isinstance(buffer, mmap.mmap):
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

    def drop_free(self) -> None:
        """Let go of the buffers kept for recycling."""
        with self._changed:
            self._free.clear()

    def _grant(self, size: int) -> None:
        self._wait_for(lambda: self.alive + size <= self.limit)
        self.alive += size
        self.peak = max(self.peak, self.alive)

    def _wait_for(self, predicate: Callable[[], bool]) -> None:
        wait_for(self._changed, predicate, cancellation=self._cancellation)

    def _make_way(self) -> None:
        # What is kept for recycling must not come on top of the limit.
        if self.alive + sum(map(len, self._free)) > self.limit:
            self._free.clear()

    def _take_file(self, size: int) -> Buffer:
        if self._spool is False:
            raise TooLargeError(
                f"a part of {size:,} bytes is over a third of memory={self.limit:,} and spool=False"
                " forbids a temporary file; raise memory or allow spool"
            )
        with self._changed:
            self._wait_for(lambda: len(self._files) < _MAX_SPOOLED)
        # Unlinked at once: a process that dies leaves nothing behind.
        file = tempfile.TemporaryFile(dir=None if self._spool is True else self._spool)  # noqa: SIM115 - closed by give_back
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
