"""Brings the parts of one object to the store, and keeps its word for them.

Every call is a job on the sender's threads; what came of it is taken in on the thread that writes.
Knows how an upload begins and is completed; when, and what becomes of it after a failure, is
decided elsewhere. Must not know how bytes are cut.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .beside import Tails
from .checkpoint import CHECKPOINTED, Checkpoint, Tail
from .errors import IntegrityError, S3StreamError, UncertainError
from .guard import Guard
from .memory import Memory
from .meter import Meter
from .options import WriteOptions
from .parts import Part
from .predecessor import Predecessor
from .prepared import PreparedUpload
from .sender import Outcome, Sender
from .state import Event, Phase, Receipt, UploadResult, UploadState
from .store import PUT, Origin, Target, is_refusal
from .waiting import Cancellation

Said = str | Receipt | UploadResult | None  # what the store has answered to one of our jobs

# How often, while the last parts are in flight, those that have come in are told of.
_TELL_SECONDS = 0.25

# The phases in which something may have to be cleaned up.
LIVE = frozenset({Phase.FRESH, Phase.STREAMING, Phase.PREPARED, Phase.FAILED})


class Carrier:
    """One upload on its way. Not for two threads at once.

    `start` is where it goes on: parts that are known to be there. `predecessor` is the object that
    it goes on behind: the store copies it before the first part of ours, if it is large enough.
    `guard` hears of every part and has a word before the commit; `meter` of waits and of bytes.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        options: WriteOptions,
        start: Checkpoint | None,
        guard: Guard | None,
        predecessor: Predecessor | None,
        meter: Meter,
    ) -> None:
        self.cancellation = Cancellation()
        # Ends the wait for a commit that is on its way, which a cancellation does not.
        self.interruption = Cancellation("the wait for the commit was ended")
        origin = None if start is None else Origin(start.writer_id)
        self.target = Target(client, bucket, key, options, self.cancellation, origin, predecessor)
        self.target.refuse_unheeded(PUT)
        self.memory = Memory(
            options.memory_limit, options.spool, self.cancellation, waiting=meter.waiting
        )
        self.sender: Sender[Said] = Sender(
            min(options.max_concurrency, self.target.connections),
            f"s3stream {key}",
            self.target.pace,
            self.cancellation,
            meter.waiting,
            meter.idle,
        )
        self.state = UploadState()
        self._options = options
        self._meter = meter
        self._guard = guard
        self._start = start
        self._ranges = [] if predecessor is None else predecessor.ranges(options)
        tails = None if guard is None else guard.tails
        self._tails = Tails(client, bucket, key, options) if tails is None else tails
        # The one that was taken up holds until parts have taken its place.
        self._tail = None if start is None else start.tail
        self._reported: tuple[str | None, int] = (None, 0)
        if start is not None and start.upload_id is not None:
            self.state.take_up(start.upload_id, start.parts)
            self._reported = (start.upload_id, len(start.parts))

    @property
    def sizes(self) -> list[int]:
        """Bytes of the parts that come before the first of ours."""
        if self._start is not None:
            return [part.size for part in self._start.parts]
        return [end - start for start, end in self._ranges]

    @property
    def is_one_put(self) -> bool:
        """Whether the object can still be written in one call."""
        return self.state.phase is Phase.FRESH and not self._ranges

    def begin(self) -> None:
        """Start the upload, if it was not, and have the store copy what lies before it."""
        if self.state.phase is not Phase.FRESH:
            return
        if self._guard is not None:
            # That it can be is to be known before there is something to be lost.
            self._guard.keep(self.checkpoint())
        # Before the call: should the wait for it be interrupted, there may be an upload.
        self.state.on(Event.BEGIN)
        self._run(self.target.create)
        for number, byte_range in enumerate(self._ranges, 1):
            self.sender.submit(self._copying(number, byte_range))
        self.report()

    def send(self, part: Part) -> None:
        """Have a part sent, and its buffer given back; waits for a place."""

        def upload() -> Receipt:
            return self.target.upload_part(self._upload_id, part.number, part.body)

        def submit(job: Callable[[], Receipt]) -> bool:
            self.begin()
            return self.sender.submit(job)

        self.memory.lend(part.body, upload, submit)
        self.report()

    def send_tail(self, rest: Part) -> None:
        """Put what makes no part beside the object."""
        self.begin()
        sent: list[Tail] = []

        def put() -> None:
            sent.append(self._tails.put(self._upload_id, rest.offset, rest.body))

        self.memory.lend(rest.body, put, self._run)
        self._tail = sent[0]

    def prepare(self) -> None:
        """Wait until the store has all that was sent."""
        self.settle()
        self.report()
        self.raise_error()
        self.state.on(Event.PREPARE)

    def settle(self) -> None:
        """Wait for what is in flight, and tell of what comes in."""
        while not self.sender.settle(_TELL_SECONDS, cancellation=self.cancellation):
            self.absorb()
            self.tell()
        self.absorb()
        self.tell()

    def put(self, whole: Part) -> None:
        """Publish the object in one call."""
        if self._guard is not None:
            self._guard.allow()
            self._guard.announce(self.checkpoint(), whole.body)
        self.memory.lend(
            whole.body,
            lambda: self.target.put(whole.body),
            lambda job: self._run(job, Event.PUBLISH),
        )

    def complete(self, size: int) -> None:
        """Publish the object of `size` bytes that the parts make."""
        manifest = self.state.manifest(size)
        if self._guard is not None:
            self._guard.allow()
        self._run(lambda: self._published(manifest, size), Event.PUBLISH)

    def absorb(self) -> None:
        """Take in what has come of jobs since the last time."""
        self.sender.collect(self._keep)

    def tell(self) -> None:
        """Tell of the bytes that the store has by now, where somebody wants to hear of it."""
        self._meter.tell(self.state.accepted[0])
        if self.state.result is None:
            self.cancellation.check()  # who was told may have discarded it

    def raise_error(self) -> None:
        """Raise the first error, if there is one by now."""
        self.absorb()
        if self.state.error is not None:
            raise self.state.error

    def fail(self, error: BaseException) -> None:
        """Keep an error, if it is the first, with the names of what it befell."""
        if isinstance(error, S3StreamError) and error.bucket is None:
            # The pure rooms know sizes, not names.
            error.bucket, error.key = self.target.bucket, self.target.key
            error.upload_id = self.state.upload_id
        committing = self.state.phase is Phase.COMMITTING
        if committing and isinstance(error, UncertainError):
            self.state.lose_sight(error)
        elif committing or self.state.phase in LIVE:
            self.state.fail(error)

    def refuse_if_lost(self) -> None:
        """Raise an error when somebody else has the upload by now, as far as we have heard."""
        if self._guard is not None:
            self._guard.renew()

    def report(self) -> None:
        """Have written down what is new, where somebody wants to know."""
        self.absorb()
        known = (self.state.upload_id, self.state.parts_accepted)
        if self._guard is not None and known != self._reported:
            self._reported = known
            self._guard.renew()
            self._guard.keep(self.checkpoint())

    def checkpoint(self) -> Checkpoint:
        """How far the store has it."""
        return Checkpoint(
            self.target.bucket,
            self.target.key,
            self.state.upload_id,
            self.target.origin.writer_id,
            {name: getattr(self._options, name) for name in CHECKPOINTED},
            self.state.receipts,
            self._tail,
        )

    def prepared(self) -> PreparedUpload:
        """What somebody else needs to complete what is there."""
        return PreparedUpload(
            self.target.bucket,
            self.target.key,
            self._upload_id,
            self.state.receipts,
            self._options.checksum,
            self._options.if_match,
            self._options.if_none_match,
            self.target.origin.writer_id,
            self.target.parameters_of_the_end,
        )

    def _published(self, manifest: list[Receipt], size: int) -> UploadResult:
        try:
            return self.target.complete(self._upload_id, manifest, size)
        except (IntegrityError, UncertainError):
            raise
        except S3StreamError as error:
            if self._guard is not None or is_refusal(error):
                raise
            # A gateway may have given up what the store then carries out: only what was aborted,
            # and is not there after that, has not been published.
            if not self._is_aborted():
                raise
            found = self.target.find(self._upload_id, manifest, size)
            if found is None:
                raise
            return found

    def _is_aborted(self) -> bool:
        try:
            self.target.abort(self._upload_id)
        except S3StreamError:
            return False  # it will be aborted once more, and that tells what is wrong
        return True

    @property
    def _upload_id(self) -> str:
        assert self.state.upload_id is not None  # noqa: S101 - create has returned one, or raised
        return self.state.upload_id

    def _copying(self, number: int, byte_range: tuple[int, int]) -> Callable[[], Receipt]:
        upload_id = self._upload_id
        return lambda: self.target.copy_predecessor(upload_id, number, byte_range)

    def _run(self, job: Callable[[], Said], event: Event | None = None) -> bool:
        """Make one call on a thread, so that Ctrl-C ends the wait for it and not the call.

        The event happens when it is certain that the call is made: there may be a wait before it.
        """
        made = self.sender.submit(job, None if event is None else lambda: self.state.on(event))
        committing = self.state.phase is Phase.COMMITTING
        self.sender.settle(cancellation=self.interruption if committing else self.cancellation)
        self.raise_error()
        return made

    def _keep(self, outcome: Outcome[Said]) -> None:
        if outcome.error is not None:
            self.fail(outcome.error)
        elif isinstance(outcome.value, Receipt):
            self.state.accept(outcome.value)
        elif isinstance(outcome.value, str):
            self.state.upload_id = outcome.value
        elif isinstance(outcome.value, UploadResult) and self.state.result is None:
            self.state.commit(outcome.value)
