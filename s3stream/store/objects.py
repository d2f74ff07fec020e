"""Looking at, listing, reading, copying and deleting what is at the store.

Plain calls in our types and errors, for whatever shows S3 as a file system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import S3StreamError
from ..options import MAX_PART_SIZE, MAX_PARTS, GiB
from .failures import status_of, translated
from .pages import pages
from .parameters import Parameters

# One CopyObject takes 5 GiB; larger objects are copied in parts of this size.
_COPY_PART = 1 * GiB
# DeleteObjects takes 1,000 keys: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_DELETE_BATCH = 1_000
_READS = 3
_BEYOND_THE_END = 416  # where a slice is empty; the status, because the codes differ


@dataclass(frozen=True)
class Version:
    """What the store says of one object: bytes, ETag, when it was last written."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str
    content_type: str | None = None
    version_id: str | None = None
    metadata: Mapping[str, str] | None = None


class Objects:
    """The objects and buckets that a client can see; `given` are S3 parameters for its calls."""

    def __init__(self, client: Any, given: Mapping[str, Any]) -> None:
        self._client = client
        self._parameters = Parameters(client, given)

    def head(self, bucket: str, key: str) -> Version:
        """Look at one object. Raises `NotFoundError` when there is none."""
        with translated("cannot find the object", bucket=bucket, key=key):
            answer = self._client.head_object(**self._for("HeadObject", bucket, Key=key))
        return Version(
            key,
            answer["ContentLength"],
            answer["ETag"],
            answer["LastModified"],
            answer.get("StorageClass", "STANDARD"),
            answer.get("ContentType"),
            answer.get("VersionId"),
            answer["Metadata"],
        )

    def read(
        self,
        bucket: str,
        key: str,
        start: int = 0,
        end: int | None = None,
        etag: str | None = None,
    ) -> bytes:
        """Read bytes `start` to `end` (not included; None is the end) of an object, as a slice.

        With an `etag`, raises `PreconditionError` when the object has another one by now.
        """
        arguments = self._for("GetObject", bucket, Key=key)
        if etag is not None:
            arguments["IfMatch"] = etag
        if end is not None and end <= start:
            return b""
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-" + ("" if end is None else str(end - 1))
        with translated("cannot read", bucket=bucket, key=key):
            try:
                return self._read(arguments)
            except ClientError as error:
                if status_of(error) == _BEYOND_THE_END:
                    return b""
                raise

    def _read(self, arguments: dict[str, Any]) -> bytes:
        # Botocore repeats the call and not the reading of its answer.
        for _ in range(_READS - 1):
            with suppress(BotoCoreError):
                return _body_of(self._client.get_object(**arguments))
        return _body_of(self._client.get_object(**arguments))

    def list(
        self, bucket: str, prefix: str, *, delimiter: str = "", at_most: int | None = None
    ) -> tuple[list[Version], list[str]]:
        """List the objects under `prefix`, and with a delimiter the prefixes one level down."""
        found: list[Version] = []
        prefixes: list[str] = []
        arguments = self._for("ListObjectsV2", bucket, Prefix=prefix, Delimiter=delimiter)
        if at_most is not None:
            arguments["MaxKeys"] = at_most
        where = {"bucket": bucket, "key": prefix}
        with translated("cannot list", **where):
            for page in pages(
                self._client.list_objects_v2, ("ContinuationToken",), arguments, where
            ):
                found += [_listed(entry) for entry in page.get("Contents", ())]
                prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                if at_most is not None:
                    break
        return found, prefixes

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        with translated("cannot delete", bucket=bucket, key=key):
            self._client.delete_object(**self._for("DeleteObject", bucket, Key=key))

    def delete_many(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete any number of objects. Raises for the first that the store would not delete."""
        for first in range(0, len(keys), _DELETE_BATCH):
            batch = keys[first : first + _DELETE_BATCH]
            wanted = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
            with translated("cannot delete", bucket=bucket, key=batch[0]):
                answer = self._client.delete_objects(
                    **self._for("DeleteObjects", bucket, Delete=wanted)
                )
            for refused in answer.get("Errors", ()):
                raise S3StreamError(
                    f"cannot delete: {refused.get('Code')}: {refused.get('Message')}",
                    bucket=bucket,
                    key=refused.get("Key"),
                )

    def copy(self, source: tuple[str, str], dest: tuple[str, str]) -> None:
        """Copy an object at the store, of any size; nothing passes through this process."""
        version = self.head(*source)
        origin = {"Bucket": source[0], "Key": source[1]}
        bucket, key = dest
        if version.size > MAX_PART_SIZE:
            self._copy_in_parts(origin, version, bucket, key)
            return
        with translated(f"cannot copy s3://{'/'.join(source)}", bucket=bucket, key=key):
            self._client.copy_object(**self._for("CopyObject", bucket, Key=key, CopySource=origin))

    def _copy_in_parts(
        self, origin: dict[str, str], version: Version, bucket: str, key: str
    ) -> None:
        where = {"bucket": bucket, "key": key}
        new = self._for("CreateMultipartUpload", bucket, Key=key)
        # CopyObject takes these along by itself; a multipart upload has to be told.
        new.setdefault("Metadata", dict(version.metadata or {}))
        if version.content_type:
            new.setdefault("ContentType", version.content_type)
        with translated("cannot copy", **where):
            upload_id = self._client.create_multipart_upload(**new)["UploadId"]
        held = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
        size = max(_COPY_PART, -(-version.size // MAX_PARTS))
        try:
            with translated("cannot copy", upload_id=upload_id, **where):
                parts = []
                for number, start in enumerate(range(0, version.size, size), 1):
                    last = min(start + size, version.size) - 1
                    answer = self._client.upload_part_copy(
                        **held,
                        PartNumber=number,
                        CopySource=origin,
                        CopySourceIfMatch=version.etag,
                        CopySourceRange=f"bytes={start}-{last}",
                    )
                    etag = answer["CopyPartResult"]["ETag"]
                    parts.append({"PartNumber": number, "ETag": etag})
                self._client.complete_multipart_upload(**held, MultipartUpload={"Parts": parts})
        except BaseException:
            self._client.abort_multipart_upload(**held)
            raise

    def buckets(self) -> dict[str, datetime]:
        """The buckets that these credentials own, and when each was made."""
        with translated("cannot list the buckets"):
            answer = self._client.list_buckets()
        return {bucket["Name"]: bucket["CreationDate"] for bucket in answer["Buckets"]}

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket is there (and these credentials may see it)."""
        try:
            with translated("cannot find the bucket", bucket=bucket):
                self._client.head_bucket(Bucket=bucket)
        except FileNotFoundError:
            return False
        return True

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket in the client's region."""
        region = self._client.meta.region_name
        arguments: dict[str, Any] = {"Bucket": bucket}
        # us-east-1 is the one region that must not be named:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        if region not in {None, "us-east-1", "aws-global"}:
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        with translated("cannot create the bucket", bucket=bucket):
            self._client.create_bucket(**arguments)

    def delete_bucket(self, bucket: str) -> None:
        """Delete an empty bucket."""
        with translated("cannot delete the bucket", bucket=bucket):
            self._client.delete_bucket(Bucket=bucket)

    def _for(self, call: str, bucket: str, **arguments: Any) -> dict[str, Any]:
        return {"Bucket": bucket, **self._parameters.of(call), **arguments}


def _body_of(answer: dict[str, Any]) -> bytes:
    # As a context manager of its own it would give urllib3's stream, with urllib3's errors.
    with closing(answer["Body"]) as body:
        data: bytes = body.read()
    return data


def _listed(entry: Mapping[str, Any]) -> Version:
    return Version(
        entry["Key"],
        entry["Size"],
        entry.get("ETag", ""),
        entry["LastModified"],
        entry.get("StorageClass", "STANDARD"),
    )
