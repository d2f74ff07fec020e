"""Changing what is there: buckets made and removed, objects deleted and copied at the store.

No byte of an object passes through here.
"""

from __future__ import annotations

from typing import Any

from ..errors import AlreadyExistsError, NotFoundError, PrefixError
from ..uri import split_path
from .opening import Opening


class Changing(Opening):
    """A file system whose objects and buckets can be copied and removed."""

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Create a bucket; below one there is nothing to create, S3 has no folders."""
        bucket, key = split_path(self._strip_protocol(path))
        if not key:
            self._objects().create_bucket(bucket)
            self.invalidate_cache()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Create the bucket where the path is one; `exist_ok` as in `os.makedirs`."""
        bucket, key = split_path(self._strip_protocol(path))
        # Asked first: a bucket that is there needs no right to create one, and some stores answer
        # the creation of one that is there as if they had done it.
        if key:
            return
        if not self._objects().has_bucket(bucket):
            self.mkdir(path)
        elif not exist_ok:
            raise AlreadyExistsError("there is a bucket of this name already", bucket=bucket)

    def rmdir(self, path: str) -> None:
        """Delete an empty bucket; a prefix goes with its last object."""
        bucket, key = split_path(self._strip_protocol(path))
        if not key:
            self._objects().delete_bucket(bucket)
            self.invalidate_cache()

    def rm_file(self, path: str) -> None:
        """Delete one object."""
        bucket, key = split_path(self._strip_protocol(path))
        self._objects().delete(bucket, key)
        self._forget(f"{bucket}/{key}")

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects, with `recursive` all below a prefix, a thousand a request.

        Raises `NotFoundError` when there is nothing of that name, `PrefixError` for a prefix
        without `recursive`. Of a list of names none is looked at before: that were a request each.
        """
        by_bucket: dict[str, list[str]] = {}
        emptied = set()
        for name in self.expand_path(path):
            bucket, key = split_path(name)
            keys = by_bucket.setdefault(bucket, [])
            if recursive and maxdepth is None:
                keys += self._all_at(bucket, key)
                emptied |= set() if key else {bucket}
            elif recursive:
                keys += [split_path(found)[1] for found in self.find(name, maxdepth)]
            else:
                if not isinstance(path, list) and self.info(name)["type"] == "directory":
                    raise PrefixError(
                        "a prefix: recursive=True deletes all below it", bucket=bucket, key=key
                    )
                keys.append(key)
        for bucket, keys in by_bucket.items():
            self._objects().delete_many(bucket, keys)
            if bucket in emptied:
                self._objects().delete_bucket(bucket)
        self.invalidate_cache()

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

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy an object at the store, of any size."""
        source = split_path(self._strip_protocol(path1))
        dest = split_path(self._strip_protocol(path2))
        if self.isdir(path1) and not self.isfile(path1):
            return  # there are no folders to copy
        self._objects().copy(source, dest)
        self._forget("/".join(dest))
