"""SIGINT, SIGTERM, SIGHUP: each ends a verb by an exception in the main thread, once.

Knows nothing of verbs. A process that was told to end by a signal ends by that signal, when all has
been cleaned up: so a shell's loop ends with it, and a supervisor sees why.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from types import FrameType

# Windows has no SIGHUP.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_arrived: list[int] = []
_ends_by: list[int] = []
_over: list[bool] = []


class Stopped(BaseException):
    """A signal has asked this process to end; no `Exception`, so that nobody swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


def listen() -> None:
    """From now on the first of them raises `Stopped`; those that were ignored stay ignored.

    Later ones are only remembered: a terminal that closes sends two, and the clean-up, which takes
    seconds, would be torn.
    """
    atexit.register(_end)  # called last: what was registered first
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _raise)


def arrived() -> int | None:
    """The first signal that has come, if one has."""
    return _arrived[0] if _arrived else None


def raise_if_arrived() -> None:
    """Raise `Stopped` once more: it was lost if it came in the middle of a finaliser."""
    if _arrived:
        raise Stopped(_arrived[0])


def ignore() -> None:
    """From now on all is done but the exit: a first one that comes so late changes nothing."""
    _over.append(True)


def end_by(number: int) -> int:
    """Have the process end by this signal when its exit has cleaned up; returns the exit code."""
    _ends_by.append(number)
    return 128 + number


def _raise(number: int, frame: FrameType | None) -> None:
    _arrived.append(number)
    if len(_arrived) == 1 and not _over:
        raise Stopped(number)


def _end() -> None:
    if not _ends_by:
        return
    # What is printed nobody hears by now may be why we end.
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
    signal.signal(_ends_by[0], signal.SIG_DFL)
    os.kill(os.getpid(), _ends_by[0])
