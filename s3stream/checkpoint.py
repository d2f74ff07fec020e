"""An upload written down: what somebody needs, anywhere, to take it up again.

Pure: text in, text out. Holds no secret, and nothing that only one machine understands.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from dataclasses import dataclass
from typing import Any

from .errors import UsageError
from .options import MAX_PARTS, WriteOptions
from .state import Receipt

_FORMAT = "s3stream checkpoint"
_VERSION = 1

# What the parts that are there were cut by, and what their completion must repeat.
CHECKPOINTED = (
    "part_size",
    "min_part_size",
    "max_parts",
    "equal_parts",
    "reserve",
    "size_hint",
    "checksum",
    "if_match",
    "if_none_match",
)


@dataclass(frozen=True)
class Tail:
    """Bytes too few for a part, kept as an object of their own: the first `size` bytes of `key`.

    `offset` is where they begin in the object to be; `checksum` is theirs, in S3's notation, by the
    upload's algorithm.
    """

    key: str
    offset: int
    size: int
    checksum: str | None


@dataclass(frozen=True)
class Checkpoint:
    """How far an upload has come: the parts that the store has accepted, and the tail behind them.

    `upload_id` is None as long as nothing was sent. `options` are those fields of `WriteOptions`
    that belong to the upload. It is what we know: the store, when it is taken up again, is asked
    what it has. `source`: bytes and time of change (ns) of the local file that is uploaded, if so.
    """

    bucket: str
    key: str
    upload_id: str | None
    writer_id: str | None
    options: dict[str, Any]
    parts: tuple[Receipt, ...]
    tail: Tail | None = None
    source: tuple[int, int] | None = None

    @property
    def offset(self) -> int:
        """The bytes that are safe, those of the firm parts and of the tail: where to go on from."""
        end = sum(part.size for part in self.firm)
        if self.tail is None or self.tail.offset > end:
            return end
        return max(end, self.tail.offset + self.tail.size)

    @property
    def firm(self) -> tuple[Receipt, ...]:
        """The gapless parts up to the first that the store takes as the last one only."""
        least = self.options["part_size" if self.options["equal_parts"] else "min_part_size"]
        return tuple(itertools.takewhile(lambda part: part.size >= least, self.gapless))

    @property
    def gapless(self) -> tuple[Receipt, ...]:
        """The parts up to the first that is missing."""
        parts = sorted(self.parts, key=lambda part: part.part_number)
        return tuple(part for number, part in enumerate(parts, 1) if part.part_number == number)

    def to_json(self) -> str:
        """Write it down, for `from_json` of this or a later version."""
        return json.dumps(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "bucket": self.bucket,
                "key": self.key,
                "upload_id": self.upload_id,
                "writer_id": self.writer_id,
                "options": self.options,
                "parts": [[p.part_number, p.size, p.etag, p.crc] for p in self.parts],
                "tail": self.tail and dataclasses.astuple(self.tail),
                "source": self.source,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Checkpoint:
        """Read what `to_json` has written.

        Raises `UsageError` when it is no checkpoint, was cut off, or is of a version to come.
        """
        try:
            read = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"not a checkpoint: {error}") from error
        if not isinstance(read, dict) or read.get("format") != _FORMAT:
            raise UsageError(f"not a checkpoint: {text[:60]!r}")
        if read.get("version") != _VERSION:
            raise UsageError(
                f"a checkpoint of version {read.get('version')!r}, this s3stream reads {_VERSION}:"
                " take it up with the one that wrote it"
            )
        try:
            return _read(read)
        except (LookupError, TypeError, ValueError) as error:
            raise UsageError(f"a broken checkpoint: {type(error).__name__}: {error}") from error


def _read(read: dict[str, Any]) -> Checkpoint:
    options = {name: read["options"][name] for name in CHECKPOINTED}
    WriteOptions(**options)
    parts = tuple(
        Receipt(_number(number), _whole(size), _text(etag), None if crc is None else _whole(crc))
        for number, size, etag, crc in read["parts"]
    )
    if len({part.part_number for part in parts}) != len(parts):
        raise ValueError("a part is there twice")
    tail = None
    if read["tail"] is not None:
        key, offset, size, checksum = read["tail"]
        said = None if checksum is None else _text(checksum)
        tail = Tail(_text(key), _whole(offset), _whole(size), said)
    source = read["source"]
    return Checkpoint(
        _text(read["bucket"]),
        _text(read["key"]),
        None if read["upload_id"] is None else _text(read["upload_id"]),
        None if read["writer_id"] is None else _text(read["writer_id"]),
        options,
        parts,
        tail,
        None if source is None else (_whole(source[0]), _whole(source[1])),
    )


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def _number(value: Any) -> int:
    if not 1 <= _whole(value) <= MAX_PARTS:
        raise ValueError(f"{value!r} is no part number")
    return _whole(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
