"""What becomes of an upload that is not published: removed, or left to be taken up again.

By what has happened so far and who keeps it; waits no longer than it is told to. Must not know how
bytes come in, nor who has asked.
"""

from __future__ import annotations

from collections.abc import Callable

from .carrier import LIVE, Carrier
from .cleanup import AT_ONCE, THOROUGH, Patience, Removal, patience_with, when_settled
from .errors import LockedError, S3StreamError, UncertainError, add_note, attach, offer
from .guard import Guard
from .state import Event, Phase


class Retreat:
    """The way back for what a carrier has brought; `drop` lets go of what it was not given yet."""

    def __init__(self, carrier: Carrier, drop: Callable[[], None], guard: Guard | None) -> None:
        self._carrier = carrier
        self._state = carrier.state
        self._drop = drop
        self._guard = guard
        self._removal = Removal(carrier.target, carrier.sender, self._upload_id)

    def because_of(self, error: BaseException) -> None:
        """Discard or let go after an error, unless a commit has come through; notes what became."""
        # An interrupt may have come while the commit was on its way: its own answer counts.
        self._carrier.sender.settle(THOROUGH.settle)
        self._carrier.absorb()
        if self._state.phase is Phase.COMMITTED:
            add_note(error, f"and yet the object was published: {self._state.result}")
            return
        if self._state.phase is Phase.COMMITTING:
            self._state.lose_sight(
                UncertainError(
                    f"{type(error).__name__} came while the store was publishing the object, and"
                    " its answer was not waited for: the object may appear",
                    bucket=self._carrier.target.bucket,
                    key=self._carrier.target.key,
                    upload_id=self._state.upload_id,
                )
            )
            add_note(error, str(self._state.error))
            return
        self._carrier.fail(error)
        patience = patience_with(error)
        failed = self.discard(patience) if self._guard is None else self.let_go(patience)
        if failed is not None:
            attach(error, failed)

    def let_go(self, patience: Patience, *, handed_out: bool = False) -> S3StreamError | None:
        """Publish nothing and leave what the store has, for somebody to take up again.

        Waits for parts in flight, as `discard` does. Returns what kept it from being written down;
        an upload that nobody could ever find is aborted, unless its checkpoint is `handed_out`.
        """
        if self._carrier.memory.is_being_changed_here():
            patience = AT_ONCE
        settled = self._stop(patience)
        if self._state.phase not in LIVE:
            return None
        self._state.on(Event.SUSPEND)
        if not settled and self._state.upload_id is None:
            self._removal.after(f"the beginning of {self._carrier.target.key!r}")
        guard = self._guard
        if guard is None:
            return None
        try:
            if self._state.upload_id is None:
                guard.forget()
            else:
                guard.keep(self._carrier.checkpoint())
        except S3StreamError as error:
            if not handed_out and not guard.is_noted():
                failed = self._removal.now(patience.abort)
                if failed is not None:
                    attach(error, failed)
            return error
        return None

    def let_go_in_spite_of(self, error: BaseException) -> None:
        """Leave what the store has, and put on the error how to go on from there."""
        failed = self.let_go(patience_with(error), handed_out=True)
        if failed is not None:
            attach(error, failed)
        checkpoint = self._carrier.checkpoint()
        if checkpoint.upload_id is not None and not isinstance(error, LockedError):
            offer(
                error,
                checkpoint,
                f"{checkpoint.offset:,} bytes are kept: s3stream.resume() goes on from there with"
                " this error's .checkpoint",
            )

    def discard(self, patience: Patience = THOROUGH) -> S3StreamError | None:
        """Publish nothing and remove what was sent; harmless when the transfer is over.

        Waits for parts in flight before it aborts the upload; parts that outlast its patience are
        followed by another abort. Returns what went wrong with that, if anything did. Removes
        nothing that the guard says is somebody else's, or does not know whose it is.
        """
        if self._carrier.memory.is_being_changed_here():
            patience = AT_ONCE
        settled = self._stop(patience)
        if self._state.phase not in LIVE:
            return None
        if self._guard is not None:
            try:
                self._guard.allow()
            except S3StreamError as error:
                self._state.on(Event.SUSPEND)
                add_note(error, "and so nothing was discarded: what was sent is left where it is")
                return error
        self._state.on(Event.DISCARD)
        failed = self._removal.now(patience.abort)
        if not settled:
            self._removal.after(f"a request for {self._carrier.target.key!r}")
        return failed

    def _stop(self, patience: Patience) -> bool:
        self._carrier.cancellation.request()  # or parts in flight would be repeated
        settled = self._carrier.sender.settle(patience.settle)
        self._carrier.absorb()
        self._drop()
        self._carrier.memory.drop_free()
        if self._state.phase is Phase.COMMITTING:
            what = f"the commit of {self._carrier.target.key!r}"
            when_settled(self._carrier.sender, what, lambda: None)
        return settled

    def _upload_id(self) -> str | None:
        self._carrier.absorb()
        return self._state.upload_id
