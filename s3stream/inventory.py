"""What is in an archive, written down inside it: the manifest, in pieces, and its audit.

Pure: lines, counts and checksums. Must not know archives, stores or files.

A piece is JSON, an object a line: first the piece's own number, then the entries that were written
since the piece before, in their order; the last line of the last piece counts all of them. So
neither who writes nor who reads ever holds more than one piece.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .errors import IntegrityError
from .naming import MANIFEST_FOLDER
from .options import MiB

_VERSION = 1
# A line has more than 100 bytes, a piece a mebibyte and one line: who sees more entries than this
# without a piece reads something else.
_MOST_UNPROVED = 20_000
# A line may be long (names, 2 KiB of metadata), a piece much longer than said is none of ours.
MAX_PIECE = 16 * MiB


@dataclass(frozen=True)
class Entry:
    """Something to be archived: its name in the archive, where it comes from, what is known of it.

    `size` is in bytes; a name that ends in a slash is a folder's, without bytes.
    """

    name: str
    source: str
    size: int
    modified: datetime | None = None
    etag: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it has a name and nothing else."""
        return self.name.endswith("/")


@dataclass(frozen=True)
class ArchiveContents:
    """What an archive holds: `entries`, their bytes (`size`), and how many objects were `skipped`.

    Skipped are those that had changed or vanished when they were to be read, where that was asked
    for.
    """

    entries: int
    size: int
    skipped: int


class Ledger:
    """The manifest while it is written: full after `piece_size` bytes."""

    def __init__(self, piece_size: int = MiB) -> None:
        self._piece_size = piece_size
        self._pieces = 0
        self._lines: list[bytes] = []
        self._held = 0
        self._entries = 0
        self._size = 0
        self._skipped = 0

    @property
    def contents(self) -> ArchiveContents:
        """All that was recorded so far."""
        return ArchiveContents(self._entries, self._size, self._skipped)

    @property
    def is_full(self) -> bool:
        """Whether it is time to take a piece."""
        return self._held >= self._piece_size

    def record(self, entry: Entry, sha256: str) -> None:
        """Write down an entry that is in the archive."""
        self._entries += 1
        self._size += entry.size
        self._write(
            name=entry.name,
            size=entry.size,
            sha256=sha256,
            source=entry.source,
            modified=None if entry.modified is None else entry.modified.isoformat(),
            etag=entry.etag,
            content_type=entry.content_type,
            metadata=dict(entry.metadata) if entry.metadata else None,
        )

    def skip(self, entry: Entry, reason: str) -> None:
        """Write down an entry that is not in the archive."""
        self._skipped += 1
        self._write(skipped=entry.name, source=entry.source, reason=reason)

    def take(self) -> tuple[str, bytes]:
        """Take out a piece: its name in the archive, and its bytes."""
        self._pieces += 1
        head = _line(s3stream=_VERSION, piece=self._pieces)
        data = head + b"".join(self._lines)
        self._lines.clear()
        self._held = 0
        return _name_of_piece(self._pieces), data

    def finish(self) -> tuple[str, bytes]:
        """Take out the last piece, which counts all entries."""
        self._write(end=_as_json(self.contents))
        return self.take()

    def _write(self, **facts: Any) -> None:
        line = _line(**facts)
        self._lines.append(line)
        self._held += len(line)


class Audit:
    """Compares what comes out of an archive with its manifest, in the order of the archive.

    `archive` is what it is called in errors, all of them `IntegrityError`.
    """

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._unproved: deque[tuple[str, int, str | None]] = deque()
        self._pieces = 0
        self._entries = 0
        self._size = 0
        self._skipped = 0
        self._end: dict[str, Any] | None = None

    def saw(self, name: str, size: int, sha256: str | None) -> None:
        """Note an entry as it was read; without a checksum where it was passed over."""
        if self._end is not None:
            raise self._wrong(f"{name!r} comes after the end of its manifest")
        self._unproved.append((name, size, sha256))
        if len(self._unproved) > _MOST_UNPROVED:
            raise self._wrong(f"{_MOST_UNPROVED:,} entries follow each other without a manifest")

    def read_piece(self, name: str, data: bytes) -> None:
        """Compare what was read since the last piece with what this one says."""
        self._pieces += 1
        if name != _name_of_piece(self._pieces):
            raise self._wrong(
                f"its manifest goes on with {name!r}, where {_name_of_piece(self._pieces)!r} should"
                " be"
            )
        head, *lines = self._parsed(name, data)
        if head != {"s3stream": _VERSION, "piece": self._pieces}:
            raise self._wrong(f"{name!r} is no manifest of version {_VERSION}, or of another place")
        for line in lines:
            if self._end is not None:
                raise self._wrong(f"{name!r} goes on after its end")
            if "end" in line:
                self._end = line["end"]
            elif "skipped" in line:
                self._skipped += 1
            else:
                self._compare(line)
        if self._unproved:
            raise self._wrong(f"{self._unproved[0][0]!r} is not in its manifest")

    def finish(self) -> ArchiveContents:
        """Say what all of it was; to be called at the end of the archive."""
        if self._pieces == 0:
            raise self._wrong(
                f"it has no manifest ({MANIFEST_FOLDER}/): it was made by something else, or is cut"
                " off, and nothing proves its entries"
            )
        counted = ArchiveContents(self._entries, self._size, self._skipped)
        if self._end is None:
            raise self._wrong("its manifest has no end: the archive is cut off")
        if self._end != _as_json(counted):
            raise self._wrong(f"it holds {_as_json(counted)}, and was made with {self._end}")
        return counted

    def _parsed(self, name: str, data: bytes) -> list[dict[str, Any]]:
        try:
            lines = [json.loads(line) for line in data.splitlines()]
        except ValueError as error:
            raise self._wrong(f"{name!r} cannot be read: {error}") from error
        if not lines or not all(isinstance(line, dict) for line in lines):
            raise self._wrong(f"{name!r} is not lines of JSON objects")
        return lines

    def _compare(self, line: Mapping[str, Any]) -> None:
        said = line.get("name")
        if not self._unproved:
            raise self._wrong(f"{said!r} is in its manifest and not in the archive")
        name, size, sha256 = self._unproved.popleft()
        if said != name:
            raise self._wrong(f"{name!r} stands where its manifest has {said!r}")
        if line.get("size") != size or (sha256 is not None and line.get("sha256") != sha256):
            raise self._wrong(
                f"{name!r} is not what was archived: {size:,} bytes with SHA-256 {sha256}, its"
                f" manifest says {line.get('size')} with {line.get('sha256')}"
            )
        self._entries += 1
        self._size += size

    def _wrong(self, what: str) -> IntegrityError:
        return IntegrityError(f"{self._archive}: {what}")


def is_piece(name: str) -> bool:
    """Whether this entry is part of the manifest."""
    return name.startswith(f"{MANIFEST_FOLDER}/")


def _name_of_piece(number: int) -> str:
    return f"{MANIFEST_FOLDER}/{number:06}.jsonl"


def _as_json(contents: ArchiveContents) -> dict[str, int]:
    return {"entries": contents.entries, "size": contents.size, "skipped": contents.skipped}


def _line(**facts: Any) -> bytes:
    present = {name: value for name, value in facts.items() if value is not None}
    return json.dumps(present, separators=(",", ":")).encode() + b"\n"
