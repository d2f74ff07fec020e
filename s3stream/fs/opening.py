"""Opening: from a path, a mode and options to our writer or fsspec's reader.

Decides nothing about uploads.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ..errors import NotFoundError, PrefixError, UsageError
from ..files import wrap
from ..modes import check_layers, parse_mode
from ..options import WriteOptions
from ..predecessor import Predecessor
from ..seekable import SeekableWriter
from ..store import look_at_predecessor
from ..transaction import S3Transaction
from ..uri import split_path
from ..writer import S3Writer
from .looking import Looking
from .names import OPEN_OPTIONS, refuse_unknown
from .reading import S3ReadFile


class Opening(Looking):
    """A file system whose objects can be opened."""

    transaction_type = S3Transaction

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
        S3's own parameters are taken by name (`StorageClass="STANDARD_IA"`). `callback` hears of
        the progress of writing, as in `s3stream.open`.
        """
        parsed = parse_mode(mode)
        if parsed.reads:
            if kwargs.pop("callback", None) is not None:
                raise UsageError("callback=: is for writing")
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
        make = self._writer
        if parsed.appends:
            make = self._appender
        elif parsed.seeks:
            make = self._seekable_writer
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

    def _appender(
        self, path: str, block_size: int | None = None, callback: Any = None, **kwargs: Any
    ) -> S3Writer:
        """A writer that goes on behind what is there, on the condition that it still is."""
        bucket, key, options = self._what_to_write(path, block_size, kwargs)
        of_store = self._profile.writing
        for name in ("if_match", "if_none_match", "equal_parts", "reserve"):
            value = getattr(options, name)
            if value and value != of_store.get(name):
                raise UsageError(
                    f"{name}={value!r}: not with mode 'ab', which is conditional by itself, and"
                    " whose first parts are what is there"
                )
        given = options.s3_additional_kwargs
        predecessor = look_at_predecessor(self.client, bucket, key, given)
        options = dataclasses.replace(options, s3_additional_kwargs=predecessor.parameters)
        if options.equal_parts and predecessor.ranges(options):
            raise UsageError(
                f"mode 'ab': the store {self.store!r} wants equal parts, and what is there, of"
                f" {predecessor.size:,} bytes, would be copied in others; read it, and write it"
                " anew",
                bucket=bucket,
                key=key,
            )
        raw = self._make_writer(bucket, key, options, predecessor, callback)
        if raw.tell() < predecessor.size:
            # Too small to be a part before others: it is written once more, before ours.
            try:
                raw.write(self._objects(given).read(bucket, key, etag=predecessor.etag))
            except BaseException as error:
                raw._discard_because_of(error)
                raise
        return raw

    def _writer(
        self, path: str, block_size: int | None = None, callback: Any = None, **kwargs: Any
    ) -> S3Writer:
        return self._make_writer(*self._what_to_write(path, block_size, kwargs), None, callback)

    def _seekable_writer(
        self, path: str, block_size: int | None = None, callback: Any = None, **kwargs: Any
    ) -> S3Writer:
        bucket, key, options = self._what_to_write(path, block_size, kwargs)
        return SeekableWriter(
            bucket,
            key,
            client=self.client,
            options=options,
            on_commit=lambda result: self._forget(f"{bucket}/{key}"),
            callback=callback,
            store=self.store,
        )

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
        self,
        bucket: str,
        key: str,
        options: WriteOptions,
        predecessor: Predecessor | None,
        callback: Any,
    ) -> S3Writer:
        return S3Writer(
            bucket,
            key,
            client=self.client,
            options=options,
            on_commit=lambda result: self._forget(f"{bucket}/{key}"),
            predecessor=predecessor,
            callback=callback,
            store=self.store,
        )
