"""S3 as fsspec's file system `s3stream`: our writer, fsspec's buffered reader, plain calls between.

Only puts fsspec's face on the rooms below; decides nothing about uploads.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from .errors import AlreadyExistsError, NotFoundError, PreconditionError, PrefixError, UsageError
from .files import check_layers, parse_mode, wrap
from .options import OPTION_NAMES, MiB, WriteOptions
from .predecessor import Predecessor
from .store import CONNECTION_OPTIONS, Objects, Version, connect, look_at_predecessor
from .transaction import S3Transaction
from .uri import SCHEMES, split_path
from .writer import S3Writer

# fsspec's own, taken by AbstractFileSystem.
_FSSPEC_OPTIONS = frozenset(
    {
        "asynchronous",
        "batch_size",
        "listings_expiry_time",
        "loop",
        "max_paths",
        "skip_instance_cache",
        "use_listings_cache",
    }
)
OPEN_OPTIONS = frozenset({"cache_options", "cache_type", "size"})


def take_connection(client: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Take out of `options` what a file system is made with: a connection's, or a ready `client`.

    Raises `UsageError` when there are both.
    """
    connection = {name: options.pop(name) for name in CONNECTION_OPTIONS if name in options}
    if client is None:
        return connection
    if connection:
        raise UsageError(f"client= brings its own connection: drop {', '.join(connection)}")
    return {"client": client, "skip_instance_cache": True}


