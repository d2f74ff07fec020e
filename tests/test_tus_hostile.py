"""Requests to the tus server that mean no good, or are none: a status, a sentence, no bytes."""

from __future__ import annotations

import base64
import socket
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from s3stream import UsageError
from s3stream.tus import application
from tests.looking import content
from tests.tus import (
    OCTETS,
    Client,
    Running,
    Watch,
    below,
    finished,
    metadata_header,
    options_for,
    running,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server

NOBODY = "/files/" + "0" * 32


@pytest.fixture
def client(seaweedfs: Server, bucket: str, key: str) -> Iterator[Client]:
    with serving(seaweedfs, bucket, key, max_size=1000) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "url", "headers", "status"),
    [
        ("POST", "/files", {"Tus-Resumable": ""}, 412),
        ("POST", "/files", {"Tus-Resumable": "0.2.2", "Upload-Length": "1"}, 412),
        ("HEAD", NOBODY, {"Tus-Resumable": ""}, 412),
        ("POST", "/files", {}, 400),
        ("POST", "/files/", {}, 400),
        ("POST", "/files", {"Upload-Length": "1001"}, 413),
        ("POST", "/files", {"Upload-Length": "1e3"}, 400),
        ("POST", "/files", {"Upload-Length": "1", "Upload-Metadata": "a ?"}, 400),
        ("GET", "/files", {}, 405),
        ("PUT", NOBODY, {}, 405),
        ("GET", NOBODY, {}, 405),
        ("HEAD", NOBODY, {}, 404),
        ("DELETE", NOBODY, {}, 404),
        ("PATCH", NOBODY, {**OCTETS, "Upload-Offset": "0"}, 404),
        ("PATCH", NOBODY, {"Upload-Offset": "0"}, 415),
        ("HEAD", "/files/..%2f..%2fsecret", {}, 404),
        ("DELETE", "/files/%2e%2e", {}, 404),
        ("DELETE", NOBODY.upper(), {}, 404),
        ("DELETE", f"{NOBODY}/", {}, 404),
        ("POST", "/", {"Upload-Length": "1"}, 404),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    seaweedfs: Server,
    bucket: str,
    key: str,
    client: Client,
    method: str,
    url: str,
    headers: dict[str, str],
    status: int,
) -> None:
    reply = client.request(method, url, b"", headers)
    assert reply.status == status, reply
    assert "location" not in reply.headers
    if method != "HEAD":
        assert reply.sentence.strip()
    if status == 405:
        assert "POST" in reply.headers["allow"] or "PATCH" in reply.headers["allow"]
    assert below(seaweedfs, bucket, key) == {}


def test_line_breaks_of_a_client_reach_no_header(
    seaweedfs: Server, bucket: str, key: str, client: Client
) -> None:
    for name, value in (
        ("filetype", "text/html\r\nx-amz-acl: public-read"),
        ("s3stream-writer", "x"),
        ("a\tb", "x"),
    ):
        said = f"{name} {base64.b64encode(value.encode()).decode()}"
        reply = client.request("POST", Upload_Length="1", Upload_Metadata=said)
        assert reply.status == 400, (name, reply)
        assert "\r" not in reply.sentence
    metadata = {"filename": 'x"\r\nSet-Cookie: a=b', "note": "\r\nx-amz-acl: public-read"}
    url = client.create(1, metadata)
    assert client.patch(url, 0, b"x").status == 204
    assert client.head(url).headers["upload-metadata"] == metadata_header(metadata)
    (name,) = finished(seaweedfs, bucket, key)
    head = seaweedfs.client().head_object(Bucket=bucket, Key=name)
    assert head["ContentDisposition"].startswith("attachment; filename*=UTF-8''x%22%0D%0A")
    assert set(head["Metadata"]) == {"filename", "note"}
    assert all("\n" not in value for value in head["Metadata"].values())


