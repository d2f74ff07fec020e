"""An entry of an archive as it is read, and what is said of one that is none.

Must not know formats of archives, but for what their readers raise.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from ..errors import IntegrityError
from ..inventory import is_piece
from ..naming import is_safe

# What the formats' own readers raise over bytes that are no such archive. Zstandard's own is known
# by its name: the package need not be installed.
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
# Of these, what is an OSError too.
_NO_DISKS = (gzip.BadGzipFile, io.UnsupportedOperation)


@dataclass(frozen=True)
class Member:
    """An entry of an archive: its name, its bytes, and what else is told of it.

    When it was last written; what type and metadata it had as an object. Nothing of it is checked
    but the name.
    """

    name: str
    size: int
    modified: datetime | None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it has a name and nothing else."""
        return self.name.endswith("/")


class Data:
    """The bytes of an entry; what is wrong with them is said of the archive."""

    def __init__(self, file: IO[bytes], archive: str) -> None:
        self._file = file
        self._archive = archive

    def read(self, size: int) -> bytes:
        """Read some bytes, none at the end of the entry."""
        with explained(self._archive):
            return self._file.read(size)


def refuse(archive: str, member: Member, problem: str | None) -> None:
    """Raise `IntegrityError` for an entry with a problem, or that no folder should take."""
    if problem is None and member.is_folder and member.size:
        problem = "a folder with bytes"
    if problem is None and not is_safe(member.name) and not is_piece(member.name):
        problem = "a name that could lead out of the folder it is unpacked into"
    if problem is not None:
        raise IntegrityError(f"{archive}: the entry {member.name!r} is refused: {problem}")


@contextmanager
def explained(archive: str) -> Iterator[None]:
    """Say of what the formats' own readers complain about which archive it was."""
    try:
        yield
    except Exception as error:
        damaged = isinstance(error, _DAMAGED) or type(error).__name__ == "ZstdError"
        # Ours are errors of the system too, and some are a ValueError besides.
        if not damaged or (isinstance(error, OSError) and not isinstance(error, _NO_DISKS)):
            raise
        raise IntegrityError(
            f"{archive} is damaged, or no such archive: {type(error).__name__}: {error}"
        ) from error
