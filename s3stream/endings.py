"""How a process ends under open files: interpreter exit, SIGTERM, fork.

Keeps a list of what is open, and abandons it all when there is no more time. Knows nothing of S3,
nor how a file is abandoned.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Protocol

# What all open files together get before the process goes on ending: for requests in flight, and
# then for what has outlasted that. Kubernetes kills 30 seconds after its SIGTERM.
_SECONDS = 2.0
_MORE_SECONDS = 3.0


class Open(Protocol):
    """Something that must not outlive the process half-done."""

    def _cancel(self) -> None:
        """End what it waits for, on whatever thread; takes no lock."""

    def _abandon(self, why: str, seconds: float) -> None:
        """Clean up, with no more than so many seconds for others to come to an end."""


# By id. A dictionary, because others may open files and a garbage collection may end some while we
# look: it is copied in one step.
_OPEN: dict[int, weakref.ref[Open]] = {}
# What is still on its way when its file has ended; set when it is over.
_LATE: dict[threading.Event, str] = {}
_at_exit = threading.Event()


def watch(file: Open) -> None:
    """See to it that `file` is abandoned when the process ends before `forget(file)`."""
    _prepare()
    _OPEN[id(file)] = weakref.ref(file)


def forget(file: Open) -> None:
    """The file has come to its own end."""
    _OPEN.pop(id(file), None)


def late(what: str) -> threading.Event:
    """Have the end of the process wait a little for something, until the event is set."""
    _prepare()
    for event in [event for event in list(_LATE) if event.is_set()]:
        _LATE.pop(event, None)
    over = threading.Event()
    _LATE[over] = what
    return over


def is_at_exit() -> bool:
    """Whether the interpreter is exiting: there is nobody who could want to wait."""
    return _at_exit.is_set()


def is_too_late() -> bool:
    """Whether the interpreter is past the point up to which threads and modules can be used."""
    return sys.is_finalizing()


def discard_on_sigterm() -> None:
    """From now on, let SIGTERM discard every open file before it does what it did before.

    Uploads in progress are aborted and nothing is published; that takes up to a few seconds. Then
    the handler that was there is called; where there was none, the process ends by the signal, as
    it would have. To be called once, in the main thread (`ValueError` elsewhere). A forked child
    leaves its parent's uploads alone.
    """
    before = signal.getsignal(signal.SIGTERM)
    if getattr(before, "s3stream_discards", False):
        return

    def discard_and_chain(number: int, frame: FrameType | None) -> None:
        _abandon_all("the process was told to end (SIGTERM)")
        if callable(before):
            before(number, frame)
        elif before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    discard_and_chain.s3stream_discards = True  # type: ignore[attr-defined]  # so that twice is once
    signal.signal(signal.SIGTERM, discard_and_chain)


def _abandon_all(why: str) -> None:
    deadline = time.monotonic() + _SECONDS
    files = [file for ref in list(_OPEN.values()) if (file := ref()) is not None]
    for file in files:
        file._cancel()
    for file in files:
        _show_errors_of(file._abandon, why, max(0.0, deadline - time.monotonic()))
    deadline = time.monotonic() + _MORE_SECONDS
    for over, what in list(_LATE.items()):
        if not over.wait(max(0.0, deadline - time.monotonic())):
            _show_errors_of(_warn_of_late, what)


def _warn_of_late(what: str) -> None:
    warnings.warn(
        f"{what} is still not answered: an unfinished upload may be left at the store",
        RuntimeWarning,
        stacklevel=1,
    )


def _show_errors_of(action: Callable[..., None], *arguments: object) -> None:
    try:
        action(*arguments)
    except BaseException:  # noqa: BLE001 - the other files must have their turn
        sys.excepthook(*sys.exc_info())


@functools.cache
def _prepare() -> None:
    """Once, from the first file on: nothing of ours is started by import."""
    atexit.register(_abandon_all, "the interpreter exits")
    atexit.register(_at_exit.set)  # called first: the last comes first
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_the_parents)


def _forget_the_parents() -> None:
    _OPEN.clear()
    _LATE.clear()
