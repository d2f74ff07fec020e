"""The file you write to, and the one question it answers: does this close publish or discard?

Knows what `io` promises. Must not know S3 calls, how an end is carried out, nor who wraps it
(buffers, text, compression, file systems).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from .checkpoint import Checkpoint
from .cleanup import COLLECTED
from .closing import Closing, Door
from .guard import Keeping
from .oneway import OneWay
from .options import WriteOptions
from .predecessor import Predecessor
from .state import UploadResult
from .stats import WriteStats
from .transfer import Transfer


class S3Writer(OneWay, Closing, io.RawIOBase):
    """A file that becomes the object `key` of `bucket` when it is closed, whole, or not at all.

    `client` is a boto3 S3 client. Every `write` takes all that it is given, copies it before it
    returns, and waits while `max_concurrency` parts are in flight. What does not fill a part is
    sent by one PutObject at `close()`. A `close()` while an exception is unwinding, the end of a
    `with` body that raised, and the garbage collector discard: nothing is published, and no part
    is left behind.

    Raises `UsageError` for options or S3 parameters that cannot be; sends nothing until the first
    part is cut. After a failure every later call raises the first error again. `on_commit` is
    called with the result, on the thread that published, once the object is there. `start` and
    `keeper` are for `resume` and `open(checkpoint=)`: with a keeper only `discard()` discards, and
    whatever else would, leaves what was sent to be taken up again. `predecessor` is for mode `ab`.
    `callback` is one of fsspec's: see `s3stream.open`. `store` is the name of the store's profile,
    for `repr` and the log.
    """

    def __init__(
        self,
        bucket: str,
        key: str,
        *,
        client: Any,
        options: WriteOptions | None = None,
        on_commit: Callable[[UploadResult], None] | None = None,
        start: Checkpoint | None = None,
        keeper: Keeping | None = None,
        predecessor: Predecessor | None = None,
        callback: Any = None,
        store: str = "",
    ) -> None:
        super().__init__()
        options = options or WriteOptions()
        self.name = f"s3://{bucket}/{key}"
        self.mode = "wb" if options.if_none_match is None else "xb"
        self._publish = options.publish
        if predecessor is not None:
            self.mode = "ab"
        transfer = Transfer(client, bucket, key, options, start, keeper, predecessor, callback)
        self._let_in(transfer, keeper, on_commit, store)

    # -- what io promises of a writable, unseekable binary file

    def writable(self) -> bool:
        """Tell that this file is for writing."""
        self._refuse_if_closed()
        return True

    def tell(self) -> int:
        """Bytes written so far."""
        self._refuse_if_closed()
        return self._transfer.position

    def write(self, data: Any, /) -> int:
        """Write all of a C-contiguous buffer of any shape; returns its length in bytes.

        Raises `TypeError` for text, the first error of the upload when it has failed, and
        `TooLargeError` when the object cannot fit.
        """
        view = as_bytes(data)
        self._refuse_if_closed()
        if self._dropped:  # a wrapper that is being collected empties its buffer into us
            return len(view)
        with self._lock:
            self._refuse_if_closed()
            self._transfer.write(view)
        return len(view)

    def flush(self) -> None:
        """Raise the error of a part that failed in the background; never forces a small part."""
        self._refuse_if_closed()
        if self._dropped:
            return
        with self._lock:
            self._transfer.raise_if_failed()

    def close(self) -> None:
        """Publish the object, or clean up when that must not or cannot be; only the first counts.

        When it returns with no exception in flight and `publish` is `"close"`, the object is there
        with exactly the bytes written. When an exception is unwinding nothing is published, a
        `RuntimeWarning` says so, and that exception goes on. With `publish="commit"` it ends the
        writing, and `commit()` or `discard()` has the last word.
        """
        if self._is_forked():
            self._shut()
            return
        with self._alone():
            if self._door is not Door.OPEN:
                return
            unwinding = self._opened.unwinding()
            if self._dropped:
                self._discard_quietly(COLLECTED)
            elif unwinding is not None:
                self._discard_because_of(unwinding)
                self._warn(f"it was closed while {type(unwinding).__name__} was being raised")
            elif self._publish == "commit":
                self._seal()
            else:
                self.commit()

    def __enter__(self) -> S3Writer:
        self._refuse_if_closed()
        return self

    # -- what is ours

    @property
    def result(self) -> UploadResult:
        """Where and what the published object is. Raises `ValueError` until there is one."""
        result = self._transfer.result
        if result is None:
            raise ValueError(
                f"{self.name} is not published ({self._transfer.phase.value}): there is no result"
            )
        return result

    @property
    def stats(self) -> WriteStats:
        """How the writing has gone so far, in numbers; once the file is closed, until its end.

        What the store has accepted is counted when this file hears of it, at the next `write` or
        `close`. May be asked by any thread, also while another one waits in `write`.
        """
        return self._transfer.stats

    @property
    def peak_memory(self) -> int:
        """The most bytes of parts that this writer had in memory at once."""
        return self._transfer.peak_memory

    def __repr__(self) -> str:
        store = f", store {self._store}" if self._store else ""
        return f"<{type(self).__name__} {self.name} {self._transfer.status}{store}>"

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError(f"I/O operation on closed file {self.name}")
        if not self._dropped:
            self._refuse_if_forked()


def as_bytes(data: Any) -> memoryview:
    """See any C-contiguous buffer as flat bytes; raises `TypeError` for text and what is none."""
    if isinstance(data, str):
        raise TypeError("a binary file takes bytes, not str: encode it, or open with mode 'w'")
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}") from None
    if not view.c_contiguous:
        raise BufferError("the buffer is not C-contiguous: copy it first, e.g. with bytes(...)")
    # A shape with a zero in it cannot be cast.
    return view.cast("B") if view.nbytes else memoryview(b"")
