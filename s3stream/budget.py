"""The one budget of memory that all writers of a process share, and how it is set.

Counts bytes that others hold; gives out nothing itself, and waits for nothing.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from .errors import UsageError

_DEFAULT_BUDGET = 1 << 30
_SMALLEST_BUDGET = 1 << 20


class Member(Protocol):
    """Who takes part: `alive` bytes are given out to it, `kept` are its own for recycling."""

    alive: int

    @property
    def kept(self) -> int:
        """Bytes that it could do without."""

    def drop_kept(self) -> None:
        """Do without them."""


class Budget:
    """The memory that all writers of a process share: never more than `limit` bytes given out.

    Everything here is to be called while holding `changed`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.peak = 0
        self.changed = threading.Condition()
        # By id. A garbage collection may end a writer in the middle of any line here, on the thread
        # that has the lock: so nothing is iterated over but a copy, which is made in one step.
        self._members: dict[int, weakref.ref[Member]] = {}

    def join(self, member: Member) -> None:
        """Count this writer's buffers from now on; until it leaves or is gone."""
        self._members[id(member)] = weakref.ref(member)

    def leave(self, member: Member) -> None:
        """Count this writer's buffers no more."""
        self._members.pop(id(member), None)

    @property
    def alive(self) -> int:
        """Bytes that are given out now."""
        # Counted anew: what a writer holds that is gone itself is not missed for ever.
        return sum(member.alive for member in self._present())

    def has_room_for(self, size: int) -> bool:
        """Whether so many bytes more can be given out."""
        return size == 0 or self.alive + size <= self.limit

    def make_way(self) -> None:
        """Have what the writers keep for recycling come within the limit too."""
        alive = self.alive
        self.peak = max(self.peak, alive)
        if alive + sum(member.kept for member in self._present()) > self.limit:
            for member in self._present():
                member.drop_kept()

    def _present(self) -> list[Member]:
        return [member for ref in list(self._members.values()) if (member := ref()) is not None]


# By process too: a forked child starts with nothing given out.
_BUDGETS: dict[int, Budget] = {}
_limit = _DEFAULT_BUDGET


def budget_of_process() -> Budget:
    """The budget of this process."""
    # setdefault is one step: a lock could be held by another thread at the moment of a fork.
    return _BUDGETS.setdefault(os.getpid(), Budget(_limit))


def limit_memory(limit: int) -> None:
    """Set how many bytes the parts of all files of this process may hold in memory together.

    The default is 1 GiB. Whoever gets no memory because of it waits for parts of its own that are
    on their way, and if there are none its parts wait in temporary files. Raises `UsageError` for
    less than 1 MiB.
    """
    global _limit  # noqa: PLW0603 - there is one process
    whole: object = limit
    if not isinstance(whole, int) or isinstance(whole, bool) or limit < _SMALLEST_BUDGET:
        raise UsageError(f"limit={limit!r}: expected a whole number of bytes, at least 1 MiB")
    _limit = limit
    budget = budget_of_process()
    with budget.changed:
        budget.limit = limit
        budget.changed.notify_all()
