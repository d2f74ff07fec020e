"""From a descriptor of this process into a file, to the last byte.

Must not know whose descriptor it is, nor what becomes of the file.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from ..errors import UsageError
from .signals import SIGNALS

PIECE = 1 << 20

OUTPUT = "standard output"


def descriptor_of(stream: TextIO | None, name: str) -> int:
    """The descriptor of a standard stream. Raises `UsageError` when it was closed at the start."""
    if stream is None:
        raise UsageError(f"{name} is closed")
    return stream.fileno()


def standard_input() -> int:
    """The descriptor of standard input."""
    return descriptor_of(sys.stdin, "standard input")


def print_bytes(data: bytes) -> None:
    """Write all of it to standard output, past Python's buffer: what fails, fails here."""
    output = descriptor_of(sys.stdout, OUTPUT)
    with memoryview(data) as view:
        written = 0
        while written < len(view):
            with _named(OUTPUT):
                written += os.write(output, view[written:])


def print_line(line: str) -> None:
    """Print a line, by way of Python's buffer."""
    descriptor_of(sys.stdout, OUTPUT)
    with _named(OUTPUT):
        sys.stdout.write(f"{line}\n")


def flush_output() -> None:
    """Print what is still buffered, if anything was printed."""
    if sys.stdout is not None:
        with _named(OUTPUT):
            sys.stdout.flush()


def give_up_output() -> None:
    """Nothing more can be printed; what is buffered would fail once more at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = name
        raise


def size_ahead(source: int) -> int | None:
    """How many bytes are still to be read, if it is a file that knows (`put - URI < FILE`)."""
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(source, 0, os.SEEK_CUR))


def pieces(source: int, name: str, at_most: int | None = None) -> Iterator[memoryview]:
    """All that comes (or so many bytes of it), in pieces that hold until the next one.

    `name` stands in errors.
    """
    left = at_most
    buffer = bytearray(PIECE)
    with memoryview(buffer) as view:
        while left != 0:
            read = _read(source, view if left is None else view[:left], name)
            if not read:
                return
            SIGNALS.raise_if_stopped()
            yield view[:read]
            left = None if left is None else left - read


def copy(source: int, name: str, write: Callable[[Any], int], told: Callable[[int], None]) -> None:
    """Write all that comes, and tell of each piece how many bytes it had."""
    for piece in pieces(source, name):
        write(piece)
        told(len(piece))


def _read(source: int, buffer: memoryview, name: str) -> int:
    while True:
        try:
            with _named(name):
                return os.readv(source, [buffer])
        except BlockingIOError:  # noqa: PERF203 - whoever had it before us has left it so
            # It is not at its end: taking it for that would publish half an object.
            select.select([source], [], [])
