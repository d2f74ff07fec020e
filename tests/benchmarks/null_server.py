"""An S3 endpoint that throws every body away, so that a benchmark measures its client alone.

Run it in a process of its own: ``python -m tests.benchmarks.null_server --port 0`` prints the port
it listens on. It remembers sizes and checksums only: enough to answer HEAD, never the bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

BUFFER = 256 * 1024
CHECKSUM = "x-amz-checksum-"
CHECKSUM_ELEMENTS = {
    f"{CHECKSUM}{name.lower()}": f"Checksum{name}"
    for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
}
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Wire:
    """The receiving half of one connection: lines for the heads, `drain` for the bodies."""

    def __init__(self, sock: socket.socket, bytes_per_second: float) -> None:
        self._sock = sock
        self._pace = bytes_per_second
        # A paced client must feel the pace at once, not a whole buffer later.
        self._view = memoryview(bytearray(BUFFER // 8 if bytes_per_second else BUFFER))
        self._start = self._end = 0
        self._due = 0.0

    def line(self) -> str:
        """Return the next line without its end; EOFError when the client is gone."""
        line = b""
        while not line.endswith(b"\n"):
            if self._start == self._end:
                self._start, self._end = 0, self._receive(len(self._view))
            ahead = bytes(self._view[self._start : self._end])
            taken = ahead.find(b"\n") + 1 or len(ahead)
            line += ahead[:taken]
            self._start += taken
        return line.rstrip(b"\r\n").decode("latin-1")

    def drain(self, size: int) -> None:
        """Receive `size` bytes and forget them."""
        buffered = min(size, self._end - self._start)
        self._start += buffered
        size -= buffered
        while size:
            size -= self._receive(size)

    def drain_chunked(self) -> int:
        """Receive a body sent with ``Transfer-Encoding: chunked``; return its size."""
        total = 0
        while size := int(self.line().partition(";")[0], 16):
            self.drain(size)
            self.line()
            total += size
        while self.line():  # trailers
            pass
        return total

    def _receive(self, most: int) -> int:
        received = self._sock.recv_into(self._view, min(most, len(self._view)))
        if not received:
            raise EOFError
        if self._pace:
            now = time.monotonic()
            self._due = max(self._due, now) + received / self._pace
            time.sleep(self._due - now)
        return received


@dataclass(frozen=True)
class Request:
    """The head of a request, its target taken apart in path style."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @classmethod
    def read(cls, wire: Wire) -> Request:
        method, target, _ = wire.line().split(" ", 2)
        headers = {}
        while line := wire.line():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        # Not urlsplit of the bare target: a key that begins with "/" would make it a host name.
        url = urlsplit(f"http://null{target}")
        bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return cls(method, bucket, key, query, headers)

    @property
    def checksums(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.startswith(CHECKSUM)}


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of an answer; HEAD states a length without a body."""

    status: HTTPStatus
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self) -> bytes:
        headers = {"Content-Length": str(len(self.body)), **self.headers}
        if self.status is HTTPStatus.NO_CONTENT:
            del headers["Content-Length"]
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Stored:
    """What is remembered of a part or of an object."""

    size: int
    etag: str
    checksums: Mapping[str, str]


def xml(root: str, elements: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{elements}</{root}>'
    )
    return Answer(
        HTTPStatus.OK, {"Content-Type": "application/xml", **(headers or {})}, body.encode()
    )


def element(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def refusal(status: HTTPStatus, code: str) -> Answer:
    body = f"<Error>{element('Code', code)}{element('Message', 'the null server refuses')}</Error>"
    return Answer(status, {"Content-Type": "application/xml"}, body.encode())


class Store:
    """S3's answers, one method per kind of call. Every change is one dict operation: no lock."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Stored] = {}
        self._uploads: dict[str, dict[int, Stored]] = {}

    def answer(self, request: Request, size: int) -> Answer:
        """Answer a request whose body had `size` bytes."""
        if not request.key:
            return self._of_bucket(request)
        if "uploadId" in request.query:
            return self._of_upload(request, size)
        name = (request.bucket, request.key)
        match request.method:
            case "POST" if "uploads" in request.query:
                upload_id = uuid.uuid4().hex
                self._uploads[upload_id] = {}
                return xml(
                    "InitiateMultipartUploadResult",
                    element("Bucket", request.bucket)
                    + element("Key", request.key)
                    + element("UploadId", upload_id),
                    request.checksums,
                )
            case "PUT":
                # Not the content's MD5, which S3 itself does not promise either.
                etag = f'"{uuid.uuid4().hex}"'
                self._objects[name] = Stored(size, etag, request.checksums)
                return Answer(HTTPStatus.OK, {"ETag": etag, **request.checksums})
            case "HEAD" if stored := self._objects.get(name):
                headers = {"ETag": stored.etag, "Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"}
                headers |= stored.checksums
                return Answer(HTTPStatus.OK, {**headers, "Content-Length": str(stored.size)})
            case "HEAD":
                return Answer(HTTPStatus.NOT_FOUND)
            case "DELETE":
                self._objects.pop(name, None)
                return Answer(HTTPStatus.NO_CONTENT)
        return refusal(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented")

    def _of_bucket(self, request: Request) -> Answer:
        empty = element("Name", request.bucket) + element("IsTruncated", "false")
        match request.method:
            case "HEAD" | "PUT":
                return Answer(HTTPStatus.OK)
            case "GET" if "location" in request.query:
                return xml("LocationConstraint", "")
            case "GET" if "uploads" in request.query:
                return xml("ListMultipartUploadsResult", empty)
            case "GET":
                return xml("ListBucketResult", empty + element("KeyCount", "0"))
        return refusal(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented")

    def _of_upload(self, request: Request, size: int) -> Answer:
        upload_id = request.query["uploadId"]
        parts = self._uploads.get(upload_id)
        if parts is None:
            return refusal(HTTPStatus.NOT_FOUND, "NoSuchUpload")
        match request.method:
            case "PUT":
                number = int(request.query["partNumber"])
                etag = f'"{hashlib.md5(f"{upload_id}/{number}".encode()).hexdigest()}"'
                parts[number] = Stored(size, etag, request.checksums)
                return Answer(HTTPStatus.OK, {"ETag": etag, **request.checksums})
            case "POST":
                return self._complete(request, parts)
            case "DELETE":
                self._uploads.pop(upload_id, None)
                return Answer(HTTPStatus.NO_CONTENT)
            case "GET":
                listed = (
                    "<Part>"
                    + element("PartNumber", str(number))
                    + element("ETag", part.etag)
                    + element("Size", str(part.size))
                    + checksum_elements(part.checksums)
                    + "</Part>"
                    for number, part in sorted(parts.items())
                )
                head = element("UploadId", upload_id) + element("IsTruncated", "false")
                return xml("ListPartsResult", head + "".join(listed))
        return refusal(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented")

    def _complete(self, request: Request, parts: Mapping[int, Stored]) -> Answer:
        digests = b"".join(bytes.fromhex(part.etag.strip('"')) for _, part in sorted(parts.items()))
        etag = f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'
        total = sum(part.size for part in parts.values())
        checksums = {
            name: request.checksums[name] for name in CHECKSUM_ELEMENTS.keys() & request.checksums
        }
        proof = ""
        if checksums:
            checksums[f"{CHECKSUM}type"] = "FULL_OBJECT"
            proof = checksum_elements(checksums) + element("ChecksumType", "FULL_OBJECT")
        self._objects[request.bucket, request.key] = Stored(total, etag, checksums)
        self._uploads.pop(request.query["uploadId"], None)
        return xml(
            "CompleteMultipartUploadResult",
            element("Bucket", request.bucket)
            + element("Key", request.key)
            + element("ETag", etag)
            + proof,
        )


def checksum_elements(headers: Mapping[str, str]) -> str:
    return "".join(
        element(CHECKSUM_ELEMENTS[name], value)
        for name, value in headers.items()
        if name in CHECKSUM_ELEMENTS
    )


class Server:
    """Accepts connections for ever and serves each in a thread of its own."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        latency: float,
        bytes_per_second: float,
    ) -> None:
        self._store = Store()
        self._tls = tls
        self._latency = latency
        self._pace = bytes_per_second
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        if bytes_per_second:
            # The kernel would otherwise take megabytes ahead of the pace. Inherited by accept.
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def serve_forever(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                # In this thread: a slow handshake must not hold up the next connection.
                sock = self._tls.wrap_socket(sock, server_side=True)
            wire = Wire(sock, self._pace)
            while self._exchange(sock, wire):
                pass
        except (OSError, EOFError):
            pass  # the client has gone, which is its way of saying that it is done
        finally:
            sock.close()

    def _exchange(self, sock: socket.socket, wire: Wire) -> bool:
        """Serve one request; whether the connection stays open."""
        request = Request.read(wire)
        if request.headers.get("expect", "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in request.headers.get("transfer-encoding", "").lower():
            size = wire.drain_chunked()
        else:
            size = int(request.headers.get("content-length", 0))
            wire.drain(size)
        # With aws-chunked, chunk heads and signatures are bytes of the body but not of the object.
        size = int(request.headers.get("x-amz-decoded-content-length", size))
        if self._latency:
            time.sleep(self._latency)
        sock.sendall(self._store.answer(request, size).encode())
        return request.headers.get("connection", "").lower() != "close"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--latency", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--rate", type=float, default=0, metavar="MIB_PER_S_PER_CONNECTION")
    args = parser.parse_args()
    tls = None
    if args.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*args.tls)
    server = Server(args.port, tls=tls, latency=args.latency, bytes_per_second=args.rate * 2**20)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
