"""Files that are published together: `fs.transaction` of fsspec.

Everything is at the store before the first file is published, so that what can still fail then is
one short request a file. Must not know S3 nor how a file is written.
"""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any

from fsspec.transaction import Transaction

from .cleanup import THOROUGH, Patience, patience_with
from .errors import (
    CleanupError,
    IntegrityError,
    S3StreamError,
    UncertainError,
    UsageError,
    add_note,
    attach,
)
from .files import Writable

# In the order of calls, whatever file system they are of. One step: several threads may ask.
_calls = itertools.count()

# After these an object of that name may be there.
_UNKNOWN = (IntegrityError, UncertainError)


def next_turn() -> int:
    """The place of a call that opens files among all such calls."""
    return next(_calls)


class S3Transaction(Transaction):  # type: ignore[misc]  # fsspec has no types
    """The files opened for writing since it was started: all are published, or none is.

    In the order of the calls that opened them; those of one call (`put`, `pipe`) in its own order,
    whichever of its threads came first.

    Ending it publishes, whether the files were closed or not; leaving its `with` body by an
    exception discards. A file that was discarded on purpose is not part of it any more; one that
    has failed fails it.
    """

    fs: Any
    files: Any

    def __init__(self, fs: Any, **kwargs: Any) -> None:
        super().__init__(fs, **kwargs)
        self._turns: dict[int, tuple[int, int]] = {}

    def start(self) -> None:
        """Begin; raises `UsageError` inside another one: whose end would publish a file?"""
        if self.fs._intrans:
            raise UsageError("there is a transaction of this file system already: end it first")
        super().start()
        self._turns.clear()

    def add(self, file: Writable, turn: tuple[int, int]) -> None:
        """Take in a file: the turn of the call that has opened it, and its place in that."""
        self._turns[id(file)] = turn
        self.files.append(file)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it: publish all, or discard all when the body raised; that exception goes on."""
        files = self._end()
        if error is None:
            _publish(files)
            return
        for failed in _discard(files, patience_with(error)):
            attach(error, failed)

    def complete(self, commit: bool = True) -> None:
        """Publish or discard all.

        Raises the first error when nothing was published. When a file could not be published after
        others were, the `S3StreamError` names both kinds.
        """
        files = self._end()
        if commit:
            _publish(files)
            return
        failures = _discard(files, THOROUGH)
        if failures:
            for failed in failures[1:]:
                attach(failures[0], failed)
            raise failures[0]

    def _end(self) -> list[Writable]:
        """Take the files out; from here on the file system is in no transaction any more."""
        files: list[Writable] = sorted(self.files, key=lambda file: self._turns[id(file)])
        self.files.clear()
        self._turns.clear()
        if self.fs is not None:
            self.fs._intrans = False
            self.fs._transaction = None
            self.fs = None
        return files


def _publish(files: list[Writable]) -> None:
    published: list[str] = []
    current = ""
    waiting: list[Writable] = []
    try:
        waiting = [file for file in files if file._prepare()]
        for file in waiting:
            current = file.name
            file.commit()
            published.append(current)
    except BaseException as error:
        for failed in _discard(files, patience_with(error)):
            attach(error, failed)
        if not published:
            raise
        rest = [file.name for file in waiting if file.name not in {*published, current}]
        surely_not = isinstance(error, Exception) and not isinstance(error, _UNKNOWN)
        said = (
            f"only a part of the transaction was published. Published: {', '.join(published)}."
            f" {'Not published' if surely_not else 'Unknown'}: {current}"
            f" ({type(error).__name__}: {error}). Not published: {', '.join(rest) or 'no other'}"
        )
        if not isinstance(error, Exception):
            add_note(error, said)
            raise
        raise S3StreamError(said) from error


def _discard(files: list[Writable], patience: Patience) -> list[CleanupError]:
    failures = []
    for file in files:
        file._cancel()  # all at once, so that what is in flight comes to its end together
    for file in files:
        try:
            file._discard(patience, on_purpose=True)
        except CleanupError as failed:  # noqa: PERF203 - the others must have their turn
            failures.append(failed)
    return failures
