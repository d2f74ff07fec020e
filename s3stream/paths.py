"""What `UPath("s3stream://…")` is: found by universal_pathlib, and imported by nobody else."""

from __future__ import annotations

from fsspec import get_filesystem_class
from upath.implementations.cloud import CloudPath

# It asks only classes that are loaded how their paths are made, and guesses for all others.
get_filesystem_class("s3stream")


class S3StreamPath(CloudPath):
    """A path of universal_pathlib in S3, `UPath("s3stream://bucket/key", **storage_options)`."""

    __slots__ = ()
