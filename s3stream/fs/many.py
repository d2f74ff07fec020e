"""Files from here to there and back, several at once.

Every file, and every object, appears whole or not at all; which they are is fsspec's to say.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from ..errors import UsageError
from ..together import Job, Stop, Told
from ..transaction import next_turn
from ..writer import as_bytes
from .planning import Pairs, Plan, is_in_any_order, stretches
from .whole import Whole

_ON_ERROR = ("raise", "omit", "return")
# Of the options of writing.
_ABOUT_MEMORY = ("chunksize", "max_concurrency", "memory", "part_size")


class Many(Whole):
    """A file system that reads and writes several whole objects at once.

    Of each call `batch_size` requests are on their way at once: an option of the file system too,
    by default 32; -1 are as many as its client keeps connections, and more there never are. What
    fails begins nothing more: the error is that of the first of the list that has failed, and all
    before it are done.
    """

    def get(
        self,
        rpath: Any,
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Read objects into local files, each by `get_file`; paths are as in fsspec's `get`.

        `callback` hears of files, and what it branches off of their bytes, by one thread at a time.
        """
        pairs = Plan(self).of("get", rpath, lpath, recursive, maxdepth=maxdepth, **kwargs)
        told = Told(callback, len(pairs))

        def get(source: str, dest: str, stop: Stop) -> None:
            with told.about(source, dest) as child:
                self._get_one(source, dest, stop, callback=child, **kwargs)

        jobs = [Job(partial(get, *pair)) for pair in pairs]
        places = [("", os.path.abspath(dest)) for _, dest in pairs]  # noqa: PTH100 - fsspec's paths are strings
        self._together("get", jobs, batch_size, one_by_one=not is_in_any_order(places))

    def put(
        self,
        lpath: Any,
        rpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Write local files, each as by `put_file`; paths are as in fsspec's `put`.

        A file counts as so many requests as it has parts, so large ones go alone; all together hold
        no more memory than one may (`memory`). `callback` as in `get`.
        """
        pairs = Plan(self).of("put", lpath, rpath, recursive, maxdepth=maxdepth)
        told = Told(callback, len(pairs))

        def put(source: str, dest: str, turn: tuple[int, int], stop: Stop) -> None:
            with told.about(source, dest) as child:
                self._put_one(source, dest, stop, turn, callback=child, **kwargs)

        sizes = [_size_of(source) for source, _ in pairs]
        self._write_all("put", put, pairs, sizes, batch_size, kwargs)

    def pipe(
        self, path: Any, value: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> None:
        """Write whole objects, each as by `pipe_file`: `value` at a path, or a dict of both.

        As many at once as of local files by `put`.
        """
        if isinstance(path, str):
            self.pipe_file(self._strip_protocol(path), value, **kwargs)
            return
        if not isinstance(path, dict):
            raise UsageError(f"path={type(path).__name__}: expected a path, or a dict of them")
        values = list(path.values())

        def pipe(source: str, dest: str, turn: tuple[int, int], stop: Stop) -> None:
            self._pipe_one(dest, values[turn[1]], stop, turn, **kwargs)

        pairs = [("", self._strip_protocol(name)) for name in path]
        sizes = [len(as_bytes(value)) for value in values]
        self._write_all("pipe", pipe, pairs, sizes, batch_size, kwargs)

    def _write_all(
        self,
        name: str,
        write: Callable[[str, str, tuple[int, int], Stop], None],
        pairs: Pairs,
        sizes: list[int],
        batch_size: int | None,
        kwargs: dict[str, Any],
    ) -> None:
        if not pairs:
            return
        chosen = {name: kwargs[name] for name in _ABOUT_MEMORY if name in kwargs}
        self._choose_part_size(kwargs.get("block_size"), chosen)
        options = self._write_options(chosen)
        at_once, began = self._at_once(batch_size), next_turn()
        jobs = []
        for index, (pair, size) in enumerate(zip(pairs, sizes, strict=True)):
            requests, memory = self._takes(size, options, at_once)
            jobs.append(Job(partial(write, *pair, (began, index)), requests, memory))
        places = [("", self._strip_protocol(dest)) for _, dest in pairs]
        limit, in_any_order = options.memory_limit, is_in_any_order(places)
        self._together(name, jobs, batch_size, memory=limit, one_by_one=not in_any_order)

    def cat(
        self,
        path: Any,
        recursive: bool = False,
        on_error: str = "raise",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Read objects, each as by `cat_file`: bytes of one that is named, else a dict by path.

        `on_error`: `"raise"`, `"omit"` what cannot be read, or `"return"` the exception in its
        place. All of it is held in memory.
        """
        if on_error not in _ON_ERROR:
            raise UsageError(f"on_error={on_error!r}: expected one of {', '.join(_ON_ERROR)}")
        paths = self.expand_path(path, recursive=recursive, **kwargs)
        if len(paths) == 1 and isinstance(path, str) and paths[0] == self._strip_protocol(path):
            return self.cat_file(paths[0], **kwargs)
        jobs = [_reading(partial(self._cat_one, p, **kwargs), on_error) for p in paths]
        read = zip(paths, self._together("cat", jobs, batch_size), strict=True)
        return {p: r for p, r in read if on_error != "omit" or not isinstance(r, Exception)}

    def cat_ranges(
        self,
        paths: Any,
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Read a range of each path, which may be one object several times, or the same of each.

        Those of one object that are no more than `max_gap` bytes apart are read together, by one
        request; without it each has its own. `on_error`: `"return"` an exception in the place of
        what cannot be read, or `"raise"` it.
        """
        if on_error not in {"return", "raise"}:
            raise UsageError(f"on_error={on_error!r}: expected 'return' or 'raise'")
        if not isinstance(paths, list):
            raise TypeError(f"paths: expected a list, not {type(paths).__name__}")
        starts, ends = (
            list(given) if hasattr(given, "__iter__") else [given] * len(paths)
            for given in (starts, ends)
        )
        if not len(paths) == len(starts) == len(ends):
            raise UsageError(
                f"{len(paths)} paths, {len(starts)} starts and {len(ends)} ends: expected as many"
                " of each, or one start or end for all"
            )
        wanted = stretches(zip(paths, starts, ends, strict=True), max_gap)
        jobs = [
            _reading(partial(self._cat_one, s.path, start=s.start, end=s.end, **kwargs), on_error)
            for s in wanted
        ]
        found: dict[int, Any] = {}
        for stretch, read in zip(wanted, self._together("cat", jobs, batch_size), strict=True):
            for index, cut in stretch.wanted:
                found[index] = read if isinstance(read, Exception) else read[cut]
        return [found[index] for index in range(len(paths))]


def _reading(read: Callable[..., bytes], on_error: str) -> Job[Any]:
    def job(stop: Stop) -> bytes | Exception:
        try:
            return read(stop=stop)
        except Exception as error:
            if on_error == "raise":
                raise
            return error

    return Job(job)


def _size_of(path: str) -> int:
    with suppress(OSError):  # whoever opens it says what is wrong
        return Path(path).stat().st_size
    return 0
