"""What is written down of one upload: all that another server needs to go on with it.

Pure: text in, text out. Who writes it, and under which condition, is decided elsewhere.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..checkpoint import Checkpoint
from ..errors import UsageError

_FORMAT = "s3stream tus upload"
_VERSION = 1


class Kind(enum.Enum):
    """What becomes of an upload."""

    WHOLE = "whole"  # an object of its own
    PARTIAL = "partial"  # one to be joined with others
    FINAL = "final"  # made of others


class Status(enum.Enum):
    """How far it has come. An OPEN one may be published already, should its end not be known."""

    OPEN = "open"
    FINISHED = "finished"


@dataclass(frozen=True)
class Whole:
    """What one call was about to make an object of: by this it is known, should it be there.

    `size` in bytes; `etag`: the one that S3 mostly gives to such bytes, their MD5; `crc` is their
    checksum by the upload's algorithm.
    """

    size: int
    etag: str
    crc: int | None


@dataclass(frozen=True)
class Record:
    """One upload. `length` is None until it is said; `expires`: seconds of the epoch, or None.

    `checkpoint` is how far the store has it, as the library writes it down; `whole` is there where
    its object may be, written in one call. `etag` and `version_id` are those of the object once
    that is certain. `turn` counts how often it was written.
    """

    key: str
    length: int | None
    metadata: str
    kind: Kind
    concat: str
    expires: float | None
    status: Status = Status.OPEN
    checkpoint: Checkpoint | None = None
    etag: str | None = None
    version_id: str | None = None
    turn: int = 0
    whole: Whole | None = None

    @property
    def offset(self) -> int:
        """The bytes that were kept when it was written; the store may say less."""
        if self.status is Status.FINISHED:
            return self.length or 0
        return 0 if self.checkpoint is None else self.checkpoint.offset

    @property
    def upload_id(self) -> str | None:
        """The multipart upload that it has at the store."""
        return None if self.checkpoint is None else self.checkpoint.upload_id

    def is_expired(self, now: float) -> bool:
        """Whether its time has run out."""
        return self.expires is not None and now >= self.expires

    def to_json(self) -> str:
        """Write it down, for `from_json` of this or a later version."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["kind"], fields["status"] = self.kind.value, self.status.value
        fields["checkpoint"] = self.checkpoint and self.checkpoint.to_json()
        fields["whole"] = self.whole and dataclasses.astuple(self.whole)
        return json.dumps({"format": _FORMAT, "version": _VERSION, **fields})

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read what `to_json` has written. Raises `UsageError` for anything else."""
        try:
            read: Any = json.loads(text)
        except ValueError as error:
            raise UsageError(f"not the record of an upload: {error}") from error
        if not isinstance(read, dict) or (read.get("format"), read.get("version")) != (
            _FORMAT,
            _VERSION,
        ):
            raise UsageError(f"not the record of an upload, or of a version to come: {text[:60]!r}")
        read.setdefault("whole", None)  # of which records of earlier servers do not tell
        try:
            fields = {field.name: read[field.name] for field in dataclasses.fields(cls)}
            fields["kind"], fields["status"] = Kind(read["kind"]), Status(read["status"])
            if read["checkpoint"] is not None:
                fields["checkpoint"] = Checkpoint.from_json(read["checkpoint"])
            if read["whole"] is not None:
                fields["whole"] = Whole(*read["whole"])
            return cls(**fields)
        except (LookupError, TypeError, ValueError) as error:
            raise UsageError(f"a broken record of an upload: {error}") from error


def name_of(upload_id: str) -> str:
    """What everything of an upload is called at the store.

    Not by its id: whoever knows that may delete the upload, and names of objects get about.
    """
    return hashlib.sha256(upload_id.encode()).hexdigest()
