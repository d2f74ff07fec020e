"""What a raw writer and all its faces share: the ways in which a file is given up.

Knows no S3, no thread and no file: only that there is a `_discard`, on purpose or because of an
accident. An accident leaves an upload that has a checkpoint for another try.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NoReturn

from .cleanup import THOROUGH, Patience, patience_with, warn_of
from .errors import S3StreamError, attach


class Discarding:
    """For a file to inherit, before the io class that it is."""

    def _discard(self, patience: Patience, *, on_purpose: bool = False) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Publish nothing, remove what was sent, and close the file; harmless when it is over.

        With it goes what a checkpoint of it was for; not so when another process has taken it over:
        then nothing is removed, and `LockedError` raised.

        May be called while another thread writes: that write ends with an error. Waits up to two
        seconds for parts in flight before it aborts the upload; parts that take longer are followed
        by another abort. Raises `CleanupError` when the upload is still there.
        """
        self._discard(THOROUGH, on_purpose=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()  # type: ignore[attr-defined]  # the io class beside us has it
        else:
            self._discard_because_of(error)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            f"cannot pickle {self!r}: an open upload belongs to its process; open the file where"
            " it is written"
        )

    def _discard_because_of(self, error: BaseException) -> None:
        try:
            self._discard(patience_with(error))
        except S3StreamError as failed:
            attach(error, failed)

    def _discard_quietly(self, patience: Patience) -> None:
        """Discard where no caller could catch an error: a warning says it."""
        try:
            self._discard(patience)
        except S3StreamError as failed:
            warn_of(failed)
