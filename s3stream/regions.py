"""What a caller gives as a part: bytes of his own, or a stretch of a local file.

A region is read where it lies, and never in memory whole; each opens the file for itself, so that
many can be read at once. Must not know S3.
"""

from __future__ import annotations

import io
import os
from typing import IO, Any

from .errors import S3StreamError, UsageError


class FileRegion(io.RawIOBase):
    """`size` bytes of the file at `path` from `offset` on (None: all the rest), as a file to read.

    Raises `UsageError` when the file ends before, and `S3StreamError` from a read when it has
    become shorter since: memory-mapped, that would have been a SIGBUS, which nobody can catch.
    """

    def __init__(self, path: str | os.PathLike[str], offset: int, size: int | None = None) -> None:
        super().__init__()
        try:
            self._file = io.FileIO(path)
        except BaseException:
            super().close()  # or the collector would close a file that never was
            raise
        self._path = os.fspath(path)
        self._offset = offset
        self._at = 0
        end = os.fstat(self._file.fileno()).st_size
        self.size = max(end - offset, 0) if size is None else size
        try:
            check_range(offset, self.size, end)
        except UsageError:
            self.close()
            raise

    def readable(self) -> bool:
        """Tell that this is for reading."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read again, as another attempt does."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read into `buffer` what comes next; 0 at the end of the region."""
        with memoryview(buffer) as view, view.cast("B") as flat:
            wanted = min(len(flat), self.size - self._at)
            if wanted <= 0:
                return 0
            self._file.seek(self._offset + self._at)
            count = self._file.readinto(flat[:wanted])
        if not count:
            raise S3StreamError(
                f"{self._path} was truncated: it ends before byte {self._offset + self._at:,}, and"
                f" was to be read to {self._offset + self.size:,}"
            )
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte of the region; returns which."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """The next byte of the region to be read."""
        return self._at

    def close(self) -> None:
        """Close this region's own file."""
        self._file.close()
        super().close()


def check_range(offset: int, size: int, end: int) -> None:
    """Refuse bytes that a file of `end` bytes does not have; raises `UsageError`."""
    if offset < 0 or size < 0 or offset + size > end:
        raise UsageError(f"offset={offset:,}, size={size:,}: the file ends after {end:,} bytes")


def body_of(data: Any) -> bytes | bytearray:
    """A C-contiguous buffer as what can be sent: bytes and bytearrays as they are, else a copy."""
    if isinstance(data, (bytes, bytearray)):
        return data
    try:
        with memoryview(data) as view:
            # An array with a zero in its shape cannot be cast.
            if view.nbytes == 0:
                return b""
            with view.cast("B") as flat:
                return bytes(flat)
    except TypeError:
        raise TypeError(
            f"a part of {type(data).__name__}: expected bytes or another C-contiguous buffer"
        ) from None


def read_range(file: IO[bytes], offset: int, size: int | None) -> bytes:
    """Read `size` bytes (None: all the rest) from `offset` of a seekable file.

    Raises `UsageError` when it does not have them, before it reads any.
    """
    end = file.seek(0, os.SEEK_END)
    size = max(end - offset, 0) if size is None else size
    check_range(offset, size, end)
    file.seek(offset)
    pieces: list[bytes] = []
    missing = size
    while missing:
        piece: object = file.read(missing)  # a raw file may give less than it is asked for
        if not isinstance(piece, bytes) or not piece:
            raise UsageError(
                f"offset={offset:,}, size={size:,}: after {size - missing:,} bytes read() has given"
                f" {piece!r}; expected a binary file that stays as it is"
            )
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
