"""Every way an upload can go wrong, each error carrying where.

Knows nothing of S3 clients, threads or files: it only gives failures their names.
"""

from __future__ import annotations

import errno
from typing import Any

# What may be added to an error when it is there.
_PICKLED = frozenset({"__notes__", "checkpoint"})


class S3StreamError(OSError):
    """Something about an object at an S3 store went wrong; the base of all our errors.

    `bucket`, `key`, `upload_id` and `part_number` say where, as far as that is known (else None),
    and stand in the message; `__cause__` is the error underneath. `checkpoint`, where not None, is
    a `Checkpoint` to go on from.
    """

    _errno = errno.EIO
    checkpoint: Any = None

    def __init__(
        self,
        message: str,
        *,
        bucket: str | None = None,
        key: str | None = None,
        upload_id: str | None = None,
        part_number: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.bucket = bucket
        self.key = key
        self.upload_id = upload_id
        self.part_number = part_number
        self.errno = self._errno

    def __str__(self) -> str:
        where = []
        if self.bucket is not None:
            where.append(f"s3://{self.bucket}/{self.key or ''}")
        if self.part_number is not None:
            where.append(f"part {self.part_number}")
        if self.upload_id is not None:
            where.append(f"upload {self.upload_id}")
        return f"{self.message} ({', '.join(where)})" if where else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        where = {
            "bucket": self.bucket,
            "key": self.key,
            "upload_id": self.upload_id,
            "part_number": self.part_number,
        }
        kept = {name: value for name, value in vars(self).items() if name in _PICKLED}
        return _rebuild, (type(self), self.message, where), kept


def _rebuild(kind: type[S3StreamError], message: str, where: dict[str, Any]) -> S3StreamError:
    return kind(message, **where)


class UsageError(S3StreamError, ValueError):
    """The caller asked for something that cannot be; nothing was sent to the store."""

    _errno = errno.EINVAL


class NotFoundError(S3StreamError, FileNotFoundError):
    """There is no such bucket, object or version."""

    _errno = errno.ENOENT


class AccessDeniedError(S3StreamError, PermissionError):
    """The store refused the credentials, or there are none."""

    _errno = errno.EACCES


class AlreadyExistsError(S3StreamError, FileExistsError):
    """An exclusive create found an object (or bucket) of that name; it was left as it was."""

    _errno = errno.EEXIST


class PrefixError(S3StreamError, IsADirectoryError):
    """The name is a prefix of objects, where an object is needed."""

    _errno = errno.EISDIR


class PreconditionError(S3StreamError):
    """The object at the store is not the one that `if_match` names; it was left as it was."""


class LockedError(S3StreamError):
    """Another process continues this upload; it was left alone."""

    _errno = errno.EBUSY


class TimedOutError(S3StreamError, TimeoutError):
    """The store did not answer within the time that the client allows, retries included."""

    _errno = errno.ETIMEDOUT


class TooLargeError(S3StreamError):
    """The object cannot fit into the number and size of parts that the store takes."""

    _errno = errno.EFBIG


class IntegrityError(S3StreamError):
    """What the store says it has is not what was written."""


class UncertainError(S3StreamError):
    """The commit was sent and nobody can tell whether it took effect.

    The object may or may not be there. The upload is left alone: aborting it blindly could
    destroy the parts of an object that a later look would show to be incomplete.
    """


class CleanupError(S3StreamError):
    """Nothing was published, but the unfinished upload could not be removed; it costs storage."""


def attach(error: BaseException, cleanup: BaseException) -> None:
    """Note a failed clean-up on the error that made it necessary."""
    add_note(error, f"and the clean-up failed: {type(cleanup).__name__}: {cleanup}")


def add_note(error: BaseException, note: str) -> None:
    """Add a line to what a traceback shows of the error."""
    # BaseException.add_note is Python 3.11's; this is all that it does, and 3.10 keeps the note.
    notes = getattr(error, "__notes__", None)
    error.__notes__ = [*(notes or []), note]  # type: ignore[attr-defined, unused-ignore]


def in_full(error: BaseException) -> str:
    """What an error says, and its notes."""
    return "; ".join([str(error), *getattr(error, "__notes__", [])])


def offer(error: BaseException, checkpoint: Any, note: str) -> None:
    """Put on an error from where to go on, as its `checkpoint`; the note says so."""
    error.checkpoint = checkpoint  # type: ignore[attr-defined]  # any error may have to carry it
    add_note(error, note)
