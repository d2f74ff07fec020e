"""Runs jobs on threads of its own, at most N at once, and gives back what came of them.

Knows nothing of S3: a job is something to call. Threads live as long as their job: none is left
when the last job is done, and none is started by making a sender. They are daemons, because a
request that hangs must not keep the interpreter from exiting.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .pace import Pace
from .waiting import Cancellation, Stopwatch, wait_for

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of one job: a value, or the error that it raised."""

    value: T | None
    error: BaseException | None


class Sender(Generic[T]):
    """A row of at most `concurrency` jobs in flight, and of no more than `pace` allows just now.

    `waiting` runs while its owner waits for it, `idle` while nothing is in flight.
    """

    def __init__(
        self,
        concurrency: int,
        name: str,
        pace: Pace | None = None,
        cancellation: Cancellation | None = None,
        waiting: Stopwatch | None = None,
        idle: Stopwatch | None = None,
    ) -> None:
        self._concurrency = concurrency
        self._pace = pace or Pace()
        self._cancellation = cancellation
        self._name = name
        self._waiting = waiting
        self._idle = idle
        self._changed = threading.Condition()
        self._in_flight = 0
        self._failed = False
        self._outcomes: deque[Outcome[T]] = deque()
        self._epilogue: Callable[[], None] | None = None

    @property
    def in_flight(self) -> int:
        """Jobs that have been submitted and have not ended."""
        return self._in_flight

    def submit(self, job: Callable[[], T], placed: Callable[[], None] | None = None) -> bool:
        """Start a job on a thread, waiting for a free place first (this is the backpressure).

        False when an earlier job has failed, and this one was not started: `collect` has the error.
        A cancellation ends the wait with its `S3StreamError`; the job was not started then either.
        When an interrupt is raised it runs or it does not; it does not begin later. `placed` is
        called when the wait is over and the job is about to start.
        """
        with self._changed:
            wait_for(
                self._changed,
                self._may_go_on,
                cancellation=self._cancellation,
                stopwatch=self._waiting,
            )
            if self._failed:
                return False
            if self._in_flight == 0 and self._idle is not None:
                self._idle.stop()
            self._in_flight += 1
        waiting = [job]
        try:
            if placed is not None:
                placed()
            thread = threading.Thread(
                target=self._run, args=(waiting,), name=self._name, daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                # The interpreter is going down (3.12 and later start no threads then) or the
                # process has all the threads that it may: the caller's own does as well.
                self._run(waiting)
        except BaseException:
            if _taken_from(waiting):
                self._leave(succeeded=False)
            raise
        return True

    def collect(self, keep: Callable[[Outcome[T]], None]) -> None:
        """Give `keep` the outcomes that have come in since the last time, oldest first.

        One that was not kept because of an interrupt is given again: so may be the last one.
        """
        while self._outcomes:
            keep(self._outcomes[0])
            self._outcomes.popleft()

    def settle(
        self, timeout: float | None = None, *, cancellation: Cancellation | None = None
    ) -> bool:
        """Wait until nothing is in flight; False when `timeout` seconds were not enough.

        A `cancellation` ends the wait with its `S3StreamError`.
        """
        with self._changed:
            return wait_for(
                self._changed,
                lambda: self._in_flight == 0,
                timeout,
                cancellation,
                self._waiting,
            )

    def when_settled(self, epilogue: Callable[[], None]) -> None:
        """Call `epilogue` once on the thread of the last job to end, or now if all have ended."""
        with self._changed:
            if self._in_flight:
                self._epilogue = epilogue
                return
        epilogue()

    def _may_go_on(self) -> bool:
        # The last of the three takes a place in the pace's count.
        return self._failed or (self._in_flight < self._concurrency and self._pace.try_enter())

    def _run(self, waiting: list[Callable[[], T]]) -> None:
        for job in _taken_from(waiting):
            try:
                outcome = Outcome(job(), None)
            except BaseException as error:  # noqa: BLE001 - handed to the owner, who raises it
                outcome = Outcome[T](None, error)
            self._outcomes.append(outcome)
            self._leave(succeeded=outcome.error is None)

    def _leave(self, *, succeeded: bool) -> None:
        self._pace.leave(succeeded=succeeded)
        with self._changed:
            self._failed = self._failed or not succeeded
            self._in_flight -= 1
            epilogue = None
            if self._in_flight == 0:
                if self._idle is not None:
                    self._idle.start()
                epilogue, self._epilogue = self._epilogue, None
            self._changed.notify_all()
        if epilogue is not None:
            epilogue()


def _taken_from(waiting: list[T]) -> list[T]:
    """What waits there, for the first who asks: a list gives each thing away in one step."""
    try:
        return [waiting.pop()]
    except IndexError:
        return []
