"""Changing what is there: objects deleted, copied and merged at the store.

No byte of an object passes through here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import NotFoundError, PrefixError, UsageError
from ..waiting import Cancellation
from .buckets import BucketKeeping


class Changing(BucketKeeping):
    """A file system whose objects can be deleted, copied and merged."""

    def rm_file(self, path: str) -> None:
        """Delete one object."""
        place = self._changeable(path)
        try:
            self._objects().delete(place.bucket, place.key)
        finally:
            self._forget(f"{place.bucket}/{place.key}")

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, with `recursive` all below a prefix, a thousand a request.

        Raises `NotFoundError` when there is nothing of that name, `PrefixError` for a prefix
        without `recursive`, and the store's first refusal when all have been tried. Of a list of
        names none is looked at before: that were a request each.
        """
        objects: list[tuple[str, str]] = []
        emptied = []
        for name in self.expand_path(path):
            place = self._changeable(name)
            if recursive and maxdepth is None:
                objects += [(place.bucket, key) for key in self._all_at(place.bucket, place.key)]
                emptied += [] if place.key else [place.bucket]
            elif recursive:
                objects += map(self._key_of, self.find(name, maxdepth))
            else:
                if not isinstance(path, list) and self.info(name)["type"] == "directory":
                    raise PrefixError(
                        "a prefix: recursive=True deletes all below it", **place.where
                    )
                objects.append(self._key_of(name))
        self._delete(objects)
        for bucket in emptied:
            self._buckets().delete(bucket)

    def bulk_delete(self, pathlist: Sequence[str], **kwargs: Any) -> None:
        """Delete any number of objects, a thousand a request; `kwargs` are S3's own parameters.

        One that is not there is deleted already. Raises the store's first refusal when all have
        been tried.
        """
        if isinstance(pathlist, str):
            raise UsageError(f"{pathlist!r}: expected a list of paths")
        self._delete(map(self._key_of, pathlist), kwargs)

    def _key_of(self, path: str) -> tuple[str, str]:
        place = self._changeable(path)
        if not place.key:
            raise UsageError(f"{path!r} names a bucket, not an object")
        return place.bucket, place.key

    def _delete(
        self,
        objects: Iterable[tuple[str, str]],
        given: dict[str, Any] | None = None,
        etags: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        """Delete objects; with `etags` just these, where the store heeds that."""
        by_bucket: dict[str, list[str]] = {}
        for bucket, key in objects:
            by_bucket.setdefault(bucket, []).append(key)
        store = self._objects(self._with(given or {}))
        try:
            for bucket, keys in by_bucket.items():
                known = {key: etag for (of, key), etag in (etags or {}).items() if of == bucket}
                store.delete_many(bucket, keys, known)
        finally:
            self.invalidate_cache()  # what has failed may have deleted some

    def _all_at(self, bucket: str, key: str) -> list[str]:
        """The keys of the object itself and of all below it, console-made folders too."""
        found, _ = self._objects().list(bucket, f"{key}/" if key else "")
        keys = [version.key for version in found]
        if key:
            try:
                keys.append(self._objects().head(bucket, key).key)
            except NotFoundError:
                if not keys:
                    raise
        return keys

    def cp_file(
        self, path1: str, path2: str, preserve_etag: bool | None = None, **kwargs: Any
    ) -> None:
        """Copy an object, or a version of one, at the store, of any size.

        Its metadata, content type and tags go along; storage class, encryption and ACL are those
        of a new object. `kwargs` are S3's own parameters (`StorageClass=`, or `Metadata=` with
        `MetadataDirective="REPLACE"`). A prefix is passed over: S3 has no folders to copy.
        """
        self._copy_one(path1, path2, None, preserve_etag, **kwargs)

    def _copy_one(
        self,
        path1: str,
        path2: str,
        cancellation: Cancellation | None,
        preserve_etag: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if preserve_etag:
            raise UsageError("preserve_etag=True: what ETag a copy has is the store's to choose")
        source, dest = self._place(path1), self._changeable(path2)
        copies = self._copies(self._with(kwargs), cancellation)
        if self._is_kept_as_directory(path1):
            return
        try:
            copies.copy(source, dest)
        except NotFoundError:
            if not self.isdir(path1):
                raise
        finally:
            self._forget(f"{dest.bucket}/{dest.key}")  # what has failed may be there

    def merge(self, path: str, filelist: Sequence[str], **kwargs: Any) -> None:
        """Make one object of several at the store, in their order; they stay as they are.

        All but the last need 5 MiB (`min_part_size`), since the store copies them as parts:
        `UsageError` before anything is begun. `kwargs` are S3's own parameters of the new object.
        Nothing of the metadata goes along.
        """
        if isinstance(filelist, str):
            raise UsageError(f"filelist={filelist!r}: expected a list of paths")
        dest = self._changeable(path)
        try:
            self._copies(self._with(kwargs)).merge([self._place(name) for name in filelist], dest)
        finally:
            self._forget(f"{dest.bucket}/{dest.key}")
