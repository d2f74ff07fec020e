"""What is in an archive, written down inside it: the manifest, in pieces, and its audit.

Pure: lines, counts and checksums. Must not know archives, stores or files.

A piece is JSON, an object a line: first the piece's own number, then the entries that were written
since the piece before, in their order; the last line of the last piece counts all of them. So
neither who writes nor who reads ever holds more than one piece.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class Said:
    """What a manifest says of an entry."""

    name: str
    size: int
    sha256: str
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None


class Audit:
    """Compares what comes out of an archive with its manifest, in the order of the archive.

    `archive` is what it is called in errors, all of them `IntegrityError`. Pieces come behind the
    entries that they tell of; with `foretold` before them, and then a wrong entry is known to be
    one as soon as it was read.
    """

    def __init__(self, archive: str, *, foretold: bool = False) -> None:
        self._archive = archive
        self._foretold = foretold
        # Read and not yet told of; or of the entry that is being read, what was told.
        self._unproved: deque[tuple[str, int, str | None]] = deque()
        self._said: Said | None = None
        # Of the piece that was read last, what was not yet compared.
        self._lines: Iterator[dict[str, Any]] = iter(())
        self._pieces = 0
        self._entries = 0
        self._size = 0
        self._skipped = 0
        self._end: dict[str, Any] | None = None

    def expect(self, name: str, size: int) -> Said | None:
        """Before an entry is read: what is told of it, None where its piece comes behind."""
        if not self._foretold:
            return None
        self._said = self._next_said()
        if self._said is None:
            if self._pieces == 0:
                raise self._without_manifest()
            if self._end is not None:
                raise self._too_late(name)
            raise self._wrong(f"{name!r} is not in its manifest")
        self._compare(self._said, name, size, None)
        return self._said

    def saw(self, name: str, size: int, sha256: str | None) -> None:
        """Note an entry as it was read; without a checksum where it was passed over."""
        if self._said is not None:
            said, self._said = self._said, None
            self._count(said, name, size, sha256)
            return
        if self._end is not None:
            raise self._too_late(name)
        self._unproved.append((name, size, sha256))
        if len(self._unproved) > _MOST_UNPROVED:
            raise self._wrong(f"{_MOST_UNPROVED:,} entries follow each other without a manifest")

    def compare(self, name: str, size: int, sha256: str) -> None:
        """Raise an error if it is known by now that this entry, as it was read, is a wrong one."""
        if self._said is not None:
            self._compare(self._said, name, size, sha256)

    def read_piece(self, name: str, data: bytes) -> None:
        """Take in a piece: of what was read since the last one, or of what is to come."""
        self._end_piece()
        self._pieces += 1
        if name != _name_of_piece(self._pieces):
            raise self._wrong(
                f"its manifest goes on with {name!r}, where {_name_of_piece(self._pieces)!r} should"
                " be"
            )
        self._lines = self._parsed(name, data)
        if next(self._lines, None) != {"s3stream": _VERSION, "piece": self._pieces}:
            raise self._wrong(f"{name!r} is no manifest of version {_VERSION}, or of another place")
        if self._foretold:
            return
        while self._unproved:
            said = self._next_said()
            if said is None:
                raise self._wrong(f"{self._unproved[0][0]!r} is not in its manifest")
            self._count(said, *self._unproved.popleft())
        self._end_piece()

    def finish(self) -> ArchiveContents:
        """Say what all of it was; to be called at the end of the archive."""
        self._end_piece()
        if self._pieces == 0:
            raise self._without_manifest()
        counted = ArchiveContents(self._entries, self._size, self._skipped)
        if self._end is None:
            raise self._wrong("its manifest has no end: the archive is cut off")
        if self._end != _as_json(counted):
            raise self._wrong(f"it holds {_as_json(counted)}, and was made with {self._end}")
        return counted

    def _parsed(self, name: str, data: bytes) -> Iterator[dict[str, Any]]:
        """The lines, one by one: parsed they would take many times their bytes."""
        for text in data.splitlines() or [b"null"]:
            try:
                line = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise self._wrong(f"{name!r} cannot be read: {error}") from error
            if not isinstance(line, dict):
                raise self._wrong(f"{name!r} is not lines of JSON objects")
            yield line

    def _next_said(self) -> Said | None:
        """What the piece says of the next entry; None at its end."""
        for line in self._lines:
            if self._end is not None:
                raise self._wrong(f"{_name_of_piece(self._pieces)!r} goes on after its end")
            if "end" in line:
                self._end = line["end"]
            elif "skipped" in line:
                self._skipped += 1
            else:
                return self._said_in(line)
        return None

    def _said_in(self, line: dict[str, Any]) -> Said:
        name, size, sha256 = (line.get(field) for field in ("name", "size", "sha256"))
        content_type, metadata = line.get("content_type"), line.get("metadata")
        if (
            not (isinstance(name, str) and isinstance(size, int) and isinstance(sha256, str))
            or not isinstance(content_type, (str, type(None)))
            or not isinstance(metadata, (dict, type(None)))
            or not all(isinstance(value, str) for value in (metadata or {}).values())
        ):
            raise self._wrong(
                f"{_name_of_piece(self._pieces)!r} cannot be read: it says of {name!r} what no"
                " archive of ours does"
            )
        return Said(name, size, sha256, content_type, metadata)

    def _end_piece(self) -> None:
        """Whatever is left of the last piece tells of no entry."""
        said = self._next_said()
        if said is not None:
            raise self._wrong(f"{said.name!r} is in its manifest and not in the archive")

    def _count(self, said: Said, name: str, size: int, sha256: str | None) -> None:
        self._compare(said, name, size, sha256)
        self._entries += 1
        self._size += size

    def _compare(self, said: Said, name: str, size: int, sha256: str | None) -> None:
        if said.name != name:
            raise self._wrong(f"{name!r} stands where its manifest has {said.name!r}")
        if said.size != size or (sha256 is not None and said.sha256 != sha256):
            read = f"{size:,} bytes" + ("" if sha256 is None else f" with SHA-256 {sha256}")
            raise self._wrong(
                f"{name!r} is not what was archived: {read}, its manifest says {said.size} with"
                f" {said.sha256}"
            )

    def _too_late(self, name: str) -> IntegrityError:
        return self._wrong(f"{name!r} comes after the end of its manifest")

    def _without_manifest(self) -> IntegrityError:
        return self._wrong(
            f"it has no manifest ({MANIFEST_FOLDER}/): it was made by something else, or is cut"
            " off, and nothing proves its entries"
        )

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
