"""A local file's parts on their way: at once, straight from where they lie on the disk.

Decides which parts are missing, and what is left behind when it fails; how a part is sent, an
object published or an upload removed is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .account import Account
from .checkpoint import Checkpoint
from .checksums import ALGORITHMS
from .cleanup import Patience, Removal, patience_with, when_settled
from .completing import listed_or_known
from .endings import forget, late, watch
from .errors import (
    LockedError,
    NotFoundError,
    S3StreamError,
    UncertainError,
    add_note,
    attach,
)
from .fs import S3StreamFileSystem
from .keeping import Keeper
from .manifest import Listed
from .meter import Meter
from .multipart import MultipartUpload
from .options import WriteOptions
from .regions import FileRegion
from .sender import Outcome, Sender
from .source import Source
from .state import Receipt, UploadResult
from .store import Origin, Target, crc_of, is_upload_gone
from .waiting import Cancellation

# How often, while the last parts are in flight, those that have come in are told of.
_TELL_SECONDS = 0.25


class Sending:
    """The parts of one file, from the first to the published object.

    All is decided on the thread that calls `run`; other threads only carry parts.
    """

    def __init__(
        self,
        fs: S3StreamFileSystem,
        noted: Checkpoint,
        options: WriteOptions,
        source: Source,
        cuts: list[tuple[int, int]],
        keeper: Keeper,
        callback: Any,
    ) -> None:
        self._fs = fs
        self._options = options
        self._source = source
        self._cuts = cuts
        self._keeper = keeper
        self._meter = Meter(callback, source.size)
        self._cancellation = Cancellation("the sending of the file was given up")
        origin = None if noted.upload_id is None else Origin(noted.writer_id)
        self._target = Target(
            fs.client, noted.bucket, noted.key, options, self._cancellation, origin
        )
        self._sender: Sender[Receipt | None] = Sender(
            min(options.max_concurrency, self._target.connections),
            f"s3stream {noted.key}",
            self._target.pace,
            self._cancellation,
            idle=self._meter.idle,
        )
        self._account = Account(replace(noted, writer_id=self._target.origin.writer_id))
        self._publishing = False
        self._result: UploadResult | None = None
        self._error: BaseException | None = None
        # Whoever takes it out cleans up: the caller's thread, or the end of the process.
        self._to_be_cleaned_up = [True]

    def run(self) -> UploadResult:
        """Send what is missing and publish; cleans up, or keeps the upload, when it cannot."""
        watch(self)
        try:
            return self._send_and_publish()
        except BaseException as error:
            if isinstance(error, S3StreamError) and error.bucket is None:
                # The rooms that know files know no objects.
                error.bucket, error.key = self._target.bucket, self._target.key
                error.upload_id = self._account.upload_id
            self._clean_up(patience_with(error), error)
            raise
        finally:
            forget(self)
            self._end()

    def _end(self) -> None:
        became = "discarded" if self._keeper.journal is None else "kept, to be taken up again"
        if self._result is not None:
            became = "published"
        elif self._publishing or isinstance(self._error, UncertainError):
            became = "nobody knows whether it was published"
        account = self._account
        stats = self._meter.read(account.size, len(account.accepted), self._target.tally)
        name = f"s3://{self._target.bucket}/{self._target.key} at {self._fs.store}"
        self._meter.end(became, stats)
        self._meter.say(name)

    def _send_and_publish(self) -> UploadResult:
        try:
            if self._begin():
                self._send_parts()
            return self._publish()
        except NotFoundError as gone:
            if self._keeper.journal is None or self._account.upload_id is None:
                raise
            # Whoever has taken it over may have published it: then there is nothing to begin again.
            self._keeper.allow()
            path = self._keeper.journal.path
            raise NotFoundError(
                f"{gone.message}; to begin again, delete the checkpoint {path}",
                bucket=self._target.bucket,
                key=self._target.key,
                upload_id=self._account.upload_id,
            ) from gone

    def _begin(self) -> bool:
        """Start the upload, or look what is there of it; whether it is there to send parts to."""
        if self._account.upload_id is None:
            self._write_down()  # that it can be is to be known before anything is sent
            self._call(self._create)
            self._write_down()
            return True
        looked: list[Listed | None] = []
        self._call(lambda: looked.append(self._look()))
        listed = looked[0]
        if listed is None and len(self._account.known) < len(self._cuts):
            raise NotFoundError("the upload is gone, completed or aborted, and was not finished")
        self._account.confirm(listed)
        if listed is None:
            self._tell()
        return listed is not None

    def _look(self) -> Listed | None:
        upload_id, known = self._account.upload_id, self._account.known
        assert upload_id is not None  # noqa: S101 - or there would be nothing to look at
        try:
            return listed_or_known(self._target, upload_id, known).parts
        except S3StreamError as error:
            if is_upload_gone(error):
                return None
            raise

    def _create(self) -> None:
        self._account.upload_id = self._target.create()

    def _send_parts(self) -> None:
        for number, (offset, size) in enumerate(self._cuts, 1):
            self._sender.submit(self._sending(number, offset, size))
            self._tell()
        while not self._sender.settle(_TELL_SECONDS):
            self._tell()
        self._tell()

    def _sending(self, number: int, offset: int, size: int) -> Callable[[], Receipt]:
        def send() -> Receipt:
            upload_id = self._account.upload_id
            assert upload_id is not None  # noqa: S101 - there is one from _begin on
            try:
                with FileRegion(self._source.path, offset, size) as region:
                    known = self._account.known.get(number)
                    if known is not None and self._is_still(known, region):
                        return known
                    return self._target.upload_part(upload_id, number, region)
            finally:
                # Whatever else came of it: of a file that has changed, that is the error.
                self._source.refuse_if_changed()

        return send

    def _is_still(self, receipt: Receipt, region: FileRegion) -> bool:
        if receipt.size != region.size:
            return False
        if receipt.crc is None or self._options.checksum is None:
            return receipt.crc is None
        return crc_of(ALGORITHMS[self._options.checksum], region) == receipt.crc

    def _publish(self) -> UploadResult:
        self._source.refuse_if_changed()
        self._write_down()
        self._keeper.allow()
        upload_id = self._account.upload_id
        assert upload_id is not None  # noqa: S101 - there is one from _begin on
        upload = MultipartUpload(
            self._fs,
            self._target.bucket,
            self._target.key,
            self._options,
            upload_id,
            self._target.origin,
        )

        def complete() -> None:
            self._result = upload.complete(self._account.accepted.values())

        def begin() -> None:
            self._publishing = True

        self._call(complete, begin)
        assert self._result is not None  # noqa: S101 - or that would have raised
        self._keeper.clear()
        return self._result

    def _call(self, job: Callable[[], None], placed: Callable[[], None] | None = None) -> None:
        """Make one call on a thread, so that Ctrl-C ends the wait for it and not the call."""
        self._sender.submit(job, placed)
        self._sender.settle()
        self._tell()

    def _tell(self) -> None:
        """Hear of what has come in, write it down and report it. Raises the first error."""
        self._sender.collect(self._keep)
        if self._error is not None:
            raise self._error
        self._keeper.renew()
        if self._account.is_due():
            self._write_down()
        self._meter.tell(self._account.size)

    def _keep(self, outcome: Outcome[Receipt | None]) -> None:
        if outcome.error is not None:
            self._publishing = False
            self._error = self._error or outcome.error
        elif outcome.value is not None:
            self._account.accept(outcome.value)

    def _write_down(self) -> None:
        if self._keeper.journal is not None:
            self._keeper.keep(self._account.written_down())

    def _clean_up(self, patience: Patience, error: BaseException) -> None:
        """Remove the upload, or keep it for the next time; notes on `error` what is left."""
        try:
            self._to_be_cleaned_up.pop()
        except IndexError:
            return
        over = late(f"the clean-up after {self._source.path!r}")
        try:
            self._cancel()
            settled = self._sender.settle(patience.settle)
            self._sender.collect(self._keep)
            note = self._nothing_to_be_done(error)
            journal = self._keeper.journal
            if note is None and journal is not None and self._account.upload_id is not None:
                note = self._kept(journal.path, error)
            if note:
                add_note(error, note)
            if note is None:
                self._remove(patience, settled, error)
        except S3StreamError as failed:
            attach(error, failed)
        finally:
            over.set()

    def _nothing_to_be_done(self, error: BaseException) -> str | None:
        """A word, or none, where the upload is over or left alone; None where it is not."""
        if self._result is not None:
            return f"and yet the object was published: {self._result}"
        if isinstance(error, UncertainError) or isinstance(self._error, UncertainError):
            return "" if error is self._error else str(self._error)
        if self._publishing:
            when_settled(self._sender, f"the commit of {self._target.key!r}", lambda: None)
            return (
                f"and it came while the store was publishing the object s3://{self._target.bucket}"
                f"/{self._target.key}, whose answer was not waited for: the object may appear"
            )
        return None

    def _kept(self, path: str, error: BaseException) -> str:
        if isinstance(error, LockedError):
            return "what was sent is left to whoever has taken it over"
        self._write_down()
        return f"what was sent is kept: the same call, with checkpoint={path!r}, goes on with it"

    def _remove(self, patience: Patience, settled: bool, error: BaseException) -> None:
        removal = Removal(self._target, self._sender, lambda: self._account.upload_id)
        failed = removal.now(patience.abort)
        if failed is not None:
            attach(error, failed)
        if not settled:
            removal.after(f"a request for {self._target.key!r}")
        self._keeper.forget()

    def _cancel(self) -> None:
        # Asked by the end of the process, too. A commit that is on its way is not held up.
        self._cancellation.request()

    def _abandon(self, why: str, seconds: float) -> None:
        self._clean_up(Patience(settle=seconds, abort=0), S3StreamError(why))
        self._keeper.let_go(0)
