"""`s3stream tus serve` and `s3stream tus sweep`: a tus server in a process of its own.

What a server with code of its own needs, hooks, is `s3stream.tus.application`'s to take.
"""

from __future__ import annotations

import argparse
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from types import FrameType

import s3stream

from ..errors import UsageError
from .codes import DONE, FAILED
from .parsing import Parser, add_connection, connection, duration, size, whole_number
from .voice import Voice

EXAMPLE = "s3stream tus serve --bucket my-bucket --prefix incoming/ --port 1080"
_SERVE = """
s3stream tus serve --bucket my-bucket --port 1080
s3stream tus serve --bucket my-bucket --prefix incoming/ --cors https://app.example --expires 2d
"""
_SWEEP = "s3stream tus sweep --bucket my-bucket --prefix incoming/"
_PORT = 1080
_SWEEP_EVERY = timedelta(hours=1)


def arguments(parser: Parser) -> None:
    """The family's verbs."""
    add = parser.add_verbs()
    serve = add("serve", example=_SERVE, help="take resumable uploads over HTTP", run=_serve)
    _add_place(serve)
    serve.add_argument("--host", default="127.0.0.1", help="to listen on (127.0.0.1; 0.0.0.0: all)")
    serve.add_argument("--port", type=_port, default=_PORT, help=f"to listen on ({_PORT}; 0: any)")
    serve.add_argument(
        "--path", default="/files", help="of the URL at which uploads are made (/files)"
    )
    serve.add_argument("--max-size", type=size, help="of one upload (5TiB)")
    serve.add_argument(
        "--cors",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="whose pages may upload, such as https://app.example; '*': all; may be repeated",
    )
    serve.add_argument("--memory", type=size, help="for all uploads together (1GiB)")
    serve.add_argument("--max-requests", type=whole_number, help="at work at once (1000)")
    add_connection(serve)
    sweep = add("sweep", example=_SWEEP, help="remove what has expired, once", run=_sweep)
    _add_place(sweep)
    add_connection(sweep)


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bucket", required=True, help="where uploads go")
    parser.add_argument("--prefix", default="", help="below which everything lies, such as in/")
    parser.add_argument(
        "--expires",
        type=duration,
        default=timedelta(days=7),
        help="how long an upload counts that nobody writes to (7d)",
    )
    parser.add_argument(
        "--no-lock",
        action="store_true",
        help="for stores without conditional writes; then one process only may serve",
    )


def _serve(options: Namespace, voice: Voice) -> int:
    with _extra():
        import uvicorn

        from ..tus.app import application
    if options.memory is not None:
        s3stream.limit_memory(options.memory)
    chosen = {name: getattr(options, name) for name in ("max_size", "max_requests")}
    app = application(
        options.bucket,
        prefix=options.prefix,
        path=options.path,
        expires=options.expires,
        sweep_every=_SWEEP_EVERY,
        cors=options.cors,
        lock=not options.no_lock,
        **{name: value for name, value in chosen.items() if value is not None},
        **connection(options),
    )
    app.state.check()

    class Server(uvicorn.Server):
        """Says where it listens, and has the application hear of a signal at once.

        Uvicorn waits for requests at work, and an upload may be at work for hours.
        """

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            voice.result({"url": url}, f"serving {url}")
            sys.stdout.flush()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.stop()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        http="h11",  # which bounds a request's headers
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    with _listener(options.host, options.port) as listener:
        port = listener.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        url = f"http://{host}:{port}{options.path}"
        Server(config).run(sockets=[listener])
    return DONE


def _sweep(options: Namespace, voice: Voice) -> int:
    with _extra():
        from ..tus.app import open_shelf
        from ..tus.sweeping import sweep
    shelf = open_shelf(
        options.bucket, options.prefix, lock=not options.no_lock, **connection(options)
    )
    swept = sweep(shelf, datetime.now(timezone.utc), options.expires)
    facts = {"removed": swept.removed, "kept": swept.kept, "failed": swept.failed}
    voice.result(facts, str(swept))
    return FAILED if swept.failed else DONE


@contextmanager
def _extra() -> Iterator[None]:
    """Say what is to be installed where the extra was not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(f'{error}: pip install "s3stream[tus]"') from error


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error}") from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a port, 0 to 65535")
    return int(text)
