"""Names and entries: which options there are, and how fsspec describes what is at a path.

Asks nothing of the store.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

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
OPEN_OPTIONS = frozenset({"cache_options", "cache_type", "size"})


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
        "ETag": version.etag,
        "LastModified": version.modified,
        "StorageClass": version.storage_class,
        **({} if version.content_type is None else {"ContentType": version.content_type}),
        **({} if version.version_id is None else {"VersionId": version.version_id}),
        **({} if version.metadata is None else {"metadata": dict(version.metadata)}),
    }


def directory_entry(name: str) -> dict[str, Any]:
    """What fsspec calls the info of a prefix or bucket."""
    return {"name": name, "size": 0, "type": "directory", "StorageClass": "DIRECTORY"}
