"""SIGINT, SIGTERM, SIGHUP: the first ends a verb by an exception in the main thread.

Knows nothing of verbs. A process that was told to end by a signal ends by that signal, when all has
been cleaned up: so a shell's loop ends with it, and a supervisor sees why.
"""

from __future__ import annotations

import atexit
import contextlib
import enum
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

# Windows has no SIGHUP.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(BaseException):
    """A signal has asked this process to end; no `Exception`, so that nobody swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}"


class _Attitude(enum.Enum):
    """What the next signal does."""

    RAISE = "raise Stopped"
    WAIT = "be remembered, and raised when whoever holds it lets go"
    HAND_ON = "be passed on: it has stopped us already"
    IGNORE = "nothing: all is done"


def _to_nobody(number: int) -> None:
    pass


class Signals:
    """The signals of this process; there is one, `SIGNALS`."""

    def __init__(self) -> None:
        self._attitude = _Attitude.IGNORE
        self._first: int | None = None
        self._pass_on: Callable[[int], None] = _to_nobody
        self._end_by: int | None = None

    def listen(self) -> None:
        """From now on the first of them raises `Stopped`; those that were ignored stay ignored.

        No other one raises: a terminal that closes sends two, and they would tear the clean-up.
        """
        atexit.register(self._end)  # called last: what was registered first
        self._attitude = _Attitude.RAISE
        for number in _ENDING:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._arrive)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is raised in here; if one has come, `Stopped` is raised at the end."""
        self._attitude = _Attitude.WAIT
        try:
            yield
        finally:
            self._attitude = _Attitude.RAISE
        if self._first is not None:
            self._raise(self._first)

    def pass_on(self, to: Callable[[int], None]) -> None:
        """Give those that come after the first to somebody else."""
        self._pass_on = to

    def raise_if_stopped(self) -> None:
        """Raise `Stopped` again: it is lost when it comes in the middle of a finaliser."""
        if self._first is not None:
            raise Stopped(self._first)

    def ignore(self) -> None:
        """From now on all is done but the exit, and nothing changes what has become of it."""
        self._attitude = _Attitude.IGNORE

    def end_by(self, number: int) -> int:
        """Have the process end by this signal when its exit has cleaned up; the exit code of it."""
        self._end_by = number
        return 128 + number

    def _arrive(self, number: int, frame: FrameType | None) -> None:
        if self._attitude is _Attitude.HAND_ON:
            self._pass_on(number)
        elif self._attitude is not _Attitude.IGNORE and self._first is None:
            self._first = number
            if self._attitude is _Attitude.RAISE:
                self._raise(number)

    def _raise(self, number: int) -> None:
        self._attitude = _Attitude.HAND_ON
        raise Stopped(number)

    def _end(self) -> None:
        if self._end_by is None:
            return
        with contextlib.suppress(OSError, ValueError):  # that nobody hears us may be why we end
            if sys.stdout is not None:
                sys.stdout.flush()
        signal.signal(self._end_by, signal.SIG_DFL)
        os.kill(os.getpid(), self._end_by)


SIGNALS = Signals()


def has_had_it(number: int) -> bool:
    """Whether who runs in our process group was sent the signal too, by the terminal."""
    if number != signal.SIGINT:
        return False
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:  # noqa: PTH123 - nothing of a path
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False  # there is no terminal
