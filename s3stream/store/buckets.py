"""Buckets: which there are, making and removing them, and whether they keep versions.

Plain calls in our types and errors; knows no object.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .calls import call
from .failures import translated
from .parameters import Parameters


class Buckets:
    """The buckets that a client can see; `given` are S3 parameters for its calls."""

    def __init__(self, client: Any, given: Mapping[str, Any]) -> None:
        self._client = client
        self._parameters = Parameters(client, given)

    def all(self) -> dict[str, datetime]:
        """The buckets that these credentials own, and when each was made."""
        with translated("cannot list the buckets"):
            answer = call(self._client, "list_buckets", {})
        return {bucket["Name"]: bucket["CreationDate"] for bucket in answer["Buckets"]}

    def has(self, bucket: str) -> bool:
        """Whether the bucket is there (and these credentials may see it)."""
        try:
            with translated("cannot find the bucket", bucket=bucket):
                call(self._client, "head_bucket", self._for("HeadBucket", bucket))
        except FileNotFoundError:
            return False
        return True

    def create(self, bucket: str, acl: str | None = None, region: str | None = None) -> None:
        """Create a bucket, in the client's region or another one, with a canned ACL if said."""
        region = region or self._client.meta.region_name
        arguments: dict[str, Any] = {"Bucket": bucket}
        # us-east-1 is the one region that must not be named:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        if region not in {None, "us-east-1", "aws-global"}:
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        if acl is not None:
            arguments["ACL"] = acl
        with translated("cannot create the bucket", bucket=bucket):
            call(self._client, "create_bucket", arguments)

    def delete(self, bucket: str) -> None:
        """Delete an empty bucket."""
        with translated("cannot delete the bucket", bucket=bucket):
            call(self._client, "delete_bucket", self._for("DeleteBucket", bucket))

    def keeps_versions(self, bucket: str) -> bool:
        """Whether it keeps every version of its objects."""
        with translated("cannot ask whether the bucket keeps versions", bucket=bucket):
            answer = call(
                self._client, "get_bucket_versioning", self._for("GetBucketVersioning", bucket)
            )
        return answer.get("Status") == "Enabled"

    def keep_versions(self, bucket: str, keep: bool) -> None:
        """Have it keep every version from now on, or no further ones."""
        arguments = self._for("PutBucketVersioning", bucket)
        arguments["VersioningConfiguration"] = {"Status": "Enabled" if keep else "Suspended"}
        with translated("cannot say whether the bucket keeps versions", bucket=bucket):
            call(self._client, "put_bucket_versioning", arguments)

    def _for(self, operation: str, bucket: str) -> dict[str, Any]:
        return {**self._parameters.of(operation), "Bucket": bucket}
