"""An archive at its place, as a file to read: ranges of one version, read ahead.

Must not know formats of archives.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..ahead import Ahead
from ..errors import PreconditionError
from ..options import MiB
from ..waiting import Cancellation
from .sources import Piece, open_source

# A gap of so many bytes is read, for what lies behind it is on its way already.
_PASSED_OVER = 16 * MiB


class ArchiveFile(io.RawIOBase):
    """Reads what lies at `uri`, on from wherever it was seeked to, `limit` bytes ahead at most.

    Raises `NotFoundError` when there is nothing, `UsageError` for a prefix; when it is replaced
    meanwhile, its `PreconditionError`.
    """

    def __init__(self, uri: str, options: Mapping[str, Any], limit: int) -> None:
        super().__init__()
        self.name = uri
        # What the formats' own readers make "no such archive" of.
        self.failed: OSError | None = None
        self._limit = limit
        self._at = 0
        # What was read last, and where it begins.
        self._piece: bytes | mmap.mmap = b""
        self._begin = 0
        self._ahead: Ahead[int, Piece] | None = None
        self._pieces: Iterator[Piece] = iter(())
        self._cancellation = Cancellation(f"{uri} is not read any more")
        # Last, for what cannot be opened is closed all the same, by its finaliser.
        self._source = open_source(uri, options, nested=False, cancellation=self._cancellation)
        self._entry = self._source.only()

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        return self._entry.size

    def readable(self) -> bool:
        """Tell that this file is for reading."""
        return True

    def seekable(self) -> bool:
        """Tell that reading can go on elsewhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on from there; nothing is read yet."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            # An OSError, by which zipfile sees that a file is short, and of no disk's.
            raise io.UnsupportedOperation(f"{self.name}: cannot seek to {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Where reading goes on."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read some bytes, at least one where there is one."""
        if self._at >= self.size or not len(buffer):
            return 0
        if not self._begin <= self._at < self._begin + len(self._piece):
            try:
                self._read_on()
            except OSError as error:
                self.failed = error
                raise
        start = self._at - self._begin
        data = memoryview(self._piece)[start : start + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read_beside(self, start: int, end: int) -> bytes:
        """Bytes of it as far as there are some, by a request of their own: nothing is dropped."""
        end = min(end, self.size)
        return bytes(self._read(start, end).data) if start < end else b""

    def close(self) -> None:
        """Drop what was read ahead."""
        self._cancellation.request()
        if not self.closed and self._ahead is not None:
            self._ahead.close()
        super().close()

    def _read_on(self) -> None:
        """Have a piece that begins where reading goes on."""
        end = self._begin + len(self._piece)
        if self._ahead is None or not end <= self._at <= end + _PASSED_OVER:
            self._begin_at(self._at)
        while self._at >= self._begin + len(self._piece):
            self._begin += len(self._piece)
            self._piece = b""  # or it would be held while the next one is waited for
            self._piece = next(self._pieces).data

    def _begin_at(self, offset: int) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self._ahead = Ahead(
            iter([offset]),
            lambda start: self.size - start,
            lambda start, first, last: self._read(start + first, start + last),
            limit=self._limit,
            name=f"s3stream read {self.name}",
            at_once=self._source.connections,
            pace=self._source.pace,
        )
        _, self._pieces = next(iter(self._ahead))
        self._begin, self._piece = offset, b""

    def _read(self, start: int, end: int) -> Piece:
        try:
            return self._source.read(self._entry, start, end)
        except PreconditionError as error:
            raise PreconditionError(f"{self.name} was replaced while it was read") from error
