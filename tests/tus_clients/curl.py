"""curl, as one types it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests import programs


@dataclass
class Answer:
    """What a server has answered; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def curl(*arguments: str, given: bytes = b"") -> Answer:
    """Run curl on `given` as its standard input; its version of the protocol is said by itself."""
    command = [programs.find("curl"), "--silent", "--show-error", "--include", "--no-location"]
    done = subprocess.run(
        [*command, "--header", "Tus-Resumable: 1.0.0", *arguments],
        input=given,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Before the answer may stand that it wants to hear more: "HTTP/1.1 100 Continue".
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    while head.split()[1].startswith("1"):
        head, _, body = body.partition("\r\n\r\n")
    first, *lines = head.splitlines()
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(int(first.split()[1]), headers, body)


def patch(url: str, offset: int, data: bytes, *headers: str) -> Answer:
    """Send `data` as the bytes of an upload from `offset` on."""
    fixed = (f"Upload-Offset: {offset}", "Content-Type: application/offset+octet-stream")
    said = [word for header in (*fixed, *headers) for word in ("--header", header)]
    return curl("--request", "PATCH", *said, "--data-binary", "@-", url, given=data)
