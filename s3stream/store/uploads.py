"""The unfinished multipart uploads of a bucket, and the lifecycle rule that removes them.

Plain calls in our types and errors; does not know when an upload is too old, nor whose it is.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ..errors import S3StreamError
from .calls import call
from .failures import NO_SUCH_UPLOAD, UPLOAD_GONE, code_of, translated
from .pages import pages
from .parameters import Parameters, check_name
from .started import abort_once, list_parts

_RULE_ID = "s3stream: abort unfinished uploads"
# rclone takes PutBucketLifecycleConfiguration for CreateBucket.
_TAKEN_FOR_CREATE = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


@dataclass(frozen=True)
class StartedUpload:
    """What a listing says of one upload: its key, its id, when it was started."""

    key: str
    upload_id: str
    initiated: datetime


class Uploads:
    """The unfinished uploads of `bucket`; `given` are S3 parameters for its calls.

    Raises `UsageError` for a bucket name that cannot be. Sends nothing when made.
    """

    def __init__(self, client: Any, bucket: str, given: dict[str, Any]) -> None:
        self.bucket = bucket
        self._client = client
        self._ask = functools.partial(call, client)
        check_name(bucket, "")
        self._parameters = Parameters(client, given)

    def list(self, prefix: str) -> list[StartedUpload]:
        """List the uploads whose keys begin with `prefix`.

        Raises `NotFoundError` when there is no such bucket.
        """
        found: list[StartedUpload] = []
        arguments = self._for("ListMultipartUploads", Prefix=prefix)
        where = {"bucket": self.bucket, "key": prefix}
        with translated("cannot list the unfinished uploads", **where):
            try:
                for page in pages(
                    self._client.list_multipart_uploads,
                    ("KeyMarker", "UploadIdMarker"),
                    arguments,
                    where,
                ):
                    found.extend(
                        StartedUpload(entry["Key"], entry["UploadId"], entry["Initiated"])
                        for entry in page.get("Uploads", ())
                    )
            except ClientError as error:
                # So says rclone of a bucket that has never had an upload.
                if code_of(error) != NO_SUCH_UPLOAD:
                    raise
        return found

    def measure(self, upload: StartedUpload) -> tuple[int, int] | None:
        """How many parts an upload has, and their bytes; None when it is not there any more."""
        where = self._where(upload)
        arguments = self._for("ListParts", Key=upload.key, UploadId=upload.upload_id)
        with translated("cannot list the parts", **where):
            try:
                parts = list_parts(self._ask, arguments, where).parts
            except ClientError as error:
                if code_of(error) in UPLOAD_GONE:
                    return None
                raise
        return len(parts), sum(receipts[-1].size for receipts in parts.values())

    def abort(self, upload: StartedUpload) -> None:
        """Remove the upload and its parts; one that is not there any more is what we wanted."""
        arguments = self._for("AbortMultipartUpload", Key=upload.key, UploadId=upload.upload_id)
        with translated("cannot abort the upload", **self._where(upload)):
            abort_once(self._ask, arguments, None)

    def expire(self, prefix: str, days: int) -> None:
        """Have the store abort uploads under `prefix` that are `days` old, by a lifecycle rule.

        Every other rule of the bucket stays; one of ours for the same prefix is replaced.
        """
        rule_id = _RULE_ID + (f" of {prefix}" if prefix else "")
        with translated("cannot read the lifecycle rules", bucket=self.bucket):
            configuration = self._lifecycle()
        others = [rule for rule in configuration.get("Rules", ()) if rule.get("ID") != rule_id]
        # Rules of the first version name their prefix without a filter, and AWS refuses to have
        # both versions in one configuration.
        first_version = any("Prefix" in rule for rule in others)
        rule = {
            "ID": rule_id,
            "Status": "Enabled",
            **({"Prefix": prefix} if first_version else {"Filter": {"Prefix": prefix}}),
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
        }
        # A setting beside the rules, which falls back to its default when it is not sent again.
        beside = "TransitionDefaultMinimumObjectSize"
        arguments = self._for(
            "PutBucketLifecycleConfiguration",
            LifecycleConfiguration={"Rules": [*others, rule]},
            **({beside: configuration[beside]} if beside in configuration else {}),
        )
        with translated("cannot set the lifecycle rule", bucket=self.bucket):
            try:
                self._client.put_bucket_lifecycle_configuration(**arguments)
            except ClientError as error:
                if code_of(error) in _TAKEN_FOR_CREATE:
                    raise S3StreamError(
                        "the store has no lifecycle rules: it took ours for a new bucket",
                        bucket=self.bucket,
                    ) from error
                raise

    def _lifecycle(self) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.get_bucket_lifecycle_configuration(
                **self._for("GetBucketLifecycleConfiguration")
            )
        except ClientError as error:
            if code_of(error) == "NoSuchLifecycleConfiguration":
                return {}
            raise
        return answer

    def _for(self, call: str, **arguments: Any) -> dict[str, Any]:
        return {"Bucket": self.bucket, **self._parameters.of(call), **arguments}

    def _where(self, upload: StartedUpload) -> dict[str, Any]:
        return {"bucket": self.bucket, "key": upload.key, "upload_id": upload.upload_id}
