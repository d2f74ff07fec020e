"""Moving: what was copied is deleted, and nothing else.

Only decides what becomes of what; copies and deletes by the layer below.
"""

from __future__ import annotations

import os
from collections import Counter
from glob import has_magic
from typing import Any

from fsspec.implementations.local import trailing_sep
from fsspec.utils import other_paths

from ..errors import PrefixError, UsageError
from .planning import Pairs
from .several import Several


class Moving(Several):
    """A file system whose objects can be moved."""

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Move objects: copy all at the store, then delete what was copied.

        `path1`, `path2` and `batch_size` are as for `copy`, `kwargs` as for `cp_file`. What comes
        below `path1` meanwhile stays there; when a copy fails, nothing is deleted. An object that
        is written anew meanwhile stays too, and is a `PreconditionError`, on a store that heeds the
        ETag in DeleteObjects (AWS since 2025); on others what came between copy and deletion is
        lost.

        Raises `UsageError` before anything is copied when two objects would become one, when one
        would be written where another is moved from (such as into itself), or for an object with
        bytes that is named like a folder (`dir/`), which no path leads to.
        """
        self.invalidate_cache()  # what is to be moved is what is there
        pairs = self._pairs(path1, path2, recursive, maxdepth)
        before = {name: self.info(name) for name, _ in pairs}
        folders = [name for name in before if before[name]["type"] == "directory"]
        named = [path1] if isinstance(path1, (str, os.PathLike)) else list(path1)
        roots = [*folders, *(self._strip_protocol(named) if recursive else ())]
        _refuse_losses(pairs, roots, folders)
        objects = [pair for pair in pairs if pair[0] not in folders]
        markers = self._markers_of(folders) if recursive and maxdepth is None else []
        self._copy_all(objects, batch_size, ignore=False, kwargs=kwargs)
        etags = {self._key_of(source): before[source]["ETag"] for source, _ in objects}
        self._delete([*etags, *markers], etags=etags)

    def _pairs(self, path1: Any, path2: Any, recursive: bool, maxdepth: int | None) -> Pairs:
        """What becomes of what, as fsspec's `copy` has it, without what stays where it is."""
        if isinstance(path1, list) and isinstance(path2, list):
            if len(path1) != len(path2):
                raise UsageError(f"cannot move {len(path1)} paths to {len(path2)}")
            names, dests = self._strip_protocol(path1), path2
        else:
            names = self.expand_path(path1, recursive=recursive, maxdepth=maxdepth)
            one = isinstance(path1, str)
            if one and (not recursive or maxdepth is not None):
                # A pattern, or a depth, does not take folders along.
                names = [name for name in names if not self.isdir(name)]
                if not names:
                    place = self._place(path1)
                    raise PrefixError("a prefix: recursive=True moves all below it", **place.where)
            into = isinstance(path2, str) and (trailing_sep(path2) or self.isdir(path2))
            inside = one and (
                len(names) == 1 if has_magic(path1) else into and not trailing_sep(path1)
            )
            dests = other_paths(names, path2, exists=inside, flatten=not one)
        pairs = zip(names, map(self._strip_protocol, dests), strict=True)
        return [(source, dest) for source, dest in pairs if source != dest]

    def _markers_of(self, folders: list[str]) -> list[tuple[str, str]]:
        """The empty objects that consoles make for folders, which go with them."""
        markers = []
        for folder in folders:
            bucket, key, _ = self.split_path(folder)
            if any(f"{folder}/".startswith(f"{above}/") for above in folders if above != folder):
                continue  # listed with the one above
            for found in self._objects().list(bucket, f"{key}/")[0]:
                if not found.key.endswith("/"):
                    continue
                if found.size:
                    raise UsageError(
                        f"cannot move {folder!r}: an object of {found.size:,} bytes is named like a"
                        " folder, and no path leads to it; copy it by fs.client",
                        bucket=bucket,
                        key=found.key,
                    )
                markers.append((bucket, found.key))
        return markers


def _refuse_losses(pairs: Pairs, roots: list[str], folders: list[str]) -> None:
    for _, dest in pairs:
        for root in roots:
            if dest.startswith(f"{root}/"):
                raise UsageError(f"cannot move {root!r} into itself, to {dest!r}")
    objects = [pair for pair in pairs if pair[0] not in folders]
    twice = [dest for dest, times in Counter(dest for _, dest in objects).items() if times > 1]
    if twice:
        raise UsageError(f"cannot move: more than one object would become {twice[0]!r}")
    both = {source for source, _ in objects} & {dest for _, dest in objects}
    if both:
        raise UsageError(f"cannot move: {min(both)!r} is both moved and written to")
