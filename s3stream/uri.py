"""`s3://bucket/key` apart and together; pure."""

from __future__ import annotations

from .errors import UsageError

SCHEMES = ("s3stream", "s3")


def split_path(path: str) -> tuple[str, str]:
    """Split `s3://bucket/key`, `s3stream://bucket/key` or `bucket/key` into bucket and key.

    The key is empty when there is none. Raises `UsageError` for another scheme.
    """
    scheme, found, rest = path.partition("://")
    if not found or "/" in scheme:  # a key may hold "://"
        rest = path.lstrip("/")
    elif scheme not in SCHEMES:
        raise UsageError(f"{path!r}: the scheme is {scheme!r}, expected s3://bucket/key")
    bucket, _, key = rest.partition("/")
    if key and not bucket:
        raise UsageError(f"{path!r} names no bucket, expected s3://bucket/key")
    return bucket, key


def split_uri(uri: str) -> tuple[str, str]:
    """Split a URI that must name an object.

    Raises `UsageError` when scheme, bucket or key is missing.
    """
    if not isinstance(uri, str):
        raise UsageError(f"{uri!r}: expected a string such as 's3://bucket/key'")
    if "://" not in uri:
        raise UsageError(f"{uri!r}: expected a URI such as s3://bucket/key")
    bucket, key = split_path(uri)
    if not bucket:
        raise UsageError(f"{uri!r} names no bucket, expected s3://bucket/key")
    if not key:
        raise UsageError(f"{uri!r} names a bucket and no key, expected s3://{bucket}/key")
    return bucket, key
