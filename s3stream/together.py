"""Does several things at once, on threads, and gives back what came of each, in their order.

A failure means what it means in a loop. Things are begun in order, none when one has failed; what
was begun before that one is waited for, and what was begun behind it is told to stop. So all that
come before the one whose error is raised are done. No thread is left when it returns. Knows nothing
of S3 nor of files: a job is something to call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from .endings import late
from .errors import add_note, attach
from .pace import Pace
from .sender import Sender
from .waiting import Cancellation, wait_for

T = TypeVar("T")

# What is in the air when the caller is interrupted gets as long as a file that is discarded: two
# seconds for its request, and one for its clean-up.
_GRACE_SECONDS = 3.0


def _nothing() -> None:
    """What is to be done where nobody has said it."""


class Stop(Cancellation):
    """By it a job hears that nobody wants it any more. Asking for it takes no lock."""

    def __init__(self) -> None:
        super().__init__("it was given up")
        self._hurried = False
        self._then = self._then_hurry = _nothing

    def then(self, *, hurry: Callable[[], None], stop: Callable[[], None] = _nothing) -> None:
        """Have `stop` called when it is requested; `hurry` instead when nobody waits for long."""
        self._then, self._then_hurry = stop, hurry
        # It may have been requested before there was anything to call.
        if self._hurried:
            hurry()
        elif self._requested:
            stop()

    def request(self) -> None:
        """Stop; it is waited for."""
        super().request()
        self._then()

    def hurry(self) -> None:
        """Stop, whatever is on its way: whoever waits was interrupted."""
        self._hurried = True
        super().request()
        self._then_hurry()


@dataclass(frozen=True)
class Job(Generic[T]):
    """Something to do, and what it takes: requests at once, and bytes of memory."""

    do: Callable[[Stop], T]
    requests: int = 1
    memory: int = 0


class Together(Generic[T]):
    """Does jobs, so many that their requests are `at_once` at most, and their memory `memory`.

    One that takes more than that by itself is done alone. `pace` is for jobs that make their one
    request themselves. For one `run`.
    """

    def __init__(self, at_once: int, name: str, memory: int = 0, pace: Pace | None = None) -> None:
        self._at_once = at_once
        self._memory = memory
        self._name = name
        self._sender: Sender[None] = Sender(at_once, name, pace)
        self._changed = threading.Condition()
        self._running: dict[int, tuple[Job[T], Stop]] = {}
        self._stopped: set[int] = set()
        self._values: dict[int, T] = {}
        self._errors: dict[int, BaseException] = {}

    def run(self, jobs: Sequence[Job[T]]) -> list[T]:
        """Do them all; returns what they have returned, or raises the error of the first of them
        that has failed, with a note that says how many were done.

        An interrupt, such as Ctrl-C, stops all; it waits three seconds at most for what is in the
        air. One job alone, or one at a time, is done on the caller's own thread.
        """
        try:
            if self._at_once == 1 or len(jobs) == 1:
                for index, job in enumerate(jobs):
                    self._values[index] = job.do(Stop())
            else:
                self._run(jobs)
        except BaseException as error:
            if len(jobs) > 1:
                add_note(error, f"{len(self._values):,} of {len(jobs):,} objects were done before")
            raise
        return [self._values[index] for index in range(len(jobs))]

    def _run(self, jobs: Sequence[Job[T]]) -> None:
        try:
            for index, job in enumerate(jobs):
                if not self._begin(index, job):
                    break
                self._sender.collect(lambda outcome: None)  # each job has kept its own
            self._sender.settle()
        except BaseException as error:
            self._give_up(error)
            raise
        if self._errors:
            first = self._errors.pop(min(self._errors))
            self._tell_of_others(first)
            raise first

    def _begin(self, index: int, job: Job[T]) -> bool:
        stop = Stop()
        with self._changed:
            wait_for(self._changed, lambda: bool(self._errors) or self._has_room_for(job))
            if self._errors:
                return False
            self._running[index] = job, stop
        return self._sender.submit(partial(self._do, index, job, stop))

    def _has_room_for(self, job: Job[T]) -> bool:
        running = [other for other, _ in self._running.values()]
        return not running or (
            sum(other.requests for other in running) + job.requests <= self._at_once
            and sum(other.memory for other in running) + job.memory <= self._memory
        )

    def _do(self, index: int, job: Job[T], stop: Stop) -> None:
        try:
            value = job.do(stop)
            with self._changed:
                self._values[index] = value
        except BaseException as error:
            self._fail(index, error)
            raise
        finally:
            with self._changed:
                self._running.pop(index)
                self._changed.notify_all()

    def _fail(self, index: int, error: BaseException) -> None:
        with self._changed:
            self._errors[index] = error
            over = self._stopped | set(self._errors)
            behind = [other for other in self._running if other > index and other not in over]
            stops = [self._running[other][1] for other in behind]
            self._stopped.update(behind)
        for stop in stops:
            stop.request()

    def _give_up(self, error: BaseException) -> None:
        with self._changed:
            self._stopped.update(self._running)
            stops = [stop for _, stop in self._running.values()]
        for stop in stops:
            try:
                stop.hurry()
            except OSError as failed:  # noqa: PERF203 - the others must have their turn
                attach(error, failed)
        if not self._sender.settle(_GRACE_SECONDS):
            self._sender.when_settled(late(f"a request of {self._name}").set)
        self._tell_of_others(error)

    def _tell_of_others(self, error: BaseException) -> None:
        """Note on the error that is raised what was said of others: what failed, what is left."""
        with self._changed:
            others = sorted(self._errors.items())
        for index, other in others:
            if index not in self._stopped:
                add_note(error, f"and {type(other).__name__}: {other}")
            for note in getattr(other, "__notes__", ()):
                add_note(error, note)


class Told:
    """One of fsspec's callbacks, told by several threads, one at a time, of several files."""

    def __init__(self, callback: Any, count: int) -> None:
        self._callback = callback
        # Reentrant: who is told may do something of which it is told.
        self._lock = threading.RLock()
        callback.set_size(count)

    @contextmanager
    def about(self, source: str, dest: str) -> Iterator[_Branch]:
        """Tell of one file: gives what hears of its bytes; counts it when it is done."""
        with self._lock:
            child = self._callback.branched(source, dest)
        try:
            yield _Branch(child, self._lock)
        finally:
            with self._lock:
                child.close()
        with self._lock:
            self._callback.relative_update(1)


class _Branch:
    """What a callback has branched off for one file."""

    def __init__(self, callback: Any, lock: Any) -> None:
        self._callback = callback
        self._lock = lock

    def set_size(self, size: int) -> None:
        """The file has so many bytes."""
        with self._lock:
            self._callback.set_size(size)

    def relative_update(self, more: int) -> None:
        """So many more of them are there."""
        with self._lock:
            self._callback.relative_update(more)
