"""What lies below a path, on all levels: walked, found, counted.

Changes nothing at the store. A level that cannot be listed is an error: what is copied, fetched or
deleted by a list that lacks something would lack it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from ..errors import NotFoundError
from ..store import Version
from .looking import Looking
from .names import directory_entry, file_entry


class Finding(Looking):
    """A file system that can look at all that lies below a path."""

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: str | Callable[[OSError], object] | None = None,
        detail: bool = False,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Go through all levels, as `os.walk` does: a path, its directories, its files.

        A level that is not there is empty; one that cannot be listed is an error. `on_error` is
        fsspec's, for all levels: "omit" passes over either, "raise" raises either, and what can be
        called is called with either.
        """
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        path = self._strip_protocol(path)
        try:
            listing = self.ls(path, detail=True, **kwargs)
        except OSError as error:
            if not _is_passed_over(error, on_error):
                raise
            return
        dirs, files = _apart(listing, path)
        level = (path, dirs, files) if detail else (path, list(dirs), list(files))
        if topdown:
            yield level
        deeper = None if maxdepth is None else maxdepth - 1
        # Whoever walks from the top may have taken some out.
        for name in [] if deeper == 0 else list(level[1]):
            below = f"{path}/{name}" if path else name
            yield from self.walk(below, deeper, topdown, on_error, detail, **kwargs)
        if not topdown:
            yield level

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """List all objects below `path`, sorted, by one flat listing where that is enough.

        `withdirs` lists prefixes too, `path` among them. `prefix` is what all that stands behind
        `path` begins with. Nothing is found where nothing is; all other errors are raised.
        """
        path = self._strip_protocol(path)
        if maxdepth is not None or not path:
            # Whatever fsspec makes of a path that is an object, `info` knows better.
            found = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            below = f"{path}/{prefix}" if prefix else ""
            found = {
                name: entry or self.info(name)
                for name, entry in found.items()
                if name.startswith(below)
            }
        else:
            found = self._find_flat(path, prefix, withdirs=withdirs)
        return {name: found[name] for name in sorted(found)} if detail else sorted(found)

    def _find_flat(self, path: str, prefix: str, *, withdirs: bool) -> dict[str, Any]:
        bucket, key, _ = self.split_path(path)
        top = f"{key}/" if key else ""
        since = self._listings
        versions, _ = self._level(bucket, top + prefix, delimiter="")
        files = {}
        for version in versions:
            # A "folder" that a console has made is an empty object named like the prefix.
            if not version.key.endswith("/"):
                entry = file_entry(bucket, version)
                files[entry["name"]] = entry
        if not files and key and not prefix:
            with suppress(NotFoundError):
                files[path] = self._file_at(path)
        if not withdirs:
            return files
        folders = _folders_of(versions, len(top), len(top + prefix))
        dirs = {name: directory_entry(name) for name in (f"{bucket}/{f}" for f in folders)}
        if not prefix and (versions or not key):
            dirs[path] = directory_entry(path)
            self._keep(_levels(dirs, files), since)
        return dirs | files

    def du(
        self,
        path: str,
        total: bool = True,
        maxdepth: int | None = None,
        withdirs: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Bytes of all objects below `path`: their sum, or of each with `total=False`."""
        found = self.find(path, maxdepth, withdirs, detail=True, **kwargs)
        sizes = {name: entry["size"] for name, entry in found.items()}
        return sum(sizes.values()) if total else sizes


def _is_passed_over(error: OSError, on_error: Any) -> bool:
    if callable(on_error):
        on_error(error)
        return True
    return on_error != "raise" and bool(on_error or isinstance(error, FileNotFoundError))


def _apart(listing: list[dict[str, Any]], path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Directories and files of one level, by their last names; a file at `path` itself has none."""
    dirs, files = {}, {}
    for entry in listing:
        name = "" if entry["name"] == path else entry["name"].rpartition("/")[2]
        if entry["type"] == "file":
            files[name] = entry
        elif name:
            dirs[name] = entry
    return dirs, files


def _levels(dirs: dict[str, Any], files: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is known of every level by a flat listing, as `ls` of each would show it."""
    levels: dict[str, list[dict[str, Any]]] = {name: [] for name in dirs}
    for entry in (*files.values(), *dirs.values()):
        above = entry["name"].rpartition("/")[0]
        if above in levels:
            levels[above].append(entry)
    for entries in levels.values():
        entries.sort(key=lambda entry: str(entry["name"]))
    return levels


def _folders_of(versions: list[Version], top: int, least: int) -> set[str]:
    """What stands before the slashes of the keys, from `top` on; of at least `least` characters."""
    folders: set[str] = set()
    for version in versions:
        end = version.key.rfind("/")
        # A slash behind a slash ends no folder; a folder that is known brings those it is in.
        while end >= max(top, least) and version.key[:end] not in folders:
            if end > top and version.key[end - 1] != "/":
                folders.add(version.key[:end])
            end = version.key.rfind("/", 0, end)
    return folders
