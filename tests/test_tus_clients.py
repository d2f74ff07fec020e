"""The tus server, as clients see it that others have written: tuspy, tus-js-client, curl.

All of them over real sockets, most of them through the fault proxy; what has come of it is looked
at by a client of the store's own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusUploadFailed

from tests import conftest
from tests.faults import BreakInBody, HoldInBody
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.proxy import Proxy
from tests.tus import Client, below, process, serving
from tests.tus_clients.curl import curl, patch
from tests.tus_clients.node import NodeUpload, install, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Server

MIB = 1 << 20
# `tox -e long` sends chunks of 64 MiB.
LARGE = int(os.environ.get("S3STREAM_TEST_TUS_CHUNK_MIB", "6")) * MIB
# A client's chunks and its file: bytes, less than a part, parts and more than one at once.
CHUNKS = [(1, 7), (700_001, 2 * MIB), (LARGE, 2 * LARGE + 123_457)]
STORES = ("seaweedfs", "ceph")
PREFIX = "tus-clients"
PATIENCE = 300.0  # seconds: with clients that wait for tests on a slow machine


@pytest.fixture(scope="module", params=[name for name in conftest.asked_stores() if name in STORES])
def store(request: pytest.FixtureRequest, server_named: Callable[[str], Server]) -> Server:
    """Each of those that the tus server is promised for."""
    return server_named(request.param)


@pytest.fixture(scope="module")
def server(store: Server, bucket: str) -> Iterator[Client]:
    with serving(store, bucket, PREFIX, silence=PATIENCE) as server:
        yield server


@pytest.fixture
def before(server: Client) -> Iterator[Proxy]:
    """A fault proxy that clients meet before the server."""
    with Proxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def endpoint(before: Proxy) -> str:
    """Where clients make uploads."""
    return f"{before.url}/files"


@pytest.fixture(scope="session")
def modules(pytestconfig: pytest.Config) -> Path:
    """The folder with tus-js-client in it."""
    return install(pytestconfig.cache.mkdir("tus-js-client"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of 13 MiB: two parts, and what is too short for one."""
    path = tmp_path / "film.mp4"
    path.write_bytes(bytes_of(13 * MIB))
    return path


def check(store: Server, bucket: str, url: str, data: bytes) -> None:
    """The object of an upload is there, and nothing unfinished beside it."""
    assert content(store, bucket, key_of(url)) == data
    assert uploads(store, bucket, key_of(url)) == []


def made(endpoint: str, length: int) -> str:
    """The URL of an upload that is made for the clients."""
    return urljoin(endpoint, Client(endpoint).create(length))


def wait_until(true: Callable[[], bool]) -> None:
    """Ask again and again."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_locked(store: Server, bucket: str, url: str) -> bool:
    """Whether a server is at work on an upload."""
    return f".s3stream-tus/uploads/{name_of(url)}.lock" in below(store, bucket, PREFIX)


def key_of(url: str) -> str:
    """The key of an upload's object."""
    return f"{PREFIX}/{name_of(url)}"


def name_of(url: str) -> str:
    """What an upload is called at the store, which does not tell the id that gives the right."""
    return hashlib.sha256(url.rpartition("/")[2].encode()).hexdigest()


def resumed_at(before: Proxy) -> int:
    """Where the last PATCH has begun, after the one that the proxy has broken off."""
    ((_, broken),) = before.injected
    last = before.of("PATCH")[-1]
    assert (broken.status, last.status) == (None, 204)
    return int(last.request_headers["upload-offset"])


# -- tuspy


