"""The lowest layer: what a file system is made with, its client, and the listings it keeps.

Knows options and paths, and sends nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fsspec.spec import AbstractFileSystem

from .. import uri
from ..errors import UsageError
from ..options import OPTION_NAMES, WriteOptions
from ..profiles import GENERIC, profile_at, profile_named, with_defaults
from ..store import CONNECTION_OPTIONS, Buckets, Copies, Facets, Objects, Place, connect
from ..waiting import Cancellation
from .names import (
    FSSPEC_OPTIONS,
    S3FS_OPTIONS,
    check_batch_size,
    check_reading,
    refuse_unknown,
)

_VERSION = "?versionId="


class Connected(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that knows its store and has asked it nothing yet."""

    root_marker = ""

    def __init__(
        self,
        *,
        client: Any = None,
        store: str | None = None,
        s3_additional_kwargs: Mapping[str, Any] | None = None,
        default_block_size: int | None = None,
        default_cache_type: str = "readahead",
        default_fill_cache: bool = True,
        requester_pays: bool = False,
        version_aware: bool = False,
        **options: Any,
    ) -> None:
        named = None if store is None else profile_named(store)
        known = {*CONNECTION_OPTIONS, *OPTION_NAMES, *FSSPEC_OPTIONS, *S3FS_OPTIONS}
        # S3's own parameters begin with a capital, ours never do.
        by_name = {name: options.pop(name) for name in list(options) if name[:1].isupper()}
        for name in options:
            refuse_unknown("option", name, known | {"client", "store"})
        ours = {name: options.pop(name) for name in CONNECTION_OPTIONS if name in options}
        if client is not None and ours:
            raise UsageError(f"client= brings its own connection: drop {', '.join(ours)}")
        writing = {name: options.pop(name) for name in OPTION_NAMES if name in options}
        if options.pop("fixed_upload_size", False):
            writing.setdefault("equal_parts", True)
        # Botocore follows a bucket to its region and remembers it, whatever is said here.
        options.pop("cache_regions", None)
        check_reading(default_block_size, default_cache_type)
        self.batch_size: int | None = options.get("batch_size")
        if self.batch_size is not None:
            check_batch_size(self.batch_size)
        super().__init__(**options)
        # Another one whenever a listing is dropped.
        self._listings = object()
        self._connection = ours
        self._writing = writing
        self.default_block_size = default_block_size
        self.default_cache_type = default_cache_type
        self.default_fill_cache = default_fill_cache
        self.requester_pays = requester_pays
        self.version_aware = version_aware
        parameters = {} if s3_additional_kwargs is None else s3_additional_kwargs
        WriteOptions(**with_defaults(named or GENERIC, writing), s3_additional_kwargs=parameters)
        payer = {"RequestPayer": "requester"} if requester_pays else {}
        self._parameters = {**payer, **parameters, **by_name}
        self._given_client = client
        self._named = named
        self._made: tuple[int, Any] | None = None
        self._objects()
        self._endpoint_url: str = self.client.meta.endpoint_url
        self._profile = named or profile_at(self._endpoint_url)
        self._write_options({})

    @property
    def client(self) -> Any:
        """The boto3 client, this process's own."""
        if self._given_client is not None:
            return self._given_client
        # A forked child must not share its parent's connections.
        if self._made is None or self._made[0] != os.getpid():
            self._made = os.getpid(), connect(self._named, **self._connection)
        return self._made[1]

    @property
    def store(self) -> str:
        """The name of the store's profile: as it was given, or found by its endpoint."""
        return self._profile.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._endpoint_url}, store {self.store!r}>"

    def refuse_a_parents_client(self) -> None:
        """In a forked child: raise `UsageError` when the client is the parent's own."""
        if self._given_client is not None:
            raise UsageError(
                "client= was made by the parent of this forked process, and its connections are the"
                " parent's; give key=, profile= or endpoint_url= instead"
            )

    def __reduce__(self) -> Any:
        if self._given_client is not None:
            raise TypeError(
                "a file system made with client= cannot be pickled: a client belongs to its"
                " process; give key=, profile= or endpoint_url= instead"
            )
        return super().__reduce__()

    # -- paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        bucket, key = uri.split_path(os.fspath(path))
        return f"{bucket}/{key}".rstrip("/")

    def split_path(self, path: str) -> tuple[str, str, str | None]:
        """Split a path into bucket, key and version id.

        The last only with `version_aware=True` and of a path that ends in `?versionId=…`, else
        None: without, such an ending is a part of the key.
        """
        bucket, key = uri.split_path(self._strip_protocol(path))
        if self.version_aware and _VERSION in key:
            key, _, version_id = key.rpartition(_VERSION)
            return bucket, key, version_id or None
        return bucket, key, None

    def _place(self, path: str, version_id: str | None = None) -> Place:
        """Where a path leads to; `version_id` is said beside it, and counts for more."""
        bucket, key, of_path = self.split_path(path)
        if version_id is not None and not self.version_aware:
            raise UsageError(
                f"version_id={version_id!r}: for a file system made with version_aware=True",
                bucket=bucket,
                key=key,
            )
        return Place(bucket, key, version_id or of_path)

    def _changeable(self, path: str) -> Place:
        """The same, of what is to be written or deleted: not a version of it."""
        place = self._place(path)
        if place.version_id is not None:
            raise UsageError(f"{path!r} names a version: versions are read only", **place.where)
        return place

    # -- what was chosen

    def _write_options(self, chosen: Mapping[str, Any]) -> WriteOptions:
        """The defaults of this file system, and above them what was chosen for one object."""
        # S3's own parameters begin with a capital, ours never do.
        by_name = {name: chosen[name] for name in chosen if name[:1].isupper()}
        ours = {name: chosen[name] for name in chosen if name not in by_name}
        for name in ours:
            refuse_unknown("option", name, OPTION_NAMES)
        options = WriteOptions(**with_defaults(self._profile, {**self._writing, **ours}))
        parameters = {**self._parameters, **options.s3_additional_kwargs, **by_name}
        if parameters:
            options = dataclasses.replace(options, s3_additional_kwargs=parameters)
        return options

    def _with(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """This file system's S3 parameters and those of one call; refuses what is none of them."""
        for name in given:
            if not name[:1].isupper():
                refuse_unknown("option", name, ())
        return {**self._parameters, **given}

    # -- listings kept

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget kept listings: all of them, or those at and below `path` and that it stands in."""
        if path is None:
            self._listings = object()
            self.dircache.clear()
        else:
            path = self._strip_protocol(path)
            for kept in [kept for kept in self.dircache if kept.startswith(f"{path}/")]:
                self._drop(kept)
            self._forget(path)
        super().invalidate_cache(path)

    def _forget(self, path: str) -> None:
        # First: who lists meanwhile has perhaps not seen what has changed, and is not to keep it.
        self._listings = object()
        while path and len(self.dircache):
            self._drop(path)
            path = self._parent(path) if "/" in path else ""
        self._drop("")

    def _drop(self, path: str) -> None:
        with suppress(KeyError):  # another thread was faster
            del self.dircache[path]

    def _keep(self, listings: dict[str, list[dict[str, Any]]], since: object) -> None:
        """Keep listings that were made since `_listings` was that, unless one was dropped."""
        self.dircache.update(listings)
        if since is not self._listings:
            for path in listings:
                self._drop(path)

    def _from_listing(self, path: str) -> dict[str, Any] | None:
        entries = self.dircache.get(self._parent(path), ())
        return next((dict(entry) for entry in entries if entry["name"] == path), None)

    def _is_kept_as_directory(self, path: str) -> bool:
        """Whether a kept listing says so; nobody is asked."""
        path = self._strip_protocol(path)
        entries = self.dircache.get(self._parent(path), ())
        # There may be an object of the same name.
        return {entry["type"] for entry in entries if entry["name"] == path} == {"directory"}

    # -- the store

    def _objects(self, given: Mapping[str, Any] | None = None) -> Objects:
        return Objects(self.client, self._parameters if given is None else given)

    def _facets(self, given: Mapping[str, Any] | None = None) -> Facets:
        return Facets(self.client, self._parameters if given is None else given)

    def _copies(
        self, given: Mapping[str, Any] | None = None, cancellation: Cancellation | None = None
    ) -> Copies:
        given = self._parameters if given is None else given
        return Copies(self.client, given, self._write_options({}), cancellation=cancellation)

    def _buckets(self) -> Buckets:
        return Buckets(self.client, self._parameters)
