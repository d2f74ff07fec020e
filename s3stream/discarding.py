"""What a raw writer and all its faces share: how a file is given up, or given out of hand.

Knows no S3, no thread and no file: only that there is a `_discard`, on purpose or because of an
accident, and a `_prepare`. An accident leaves an upload that has a checkpoint for another try.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, NoReturn

from .cleanup import THOROUGH, Patience, patience_with, warn_of
from .errors import S3StreamError, attach
from .prepared import PreparedUpload


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

    def _refuse_to_hand_over(self) -> None:
        raise NotImplementedError

    def _prepare(self) -> bool:
        raise NotImplementedError

    def _hand_over(self) -> PreparedUpload:
        raise NotImplementedError

    def prepare(self) -> PreparedUpload:
        """Bring all to the store, end the writing, and return what a `Dataset` publishes it by.

        Nothing is published before that, whatever becomes of this process; nor is anything removed
        but by `discard()`, or when an exception leaves the `with` body of this file. An empty file
        is a part without bytes. A second time returns the same.

        Raises the first error, after cleaning up, when it cannot all be sent; `UsageError` for a
        file of mode `ab`, with a checkpoint or resumed, which stays as it is; `ValueError` when it
        is over.
        """
        self._refuse_to_hand_over()
        self._prepare()
        return self._hand_over()

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
