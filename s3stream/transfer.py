"""One object on its way: wires parts, memory, sender and store together.

All decisions about an upload fall here, on the thread that writes; other threads only carry parts.
Must not know that there is a file: whether to commit or to discard is somebody else's question.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from .beside import Tails
from .checkpoint import CHECKPOINTED, Checkpoint, Tail
from .cleanup import AT_ONCE, THOROUGH, Patience, abort, patience_with, warn_of, when_settled
from .errors import CleanupError, S3StreamError, UncertainError, add_note, attach
from .memory import Memory
from .options import WriteOptions
from .parts import Buffer, Cutter, Part
from .plan import plan_parts
from .sender import Outcome, Sender
from .state import Event, Phase, Receipt, UploadResult, UploadState
from .store import Origin, Target
from .waiting import Cancellation

T = TypeVar("T")
Said = str | Receipt | UploadResult | None  # what the store has answered to one of our jobs


class Guard(Protocol):
    """Who keeps an upload for the time after us."""

    def renew(self) -> None:
        """Raise an error if it is somebody else's by now."""

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write down how far it has come; asks nobody."""

    def allow(self) -> None:
        """Raise an error if it must not be committed."""


# The phases in which something may have to be cleaned up.
_LIVE = frozenset({Phase.FRESH, Phase.STREAMING, Phase.PREPARED, Phase.FAILED})


class Transfer:
    """Takes bytes, sends parts behind the producer, and ends in `commit` or `discard`.

    The first error is kept: every later call but `discard` raises it. Not for two threads at once.
    `start` is where it goes on: parts that are known to be there. A `guard` hears of every part and
    has a word before the commit; with one, a failure leaves what was sent to be taken up again.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        options: WriteOptions,
        start: Checkpoint | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._options = options
        self._guard = guard
        self._cancellation = Cancellation()
        origin = None if start is None else Origin(start.writer_id)
        self._target = Target(client, bucket, key, options, self._cancellation, origin)
        self._memory = Memory(options.memory_limit, options.spool, self._cancellation)
        done = () if start is None else start.parts
        self._cutter = Cutter(
            plan_parts(options),
            options.reserve,
            self._memory,
            len(done),
            sum(part.size for part in done),
        )
        self._sender: Sender[Said] = Sender(
            min(options.max_concurrency, self._target.connections),
            f"s3stream {key}",
            self._target.pace,
            self._cancellation,
        )
        self._tails = Tails(client, bucket, key, options)
        self._state = UploadState()
        self._reported: tuple[str | None, int] = (None, 0)
        self._start = start
        if start is not None and start.upload_id is not None:
            self._state.take_up(start.upload_id, start.parts)
            self._reported = (start.upload_id, len(start.parts))

    @property
    def position(self) -> int:
        """Bytes taken so far."""
        return self._cutter.position

    @property
    def peak_memory(self) -> int:
        """The most bytes of parts that were in memory at once."""
        return self._memory.peak

    @property
    def phase(self) -> Phase:
        """Where the upload stands."""
        return self._state.phase

    @property
    def result(self) -> UploadResult | None:
        """The published object, None until there is one."""
        return self._state.result

    @property
    def status(self) -> str:
        """One line for a `repr`."""
        state = self._state
        upload = f", upload {state.upload_id}" if state.upload_id else ""
        failed = f", {type(state.error).__name__}: {state.error}" if state.error else ""
        return (
            f"{state.phase.value}, {self.position:,} bytes, {state.parts_accepted} parts sent,"
            f" {self._sender.in_flight} in flight{upload}{failed}"
        )

    def write(self, data: memoryview) -> None:
        """Take all of `data`, a flat view of bytes; waits while too many parts are in flight."""
        self.raise_if_failed()
        if self._state.phase is Phase.COMMITTED and data:
            raise S3StreamError(
                f"it was published before it was interrupted, with {self.position:,} bytes: nothing"
                " can be added",
                bucket=self._target.bucket,
                key=self._target.key,
            )
        try:
            for part in self._cutter.feed(data):
                self._send(part)
                self.raise_if_failed()
            # A signal handler may have discarded in the middle of this very call.
            self._cancellation.check()
        except BaseException as error:
            # Some of the data may have been taken: going on would lose or double it.
            self._fail(error)
            raise

    def cancel(self) -> None:
        """End, with an error, a write that waits on another thread; `discard` is to follow.

        Takes no lock. A commit that is on its way is not held up.
        """
        self._cancellation.request()

    def raise_if_failed(self) -> None:
        """Raise the first error, if a part has failed or a write was interrupted."""
        self._absorb()
        error = self._state.error
        if error is None:
            return
        if isinstance(error, S3StreamError):
            raise error
        raise S3StreamError(
            f"writing was interrupted by {type(error).__name__} at byte {self.position:,}; how much"
            " was taken is unknown: start again",
            bucket=self._target.bucket,
            key=self._target.key,
            upload_id=self._state.upload_id,
        ) from error

    def prepare(self) -> bool:
        """Bring all that is left to the store, so that a commit is one short request.

        False when there is nothing to commit: it was discarded. An empty object stays here: not
        every store takes an empty part. Raises the first error, after cleaning up.
        """
        try:
            self.raise_if_failed()
            if self._state.phase in {Phase.FRESH, Phase.STREAMING} and self.position:
                self._send_the_rest()
        except BaseException as error:
            self._clean_up_after(error)
            raise
        return self._state.phase is not Phase.ABORTED

    def commit(self) -> UploadResult:
        """Publish the object; a second time returns the same result.

        Raises the first error, after cleaning up, when it cannot be published.
        """
        self._absorb()
        if self._state.result is not None:
            return self._state.result
        try:
            self.raise_if_failed()
            if self._state.phase is Phase.ABORTED:
                raise ValueError("the upload was discarded: there is nothing to commit")
            if self._state.phase is Phase.SUSPENDED:
                raise ValueError("the upload was suspended: resume it to commit it")
            return self._publish()
        except BaseException as error:
            self._clean_up_after(error)
            raise
        finally:
            self._memory.drop_free()

    def _clean_up_after(self, error: BaseException) -> None:
        # An interrupt may have come while the commit was on its way: its own answer counts.
        self._sender.settle(THOROUGH.settle)
        self._absorb()
        if self._state.phase is Phase.COMMITTED:
            add_note(error, f"and yet the object was published: {self._state.result}")
            return
        if self._state.phase is Phase.COMMITTING:
            self._state.lose_sight(
                UncertainError(
                    f"{type(error).__name__} came while the store was publishing the object, and"
                    " its answer was not waited for: the object may appear",
                    bucket=self._target.bucket,
                    key=self._target.key,
                    upload_id=self._state.upload_id,
                )
            )
            add_note(error, str(self._state.error))
            return
        self._fail(error)
        patience = patience_with(error)
        failed = self.discard(patience) if self._guard is None else self.let_go(patience)
        if failed is not None:
            attach(error, failed)

    def suspend(self) -> Checkpoint:
        """Bring all that there is to the store, without a commit: what makes no part as a tail.

        Raises the first error; then nothing is promised of what came behind the last checkpoint.
        """
        self.raise_if_failed()
        options = self._options
        least = options.part_size if options.equal_parts else options.min_part_size
        for part in self._cutter.finish_early(least):
            self._send(part)
        tail = None
        if self._cutter.has_rest:
            self._begin()
            tail = self._send_tail(self._cutter.finish())
        self._sender.settle(cancellable=True)
        self.raise_if_failed()
        self._state.on(Event.SUSPEND)
        self._memory.drop_free()
        checkpoint = self.checkpoint(tail)
        if self._guard is not None:
            self._guard.keep(checkpoint)
        return checkpoint

    def let_go(self, patience: Patience) -> S3StreamError | None:
        """Publish nothing and leave what the store has, for somebody to take up again.

        Waits for parts in flight, as `discard` does. Returns what kept it from being written down.
        """
        if self._memory.is_being_changed_here():
            patience = AT_ONCE
        self._stop(patience)
        if self._state.phase not in _LIVE:
            return None
        self._state.on(Event.SUSPEND)
        try:
            if self._guard is not None and self._state.upload_id is not None:
                self._guard.keep(self.checkpoint())
        except S3StreamError as error:
            return error
        return None

    def checkpoint(self, tail: Tail | None = None) -> Checkpoint:
        """How far the store has it."""
        if tail is None and self._start is not None:
            tail = self._start.tail  # which holds until parts have taken its place
        return Checkpoint(
            self._target.bucket,
            self._target.key,
            self._state.upload_id,
            self._target.origin.writer_id,
            {name: getattr(self._options, name) for name in CHECKPOINTED},
            self._state.receipts,
            tail,
        )

    def found(self, result: UploadResult) -> None:
        """What was taken up turned out to be published already."""
        for event in (Event.PREPARE, Event.PUBLISH):
            self._state.on(event)
        self._state.commit(result)

    def discard(self, patience: Patience = THOROUGH) -> CleanupError | None:
        """Publish nothing and remove what was sent; harmless when the transfer is over.

        Waits for parts in flight before it aborts the upload; parts that outlast its patience are
        followed by another abort. Returns what went wrong with that, if anything did.
        """
        if self._memory.is_being_changed_here():
            patience = AT_ONCE
        settled = self._stop(patience)
        if self._state.phase not in _LIVE:
            return None
        self._state.on(Event.DISCARD)
        failed = self._abort(patience.abort)
        if not settled:
            what = f"a request for {self._target.key!r}"
            when_settled(self._sender, what, self._abort_after_stragglers)
        return failed

    def _stop(self, patience: Patience) -> bool:
        self.cancel()  # or parts in flight would be repeated
        settled = self._sender.settle(patience.settle)
        self._absorb()
        self._cutter.drop()
        self._memory.drop_free()
        if self._state.phase is Phase.COMMITTING:
            when_settled(self._sender, f"the commit of {self._target.key!r}", lambda: None)
        return settled

    def _send(self, part: Part) -> None:
        def upload() -> Receipt:
            upload_id = self._state.upload_id
            assert upload_id is not None  # noqa: S101 - create has returned one, or has raised
            return self._target.upload_part(upload_id, part.number, part.body)

        self._lend(part.body, upload, self._submit)
        self._report()

    def _submit(self, upload: Callable[[], Receipt]) -> bool:
        self._begin()
        return self._sender.submit(upload)

    def _begin(self) -> None:
        if self._state.phase is Phase.FRESH:
            # Before the call: should the wait for it be interrupted, there may be an upload.
            self._state.on(Event.BEGIN)
            self._run(self._target.create)
            self._report()

    def _send_tail(self, rest: Part) -> Tail:
        """Put what makes no part beside the object."""
        upload_id = self._state.upload_id
        assert upload_id is not None  # noqa: S101 - _begin has seen to it
        sent: list[Tail] = []
        self._lend(
            rest.body,
            lambda: sent.append(self._tails.put(upload_id, rest.offset, rest.body)),
            self._run,
        )
        return sent[0]

    def _report(self) -> None:
        """Have written down what is new, where somebody wants to know."""
        self._absorb()
        known = (self._state.upload_id, self._state.parts_accepted)
        if self._guard is not None and known != self._reported:
            self._reported = known
            self._guard.renew()
            self._guard.keep(self.checkpoint())

    def _lend(
        self, body: Buffer, work: Callable[[], T], hand_on: Callable[[Callable[[], T]], bool]
    ) -> None:
        """Hand on a job that uses a buffer, and see that whoever has it last gives it back.

        The buffer is in `loan` until somebody takes it out, which a list does in one step: the job
        when it begins, or else we when it was not handed on. Then it can begin no more.
        """
        loan = [body]

        def job() -> T:
            borrowed = loan.pop()
            try:
                return work()
            finally:
                self._memory.give_back(borrowed)

        handed_on = False
        try:
            handed_on = hand_on(job)
        finally:
            if not handed_on:
                with suppress(IndexError):
                    self._memory.give_back(loan.pop())

    def _publish(self) -> UploadResult:
        if self._state.phase is Phase.FRESH:
            self._put_whole()
        else:
            self._complete()
        assert self._state.result is not None  # noqa: S101 - or that would have raised
        return self._state.result

    def _put_whole(self) -> None:
        last = self._cutter.finish()
        self._lend(
            last.body,
            lambda: self._target.put(last.body),
            lambda job: self._run(job, Event.PUBLISH),
        )

    def _complete(self) -> None:
        if self._state.phase is Phase.STREAMING:
            self._send_the_rest()
        upload_id = self._state.upload_id
        assert upload_id is not None  # noqa: S101 - _send has seen it
        manifest = self._state.manifest(self.position)
        if self._guard is not None:
            self._guard.allow()
        self._run(lambda: self._target.complete(upload_id, manifest, self.position), Event.PUBLISH)

    def _send_the_rest(self) -> None:
        if self._cutter.has_rest:  # what was taken up may have been all
            self._send(self._cutter.finish())
        self._sender.settle(cancellable=True)
        self._report()
        self.raise_if_failed()
        self._state.on(Event.PREPARE)

    def _run(self, job: Callable[[], Said], event: Event | None = None) -> bool:
        """Make one call on a thread, so that Ctrl-C ends the wait for it and not the call.

        The event happens when it is certain that the call is made: there may be a wait before it.
        """
        made = self._sender.submit(job, None if event is None else lambda: self._state.on(event))
        self._sender.settle(cancellable=self._state.phase is not Phase.COMMITTING)
        self.raise_if_failed()
        return made

    def _absorb(self) -> None:
        self._sender.collect(self._keep)

    def _keep(self, outcome: Outcome[Said]) -> None:
        if outcome.error is not None:
            self._fail(outcome.error)
        elif isinstance(outcome.value, Receipt):
            self._state.accept(outcome.value)
        elif isinstance(outcome.value, str):
            self._state.upload_id = outcome.value
        elif isinstance(outcome.value, UploadResult) and self._state.result is None:
            self._state.commit(outcome.value)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, S3StreamError) and error.bucket is None:
            # The pure rooms know sizes, not names.
            error.bucket, error.key = self._target.bucket, self._target.key
            error.upload_id = self._state.upload_id
        committing = self._state.phase is Phase.COMMITTING
        if committing and isinstance(error, UncertainError):
            self._state.lose_sight(error)
        elif committing or self._state.phase in _LIVE:
            self._state.fail(error)

    def _abort(self, timeout: float | None) -> CleanupError | None:
        upload_id = self._state.upload_id
        return None if upload_id is None else abort(self._target, upload_id, timeout)

    def _abort_after_stragglers(self) -> None:
        # The straggler may have been the call that made the upload: only now is its id known.
        self._absorb()
        failed = self._abort(None)
        if failed is not None:
            warn_of(failed)
