"""How uploads are joined to one object: which bytes are copied at the store, and which fetched.

Pure: sizes in, pieces out. S3 copies no part that is smaller than the least size of one (but the
last), so what is left over at a seam is fetched and sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Bytes `start` to `end` (not included) of the source of this index."""

    source: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.end - self.start


@dataclass(frozen=True)
class Piece:
    """One part of the joined object: one range that is copied, or several that are fetched."""

    ranges: tuple[Range, ...]
    copied: bool

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(byte_range.size for byte_range in self.ranges)


def plan(sizes: Sequence[int], least: int, most: int) -> list[Piece]:
    """The parts that make one object of sources of these sizes, in order.

    Every part but the last has at least `least` bytes, none more than `most` (at least twice
    `least`); at most `least` bytes of each seam are fetched. Nothing is planned for no bytes.
    """
    pieces: list[Piece] = []
    pending: list[Range] = []  # to be fetched; fewer than `least` bytes
    for source, size in enumerate(sizes):
        start = 0
        if pending:
            start = min(size, least - sum(byte_range.size for byte_range in pending))
            _add(pending, Range(source, 0, start))
            if sum(byte_range.size for byte_range in pending) == least:
                pieces.append(Piece(tuple(pending), copied=False))
                pending = []
        if size - start >= least:
            pieces += [Piece((part,), copied=True) for part in _cut(source, start, size, most)]
        else:
            _add(pending, Range(source, start, size))
    if pending:
        pieces.append(Piece(tuple(pending), copied=False))
    return pieces


def _add(pending: list[Range], byte_range: Range) -> None:
    if byte_range.size:
        pending.append(byte_range)


def _cut(source: int, start: int, end: int, most: int) -> Iterator[Range]:
    """Even ranges of at most `most` bytes; so none is small when all of it is not."""
    count = -(-(end - start) // most)
    for number in range(count):
        first = start + (end - start) * number // count
        yield Range(source, first, start + (end - start) * (number + 1) // count)
