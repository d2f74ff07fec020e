"""Several uploads made into one object: copied at the store, but for what is too small for that.

Does what `ranges` has planned, part after part. Must not know requests, nor what is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..checkpoint import CHECKPOINTED, Checkpoint
from ..errors import S3StreamError, attach
from ..memory import Memory
from ..options import GiB, MiB, WriteOptions
from ..state import Receipt, UploadResult
from ..store import Objects, Target
from .ranges import Piece, Range, plan
from .shelf import Shelf

# One copy takes 5 GiB; of smaller ranges a client behind a patient proxy hears sooner.
_LARGEST_COPY = 1 * GiB
_PIECE = 1 * MiB


@dataclass(frozen=True)
class Source:
    """An object to be joined: the version of this ETag."""

    key: str
    size: int
    etag: str


class Joining:
    """The object `key` that sources make, in the order given."""

    def __init__(
        self, shelf: Shelf, key: str, options: WriteOptions, sources: Sequence[Source]
    ) -> None:
        self._shelf = shelf
        self._sources = sources
        self._options = options
        self._target = Target(shelf.fs.client, shelf.bucket, key, options)
        self._objects = Objects(shelf.fs.client, options.s3_additional_kwargs)
        self._size = sum(source.size for source in sources)

    def run(self, begun: Callable[[Checkpoint], None]) -> UploadResult:
        """Make it. `begun` hears of the multipart upload before there is anything in it.

        Raises what keeps it from being made; nothing is left at the store then.
        """
        least = self._options.min_part_size
        pieces = plan([source.size for source in self._sources], least, _LARGEST_COPY)
        if not pieces or (len(pieces) == 1 and not pieces[0].copied):
            return self._put(pieces)
        target = self._target
        upload_id = target.create()
        try:
            begun(self._checkpoint(upload_id))
            receipts = [
                self._made(upload_id, number, piece) for number, piece in enumerate(pieces, 1)
            ]
            return target.complete(upload_id, receipts, self._size)
        except BaseException as error:
            try:
                target.abort(upload_id)
            except S3StreamError as failed:
                attach(error, failed)
            raise

    def _put(self, pieces: list[Piece]) -> UploadResult:
        if not pieces:
            return self._target.put(bytearray())
        memory = self._memory()
        body = memory.take(self._size, self._size)
        try:
            self._fetch(pieces[0], memoryview(body))
            return self._target.put(body)
        finally:
            memory.give_back(body)

    def _made(self, upload_id: str, number: int, piece: Piece) -> Receipt:
        if piece.copied:
            (part,) = piece.ranges
            source = self._sources[part.source]
            # Some stores take no range for an object of less than 5 MiB, and all of it needs none.
            byte_range = None if part.size == source.size else (part.start, part.end)
            where = (self._shelf.bucket, source.key)
            return self._target.copy_part(
                upload_id, number, where, source.etag, byte_range, part.size
            )
        memory = self._memory()
        body = memory.take(piece.size, piece.size)
        try:
            self._fetch(piece, memoryview(body))
            return self._target.upload_part(upload_id, number, body)
        finally:
            memory.give_back(body)

    def _fetch(self, piece: Piece, into: memoryview) -> None:
        at = 0
        with into:
            for part in piece.ranges:
                at = self._read(part, into, at)

    def _read(self, part: Range, into: memoryview, at: int) -> int:
        source = self._sources[part.source]
        for start in range(part.start, part.end, _PIECE):
            end = min(start + _PIECE, part.end)
            data = self._objects.read(self._shelf.bucket, source.key, start, end, etag=source.etag)
            into[at : at + end - start] = data
            at += len(data)
        return at

    def _memory(self) -> Memory:
        return Memory(self._options.memory_limit, self._options.spool)

    def _checkpoint(self, upload_id: str) -> Checkpoint:
        options = {name: getattr(self._options, name) for name in CHECKPOINTED}
        writer_id = self._target.origin.writer_id
        target = self._target
        return Checkpoint(target.bucket, target.key, upload_id, writer_id, options, ())
