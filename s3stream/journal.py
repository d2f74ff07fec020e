"""The local file in which an upload's checkpoint is kept up to date.

Whoever reads it, at any moment and after any kill, finds a whole checkpoint: an old one or a new
one. Must not know what an upload is, nor when to write.
"""

from __future__ import annotations

import os
from pathlib import Path

from .checkpoint import Checkpoint
from .errors import S3StreamError, UsageError


class Journal:
    """The checkpoint of one upload in the file at `path`, for one process at a time.

    It is written to `path` + ".new" first, which takes its place when it is on the disk.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # Of a link the file that it leads to is replaced, and not the link.
        self.path = os.path.realpath(os.fspath(path))
        self._new = f"{self.path}.new"

    def read(self) -> Checkpoint | None:
        """The checkpoint, None when there is no such file.

        Raises `UsageError` when the file holds something else, `S3StreamError` when it cannot be
        read.
        """
        try:
            written = Path(self.path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot_be("read", error) from error
        try:
            return Checkpoint.from_json(written.decode())
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.path}: not a checkpoint: {error}") from error
        except UsageError as error:
            raise UsageError(f"{self.path}: {error.message}") from error

    def refuse_if_unwritable(self) -> None:
        """Raise `S3StreamError` when nothing could be written there, as far as can be told."""
        try:
            with Path(self._new).open("wb"):
                pass
            Path(self._new).unlink()
        except OSError as error:
            raise self._cannot_be("written", error) from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Put this checkpoint in the place of the one before; it is on the disk then.

        Raises `S3StreamError` when that cannot be; the one before is still there.
        """
        try:
            # The folder is not synced: should its new entry be lost, the old one still counts.
            with Path(self._new).open("wb") as file:
                file.write(checkpoint.to_json().encode())
                file.flush()
                os.fsync(file.fileno())
            Path(self._new).replace(self.path)
        except OSError as error:
            raise self._cannot_be("written", error) from error

    def remove(self) -> None:
        """Remove the file, if it is there. Raises `S3StreamError` when that cannot be."""
        try:
            for path in (self._new, self.path):
                Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_be("removed", error) from error

    def _cannot_be(self, done: str, error: OSError) -> S3StreamError:
        return S3StreamError(f"the checkpoint {self.path} cannot be {done}: {error}")
