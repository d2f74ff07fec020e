"""Requests at work: their blocking steps on threads, their bytes handed over, and how they end.

Whatever blocks is done on a thread, one step of a request after the other, and nothing is received
meanwhile: so a slow store slows its client down. Must not know S3 calls, nor answers but refusals.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from .hooks import Hook, Naming, Upload
from .protocol import Refused, metadata_of, too_long
from .record import Kind, Record, Status, name_of
from .shelf import Shelf
from .writing import Writing

T = TypeVar("T")


@dataclass(frozen=True)
class Rules:
    """What a server allows, and whom it asks.

    `max_size` in bytes; `lifetime`: seconds that an upload counts after it was last written to;
    `silence`: seconds after which a client that sends nothing is taken to be gone.
    """

    naming: Naming
    before_create: Hook | None
    after_finish: Hook | None
    max_size: int
    lifetime: float | None
    max_requests: int
    silence: float

    def expiry(self) -> float | None:
        """Until when an upload counts that is written to now, in seconds of the epoch."""
        return None if self.lifetime is None else time.time() + self.lifetime


class Work:
    """The requests of one server, at most `max_requests` of them at work at once."""

    def __init__(self, shelf: Shelf, rules: Rules) -> None:
        self.shelf = shelf
        self.rules = rules
        self._threads = ThreadPoolExecutor(rules.max_requests, "s3stream tus")
        self._at_work = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """Have the requests at work end, with what they have; from any thread, or a signal."""
        self._stopped = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def drain(self) -> None:
        """Stop, and wait until all that was received is at the store."""
        self._stopped = True
        self._stopping.set()
        while self._at_work:
            self._ended.clear()
            await self._ended.wait()
        self._loop = None
        self._threads.shutdown(wait=False)

    @contextmanager
    def one(self) -> Iterator[None]:
        """One request at work. Raises `Refused` (503) when there are too many, or none any more."""
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            raise _stopping()
        if self._at_work >= self.rules.max_requests:
            raise Refused(503, "too many requests at once; come again", {"Retry-After": "1"})
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            self._ended.set()

    async def run(self, step: Callable[..., T], *args: object) -> T:
        """Do a step on a thread. It is over when this is, whatever happens."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, partial(step, *args))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The next step must not begin beside it.
            await asyncio.wait([future])
            raise

    async def write(
        self, request: Request, writing: Writing, upload_id: str, *, with_body: bool
    ) -> None:
        """One PATCH from its beginning to its end, with the body of the request or with none.

        Raises `Refused`, also when the body breaks off: what has come is kept then.
        """
        error: BaseException | None = None
        try:
            await self.run(writing.begin)
            why = await self._receive(request, writing) if with_body else None
            if why is not None:
                await self.run(writing.break_off)
                raise why
            await self.run(writing.end)
        except asyncio.CancelledError as cancelled:
            # The server that we run in waits no longer. What has come is kept all the same.
            error = cancelled
            await self.run(writing.break_off)
            raise
        except BaseException as caught:
            error = caught
            raise
        finally:
            await self.run(writing.close, error)
            if writing.finished_here:
                await self.tell(request, upload_id, writing.record)

    async def tell(self, request: Request, upload_id: str, record: Record) -> None:
        """Have the server's own code hear that an object is there."""
        if self.rules.after_finish is not None and record.kind is not Kind.PARTIAL:
            await self.rules.after_finish(described(request, self.shelf, upload_id, record))

    async def _receive(self, request: Request, writing: Writing) -> Refused | None:
        """Hand over the body as it comes; None when all of it has come, else why it ends."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        receiving = None
        try:
            while True:
                receiving = asyncio.ensure_future(request.receive())
                await asyncio.wait(
                    {receiving, stopping},
                    timeout=self.rules.silence,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not receiving.done():
                    if stopping.done():
                        return _stopping()
                    return Refused(408, "nothing has come for a while", {"Connection": "close"})
                message = receiving.result()
                if message["type"] == "http.disconnect":
                    return Refused(400, "the client has gone")  # nobody hears it
                data = message.get("body", b"")
                if len(data) > writing.left:
                    return too_long(writing.left)
                if data:
                    await self.run(writing.write, data)
                if not message.get("more_body", False):
                    return None
        finally:
            stopping.cancel()
            if receiving is not None:
                receiving.cancel()


def described(request: Request, shelf: Shelf, upload_id: str, record: Record) -> Upload:
    """An upload as hooks see it."""
    return Upload(
        id=upload_id,
        name=name_of(upload_id),
        bucket=shelf.bucket,
        length=record.length,
        metadata=metadata_of(record.metadata),
        headers=dict(request.headers),
        partial=record.kind is Kind.PARTIAL,
        key=record.key or None,
        etag=record.etag,
        version_id=record.version_id,
    )


def _stopping() -> Refused:
    return Refused(
        503,
        "the server is going down; what came is kept, ask another with HEAD from where to go on",
        {"Connection": "close", "Retry-After": "1"},
    )


def expires(record: Record) -> dict[str, str]:
    """The header that tells until when an unfinished upload counts."""
    if record.expires is None or record.status is Status.FINISHED:
        return {}
    return {"Upload-Expires": formatdate(record.expires, usegmt=True)}
