"""The command line in processes of its own, without its second of start: `Forking().run(…)`.

One process imports all that the executable does, and forks for each command: the child has the
arguments, descriptors and environment that a shell would give it, and ends as the executable ends.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Forking:
    """The process that forks; one command at a time. It ends with the socket, and so with us."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def run(
        self, arguments: Sequence[str], environment: dict[str, str], cwd: str, streams: list[int]
    ) -> int:
        """Run a command to its end on these three descriptors; its exit status."""
        what = json.dumps([list(arguments), environment, cwd]).encode()
        socket.send_fds(self._ours, [len(what).to_bytes(4, "big")], streams)
        self._ours.sendall(what)
        answer = self._ours.recv(4)
        assert answer, "the forking process has died"
        return int.from_bytes(answer, "big", signed=True)

    def close(self) -> None:
        self._ours.close()
        self._process.wait()


def serve(connection: socket.socket) -> None:
    from s3stream.cli import VERBS
    from s3stream.cli.main import main

    for verb in VERBS:
        __import__(f"s3stream.cli.{verb}")
    while True:
        head, streams, *_ = socket.recv_fds(connection, 4, 3)
        if not head:
            return
        what = connection.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
        child = os.fork()
        if not child:
            connection.close()
            _become(streams, *json.loads(what))
            sys.exit(main())
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        connection.sendall(code.to_bytes(4, "big", signed=True))


def _become(streams: list[int], arguments: list[str], environ: Any, cwd: str) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    sys.argv = ["s3stream", *arguments]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
