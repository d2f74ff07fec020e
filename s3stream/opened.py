"""Where a file was opened: in which line, by which process, while which exception was handled.

By that it knows at its end what to say of itself, and whether that end is its own to decide. Must
not know what is opened.
"""

from __future__ import annotations

import os
import sys


class Opened:
    """The moment in which it is made."""

    def __init__(self) -> None:
        self.at = first_foreign_line()
        self.process = os.getpid()
        # Opened inside an `except` block: that exception is no reason to discard.
        self._handled = sys.exc_info()[1]

    def unwinding(self) -> BaseException | None:
        """The exception that is being raised now, if it is not one that was handled then."""
        error = sys.exc_info()[1]
        return None if error is self._handled else error

    def forget(self) -> None:
        """Nobody asks again; or that exception would live, with all its frames, as long as we."""
        self._handled = None


def first_foreign_line() -> str:
    """Find the file and line of the code that uses us, past ourselves and the wrappers we know."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if room not in {"s3stream", "fsspec"}:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
