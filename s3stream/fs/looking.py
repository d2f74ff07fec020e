"""What is there: entries of objects, prefixes and buckets, as fsspec asks for them.

Changes nothing at the store.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from ..errors import NotFoundError
from ..uri import split_path
from .connection import Connected
from .names import directory_entry, file_entry


class Looking(Connected):
    """A file system that can look at what is there."""

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Tell what is at `path`: an object, or the prefix of some ("directory").

        Raises `NotFoundError` (a `FileNotFoundError`) when there is neither.
        """
        bucket, key = split_path(self._strip_protocol(path))
        if not bucket:
            return directory_entry("")
        if not key:
            if not self._objects().has_bucket(bucket):
                raise NotFoundError(f"there is no bucket {bucket!r}")
            return directory_entry(bucket)
        cached = self._from_listing(f"{bucket}/{key}")
        if cached is not None:
            return cached
        try:
            return file_entry(bucket, self._objects().head(bucket, key))
        except NotFoundError as missing:
            found, prefixes = self._objects().list(bucket, f"{key}/", delimiter="/", at_most=1)
            if not found and not prefixes:
                raise missing
            return directory_entry(f"{bucket}/{key}")

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is an object or a prefix; errors other than "not found" are raised."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, refresh: bool = False, **kwargs: Any) -> list[Any]:
        """List one level: buckets, or the objects and prefixes under `path`.

        Raises `NotFoundError` when nothing is there.
        """
        path = self._strip_protocol(path)
        entries = None if refresh else self.dircache.get(path)
        if entries is None:
            entries = self._list(path)
            self.dircache[path] = entries
        if not detail:
            return sorted(entry["name"] for entry in entries)
        return [dict(entry) for entry in entries]

    def _list(self, path: str) -> list[dict[str, Any]]:
        bucket, key = split_path(path)
        if not bucket:
            return [
                {**directory_entry(name), "created": created}
                for name, created in self._objects().buckets().items()
            ]
        prefix = f"{key}/" if key else ""
        found, prefixes = self._objects().list(bucket, prefix, delimiter="/")
        entries = [directory_entry(f"{bucket}/{p.rstrip('/')}") for p in prefixes]
        # A "folder" that a console has made is an empty object named like the prefix.
        entries += [file_entry(bucket, version) for version in found if version.key != prefix]
        if entries or not key or any(version.key == prefix for version in found):
            return entries
        return [file_entry(bucket, self._objects().head(bucket, key))]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """List all objects below `path`, by one flat listing where that is enough."""
        path = self._strip_protocol(path)
        bucket, key = split_path(path)
        if maxdepth is not None or withdirs or not bucket:
            # Whatever fsspec makes of a path that is an object, `info` knows better.
            names = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            below = f"{path}/{prefix}" if prefix else ""
            names = {
                name: entry or self.info(name)
                for name, entry in names.items()
                if name.startswith(below)
            }
            return names if detail else sorted(names)
        below = (f"{key}/" if key else "") + prefix
        found, _ = self._objects().list(bucket, below)
        entries = [file_entry(bucket, v) for v in found if not v.key.endswith("/")]
        if not entries and key and not prefix:
            try:
                entries = [file_entry(bucket, self._objects().head(bucket, key))]
            except NotFoundError:
                entries = []
        names = {entry["name"]: entry for entry in entries}
        return names if detail else sorted(names)

    def created(self, path: str) -> datetime:
        """When the object was last written: S3 keeps no other time."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """When the object was last written."""
        return cast("datetime", self.info(path)["LastModified"])
