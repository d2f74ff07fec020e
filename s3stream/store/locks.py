"""An object that one of many can write: the conditional calls that a lock is made of.

Knows conditions and ages, not who holds a lock, nor for how long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from .calls import call
from .failures import CONDITION_FAILED, OBJECT_GONE, code_of, translated


@dataclass(frozen=True)
class Claim:
    """What is there: its ETag, its content, and how many seconds ago it was written."""

    etag: str
    content: bytes
    age: float


class LockObject:
    """The object `key` of `bucket`, written under conditions only."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self.endpoint_url: str = client.meta.endpoint_url
        self._client = client
        self._where = {"bucket": bucket, "key": key}
        self._name = {"Bucket": bucket, "Key": key}

    def create(self, content: bytes) -> str | None:
        """Write it where there is none; its ETag, or None when there is one."""
        return self._put(content, IfNoneMatch="*")

    def replace(self, content: bytes, etag: str) -> str | None:
        """Write it over the one of this ETag; the new ETag, or None when there is another."""
        return self._put(content, IfMatch=etag)

    def look(self) -> Claim | None:
        """What is there, None when nothing is. The store's clock alone tells the age."""
        with translated("cannot look at the lock", **self._where):
            try:
                answer = call(self._client, "get_object", self._name)
            except ClientError as error:
                if code_of(error) in OBJECT_GONE:
                    return None
                raise
            with answer["Body"] as body:
                content: bytes = body.read()
        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(said) if said else datetime.now(timezone.utc)
        age = (now - answer["LastModified"]).total_seconds()
        return Claim(answer["ETag"], content, max(0.0, age))

    def remove(self) -> None:
        """Delete it."""
        with translated("cannot remove the lock", **self._where):
            call(self._client, "delete_object", self._name)

    def _put(self, content: bytes, **condition: str) -> str | None:
        arguments = {**self._name, "Body": content, **condition}
        with translated("cannot write the lock", **self._where):
            try:
                return str(call(self._client, "put_object", arguments)["ETag"])
            except ClientError as error:
                # A conditional write over what has just been deleted is refused with a 404.
                if code_of(error) in CONDITION_FAILED | OBJECT_GONE:
                    return None
                raise
