"""The border between botocore's errors and ours: one function, one table.

The only place that reads error codes. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from botocore import exceptions as boto

from ..errors import (
    AccessDeniedError,
    AlreadyExistsError,
    IntegrityError,
    NotFoundError,
    PreconditionError,
    S3StreamError,
    TimedOutError,
    TooLargeError,
    UsageError,
)

NO_SUCH_UPLOAD = "NoSuchUpload"
# Ceph 16 answers NoSuchKey where S3 says NoSuchUpload.
UPLOAD_GONE = frozenset({NO_SUCH_UPLOAD, "NoSuchKey", "404"})
OBJECT_GONE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "NotFound"})
# A byte was changed on the way: the store has kept nothing, and the bytes are still here.
CHANGED_ON_THE_WAY = frozenset({"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException"})
SLOW_DOWN = frozenset({"SlowDown", "ServiceUnavailable", "RequestLimitExceeded", "503", "429"})
# What `call` notes on an error of botocore: no attempt has come as far as the store.
NEVER_REACHED = "s3stream_never_reached"
# By status: forbidden, or a store that has no such call.
NOT_ALLOWED = frozenset({403, 405, 501})
CONFLICT = "ConditionalRequestConflict"
CONDITION_FAILED = frozenset({"PreconditionFailed", CONFLICT, "412"})

_BY_CODE: dict[str, type[S3StreamError]] = {
    **dict.fromkeys(
        ("NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NoSuchUpload", "404", "NotFound"),
        NotFoundError,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "ExpiredToken",
            "InvalidAccessKeyId",
            "InvalidToken",
            "SignatureDoesNotMatch",
            "RequestTimeTooSkewed",
            "401",
            "403",
            "Forbidden",
        ),
        AccessDeniedError,
    ),
    **dict.fromkeys(("BucketAlreadyExists", "BucketAlreadyOwnedByYou"), AlreadyExistsError),
    **dict.fromkeys(CONDITION_FAILED, PreconditionError),
    **dict.fromkeys(CHANGED_ON_THE_WAY, IntegrityError),
    **dict.fromkeys(("EntityTooLarge", "MaxMessageLengthExceeded"), TooLargeError),
    **dict.fromkeys(("RequestTimeout", "504"), TimedOutError),
    **dict.fromkeys(("InvalidBucketName",), UsageError),
}

_BY_TYPE: tuple[tuple[type[Exception], type[S3StreamError]], ...] = (
    (boto.NoCredentialsError, AccessDeniedError),
    (boto.PartialCredentialsError, AccessDeniedError),
    (boto.CredentialRetrievalError, AccessDeniedError),
    (boto.ConnectTimeoutError, TimedOutError),
    (boto.ReadTimeoutError, TimedOutError),
    (boto.ParamValidationError, UsageError),
    (boto.ProfileNotFound, UsageError),
    (boto.InvalidRegionError, UsageError),
    (boto.InvalidRetryConfigurationError, UsageError),
)


def code_of(error: BaseException) -> str | None:
    """S3's code of an error answer, None for anything else."""
    if isinstance(error, boto.ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return None


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an error answer, None when there was no answer."""
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return None if status is None else int(status)
    return None


def is_not_allowed(error: S3StreamError) -> bool:
    """Whether the store refuses calls of this kind, whatever they ask for."""
    return error.__cause__ is not None and status_of(error.__cause__) in NOT_ALLOWED


def is_upload_gone(error: S3StreamError) -> bool:
    """Whether it says that there is no such upload (any more)."""
    return error.__cause__ is not None and code_of(error.__cause__) in UPLOAD_GONE


def is_refusal(error: S3StreamError) -> bool:
    """Whether it is certain that what was asked for was not carried out, and will not be."""
    cause = error.__cause__
    if cause is None:
        return False
    status = status_of(cause)
    return getattr(cause, NEVER_REACHED, False) or (status is not None and 400 <= status < 500)


def translate(error: BaseException, doing: str, **where: Any) -> S3StreamError:
    """Say in our words what botocore says, for `raise translate(error, …) from error`.

    `doing` is what failed, in plain words; `where` is bucket, key, upload_id and part_number.
    """
    code = code_of(error)
    if code is None:
        kind = next((ours for theirs, ours in _BY_TYPE if isinstance(error, theirs)), S3StreamError)
        return kind(f"{doing}: {type(error).__name__}: {error}", **where)
    assert isinstance(error, boto.ClientError)  # noqa: S101 - only those have a code
    kind = _BY_CODE.get(code, S3StreamError)
    said = error.response.get("Error", {}).get("Message")
    said = f"{code}: {said}" if said and said != "None" else code
    if code in OBJECT_GONE:
        said = f"there is no such object ({code})"
    if code in {"403", "Forbidden"}:
        said = f"the store refuses it ({code}): check the credentials and what they may do"
    if code == "NoSuchBucket":
        said = f"there is no bucket {where.get('bucket')!r} ({code})"
    if code == "RequestTimeTooSkewed":
        here = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        said += f"; this machine's clock says {here}, the store's {headers.get('date', 'another')}"
    attempts = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) or 0) + 1
    tried = f", after {attempts} attempts" if attempts > 1 else ""
    return kind(f"{doing}: {said}{tried}", **where)


# Errors that come before a request has left.
_NEVER_SENT = (
    boto.CredentialRetrievalError,
    boto.NoCredentialsError,
    boto.ParamValidationError,
    boto.PartialCredentialsError,
)


@contextmanager
def translated(doing: str, **where: Any) -> Iterator[None]:
    """Let only our errors out of the body."""
    try:
        yield
    except (boto.BotoCoreError, boto.ClientError) as error:
        raise translate(error, doing, **where) from error