def test_tuspy_sends_a_file_and_what_it_is(
    store: Server, bucket: str, endpoint: str, before: Proxy
) -> None:
    data = bytes_of(13 * MIB)
    uploader = TusClient(endpoint).uploader(
        file_stream=io.BytesIO(data),
        metadata={"filename": "Grüße.txt", "filetype": "text/plain", "author": "me"},
        upload_checksum=True,
    )
    uploader.upload()

    check(store, bucket, str(uploader.url), data)
    head = store.client().head_object(Bucket=bucket, Key=key_of(str(uploader.url)))
    assert head["ContentType"] == "text/plain"
    assert head["ContentDisposition"] == "attachment; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt"
    assert head["Metadata"]["author"] == "me"
    (sent,) = before.of("PATCH")
    assert sent.request_headers["upload-checksum"].startswith("sha1 ")


@pytest.mark.parametrize(("chunk", "size"), CHUNKS)
def test_tuspy_sends_chunks(
    chunk: int, size: int, store: Server, bucket: str, endpoint: str, before: Proxy
) -> None:
    data = bytes_of(size)
    uploader = TusClient(endpoint).uploader(file_stream=io.BytesIO(data), chunk_size=chunk)
    uploader.upload()

    check(store, bucket, str(uploader.url), data)
    sizes = [sent.size for sent in before.of("PATCH")]
    assert sizes == [chunk] * (size // chunk) + ([size % chunk] if size % chunk else [])


def test_tuspy_goes_on_with_what_was_broken_off(
    store: Server, bucket: str, endpoint: str, before: Proxy
) -> None:
    before.inject("PATCH", BreakInBody(after=8 * MIB))
    data, client = bytes_of(13 * MIB), TusClient(endpoint)
    first = client.uploader(file_stream=io.BytesIO(data))
    with pytest.raises(TusUploadFailed):
        first.upload()
    # It is refused as long as the server has not yet put down what came before.
    again = client.uploader(file_stream=io.BytesIO(data), url=first.url, retries=60, retry_delay=1)
    again.upload()

    check(store, bucket, str(again.url), data)
    # All that the server was given; what it had not yet read of its connection may be lost.
    assert resumed_at(before) >= 7 * MIB


# -- tus-js-client under Node


def test_tus_js_client_sends_a_file_and_what_it_is(
    store: Server, bucket: str, endpoint: str, modules: Path, file: Path
) -> None:
    done = upload(
        modules,
        path=file,
        endpoint=endpoint,
        metadata={"filename": "film.mp4", "filetype": "video/mp4", "author": "me"},
    )

    assert done.ended == "success"
    assert done.answers == [("POST", 201), ("PATCH", 204)]
    check(store, bucket, done.url, file.read_bytes())
    head = store.client().head_object(Bucket=bucket, Key=key_of(done.url))
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"] == {"filename": "film.mp4", "author": "me"}


@pytest.mark.parametrize(("chunk", "size"), CHUNKS)
def test_tus_js_client_sends_chunks(
    chunk: int,
    size: int,
    store: Server,
    bucket: str,
    endpoint: str,
    modules: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "chunked"
    path.write_bytes(bytes_of(size))
    done = upload(modules, path=path, endpoint=endpoint, chunkSize=chunk)

    assert done.ended == "success"
    assert done.accepted == [*range(chunk, size, chunk), size]
    check(store, bucket, done.url, path.read_bytes())


def test_tus_js_client_sends_bytes_with_the_creation(
    store: Server, bucket: str, endpoint: str, modules: Path, file: Path
) -> None:
    done = upload(
        modules, path=file, endpoint=endpoint, uploadDataDuringCreation=True, chunkSize=6 * MIB
    )

    assert done.ended == "success"
    assert done.answers == [("POST", 201), ("PATCH", 204), ("PATCH", 204)]
    check(store, bucket, done.url, file.read_bytes())


def test_tus_js_client_goes_on_by_itself_when_its_connection_breaks(
    store: Server, bucket: str, endpoint: str, before: Proxy, modules: Path, file: Path
) -> None:
    before.inject("PATCH", BreakInBody(after=8 * MIB))
    done = upload(modules, path=file, endpoint=endpoint)

    assert done.ended == "success"
    check(store, bucket, done.url, file.read_bytes())
    assert resumed_at(before) >= 7 * MIB
    assert before.count("PATCH") >= 2


def test_tus_js_client_stops_and_another_process_goes_on(
    store: Server, bucket: str, endpoint: str, modules: Path, file: Path
) -> None:
    stopped = upload(modules, path=file, endpoint=endpoint, chunkSize=MIB, stopAt=2 * MIB)
    assert (stopped.ended, stopped.accepted) == ("stopped", [MIB, 2 * MIB])
    assert Client(endpoint).offset(stopped.url) >= 2 * MIB

    done = upload(modules, path=file, endpoint=endpoint, uploadUrl=stopped.url)
    assert (done.ended, done.url) == ("success", stopped.url)
    assert ("POST", 201) not in done.answers
    check(store, bucket, done.url, file.read_bytes())


@pytest.mark.parametrize("broken", [0, 2])
def test_tus_js_client_sends_pieces_at_once(
    broken: int,
    store: Server,
    bucket: str,
    endpoint: str,
    before: Proxy,
    modules: Path,
    file: Path,
) -> None:
    before.inject("PATCH", BreakInBody(after=2 * MIB), times=broken)
    done = upload(
        modules, path=file, endpoint=endpoint, parallelUploads=3, metadata={"filetype": "a/b"}
    )

    assert (done.ended, len(before.injected)) == ("success", broken)
    assert done.answers.count(("POST", 201)) == 4
    assert done.answers.count(("PATCH", 204)) == 3
    check(store, bucket, done.url, file.read_bytes())
    head = store.client().head_object(Bucket=bucket, Key=key_of(done.url))
    assert head["ContentType"] == "a/b"


@pytest.mark.parametrize(("broken", "sent_before"), [(0, 0), (1, 0), (1, 2)])
def test_tus_js_client_sends_a_stream_whose_length_nobody_knows(
    broken: int,
    sent_before: int,
    store: Server,
    bucket: str,
    endpoint: str,
    before: Proxy,
    modules: Path,
    file: Path,
) -> None:
    # The third chunk is the last one, and the first to say how long the upload is.
    before.inject("PATCH", BreakInBody(after=MIB), times=broken, skip=sent_before)
    done = upload(
        modules,
        path=file,
        endpoint=endpoint,
        stream=True,
        uploadLengthDeferred=True,
        chunkSize=5_000_000,
    )

    assert (done.ended, len(before.injected)) == ("success", broken)
    assert before.log[0].request_headers["upload-defer-length"] == "1"
    check(store, bucket, done.url, file.read_bytes())


def test_tus_js_client_has_an_upload_removed(
    store: Server, bucket: str, endpoint: str, modules: Path, file: Path
) -> None:
    done = upload(
        modules, path=file, endpoint=endpoint, chunkSize=6 * MIB, stopAt=6 * MIB, terminate=True
    )

    assert done.ended == "stopped"
    assert done.answers[-1] == ("DELETE", 204)
    assert_nothing(store, bucket, key_of(done.url))
    assert Client(endpoint).head(done.url).status == 404


def test_tus_js_client_begins_anew_when_an_upload_has_expired(
    store: Server, bucket: str, endpoint: str, modules: Path, file: Path
) -> None:
    with serving(store, bucket, PREFIX, expires=timedelta(microseconds=1)) as hasty:
        expired = hasty.create(13 * MIB)
    there = urljoin(endpoint, expired)
    assert Client(endpoint).head(there).status == 410

    done = upload(modules, path=file, endpoint=endpoint, uploadUrl=there)
    assert (done.ended, done.answers[0]) == ("success", ("HEAD", 410))
    assert done.url != there
    check(store, bucket, done.url, file.read_bytes())


# -- several clients, several servers


def test_two_clients_race_for_one_upload_at_two_servers(
    store: Server, bucket: str, endpoint: str, before: Proxy, modules: Path, file: Path
) -> None:
    before.inject("PATCH", hold := HoldInBody(after=8 * MIB))
    url = made(endpoint, 13 * MIB)
    with (
        serving(store, bucket, PREFIX, silence=PATIENCE) as other,
        Proxy(other.url) as before_other,
        NodeUpload(modules, path=file, uploadUrl=url) as first,
    ):
        wait_until(lambda: is_locked(store, bucket, url))
        there = url.replace(before.url, before_other.url)
        with NodeUpload(modules, path=file, uploadUrl=there) as second:
            before_other.wait_for("PATCH", finished=True, timeout=100)
            assert before_other.of("PATCH")[0].status == 423
            hold.release()
            winner, loser = first.end(), second.end()
    assert winner.ended == loser.ended == "success"
    assert winner.answers == [("HEAD", 200), ("PATCH", 204)]
    assert ("PATCH", 204) not in loser.answers
    check(store, bucket, url, file.read_bytes())


def test_a_server_is_killed_within_a_request_and_another_takes_over(
    store: Server, bucket: str, server: Client, modules: Path, file: Path
) -> None:
    with process(store, bucket, PREFIX) as victim, Proxy(victim.client.url) as before:
        before.inject("PATCH", hold := HoldInBody(after=3 * MIB), skip=1)
        url = made(f"{before.url}/files", 13 * MIB)
        with NodeUpload(modules, path=file, uploadUrl=url, chunkSize=6 * MIB) as running:
            before.wait_for("PATCH", 2, timeout=100)
            wait_until(lambda: is_locked(store, bucket, url))
            victim.end(signal.SIGKILL)
            before.turn_to(server.url)
            hold.release()
            done = running.end()
        assert done.ended == "success"
        (_, killed, *others) = before.of("PATCH")
        assert (killed.fault, killed.status) == (hold, None)
        resumed = next(sent for sent in others if sent.status == 204)
        assert int(resumed.request_headers["upload-offset"]) >= 6 * MIB
    check(store, bucket, url, file.read_bytes())


# -- by hand


def test_an_upload_by_hand(store: Server, bucket: str, endpoint: str) -> None:
    data = bytes_of(6 * MIB + 5)
    url = made(endpoint, len(data))
    nothing = curl("--head", url)
    assert (nothing.status, nothing.headers["upload-offset"]) == (200, "0")
    assert nothing.headers["upload-length"] == str(len(data))

    # Of more than a mebibyte curl asks first whether it may come.
    assert patch(url, 0, data[: 2 * MIB]).headers["upload-offset"] == str(2 * MIB)
    assert patch(url, MIB, data[MIB:]).status == 409

    digest = base64.b64encode(hashlib.sha256(data[2 * MIB :]).digest()).decode()
    changed = data[2 * MIB : -1] + bytes([data[-1] ^ 1])
    assert patch(url, 2 * MIB, changed, f"Upload-Checksum: sha256 {digest}").status == 460
    assert curl("--head", url).headers["upload-offset"] == str(2 * MIB)
    assert not exists(store, bucket, key_of(url))

    assert patch(url, 2 * MIB, data[2 * MIB :], f"Upload-Checksum: sha256 {digest}").status == 204
    assert curl("--head", url).headers["upload-offset"] == str(len(data))
    check(store, bucket, url, data)

    assert curl("--request", "DELETE", url).status == 204
    assert curl("--head", url).status == 404
    assert_nothing(store, bucket, key_of(url))


def test_bytes_of_unknown_number_by_hand(store: Server, bucket: str, endpoint: str) -> None:
    data = bytes_of(3 * MIB)
    answer = curl("--request", "POST", "--header", "Upload-Defer-Length: 1", endpoint)
    url = urljoin(endpoint, answer.headers["location"])
    # Neither the upload's length nor this request's is said.
    assert patch(url, 0, data[:MIB], "Transfer-Encoding: chunked").status == 204
    assert curl("--head", url).headers["upload-defer-length"] == "1"
    assert not exists(store, bucket, key_of(url))

    assert patch(url, MIB, data[MIB:], f"Upload-Length: {len(data)}").status == 204
    check(store, bucket, url, data)
