"""Opening: from a path, a mode and options to our writer or fsspec's reader.

Decides nothing about uploads.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from ..errors import (
    AccessDeniedError,
    AlreadyExistsError,
    NotFoundError,
    PrefixError,
    UsageError,
)
from ..files import wrap
from ..modes import Mode, check_layers, parse_mode
from ..options import WriteOptions
from ..seekable import SeekableWriter
from ..store import look_at_predecessor
from ..transaction import S3Transaction, next_turn
from ..writer import S3Writer
from .describing import Describing
from .names import OPEN_OPTIONS, check_reading, refuse_unknown
from .reading import S3ReadFile


class Opening(Describing):
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
        S3's own parameters are taken by name (`StorageClass="STANDARD_IA"`), and s3fs's words:
        `acl`, `requester_pays`, `cache_type`, `version_id` (of what was made with `version_aware`).
        `callback` hears of the progress of writing, as in `s3stream.open`.

        Mode `xb` raises `AlreadyExistsError` at once when there is an object, and when it is
        published if one has come meanwhile.
        """
        parsed = parse_mode(mode)
        if parsed.reads:
            if kwargs.pop("callback", None) is not None:
                raise UsageError("callback=: is for writing")
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        return self.open_for_writing(
            path, parsed, block_size, compression, look=parsed.exclusive, **kwargs
        )

    def open_for_writing(
        self,
        path: str,
        mode: Mode,
        block_size: int | None,
        compression: str | None,
        *,
        callback: Any = None,
        look: bool = False,
        turn: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> Any:
        """The same, for writing; whether there is an object already is asked with `look` only.

        `turn` is the place of the file in a transaction, where that is not the order of opening.
        """
        layers = {name: kwargs.pop(name, None) for name in ("encoding", "errors", "newline")}
        buffering = kwargs.pop("buffering", -1)
        publish_later = not kwargs.pop("autocommit", not self._intrans)
        if os.fspath(path).endswith("/"):
            raise UsageError(f"{path!r} ends in '/': that names a prefix, not an object")
        path = self._strip_protocol(path)
        compression = check_layers(mode, path, buffering, **layers, compression=compression)
        if publish_later:
            kwargs["publish"] = "commit"
        if mode.exclusive:
            kwargs["if_none_match"] = "*"
        what = self._what_to_write(path, block_size, kwargs)
        if look:
            self._refuse_what_is_there(*what)
        if mode.appends:
            raw = self._appender(*what, callback)
        elif mode.seeks:
            raw = self._make_writer(*what, SeekableWriter, callback=callback)
        else:
            raw = self._make_writer(*what, callback=callback)
        file = wrap(raw, text=mode.text, buffering=buffering, compression=compression, **layers)
        if publish_later:
            self.transaction.add(file, turn or (next_turn(), 0))
        return file

    def _refuse_what_is_there(self, bucket: str, key: str, options: WriteOptions) -> None:
        try:
            self._objects(options.s3_additional_kwargs).head(bucket, key)
        except NotFoundError:
            return
        except AccessDeniedError:
            # Who may write need not be allowed to read: the store checks it when it is published.
            return
        raise AlreadyExistsError("there is an object already", bucket=bucket, key=key)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        cache_type: str | None = None,
        version_id: str | None = None,
        requester_pays: bool = False,
        **kwargs: Any,
    ) -> Any:
        for name in kwargs:
            refuse_unknown("reading option", name, OPEN_OPTIONS)
        check_reading(None, cache_type)
        place = self._place(path, version_id)
        kept = {"requester_pays": True} if requester_pays else {}
        given = {**self._parameters, "RequestPayer": "requester"} if kept else self._parameters
        # Asked of the store and not of a kept listing: the object may have been replaced since.
        try:
            version = self._objects(given).head(place.bucket, place.key, place.version_id)
        except NotFoundError as missing:
            if self.isdir(path):
                raise PrefixError("a prefix, not an object", **place.where) from missing
            raise
        return S3ReadFile(
            self,
            version,
            path,
            block_size,
            cache_options,
            cache_type=cache_type,
            given=given,
            kept=kept,
        )

    def _appender(
        self, bucket: str, key: str, options: WriteOptions, callback: Any = None
    ) -> S3Writer:
        """A writer that goes on behind what is there, on the condition that it still is."""
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
        raw = self._make_writer(bucket, key, options, callback=callback, predecessor=predecessor)
        if raw.tell() < predecessor.size:
            # Too small to be a part before others: it is written once more, before ours.
            try:
                raw.write(self._objects(given).read(bucket, key, etag=predecessor.etag))
            except BaseException as error:
                raw._discard_because_of(error)
                raise
        return raw

    def _what_to_write(
        self, path: str, block_size: int | None, kwargs: dict[str, Any]
    ) -> tuple[str, str, WriteOptions]:
        place = self._changeable(path)
        if not place.bucket or not place.key:
            raise UsageError(f"{path!r} names no object: expected s3stream://bucket/key")
        if kwargs.get("version_id") is not None:
            raise UsageError("version_id=: for reading; the store names what is written")
        # Reading options come along from callers who open both ways.
        chosen = {name: kwargs[name] for name in kwargs if name not in OPEN_OPTIONS}
        self._choose_part_size(block_size, chosen)
        if kwargs.get("requester_pays"):
            chosen.setdefault("RequestPayer", "requester")
        if kwargs.get("acl"):
            chosen.setdefault("ACL", kwargs["acl"])
        return place.bucket, place.key, self._write_options(chosen)

    def _choose_part_size(self, block_size: int | None, chosen: dict[str, Any]) -> None:
        for size in (block_size, chosen.pop("chunksize", None)):
            if size is not None:
                chosen.setdefault("part_size", size)
        if self.default_block_size is not None and "part_size" not in self._writing:
            chosen.setdefault("part_size", self.default_block_size)

    def _make_writer(
        self,
        bucket: str,
        key: str,
        options: WriteOptions,
        kind: type[S3Writer] = S3Writer,
        **more: Any,
    ) -> S3Writer:
        """A writer that listings know of when it has published; `more` is what else it takes."""
        return kind(
            bucket,
            key,
            client=self.client,
            options=options,
            on_commit=lambda result: self._forget(f"{bucket}/{key}"),
            store=self.store,
            **more,
        )
