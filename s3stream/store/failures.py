"""The border between botocore's errors and ours: one function, one table.

The only place that reads error codes. Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
CONDITION_FAILED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})

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
    **dict.fromkeys(("BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"), IntegrityError),
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
    attempts = int(error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) or 0) + 1
    tried = f", after {attempts} attempts" if attempts > 1 else ""
    return kind(f"{doing}: {said}{tried}", **where)


def note_attempts(client: Any) -> None:
    """Have errors know whether any of their attempts can have reached the store."""

    def note(request_dict: dict[str, Any], caught_exception: Any, **kwargs: Any) -> None:
        context = request_dict["context"]
        if not isinstance(caught_exception, _NOT_CONNECTED):
            context["s3stream_reached"] = True
        elif not context.get("s3stream_reached"):
            vars(caught_exception)["s3stream_never_reached"] = True

    client.meta.events.register_first("needs-retry.s3", note)


_NOT_CONNECTED = (boto.EndpointConnectionError, boto.ConnectTimeoutError)


def never_reached(error: BaseException) -> bool:
    """Whether it is certain that no attempt of the call has come as far as the store.

    Known of our own clients only, not of those that the user brings.
    """
    return isinstance(error, _NEVER_SENT) or getattr(error, "s3stream_never_reached", False)


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
