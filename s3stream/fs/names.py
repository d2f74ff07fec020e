"""Names and entries: which options there are, and how fsspec describes what is at a path.

Asks nothing of the store.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from fsspec.core import caches

from ..errors import UsageError
from ..store import CONNECTION_OPTIONS, Version

# fsspec's own, taken by AbstractFileSystem.
FSSPEC_OPTIONS = frozenset(
    {
        "asynchronous",
        "batch_size",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "skip_instance_cache",
        "use_listings_cache",
    }
)
# What s3fs has besides, and a file system is made with.
S3FS_OPTIONS = frozenset(
    {
        "cache_regions",
        "default_block_size",
        "default_cache_type",
        "default_fill_cache",
        "fixed_upload_size",
        "requester_pays",
        "version_aware",
    }
)
# Of `open`, for reading and writing alike: who opens both ways passes the same.
OPEN_OPTIONS = frozenset(
    {"acl", "cache_options", "cache_type", "fill_cache", "requester_pays", "size", "version_id"}
)
# What s3fs has and we do not, and what to say instead.
_SAY_INSTEAD = {
    "local_expiry_check": "every read has If-Match, or a version with version_aware=True",
    "password": "say secret=",
    "session": "give a ready boto3 client as client=",
    "username": "say key=",
}


def take_connection(client: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Take out of `options` what a file system is made with: a connection's, or a ready `client`.

    Both may come with `store`. Raises `UsageError` when there are both.
    """
    store = {"store": options.pop("store")} if "store" in options else {}
    connection = {name: options.pop(name) for name in CONNECTION_OPTIONS if name in options}
    if client is None:
        return {**connection, **store}
    if connection:
        raise UsageError(f"client= brings its own connection: drop {', '.join(connection)}")
    return {"client": client, "skip_instance_cache": True, **store}


def refuse_unknown(what: str, name: str, known: Iterable[str]) -> None:
    """Raise `UsageError` for a name that is not known, with the nearest one that is."""
    if name in known:
        return
    if name in _SAY_INSTEAD:
        raise UsageError(f"{what} {name!r} is s3fs's, and not ours: {_SAY_INSTEAD[name]}")
    near = difflib.get_close_matches(name, known, 1, 0.5)
    meant = f", did you mean {near[0]}?" if near else ""
    raise UsageError(f"{what} {name!r}: there is none of that name{meant}")


def file_entry(bucket: str, version: Version) -> dict[str, Any]:
    """What fsspec calls the info of an object."""
    return {
        "name": f"{bucket}/{version.key}",
        "size": version.size,
        "type": "file",
        "Key": f"{bucket}/{version.key}",
        "Size": version.size,
        "ETag": version.etag,
        "LastModified": version.modified,
        "StorageClass": version.storage_class,
        **({} if version.content_type is None else {"ContentType": version.content_type}),
        **({} if version.version_id is None else {"VersionId": version.version_id}),
        **({} if version.metadata is None else {"metadata": dict(version.metadata)}),
    }


def directory_entry(name: str) -> dict[str, Any]:
    """What fsspec calls the info of a prefix or bucket."""
    return {
        "name": name,
        "size": 0,
        "type": "directory",
        "Key": name,
        "Size": 0,
        "StorageClass": "DIRECTORY",
    }


def version_entry(bucket: str, version: Version, latest: bool) -> dict[str, Any]:
    """The info of one version of an object, which its name leads to."""
    entry = {**file_entry(bucket, version), "IsLatest": latest}
    # So is called what was written before the bucket kept versions.
    if version.version_id not in {None, "null"}:
        entry["name"] += f"?versionId={version.version_id}"
    return entry


def check_batch_size(value: Any) -> None:
    """Refuse what is no number of things to do at once, nor -1 for as many as can be."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or (value < 1 and value != -1):
        raise UsageError(f"batch_size={value!r}: expected a number above 0, or -1 for no limit")


def check_reading(block_size: Any, cache_type: Any) -> None:
    """Refuse what no file can be read with."""
    whole = isinstance(block_size, int) and not isinstance(block_size, bool)
    if block_size is not None and not (whole and block_size > 0):
        raise UsageError(f"block size {block_size!r}: expected a number of bytes above 0")
    if cache_type not in caches:
        known = ", ".join(repr(name) for name in caches if name)
        raise UsageError(f"cache type {cache_type!r}: expected one of {known}")
