"""A multipart upload that you can hold: parts from anywhere, in any order, ended by who has it.

Makes each call where it is asked for; knows no stream, no thread and no buffer of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any, SupportsIndex

from .books import Books
from .checksums import ALGORITHMS
from .completing import look, publish
from .errors import PreconditionError, S3StreamError, UsageError
from .fs import S3StreamFileSystem, take_connection
from .given import check_part_size, part_number_of, range_of, receipt_of
from .options import WriteOptions
from .regions import FileRegion, body_of, read_range
from .state import Phase, Receipt, UploadResult
from .store import Origin, Target
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
        self._books = Books()
        self._copied_from: dict[str, str] = {}
        self._renew()

    def _renew(self) -> None:
        # A forked child may not wait for a lock that a thread of its parent holds.
        self._process = os.getpid()
        self._books.renew()
        self._ending = threading.Lock()
        self._reading = threading.Lock()

    @classmethod
    def create(cls, uri: str, *, client: Any = None, **options: Any) -> MultipartUpload:
        """Start an upload of the object `s3://bucket/key`.

        `options` are those of `s3stream.open`. Raises `UsageError` before any request when one is
        wrong, `NotFoundError` when there is no such bucket.
        """
        fs, bucket, key, chosen = prepared(uri, client, options)
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
        named: object = upload_id
        if not isinstance(named, str) or not named:
            # Without one the calls would write and delete the object itself.
            raise UsageError(f"upload_id={upload_id!r}: expected the id of an upload")
        said = options.get("checksum")
        fs, bucket, key, chosen = prepared(uri, client, options)
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
        file: str | os.PathLike[str] | IO[bytes],
        offset: int = 0,
        size: int | None = None,
    ) -> Receipt:
        """Send `size` bytes from `offset` of a file (None: all the rest of it) as part `number`.

        `file` is a path, which is read as it is sent, a mebibyte at a time, by any number of
        threads at once; or a seekable binary file, whose part is read into memory, by one thread
        at a time. Raises `UsageError` when the file ends before `size` bytes.
        """
        part_number = self._checked(number)
        with self._named(part_number):
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

        The bytes do not pass through this machine. The source must be at the same endpoint. All
        that is copied here from one source is of the same version of it. Raises `NotFoundError`
        when there is no source, `UsageError` for a range that it does not have, or one of over
        5 GiB, `PreconditionError` when it was replaced meanwhile, `S3StreamError` when the store
        does not copy parts.
        """
        part_number = self._checked(number)
        source = split_uri(source_uri)
        with self._named(part_number):
            target = self._target()
            size, etag = target.look_at_source(source)
            start, end = range_of(byte_range, size, source_uri)
            etag = self._copied_from.setdefault(source_uri, etag)
            receipt = target.copy_part(
                self.upload_id, part_number, source, etag, byte_range, size=end - start
            )
            # Not every store heeds the condition that the ETag is still the same.
            if target.look_at_source(source)[1] != etag:
                raise PreconditionError(f"{source_uri} was replaced while it was copied")
            return self._books.add(receipt)

    def parts(self) -> list[Receipt]:
        """The parts that the store has, in order, each once, whoever has sent them.

        Raises `NotFoundError` when there is no such upload (any more).
        """
        listed = self._target().list_parts(self.upload_id).parts
        return [receipts[-1] for receipts in listed.values()]

    def __iter__(self) -> Iterator[Receipt]:
        """The same, one after the other."""
        return iter(self.parts())

    def complete(self, receipts: Iterable[Receipt] | None = None) -> UploadResult:
        """Publish the object that the parts make; a second time returns the same result.

        `receipts` are what sending parts elsewhere has returned: with them the object is made of
        just those and the parts sent here. Without, of all that the store lists. Before the store
        is asked it is refused when there is a gap, a part too small, or one that is not as it was
        sent: `S3StreamError`, and the upload stays, to be mended and completed again. A part that
        is sent meanwhile is refused.

        Whoever completes second and knows the parts gets the result of the first; else
        `NotFoundError`. `UncertainError` when nobody can tell whether it was published; then it may
        be asked for again.
        """
        given = None if receipts is None else [receipt_of(receipt) for receipt in receipts]
        self._anew_after_fork()
        with self._ending:
            if self._books.result is not None:
                return self._books.result
            self._books.refuse_if_over(self)
            known = self._books.prepare(given or ())
            try:
                result = self._complete(known, given is not None)
            except BaseException as error:
                self._books.fail(error)
                raise
            self._books.commit(result)
            self._fs.invalidate_cache(f"{self.bucket}/{self.key}")
            return result

    def abort(self) -> None:
        """Remove the upload and its parts, and see that they are gone; a second time is harmless.

        Raises `ValueError` after `complete`, and while it is uncertain whether that has published;
        `S3StreamError` when the upload is still there.
        """
        self._anew_after_fork()
        with self._ending:
            if self._books.phase is Phase.ABORTED:
                return
            self._books.refuse_if_over(self)
            if self._books.phase is Phase.UNCERTAIN:
                raise ValueError(f"{self!r}: complete() it again, to know, before you abort it")
            self._target().abort(self.upload_id)
            self._books.discard()

    @property
    def status(self) -> str:
        """One line: how it stands, as far as this process knows."""
        return self._books.status

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
        with self._named(number):
            check_part_size(body.size if isinstance(body, FileRegion) else len(body))
            return self._books.add(self._target().upload_part(self.upload_id, number, body))

    def _complete(self, known: dict[int, Receipt], strictly: bool) -> UploadResult:
        target = self._target()
        seen = look(
            target,
            self.upload_id,
            known,
            strictly=strictly,
            min_part_size=self._options.min_part_size,
        )
        if isinstance(seen, UploadResult):
            return seen
        self._books.publish()
        return publish(target, self.upload_id, seen)

    def _anew_after_fork(self) -> None:
        if self._process != os.getpid():
            self._fs.refuse_a_parents_client()
            self._renew()

    def _checked(self, number: Any) -> int:
        self._anew_after_fork()
        self._books.refuse_if_over(self)
        with self._named(None):
            return part_number_of(number, self._options.max_parts)

    @contextmanager
    def _named(self, number: int | None) -> Iterator[None]:
        """Have errors that know only bytes say where it was."""
        try:
            yield
        except S3StreamError as error:
            if error.bucket is None:
                error.bucket, error.key, error.upload_id = self.bucket, self.key, self.upload_id
                error.part_number = error.part_number or number
            raise


def prepared(
    uri: str, client: Any, options: dict[str, Any]
) -> tuple[S3StreamFileSystem, str, str, WriteOptions]:
    """What an upload is made with: file system, bucket, key, options; takes the first's of them."""
    bucket, key = split_uri(uri)
    fs = S3StreamFileSystem(**take_connection(client, options))
    return fs, bucket, key, fs._write_options(options)
