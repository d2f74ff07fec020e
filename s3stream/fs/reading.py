"""A file for reading: fsspec's buffering over one version of an object.

Knows of the file system only how it asks its store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fsspec.spec import AbstractBufferedFile

from ..errors import PreconditionError
from ..store import Version
from .describing import Describing
from .names import file_entry


class S3ReadFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """fsspec's buffered, cached reader over ranged GetObject of one version of an object."""

    def __init__(
        self,
        fs: Describing,
        version: Version,
        path: str,
        block_size: int | None,
        cache_options: Mapping[str, Any] | None,
        *,
        cache_type: str | None,
        given: Mapping[str, Any],
        kept: Mapping[str, Any],
    ) -> None:
        """Not for callers: `fs.open` makes it. `kept` are options that a pickle opens it with."""
        self.bucket, self.key, _ = fs.split_path(path)
        self.version_id = version.version_id if fs.version_aware else None
        self._etag = version.etag
        self._given = given
        super().__init__(
            fs,
            path,
            "rb",
            block_size or fs.default_block_size or "default",
            cache_options=cache_options,
            cache_type=cache_type or fs.default_cache_type,
            size=version.size,
        )
        self.details = file_entry(self.bucket, version)
        self.kwargs = dict(kept)
        if self.version_id is not None:
            self.kwargs["version_id"] = self.version_id

    def _fetch_range(self, start: int, end: int) -> bytes:
        # A version stays as it is; an object may be replaced while it is read.
        etag = None if self.version_id else self._etag
        data: bytes = self.fs._objects(self._given).read(
            self.bucket, self.key, start, end, etag=etag, version_id=self.version_id
        )
        if len(data) != min(end, self.size) - start:
            # A store that ignores If-Match.
            raise PreconditionError(
                "the object was replaced while it was read", bucket=self.bucket, key=self.key
            )
        return data

    def metadata(self, refresh: bool = False, **kwargs: Any) -> dict[str, str]:
        """The object's own metadata, as it is by now."""
        found: dict[str, str] = self.fs.metadata(self.path, refresh, **kwargs)
        return found

    def getxattr(self, xattr_name: str, **kwargs: Any) -> str | None:
        """One entry of the metadata, None when there is none."""
        found: str | None = self.fs.getxattr(self.path, xattr_name, **kwargs)
        return found

    def setxattr(self, copy_kwargs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Set entries of the metadata; open stays the object as it was before."""
        self.fs.setxattr(self.path, copy_kwargs=copy_kwargs, **kwargs)

    def url(self, **kwargs: Any) -> str:
        """A URL to read the object without credentials, as the file system's `url` makes it."""
        signed: str = self.fs.url(self.path, **kwargs)
        return signed
