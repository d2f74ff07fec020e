"""An example that serves, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server


class Example:
    """A script that serves by uvicorn, on a port of its own choice; `url` is its root."""

    def __init__(self, store: Server, *script: str) -> None:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }
        self._process = subprocess.Popen(
            [sys.executable, *script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log: list[str] = []
        self._url: str | None = None
        self._has_spoken = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    @property
    def url(self) -> str:
        """Where it listens; waits until it does."""
        self._has_spoken.wait()
        assert self._url is not None, f"it has ended before it listened:\n{self.log}"
        return self._url

    @property
    def log(self) -> str:
        """What it has said so far; all of it once it was killed."""
        return "".join(self._log)

    def kill(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as said:
            for line in said:
                self._log.append(line)
                if listening := re.search(r"running on (http://127\.0\.0\.1:\d+)", line):
                    self._url = listening[1]
                    self._has_spoken.set()
        self._has_spoken.set()


@contextmanager
def running(store: Server, *script: str) -> Iterator[Example]:
    """Such a script, until the block ends; it must not have met a mistake of its own."""
    server = Example(store, *script)
    try:
        yield server
    finally:
        server.kill()
    assert "Traceback" not in server.log, server.log
