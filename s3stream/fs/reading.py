"""A file for reading: fsspec's buffering over one version of an object.

Knows of the file system only how it asks its store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec.spec import AbstractBufferedFile

from ..errors import PreconditionError
from ..store import Version
from ..uri import split_path
from .connection import Connected


class S3ReadFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """fsspec's buffered, cached reader over ranged GetObject of one version of an object."""

    def __init__(
        self,
        fs: Connected,
        version: Version,
        path: str,
        block_size: int | None,
        cache_options: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        self._etag = version.etag
        kwargs["size"] = version.size
        super().__init__(
            fs, path, "rb", block_size or "default", cache_options=cache_options, **kwargs
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        bucket, key = split_path(self.path)
        data: bytes = self.fs._objects().read(bucket, key, start, end, etag=self._etag)
        if len(data) != min(end, self.size) - start:
            # A store that ignores If-Match.
            raise PreconditionError(
                "the object was replaced while it was read", bucket=bucket, key=key
            )
        return data