class S3StreamFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Files in S3, `s3stream://bucket/key`.

    Options, by s3fs's names: `anon key secret token profile endpoint_url use_ssl client_kwargs
    config_kwargs s3_additional_kwargs`, or a ready boto3 client as `client`; S3's own parameters,
    by S3's names; and every field of `WriteOptions`, as the default of the files it opens. What is
    not given comes from boto3's environment variables and files. Without `client` it can be pickled
    and makes its client where it is used, anew after a fork.

    Raises `UsageError` for an option that is none, `AccessDeniedError` without credentials.
    """

    protocol = SCHEMES
    root_marker = ""
    transaction_type = S3Transaction

    def __init__(
        self,
        *,
        client: Any = None,
        s3_additional_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        known = {*CONNECTION_OPTIONS, *OPTION_NAMES, *_FSSPEC_OPTIONS}
        # S3's own parameters begin with a capital, ours never do.
        by_name = {name: options.pop(name) for name in list(options) if name[:1].isupper()}
        for name in options:
            refuse_unknown("option", name, known | {"client"})
        ours = {name: options.pop(name) for name in CONNECTION_OPTIONS if name in options}
        if client is not None and ours:
            raise UsageError(f"client= brings its own connection: drop {', '.join(ours)}")
        writing = {name: options.pop(name) for name in OPTION_NAMES if name in options}
        super().__init__(**options)
        self._connection = ours
        self._writing = writing
        parameters = {} if s3_additional_kwargs is None else s3_additional_kwargs
        WriteOptions(**writing, s3_additional_kwargs=parameters)
        self._parameters = {**parameters, **by_name}
        self._given_client = client
        self._made: tuple[int, Any] | None = None
        self._objects()

    @property
    def client(self) -> Any:
        """The boto3 client, this process's own."""
        if self._given_client is not None:
            return self._given_client
        # A forked child must not share its parent's connections.
        if self._made is None or self._made[0] != os.getpid():
            self._made = os.getpid(), connect(**self._connection)
        return self._made[1]

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

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(p) for p in path]
        bucket, key = split_path(os.fspath(path))
        return f"{bucket}/{key}".rstrip("/")

    # -- opening

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Mapping[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open an object; text modes and compression as in fsspec, writing all or nothing.

        Besides `WriteOptions` fields (`block_size` is `part_size`) and `s3_additional_kwargs`,
        S3's own parameters are taken by name (`StorageClass="STANDARD_IA"`).
        """
        parsed = parse_mode(mode)
        if parsed.reads:
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        layers = {name: kwargs.pop(name, None) for name in ("encoding", "errors", "newline")}
        buffering = kwargs.pop("buffering", -1)
        publish_later = not kwargs.pop("autocommit", not self._intrans)
        if os.fspath(path).endswith("/"):
            raise UsageError(f"{path!r} ends in '/': that names a prefix, not an object")
        path = self._strip_protocol(path)
        compression = check_layers(parsed, path, buffering, **layers, compression=compression)
        if publish_later:
            kwargs["publish"] = "commit"
        if parsed.exclusive:
            kwargs["if_none_match"] = "*"
        if parsed.appends and compression is not None:
            raise UsageError(
                f"compression={compression!r}: appending is for uncompressed objects; read it, and"
                " write it anew"
            )
        make = self._appender if parsed.appends else self._writer
        raw = make(path, block_size, **kwargs)
        file = wrap(raw, text=parsed.text, buffering=buffering, compression=compression, **layers)
        if publish_later:
            self.transaction.files.append(file)
        return file

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        for name in kwargs:
            refuse_unknown("reading option", name, OPEN_OPTIONS)
        # Asked of the store and not of a kept listing: the object may have been replaced since.
        bucket, key = split_path(path)
        try:
            version = self._objects().head(bucket, key)
        except NotFoundError as missing:
            if self.isdir(path):
                raise PrefixError("a prefix, not an object", bucket=bucket, key=key) from missing
            raise
        return S3ReadFile(self, version, path, block_size, cache_options, **kwargs)

    def _appender(self, path: str, block_size: int | None = None, **kwargs: Any) -> S3Writer:
        """A writer that goes on behind what is there, on the condition that it still is."""
        bucket, key, options = self._what_to_write(path, block_size, kwargs)
        for name in ("if_match", "if_none_match", "equal_parts", "reserve"):
            value = getattr(options, name)
            if value:
                raise UsageError(
                    f"{name}={value!r}: not with mode 'ab', which is conditional by itself, and"
                    " whose first parts are what is there"
                )
        given = options.s3_additional_kwargs
        predecessor = look_at_predecessor(self.client, bucket, key, given)
        options = dataclasses.replace(options, s3_additional_kwargs=predecessor.parameters)
        raw = self._make_writer(bucket, key, options, predecessor)
        if raw.tell() < predecessor.size:
            # Too small to be a part before others: it is written once more, before ours.
            try:
                raw.write(self._objects(given).read(bucket, key, etag=predecessor.etag))
            except BaseException as error:
                raw._discard_because_of(error)
                raise
        return raw

    def _writer(self, path: str, block_size: int | None = None, **kwargs: Any) -> S3Writer:
        return self._make_writer(*self._what_to_write(path, block_size, kwargs), None)

    def _what_to_write(
        self, path: str, block_size: int | None, kwargs: dict[str, Any]
    ) -> tuple[str, str, WriteOptions]:
        bucket, key = split_path(path)
        if not bucket or not key:
            raise UsageError(f"{path!r} names no object: expected s3stream://bucket/key")
        if block_size is not None:
            kwargs.setdefault("part_size", block_size)
        # Reading options come along from callers who open both ways.
        chosen = {name: kwargs[name] for name in kwargs if name not in OPEN_OPTIONS}
        return bucket, key, self._write_options(chosen)

    def _make_writer(
        self, bucket: str, key: str, options: WriteOptions, predecessor: Predecessor | None
    ) -> S3Writer:
        return S3Writer(
            bucket,
            key,
            client=self.client,
            options=options,
            on_commit=lambda result: self._forget(f"{bucket}/{key}"),
            predecessor=predecessor,
        )

    def _write_options(self, chosen: Mapping[str, Any]) -> WriteOptions:
        """The defaults of this file system, and above them what was chosen for one object."""
        # S3's own parameters begin with a capital, ours never do.
        by_name = {name: chosen[name] for name in chosen if name[:1].isupper()}
        ours = {name: chosen[name] for name in chosen if name not in by_name}
        for name in ours:
            refuse_unknown("option", name, OPTION_NAMES)
        options = WriteOptions(**{**self._writing, **ours})
        parameters = {**self._parameters, **options.s3_additional_kwargs, **by_name}
        if parameters:
            options = dataclasses.replace(options, s3_additional_kwargs=parameters)
        return options

    # -- looking

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Tell what is at `path`: an object, or the prefix of some ("directory").

        Raises `NotFoundError` (a `FileNotFoundError`) when there is neither.
        """
        bucket, key = split_path(self._strip_protocol(path))
        if not bucket:
            return _directory("")
        if not key:
            if not self._objects().has_bucket(bucket):
                raise NotFoundError(f"there is no bucket {bucket!r}")
            return _directory(bucket)
        cached = self._from_listing(f"{bucket}/{key}")
        if cached is not None:
            return cached
        try:
            return _file(bucket, self._objects().head(bucket, key))
        except NotFoundError as missing:
            found, prefixes = self._objects().list(bucket, f"{key}/", delimiter="/", at_most=1)
            if not found and not prefixes:
                raise missing
            return _directory(f"{bucket}/{key}")

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether there is an object or a prefix; errors other than "not found" are raised."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, refresh: bool = False, **kwargs: Any) -> list[Any]:
        """List one level: buckets, or the objects and prefixes under `path`.

        Raises `NotFoundError` when nothing is there.
        """
        path = self._strip_protocol(path)
        entries = None if refresh else self.dircache.get(path)
        if entries is None:
            entries = self._list(path)
            self.dircache[path] = entries
        if not detail:
            return sorted(entry["name"] for entry in entries)
        return [dict(entry) for entry in entries]

    def _list(self, path: str) -> list[dict[str, Any]]:
        bucket, key = split_path(path)
        if not bucket:
            return [
                {**_directory(name), "created": created}
                for name, created in self._objects().buckets().items()
            ]
        prefix = f"{key}/" if key else ""
        found, prefixes = self._objects().list(bucket, prefix, delimiter="/")
        entries = [_directory(f"{bucket}/{p.rstrip('/')}") for p in prefixes]
        # A "folder" that a console has made is an empty object named like the prefix.
        entries += [_file(bucket, version) for version in found if version.key != prefix]
        if entries or not key or any(version.key == prefix for version in found):
            return entries
        return [_file(bucket, self._objects().head(bucket, key))]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        prefix: str = "",
        **kwargs: Any,
    ) -> Any:
        """List all objects below `path`, by one flat listing where that is enough."""
        path = self._strip_protocol(path)
        bucket, key = split_path(path)
        if maxdepth is not None or withdirs or not bucket:
            # Whatever fsspec makes of a path that is an object, `info` knows better.
            names = super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=True, **kwargs)
            below = f"{path}/{prefix}" if prefix else ""
            names = {
                name: entry or self.info(name)
                for name, entry in names.items()
                if name.startswith(below)
            }
            return names if detail else sorted(names)
        below = (f"{key}/" if key else "") + prefix
        found, _ = self._objects().list(bucket, below)
        entries = [_file(bucket, v) for v in found if not v.key.endswith("/")]
        if not entries and key and not prefix:
            try:
                entries = [_file(bucket, self._objects().head(bucket, key))]
            except NotFoundError:
                entries = []
        names = {entry["name"]: entry for entry in entries}
        return names if detail else sorted(names)

    def created(self, path: str) -> datetime:
        """When the object was last written: S3 keeps no other time."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """When the object was last written."""
        return cast("datetime", self.info(path)["LastModified"])

    # -- changing

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

    # -- whole objects

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

        A local folder leaves nothing: S3 has none.
        """
        if Path(lpath).is_dir():
            return
        verb = "xb" if mode == "create" else "wb"
        with Path(lpath).open("rb") as source:
            callback.set_size(os.fstat(source.fileno()).st_size)
            with self.open(rpath, verb, buffering=0, **kwargs) as file:
                while data := source.read(MiB):
                    callback.relative_update(file.write(data))

    # -- listings kept

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget kept listings: all of them, or those at and below `path` and that it stands in."""
        if path is None:
            self.dircache.clear()
        else:
            path = self._strip_protocol(path)
            for kept in [kept for kept in self.dircache if kept.startswith(f"{path}/")]:
                self.dircache.pop(kept, None)
            self._forget(path)
        super().invalidate_cache(path)

    def _forget(self, path: str) -> None:
        while path and len(self.dircache):
            self.dircache.pop(path, None)
            path = self._parent(path) if "/" in path else ""
        self.dircache.pop("", None)

    def _from_listing(self, path: str) -> dict[str, Any] | None:
        entries = self.dircache.get(self._parent(path), ())
        return next((dict(entry) for entry in entries if entry["name"] == path), None)

    def _objects(self, given: Mapping[str, Any] | None = None) -> Objects:
        return Objects(self.client, self._parameters if given is None else given)


class S3ReadFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """fsspec's buffered, cached reader over ranged GetObject of one version of an object."""

    def __init__(
        self,
        fs: S3StreamFileSystem,
        version: Version,
        path: str,
        block_size: int | None,
        cache_options: Mapping[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        self._etag = version.etag
        kwargs["size"] = version.size
        super().__init__(
            fs, path, "rb", block_size or "default", cache_options=cache_options, **kwargs
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        bucket, key = split_path(self.path)
        data: bytes = self.fs._objects().read(bucket, key, start, end, etag=self._etag)
        if len(data) != min(end, self.size) - start:
            # A store that ignores If-Match.
            raise PreconditionError(
                "the object was replaced while it was read", bucket=bucket, key=key
            )
        return data


def _file(bucket: str, version: Version) -> dict[str, Any]:
    return {
        "name": f"{bucket}/{version.key}",
        "size": version.size,
        "type": "file",
        "Key": f"{bucket}/{version.key}",
        "ETag": version.etag,
        "LastModified": version.modified,
        "StorageClass": version.storage_class,
        **({} if version.content_type is None else {"ContentType": version.content_type}),
        **({} if version.version_id is None else {"VersionId": version.version_id}),
        **({} if version.metadata is None else {"metadata": dict(version.metadata)}),
    }


def _directory(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory", "StorageClass": "DIRECTORY"}


def refuse_unknown(what: str, name: str, known: Iterable[str]) -> None:
    """Raise `UsageError` for a name that is not known, with the nearest one that is."""
    if name in known:
        return
    near = difflib.get_close_matches(name, known, 1, 0.5)
    meant = f", did you mean {near[0]}?" if near else ""
    raise UsageError(f"{what} {name!r}: there is none of that name{meant}")
