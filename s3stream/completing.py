"""How an upload whose parts somebody has sent becomes the object: looked at first, then published.

Asks the store, and says what is certain. Must not know who has sent the parts, nor what is to
become of an upload that cannot be completed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from .errors import (
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    PreconditionError,
    S3StreamError,
    UncertainError,
)
from .manifest import agreed
from .state import Receipt, UploadResult
from .store import Listing, Target, is_not_allowed, is_refusal, is_upload_gone

# Seconds between looks at parts that should be there.
_PAUSES = (0.1, 0.2, 0.4, 0.8)


def look(
    target: Target,
    upload_id: str,
    known: Mapping[int, Receipt],
    *,
    strictly: bool,
    min_part_size: int,
    now: bool = False,
) -> list[Receipt] | UploadResult:
    """The parts to complete, in order; or the object, when somebody has completed it already.

    `known` are the parts as they were sent; `strictly`: there must be no other. `now`: whether the
    object is there is the question, and not whether it was before another took its place. Raises
    `S3StreamError` when the store does not have the parts so, `NotFoundError` when the upload is
    gone and has not become this object, `UncertainError` when nobody can tell.
    """
    ask = partial(target.list_parts, upload_id)
    if strictly:
        ask = partial(listed_or_known, target, upload_id, known)
    try:
        listing = ask()
        for pause in _PAUSES:
            if known.keys() <= listing.parts.keys():
                break
            # SeaweedFS shows an upload that somebody else is completing without its parts, before
            # it is gone.
            time.sleep(pause)
            listing = ask()
    except S3StreamError as error:
        if known and is_upload_gone(error):
            return _found(target, upload_id, known, error, now=now)
        raise
    try:
        return agreed(
            known,
            listing.parts,
            strictly=strictly,
            min_part_size=min_part_size,
            doubtful=listing.doubtful,
        )
    except S3StreamError as error:
        error.bucket, error.key, error.upload_id = target.bucket, target.key, upload_id
        raise


def listed_or_known(target: Target, upload_id: str, known: Mapping[int, Receipt]) -> Listing:
    """What the store lists; or what is known, where we may not list: who may send may complete."""
    try:
        return target.list_parts(upload_id)
    except S3StreamError as error:
        if not is_not_allowed(error):
            raise
        return Listing({n: (r,) for n, r in known.items()}, frozenset(), None, False)


def publish(
    target: Target, upload_id: str, parts: list[Receipt], *, now: bool = False
) -> UploadResult:
    """Make the object of these parts; `now` is as in `look`.

    Raises the store's refusal, `NotFoundError` when the upload is gone and has not become this
    object, `UncertainError` when nobody can tell whether it was published.
    """
    size = sum(part.size for part in parts)
    try:
        return target.complete(upload_id, parts, size)
    except NotFoundError as gone:
        if not is_upload_gone(gone):
            raise
        return _found(target, upload_id, {part.part_number: part for part in parts}, gone, now=now)
    except (AlreadyExistsError, PreconditionError):
        # What stands in the way may be our own: another process has completed it just now.
        with suppress(UncertainError):
            found = target.find(upload_id, parts, size)
            if found is not None:
                return found
        raise
    except (IntegrityError, UncertainError):
        raise
    except S3StreamError as error:
        if is_refusal(error):
            raise
        # A gateway may have given up what the store then carries out.
        raise UncertainError(
            f"the store did not say whether the object was published: {error.message}",
            bucket=target.bucket,
            key=target.key,
            upload_id=upload_id,
        ) from error


def is_gone(error: BaseException) -> bool:
    """Whether it is certain that there is neither the upload nor an object made of it."""
    cause = error.__cause__
    return (
        isinstance(error, NotFoundError)
        and isinstance(cause, S3StreamError)
        and is_upload_gone(cause)
    )


def is_refused(error: BaseException) -> bool:
    """Whether it is certain that a Complete which raised this has not made an object."""
    if isinstance(error, UncertainError):
        return False  # the refusal of its last attempt says nothing of the one before
    return isinstance(error, S3StreamError) and is_refusal(error)


def _found(
    target: Target,
    upload_id: str,
    known: Mapping[int, Receipt],
    gone: S3StreamError,
    *,
    now: bool,
) -> UploadResult:
    parts = [known[number] for number in sorted(known)]
    result = target.find(upload_id, parts, sum(part.size for part in parts), now=now)
    if result is not None:
        return result
    raise NotFoundError(
        "cannot complete: the upload is gone, and has not become this object",
        bucket=target.bucket,
        key=target.key,
        upload_id=upload_id,
    ) from gone
