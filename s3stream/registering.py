"""Taking a protocol over in fsspec, for a process that asks for it; never by import."""

from __future__ import annotations

from fsspec.registry import register_implementation

from .errors import UsageError
from .fs import S3StreamFileSystem
from .uri import SCHEMES


def register(protocol: str = "s3") -> None:
    """Have fsspec open `s3://` by this library, in this process, from now on.

    Whatever goes through fsspec by that protocol then gets an `S3StreamFileSystem`, also where s3fs
    is installed; file systems that were made before stay what they are. Another process (a Dask
    worker that opens by URL) has to ask for itself. Raises `UsageError` for another protocol.
    """
    if protocol not in SCHEMES:
        known = ", ".join(map(repr, SCHEMES))
        raise UsageError(f"protocol={protocol!r}: expected one of {known}")
    register_implementation(protocol, S3StreamFileSystem, clobber=True)