def test_names_of_clients_lead_nowhere_else(seaweedfs: Server, bucket: str, key: str) -> None:
    def naming(upload):  # type: ignore[no-untyped-def]  # as people write them
        return upload.metadata["filename"]

    with serving(seaweedfs, bucket, key, naming=naming) as client:
        for name in ("../x", "/x", "", "a//b", ".s3stream-tus/uploads/x", "o/.s3stream-tus/x"):
            reply = client.request(
                "POST", Upload_Length="1", Upload_Metadata=metadata_header({"filename": name})
            )
            assert reply.status == 400, name
            assert "makes no key" in reply.sentence
        long = metadata_header({"filename": "x" * 250})
        assert client.request("POST", Upload_Length="1", Upload_Metadata=long).status == 201
    deep = "d/" * 500
    with serving(seaweedfs, bucket, key, naming=lambda upload: f"{deep}{upload.name}") as client:
        reply = client.request("POST", Upload_Length="1")
        assert (reply.status, reply.sentence) == (400, "the file's name is too long for a key\n")
    assert len(below(seaweedfs, bucket, key)) == 1


def test_a_header_that_is_there_twice_is_refused(
    seaweedfs: Server, bucket: str, key: str, client: Client
) -> None:
    half = client.half("", 0, 0, b"", method="POST", Content_Length="0\r\nUpload-Length: 5")
    assert half.reply().status == 201
    twice = "0\r\nUpload-Length: 5\r\nUpload-Length: 7"
    reply = client.half("", 0, 0, b"", method="POST", Content_Length=twice).reply()
    assert (reply.status, reply.sentence) == (
        400,
        "Upload-Length: it is there twice, and only one could count\n",
    )
    assert len(below(seaweedfs, bucket, key)) == 1


@pytest.mark.parametrize("offset", [11, 10**18 - 1])
def test_who_begins_behind_the_end_is_told_where_to_begin(client: Client, offset: int) -> None:
    url = client.create(10)
    assert client.patch(url, 0, b"0123").offset == 4
    reply = client.patch(url, offset, b"x")
    assert (reply.status, reply.offset) == (409, 4)
    assert client.patch(url, 4, b"456789").offset == 10
    reply = client.patch(url, offset, b"x")
    assert (reply.status, reply.offset) == (409, 10)


def test_an_upload_may_count_for_a_hundred_years(seaweedfs: Server, bucket: str, key: str) -> None:
    with serving(seaweedfs, bucket, key, expires=timedelta(days=36_525)) as client:
        reply = client.request("POST", Upload_Length="3")
        assert (reply.status, reply.headers["upload-expires"][-4:]) == (201, " GMT")


def test_headers_have_an_end(seaweedfs: Server, bucket: str, key: str, client: Client) -> None:
    parts = urlsplit(client.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 60) as sock:
        sock.sendall(b"POST /files HTTP/1.1\r\nHost: x\r\nUpload-Metadata: a ")
        # It is refused before all of it has come; then nobody listens any more.
        try:
            for _ in range(64):
                sock.sendall(b"A" * 16384)
            answer = sock.recv(1000)
        except ConnectionError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 4")
    assert client.request("OPTIONS").status == 204
    assert below(seaweedfs, bucket, key) == {}


def test_requests_at_work_are_bounded(seaweedfs: Server, bucket: str, key: str) -> None:
    with running(seaweedfs, bucket, key, max_requests=1) as server:
        client = server.start()
        url = client.create(10)
        half = client.half(url, 0, 10)
        half.send(b"01234")
        server.watch.wait_until(lambda watch: watch.given[-1:] > [0])
        reply = client.request("POST", Upload_Length="1")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        reply = client.head(url)
        assert (reply.status, reply.headers["retry-after"]) == (423, "1")
        half.send(b"56789")
        assert half.reply().status == 204
        server.watch.wait_until(lambda watch: watch.ended == 3)
        assert client.offset(url) == 10


