"""What is written before it is sent: a temporary file in which one can go back and forth.

Knows bytes on a disk, and not what becomes of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import S3StreamError, UsageError
from .options import MiB


class Draft:
    """An empty temporary file without a name, in the folder that `spool` says, until `close`.

    A process that dies leaves nothing of it. Raises `UsageError` where `spool` is False, and
    `S3StreamError`, with the `errno` of the disk, for a folder that is none or a full disk.
    """

    def __init__(self, spool: bool | str) -> None:
        if spool is False:
            raise UsageError(
                "modes 'w+b' and 'x+b' keep the file in a temporary file until it is sent, and"
                " spool=False forbids one; allow spool, or name a folder with it"
            )
        self._folder = spool if isinstance(spool, str) else tempfile.gettempdir()
        self._size = 0
        with self._explained("no temporary file"):
            # Unbuffered: whoever wants a buffer puts one above us.
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by `close`

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return bool(self._file.closed)

    @property
    def size(self) -> int:
        """Its length in bytes; when it is gone, what it was."""
        if not self.closed:
            self._size = os.fstat(self._file.fileno()).st_size
        return self._size

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._file.fileno()

    def tell(self) -> int:
        """The position of the next read or write."""
        return self._file.tell()

    def seek(self, offset: int, whence: int) -> int:
        """Move that position, as files do, and return it."""
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:
        """Read up to as many bytes as fit; returns how many."""
        return self._file.readinto(buffer)

    def write(self, data: memoryview) -> None:
        """Write all of it, or raise `S3StreamError`: then some of it may be there."""
        with self._explained(f"no room for {len(data):,} more bytes in the temporary file"):
            while data:
                data = data[self._file.write(data) :]

    def truncate(self, size: int) -> int:
        """Cut it off, or have zeros behind it, so that it has `size` bytes."""
        with self._explained(f"no temporary file of {size:,} bytes"):
            return self._file.truncate(size)

    def pieces(self) -> Iterator[memoryview]:
        """All of it from the beginning, a mebibyte at a time, each good until the next is asked."""
        piece = memoryview(bytearray(MiB))
        self._file.seek(0)
        while count := self._file.readinto(piece):
            yield piece[:count]

    def close(self) -> None:
        """Let go of the file and of the room it takes; harmless a second time."""
        if not self.closed:
            self._size = self.size
            self._file.close()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            failed = S3StreamError(
                f"{what} in {self._folder}, where the file waits until it is sent:"
                f" {error.strerror or error}; make room, or name another folder with spool="
            )
            failed.errno = error.errno or failed.errno
            raise failed from error
