"""A file for those who must go back while they write: written to a disk first, sent at its end.

Keeps all promises of the writer that it is, and decides nothing that the writer decides.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .draft import Draft
from .errors import UsageError
from .options import WriteOptions
from .state import UploadResult
from .writer import S3Writer, as_bytes

T = TypeVar("T")


class SeekableWriter(S3Writer):
    """An `S3Writer` that can be read, and changed anywhere, until it is closed.

    Nothing is sent before: it waits in a temporary file, in the folder that `spool` names. It ends
    as any other does: all of it is published, or nothing. A full disk is an error at the write,
    and again at every later one and at `close()`; nothing is published then.
    """

    def __init__(
        self,
        bucket: str,
        key: str,
        *,
        client: Any,
        options: WriteOptions | None = None,
        on_commit: Callable[[UploadResult], None] | None = None,
        callback: Any = None,
        store: str = "",
    ) -> None:
        options = options or WriteOptions()
        self._draft = Draft(options.spool)
        try:
            super().__init__(
                bucket,
                key,
                client=client,
                options=options,
                on_commit=on_commit,
                callback=callback,
                store=store,
            )
        except BaseException:
            self._draft.close()
            raise
        self.mode = self.mode.replace("b", "+b")

    # -- what io promises of a file that is written, read and sought

    def readable(self) -> bool:
        """Tell that this file can be read."""
        self._refuse_if_closed()
        return True

    def seekable(self) -> bool:
        """Tell that one can go back in this file."""
        self._refuse_if_closed()
        return True

    def fileno(self) -> int:
        """The descriptor of the temporary file: what is written to it belongs to the object."""
        self._refuse_if_closed()
        return self._draft.fileno()

    def tell(self) -> int:
        """The position of the next read or write."""
        self._refuse_if_closed()
        with self._lock:
            return self._draft.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move the position, as files do, and return it."""
        self._refuse_if_closed()
        if self._dropped:  # as in `write`; and in a forked child the position is its parent's
            return 0
        with self._lock:
            return self._draft.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        """Read up to as many bytes as fit; returns how many, 0 at the end."""
        self._refuse_if_closed()
        with self._lock, memoryview(buffer) as view:
            return self._draft.readinto(view.cast("B"))

    def write(self, data: Any, /) -> int:
        """Write all of a C-contiguous buffer of any shape; returns its length in bytes.

        Raises `S3StreamError` with the `errno` of a disk that is full, and ever after.
        """
        view = as_bytes(data)
        self._refuse_if_closed()
        if not self._dropped:  # a wrapper that is being collected empties its buffer into us
            self._change(lambda: self._draft.write(view))
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Give it this length in bytes, or that of the position, which stays where it is."""
        self._refuse_if_closed()
        length = self.tell() if size is None else operator.index(size)
        if length < 0:
            raise ValueError(f"truncate({size!r}): expected a length in bytes, 0 or more")
        return self._change(lambda: self._draft.truncate(length))

    def _change(self, change: Callable[[], T]) -> T:
        with self._lock:
            self._refuse_if_closed()
            self._transfer.raise_if_failed()
            try:
                return change()
            except BaseException as error:
                # Some of it may be there: what would be sent is not what was meant.
                self._transfer.fail(error)
                raise

    # -- its end

    def commit(self) -> UploadResult:
        """Send all of it, publish the object and close the file, whatever exception is in flight.

        Returns and raises what `S3Writer.commit` does.
        """
        self._refuse_if_forked()
        with self._alone():
            self._send()
            return super().commit()

    def suspend(self) -> NoReturn:
        """Not here: raises `UsageError`, for what is in a temporary file cannot be taken up."""
        raise UsageError(
            f"{self!r}: what waits in a temporary file cannot be suspended; commit() or discard()"
            " it"
        )

    def _prepare(self) -> bool:
        self._refuse_if_forked()
        with self._alone():
            self._send()
            return super()._prepare()

    def _seal(self) -> None:
        self._send()
        super()._seal()

    def _send(self) -> None:
        """Hand all that was written to the upload, once."""
        if self._draft.closed:
            return
        try:
            self._transfer.raise_if_failed()
            self._transfer.expect(self._draft.size)
            for piece in self._draft.pieces():
                self._transfer.write(piece)
        except BaseException as error:
            self._transfer.fail(error)
            self._discard_because_of(error)
            raise
        self._draft.close()

    def _shut(self) -> None:
        super()._shut()
        self._draft.close()

    def _length(self) -> int:
        return self._draft.size

    def __repr__(self) -> str:
        if self._draft.closed:
            return super().__repr__()
        store = f", store {self._store}" if self._store else ""
        size = self._length()
        return f"<{type(self).__name__} {self.name} {size:,} bytes in a temporary file{store}>"
