"""What a file refuses that goes one way only, from its beginning to its end, and what would do it.

Must not know what a file is on top of.
"""

from __future__ import annotations

import io
from typing import Any, NoReturn


class OneWay:
    """For a file to inherit, before the io class that it is."""

    name: Any

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Not here: raises `io.UnsupportedOperation`, which names the mode that can."""
        raise self._refusal("seek")

    def truncate(self, size: int | None = None, /) -> int:
        """Not here: raises `io.UnsupportedOperation`, which names the mode that can."""
        raise self._refusal("truncate")

    def readinto(self, buffer: Any, /) -> int:
        """Not here: raises `io.UnsupportedOperation`, which names the mode that can."""
        raise self._refusal("read")

    def _refusal(self, what: str) -> io.UnsupportedOperation:
        said = (
            f"{self.name} is written from its beginning to its end: no {what}(); with mode 'w+b' or"
            " 'x+b' it is a temporary file that can be read and changed, and is sent when it is"
            " closed"
        )
        try:
            return io.UnsupportedOperation(said)
        except SystemError:
            # HDF5 calls again while the first of these is on its way, which Python minds.
            return io.UnsupportedOperation(said)


class OneWayFace(OneWay):
    """The same for what is on top of a raw file, where io reads by other names."""

    def read(self, size: int | None = -1, /) -> NoReturn:
        """Not here: raises `io.UnsupportedOperation`, which names the mode that can."""
        raise self._refusal("read")

    def readline(self, size: int | None = -1, /) -> NoReturn:
        """Not here: raises `io.UnsupportedOperation`, which names the mode that can."""
        raise self._refusal("read")
