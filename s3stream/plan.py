"""How large each part is to be, known before a byte is there.

Pure arithmetic. S3 takes 10,000 parts of at most 5 GiB, and wants every part but the last to have
at least 5 MiB: who does not know the length has to start small and grow in time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from .errors import TooLargeError, UsageError
from .options import MAX_PART_SIZE, MiB, WriteOptions

# With parts of `sent / (0.13 * max_parts)` the sum grows by e every 1,300 parts of 10,000; from
# 5 MiB on that reaches 5.5 TiB with parts of up to 4.3 GiB. Larger: never needed sooner, and a
# smaller divisor would let parts (and temporary files) grow earlier than they must.
_GROWTH = 0.13


@dataclass(frozen=True)
class Plan:
    """The sizes of an upload's parts, a function of part number and offset alone.

    `start`: bytes of the first part. `grows`: whether later parts may be larger.
    `evenly_to`: up to this offset (the size hint) the size stays what it was. `before`: parts and
    bytes that are not cut by this plan, but take numbers and room; sizes count from behind them.
    """

    start: int
    max_parts: int
    grows: bool
    evenly_to: int
    max_part_size: int = MAX_PART_SIZE
    before: tuple[int, int] = (0, 0)

    def size(self, offset: int) -> int:
        """Bytes of the part that begins at `offset`."""
        parts, size = self.before
        offset -= size
        if not self.grows or offset < self.evenly_to:
            return self.start
        wanted = offset / (_GROWTH * (self.max_parts - parts))
        unit = min(MiB, self.start)
        return min(max(self.start, int(-(-wanted // unit)) * unit), self.max_part_size)

    def capacity(self, done: int = 0, offset: int = 0) -> int:
        """The most bytes that fit, were the last part no larger than planned.

        `done` parts of together `offset` bytes are there already.
        """
        return _capacity(self, done, offset)

    def cut(self, size: int, reserve: int = 0) -> list[tuple[int, int]]:
        """Offset and bytes of each part of `size` bytes, as they would be cut from a stream.

        A tail below `reserve` joins the part before it. Raises `TooLargeError` when there is no
        room for them.
        """
        if size > self.capacity():
            raise TooLargeError(
                f"{size:,} bytes cannot fit: {self.max_parts:,} parts, the first of"
                f" {self.start:,} bytes, hold {self.capacity():,}; raise part_size"
            )
        parts: list[tuple[int, int]] = []
        offset = 0
        while offset < size:
            planned = min(self.size(offset), size - offset)
            if parts and planned < reserve and offset + planned == size:
                before, length = parts.pop()
                parts.append((before, length + planned))
            else:
                parts.append((offset, planned))
            offset += planned
        return parts


@functools.lru_cache(maxsize=64)
def _capacity(plan: Plan, done: int, offset: int) -> int:
    if not plan.grows:
        return offset + plan.start * (plan.max_parts - done)
    for _ in range(plan.max_parts - done):
        offset += plan.size(offset)
    return offset


def plan_parts(options: WriteOptions, before: tuple[int, int] = (0, 0)) -> Plan:
    """Make the plan that these options ask for, behind so many parts and bytes of something else.

    Raises `UsageError` when `size_hint` is known not to fit.
    """
    # A tail below the reserve joins the part before it, which must not outgrow the store for that.
    largest = MAX_PART_SIZE - options.reserve
    start = options.part_size
    hint = options.size_hint or 0
    if options.equal_parts:
        plan = Plan(start, options.max_parts, False, 0, largest, before)
    else:
        # A hint is a hint: a tenth of the parts is kept for what comes beyond it, if that fits.
        evenly = -(-hint // max(1, (options.max_parts - before[0]) * 9 // 10))
        unit = min(MiB, start)
        start = min(max(start, -(-evenly // unit) * unit), largest)
        plan = Plan(start, options.max_parts, True, hint, largest, before)
    room = plan.capacity(*before) - before[1]
    if hint > room:
        raise UsageError(
            f"size_hint={hint:,} bytes cannot fit: {options.max_parts - before[0]:,} parts of"
            f" {plan.start:,} bytes are {room:,}; raise part_size"
            + (" (equal_parts keeps it from growing)" if options.equal_parts else "")
        )
    return plan
