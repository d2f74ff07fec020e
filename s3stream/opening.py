"""`s3stream.open`, the built-in `open` for S3; only hands its arguments to the file system."""

from __future__ import annotations

from typing import IO, Any

from .errors import UsageError
from .files import check_layers, parse_mode
from .fs import S3StreamFileSystem
from .options import OPTION_NAMES
from .store import CONNECTION_OPTIONS
from .uri import split_uri


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
) -> IO[Any]:
    """Open `s3://bucket/key` like a file: `wb`, `xb` (only where there is none), `rb`, or as text.

    `buffering=0` gives the raw `S3Writer`; by default small writes are gathered in C.
    `compression` is the name of one of fsspec's, or `"infer"` from the key. `client` is a boto3 S3
    client; `options` are the file system's (`endpoint_url=`, `profile=`, …), `WriteOptions` fields
    (`part_size=`, …) and S3's own parameters (`StorageClass=`, …).

    The object appears at `close()`, whole, or not at all; `commit()` publishes at once, `discard()`
    never. Raises `UsageError` (a `ValueError`) before any request when an argument is wrong.
    """
    bucket, key = split_uri(uri)
    parsed = parse_mode(mode)
    compression = check_layers(parsed, key, buffering, encoding, errors, newline, compression)
    connection = {name: options.pop(name) for name in CONNECTION_OPTIONS if name in options}
    if client is not None and connection:
        raise UsageError(f"client= brings its own connection: drop {', '.join(connection)}")
    if client is not None:
        connection = {"client": client, "skip_instance_cache": True}
    fs = S3StreamFileSystem(**connection)
    text: dict[str, Any] = {}
    if parsed.text:
        text = {"encoding": encoding, "errors": errors, "newline": newline}
    if parsed.reads:
        # Who opens both ways passes the same options: those for writing have no say here.
        reading = {name: value for name, value in options.items() if name not in OPTION_NAMES}
        file: IO[Any] = fs.open(f"{bucket}/{key}", mode, compression=compression, **text, **reading)
        return file
    path = f"{bucket}/{key}"
    written: IO[Any] = fs.open(
        path, mode, compression=compression, buffering=buffering, **text, **options
    )
    return written
