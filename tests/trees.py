"""A small tree of objects, a file system of a test's own, and what another client sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fsspec

from tests.looking import content, uploads

if TYPE_CHECKING:
    from tests.servers import Server

TREE = {
    "a.txt": b"a",
    "b.csv": b"bb",
    "one/c.txt": b"ccc",
    "one/deep/d.txt": b"dddd",
    "one/deep/e.csv": b"eeeee",
    "two/f.txt": b"ffffff",
    "two/empty": b"",
}


def file_system(server: Server, **options: Any) -> Any:
    """A file system of the test's own, which no other test has listed anything with."""
    return fsspec.filesystem(
        "s3stream", skip_instance_cache=True, **server.storage_options(), **options
    )


def keys_of(server: Server, path: str) -> set[str]:
    """The keys below `path`, relative to it, as another client sees them."""
    bucket, _, key = path.partition("/")
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    found = (entry["Key"] for page in pages for entry in page.get("Contents", ()))
    return {name[len(key) + 1 :] for name in found}


def body_of(server: Server, path: str) -> bytes:
    bucket, _, key = path.partition("/")
    return content(server, bucket, key)


def assert_no_uploads(server: Server, path: str, *names: str) -> None:
    bucket, _, key = path.partition("/")
    for name in names:
        assert uploads(server, bucket, f"{key}/{name}") == []


def below(root: str, *names: str) -> list[str]:
    return [f"{root}/{name}" for name in names]
