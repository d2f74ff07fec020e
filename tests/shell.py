"""The command line: what a user types, and what comes of it, in processes of their own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.forking import Forking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server

# Beside the interpreter, and not by PATH: there it may be another one's.
S3STREAM = str(Path(sys.executable).with_name("s3stream"))
# However busy the machine is: longer only when something hangs.
PATIENCE_SECONDS = 240

PART = 5 << 20

# A busy store may take its time for an abort: who is told to end does not wait for it, and says so.
NOT_CONFIRMED = r"(; and the clean-up failed: [^\n]*has not confirmed it within 1 s[^\n;]*)?"


def environment(server: Server, **more: str) -> dict[str, str]:
    """What a user has set up for this store."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        **more,
    }


@functools.cache
def _forking() -> Forking:
    forking = Forking()
    atexit.register(forking.close)
    return forking


def s3stream(
    server: Server,
    *arguments: str,
    given: bytes = b"",
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    stdout: IO[bytes] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run it to its end, with `given` coming through a pipe."""
    ours, theirs = os.pipe()
    with (
        tempfile.TemporaryFile() as printed,
        tempfile.TemporaryFile() as said,
        os.fdopen(ours, "rb") as source,
    ):
        giving = threading.Thread(target=_give, args=(theirs, given))
        giving.start()
        streams = [source.fileno(), (stdout or printed).fileno(), said.fileno()]
        folder = str(cwd or Path.cwd())
        code = _forking().run(arguments, env or environment(server), folder, streams)
        source.close()  # or what it has not read would never be given
        giving.join()
        printed.seek(0)
        said.seek(0)
        return subprocess.CompletedProcess(arguments, code, printed.read(), said.read())


def _give(pipe: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), os.fdopen(pipe, "wb", buffering=0) as sink:
        view = memoryview(data)
        while view:
            view = view[sink.write(view) :]


@contextlib.contextmanager
def running(
    server: Server, *arguments: str, before: tuple[str, ...] = (), **more: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Have the executable running, behind the words `before`; it is gone when the block ends."""
    pipe = subprocess.PIPE
    chosen = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": environment(server), **more}
    process = subprocess.Popen([*before, S3STREAM, *arguments], bufsize=0, **chosen)
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        process.wait()


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit status and what it has said on stderr, when it has come to its end."""
    _, said = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, (said or b"").decode()


def assert_stopped(said: str, verb: str, number: signal.Signals) -> None:
    """It has said by what it was stopped, and that nothing was published, and nothing else."""
    late = NOT_CONFIRMED
    stopped = f"s3stream {verb}: stopped by {number.name}"
    assert re.fullmatch(rf"{stopped}{late}; nothing was published{late}\n", said), said


def feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Give it all of this on standard input, which stays open."""
    assert process.stdin is not None
    view = memoryview(data)
    while view:
        view = view[process.stdin.write(view) :]
