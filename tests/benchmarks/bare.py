"""The limit: parts over raw sockets, with nothing between the part's buffer and the kernel.

No signature, no checksum, no retry. It copies each byte once, into the part, because what `write`
was given belongs to the caller again when `write` returns: no honest writer does less.
"""

from __future__ import annotations

import io
import queue
import re
import socket
import ssl
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer as Buffer


class Connection:
    """One keep-alive connection that speaks just enough HTTP."""

    def __init__(self, endpoint: str, ca: str | None) -> None:
        url = urlsplit(endpoint)
        host, port = url.hostname or "", url.port or 0
        self._sock = socket.create_connection((host, port))
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if ca:
            context = ssl.create_default_context(cafile=ca)
            self._sock = context.wrap_socket(self._sock, server_hostname=host)

    def call(self, method: str, target: str, body: memoryview | bytes = b"") -> bytes:
        """Send one request and return the answer, head and body."""
        head = f"{method} {target} HTTP/1.1\r\nHost: null\r\nContent-Length: {len(body)}\r\n\r\n"
        self._sock.sendall(head.encode())
        self._sock.sendall(body)
        answer = b""
        while not (end := answer.find(b"\r\n\r\n") + 4) > 3 or len(answer) < end + length(answer):
            received = self._sock.recv(65536)
            if not received:
                raise ConnectionError(f"{method} {target}: the server closed the connection")
            answer += received
        if not answer.startswith(b"HTTP/1.1 20"):
            raise ConnectionError(f"{method} {target}: {answer!r}")
        return answer


def length(answer: bytes) -> int:
    found = re.search(rb"\r\nContent-Length: (\d+)\r\n", answer)
    return int(found[1]) if found else 0


class Line:
    """`concurrency` connections and their threads, shared by the writers of the process."""

    def __init__(self, endpoint: str, ca: str | None, part_size: int, concurrency: int) -> None:
        self._threads = ThreadPoolExecutor(concurrency)
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(concurrency):
            self._idle.put(Connection(endpoint, ca))
        # One buffer per connection and one to fill meanwhile: taking one is the backpressure.
        # Last in, first out: small objects use the same one again and never touch the others.
        self.buffers: queue.LifoQueue[bytearray] = queue.LifoQueue()
        for _ in range(concurrency + 1):
            self.buffers.put(bytearray(part_size))

    def submit(self, work: Callable[[Connection], bytes]) -> Future[bytes]:
        return self._threads.submit(self._run, work)

    def _run(self, work: Callable[[Connection], bytes]) -> bytes:
        connection = self._idle.get()
        try:
            return work(connection)
        finally:
            self._idle.put(connection)


class BareWriter(io.RawIOBase):
    """A file that is only written and closed; for small writes, `io.BufferedWriter` goes before."""

    def __init__(self, line: Line, bucket: str, key: str) -> None:
        self._line = line
        self._target = f"/{bucket}/{key}"
        self._upload = ""
        self._sent: list[Future[bytes]] = []
        self._take()

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        source = memoryview(data)
        size = len(source)
        while source:
            taken = min(len(source), len(self._view) - self._filled)
            if not taken:
                self._send_part()
                continue
            self._view[self._filled : self._filled + taken] = source[:taken]
            self._filled += taken
            source = source[taken:]
        return size

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        if not self._sent:
            self._send(self._target).result()
            return
        self._send_part(last=True)
        for sent in self._sent:
            sent.result()
        self._call("POST", f"{self._target}?uploadId={self._upload}")

    def _take(self) -> None:
        self._buffer = self._line.buffers.get()
        self._view = memoryview(self._buffer)
        self._filled = 0

    def _send_part(self, *, last: bool = False) -> None:
        if not self._upload:
            answer = self._call("POST", f"{self._target}?uploads")
            self._upload = answer.split(b"<UploadId>")[1].split(b"</UploadId>")[0].decode()
        number = len(self._sent) + 1
        target = f"{self._target}?partNumber={number}&uploadId={self._upload}"
        self._sent.append(self._send(target))
        if not last:
            self._take()

    def _send(self, target: str) -> Future[bytes]:
        buffer, body = self._buffer, self._view[: self._filled]

        def put(connection: Connection) -> bytes:
            try:
                return connection.call("PUT", target, body)
            finally:
                self._line.buffers.put(buffer)

        return self._line.submit(put)

    def _call(self, method: str, target: str) -> bytes:
        return self._line.submit(lambda connection: connection.call(method, target)).result()
