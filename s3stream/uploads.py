"""Unfinished multipart uploads: seen, aborted, and expired by the store itself.

Decides which of them are old enough; every call is the store's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import S3StreamError, UsageError, add_note
from .fs import S3StreamFileSystem, refuse_unknown
from .store import CONNECTION_OPTIONS, StartedUpload, Uploads


@dataclass(frozen=True)
class UnfinishedUpload:
    """A multipart upload that was neither completed nor aborted, as the store showed it.

    It costs storage for its `size`, the bytes of its `parts` parts. `initiated` is when it was
    started, by the store's clock, with a time zone. It may still be running.
    """

    bucket: str
    key: str
    upload_id: str
    initiated: datetime
    parts: int
    size: int

    @property
    def age(self) -> timedelta:
        """How long ago it was started, by this machine's clock."""
        return _age(self.initiated)


def list_uploads(
    bucket: str, prefix: str = "", *, client: Any = None, **connection: Any
) -> list[UnfinishedUpload]:
    """List the unfinished multipart uploads of keys that begin with `prefix`.

    One request for each upload counts its parts; an upload that ends meanwhile is left out.
    `client` is a boto3 S3 client; `connection` are the connection options of `s3stream.open`
    (`endpoint_url=`, `profile=`, …) and S3's own parameters (`ExpectedBucketOwner=`, …).

    Raises `NotFoundError` when there is no such bucket, `AccessDeniedError` when the credentials
    may not list uploads or parts, `UsageError` before any request when an argument is wrong.
    """
    uploads = _uploads(bucket, prefix, client, connection)
    measured = (_measured(uploads, started) for started in uploads.list(prefix))
    return [upload for upload in measured if upload is not None]


def abort_uploads(
    bucket: str, prefix: str = "", *, older_than: timedelta, client: Any = None, **connection: Any
) -> list[UnfinishedUpload]:
    """Abort the unfinished uploads of keys that begin with `prefix`, and return them.

    Only those that were started `older_than` ago or before: a running upload that is aborted
    fails. One that ends meanwhile is left out. All are tried; then the first error is raised, with
    a note for each other one and one that counts the aborted. The rest is as in `list_uploads`.
    """
    _check_time(older_than)
    uploads = _uploads(bucket, prefix, client, connection)
    aborted = []
    failures = []
    for started in uploads.list(prefix):
        if _age(started.initiated) < older_than:
            continue
        try:
            upload = _measured(uploads, started)
            if upload is not None:
                uploads.abort(started)
                aborted.append(upload)
        except S3StreamError as error:
            failures.append(error)
    if failures:
        first, *others = failures
        for other in others:
            add_note(first, f"and {type(other).__name__}: {other}")
        add_note(
            first, f"uploads that were aborted: {len(aborted)}, that were not: {len(failures)}"
        )
        raise first
    return aborted


def expire_uploads(
    bucket: str, days: int = 7, prefix: str = "", *, client: Any = None, **connection: Any
) -> None:
    """Have the store itself abort uploads of keys that begin with `prefix` after `days` days.

    Sets a lifecycle rule (AbortIncompleteMultipartUpload) for the bucket, in the place of an
    earlier one for the same prefix; every other rule stays. S3 takes all rules at once: one that
    somebody else sets in the same moment may be lost. `connection` is as in `list_uploads`.

    Raises `UsageError` when `days` is no whole number of 1 or more, `NotFoundError` when there is
    no such bucket, `S3StreamError` when the store does not take the rule.
    """
    _check_days(days)
    _uploads(bucket, prefix, client, connection).expire(prefix, days)


def _uploads(bucket: Any, prefix: Any, client: Any, options: dict[str, Any]) -> Uploads:
    if not isinstance(bucket, str) or ("/" in bucket and not bucket.startswith("arn:")):
        raise UsageError(
            f"bucket {bucket!r}: expected its name alone, such as 'my-bucket'; what the keys begin"
            " with goes into prefix="
        )
    if not isinstance(prefix, str):
        raise UsageError(f"prefix={prefix!r}: expected a string, such as 'logs/'")
    # S3's own parameters begin with a capital, ours never do.
    parameters = {name: options.pop(name) for name in list(options) if name[:1].isupper()}
    for name in options:
        refuse_unknown("option", name, {*CONNECTION_OPTIONS, "client", "store"})
    if client is not None:
        options |= {"client": client, "skip_instance_cache": True}
    return Uploads(S3StreamFileSystem(**options).client, bucket, parameters)


def _check_time(older_than: Any) -> None:
    if not isinstance(older_than, timedelta) or older_than < timedelta(0):
        raise UsageError(
            f"older_than={older_than!r}: expected a timedelta of zero or more, such as"
            " timedelta(days=1)"
        )


def _check_days(days: Any) -> None:
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise UsageError(f"days={days!r}: expected a whole number of 1 or more")


def _measured(uploads: Uploads, started: StartedUpload) -> UnfinishedUpload | None:
    measure = uploads.measure(started)
    if measure is None:
        return None
    return UnfinishedUpload(
        uploads.bucket, started.key, started.upload_id, started.initiated, *measure
    )


def _age(initiated: datetime) -> timedelta:
    return datetime.now(timezone.utc) - initiated
