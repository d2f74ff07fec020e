"""The tus server over real sockets, on every store: what the protocol promises to its clients."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from s3stream.tus import Refused, Upload
from tests.looking import bytes_of, content
from tests.servers import CANNOT
from tests.tus import (
    OCTETS,
    Client,
    assert_only_records,
    below,
    checksum_of,
    finished,
    has_locks,
    running,
    serving,
    uploads_below,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server

PART = 5 << 20
DATA = bytes_of(2 * PART + 12_345)
BIGGEST = int(os.environ.get("S3STREAM_TEST_TUS_CHUNK_MIB", "8")) << 20


@pytest.fixture
def client(store: Server, bucket: str, key: str) -> Iterator[Client]:
    with serving(store, bucket, key) as client:
        yield client


def the_object(store: Server, bucket: str, prefix: str) -> bytes:
    (key,) = finished(store, bucket, prefix)
    return content(store, bucket, key)


# -- core


def test_a_server_says_what_it_can(client: Client) -> None:
    reply = client.request("OPTIONS", Tus_Resumable="")
    assert reply.status == 204
    assert reply.headers["tus-version"] == "1.0.0"
    assert reply.headers["tus-max-size"] == str(5 << 40)
    assert set(reply.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "checksum",
        "expiration",
        "concatenation",
    }
    assert "sha1" in reply.headers["tus-checksum-algorithm"].split(",")


@pytest.mark.parametrize(
    ("size", "step"),
    [(0, 1), (1, 1), (5, 1), (PART, PART), (len(DATA), 3_333_333), (len(DATA), len(DATA))],
)
def test_what_was_sent_in_pieces_is_one_object(
    store: Server, bucket: str, key: str, client: Client, size: int, step: int
) -> None:
    url = client.create(size, {"filename": "a.bin", "filetype": "image/png", "note": "né\n"})
    client.send(url, DATA[:size], step)
    reply = client.head(url)
    assert (reply.status, reply.offset, reply.headers["upload-length"]) == (200, size, str(size))
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["tus-resumable"] == "1.0.0"
    assert the_object(store, bucket, key) == DATA[:size]
    assert_only_records(store, bucket, key)
    (name,) = finished(store, bucket, key)
    head = store.client().head_object(Bucket=bucket, Key=name)
    assert head["ContentType"] == "image/png"
    assert head["ContentDisposition"] == "attachment; filename*=UTF-8''a.bin"
    kept = {name.lower(): value for name, value in head["Metadata"].items()}
    assert (kept["filename"], kept["note"]) == ("a.bin", "=?UTF-8?B?bsOpCg==?=")


def test_large_pieces(store: Server, bucket: str, key: str, client: Client) -> None:
    data = bytes_of(2 * BIGGEST + 1)
    url = client.create(len(data))
    client.send(url, data, BIGGEST)
    assert the_object(store, bucket, key) == data


def test_the_offset_grows_and_a_wrong_one_is_refused(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(10)
    assert client.offset(url) == 0
    assert client.patch(url, 0, b"0123").offset == 4
    for wrong in (0, 3, 5, 10):
        reply = client.patch(url, wrong, b"x" * (10 - wrong))
        assert (reply.status, reply.offset) == (409, 4)
    assert client.offset(url) == 4
    assert client.patch(url, 4, b"456789").offset == 10
    assert client.patch(url, 4, b"456789").status == 409
    assert client.patch(url, 10, b"").status == 204
    assert client.patch(url, 10, b"x").status == 413
    assert the_object(store, bucket, key) == b"0123456789"


def test_more_than_was_said_is_refused_and_what_fits_is_kept(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(4)
    assert client.patch(url, 0, b"01234").status == 413
    assert client.offset(url) == 0
    half = client.half(url, 0, 0, Content_Length="", Transfer_Encoding="chunked")
    half.send(b"5\r\n01234\r\n0\r\n\r\n")
    assert half.reply().status == 413
    assert client.offset(url) == 0
    assert client.patch(url, 0, b"0123").offset == 4
    assert the_object(store, bucket, key) == b"0123"


def test_bytes_whose_number_is_not_said_first(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(4)
    half = client.half(url, 0, 0, Content_Length="", Transfer_Encoding="chunked")
    half.send(b"2\r\n01\r\n2\r\n23\r\n0\r\n\r\n")
    assert half.reply().offset == 4
    assert the_object(store, bucket, key) == b"0123"


def test_methods_in_a_header(store: Server, bucket: str, key: str, client: Client) -> None:
    url = client.create(3)
    said: dict[str, str] = {**OCTETS, "X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    assert client.request("POST", url, b"abc", said).status == 204
    assert the_object(store, bucket, key) == b"abc"
    assert client.request("POST", url, X_HTTP_Method_Override="DELETE").status == 204
    assert client.request("POST", url, X_HTTP_Method_Override="HEAD").status == 404
    assert client.request("POST", url, X_HTTP_Method_Override="GET").status == 400


# -- creation, with the length said later, and with bytes


def test_the_length_may_be_said_later(store: Server, bucket: str, key: str, client: Client) -> None:
    url = client.create()
    assert client.patch(url, 0, DATA[:PART]).offset == PART
    head = client.head(url)
    assert head.headers["upload-defer-length"] == "1"
    assert "upload-length" not in head.headers
    # Refused: so it has not said the length.
    assert client.patch(url, 1, b"x", Upload_Length=str(PART + 1)).status == 409
    assert client.patch(url, PART, b"xy", Upload_Length=str(PART + 1)).status == 413
    assert client.patch(url, PART, b"", Upload_Length=str(PART - 1)).status == 400
    assert "upload-length" not in client.head(url).headers
    assert client.patch(url, PART, b"1", Upload_Length=str(PART + 2)).offset == PART + 1
    assert client.head(url).headers["upload-length"] == str(PART + 2)
    assert client.patch(url, PART + 1, b"2", Upload_Length=str(PART + 3)).status == 400
    assert client.patch(url, PART + 1, b"2", Upload_Length=str(PART + 2)).offset == PART + 2
    assert the_object(store, bucket, key) == DATA[:PART] + b"12"
    assert_only_records(store, bucket, key)


@pytest.mark.parametrize("sent", [b"", b"abc"])
def test_the_length_may_be_said_when_all_is_there(
    store: Server, bucket: str, key: str, client: Client, sent: bytes
) -> None:
    url = client.create()
    assert client.patch(url, 0, sent).offset == len(sent)
    assert finished(store, bucket, key) == []
    assert client.patch(url, len(sent), b"", Upload_Length=str(len(sent))).offset == len(sent)
    assert the_object(store, bucket, key) == sent


def test_a_length_alone_is_kept(client: Client) -> None:
    url = client.create()
    assert client.patch(url, 0, b"", Upload_Length="7").offset == 0
    assert client.head(url).headers["upload-length"] == "7"


@pytest.mark.parametrize("size", [3, PART + 7])
def test_an_upload_may_come_with_its_first_bytes(
    store: Server, bucket: str, key: str, client: Client, size: int
) -> None:
    reply = client.request("POST", "", DATA[:size], OCTETS, Upload_Length=str(size))
    assert (reply.status, reply.offset) == (201, size)
    assert the_object(store, bucket, key) == DATA[:size]
    again = client.request("POST", "", DATA[:2], OCTETS, Upload_Length=str(size))
    assert (again.status, again.offset) == (201, 2)
    url = again.headers["location"]
    assert client.patch(url, 2, DATA[2:size]).offset == size
    assert [content(store, bucket, name) for name in finished(store, bucket, key)] == [
        DATA[:size]
    ] * 2


# -- termination


@pytest.mark.parametrize("sent", [0, 3, PART + 3])
def test_an_upload_given_up_leaves_nothing(
    store: Server, bucket: str, key: str, client: Client, sent: int
) -> None:
    url = client.create(2 * PART)
    assert client.patch(url, 0, DATA[:sent]).status == 204
    assert client.delete(url).status == 204
    assert below(store, bucket, key) == {}
    assert uploads_below(store, bucket, key) == []
    assert client.head(url).status == 404
    assert client.delete(url).status == 404
    assert client.patch(url, sent, b"x").status == 404


def test_a_finished_upload_given_up_takes_its_object_along_and_no_other(
    store: Server, bucket: str, key: str
) -> None:
    with serving(store, bucket, key, naming=lambda upload: upload.metadata["filename"]) as client:
        url = client.create(1, {"filename": "same.txt"})
        client.send(url, b"1", 1)
        assert the_object(store, bucket, key) == b"1"
        again = client.create(1, {"filename": "same.txt"})
        client.send(again, b"2", 1)
        assert client.delete(url).status == 204
        assert the_object(store, bucket, key) == b"2"
        assert client.delete(again).status == 204
        assert below(store, bucket, key) == {}


# -- checksum


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5", "sha512"])
def test_bytes_with_their_checksum(
    store: Server, bucket: str, key: str, client: Client, algorithm: str
) -> None:
    url = client.create(8)
    reply = client.patch(url, 0, b"0123", **checksum_of(b"0124", algorithm))
    assert reply.status == 460
    assert client.offset(url) == 0
    assert client.patch(url, 0, b"0123", **checksum_of(b"0123", algorithm)).offset == 4
    assert client.patch(url, 4, b"4567", **checksum_of(b"0123", algorithm)).status == 460
    assert client.offset(url) == 4
    assert client.patch(url, 4, b"4567", **checksum_of(b"4567", algorithm)).offset == 8
    assert the_object(store, bucket, key) == b"01234567"
    assert_only_records(store, bucket, key)


@pytest.mark.parametrize("before", [0, 3, PART])
def test_a_wrong_checksum_over_parts_that_were_sent(
    store: Server, bucket: str, key: str, client: Client, before: int
) -> None:
    if "part-twice" in CANNOT[store.name]:
        pytest.skip(f"{store.name} takes no part a second time: such an upload is lost there")
    url = client.create()
    assert client.patch(url, 0, DATA[:before]).offset == before
    wrong = client.patch(url, before, DATA[before:], **checksum_of(b"another"), Upload_Length="9")
    assert wrong.status in {400, 413}
    wrong = client.patch(
        url, before, DATA[before:], **checksum_of(b"another"), Upload_Length=str(len(DATA))
    )
    assert wrong.status == 460
    head = client.head(url)
    assert head.offset == before
    assert "upload-length" not in head.headers, "a refused PATCH has said the length"
    # Other bytes in the place of those.
    data = DATA[:before] + bytes_of(len(DATA) - before, seed=1)
    said = {**checksum_of(data[before:]), "Upload-Length": str(len(data))}
    assert client.patch(url, before, data[before:], **said).offset == len(data)
    assert the_object(store, bucket, key) == data
    assert_only_records(store, bucket, key)


# -- concatenation


def part_of(client: Client, data: bytes) -> str:
    url = client.create(len(data), Upload_Concat="partial")
    client.send(url, data, 3 * PART)
    return url


def test_uploads_that_came_side_by_side_become_one_object(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    sizes = [PART + 1, 3, 0, 4, PART - 1, 2 * PART]
    datas = [bytes_of(size, seed=size) for size in sizes]
    urls = [""] * len(sizes)

    def send(number: int) -> None:
        urls[number] = part_of(client, datas[number])

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(sizes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finished(store, bucket, key) == [], "parts show"
    reply = client.join(urls, Upload_Metadata="filename YQ==")
    if "part-copy" in CANNOT[store.name]:
        assert reply.status == 503
        assert finished(store, bucket, key) == []
        assert uploads_below(store, bucket, key) == []
        return
    assert reply.status == 201
    whole = b"".join(datas)
    assert the_object(store, bucket, key) == whole
    url = reply.headers["location"]
    head = client.head(url)
    assert (head.offset, head.headers["upload-length"]) == (len(whole), str(len(whole)))
    assert head.headers["upload-concat"] == f"final;{' '.join(urls)}"
    assert client.head(urls[0]).headers["upload-concat"] == "partial"
    assert client.patch(url, len(whole), b"").status == 403
    for part in urls:
        assert client.delete(part).status == 204
    assert the_object(store, bucket, key) == whole
    assert_only_records(store, bucket, key)


def test_small_uploads_become_one_object(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    # Relative to their server or not; in the order that was asked for.
    urls = [part_of(client, b"12"), client.url + "/" + part_of(client, b"3").rpartition("/")[2]]
    assert client.join(urls[::-1]).status == 201
    assert the_object(store, bucket, key) == b"312"


def test_what_cannot_be_joined_is_refused(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    done = part_of(client, b"12")
    unfinished = client.create(5, Upload_Concat="partial")
    whole = client.create(0)
    for urls in ([], [done, unfinished], [done, whole], [done, done], ["/files/" + "0" * 32]):
        reply = client.join(urls)
        assert reply.status == 400, reply
        assert reply.sentence.startswith("Upload-Concat: ")
    for url in ("http://[", "/files/../secret", "/files/%2e%2e", "/files/x"):
        assert client.join([done, url]).status == 400
    assert client.join([done], Upload_Length="2").status == 400
    assert client.request("POST", Upload_Concat="neither", Upload_Length="1").status == 400
    assert len(finished(store, bucket, key)) == 1


# -- two at once


def test_two_clients_that_race_for_one_upload(store: Server, bucket: str, key: str) -> None:
    with running(store, bucket, key) as server:
        client = server.start()
        url = client.create(10)
        half = client.half(url, 0, 10)
        half.send(b"01234")
        # It is held before any of its bytes are received. Who asked sooner might be in its way.
        server.watch.wait_until(lambda watch: watch.given[-1:] > [0])
        assert_held(client, url)
        if has_locks(store):
            with serving(store, bucket, key) as other:
                assert_held(other, url)
        half.send(b"56789")
        assert half.reply().offset == 10
    assert the_object(store, bucket, key) == b"0123456789"
    assert_only_records(store, bucket, key)


def assert_held(client: Client, url: str) -> None:
    reply = client.patch(url, 0, b"other")
    assert (reply.status, reply.headers["retry-after"]) == (423, "1")
    assert client.delete(url).status == 423
    assert client.offset(url) == 0


# -- expiration


def test_an_upload_counts_for_a_while_after_it_was_written_to(
    store: Server, bucket: str, key: str
) -> None:
    with serving(store, bucket, key, expires=timedelta(microseconds=1)) as client:
        reply = client.request("POST", Upload_Length="3")
        assert reply.headers["upload-expires"].endswith(" GMT")
        url = reply.headers["location"]
        head = client.head(url)
        assert (head.status, head.headers["cache-control"]) == (410, "no-store")
        assert client.patch(url, 0, b"abc").status == 410
        assert client.delete(url).status == 204
    with serving(store, bucket, key, expires=None) as client:
        reply = client.request("POST", Upload_Length="3")
        assert "upload-expires" not in reply.headers
        assert client.patch(reply.headers["location"], 0, b"abc").status == 204


# -- hooks


def test_code_of_ones_own_names_refuses_and_hears(store: Server, bucket: str, key: str) -> None:
    heard: list[tuple[str, Upload]] = []

    def naming(upload: Upload) -> str:
        return f"{upload.metadata['user']}/{upload.name}"

    async def before_create(upload: Upload) -> None:
        if upload.headers.get("authorization") != "Bearer 1":
            raise Refused(401, "who are you?", {"WWW-Authenticate": "Bearer"})
        heard.append(("before", upload))

    async def after_finish(upload: Upload) -> None:
        heard.append(("after", upload))

    with serving(
        store, bucket, key, naming=naming, before_create=before_create, after_finish=after_finish
    ) as client:
        reply = client.request("POST", Upload_Length="3", Upload_Metadata="user bWU=")
        assert (reply.status, reply.sentence) == (401, "who are you?\n")
        assert reply.headers["www-authenticate"] == "Bearer"
        assert below(store, bucket, key) == {}
        url = client.create(3, {"user": "me"}, Authorization="Bearer 1")
        client.send(url, b"abc", 2)
    upload_id = url.rpartition("/")[2]
    (said, before), (told, after) = heard
    assert (said, told) == ("before", "after")
    assert before.id == after.id == upload_id
    name = hashlib.sha256(upload_id.encode()).hexdigest()
    assert after.key == f"{key}/me/{name}"
    assert content(store, bucket, after.key) == b"abc"
    etag = store.client().head_object(Bucket=bucket, Key=after.key)["ETag"]
    if "multipart-etag" not in CANNOT[store.name]:  # or it tells another one to Complete
        assert after.etag == etag
    assert (before.etag, before.length, after.length) == (None, 3, 3)
    assert upload_id not in repr(before)


def test_no_name_at_the_store_tells_an_id(
    store: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(2 * PART)
    client.patch(url, 0, DATA[: PART + 1])
    names = [*below(store, bucket, key), *uploads_below(store, bucket, key)]
    assert len(names) == 3
    assert url.rpartition("/")[2] not in " ".join(names)


# -- what the application was given, it keeps


@pytest.mark.parametrize("before", [0, 1000])
def test_a_patch_that_breaks_off_keeps_every_byte(
    store: Server, bucket: str, key: str, before: int
) -> None:
    with running(store, bucket, key) as server:
        client = server.start()
        url = client.create(len(DATA))
        at = client.patch(url, 0, DATA[:before]).offset
        half = client.half(url, at, len(DATA) - at)
        half.send(DATA[at : PART + 70_000])
        server.watch.wait_until(lambda watch: watch.given[-1:] > [PART])
        half.reset()
        server.watch.wait_until(lambda watch: watch.ended == 3)
        given = server.watch.given[-1]
        assert client.offset(url) == at + given
        client.send(url, DATA, len(DATA), at + given)
    assert the_object(store, bucket, key) == DATA
    assert_only_records(store, bucket, key)


def test_a_creation_that_breaks_off_leaves_nothing(store: Server, bucket: str, key: str) -> None:
    with running(store, bucket, key) as server:
        client = server.start()
        half = client.half("", 0, len(DATA), method="POST", Upload_Length=str(len(DATA)))
        half.send(DATA[: PART + 70_000])
        server.watch.wait_until(lambda watch: watch.given[-1:] > [PART])
        half.hang_up()
        server.watch.wait_until(lambda watch: watch.ended == 1)
        assert below(store, bucket, key) == {}
        assert uploads_below(store, bucket, key) == []


def test_a_server_that_is_told_to_end_keeps_what_it_was_given(
    store: Server, bucket: str, key: str
) -> None:
    with running(store, bucket, key) as server:
        client = server.start()
        url = client.create(len(DATA))
        half = client.half(url, 0, len(DATA))
        half.send(DATA[: PART + 70_000])
        server.watch.wait_until(lambda watch: watch.given[-1:] >= [PART + 70_000])
        server.stop()
        reply = half.reply()
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert "what came is kept" in reply.sentence
        server.join()
    with serving(store, bucket, key) as other:
        assert other.offset(url) == PART + 70_000
        other.send(url, DATA, len(DATA), PART + 70_000)
    assert the_object(store, bucket, key) == DATA
    assert_only_records(store, bucket, key)


def test_a_client_that_falls_silent_is_let_go_and_loses_nothing(
    store: Server, bucket: str, key: str
) -> None:
    with serving(store, bucket, key, silence=0.2) as client:
        url = client.create(10)
        half = client.half(url, 0, 10, b"01234")
        assert half.reply().status == 408
    with serving(store, bucket, key) as client:
        assert client.offset(url) == 5
        assert client.patch(url, 5, b"56789").offset == 10
    assert the_object(store, bucket, key) == b"0123456789"
