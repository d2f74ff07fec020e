"""`s3://bucket/key` apart and together; pure."""

from __future__ import annotations

import re

from .errors import UsageError

SCHEMES = ("s3stream", "s3")

# What S3 takes in place of a bucket's name: ARNs of access points (also those of more regions than
# one, which name none), of Object Lambda and of Outposts; a slash or a colon stands between.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/S3OutpostsIAM.html
_ARN = re.compile(
    r"(arn:[^:/]+:s3[^:/]*:[^:/]*:[^:/]+:(?:outpost[/:][^/:]+[/:])?accesspoint[/:][^/:]+)"
    r"(?:/(.*))?",
    re.DOTALL,
)


def split_path(path: str) -> tuple[str, str]:
    """Split `s3://bucket/key`, `s3stream://bucket/key` or `bucket/key` into bucket and key.

    An access point's ARN stands for a bucket: `s3://arn:aws:s3:…:accesspoint/name/key`. The key is
    empty when there is none. Raises `UsageError` for another scheme, for an ARN of none, and for
    what is no UTF-8, as the names of S3 are.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        # So Python shows bytes of an argument, or of a file's name, that are none.
        raise UsageError(f"{path!r}: not UTF-8, which S3's names are: choose another") from None
    scheme, found, rest = path.partition("://")
    if not found or "/" in scheme:  # a key may hold "://"
        rest = path.lstrip("/")
    elif scheme not in SCHEMES:
        raise UsageError(f"{path!r}: the scheme is {scheme!r}, expected s3://bucket/key")
    if rest.startswith("arn:"):
        return _split_arn(path, rest)
    bucket, _, key = rest.partition("/")
    if key and not bucket:
        raise UsageError(f"{path!r} names no bucket, expected s3://bucket/key")
    return bucket, key


def _split_arn(path: str, rest: str) -> tuple[str, str]:
    parts = _ARN.fullmatch(rest)
    if parts is None:
        raise UsageError(
            f"{path!r}: the ARN of no access point, expected"
            " s3://arn:aws:s3:region:account:accesspoint/name/key"
        )
    return parts[1], parts[2] or ""


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