def test_pages_of_other_origins_may_upload_where_they_are_allowed_to(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    origin = "https://app.example"
    asking = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "tus-resumable,upload-offset,content-type,authorization",
        "Tus-Resumable": "",
    }
    with serving(seaweedfs, bucket, key) as client:
        assert (
            "access-control-allow-origin" not in client.request("OPTIONS", headers=asking).headers
        )
    with serving(seaweedfs, bucket, key, cors=[origin]) as client:
        reply = client.request("OPTIONS", NOBODY, headers=asking)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == origin
        assert "PATCH" in reply.headers["access-control-allow-methods"]
        assert "authorization" in reply.headers["access-control-allow-headers"].lower()
        reply = client.request("POST", headers={"Origin": origin, "Upload-Length": "1"})
        assert reply.status == 201
        exposed = reply.headers["access-control-expose-headers"]
        assert {"Location", "Upload-Offset", "Tus-Resumable"} <= set(exposed.split(", "))
        refused = client.request("HEAD", NOBODY, headers={"Origin": origin})
        assert refused.headers["access-control-allow-origin"] == origin
        other = {**asking, "Origin": "https://evil.example"}
        assert client.request("OPTIONS", NOBODY, headers=other).status == 400


def test_what_the_server_was_given_wins_over_what_a_client_says(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    given = {"ContentType": "application/x-ours", "Metadata": {"note": "ours"}}
    with serving(seaweedfs, bucket, key, **given) as client:
        url = client.create(1, {"filetype": "text/html", "note": "theirs", "more": "theirs"})
        client.send(url, b"x", 1)
    (name,) = finished(seaweedfs, bucket, key)
    head = seaweedfs.client().head_object(Bucket=bucket, Key=name)
    assert head["ContentType"] == "application/x-ours"
    assert head["Metadata"] == {"note": "ours", "more": "theirs"}


def test_an_object_that_is_there_is_not_replaced_where_that_is_asked_for(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    with serving(
        seaweedfs, bucket, key, naming=lambda upload: "same.txt", if_none_match="*"
    ) as client:
        first, second = client.create(1), client.create(1)
        assert client.patch(first, 0, b"1").status == 204
        reply = client.patch(second, 0, b"2")
        assert reply.status == 403
        assert "is not to be replaced" in reply.sentence
    assert content(seaweedfs, bucket, f"{key}/same.txt") == b"1"


def test_it_can_be_mounted_and_answers_with_urls_of_its_own(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    inner = application(bucket, prefix=f"{key}/", **options_for(seaweedfs))
    app = Starlette(routes=[Mount("/api/files", inner)])
    app.state.stop = inner.state.stop
    server = Running(app, Watch())
    try:
        client = Client(f"{server.start().url.removesuffix('/files')}/api/files/")
        reply = client.request("POST", Upload_Length="3", Host="evil.example")
        url = reply.headers["location"]
        assert url.startswith("/api/files/")
        assert "evil" not in str(reply)
        client.send(url, b"abc", 2)
        assert client.offset(url) == 3
        assert client.request("POST", "/api/files/x/", Host="evil.example").status == 404
    finally:
        server.join()
    assert [content(seaweedfs, bucket, name) for name in finished(seaweedfs, bucket, key)] == [
        b"abc"
    ]


def test_options_that_cannot_be(seaweedfs: Server, bucket: str) -> None:
    for wrong, said in (
        ({"prefix": "in"}, "prefix='in'"),
        ({"path": "files"}, "path='files'"),
        ({"path": "/{files}"}, "path='/{files}'"),
        ({"max_size": 0}, "max_size=0"),
        ({"max_requests": 0}, "max_requests=0: expected 1 or more"),
        ({"silence": 0}, "silence=0"),
        ({"expires": timedelta(-1)}, "expires="),
        ({"expires": timedelta(days=36_526)}, "at most a hundred years"),
        ({"sweep_every": timedelta(0)}, "sweep_every="),
        ({"sweep_every": timedelta.max}, "at most a hundred years"),
        # Of a string each letter would be one.
        ({"cors": "https://*.app.example"}, "expected a list of origins"),
        ({"cors": ["https://*.app.example"]}, "expected an origin"),
        ({"cors": ["https://app.example/"]}, "expected an origin"),
        ({"cors": ["app.example"]}, "expected an origin"),
        ({"part_size": 1}, "part_size=1"),
        ({"ContentTyp": "x"}, "did you mean ContentType"),
        ({"no_such": 1}, "no_such"),
    ):
        with pytest.raises(UsageError, match=said):
            application(bucket, **{**options_for(seaweedfs), **wrong})
