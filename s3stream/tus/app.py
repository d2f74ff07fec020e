"""Puts the tus server together: options in, an ASGI application out."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from ..errors import S3StreamError, UsageError
from ..fs import S3StreamFileSystem, take_connection
from ..heartbeat import Heartbeat
from ..options import MiB, TiB
from ..store import Parameters
from .describing import check_prefix
from .hooks import Hook, Naming, by_name
from .serving import Serving
from .shelf import Shelf
from .sweeping import sweep
from .work import Rules, Work

# For each upload: a client seldom sends faster than four parts in flight are taken, and there are
# many of them. The lease: tus clients repeat what was refused for some ten seconds.
_DEFAULTS: dict[str, Any] = {"max_concurrency": 4, "memory": 32 * MiB, "lease": 10.0}
_METHODS = ["OPTIONS", "HEAD", "GET", "POST", "PATCH", "PUT", "DELETE"]
_EXPOSED = [
    "Location",
    "Tus-Checksum-Algorithm",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Concat",
    "Upload-Defer-Length",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
]
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/*?#@\sA-Z]+")
# Beyond it no header could tell the year in which an upload expires.
_LONGEST = timedelta(days=36_525)
_ANSWERED_FOR = 86_400  # seconds that a browser may keep what it was told of CORS

_log = logging.getLogger("s3stream")


def application(
    bucket: str,
    *,
    prefix: str = "",
    path: str = "/",
    naming: Naming = by_name,
    before_create: Hook | None = None,
    after_finish: Hook | None = None,
    max_size: int = 5 * TiB,
    expires: timedelta | None = timedelta(days=7),
    sweep_every: timedelta | None = None,
    cors: Sequence[str] = (),
    max_requests: int = 1000,
    silence: float = 60.0,
    lock: bool = True,
    client: Any = None,
    **options: Any,
) -> Starlette:
    """An ASGI application that takes tus 1.0 uploads into `bucket`, below `prefix`.

    `path` is the URL's at which uploads are made. `naming(upload)` returns the key below the
    prefix; by default it is `upload.name`. `before_create(upload)` is awaited before there is
    anything, and may raise `Refused`; `after_finish(upload)` when the object is there, at most
    once. `max_size` in bytes. An upload that nobody has written to for `expires` counts no more
    (None: counts for ever), and is removed by a sweep: of this server, as often as `sweep_every`
    says, or `s3stream tus sweep`. `cors`: the origins whose pages may upload ("*": all). More than
    `max_requests` at once are refused (503), and a client that sends nothing for `silence` seconds
    is taken to be gone. Where it is mounted into another application nobody tells it of the
    server's beginning and end (Starlette tells the outer one only): it does not sweep there.

    `options` are those of `s3stream.open`: the connection's, `WriteOptions` fields, S3's own
    parameters, which win over what a client says. Memory of all uploads together is bounded by
    `limit_memory`. `lock=False` is for stores without conditional writes, and then for one server
    process only.

    Raises `UsageError` for options that cannot be; sends nothing.
    """
    shelf = open_shelf(bucket, prefix, lock=lock, client=client, **options)
    if not path.startswith("/") or "{" in path:
        raise UsageError(f"path={path!r}: expected the path of a URL, such as '/files'")
    _check_origins(cors)
    never, some_time = timedelta(0), "a timedelta of at most a hundred years, or None"
    for name, value, is_right, expected in (
        ("max_size", max_size, max_size > 0, "bytes, 1 or more"),
        ("expires", expires, expires is None or never <= expires <= _LONGEST, some_time),
        (
            "sweep_every",
            sweep_every,
            sweep_every is None or never < sweep_every <= _LONGEST,
            some_time,
        ),
        ("max_requests", max_requests, max_requests > 0, "1 or more"),
        ("silence", silence, silence > 0, "seconds"),
    ):
        if not is_right:
            raise UsageError(f"{name}={value!r}: expected {expected}")
    lifetime = None if expires is None else expires.total_seconds()
    rules = Rules(naming, before_create, after_finish, max_size, lifetime, max_requests, silence)
    work = Work(shelf, rules)
    serving = Serving(work)
    base = path.rstrip("/")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeping = None if sweep_every is None else Sweeping(shelf, expires, sweep_every)
        yield
        if sweeping is not None:
            sweeping.stop()
        await work.drain()

    routes = [
        Route(f"{base}/", serving.uploads, methods=_METHODS),
        Route(f"{base}/{{upload_id}}", serving.upload, methods=_METHODS),
    ]
    if base:
        routes.insert(0, Route(base, serving.uploads, methods=_METHODS))
    middleware = []
    if cors:
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(cors),
                allow_methods=_METHODS,
                allow_headers=["*"],
                expose_headers=_EXPOSED,
                max_age=_ANSWERED_FOR,
            )
        )
    app = Starlette(routes=routes, middleware=middleware, lifespan=lifespan)
    # A redirect to where a slash is missing would lead to whatever host the client has named.
    app.router.redirect_slashes = False
    app.state.stop = work.stop
    app.state.check = shelf.check
    return app


def open_shelf(
    bucket: str, prefix: str, *, lock: bool = True, client: Any = None, **options: Any
) -> Shelf:
    """Where the uploads of a server are; `options` as for `application`. Sends nothing."""
    check_prefix(prefix)
    fs = S3StreamFileSystem(**take_connection(client, options))
    chosen = fs._write_options({**_DEFAULTS, **options})
    Parameters(fs.client, chosen.s3_additional_kwargs)
    return Shelf(fs, bucket, prefix, chosen, with_locks=lock)


def _check_origins(cors: Sequence[str]) -> None:
    """Refuse what no browser calls an origin, and so would match none, or more than was meant."""
    if isinstance(cors, str):
        raise UsageError(f"cors={cors!r}: expected a list of origins, such as [{cors!r}]")
    for origin in cors:
        if origin not in {"*", "null"} and not _ORIGIN.fullmatch(origin):
            raise UsageError(
                f"cors={origin!r}: expected an origin as browsers name it, such as"
                " 'https://app.example' or 'http://localhost:3000', without a path; or '*': all"
            )


class Sweeping:
    """Sweeps from time to time, on a thread of its own, until it is stopped."""

    def __init__(self, shelf: Shelf, lifetime: timedelta | None, every: timedelta) -> None:
        self._shelf = shelf
        self._lifetime = lifetime
        self._stopped = threading.Event()
        self._heartbeat = Heartbeat(self._beat, every.total_seconds(), "s3stream tus sweep")
        self._heartbeat.start()

    def stop(self) -> None:
        """End; a sweep at work ends behind the upload that it is about, and is not waited for."""
        self._stopped.set()
        self._heartbeat.stop(0)

    def _beat(self) -> bool:
        try:
            swept = sweep(
                self._shelf, datetime.now(timezone.utc), self._lifetime, self._stopped.is_set
            )
        except S3StreamError as error:
            _log.warning("the sweep of expired uploads has failed: %s", error)
        else:
            _log.info("tus: swept what has expired: %s", swept)
        return not self._stopped.is_set()
