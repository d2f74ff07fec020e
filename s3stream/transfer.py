"""One object on its way, from the first byte to its end.

All decisions about an upload fall on the thread that writes; other threads only carry parts. Must
not know that there is a file: whether to commit or to discard is somebody else's question.
"""

from __future__ import annotations

from typing import Any

from .carrier import LIVE, Carrier
from .checkpoint import Checkpoint
from .errors import S3StreamError
from .guard import Guard
from .meter import Meter
from .options import WriteOptions
from .parts import Cutter
from .plan import plan_parts
from .predecessor import Predecessor
from .prepared import PreparedUpload
from .retreat import Retreat
from .state import Event, Phase, UploadResult
from .stats import WriteStats

# Of an upload that is over, in the words of who wrote it.
_BECAME = {
    Phase.COMMITTED: "published",
    Phase.ABORTED: "discarded",
    Phase.FAILED: "failed",
    Phase.SUSPENDED: "kept, to be taken up again",
    Phase.UNCERTAIN: "nobody knows whether it was published",
}


class Transfer:
    """Takes bytes, sends parts behind the producer, and ends in `commit`, or by its `retreat`.

    The first error is kept: every later call but those of the retreat raises it. Not for two
    threads at once.
    `start` is where it goes on: parts that are known to be there. A `guard` hears of every part and
    has a word before the commit; with one, a failure leaves what was sent to be taken up again.
    `predecessor` is the object that it goes on behind, and may replace; no other. `callback` hears
    of sizes and accepted bytes, as `Meter` says, on the thread that writes; what it raises is as if
    the producer had raised it.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        options: WriteOptions,
        start: Checkpoint | None = None,
        guard: Guard | None = None,
        predecessor: Predecessor | None = None,
        callback: Any = None,
    ) -> None:
        self._options = options
        self._meter = Meter(callback, options.size_hint)
        self._guard = guard
        self._predecessor = predecessor or Predecessor()
        self._carrier = Carrier(
            client, bucket, key, options, start, guard, predecessor, self._meter
        )
        self._target = self._carrier.target
        self._memory = self._carrier.memory
        self._sender = self._carrier.sender
        self._state = self._carrier.state
        sizes = self._carrier.sizes
        before = (len(sizes), sum(sizes))
        # What a predecessor holds is no reason for larger parts: it is not cut by us.
        plan = plan_parts(options, (0, 0) if predecessor is None else before)
        self._cutter = Cutter(plan, options.reserve, self._memory, *before)
        self.retreat = Retreat(self._carrier, self._cutter.drop, guard)
        self._carrier.tell()  # what was taken up is there

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
    def stats(self) -> WriteStats:
        """How it goes, in numbers."""
        return self._meter.read(*self._state.accepted, self._target.tally)

    def end(self) -> None:
        """Nothing more comes: the numbers stand."""
        self._meter.end(_BECAME.get(self._state.phase, self._state.phase.value), self.stats)

    def say_the_end(self, what: str) -> None:
        """Have the log say them, once, if they stand."""
        self._meter.say(what)

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
            self._carrier.refuse_if_lost()
            self._carrier.report()
            for part in self._cutter.feed(data):
                self._carrier.send(part)
                self.raise_if_failed()
                self._carrier.tell()
            if self._meter.listens:
                self._carrier.tell()
            # A signal handler may have discarded in the middle of this very call.
            self._carrier.cancellation.check()
        except BaseException as error:
            # Some of the data may have been taken: going on would lose or double it.
            self._carrier.fail(error)
            raise

    def cancel(self) -> None:
        """End, with an error, a write that waits on another thread; `discard` is to follow.

        Takes no lock. A commit that is on its way is not held up.
        """
        self._carrier.cancellation.request()

    def interrupt(self) -> None:
        """End what waits on another thread as Ctrl-C would: a commit that is on its way, too.

        Takes no lock. What waits ends with an error, on which a note says what became of a commit.
        """
        self._carrier.cancellation.request()
        self._carrier.interruption.request()

    def raise_if_failed(self) -> None:
        """Raise the first error, if a part has failed or a write was interrupted."""
        self._carrier.absorb()
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

    def expect(self, size: int) -> None:
        """The object will have so many bytes; whoever wants to hear of its progress hears that."""
        live = self._state.phase in LIVE
        self._meter.tell_size(size)
        if live:
            self._carrier.cancellation.check()  # who was told may have discarded it

    def fail(self, error: BaseException) -> None:
        """Keep an error of whoever writes, if it is the first: from here on it is raised."""
        self._carrier.fail(error)

    def prepare(self, *, in_parts: bool = False) -> bool:
        """Bring all that is left to the store, so that a commit is one short request.

        False when there is nothing to commit: it was discarded. What is empty, or as it was, stays
        here, unless it is to be there `in_parts`. Raises the first error, after cleaning up.
        """
        try:
            self.raise_if_failed()
            self.expect(self.position)
            if self._state.phase in {Phase.FRESH, Phase.STREAMING} and (
                in_parts or not self._is_unchanged()
            ):
                self._send_the_rest()
        except BaseException as error:
            self.retreat.because_of(error)
            raise
        return self._state.phase is not Phase.ABORTED

    def hand_over(self) -> PreparedUpload:
        """All of it at the store, in parts, and what somebody else needs to publish it.

        It can still be committed or discarded here. Raises the first error, after cleaning up;
        `ValueError` when it is over.
        """
        self.prepare(in_parts=True)
        if self._state.phase is not Phase.PREPARED:
            raise ValueError(f"the upload is {self._state.phase.value}: it cannot be prepared")
        self._memory.drop_free()
        return self._carrier.prepared()

    def commit(self) -> UploadResult:
        """Publish the object; a second time returns the same result.

        Raises the first error, after cleaning up, when it cannot be published.
        """
        self._carrier.absorb()
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
            self.retreat.because_of(error)
            raise
        finally:
            self._memory.drop_free()

    def suspend(self) -> Checkpoint:
        """Bring all that there is to the store, without a commit: what makes no part as a tail.

        Raises the first error; `checkpoint` then tells how far it has come.
        """
        self.raise_if_failed()
        if self._guard is not None:
            self._guard.allow()
        options = self._options
        least = options.part_size if options.equal_parts else options.min_part_size
        for part in self._cutter.finish_early(least):
            self._carrier.send(part)
        if self._cutter.has_rest:
            self._carrier.send_tail(self._cutter.finish())
        self._carrier.settle()
        self.raise_if_failed()
        self._state.on(Event.SUSPEND)
        self._memory.drop_free()
        checkpoint = self._carrier.checkpoint()
        if self._guard is not None:
            self._guard.keep(checkpoint)
        return checkpoint

    def checkpoint(self) -> Checkpoint:
        """How far the store has it."""
        return self._carrier.checkpoint()

    def found(self, result: UploadResult) -> None:
        """What was taken up turned out to be published already."""
        for event in (Event.PREPARE, Event.PUBLISH):
            self._state.on(event)
        self._state.commit(result)
        self._meter.tell_size(result.size)
        self._carrier.tell()

    def _publish(self) -> UploadResult:
        self.expect(self.position)
        before = self._predecessor
        if self._is_unchanged() and before.etag is not None:
            self._cutter.drop()
            self._state.on(Event.PUBLISH)
            self._state.commit(before.as_result(self._target.bucket, self._target.key))
        elif self._carrier.is_one_put:
            self._carrier.put(self._cutter.finish())
        else:
            if self._state.phase in {Phase.FRESH, Phase.STREAMING}:
                self._send_the_rest()
            self._carrier.complete(self.position)
        self._carrier.tell()
        assert self._state.result is not None  # noqa: S101 - or that would have raised
        return self._state.result

    def _is_unchanged(self) -> bool:
        return self.position == self._predecessor.size

    def _send_the_rest(self) -> None:
        # What was taken up may have been all; and of nothing at all there is one empty part, which
        # S3 takes when it is the only one.
        if self._cutter.has_rest or self._state.phase is Phase.FRESH:
            self._carrier.send(self._cutter.finish())
        self._carrier.prepare()
