"""What is known here of an upload that is held by hand: the parts sent, and how it ends.

Asks nobody. Must not know how a part is sent, nor what it is made of.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from .completing import is_gone, is_refused
from .errors import S3StreamError, UncertainError, add_note
from .state import Event, Phase, Receipt, UploadResult, UploadState

# While it is being completed no part can be added.
_OPEN = frozenset({Phase.STREAMING, Phase.UNCERTAIN})


class Books:
    """The books of one upload. Any thread may add parts; one at a time may end it."""

    def __init__(self) -> None:
        self._sent: dict[int, Receipt] = {}
        self._state = UploadState()
        self._state.on(Event.BEGIN)
        self._before = self._state.phase
        self.renew()

    def renew(self) -> None:
        """In a forked child, which may not wait for a lock that a thread of its parent holds."""
        self._lock = threading.Lock()

    @property
    def phase(self) -> Phase:
        """Where the upload stands."""
        return self._state.phase

    @property
    def result(self) -> UploadResult | None:
        """The published object, None until there is one."""
        return self._state.result

    @property
    def status(self) -> str:
        """One line: how it stands, as far as this process knows."""
        return f"{self.phase.value}, {len(self._sent)} parts sent here"

    def refuse_if_over(self, what: object) -> None:
        """Raise `ValueError` when `what` is published or was aborted."""
        if self.phase is Phase.COMMITTED:
            raise ValueError(f"{what!r}: it is published")
        if self.phase is Phase.ABORTED:
            raise ValueError(f"{what!r}: it was aborted")

    def add(self, receipt: Receipt) -> Receipt:
        """The store has a part: this one. Raises `S3StreamError` when that was too late."""
        with self._lock:
            if self.phase not in _OPEN:
                raise S3StreamError(
                    "it was sent while the upload was being completed, and is not in the object"
                )
            self._sent[receipt.part_number] = receipt
        return receipt

    def prepare(self, given: Iterable[Receipt]) -> dict[int, Receipt]:
        """It is to be completed, and no part added: those that are known, by number."""
        with self._lock:
            self._before = self.phase
            if self._before is Phase.STREAMING:
                self._state.on(Event.PREPARE)
            return {**self._sent, **{receipt.part_number: receipt for receipt in given}}

    def publish(self) -> None:
        """Its Complete is on its way."""
        self._state.on(Event.PUBLISH)

    def commit(self, result: UploadResult) -> None:
        """The object is there, whoever has seen to it."""
        if self.phase is Phase.PREPARED:
            self.publish()
        self._state.commit(result)

    def fail(self, error: BaseException) -> None:
        """Completing it has failed: where that leaves it, if need be as a note on the error."""
        if self.phase is Phase.PREPARED:
            self._state.on(Event.REFUSE)  # it was not asked for
        elif self.phase is Phase.UNCERTAIN and is_gone(error):
            self._state.on(Event.REFUSE)
        elif self.phase is Phase.COMMITTING:
            if is_refused(error) and self._before is Phase.STREAMING:
                self._state.on(Event.REFUSE)
                return
            # That a second attempt was refused says nothing of the first.
            self._state.lose_sight(error)
            if not isinstance(error, UncertainError):
                add_note(error, "and whether the object was published is uncertain: ask again")

    def discard(self) -> None:
        """It was removed."""
        self._state.on(Event.DISCARD)
