"""Whole objects: bytes and local files in one call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from ..options import MiB
from ..uri import split_path
from .changing import Changing


class Whole(Changing):
    """A file system that reads and writes whole objects."""

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Read an object, or its bytes from `start` to `end`, counted from the end if negative."""
        bucket, key = split_path(self._strip_protocol(path))
        if (start or 0) < 0 or (end or 0) < 0:
            size = self._objects().head(bucket, key).size
            start, end, _ = slice(start, end).indices(size)
        return self._objects().read(bucket, key, start or 0, end)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write a whole object; `mode="create"` refuses to replace one."""
        with self.open(path, "xb" if mode == "create" else "wb", buffering=0, **kwargs) as file:
            file.write(value)

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
