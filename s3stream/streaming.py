"""What an iterable gives, async or not, written to an object under asyncio: `upload_stream`.

Knows how an iterable is asked, and no more of a file than that it can be awaited.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

from .asynchronous import aopen
from .errors import UsageError
from .state import UploadResult


async def upload_stream(
    source: AsyncIterable[Any] | Iterable[Any], uri: str, **options: Any
) -> UploadResult:
    """Write all that an (async) iterable of bytes gives to `s3://bucket/key`: whole, or not at all.

    Asks for no more than can be sent: while the store is slow, so is the source. An exception of
    the source, and a cancellation, discard, and come through. A plain iterable is asked on threads;
    a cancellation waits until it answers. `options` are those of `aopen`.

    Raises `UsageError` before any request for what is no such iterable, and for `checkpoint=`: an
    iterable cannot be asked to go on where an upload was put down.
    """
    for name in ("checkpoint", "lock"):
        if name in options:
            raise UsageError(
                f"{name}=: an iterable begins at its beginning, and cannot go on from where an"
                " upload was put down; aopen(checkpoint=) can, from its tell()"
            )
    given: object = source
    if isinstance(given, (str, bytes, bytearray, memoryview)) or not (
        isinstance(given, (AsyncIterable, Iterable))
    ):
        raise UsageError(
            f"source={type(given).__name__}: expected an iterable of bytes, async or not, such as"
            " a request's stream() or a list of bytes"
        )
    async with aopen(uri, **options) as file:
        if isinstance(given, AsyncIterable):
            async for piece in given:
                await file.write(piece)
        else:
            await file._write_all(iter(given))
        return await file.commit()
