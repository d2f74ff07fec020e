"""A local file that appears when all of it is there: written beside its place, and renamed.

Knows bytes on a disk, and not where they come from.
"""

from __future__ import annotations

import errno
import os
import stat
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from .errors import add_note


class Arrival:
    """What is to be the file at `path`; folders that it lacks are made.

    The `with` body writes it; at its end it takes the place of what is there, in one step, and with
    its permissions; a symbolic link stays one. An exception leaves what is there as it is. A device
    or a pipe is written to as it is. A process that is killed leaves `.s3stream-….partial` beside.

    Raises what opening the file for writing would raise.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._place = os.path.realpath(self.path)
        folder = Path(self._place).parent
        folder.mkdir(parents=True, exist_ok=True)
        self._beside: Path | None = None
        there = _mode_of(self._place)
        if there is not None and not stat.S_ISREG(there):
            self._file: IO[bytes] = Path(self._place).open("wb", buffering=0)  # noqa: SIM115 - closed by `__exit__`
            return
        if there is not None and not os.access(self._place, os.W_OK):
            raise PermissionError(errno.EACCES, "the file there may not be written to", self.path)
        self._beside = folder / f".s3stream-{uuid.uuid4().hex}.partial"
        self._file = self._beside.open("xb", buffering=0)
        if there is not None:
            try:
                self._beside.chmod(stat.S_IMODE(there))
            except BaseException:
                self._file.close()
                self.discard()
                raise

    def __enter__(self) -> Arrival:
        return self

    def write(self, data: bytes) -> None:
        """Write all of it."""
        write_all(self._file, data)

    def discard(self) -> None:
        """Leave nothing of it, whatever is written from now on; harmless a second time."""
        if self._beside is not None:
            self._beside.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
            if error is None and self._beside is not None:
                self._beside.replace(self._place)
        finally:
            self.discard()
        if error is not None and self._beside is not None:
            add_note(error, f"{self.path} was left as it was")


def write_all(file: Any, data: bytes) -> None:
    """Write all of it, also to a raw file, which may take less than it is given."""
    left = memoryview(data)
    while left:
        written = file.write(left)
        left = left[len(left) if written is None else written :]


def _mode_of(path: str) -> int | None:
    with suppress(FileNotFoundError):
        return Path(path).stat().st_mode
    return None
