"""`s3stream.open`, the built-in `open` for S3; only hands its arguments to the file system."""

from __future__ import annotations

from typing import IO, Any, Literal, overload

from .errors import UsageError
from .files import (
    S3BufferedWriter,
    S3CompressedWriter,
    S3RandomWriter,
    S3TextWriter,
    wrap,
)
from .fs import OPEN_OPTIONS, S3StreamFileSystem, refuse_unknown, take_connection
from .lock import Lock
from .modes import Mode, check_layers, parse_mode
from .options import OPTION_NAMES
from .resuming import journal_at, open_kept
from .store import CONNECTION_OPTIONS
from .uri import split_uri
from .writer import S3Writer

_OURS = {"block_size", "callback", "checkpoint", "client", "lock", "store"}
_KNOWN = OPTION_NAMES | OPEN_OPTIONS | {*CONNECTION_OPTIONS} | _OURS


_WriteBytes = Literal["wb", "xb", "ab", "bw", "bx", "ba"]
_WriteRandom = Literal["w+b", "x+b", "wb+", "xb+", "+wb", "+xb"]
_WriteText = Literal["w", "x", "a", "wt", "xt", "at", "tw", "tx", "ta"]


@overload
def open(
    uri: str,
    mode: _WriteBytes,
    buffering: Literal[0],
    *,
    compression: None = ...,
    client: Any = ...,
    **options: Any,
) -> S3Writer: ...
@overload
def open(
    uri: str,
    mode: _WriteBytes = ...,
    *,
    buffering: Literal[0],
    compression: None = ...,
    client: Any = ...,
    **options: Any,
) -> S3Writer: ...
@overload
def open(
    uri: str,
    mode: _WriteBytes = ...,
    buffering: int = ...,
    encoding: None = ...,
    errors: None = ...,
    newline: None = ...,
    *,
    compression: None = ...,
    client: Any = ...,
    **options: Any,
) -> S3BufferedWriter: ...
@overload
def open(
    uri: str,
    mode: _WriteBytes = ...,
    buffering: int = ...,
    encoding: None = ...,
    errors: None = ...,
    newline: None = ...,
    *,
    compression: str,
    client: Any = ...,
    **options: Any,
) -> S3BufferedWriter | S3CompressedWriter: ...
@overload
def open(
    uri: str,
    mode: _WriteRandom,
    buffering: Literal[0],
    *,
    client: Any = ...,
    **options: Any,
) -> S3Writer: ...
@overload
def open(
    uri: str,
    mode: _WriteRandom,
    buffering: int = ...,
    *,
    client: Any = ...,
    **options: Any,
) -> S3RandomWriter: ...
@overload
def open(
    uri: str,
    mode: _WriteText,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
    *,
    compression: str | None = ...,
    client: Any = ...,
    **options: Any,
) -> S3TextWriter: ...
@overload
def open(
    uri: str,
    mode: str,
    buffering: int = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
    *,
    compression: str | None = ...,
    client: Any = ...,
    **options: Any,
) -> IO[Any]: ...
def open(
    uri: str,
    mode: str = "wb",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *,
    compression: str | None = None,
    client: Any = None,
    **options: Any,
) -> Any:
    """Open `s3://bucket/key` like a file: `wb`, `xb` (only where there is none), `ab`, `rb`, text;
    `w+b`, `x+b`, to go back in it while it is written.

    `buffering=0` gives the raw `S3Writer`; by default small writes are gathered in C.
    `compression` is the name of one of fsspec's, or `"infer"` from the key. `client` is a boto3 S3
    client; `options` are the file system's (`endpoint_url=`, `profile=`, …; `store="r2"` names a
    store whose endpoint does not tell what it is), `WriteOptions` fields (`part_size=`, …) and S3's
    own parameters (`StorageClass=`, …).

    The object appears at `close()`, whole, or not at all; `commit()` publishes at once, `discard()`
    never. Raises `UsageError` (a `ValueError`) before any request when an argument is wrong.

    `ab` writes behind what is there, or a new object: the store copies what is large, and its
    metadata, content type, tags and encryption go along. It publishes only over what it has found
    when it was opened (`PreconditionError`), where the store heeds that. Nothing written leaves the
    object as it is.

    `w+b` and `x+b` give a file that can be read, and changed anywhere, until it is closed: it waits
    in a temporary file, in the folder that `spool` names, and is sent then.

    `checkpoint="file.json"` (binary writing only) writes down after each part how far it has come.
    The same call, after a crash or an exception, takes the upload up again: `tell()` says from
    where to go on. After the commit the file is gone. `lock` is that of `resume`.

    `callback` is one of fsspec's (`fsspec.callbacks.TqdmCallback()`): on the thread that writes it
    is told the size as soon as one is known (`size_hint`, then what it came to), and the bytes that
    the store has accepted, as it accepts them; together they are the object's. What it raises is as
    if the producer had raised it: nothing is published, unless the object was there by then, which
    a note on the exception says.
    """
    bucket, key = split_uri(uri)
    parsed = parse_mode(mode)
    compression = check_layers(parsed, key, buffering, encoding, errors, newline, compression)
    kept = {name: options.pop(name) for name in ("checkpoint", "lock") if name in options}
    connection = take_connection(client, options)
    for name in options:
        # S3's own parameters begin with a capital, ours never do.
        if not name[:1].isupper():
            refuse_unknown("option", name, _KNOWN)
    text: dict[str, Any] = {}
    if parsed.text:
        text = {"encoding": encoding, "errors": errors, "newline": newline}
    path = f"{bucket}/{key}"
    if parsed.reads:
        if kept:
            raise UsageError("checkpoint= and lock= are for writing")
        # S3's parameters count for reading too (SSE-C); who opens both ways passes the same
        # options, and those for writing have no say here.
        parameters = {name: options.pop(name) for name in list(options) if name[:1].isupper()}
        parameters = {**(options.get("s3_additional_kwargs") or {}), **parameters}
        if parameters:
            connection["s3_additional_kwargs"] = parameters
        fs = S3StreamFileSystem(**connection)
        reading = {name: value for name, value in options.items() if name not in OPTION_NAMES}
        file: IO[Any] = fs.open(path, mode, compression=compression, **text, **reading)
        return file
    fs = S3StreamFileSystem(**connection)
    if kept:
        return _open_kept(fs, bucket, key, parsed, compression, buffering, options, **kept)
    block_size = options.pop("block_size", None)
    if buffering == 1 and not parsed.text:
        buffering = -1  # of which has been warned
    written: IO[Any] = fs.open_for_writing(
        path, parsed, block_size, compression, buffering=buffering, **text, **options
    )
    return written


def _open_kept(
    fs: S3StreamFileSystem,
    bucket: str,
    key: str,
    mode: Mode,
    compression: str | None,
    buffering: int,
    options: dict[str, Any],
    checkpoint: Any = None,
    lock: Lock = "store",
) -> Any:
    callback = options.pop("callback", None)
    if checkpoint is None:
        raise UsageError("lock= is for a file with a checkpoint=")
    if mode.text or compression is not None:
        raise UsageError(
            "checkpoint=: only a binary file without compression can be taken up again, for where"
            " to go on is counted in bytes of the object"
        )
    if mode.appends:
        raise UsageError("checkpoint=: not with mode 'ab'")
    if mode.seeks:
        raise UsageError(
            "checkpoint=: not with modes 'w+b' and 'x+b', whose file may still be changed anywhere;"
            " write a file of your own, and send it by s3stream.upload_file(checkpoint=)"
        )
    if mode.exclusive:
        options["if_none_match"] = "*"
    if "block_size" in options:
        options.setdefault("part_size", options.pop("block_size"))
    journal = journal_at(checkpoint)
    raw = open_kept(fs, bucket, key, options, lock, callback, journal=journal)
    return wrap(raw, text=False, buffering=buffering)
