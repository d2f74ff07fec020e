"""HTTP/1.1 on a socket, and S3's operations by the look of a request; for the fault proxy."""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults import Fault

PIECE = 256 * 1024


@dataclass(eq=False)
class Exchange:
    """One request and what became of it."""

    number: int  # counts from 1 in order of arrival
    operation: str
    method: str
    path: str  # as sent, without the query
    query: dict[str, str]
    request_headers: dict[str, str]  # names in lower case
    status: int | None = None  # what the client was answered; None: nothing (yet)
    store_status: int | None = None  # what the store answered, whether the client saw it or not
    fault: Fault | None = None  # what happened to it
    finished: bool = False  # answered, or given up

    @property
    def part_number(self) -> int | None:
        value = self.query.get("partNumber")
        return int(value) if value else None

    @property
    def size(self) -> int:
        """Bytes of content, without the framing that aws-chunked puts around it."""
        headers = self.request_headers
        length = headers.get("content-length", "0")
        return int(headers.get("x-amz-decoded-content-length", length))


# Method, bucket or key, the query parameter it must have. The first row that fits counts.
_OPERATIONS = (
    ("PUT", "key", "uploadId", "UploadPart"),
    ("PUT", "key", None, "PutObject"),
    ("POST", "key", "uploads", "CreateMultipartUpload"),
    ("POST", "key", "uploadId", "CompleteMultipartUpload"),
    ("DELETE", "key", "uploadId", "AbortMultipartUpload"),
    ("DELETE", "key", None, "DeleteObject"),
    ("GET", "key", "uploadId", "ListParts"),
    ("GET", "key", None, "GetObject"),
    ("HEAD", "key", None, "HeadObject"),
    ("GET", "bucket", "uploads", "ListMultipartUploads"),
    ("GET", "bucket", "list-type", "ListObjectsV2"),
    ("POST", "bucket", "delete", "DeleteObjects"),
    ("PUT", "bucket", None, "CreateBucket"),
    ("HEAD", "bucket", None, "HeadBucket"),
    ("PATCH", "key", None, "PATCH"),  # not S3's: of a tus server, which the proxy can stand before
)
_COPIES = {"UploadPart": "UploadPartCopy", "PutObject": "CopyObject"}


def classify(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> str:
    """The S3 operation of a path-style request; "other" when it is none that we know.

    "probe" when it is about an object by which we find out whether the store heeds conditions: no
    test that counts or disturbs what is done with its own object means that one.
    """
    bucket, _, key = path.lstrip("/").partition("/")
    if key.rpartition("/")[2].startswith(".s3stream-probe-"):
        return "probe"
    level = "key" if key else "bucket" if bucket else "service"
    for its_method, its_level, parameter, operation in _OPERATIONS:
        if (method, level) == (its_method, its_level):
            if parameter is None and "" in query.values():
                return "other"  # a subresource: ?acl, ?tagging, ...
            if parameter is None or parameter in query:
                copies = "x-amz-copy-source" in headers
                return _COPIES.get(operation, operation) if copies else operation
    return "other"


class Head:
    """The first line and the headers of a message."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self.words = lines[0].decode("latin-1").split(None, 2)
        pairs = (line.decode("latin-1").partition(":") for line in lines[1:])
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}

    def raw(self, *, without: bytes = b"\0") -> bytes:
        kept = (line for line in self._lines if not line.lower().startswith(without))
        return b"".join(kept) + b"\r\n"


class Wire:
    """A socket, and the reading of HTTP messages from it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.send = sock.sendall
        self.is_last = False  # whether the connection ends with the message being read
        self._reader = sock.makefile("rb", buffering=PIECE)

    def head(self) -> Head | None:
        """The head of the next message; None at the end of the connection."""
        lines: list[bytes] = []
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            lines.append(line)
        if not line or not lines:
            return None
        head = Head(lines)
        self.is_last = head.headers.get("connection", "").lower() == "close"
        return head

    def body(self, head: Head, *, until_close: bool = False) -> Iterator[bytes]:
        """The body as it is on the wire, chunk sizes included, piece by piece."""
        if head.headers.get("transfer-encoding", "").lower() == "chunked":
            size = -1
            while size != 0:
                line = self._line()
                size = int(line.partition(b";")[0], 16)
                yield line + (self._read(size + 2) if size else b"")
            while (line := self._line()) != b"\r\n":
                yield line  # a trailer
            yield line
        elif "content-length" in head.headers:
            left = int(head.headers["content-length"])
            while left:
                piece = self._read(min(left, PIECE))
                left -= len(piece)
                yield piece
        elif until_close:
            self.is_last = True
            while piece := self._reader.read(PIECE):
                yield piece

    def _line(self) -> bytes:
        if line := self._reader.readline():
            return line
        raise ConnectionError("the connection ended within a body")

    def _read(self, size: int) -> bytes:
        piece: bytes = self._reader.read(size)
        if len(piece) == size:
            return piece
        raise ConnectionError("the connection ended within a body")

    def is_usable(self) -> bool:
        """Whether an idle connection is still open: something to read would be its end."""
        self.sock.settimeout(0)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        else:
            return False
        finally:
            self.sock.settimeout(None)

    def shut(self) -> None:
        """Wake whoever reads or writes here."""
        with contextlib.suppress(OSError):  # it is closed already
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self, *, reset: bool = False) -> None:
        with contextlib.suppress(OSError):  # the other side was faster
            if reset:  # no lingering: the kernel sends RST instead of FIN
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._reader.close()
        self.sock.close()


class HangUp(Exception):  # noqa: N818 - no error, but what a fault is there for
    """Ends a client's connection: in good order, or with a reset."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
