"""All that the command says: results on stdout; errors, warnings and the progress bar on stderr.

The library's warnings and its log are said here too, in the command's own words. Must not know what
a verb does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any, TextIO

from .bar import Bar
from .streams import print_line
from .wording import in_our_words, sentence

_CLEAR = "\r\x1b[K"
_COLUMNS = 80  # where a terminal does not say how wide it is


class Voice:
    """What one run of the command says, as `prog`; a verb has no other way to print."""

    def __init__(self, prog: str) -> None:
        self.prog = prog
        self.json = False
        self.quiet = False
        # Warnings and log lines come from any thread.
        self._lock = threading.RLock()
        self._bar_is_shown = False

    def result(self, facts: Mapping[str, Any], line: str | None = None) -> None:
        """A result: `facts` with --json, else `line` (None: nothing to show), on stdout."""
        if self.json:
            self.print(json.dumps(facts, default=str))
        elif line is not None:
            self.print(line)

    def print(self, line: str) -> None:
        """A line on stdout. Raises `BrokenPipeError` when nobody reads it any more."""
        with self._lock:
            self._clear_bar()
            print_line(line)

    def done(self, line: str) -> None:
        """A last line, for who watches: on a terminal only, and not with --quiet or --json."""
        if self._is_watched() and not self.json:
            self._say(line)

    def warn(self, text: str) -> None:
        """A warning: it goes on, and somebody should know."""
        self._say(f"{self.prog}: warning: {sentence(in_our_words(text))}")

    def fail(self, problem: BaseException | str) -> None:
        """The error that ends it, in one sentence."""
        self._say(f"{self.prog}: {sentence(in_our_words(problem))}")

    def bar(self, total: int | None = None) -> Bar:
        """A progress bar of so many bytes, if known; drawn on terminals only."""
        return Bar(self._draw if self._is_watched() else None, total)

    def hear(self) -> None:
        """From now on say the library's warnings, and what is logged as WARNING or worse."""
        if sys.stdout is not None:
            # A key may hold what the terminal's encoding has not.
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is the interpreter's own
        warnings.simplefilter("ignore")  # deprecations and their like are for developers
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = self._show_warning
        logging.getLogger().addHandler(_Heard(self))

    def _show_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        self.warn(str(message))

    def _is_watched(self) -> bool:
        return not self.quiet and sys.stderr is not None and sys.stderr.isatty()

    def _draw(self, line: str) -> None:
        with self._lock:
            _write(f"{_CLEAR}{line[: _columns() - 1]}")
            self._bar_is_shown = True

    def _clear_bar(self) -> None:
        if self._bar_is_shown:
            _write(_CLEAR)
            self._bar_is_shown = False

    def _say(self, line: str) -> None:
        with self._lock:
            self._clear_bar()
            _write(f"{line}\n")


class _Heard(logging.Handler):
    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.warn(record.getMessage())


def _columns() -> int:
    # Of the terminal that we draw on: standard output may be another, or none.
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def printable(text: str) -> str:
    """A key as one line of a listing: it may hold line breaks, and what terminals obey."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _write(text: str) -> None:
    # Of a stderr that is closed nobody can be told; what is being written must not suffer for it.
    try:
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()
    except (OSError, ValueError):
        pass
