"""Which parts of a file the store has: those of an earlier time, and those of this one.

Pure: is told, and tells what is to be written down; asks neither store nor disk.
"""

from __future__ import annotations

from dataclasses import replace

from .checkpoint import Checkpoint
from .manifest import Listed, is_listed
from .state import Receipt


class Account:
    """The parts of one upload. `noted` is what was written down of it, or that it was not begun."""

    def __init__(self, noted: Checkpoint) -> None:
        self.upload_id = noted.upload_id
        # By part number. Known: not looked at yet, whether they are still what the file has there.
        self.known = {receipt.part_number: receipt for receipt in noted.parts}
        self.accepted: dict[int, Receipt] = {}
        self._noted = noted
        self._written_down = 0

    @property
    def size(self) -> int:
        """Bytes that are accepted."""
        return sum(receipt.size for receipt in self.accepted.values())

    def confirm(self, listed: Listed | None) -> None:
        """The store lists these: of what was known, that counts no more which it has not.

        None: the upload is gone, and may have become the object; then all counts.
        """
        if listed is None:
            self.accepted = dict(self.known)
            return
        self.known = {
            number: receipt for number, receipt in self.known.items() if is_listed(receipt, listed)
        }

    def accept(self, receipt: Receipt) -> None:
        """The store has a part of the file as it is now."""
        self.accepted[receipt.part_number] = receipt

    def is_due(self) -> bool:
        """Whether there is enough that is new to be written down."""
        # Each writing is of all parts: of many thousands, not after every single one.
        return len(self.accepted) - self._written_down > len(self.accepted) // 100

    def written_down(self) -> Checkpoint:
        """What to write down now."""
        self._written_down = len(self.accepted)
        # What was known before stays known until its turn has come to be looked at.
        parts = {**self.known, **self.accepted}
        ordered = tuple(parts[number] for number in sorted(parts))
        return replace(self._noted, upload_id=self.upload_id, parts=ordered)
