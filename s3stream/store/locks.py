"""An object that one of many can write: the conditional calls that a lock is made of.

Knows conditions and ages, not who holds a lock, nor for how long.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from ..waiting import Cancellation
from .calls import call
from .failures import CONDITION_FAILED, OBJECT_GONE, code_of, translated
from .parameters import Parameters, check_name

# Of S3's parameters, those without which an object that lies beside another would be less safe than
# that, or refused. What describes the other one (metadata, tags, storage class, retention) is not
# for it, and would outlast it or cost more.
_FOR_WHAT_LIES_BESIDE = (
    "BucketKeyEnabled",
    "ExpectedBucketOwner",
    "RequestPayer",
    "ServerSideEncryption",
)

# Endpoints that compare an ETag without its quotes, as Ceph 16 does.
_WITHOUT_QUOTES: set[str] = set()


def parameters_beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of an object's S3 parameters that belong to what lies beside it, too."""
    return {
        name: value
        for name, value in given.items()
        if name in _FOR_WHAT_LIES_BESIDE or name.startswith("SSE")
    }


@dataclass(frozen=True)
class Claim:
    """What is there: its ETag, its content, and how many seconds ago it was written.

    Stores tell times in whole seconds: the age may be up to a second more or less.
    """

    etag: str
    content: bytes
    age: float


class LockObject:
    """The object `key` of `bucket`, written under conditions only.

    `given` are the S3 parameters of the object that it lies beside. Raises `UsageError` for a key
    that S3 cannot have. A `cancellation` ends the repeating of writes. `what` it is, for messages.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        given: Mapping[str, Any],
        cancellation: Cancellation | None = None,
        what: str = "lock",
    ) -> None:
        check_name(bucket, key)
        self.endpoint_url: str = client.meta.endpoint_url
        self._client = client
        self._cancellation = cancellation
        self._what = what
        self._parameters = Parameters(client, parameters_beside(given))
        self._where = {"bucket": bucket, "key": key}
        self._name = {"Bucket": bucket, "Key": key}

    def create(self, content: bytes) -> str | None:
        """Write it where there is none; its ETag, or None when there is one."""
        return self._put(content, IfNoneMatch="*")

    def replace(self, content: bytes, etag: str) -> str | None:
        """Write it over the one of this ETag; the new ETag, or None when there is another."""
        bare = etag.strip('"')
        if self.endpoint_url in _WITHOUT_QUOTES:
            return self._put(content, IfMatch=bare)
        written = self._put(content, IfMatch=etag)
        if written is not None:
            return written
        there = self.look()
        if there is None or there.etag != etag:
            return None
        written = self._put(content, IfMatch=bare)
        if written is not None:
            _WITHOUT_QUOTES.add(self.endpoint_url)
        return written

    def look(self) -> Claim | None:
        """What is there, None when nothing is. The store's clock alone tells the age."""
        with translated(f"cannot look at the {self._what}", **self._where):
            try:
                answer = call(self._client, "get_object", self._for("GetObject"))
            except ClientError as error:
                if code_of(error) in OBJECT_GONE:
                    return None
                raise
            with closing(answer["Body"]) as body:
                content: bytes = body.read()
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(said) if said else datetime.now(timezone.utc)
        age = (now - answer["LastModified"]).total_seconds()
        return Claim(answer["ETag"], content, max(0.0, age))

    def remove(self) -> None:
        """Delete it."""
        with translated(f"cannot remove the {self._what}", **self._where):
            call(self._client, "delete_object", self._for("DeleteObject"))

    def _put(self, content: bytes, **condition: str) -> str | None:
        arguments = {**self._for("PutObject"), "Body": content, **condition}
        with translated(f"cannot write the {self._what}", **self._where):
            try:
                return str(call(self._client, "put_object", arguments, self._cancellation)["ETag"])
            except ClientError as error:
                # A conditional write over what has just been deleted is refused with a 404.
                if code_of(error) in CONDITION_FAILED | OBJECT_GONE:
                    return None
                raise

    def _for(self, operation: str) -> dict[str, Any]:
        return {**self._name, **self._parameters.of(operation)}
