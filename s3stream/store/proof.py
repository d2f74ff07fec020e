"""The proof that an object is there and ours, when the answer to its commit did not say so.

Looks at the object, by whatever call it is given, and judges; sends nothing else.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..checksums import Algorithm
from ..errors import AlreadyExistsError, IntegrityError, PreconditionError, UncertainError
from ..state import Receipt
from .calls import never_reached
from .failures import (
    CONDITION_FAILED,
    CONFLICT,
    NOT_ALLOWED,
    OBJECT_GONE,
    UPLOAD_GONE,
    code_of,
    status_of,
    translate,
)

# Carried by the metadata of a conditional write: the only thing that tells our object from another
# writer's equal one when the answer to our own commit was lost.
WRITER_ID = "s3stream-writer"
REPLACED = (
    "it was replaced or deleted while it was appended to: nothing was published; open it again, and"
    " append to what is there now"
)
# Seconds between looks at an object that should be there.
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


class Proof:
    """What is known of our object: its checksum's algorithm, and its writer's id if it has one.

    `exclusive`: it must not replace another. `appends`: another may have been written behind ours
    by the time we look, and hold our bytes. `look`, which its methods are given, asks for the
    HeadObject answer of what is there.
    """

    def __init__(
        self,
        algorithm: Algorithm | None,
        writer_id: str | None,
        *,
        exclusive: bool,
        appends: bool = False,
    ) -> None:
        self._algorithm = algorithm
        self._writer_id = writer_id
        self._exclusive = exclusive
        self._appends = appends

    @property
    def is_by_bytes(self) -> bool:
        """Whether an equal object of an earlier write would be taken for ours."""
        return self._writer_id is None

    def of(
        self,
        error: ClientError | BotoCoreError,
        look: Callable[[], dict[str, Any]],
        *,
        size: int,
        etag: str,
        crc: int | None,
        where: dict[str, Any],
    ) -> dict[str, Any]:
        """Find out whether a commit that failed by its answer has made our object after all.

        Returns the object's HeadObject answer when it is ours, else raises.
        """
        code, status = code_of(error), status_of(error)
        failure = said = translate(error, "cannot publish", **where)
        conflict = code in CONDITION_FAILED
        if code == CONFLICT:
            failure = PreconditionError(
                f"another writer was publishing this object in the same moment ({CONFLICT}):"
                " nothing of ours was published; write it again",
                **where,
            )
        elif conflict and self._appends:
            failure = PreconditionError(REPLACED, **where)
        elif conflict and self._exclusive:
            failure = AlreadyExistsError("there is an object of this name already", **where)
        refused = status is not None and status < 500 and code not in UPLOAD_GONE and not conflict
        if never_reached(error) or ((refused or conflict) and not was_retried(error)):
            raise failure from error
        try:
            head = look()
        except (ClientError, BotoCoreError) as unseen:
            if code_of(unseen) in {"404", "NoSuchKey", "NotFound"} and status is not None:
                raise failure from error
            raise UncertainError(
                f"the store did not say whether the object was published: {said.message}; a look"
                f" at it failed too ({type(unseen).__name__}: {unseen})",
                **where,
            ) from error
        if self._is_ours(head, size, etag, crc):
            self._check(head, size, crc, where)
            return head
        if self._exclusive and head.get("ContentLength") != size:
            # Whatever was answered, the object there is another writer's.
            raise AlreadyExistsError("there is an object of this name already", **where) from error
        gone_at_once = code in UPLOAD_GONE and not was_retried(error)
        anothers = (refused or conflict) and not self._could_be_ours(head, size)
        if gone_at_once or (anothers and not self._appends):
            raise failure from error
        raise UncertainError(
            f"the store did not say whether the object was published: {said.message}; the object"
            f" there now has {head.get('ContentLength')} bytes and ETag {head.get('ETag')}",
            **where,
        ) from error

    def find(
        self,
        look: Callable[[], dict[str, Any]],
        *,
        size: int,
        etag: str,
        crc: int | None,
        where: dict[str, Any],
        now: bool = False,
    ) -> dict[str, Any] | None:
        """Find out whether an upload that is gone has become our object.

        Returns the object's HeadObject answer when it is ours, None when there is no object, or for
        certain another writer's: one that never was ours, or `now` is not. Raises `UncertainError`
        when that cannot be told. Looks again for some seconds: a store may remove the upload a
        little before it shows the object.
        """
        for pause in (*_PAUSES, None):
            try:
                head = look()
            except (ClientError, BotoCoreError) as unseen:
                if code_of(unseen) not in OBJECT_GONE:
                    raise UncertainError(
                        "the upload is gone, completed or aborted, and a look at the object failed:"
                        f" {type(unseen).__name__}: {unseen}",
                        **where,
                    ) from unseen
                if pause is None:
                    return None
            else:
                if self._is_ours(head, size, etag, crc) and head.get("ContentLength") == size:
                    self._check(head, size, crc, where)
                    return head
                if pause is None:
                    if not now or self._could_be_ours(head, size):
                        self._refuse_unless_anothers(head, size, where)
                    return None
            time.sleep(pause)
        raise AssertionError  # the last pause is None

    def is_there(
        self, look: Callable[[], dict[str, Any]], *, size: int, etag: str, crc: int | None
    ) -> dict[str, Any] | None:
        """Look once whether the object there is ours; its HeadObject answer, or None.

        None also when nobody can tell, or we may not look. Raises botocore's other errors.
        """
        try:
            head = look()
        except ClientError as unseen:
            if code_of(unseen) in OBJECT_GONE or status_of(unseen) in NOT_ALLOWED:
                return None
            raise
        if head.get("ContentLength") != size or not self._is_ours(head, size, etag, crc):
            return None
        if self._algorithm is not None and crc is not None:
            # Of our own there may have been two, of other bytes.
            said = head.get(self._algorithm.field)
            return head if said in {None, self._algorithm.encode(crc)} else None
        return head

    def _refuse_unless_anothers(
        self, head: dict[str, Any], size: int, where: dict[str, Any]
    ) -> None:
        if self._writer_id is not None and not self._carries_our_id(head):
            return
        raise UncertainError(
            "the upload is gone, completed or aborted; the object there now has"
            f" {head.get('ContentLength')} bytes and ETag {head.get('ETag')}, which is not what"
            f" these parts make ({size:,} bytes)",
            **where,
        )

    def _check(
        self, head: dict[str, Any], size: int, crc: int | None, where: dict[str, Any]
    ) -> None:
        # The writer's id proves whose it is, and not that all of it is there.
        found = head.get("ContentLength")
        if found != size:
            raise IntegrityError(
                f"the store has an object of {found:,} bytes, {size:,} were written", **where
            )
        if self._algorithm is not None and crc is not None:
            ours, theirs = self._algorithm.encode(crc), head.get(self._algorithm.field)
            if theirs not in {None, ours}:
                raise IntegrityError(
                    f"the store has {self._algorithm.name} {theirs}, what was written has {ours}",
                    **where,
                )

    def _is_ours(self, head: dict[str, Any], size: int, etag: str, crc: int | None) -> bool:
        if self._writer_id is not None:
            return self._carries_our_id(head)
        if head.get("ContentLength") != size:
            return False
        if self._algorithm is not None and crc is not None and self._algorithm.field in head:
            return bool(head[self._algorithm.field] == self._algorithm.encode(crc))
        return bool(etag) and head.get("ETag", "").strip('"') == etag.strip('"')

    def _carries_our_id(self, head: dict[str, Any]) -> bool:
        # Some stores give metadata back with a capital first letter.
        found = {name.lower(): value for name, value in head.get("Metadata", {}).items()}
        return found.get(WRITER_ID) == self._writer_id

    def _could_be_ours(self, head: dict[str, Any], size: int) -> bool:
        """Whether an object that is not proved ours is not proved another's either."""
        provable = self._algorithm is not None and self._algorithm.field in head
        return self._writer_id is None and not provable and bool(head.get("ContentLength") == size)

    def check_size(
        self, look: Callable[[], dict[str, Any]], size: int, etag: str, where: dict[str, Any]
    ) -> None:
        """Of a store that keeps no checksum, ask at least the size; it need not let us look."""
        with suppress(ClientError, BotoCoreError):
            head = look()
            found = head.get("ContentLength")
            # Another ETag is another object, written since by somebody else.
            if found is not None and found != size and head.get("ETag") == etag:
                raise IntegrityError(
                    f"the store has an object of {found:,} bytes, {size:,} were written", **where
                )


def was_retried(error: ClientError | BotoCoreError) -> bool:
    """Whether the store may have answered an earlier attempt that we did not hear."""
    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0))
    return True


def etag_of_parts(receipts: list[Receipt]) -> str:
    """What S3 makes a multipart object's ETag of: the MD5 of the parts' MD5s, and their number."""
    try:
        digests = b"".join(bytes.fromhex(receipt.etag.strip('"')) for receipt in receipts)
    except ValueError:
        return ""  # not MD5s (SSE-KMS, SSE-C, some stores): nothing to be derived
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    return f'"{whole}-{len(receipts)}"'
