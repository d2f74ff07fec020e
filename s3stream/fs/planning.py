"""Which files a call about several comes to, and which ranges of objects are read as one.

Asks what fsspec asks, and moves no byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fsspec.spec import AbstractFileSystem

Pairs = list[tuple[str, str]]


class Plan:
    """Stands for a file system in fsspec's own loops over files, and notes what they would do.

    So what a list, a pattern, a depth or a slash at the end of a path means is what it means to the
    fsspec that is installed, also where it refuses something.
    """

    def __init__(self, fs: AbstractFileSystem) -> None:
        self._fs = fs
        self._pairs: Pairs = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fs, name)

    def of(self, loop: str, *args: Any, **kwargs: Any) -> Pairs:
        """From where to where `get`, `put` or `copy` would go, file by file."""
        getattr(AbstractFileSystem, loop)(self, *args, **kwargs)
        return self._pairs

    def _note(self, source: str, dest: str, **kwargs: Any) -> None:
        self._pairs.append((source, dest))

    get_file = put_file = cp_file = _note


def is_in_any_order(pairs: Pairs) -> bool:
    """Whether it makes no difference which goes first: none goes where another comes from or goes.

    Else the last one counts, as in a loop.
    """
    dests = {dest for _, dest in pairs}
    return len(dests) == len(pairs) and dests.isdisjoint(source for source, _ in pairs)


@dataclass
class Stretch:
    """Bytes `start` to `end` of an object (None: to its end), and whose they are.

    `wanted` says what is to be cut out of them: the how manyth range, and where it lies in these.
    """

    path: str
    start: int | None
    end: int | None
    wanted: list[tuple[int, slice]] = field(default_factory=list)


def stretches(
    ranges: Iterable[tuple[str, int | None, int | None]], max_gap: int | None
) -> list[Stretch]:
    """What to read for these ranges of objects, each a path, a start and an end.

    Those of one object that lie no more than `max_gap` bytes apart are read together; without a
    gap, or counted from an object's end, each for itself. In the order of their first range.
    """
    alone: list[tuple[int, Stretch]] = []
    by_path: dict[str, list[tuple[int, int, int]]] = {}
    for index, (path, start, end) in enumerate(ranges):
        first = start or 0
        if max_gap is None or end is None or first < 0 or end <= first:
            alone.append((index, Stretch(path, start, end, [(index, slice(None))])))
        else:
            by_path.setdefault(path, []).append((first, end, index))
    together = []
    for path, found in by_path.items():
        found.sort()
        together += _joined(path, found, max_gap or 0)
    return [stretch for _, stretch in sorted(alone + together, key=lambda pair: pair[0])]


def _joined(
    path: str, found: Sequence[tuple[int, int, int]], max_gap: int
) -> list[tuple[int, Stretch]]:
    joined: list[Stretch] = []
    reached = -1
    for start, end, index in found:
        if not joined or start > reached + max_gap:
            joined.append(Stretch(path, start, end))
            reached = end
        last = joined[-1]
        reached = last.end = max(reached, end)
        offset = start - (last.start or 0)
        last.wanted.append((index, slice(offset, offset + end - start)))
    return [(min(index for index, _ in stretch.wanted), stretch) for stretch in joined]
