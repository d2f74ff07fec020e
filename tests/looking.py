"""What a second, independent client sees at a store; the judge of every test."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers import Server


def content(server: Server, bucket: str, key: str) -> bytes:
    """The object's bytes."""
    with server.client().get_object(Bucket=bucket, Key=key)["Body"] as body:
        return body.read()


def exists(server: Server, bucket: str, key: str) -> bool:
    """Whether there is an object of exactly this name."""
    listed = server.client().list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    return any(entry["Key"] == key for entry in listed)


def uploads(server: Server, bucket: str, key: str) -> list[str]:
    """The unfinished uploads of this key."""
    client = server.client()
    try:
        listed = client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    except client.exceptions.NoSuchUpload:
        # So says rclone of a bucket that has never had an upload.
        return []
    return [upload["UploadId"] for upload in listed if upload["Key"] == key]


def assert_nothing(server: Server, bucket: str, key: str) -> None:
    """Neither an object nor an upload: what a discard owes."""
    assert not exists(server, bucket, key)
    assert uploads(server, bucket, key) == []


def wait_for_threads(key: str) -> None:
    """Until no thread works for this key any more: what was late has come to its end."""
    for thread in threading.enumerate():
        if thread.name.startswith("s3stream ") and thread.name.endswith(key):
            thread.join(120)
            assert not thread.is_alive(), thread.name


def bytes_of(size: int, seed: int = 0) -> bytes:
    """Bytes that do not repeat, so that a part out of place shows."""
    return random.Random(seed).randbytes(size)
