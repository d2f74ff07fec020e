"""A tus client of the plainest kind, and tus servers to ask: in this process, or of their own."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import uvicorn

from s3stream.tus import application
from s3stream.tus.record import name_of
from tests.looking import content
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from tests.servers import Server

VERSION = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}
SECONDS = 120.0  # before a test says that something does not come


@dataclass(frozen=True)
class Reply:
    """What a server has answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def sentence(self) -> str:
        return self.body.decode()

    @property
    def offset(self) -> int:
        return int(self.headers["upload-offset"])


class Half:
    """A PATCH of which the head has been sent, and the body is to come."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def reset(self) -> None:
        """The connection dies: the server hears of it by a reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def hang_up(self) -> None:
        """The client goes, in good order."""
        self._sock.close()

    def reply(self) -> Reply:
        answer = http.client.HTTPResponse(self._sock)
        try:
            answer.begin()
            return _reply(answer)
        finally:
            self._sock.close()


class Client:
    """Talks to the uploads at `url`; `urls` of uploads may be relative to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seconds = SECONDS

    def request(
        self,
        method: str,
        url: str = "",
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        **more: str,
    ) -> Reply:
        """Any request; names of headers may have an underscore for each hyphen. "" sends none."""
        parts = urlsplit(urljoin(self.url, url))
        connection = http.client.HTTPConnection(parts.netloc, timeout=self.seconds)
        try:
            said = {**VERSION, **(headers or {}), **_hyphened(more)}
            said = {name: value for name, value in said.items() if value}
            connection.request(method, parts.path, body or None, said)
            return _reply(connection.getresponse())
        finally:
            connection.close()

    def create(
        self, length: int | None = None, metadata: dict[str, str] | None = None, **headers: str
    ) -> str:
        """Make an upload, of a length to be said later where None; its URL."""
        said = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
        if metadata is not None:
            said["Upload-Metadata"] = metadata_header(metadata)
        reply = self.request("POST", headers={**said, **_hyphened(headers)})
        assert reply.status == 201, reply
        return reply.headers["location"]

    def join(self, urls: list[str], **headers: str) -> Reply:
        """Make an upload of others."""
        said = {"Upload-Concat": f"final;{' '.join(urls)}"}
        return self.request("POST", headers={**said, **_hyphened(headers)})

    def patch(self, url: str, offset: int, data: bytes, **headers: str) -> Reply:
        said = {**OCTETS, "Upload-Offset": str(offset), "Content-Length": str(len(data))}
        return self.request("PATCH", url, data, {**said, **_hyphened(headers)})

    def head(self, url: str) -> Reply:
        return self.request("HEAD", url)

    def offset(self, url: str) -> int:
        reply = self.head(url)
        assert reply.status == 200, reply
        return reply.offset

    def delete(self, url: str) -> Reply:
        return self.request("DELETE", url)

    def send(self, url: str, data: bytes, step: int, at: int = 0) -> None:
        """Send the rest of `data` in pieces of `step` bytes."""
        while at < len(data):
            reply = self.patch(url, at, data[at : at + step])
            assert reply.status == 204, reply
            at = reply.offset

    def half(
        self,
        url: str,
        offset: int,
        size: int,
        first: bytes = b"",
        method: str = "PATCH",
        **headers: str,
    ) -> Half:
        """Begin to send `size` bytes, the `first` of them together with the head."""
        parts = urlsplit(urljoin(self.url, url))
        said = {
            "Host": parts.netloc,
            **VERSION,
            **OCTETS,
            "Upload-Offset": str(offset),
            "Content-Length": str(size),
            **_hyphened(headers),
        }
        sock = socket.create_connection((parts.hostname or "", parts.port or 80), self.seconds)
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items() if value)
        sock.sendall(f"{method} {parts.path} HTTP/1.1\r\n{lines}\r\n".encode() + first)
        return Half(sock)


def _hyphened(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _reply(answer: http.client.HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, headers, answer.read())


def metadata_header(metadata: dict[str, str]) -> str:
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items()
    )


def checksum_of(data: bytes, algorithm: str = "sha1") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, data).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


@dataclass
class Watch:
    """What an application was really given: bytes of each PATCH and POST, in order of arrival."""

    given: list[int] = field(default_factory=list)
    ended: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_until(self, ready: Callable[[Watch], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: ready(self), SECONDS), self

    def around(self, app: Any) -> Any:
        async def watched(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["method"] not in {"PATCH", "POST"}:
                await app(scope, receive, send)
                return
            with self.changed:
                number = len(self.given)
                self.given.append(0)

            async def counted() -> Any:
                message = await receive()
                with self.changed:
                    self.given[number] += len(message.get("body", b""))
                    self.changed.notify_all()
                return message

            try:
                await app(scope, counted, send)
            finally:
                with self.changed:
                    self.ended += 1
                    self.changed.notify_all()

        return watched


class Running(uvicorn.Server):
    """A server on a thread of this process; `stop` ends it as SIGTERM does."""

    def __init__(self, app: Any, watch: Watch) -> None:
        config = uvicorn.Config(
            watch.around(app),
            port=0,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            timeout_graceful_shutdown=30,
        )
        super().__init__(config)
        self.watch = watch
        self._app = app
        self._up = threading.Event()
        self._thread = threading.Thread(target=self.run)

    def start(self) -> Client:
        self._thread.start()
        assert self._up.wait(SECONDS)
        assert self.started, "it did not come up"
        port = self.servers[0].sockets[0].getsockname()[1]
        return Client(f"http://127.0.0.1:{port}/files")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self._up.set()

    def stop(self) -> None:
        self._app.state.stop()
        self.should_exit = True

    def join(self) -> None:
        self.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


def options_for(store: Server) -> dict[str, Any]:
    """What a server at this store is made with; without locks where it can have none."""
    return {**store.storage_options(), **({} if has_locks(store) else {"lock": False})}


def has_locks(store: Server) -> bool:
    return not {"if-match-put", "if-none-match-put"} & CANNOT[store.name]


@contextmanager
def running(store: Server, bucket: str, prefix: str, **options: Any) -> Iterator[Running]:
    """A server in this process, whose everything lies below `prefix`/."""
    app = application(
        bucket,
        prefix=f"{prefix}/",
        path="/files",
        # A lease that does not run out however slow this machine is.
        **{**options_for(store), "lease": 60.0, **options},
    )
    server = Running(app, Watch())
    try:
        yield server
    finally:
        server.join()


@contextmanager
def serving(store: Server, bucket: str, prefix: str, **options: Any) -> Iterator[Client]:
    """A client of such a server."""
    with running(store, bucket, prefix, **options) as server:
        yield server.start()


class Process:
    """A server in a process of its own; `command` prints one line of JSON, with its `url`."""

    def __init__(self, command: list[str], store: Server, stdin: int | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            env=self.environment(store),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.client = Client(json.loads(line)["url"])

    @staticmethod
    def environment(store: Server) -> dict[str, str]:
        return {
            **os.environ,
            "AWS_ENDPOINT_URL_S3": store.endpoint_url,
            "AWS_ACCESS_KEY_ID": store.access_key,
            "AWS_SECRET_ACCESS_KEY": store.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def ask(self) -> int:
        """Send it an empty line; the number that it prints."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self, number: int) -> tuple[int, str]:
        """Send it a signal, and wait; its exit code, and what it said on stderr."""
        self.process.send_signal(number)
        err = self.process.communicate(timeout=SECONDS)[1]
        return self.process.returncode, err


