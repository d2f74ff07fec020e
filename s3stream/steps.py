"""One step on a thread, awaited: for asyncio, whose own thread must never wait.

Knows nothing of files: a step is something to call, and something that ends it early.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from .sender import Outcome

T = TypeVar("T")


async def on_a_thread(
    job: Callable[[], T], name: str, interrupt: Callable[[], None] | None = None
) -> tuple[Outcome[T], asyncio.CancelledError | None]:
    """What has come of a job on a thread of its own, and the first cancellation meanwhile.

    The thread has ended when this returns, whatever was cancelled: a cancellation calls
    `interrupt`, which is to bring the job to its end, and the job is waited for all the same.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    outcomes: list[Outcome[T]] = []

    def run() -> None:
        try:
            outcomes.append(Outcome(job(), None))
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits, who raises it
            outcomes.append(Outcome[T](None, error))
        with suppress(RuntimeError):  # the loop was closed, and nobody waits
            loop.call_soon_threadsafe(over.set_result, None)

    run_here = contextvars.copy_context().run
    thread = threading.Thread(target=run_here, args=(run,), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        run()  # the process has all the threads that it may
    cancelled = None
    while not over.done():
        try:
            await asyncio.wait([over])
        except asyncio.CancelledError as error:  # noqa: PERF203 - after it the wait goes on
            cancelled = cancelled or error
            if interrupt is not None:
                interrupt()
    if thread.ident is not None:
        thread.join()  # it has nothing left to do
    return outcomes[0], cancelled


def value_of(outcome: Outcome[T]) -> T:
    """What a job has returned; raises what it has raised."""
    if outcome.error is not None:
        raise outcome.error
    return outcome.value  # type: ignore[return-value]  # where a job returns None, that is its value
