"""The file for asyncio: whatever may have to wait does so on a thread of its own, and ends with it.

Decides what a cancellation does, and whether an end publishes: that is seen where the exception
unwinds, which is not the thread. Must not know S3, nor how a file is written.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, TypeVar

from .errors import IntegrityError, UncertainError, UsageError, add_note, attach
from .files import Writable
from .modes import parse_mode
from .opened import Opened
from .opening import open as open_file
from .options import MiB
from .sender import Outcome
from .state import UploadResult
from .stats import WriteStats
from .steps import on_a_thread, value_of
from .uri import split_uri
from .writer import as_bytes

T = TypeVar("T")

# Small writes are gathered up to this many bytes: a thread for each would cost more than they do.
_GATHERED = 1 * MiB

_log = logging.getLogger("s3stream")


class S3AsyncWriter:
    """A file for asyncio that becomes an object when it is closed, whole, or not at all.

    Made by `aopen`; open inside `async with`, or from `await aopen(…)` on. Nothing that may have to
    wait runs on the event loop's thread, and no thread outlives the step that it was started for.
    Up to a MiB of small writes is gathered before it is handed on, above what the file holds.

    A step that is cancelled is ended, waited for, and discards the file, in some seconds: nothing
    is published, but by a commit that is on its way already. What became of that is a note on the
    `CancelledError`, and in the log.
    """

    def __init__(self, uri: str, mode: str, options: dict[str, Any]) -> None:
        """Not for callers: `aopen` checks what it is given."""
        self.name = uri
        self.mode = mode
        self._options = options
        self._text = parse_mode(mode).text
        self._begun = Opened()
        self._file: Writable | None = None
        self._gathered = bytearray()
        self._position = 0
        self._turn = asyncio.Lock()

    # -- from opening to the end

    async def __aenter__(self) -> S3AsyncWriter:
        if self._file is not None:
            return self
        outcome, cancelled = await self._on_a_thread(self._open)
        self._file = outcome.value
        if cancelled is not None:
            if self._file is not None:
                await self._discard_because_of(cancelled)
            raise cancelled
        value_of(outcome)
        return self

    def __await__(self) -> Generator[Any, None, S3AsyncWriter]:
        return self.__aenter__().__await__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self._end_by(lambda file: file.close())
        else:
            await self._discard_because_of(error)

    async def write(self, data: Any) -> int:
        """Write all of a buffer, or of a string in text mode; returns its length.

        Waits, without holding up the loop, while `max_concurrency` parts are in flight. What is
        given must not change until it returns. Raises the first error of the upload, here or in a
        later call, `TypeError` for what cannot be written.
        """
        if self._text:
            async with self._turn:
                return await self._step(lambda file: file.write(data))
        view = as_bytes(data)
        async with self._turn:
            self._refuse_if_closed()
            if len(self._gathered) + len(view) < _GATHERED:
                self._gathered += view
            else:
                await self._step(self._handing_on(view))
            self._position += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far; with a `checkpoint=` that was there, where to go on from."""
        self._refuse_if_closed()
        if self._text:
            raise UsageError(f"{self!r}: a text file cannot tell where it is")
        return self._position

    async def commit(self) -> UploadResult:
        """Publish the object and close the file, whatever exception is in flight."""
        return await self._end_by(lambda file: file.commit())

    async def close(self) -> None:
        """Publish the object, or clean up when that must not or cannot be; only the first counts.

        When an exception is unwinding nothing is published, a `RuntimeWarning` says so, and that
        exception goes on: as with a file of `s3stream.open`.
        """
        unwinding = self._begun.unwinding()
        if unwinding is None:
            await self._end_by(lambda file: file.close())
        elif not self.closed:
            await self._discard_because_of(unwinding)
            warnings.warn(
                f"nothing was published: {self.name} (opened at {self._begun.at}) was closed while"
                f" {type(unwinding).__name__} was being raised; commit() publishes all the same",
                RuntimeWarning,
                stacklevel=2,
            )

    async def discard(self) -> None:
        """Publish nothing, remove what was sent, and close the file; harmless when it is over.

        May be called while another task writes: that write ends with an error.
        """
        self._gathered.clear()
        await self._step(lambda file: file.discard())

    @property
    def closed(self) -> bool:
        """Whether writing is over."""
        return self._opened().closed

    @property
    def result(self) -> UploadResult:
        """Where and what the published object is. Raises `ValueError` until there is one."""
        return self._opened().result

    @property
    def stats(self) -> WriteStats:
        """How the writing goes, or went, in numbers; what is gathered here does not count yet."""
        return self._opened().stats

    def __repr__(self) -> str:
        under = "not open" if self._file is None else repr(self._file)
        return f"<S3AsyncWriter {self.name} on {under}>"

    # -- steps

    def _open(self) -> Writable:
        file: Any = open_file(self.name, self.mode, **self._options)
        file._say_opened_at(self._begun.at)
        if not self._text:
            self._position = file.tell()
        opened: Writable = file
        return opened

    def _opened(self) -> Writable:
        if self._file is None:
            raise ValueError(f"{self!r}: open it by `async with`, or by `await`")
        return self._file

    def _refuse_if_closed(self) -> None:
        if self.closed:
            raise ValueError(f"I/O operation on closed file {self.name}")

    def _handing_on(self, view: memoryview) -> Callable[[Writable], None]:
        """A step that writes what was gathered, and this."""
        gathered, self._gathered = self._gathered, bytearray()

        def hand_on(file: Any) -> None:
            for data in (gathered, view):
                if data:
                    file.write(data)

        return hand_on

    async def _write_all(self, pieces: Iterator[Any]) -> None:
        """Write what an iterator gives, which may have to wait for it."""

        def write_some(file: Any) -> bool:
            written = 0
            for piece in pieces:
                written += file.write(piece)
                if written >= _GATHERED:
                    return True
            return False

        async with self._turn:
            while await self._step(write_some):
                pass

    async def _end_by(self, end: Callable[[Any], T]) -> T:
        file = self._opened()
        try:
            await self._turn.acquire()
        except asyncio.CancelledError as error:
            await self._discard_because_of(error)
            raise
        try:
            hand_on = None if file.closed else self._handing_on(memoryview(b""))

            def finish() -> T:
                if hand_on is not None:
                    hand_on(file)
                return end(file)

            outcome, cancelled = await self._on_a_thread(finish, file._interrupt)
            failure = cancelled or outcome.error
            if failure is not None and not file.closed:
                # It never came to the end, which would have cleaned up.
                await self._discard_because_of(failure)
        finally:
            self._turn.release()
        if cancelled is not None:
            self._say_what_became(cancelled, outcome)
            raise cancelled
        return value_of(outcome)

    def _say_what_became(self, cancelled: asyncio.CancelledError, outcome: Outcome[Any]) -> None:
        error = outcome.error
        notes = list(getattr(error, "__notes__", ())) or ["nothing was published"]
        if isinstance(error, (IntegrityError, UncertainError)):
            notes = [str(error)]
        with suppress(ValueError):
            notes = [f"and yet the object was published: {self.result}"]
        for note in notes:
            add_note(cancelled, note)
            _log.warning("%s: its end was cancelled: %s", self.name, note)

    async def _step(self, work: Callable[[Any], T]) -> T:
        """Something that the file does, which ends early when it is cancelled, and the file too."""
        file = self._opened()
        outcome, cancelled = await self._on_a_thread(lambda: work(file), file._interrupt)
        if cancelled is not None:
            raise cancelled
        return value_of(outcome)

    async def _discard_because_of(self, error: BaseException) -> None:
        file = self._opened()
        self._gathered.clear()
        outcome, cancelled = await self._on_a_thread(lambda: file._discard_because_of(error))
        if outcome.error is not None:
            attach(error, outcome.error)
        if cancelled is not None and not isinstance(error, asyncio.CancelledError):
            raise cancelled

    async def _on_a_thread(
        self, job: Callable[[], T], interrupt: Callable[[], None] | None = None
    ) -> tuple[Outcome[T], asyncio.CancelledError | None]:
        return await on_a_thread(job, f"s3stream step {self.name}", interrupt)


def aopen(uri: str, mode: str = "wb", **options: Any) -> S3AsyncWriter:
    """Open `s3://bucket/key` for writing under asyncio: `async with s3stream.aopen(uri) as file`.

    `mode` is one of the writing modes of `s3stream.open`, and `options` are all that it takes:
    `encoding=`, `compression=`, `client=`, `checkpoint=`, …. The object appears at the end of the
    body, whole; when the body raises, or is cancelled, nothing is published and nothing left behind
    (but what a checkpoint is for).

    A `callback=` is called on the thread of the step that it tells of.

    Raises `UsageError` for a mode that reads or seeks; opening, which is the beginning of the body,
    raises what `s3stream.open` does. A cancellation while it is being opened waits for that.
    """
    split_uri(uri)
    if "+" in str(mode) or parse_mode(mode).reads:
        raise UsageError(f"mode={mode!r}: aopen is for writing from the first byte to the last")
    return S3AsyncWriter(uri, mode, options)
