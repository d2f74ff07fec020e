"""One object made of parts that the store copies, or that somebody brings: several at once.

Starts the upload, has the parts made, completes it, and removes what comes to nothing. Must not
know where a part's bytes are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from ..errors import S3StreamError, UncertainError, add_note, attach
from ..sender import Outcome, Sender
from ..state import Receipt, UploadResult
from ..waiting import Cancellation
from .failures import is_refusal
from .target import Target

# Makes the part of this number in the upload of this id.
PartMaker = Callable[[str, int], Receipt]

# For parts in flight, before the upload is aborted over their heads (and once more behind them).
_GRACE_SECONDS = 2.0
_LOOK_SECONDS = 0.25

_log = logging.getLogger("s3stream")


class Within(Cancellation):
    """That of one object's parts; what ends all that it belongs to ends them, too."""

    def __init__(self, outer: Cancellation) -> None:
        super().__init__("another part of it could not be made")
        self._outer = outer

    def check(self) -> None:
        """Raise `S3StreamError` when either was requested."""
        self._outer.check()
        super().check()


def make(
    target: Target,
    parts: Sequence[PartMaker],
    cancellation: Cancellation,
    concurrency: int,
    *,
    begun: Callable[[str], object] = lambda upload_id: None,
    ready: Callable[[str, list[Receipt]], object] = lambda upload_id, receipts: None,
) -> UploadResult:
    """Make the object of these parts, `concurrency` of them at once.

    `cancellation` is the target's, ends everything but a Complete that is on its way, and is
    requested when a part has failed, so that no call for another is repeated. `begun`
    hears of the upload before there is anything in it, `ready` of all its parts before it is
    completed; what they raise is as if a part had failed: nothing is left then. Raises the first
    error; `UncertainError` when nobody can tell whether the object was published.
    """
    upload_id = target.create()
    places = min(concurrency, target.connections)
    name = f"s3stream copy {target.key}"
    sender: Sender[Receipt] = Sender(places, name, target.pace, cancellation)
    try:
        begun(upload_id)
        receipts = _made(sender, [partial(part, upload_id) for part in parts], cancellation)
        ready(upload_id, receipts)
        cancellation.check()
    except BaseException as error:
        cancellation.request()
        settled = sender.settle(_GRACE_SECONDS)
        _abort(target, upload_id, error)
        if not settled:
            sender.when_settled(partial(_abort_once_more, target, upload_id))
        raise
    return _completed(target, upload_id, receipts)


def _made(
    sender: Sender[Receipt],
    parts: Sequence[Callable[[int], Receipt]],
    cancellation: Cancellation,
) -> list[Receipt]:
    receipts: list[Receipt] = []

    def keep(outcome: Outcome[Receipt]) -> None:
        if outcome.error is not None:
            raise outcome.error
        if outcome.value is not None:
            receipts.append(outcome.value)

    for number, part in enumerate(parts, 1):
        if not sender.submit(partial(part, number)):
            break
    while not sender.settle(_LOOK_SECONDS, cancellation=cancellation):
        sender.collect(keep)  # one that hangs holds up no error of another
    sender.collect(keep)
    return sorted(receipts, key=lambda receipt: receipt.part_number)


def _completed(target: Target, upload_id: str, receipts: list[Receipt]) -> UploadResult:
    try:
        return target.complete(upload_id, receipts, sum(receipt.size for receipt in receipts))
    except UncertainError:
        raise
    except S3StreamError as error:
        if is_refusal(error):
            _abort(target, upload_id, error)
            raise
        # A gateway may have given up what the store then carries out.
        raise UncertainError(
            f"the store did not say whether the copy was published: {error.message}",
            bucket=target.bucket,
            key=target.key,
            upload_id=upload_id,
        ) from error
    except BaseException as error:
        add_note(
            error,
            "it came while the store was publishing it, and the answer was not waited for:"
            f" s3://{target.bucket}/{target.key} may appear, or upload {upload_id} be left",
        )
        raise


def _abort(target: Target, upload_id: str, error: BaseException) -> None:
    try:
        target.abort(upload_id)
    except S3StreamError as failed:
        attach(error, failed)


def _abort_once_more(target: Target, upload_id: str) -> None:
    try:
        target.abort(upload_id)
    except S3StreamError as failed:
        _log.warning("parts of an upload that was given up may be left: %s", failed)
