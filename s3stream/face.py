"""What every file on top of a raw writer does: it commits, discards and ends by way of that.

An exception in the `with` body discards, whichever face it was. Must not know what a face makes of
the bytes.
"""

from __future__ import annotations

from .cleanup import COLLECTED, THOROUGH, Patience
from .discarding import Discarding
from .prepared import PreparedUpload
from .state import UploadResult
from .stats import WriteStats
from .writer import S3Writer


class Face(Discarding):
    """Commit, discard and result, by way of the file underneath; for io classes to inherit."""

    closed: bool

    def _below(self) -> Face | S3Writer:
        raise NotImplementedError

    def _end_writing(self) -> None:
        """Pass on what this face still holds, before a commit."""
        self.flush()  # type: ignore[attr-defined]  # the io class beside us has it

    def commit(self) -> UploadResult:
        """Publish the object now and close the file, whatever exception is in flight."""
        if not self.closed:
            self._end_writing_or_discard()
        try:
            return self._below().commit()
        finally:
            self._say_the_end()

    def _prepare(self) -> bool:
        """Bring all to the store, for a commit that is to come; False after a discard."""
        if not self.closed:
            self._end_writing_or_discard()
        return self._below()._prepare()

    def _refuse_to_hand_over(self) -> None:
        self._below()._refuse_to_hand_over()

    def _hand_over(self) -> PreparedUpload:
        return self._below()._hand_over()

    def close(self) -> None:
        """Publish the object, or clean up when that must not or cannot be: `S3Writer.close`."""
        if self._is_forked():
            self._discard(THOROUGH)  # what is buffered here is the parent's
        elif getattr(self, "_finalizing", False):  # io's mark: it is the garbage collector's close
            self._abandon()
        elif not self.closed:
            # Not left to C, which closes what is below even when its flush has failed: the object
            # would be published without its end.
            self._end_writing_or_discard()
            try:
                self._close_below()
            finally:
                self._say_the_end()

    def _say_the_end(self) -> None:
        self._below()._say_the_end()

    def _abandon(self) -> None:
        """Discard what nobody has closed, and warn; nothing more is sent for it."""
        if self.closed:
            return
        self._dealloc_warn(self)
        self._discard_quietly(COLLECTED)

    def _dealloc_warn(self, source: object) -> None:
        # Io's own hook for a wrapper that is collected: it ends in the raw writer.
        self._below()._dealloc_warn(source)

    def _cancel(self) -> None:
        self._below()._cancel()

    def _interrupt(self) -> None:
        self._below()._interrupt()

    def _say_opened_at(self, line: str) -> None:
        self._below()._say_opened_at(line)

    def _is_forked(self) -> bool:
        return self._below()._is_forked()

    def _end_writing_or_discard(self) -> None:
        try:
            self._end_writing()
        except BaseException as error:
            self._discard_because_of(error)
            raise

    def _close_below(self) -> None:
        super().close()  # type: ignore[misc]  # the io class beside us has it

    def _discard(self, patience: Patience, *, on_purpose: bool = False) -> None:
        try:
            self._below()._discard(patience, on_purpose=on_purpose)
        finally:
            self._say_the_end()

    @property
    def result(self) -> UploadResult:
        """Where and what the published object is; `ValueError` until there is one."""
        return self._below().result

    @property
    def stats(self) -> WriteStats:
        """How the writing has gone so far, in numbers: `S3Writer.stats`."""
        return self._below().stats

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._below()!r}>"
