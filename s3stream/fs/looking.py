"""What is there: entries of objects, prefixes and buckets, as fsspec asks for them.

Changes nothing at the store.
"""

from __future__ import annotations

import string
from datetime import datetime
from typing import Any, cast

from fsspec.utils import tokenize

from ..errors import NotFoundError, PrefixError, UsageError
from ..store import Place, Version, listed
from .connection import Connected
from .names import directory_entry, file_entry, version_entry


class Looking(Connected):
    """A file system that can look at what is there."""

    def info(
        self, path: str, refresh: bool = False, version_id: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Tell what is at `path`: an object, or the prefix of some ("directory").

        `refresh` asks the store even where a kept listing knows. `version_id` is of a file system
        with `version_aware=True`, or stands in the path. Raises `NotFoundError` (a
        `FileNotFoundError`) when there is neither.
        """
        place = self._place(path, version_id)
        bucket, key = place.bucket, place.key
        if not bucket:
            return directory_entry("")
        if not key:
            if not self._buckets().has(bucket):
                raise NotFoundError(f"there is no bucket {bucket!r}")
            return directory_entry(bucket)
        if place.version_id is not None:
            return file_entry(bucket, self._objects().head(bucket, key, place.version_id))
        cached = None if refresh else self._from_listing(f"{bucket}/{key}")
        if cached is not None:
            return cached
        try:
            return file_entry(bucket, self._objects().head(bucket, key))
        except NotFoundError as missing:
            # Without a delimiter: SeaweedFS goes on naming a prefix for a while when it is empty.
            found, _ = self._objects().list(bucket, f"{key}/", at_most=1)
            if not found:
                raise missing
            return directory_entry(f"{bucket}/{key}")

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is an object or a prefix; errors other than "not found" are raised."""
        try:
            self.info(path, **kwargs)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        """Whether `path` is a prefix or a bucket.

        No, too, where these credentials may not look: who may only write has to write all the
        same. Any other error is raised.
        """
        return self._type_at(path) == "directory"

    def isfile(self, path: str) -> bool:
        """Whether `path` is an object; no and errors as `isdir`."""
        return self._type_at(path) == "file"

    def _type_at(self, path: str) -> str:
        try:
            return str(self.info(path)["type"])
        except (FileNotFoundError, PermissionError):
            return ""

    def ls(
        self,
        path: str,
        detail: bool = False,
        refresh: bool = False,
        versions: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """List one level, sorted: buckets, or the objects and prefixes under `path`.

        Names, or with `detail` what `info` says of each. `versions`, of a file system with
        `version_aware=True`, shows every version of each object, as `bucket/key?versionId=…`.
        Raises `NotFoundError` when nothing is there.
        """
        path = self._strip_protocol(path)
        if versions:
            entries = self._list_versions(path)
        else:
            kept = None if refresh else self.dircache.get(path)
            since = self._listings
            entries = self._list(path) if kept is None else kept
            if kept is None:
                self._keep({path: entries}, since)
        if not detail:
            return sorted(entry["name"] for entry in entries)
        return [dict(entry) for entry in entries]

    def _list(self, path: str) -> list[dict[str, Any]]:
        bucket, key, _ = self.split_path(path)
        if not bucket:
            return [
                {**directory_entry(name), "created": created}
                for name, created in self._buckets().all().items()
            ]
        prefix = f"{key}/" if key else ""
        found, prefixes = self._level(bucket, prefix)
        # A "folder" that a console has made is an empty object named like the prefix.
        entries = [file_entry(bucket, version) for version in found if version.key != prefix]
        entries += [directory_entry(f"{bucket}/{p.rstrip('/')}") for p in prefixes]
        # Of an object and a prefix of one name the object comes first: `info` tells of it, too.
        entries.sort(key=lambda entry: str(entry["name"]))
        if entries or not key or any(version.key == prefix for version in found):
            return entries
        return [self._file_at(path)]

    def _level(
        self, bucket: str, prefix: str, delimiter: str = "/"
    ) -> tuple[list[Version], list[str]]:
        """Objects and prefixes, those with the ids of their versions where they count."""
        if not self.version_aware:
            return self._objects().list(bucket, prefix, delimiter=delimiter)
        entries = self._facets().versions(bucket, prefix, delimiter)
        found = [listed(entry) for entry in entries if entry.get("IsLatest")]
        return found, [entry["Prefix"] for entry in entries if "Prefix" in entry]

    def _list_versions(self, path: str) -> list[dict[str, Any]]:
        if not self.version_aware:
            raise UsageError("versions=True: for a file system made with version_aware=True")
        place = self._place(path)
        prefix = f"{place.key}/" if place.key else ""
        entries = self._facets().versions(place.bucket, prefix, "/")
        if not entries and place.key:
            entries = self._versions_of(place)
            if not entries:
                raise NotFoundError("there is no object or version", **place.where)
        return [
            directory_entry(f"{place.bucket}/{entry['Prefix']}".rstrip("/"))
            if "Prefix" in entry
            else version_entry(place.bucket, listed(entry), entry.get("IsLatest", False))
            for entry in entries
        ]

    def _versions_of(self, place: Place) -> list[dict[str, Any]]:
        # The store finds longer names too.
        found = self._facets().versions(place.bucket, place.key, "/")
        return [entry for entry in found if entry.get("Key") == place.key]

    def _file_at(self, path: str) -> dict[str, Any]:
        place = self._place(path)
        version = self._objects().head(place.bucket, place.key, place.version_id)
        return file_entry(place.bucket, version)

    def created(self, path: str) -> datetime:
        """When the object was last written: S3 keeps no other time."""
        return self.modified(path)

    def modified(self, path: str, version_id: str | None = None, refresh: bool = False) -> datetime:
        """When the object was last written. Raises `PrefixError` for a prefix: it has no time."""
        info = self.info(path, refresh=refresh, version_id=version_id)
        if info["type"] == "directory":
            place = self._place(path)
            raise PrefixError("a prefix, not an object: it has no time", **place.where)
        return cast("datetime", info["LastModified"])

    def checksum(self, path: str, refresh: bool = False) -> int:
        """A number that changes when the object does: its ETag, for most stores its MD5."""
        info = self.info(path, refresh=refresh)
        if info["type"] == "directory":
            return int(tokenize(info), 16)
        etag = info["ETag"].strip('"').partition("-")[0]
        if not etag or set(etag.lower()) - set(string.hexdigits):
            return int(tokenize(info["ETag"]), 16)
        return int(etag, 16)
