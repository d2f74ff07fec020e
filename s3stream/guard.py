"""Who keeps an upload for the time after its writer, as those see it who write.

Only what may be asked of it; how anything is locked or written down is known elsewhere.
"""

from __future__ import annotations

from typing import Protocol

from .beside import Tails
from .checkpoint import Checkpoint
from .parts import Buffer


class Guard(Protocol):
    """Who keeps an upload for the time after us."""

    @property
    def tails(self) -> Tails | None:
        """Where what makes no part is put; None: beside the object."""

    def renew(self) -> None:
        """Raise an error if it is somebody else's by now."""

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write down how far it has come; asks nobody."""

    def forget(self) -> None:
        """Nothing was begun: leave nothing written down."""

    def announce(self, checkpoint: Checkpoint, body: Buffer) -> None:
        """The object is about to be written in one call: by this it could be known again."""

    def is_noted(self) -> bool:
        """Whether anybody could find the upload again."""

    def allow(self) -> None:
        """Raise an error if it must not be committed, nor discarded; asks the store."""


class Keeping(Guard, Protocol):
    """Who keeps an upload for the time after its writer, as a writer sees it."""

    def take_up(self, checkpoint: Checkpoint) -> None:
        """It is that one, which is written down already."""

    def let_go(self, seconds: float | None = None) -> None:
        """The writer has ended and the upload has not: others may take it up."""

    def clear(self) -> None:
        """The upload has ended, too: remove what lies beside the object."""
