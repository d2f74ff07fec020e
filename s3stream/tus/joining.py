"""Several uploads made into one object: copied at the store, but for what is too small for that.

Does what `ranges` has planned, several parts at once. Must not know requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ..checkpoint import CHECKPOINTED, Checkpoint
from ..errors import PreconditionError
from ..memory import Memory
from ..options import GiB, WriteOptions
from ..parts import Buffer
from ..state import Receipt, UploadResult
from ..store import Objects, Target, make
from ..waiting import Cancellation
from .ledger import Ledger
from .protocol import Refused
from .ranges import Piece, Range, plan
from .shelf import Shelf

# One copy takes 5 GiB; of smaller ranges several are copied at once.
_LARGEST_COPY = 1 * GiB


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
        self._cancellation = Cancellation("another part could not be made")
        client = shelf.fs.client
        self._target = Target(client, shelf.bucket, key, options, self._cancellation)
        self._objects = Objects(client, options.s3_additional_kwargs)
        self._memory = Memory(options.memory_limit, options.spool, self._cancellation)

    def run(self, ledger: Ledger) -> UploadResult:
        """Make it; `ledger` hears what whoever comes after us needs to find it, or its parts.

        Raises what keeps it from being made; then nothing is left at the store, unless nobody can
        tell whether it was published (`UncertainError`).
        """
        least = self._options.min_part_size
        pieces = plan([source.size for source in self._sources], least, _LARGEST_COPY)
        try:
            if not pieces or (len(pieces) == 1 and not pieces[0].copied):
                return self._put(pieces, ledger)
            return make(
                self._target,
                [partial(self._made, piece) for piece in pieces],
                self._cancellation,
                self._options.max_concurrency,
                begun=lambda upload_id: ledger.keep(self._checkpoint(upload_id)),
                ready=partial(self._ready, ledger),
            )
        finally:
            self._memory.drop_free()

    def _ready(self, ledger: Ledger, upload_id: str, receipts: list[Receipt]) -> None:
        ledger.allow()
        ledger.keep(self._checkpoint(upload_id, receipts))

    def _put(self, pieces: list[Piece], ledger: Ledger) -> UploadResult:
        if not pieces:
            return self._put_body(bytearray(), ledger)
        (piece,) = pieces
        body = self._memory.take(piece.size, piece.size)
        try:
            with _replaced_is_refused():
                self._fetch(piece, memoryview(body))
            return self._put_body(body, ledger)
        finally:
            self._memory.give_back(body)

    def _put_body(self, body: Buffer, ledger: Ledger) -> UploadResult:
        ledger.allow()
        ledger.announce(self._checkpoint(None), body)
        return self._target.put(body)

    def _made(self, piece: Piece, upload_id: str, number: int) -> Receipt:
        with _replaced_is_refused():
            if piece.copied:
                return self._copied(piece, upload_id, number)
            body = self._memory.take(piece.size, piece.size)
            try:
                self._fetch(piece, memoryview(body))
                return self._target.upload_part(upload_id, number, body)
            finally:
                self._memory.give_back(body)

    def _copied(self, piece: Piece, upload_id: str, number: int) -> Receipt:
        (part,) = piece.ranges
        source = self._sources[part.source]
        # Some stores take no range for an object of less than 5 MiB, and all of it needs none.
        byte_range = None if part.size == source.size else (part.start, part.end)
        where = (self._shelf.bucket, source.key)
        return self._target.copy_part(upload_id, number, where, source.etag, byte_range, part.size)

    def _fetch(self, piece: Piece, into: memoryview) -> None:
        at = 0
        with into:
            for part in piece.ranges:
                end = at + part.size
                for data in self._pieces_of(part):
                    if at + len(data) <= end:
                        into[at : at + len(data)] = data
                    at += len(data)
                if at != end:
                    # Not every store heeds the condition that the ETag is still the same.
                    raise _replaced()

    def _pieces_of(self, part: Range) -> Iterator[bytes]:
        source = self._sources[part.source]
        bucket = self._shelf.bucket
        return self._objects.pieces(bucket, source.key, part.start, part.end, source.etag)

    def _checkpoint(self, upload_id: str | None, receipts: Sequence[Receipt] = ()) -> Checkpoint:
        options = {name: getattr(self._options, name) for name in CHECKPOINTED}
        writer_id = self._target.origin.writer_id
        target = self._target
        return Checkpoint(target.bucket, target.key, upload_id, writer_id, options, tuple(receipts))


@contextmanager
def _replaced_is_refused() -> Iterator[None]:
    try:
        yield
    except PreconditionError as error:
        raise _replaced() from error


def _replaced() -> Refused:
    return Refused(400, "Upload-Concat: one of the parts is another by now")
