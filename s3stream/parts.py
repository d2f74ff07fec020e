"""Turns a stream of writes into numbered, sealed parts; knows sizes and nothing else.

Copies each byte once, into a buffer that somebody else gives out; never keeps what it was fed.
A part is handed on when enough has come in behind it that it cannot be the last one: so an object
of up to one part (and the reserve) is known to be small, and a short tail can join its neighbour.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from .errors import TooLargeError
from .options import KiB
from .plan import Plan

Buffer = bytearray | mmap.mmap

# A first buffer of part_size would cost a small object the zeroing of megabytes that it never uses.
_FIRST_BUFFER = 64 * KiB


class Buffers(Protocol):
    """Whoever owns the memory. `take` may wait until there is some."""

    def take(self, size: int, room: int) -> Buffer:
        """Give out a buffer of at least `size` bytes that is to grow to no more than `room`."""

    def extend(self, buffer: Buffer, size: int, room: int) -> Buffer:
        """Turn a buffer into one of `size` bytes that begins with the same; `room` as in `take`."""

    def give_back(self, buffer: Buffer) -> None:
        """Take a buffer back, once."""


@dataclass(frozen=True)
class Part:
    """A sealed part: `body` holds exactly its bytes and is never written to again."""

    number: int
    offset: int
    body: Buffer = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes in this part."""
        return len(self.body)


class Cutter:
    """Cuts what it is fed into parts of the planned sizes.

    Every part but the last is exactly as large as planned; the last is never smaller than
    `reserve` bytes, unless the whole object is. Holds at most one sealed part, the one being
    filled, and at the end `reserve` bytes more. Begins behind the `done` parts, of together
    `offset` bytes, that somebody has cut before.
    """

    def __init__(
        self, plan: Plan, reserve: int, buffers: Buffers, done: int = 0, offset: int = 0
    ) -> None:
        self._plan = plan
        self._behind = max(reserve, 1)
        self._buffers = buffers
        self._held: Part | None = None
        self._open: Buffer | None = None
        self._filled = 0
        self._next_number = done + 1
        self._planned = plan.size(offset)
        self._began = (done, offset)
        self.position = offset

    def feed(self, data: memoryview) -> Iterator[Part]:
        """Take all of `data` (flat bytes), handing on each part that is certain not to be the last.

        Raises `TooLargeError`, before it takes a byte, when the plan has no room for all of it.
        """
        self._refuse_what_cannot_fit(len(data))
        taken = 0
        while taken < len(data):
            if self._filled == self._planned:
                self._seal()
            count = min(len(data) - taken, self._planned - self._filled)
            self._fill(data[taken : taken + count])
            taken += count
            if self._held is not None and self._filled >= self._behind:
                held, self._held = self._held, None
                yield held

    def finish(self) -> Part:
        """Hand on what is left: the last part, or the whole object when no part was cut before."""
        if self._held is not None and 0 < self._filled < self._behind:
            return self._join_tail()
        if self._filled or self._held is None:
            self._seal()
        assert self._held is not None  # noqa: S101 - the line above has just made it
        last, self._held = self._held, None
        return last

    @property
    def has_rest(self) -> bool:
        """Whether there are bytes that were not handed on."""
        return self._held is not None or self._filled > 0

    def finish_early(self, least: int) -> Iterator[Part]:
        """Hand on, of what there is, parts of `least` bytes or more: others will go on behind.

        With a reserve none: any of them may have to be joined by what comes last. `finish` has the
        rest, if there is some.
        """
        if self._behind > 1:
            return
        if self._filled >= least:
            if self._held is not None:
                held, self._held = self._held, None
                yield held
            self._seal()
        if self._held is not None:
            held, self._held = self._held, None
            yield held

    def drop(self) -> None:
        """Give back every buffer; nothing more will be cut."""
        if self._held is not None:
            self._buffers.give_back(self._held.body)
        if self._open is not None:
            self._buffers.give_back(self._open)
        self._held = self._open = None
        self._filled = 0

    def _refuse_what_cannot_fit(self, incoming: int) -> None:
        end = self.position + incoming
        done, offset = self._began
        if end <= offset + self._plan.start * (self._plan.max_parts - done):
            return
        capacity = self._plan.capacity(done, offset)
        if end > capacity:
            taken_up = f", {done:,} of which are there already" if done else ""
            raise TooLargeError(
                f"{end:,} bytes cannot fit: {self._plan.max_parts:,} parts, the first of"
                f" {self._plan.start:,} bytes{taken_up}, hold {capacity:,}; raise part_size or give"
                " size_hint"
            )

    def _fill(self, data: memoryview) -> None:
        end = self._filled + len(data)
        if self._open is None:
            first = self._planned if self._next_number > 1 else max(_FIRST_BUFFER, len(data))
            self._open = self._buffers.take(min(first, self._planned), self._planned)
        elif end > len(self._open):
            wanted = min(self._planned, max(end, 4 * len(self._open)))
            self._open = self._buffers.extend(self._open, wanted, self._planned)
        # A slice of a memoryview copies once; a slice of the bytearray itself would copy twice.
        with memoryview(self._open) as target:
            target[self._filled : end] = data
        self._filled = end
        self.position += len(data)

    def _seal(self) -> None:
        body, self._open = self._open, None
        if body is None:
            body = self._buffers.take(0, 0)
        elif len(body) != self._filled:
            body = self._buffers.extend(body, self._filled, self._filled)
        self._held = Part(self._next_number, self.position - self._filled, body)
        self._next_number += 1
        self._filled = 0
        self._planned = self._plan.size(self.position)

    def _join_tail(self) -> Part:
        assert self._held is not None  # noqa: S101 - the caller looked
        assert self._open is not None  # noqa: S101 - the caller looked
        held, tail = self._held, self._open
        before = held.size
        whole = before + self._filled
        joined = self._buffers.extend(held.body, whole, whole)
        with memoryview(joined) as target, memoryview(tail) as source:
            target[before:whole] = source[: self._filled]
        self._buffers.give_back(tail)
        self._held = self._open = None
        self._filled = 0
        return Part(held.number, held.offset, joined)
