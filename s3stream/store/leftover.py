"""What stays beside an object that is proved ours by its bytes alone: perhaps our own upload.

An equal object of an earlier write proves no less than ours would. Decides whether the upload may
be removed then, and says what became of it; knows no call by name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..errors import S3StreamError
from .calls import lost_answers
from .failures import code_of, is_upload_gone
from .started import Listing

_log = logging.getLogger("s3stream")


def see_to_leftover(
    name: str,
    upload_id: str,
    found: dict[str, Any],
    error: Exception,
    list_parts: Callable[[], Listing],
    abort: Callable[[], None],
) -> None:
    """Remove the upload `upload_id` of the object `name`, if it has not become what was `found`.

    `found` is the answer to HeadObject, `error` the one that its Complete ended with. An abort of
    an upload that the store has completed, or is just completing, may take its parts out of the
    object: SeaweedFS did (https://github.com/seaweedfs/seaweedfs/issues/11382), and Ceph
    (https://github.com/ceph/ceph/pull/60771). So it is only aborted where the object was there
    before its first part, and no attempt can still be under way. Raises nothing: the object is
    there. The log says what was removed, or is left.
    """
    try:
        listing = list_parts()
    except S3StreamError as unseen:
        if not is_upload_gone(unseen):
            _say_it_is_left(
                name, upload_id, f"the store does not tell ({unseen.message})", "may be"
            )
        return
    if _may_be_under_way(error):
        _say_it_is_left(name, upload_id, "the store may still be completing it")
    elif not _was_there_before(found, listing):
        _say_it_is_left(name, upload_id, "nothing tells whether the object was made of it")
    else:
        _remove(name, upload_id, found["LastModified"], error, abort)


def _remove(
    name: str, upload_id: str, since: datetime, error: Exception, abort: Callable[[], None]
) -> None:
    try:
        abort()
    except S3StreamError as failed:
        _say_it_is_left(name, upload_id, f"it could not be removed ({failed.message})")
        return
    _log.warning(
        "%s: the store did not complete upload %s (%s); an equal object is there since %s, and"
        " stays as it is, with the metadata that it has: the upload was removed",
        name,
        upload_id,
        code_of(error),
        f"{since:%Y-%m-%d %H:%M:%S %Z}",
    )


def _say_it_is_left(name: str, upload_id: str, why: str, left: str = "is") -> None:
    _log.warning(
        "%s: an equal object is there, but upload %s %s left beside it, and costs storage: %s;"
        " look later whether it is still among those which s3stream.list_uploads() shows",
        name,
        upload_id,
        left,
        why,
    )


def _may_be_under_way(error: Exception) -> bool:
    answer = getattr(error, "response", None)
    return answer is None or lost_answers(answer) > 0


def _was_there_before(found: dict[str, Any], listing: Listing) -> bool:
    """Whether the object is older than the first part, both by the store's own clock.

    HeadObject tells whole seconds.
    """
    return (
        listing.since is not None
        and "LastModified" in found
        and bool(found["LastModified"] < listing.since.replace(microsecond=0))
    )
