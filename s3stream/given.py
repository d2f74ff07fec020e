"""What a caller may give for a part: its number, its size, its range of another object, a receipt.

Pure: takes what is right, and says of the rest what would be.
"""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import Any

from .errors import UsageError
from .options import MAX_PART_SIZE
from .state import Receipt


def part_number_of(number: Any, max_parts: int) -> int:
    """The number of a part, from 1 on. Raises `UsageError` for what is none."""
    with suppress(TypeError):
        whole = operator.index(number)
        if not isinstance(number, bool) and 1 <= whole <= max_parts:
            return whole
    raise UsageError(f"part number {number!r}: expected 1 to {max_parts:,}")


def check_part_size(size: int) -> None:
    """Refuse a part that no store takes; raises `UsageError`."""
    if not 0 < size <= MAX_PART_SIZE:
        raise UsageError(f"a part of {size:,} bytes: expected 1 byte to 5 GiB")


def range_of(byte_range: Any, size: int, source_uri: str) -> tuple[int, int]:
    """The range of a source of `size` bytes that becomes a part, None for all of it.

    Raises `UsageError` for one that the source does not have, or that is too long.
    """
    if byte_range is None:
        byte_range = (0, size)
    fits = (
        isinstance(byte_range, (tuple, list))
        and [type(end) for end in byte_range] == [int, int]
        and 0 <= byte_range[0] < byte_range[1] <= size
    )
    if not fits:
        raise UsageError(
            f"byte_range={byte_range!r}: {source_uri} has {size:,} bytes; expected (start, end)"
            " with at least one byte between, the end not included"
        )
    if byte_range[1] - byte_range[0] > MAX_PART_SIZE:
        raise UsageError(
            f"byte_range={byte_range!r}: a part has at most 5 GiB; copy {source_uri} in ranges"
        )
    return byte_range[0], byte_range[1]


def receipt_of(given: object) -> Receipt:
    """A receipt, as sending a part has returned it; raises `UsageError` for anything else."""
    crc: object = getattr(given, "crc", None)
    if isinstance(given, Receipt) and (
        crc is None or (isinstance(crc, int) and 0 <= crc < 1 << 64)
    ):
        return given
    raise UsageError(f"{given!r}: expected a Receipt, as sending a part returns it")
