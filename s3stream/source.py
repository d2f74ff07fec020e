"""A local file while it is sent: what it was at the beginning, and whether it still is that.

Must not know who sends it, nor in which pieces.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from .errors import S3StreamError, UsageError
from .options import MiB


class Source:
    """The regular file at `path`, held open until `close`.

    Raises `UsageError` for a folder, a pipe or a device, and what opening a file raises.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Absolute: the process may change its folder while parts are sent.
        self.path = os.fspath(Path(path).absolute())
        # Looked at before it is opened: opening a pipe waits for somebody who writes to it.
        mode = Path(self.path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(
                f"{self.path} is a folder: send its files, or s3stream.archive() makes one object"
                " of it"
            )
        if not stat.S_ISREG(mode):
            raise UsageError(
                f"{self.path} is not a regular file: write what comes out of it to s3stream.open()"
            )
        # Held open: as long as it is, no other file can get its inode number.
        self._file = io.FileIO(self.path)
        self._begun = os.fstat(self._file.fileno())

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the file at the beginning."""
        return self._begun.st_size

    @property
    def mark(self) -> tuple[int, int]:
        """What tells it from the same file at another time: bytes, and time of change in ns."""
        return self._begun.st_size, self._begun.st_mtime_ns

    def pieces(self) -> Iterator[bytes]:
        """All of the file, a mebibyte at a time; raises `S3StreamError` if it has changed by then.

        Not for a file of which parts are read elsewhere.
        """
        count = 0
        while piece := self._file.read(MiB):
            count += len(piece)
            if count > self.size:
                break  # or a file that grows as fast as it is read would never end
            yield piece
        if count != self.size:
            raise self._changed(f"it had {self.size:,} bytes, and {count:,} were read")
        self.refuse_if_changed()

    def refuse_if_changed(self) -> None:
        """Raise `S3StreamError` when the file at the path is not what it was at the beginning."""
        was = self._begun
        try:
            now = Path(self.path).stat()
        except OSError as error:
            raise self._changed(f"it cannot be found any more ({error})") from error
        if now.st_size != was.st_size:
            raise self._changed(f"it had {was.st_size:,} bytes, now it has {now.st_size:,}")
        if (now.st_dev, now.st_ino) != (was.st_dev, was.st_ino):
            raise self._changed("another file has taken its place")
        if now.st_mtime_ns != was.st_mtime_ns:
            raise self._changed(
                f"it was written to: the time of its last change was {was.st_mtime_ns:,} ns, now it"
                f" is {now.st_mtime_ns:,}"
            )

    def _changed(self, what: str) -> S3StreamError:
        return S3StreamError(
            f"{self.path} was changed while it was sent: {what}; nothing was published: send it"
            " again when nobody changes it, or send a copy of it"
        )
