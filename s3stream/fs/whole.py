"""Whole objects: bytes and local files in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from ..errors import UsageError
from ..options import MiB
from .moving import Moving


class Whole(Moving):
    """A file system that reads and writes whole objects."""

    def cat_file(
        self,
        path: str,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **kwargs: Any,
    ) -> bytes:
        """Read an object, or its bytes from `start` to `end`, counted from the end if negative."""
        place = self._place(path, version_id)
        where = place.bucket, place.key
        if (start or 0) < 0 or (end or 0) < 0:
            size = self._objects().head(*where, place.version_id).size
            start, end, _ = slice(start, end).indices(size)
        return self._objects().read(*where, start or 0, end, version_id=place.version_id)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write a whole object; `mode="create"` refuses to replace one."""
        with self.open(path, "xb" if mode == "create" else "wb", buffering=0, **kwargs) as file:
            file.write(value)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Write an empty object; `kwargs` are those of `open`.

        With `truncate=False` only where there is nothing yet: `UsageError` for what is there, since
        S3 has no time to set.
        """
        if not truncate and self.exists(path):
            place = self._place(path)
            raise UsageError("truncate=False: S3 cannot touch what is there", **place.where)
        with self.open(path, "wb", buffering=0, **kwargs):
            pass

    def put_file(
        self,
        lpath: str | os.PathLike[str],
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        """Write a local file; `mode="create"` refuses to replace. Makes no bucket, unlike fsspec's.

        A local folder leaves nothing: S3 has none. `callback` is told the bytes of the file, and
        then what the store has accepted.
        """
        if Path(lpath).is_dir():
            return
        verb = "xb" if mode == "create" else "wb"
        with Path(lpath).open("rb") as source:
            told = {"callback": callback, "size_hint": os.fstat(source.fileno()).st_size}
            with self.open(rpath, verb, buffering=0, **{**told, **kwargs}) as file:
                while data := source.read(MiB):
                    file.write(data)
