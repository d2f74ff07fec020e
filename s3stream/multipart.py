"""A multipart upload that you can hold: parts from anywhere, in any order, ended by who has it.

Makes each call where it is asked for; knows no stream, no thread and no buffer of its own.
"""

from __future__ import annotations

import operator
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, BinaryIO, SupportsIndex

from .checksums import ALGORITHMS
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
    S3StreamError,
    UncertainError,
    UsageError,
)
from .fs import S3StreamFileSystem, take_connection
from .manifest import Listed, agreed
from .options import MAX_PART_SIZE, WriteOptions
from .regions import FileRegion, body_of, read_range
from .state import TABLE, Event, Phase, Receipt, UploadResult, UploadState
from .store import Origin, Target, is_not_allowed
from .uri import split_uri


class MultipartUpload:
    """A multipart upload of one object: made by `create`, or found again by `attach`.

    Parts may be sent from any thread, process or machine, in any order; one that is sent again
    takes the place of the earlier one. Nothing is published before `complete`, and nothing removed
    before `abort`: an upload that is let go stays at the store, and costs storage.

    It can be pickled, to send parts elsewhere, unless it was made with `client=`. The pickle holds
    the connection's options, a `secret` among them.
    """

    def __init__(
        self,
        fs: S3StreamFileSystem,
        bucket: str,
        key: str,
        options: WriteOptions,
        upload_id: str,
        origin: Origin,
    ) -> None:
        """Not for callers: `create` and `attach` know what belongs together."""
        self.bucket = bucket
        self.key = key
        self.upload_id = upload_id
        self._fs = fs
        self._options = options
        self._origin = origin
        self._sent: dict[int, Receipt] = {}
        self._state = UploadState()
        self._state.on(Event.BEGIN)
        self._ending = threading.Lock()
        self._reading = threading.Lock()

    @classmethod
    def create(cls, uri: str, *, client: Any = None, **options: Any) -> MultipartUpload:
        """Start an upload of the object `s3://bucket/key`.

        `options` are those of `s3stream.open`. Raises `UsageError` before any request when one is
        wrong, `NotFoundError` when there is no such bucket.
        """
        fs, bucket, key, chosen = _prepared(uri, client, options)
        target = Target(fs.client, bucket, key, chosen)
        return cls(fs, bucket, key, chosen, target.create(), target.origin)

    @classmethod
    def attach(
        cls, uri: str, upload_id: str, *, client: Any = None, **options: Any
    ) -> MultipartUpload:
        """Take up an upload that was started elsewhere, by whatever program.

        Its checksum is the one that the store says it was started with. Where a store does not say
        (SeaweedFS, Ceph), none is sent, unless `checksum=` names it. It is completed without a
        condition, even when it was created with one: pickle it instead to keep that.

        Raises `NotFoundError` when it is not there (any more), `UsageError` for a condition, or
        when it was started with a checksum that is not ours (SHA-1, SHA-256).
        """
        said = options.get("checksum")
        fs, bucket, key, chosen = _prepared(uri, client, options)
        if chosen.if_match is not None or chosen.if_none_match is not None:
            raise UsageError(
                "if_match and if_none_match belong to create(): what proves the object to be ours"
                " stands in its metadata from the beginning"
            )
        listing = Target(fs.client, bucket, key, chosen).list_parts(upload_id)
        begun_with = listing.checksum and listing.checksum.lower()
        if begun_with is not None and begun_with not in ALGORITHMS:
            raise UsageError(
                f"the upload was started with {listing.checksum}; expected one of"
                f" {', '.join(ALGORITHMS)}, or none: it is for the program that started it",
                bucket=bucket,
                key=key,
                upload_id=upload_id,
            )
        chosen = replace(chosen, checksum=begun_with or said)
        composite = begun_with is not None and listing.composite
        return cls(fs, bucket, key, chosen, upload_id, Origin(composite=composite))

    def upload_part(self, number: SupportsIndex, data: Any) -> Receipt:
        """Send the bytes of `data`, any C-contiguous buffer, as part `number` (from 1).

        Waits until the store has them. `bytes` and `bytearray` are not copied, and must not change
        meanwhile. Every part but the last needs the store's minimum (5 MiB), which `complete`
        checks. Raises `UsageError` for a number or size that cannot be, else the store's error.
        """
        return self._send(self._checked(number), body_of(data))

    def upload_part_from_file(
        self,
        number: SupportsIndex,
        file: str | os.PathLike[str] | BinaryIO,
        offset: int = 0,
        size: int | None = None,
    ) -> Receipt:
        """Send `size` bytes from `offset` of a file (None: all the rest of it) as part `number`.

        `file` is a path, which is read as it is sent, a mebibyte at a time, by any number of
        threads at once; or a seekable binary file, whose part is read into memory, by one thread
        at a time. Raises `UsageError` when the file ends before `size` bytes.
        """
        part_number = self._checked(number)
        if isinstance(file, (str, os.PathLike)):
            with FileRegion(file, offset, size) as region:
                return self._send(part_number, region)
        with self._reading:
            body = read_range(file, offset, size)
        return self._send(part_number, body)

    def copy_part(
        self, number: SupportsIndex, source_uri: str, byte_range: tuple[int, int] | None = None
    ) -> Receipt:
        """Have the store copy an object, or its bytes from `start` to `end` (not included).

        The bytes do not pass through this machine. The source must be at the same endpoint. Raises
        `NotFoundError` when there is no source, `UsageError` for a range that it does not have,
        `PreconditionError` when it was replaced meanwhile, `S3StreamError` when the store does not
        copy parts.
        """
        part_number = self._checked(number)
        source = split_uri(source_uri)
        target = self._target()
        size, etag = target.look_at_source(source)
        start, end = (0, size) if byte_range is None else byte_range
        if not 0 <= start < end <= size:
            raise UsageError(
                f"byte_range={byte_range!r}: {source_uri} has {size:,} bytes; expected (start, end)"
                " with at least one byte between, the end not included"
            )
        _check_size(end - start)
        receipt = target.copy_part(
            self.upload_id, part_number, source, etag, byte_range, size=end - start
        )
        self._sent[part_number] = receipt
        return receipt

    def __iter__(self) -> Iterator[Receipt]:
        """The parts that the store has, in order, each once, whoever has sent them.

        Raises `NotFoundError` when there is no such upload (any more).
        """
        listed = self._target().list_parts(self.upload_id).parts
        return iter([receipts[-1] for receipts in listed.values()])

    def complete(self, receipts: Iterable[Receipt] | None = None) -> UploadResult:
        """Publish the object that the parts make; a second time returns the same result.

        `receipts` are what sending parts elsewhere has returned: with them the object is made of
        just those and the parts sent here. Without, of all that the store lists. Before the store
        is asked it is refused when there is a gap, a part too small, or one that is not as it was
        sent: `S3StreamError`, and the upload stays, to be mended and completed again.

        Whoever completes second and knows the parts gets the result of the first; else
        `NotFoundError`. `UncertainError` when nobody can tell whether it was published; then it may
        be asked for again.
        """
        with self._ending:
            if self._state.result is not None:
                return self._state.result
            self._refuse_if_over()
            known = {**self._sent, **{r.part_number: r for r in receipts or ()}}
            target = self._target()
            listed = self._listed_or_known(target, known)
            if listed is None:
                result = self._found(target, known)
            else:
                result = self._publish(target, self._agreed(known, listed, receipts is not None))
            self._fs.invalidate_cache(f"{self.bucket}/{self.key}")
            return result

    def abort(self) -> None:
        """Remove the upload and its parts, and see that they are gone; a second time is harmless.

        Raises `ValueError` after `complete`, and while it is uncertain whether that has published;
        `S3StreamError` when the upload is still there.
        """
        with self._ending:
            if self._state.phase is Phase.ABORTED:
                return
            self._refuse_if_over()
            if self._state.phase is Phase.UNCERTAIN:
                raise ValueError(f"{self!r}: complete() it again, to know, before you abort it")
            self._target().abort(self.upload_id)
            self._state.on(Event.DISCARD)

    @property
    def status(self) -> str:
        """One line: how it stands, as far as this process knows."""
        return f"{self._state.phase.value}, {len(self._sent)} parts sent here"

    def __repr__(self) -> str:
        return (
            f"<MultipartUpload s3://{self.bucket}/{self.key} {self.status},"
            f" upload {self.upload_id}>"
        )

    def __reduce__(self) -> Any:
        made_of = (self._fs, self.bucket, self.key, self._options, self.upload_id, self._origin)
        return MultipartUpload, made_of

    def _target(self) -> Target:
        # Made anew each time: a forked child has a client of its own.
        client = self._fs.client
        return Target(client, self.bucket, self.key, self._options, origin=self._origin)

    def _send(self, number: int, body: bytes | bytearray | FileRegion) -> Receipt:
        _check_size(body.size if isinstance(body, FileRegion) else len(body))
        receipt = self._target().upload_part(self.upload_id, number, body)
        self._sent[number] = receipt
        return receipt

    def _listed_or_known(self, target: Target, known: dict[int, Receipt]) -> Listed | None:
        """The parts that the store has; None when the upload is gone and its parts are known."""
        try:
            return target.list_parts(self.upload_id).parts
        except NotFoundError:
            if not known:
                raise
            return None
        except S3StreamError as error:
            # Who may send and complete need not be allowed to list.
            if not known or not is_not_allowed(error):
                raise
            return {number: (receipt,) for number, receipt in known.items()}

    def _agreed(self, known: dict[int, Receipt], listed: Listed, strictly: bool) -> list[Receipt]:
        try:
            least = self._options.min_part_size
            return agreed(known, listed, strictly=strictly, min_part_size=least)
        except S3StreamError as error:
            error.bucket, error.key, error.upload_id = self.bucket, self.key, self.upload_id
            raise

    def _found(self, target: Target, known: dict[int, Receipt]) -> UploadResult:
        parts = [known[number] for number in sorted(known)]
        result = target.find(self.upload_id, parts, sum(part.size for part in parts))
        if result is None:
            raise NotFoundError(
                "cannot complete: the upload is gone, and has not become this object",
                bucket=self.bucket,
                key=self.key,
                upload_id=self.upload_id,
            )
        self._commit(result)
        return result

    def _publish(self, target: Target, parts: list[Receipt]) -> UploadResult:
        size = sum(part.size for part in parts)
        if self._state.phase is Phase.STREAMING:
            self._state.on(Event.PREPARE)
        self._state.on(Event.PUBLISH)
        try:
            result = target.complete(self.upload_id, parts, size)
        except (AlreadyExistsError, PreconditionError):
            self._state.on(Event.REFUSE)
            # What stands in the way may be our own: another process has completed it just now.
            with suppress(UncertainError):
                found = target.find(self.upload_id, parts, size)
                if found is not None:
                    self._commit(found)
                    return found
            raise
        except UncertainError as error:
            self._state.lose_sight(error)
            raise
        except S3StreamError:
            self._state.on(Event.REFUSE)
            raise
        except BaseException as error:
            # An interrupt: nobody has heard the answer.
            self._state.lose_sight(error)
            raise
        self._state.commit(result)
        return result

    def _commit(self, result: UploadResult) -> None:
        # Somebody else has taken the steps between.
        for event in (Event.PREPARE, Event.PUBLISH):
            if (self._state.phase, event) in TABLE:
                self._state.on(event)
        self._state.commit(result)

    def _refuse_if_over(self) -> None:
        if self._state.phase in {Phase.COMMITTED, Phase.ABORTED}:
            raise ValueError(f"{self!r}: it is over; MultipartUpload.attach() finds one again")

    def _checked(self, number: Any) -> int:
        self._refuse_if_over()
        with suppress(TypeError):
            whole = operator.index(number)
            if not isinstance(number, bool) and 1 <= whole <= self._options.max_parts:
                return whole
        raise UsageError(
            f"part number {number!r}: expected 1 to {self._options.max_parts:,}",
            bucket=self.bucket,
            key=self.key,
        )


def _prepared(
    uri: str, client: Any, options: dict[str, Any]
) -> tuple[S3StreamFileSystem, str, str, WriteOptions]:
    bucket, key = split_uri(uri)
    fs = S3StreamFileSystem(**take_connection(client, options))
    return fs, bucket, key, fs._write_options(options)


def _check_size(size: int) -> None:
    if not 0 < size <= MAX_PART_SIZE:
        raise UsageError(f"a part of {size:,} bytes: expected 1 byte to 5 GiB")
