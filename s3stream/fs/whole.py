"""Whole objects: bytes and local files in one call, each whole or not at all."""

from __future__ import annotations

import itertools
import os
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from ..arrival import Arrival, write_all
from ..errors import NotFoundError, PrefixError, UsageError
from ..modes import parse_mode
from ..options import MiB
from ..store import download
from ..together import Stop
from .moving import Moving
from .names import OPEN_OPTIONS, refuse_unknown


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
        return self._cat_one(path, Stop(), start, end, version_id)

    def _cat_one(
        self,
        path: str,
        stop: Stop,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
        **kwargs: Any,
    ) -> bytes:
        place = self._place(path, version_id)
        where = place.bucket, place.key
        if (start or 0) < 0 or (end or 0) < 0:
            size = self._objects().head(*where, place.version_id).size
            start, end, _ = slice(start, end).indices(size)
        return self._objects().read(
            *where, start or 0, end, version_id=place.version_id, cancellation=stop
        )

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **kwargs: Any) -> None:
        """Write a whole object; `mode="create"` refuses to replace one."""
        self._pipe_one(path, value, Stop(), None, mode, **kwargs)

    def _pipe_one(
        self,
        path: str,
        value: Any,
        stop: Stop,
        turn: tuple[int, int] | None,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        with self._open_one(path, mode, stop, turn, **kwargs) as file:
            file.write(value)
            stop.check()

    def _open_one(
        self, path: str, mode: str, stop: Stop, turn: tuple[int, int] | None, **kwargs: Any
    ) -> Any:
        """A file that `stop` discards; unless its commit is on its way, and is waited for."""
        verb = parse_mode("xb" if mode == "create" else "wb")
        layers = {"block_size": None, "compression": None, **kwargs}
        file = self.open_for_writing(
            path, verb, look=verb.exclusive, turn=turn, buffering=0, **layers
        )
        stop.then(stop=file._cancel, hurry=file._interrupt)
        return file

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
        self._put_one(lpath, rpath, Stop(), None, callback, mode, **kwargs)

    def _put_one(
        self,
        lpath: str | os.PathLike[str],
        rpath: str,
        stop: Stop,
        turn: tuple[int, int] | None,
        callback: Any,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        if Path(lpath).is_dir():
            return
        with Path(lpath).open("rb", buffering=0) as source:
            told = {"callback": callback, "size_hint": os.fstat(source.fileno()).st_size}
            with self._open_one(rpath, mode, stop, turn, **{**told, **kwargs}) as file:
                while data := source.read(MiB):
                    file.write(data)
                stop.check()

    def get_file(
        self,
        rpath: str,
        lpath: Any = None,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Read an object into a local file, by one request; a prefix becomes a folder.

        The file is written beside its place and appears when all of it is there; what breaks off is
        gone on with where it was. A file that is open (`outfile`, or in the place of a path) is
        written to as it comes. `callback` is told its bytes as they come. `version_id` and
        `requester_pays` are those of `open`; what else that takes for reading has no say here.

        Raises `PreconditionError` when the object is replaced meanwhile.
        """
        self._get_one(rpath, lpath, Stop(), callback, outfile, **kwargs)

    def _get_one(
        self,
        rpath: str,
        lpath: Any,
        stop: Stop,
        callback: Any,
        outfile: Any = None,
        version_id: str | None = None,
        requester_pays: bool = False,
        **kwargs: Any,
    ) -> None:
        for name in kwargs:
            refuse_unknown("reading option", name, OPEN_OPTIONS | {"block_size"})
        if outfile is None and isfilelike(lpath):
            outfile = lpath
        place = self._place(rpath, version_id)
        is_prefix = self._is_kept_as_directory if place.key else self.isdir
        payer = {"RequestPayer": "requester"} if requester_pays else {}
        given = {**self._parameters, **payer}
        with closing(download(self.client, given, place, callback.set_size, stop)) as pieces:
            try:
                first = None if is_prefix(rpath) else next(pieces, b"")
            except NotFoundError:
                if not self.isdir(rpath):
                    raise
                first = None
            if first is None and outfile is not None:
                raise PrefixError("a prefix, not an object", **place.where)
            if first is None:
                Path(lpath).mkdir(parents=True, exist_ok=True)
                return
            into = Arrival(lpath) if outfile is None else nullcontext(outfile)
            with into as file:
                if isinstance(file, Arrival):
                    stop.then(hurry=file.discard)
                for piece in itertools.chain([first], pieces):
                    stop.check()
                    write_all(file, piece)
                    callback.relative_update(len(piece))
                stop.check()
