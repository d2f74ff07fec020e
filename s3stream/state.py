"""The only truth about one upload: its phase, the parts the store has accepted, the first error.

Pure: no threads, no requests. Used from the writer's own thread alone, so it needs no lock.
The table below is the life of an upload; what is not in it cannot happen.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from .checksums import Algorithm
from .errors import S3StreamError


class Phase(enum.Enum):
    """Where an upload stands."""

    FRESH = "fresh"  # nothing at the store yet
    STREAMING = "streaming"  # a multipart upload has been asked for
    PREPARED = "prepared"  # all parts are there, nothing is missing but the commit
    COMMITTING = "committing"  # the commit is on its way; only its answer leads on
    FAILED = "failed"  # the first error has been kept; nothing more goes out but the clean-up
    UNCERTAIN = "uncertain"  # the commit was sent and nobody knows; left alone
    COMMITTED = "committed"  # the object is there
    ABORTED = "aborted"  # nothing is there and nothing will be
    SUSPENDED = "suspended"  # put down, to be taken up again


class Event(enum.Enum):
    """What can happen to an upload."""

    BEGIN = "begin"
    FAIL = "fail"
    PREPARE = "prepare"
    PUBLISH = "publish"
    COMMIT = "commit"
    LOSE_SIGHT = "lose sight"
    REFUSE = "refuse"
    DISCARD = "discard"
    SUSPEND = "suspend"


TABLE: dict[tuple[Phase, Event], Phase] = {
    (Phase.FRESH, Event.BEGIN): Phase.STREAMING,
    (Phase.FRESH, Event.PUBLISH): Phase.COMMITTING,  # one PutObject
    (Phase.FRESH, Event.FAIL): Phase.FAILED,
    (Phase.FRESH, Event.DISCARD): Phase.ABORTED,
    (Phase.STREAMING, Event.PREPARE): Phase.PREPARED,
    (Phase.STREAMING, Event.FAIL): Phase.FAILED,
    (Phase.STREAMING, Event.DISCARD): Phase.ABORTED,
    (Phase.STREAMING, Event.SUSPEND): Phase.SUSPENDED,
    (Phase.FRESH, Event.SUSPEND): Phase.SUSPENDED,
    (Phase.PREPARED, Event.SUSPEND): Phase.SUSPENDED,
    (Phase.FAILED, Event.SUSPEND): Phase.SUSPENDED,  # what the store has is kept for another try
    (Phase.PREPARED, Event.PUBLISH): Phase.COMMITTING,
    (Phase.PREPARED, Event.FAIL): Phase.FAILED,
    (Phase.PREPARED, Event.DISCARD): Phase.ABORTED,
    (Phase.COMMITTING, Event.COMMIT): Phase.COMMITTED,
    (Phase.COMMITTING, Event.FAIL): Phase.FAILED,
    (Phase.COMMITTING, Event.LOSE_SIGHT): Phase.UNCERTAIN,
    (Phase.COMMITTING, Event.REFUSE): Phase.STREAMING,  # of a held upload: parts may be mended
    (Phase.PREPARED, Event.REFUSE): Phase.STREAMING,
    (Phase.UNCERTAIN, Event.REFUSE): Phase.STREAMING,  # it is certain now that nothing is there
    (Phase.UNCERTAIN, Event.COMMIT): Phase.COMMITTED,  # the answer came after all
    (Phase.UNCERTAIN, Event.PUBLISH): Phase.COMMITTING,  # a held upload is asked for again
    (Phase.FAILED, Event.FAIL): Phase.FAILED,  # later errors are heard, the first is kept
    (Phase.FAILED, Event.DISCARD): Phase.ABORTED,
}


@dataclass(frozen=True)
class Receipt:
    """The store has accepted a part of `size` bytes; can be pickled, to travel to who completes.

    `crc` is the part's checksum by the upload's algorithm: counted by us from what was sent, or
    what the store says of a part that it has copied or lists; None where there is none.
    """

    part_number: int
    size: int
    etag: str
    crc: int | None


@dataclass(frozen=True)
class Checksum:
    """A whole object's checksum: `value` in S3's notation; `verified`: the store said the same."""

    algorithm: str
    value: str
    verified: bool

    def __str__(self) -> str:
        said = "verified by the store" if self.verified else "not verified by the store"
        return f"{self.algorithm}:{self.value} ({said})"


@dataclass(frozen=True)
class UploadResult:
    """A published object, as the store has it.

    `etag`: with its quotes, as the store gives it.
    `version_id`: None where the bucket keeps no versions.
    `size`: bytes of the object.
    `parts`: parts that it was made of, 0 for a single PutObject.
    `checksum`: of the whole object, None where there is none.
    """

    bucket: str
    key: str
    etag: str
    version_id: str | None
    size: int
    parts: int
    checksum: Checksum | None


class UploadState:
    """One upload's phase, id, accepted parts and their bytes, first error."""

    def __init__(self) -> None:
        self.phase = Phase.FRESH
        self.upload_id: str | None = None
        self.error: BaseException | None = None
        self.result: UploadResult | None = None
        self.bytes_accepted = 0
        self._receipts: dict[int, Receipt] = {}

    def on(self, event: Event) -> None:
        """Move to the next phase; an event that the table does not have is our own mistake."""
        try:
            self.phase = TABLE[self.phase, event]
        except KeyError:
            raise RuntimeError(
                f"cannot {event.value} an upload that is {self.phase.value}"
            ) from None

    def take_up(self, upload_id: str, receipts: Iterable[Receipt]) -> None:
        """Begin with an upload that is there already, and what the store has of it."""
        self.on(Event.BEGIN)
        self.upload_id = upload_id
        for receipt in receipts:
            self.accept(receipt)

    def accept(self, receipt: Receipt) -> None:
        """Keep the store's word for a part; one that was sent again counts once."""
        before = self._receipts.get(receipt.part_number)
        self.bytes_accepted += receipt.size - (0 if before is None else before.size)
        self._receipts[receipt.part_number] = receipt

    def fail(self, error: BaseException) -> None:
        """Keep the first error; later ones are its consequences."""
        self.on(Event.FAIL)
        if self.error is None:
            self.error = error

    def commit(self, result: UploadResult) -> None:
        """The object is there."""
        self.on(Event.COMMIT)
        self.error = None
        self.result = result

    def lose_sight(self, error: BaseException) -> None:
        """The commit went out and its fate is unknown."""
        self.on(Event.LOSE_SIGHT)
        self.error = error

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """The store's word for the parts, in order, gaps and all."""
        return tuple(self._receipts[number] for number in sorted(self._receipts))

    @property
    def accepted(self) -> tuple[int, int]:
        """Bytes and parts that the store has; of a published object, its own."""
        if self.result is not None:
            return self.result.size, self.result.parts
        return self.bytes_accepted, self.parts_accepted

    @property
    def parts_accepted(self) -> int:
        """How many parts the store has."""
        return len(self._receipts)

    def manifest(self, size: int) -> list[Receipt]:
        """List the parts in order, certain to be the `size` bytes of the object.

        Raises `S3StreamError` for a gap or a misfit: such an upload must not be completed.
        """
        receipts = [self._receipts[number] for number in sorted(self._receipts)]
        missing = sorted(set(range(1, len(receipts) + 1)) - set(self._receipts))
        if missing or not receipts:
            raise S3StreamError(f"part {missing[0] if missing else 1} was never accepted")
        total = sum(receipt.size for receipt in receipts)
        if total != size:
            raise S3StreamError(f"the parts hold {total:,} bytes, but {size:,} were written")
        return receipts


def combined_crc(receipts: list[Receipt], algorithm: Algorithm) -> int | None:
    """Derive the whole object's CRC from the parts' CRCs; None where a part has none."""
    whole = 0
    for receipt in receipts:
        if receipt.crc is None:
            return None
        whole = algorithm.combine(whole, receipt.crc, receipt.size)
    return whole