EXECUTABLE = [sys.executable, "-m", "s3stream"]


@contextmanager
def process(store: Server, bucket: str, prefix: str, *more: str) -> Iterator[Process]:
    """`s3stream tus serve`, killed at the end if it is still there."""
    place = ["--bucket", bucket, "--prefix", f"{prefix}/", "--port", "0", "--json"]
    server = Process([*EXECUTABLE, "tus", "serve", *place, *more], store)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def below(store: Server, bucket: str, prefix: str) -> dict[str, int]:
    """The objects below a server's prefix, without it: names and sizes."""
    listed = store.client().list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return {entry["Key"].removeprefix(f"{prefix}/"): entry["Size"] for entry in listed}


def finished(store: Server, bucket: str, prefix: str) -> list[str]:
    """The whole keys of the objects that are there for others."""
    names = below(store, bucket, prefix)
    return [f"{prefix}/{name}" for name in names if not name.startswith(".s3stream-tus/")]


def age(store: Server, bucket: str, prefix: str, url: str) -> None:
    """Let the time of an upload have run out."""
    key = f"{prefix}/.s3stream-tus/uploads/{name_of(url.rpartition('/')[2])}.record"
    record = json.loads(content(store, bucket, key))
    aged = json.dumps({**record, "expires": 1.0}).encode()
    store.client().put_object(Bucket=bucket, Key=key, Body=aged)


def uploads_below(store: Server, bucket: str, prefix: str) -> list[str]:
    """The keys of the unfinished multipart uploads below a server's prefix."""
    client = store.client()
    try:
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}/").get("Uploads", [])
    except client.exceptions.NoSuchUpload:
        return []  # so says rclone of a bucket that has never had an upload
    return [upload["Key"] for upload in found]


def assert_only_records(store: Server, bucket: str, prefix: str) -> None:
    """Beside what is finished nothing is left but the records: no lock, no tail, no upload."""
    names = [name for name in below(store, bucket, prefix) if name.startswith(".s3stream-tus/")]
    others = [name for name in names if not name.endswith(".record")]
    assert not others, others
    assert not uploads_below(store, bucket, prefix)
