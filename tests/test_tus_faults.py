"""The tus server when the store fails, answers are lost, or something is gone that was kept."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from s3stream.tus.app import open_shelf
from s3stream.tus.protocol import Patch
from s3stream.tus.record import Kind, Record, name_of
from s3stream.tus.sweeping import Swept, sweep
from s3stream.tus.writing import Writing
from tests.faults import Answer, ChangeAnswer, CutAnswer, Hold, LoseAnswer, Meanwhile
from tests.looking import bytes_of, content
from tests.test_tus import PART, part_of, the_object
from tests.tus import (
    OCTETS,
    SECONDS,
    age,
    assert_only_records,
    below,
    checksum_of,
    finished,
    options_for,
    running,
    serving,
    uploads_below,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s3stream.tus import Upload
    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.tus import Client
    from tests.wire import Exchange

DATA = bytes_of(PART + 12_345)
TWICE = {"retries": {"mode": "standard", "total_max_attempts": 2}}
DOWN = Answer(500, "InternalError")


def of(ending: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.path.endswith(ending)


def is_record(exchange: Exchange) -> bool:
    return exchange.path.endswith(".record")


def is_object(exchange: Exchange) -> bool:
    return ".s3stream-tus" not in exchange.path


def when_published(proxy: Proxy, data: bytes, action: Callable[[], object]) -> None:
    """Have it happen while the object is on its way to the store: small ones go in one call."""
    if len(data) < PART:
        proxy.inject("PutObject", Meanwhile(action), where=is_object)
    else:
        proxy.inject("CompleteMultipartUpload", Meanwhile(action))


def lose_the_end(proxy: Proxy, data: bytes) -> None:
    """The object will be there, and what says so is not written down."""
    fail = partial(proxy.inject, "PutObject", DOWN, times=None, where=is_record)
    when_published(proxy, data, fail)


def assert_lost(proxy: Proxy) -> None:
    assert DOWN in [fault for fault, _ in proxy.injected]
    proxy.clear()


@pytest.fixture
def client(proxied: Server, bucket: str, key: str) -> Iterator[Client]:
    with serving(proxied, bucket, key, config_kwargs=TWICE) as client:
        yield client


@pytest.mark.parametrize("data", [b"small", DATA])
def test_a_record_that_is_not_written_at_first_is_written_again(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, data: bytes
) -> None:
    url = client.create(len(data))
    # All attempts of the call by which the end is written down.
    fail = partial(proxy.inject, "PutObject", DOWN, times=2, where=is_record)
    when_published(proxy, data, fail)
    assert client.patch(url, 0, data).status == 204
    assert [fault for fault, _ in proxy.injected].count(DOWN) == 2
    assert client.offset(url) == len(data)
    assert the_object(seaweedfs, bucket, key) == data
    assert_only_records(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    ("data", "deferred"), [(b"", True), (b"small", False), (DATA, False), (DATA, True)]
)
def test_an_end_that_cannot_be_written_down_is_no_success_and_is_found_again(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    data: bytes,
    deferred: bool,
) -> None:
    heard = []

    async def after_finish(upload: Any) -> None:
        heard.append(upload.key)

    with serving(proxied, bucket, key, config_kwargs=TWICE, after_finish=after_finish) as client:
        url = client.create(None if deferred else len(data))
        lose_the_end(proxy, data)
        reply = client.patch(url, 0, data, Upload_Length=str(len(data)))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert "ask with HEAD" in reply.sentence
        assert_lost(proxy)
        assert heard == []
        # It is there, and nobody has heard of it.
        assert the_object(seaweedfs, bucket, key) == data
        head = client.head(url)
        assert (head.status, head.offset) == (200, len(data))
        assert head.headers["upload-length"] == str(len(data))
        assert heard == finished(seaweedfs, bucket, key)
        assert client.head(url).status == 200
    assert len(heard) == 1
    assert_only_records(seaweedfs, bucket, key)


ONCE: dict[str, Any] = {"naming": lambda upload: "same.txt", "if_none_match": "*"}


@pytest.mark.parametrize(
    ("ask", "data", "options"),
    [
        ("PATCH", b"small", ONCE),
        ("PATCH again", b"small", ONCE),
        ("DELETE", b"small", ONCE),
        ("sweep", b"small", {}),
        ("PATCH again", DATA, {}),
        ("DELETE", DATA, {}),
    ],
)
def test_whoever_comes_next_finds_what_was_published_unheard_of(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    ask: str,
    data: bytes,
    options: dict[str, Any],
) -> None:
    heard = []

    async def after_finish(upload: Any) -> None:
        heard.append(upload.key)

    with serving(proxied, bucket, key, config_kwargs=TWICE, **options) as client:
        url = client.create(len(data))
        lose_the_end(proxy, data)
        assert client.patch(url, 0, data).status == 503
        assert_lost(proxy)
    names = finished(seaweedfs, bucket, key)
    with serving(seaweedfs, bucket, key, after_finish=after_finish, **options) as other:
        if ask == "DELETE":
            assert other.delete(url).status == 204
            assert below(seaweedfs, bucket, key) == {}
        elif ask == "sweep":
            assert swept(seaweedfs, bucket, key) == Swept(removed=1, kept=0, failed=0)
            # Whole, and somebody may have read it.
            assert below(seaweedfs, bucket, key) == {names[0].removeprefix(f"{key}/"): len(data)}
        else:
            again = other.patch(url, 0, data) if ask == "PATCH again" else None
            assert again is None or (again.status, again.offset) == (409, len(data))
            assert other.patch(url, len(data), b"").offset == len(data)
            assert heard == names
            assert the_object(seaweedfs, bucket, key) == data
            assert_only_records(seaweedfs, bucket, key)
    assert uploads_below(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("options", [{}, ONCE])
def test_what_another_has_written_is_not_taken_for_ones_own(
    seaweedfs: Server, proxy: Proxy, proxied: Server, bucket: str, key: str, options: dict[str, Any]
) -> None:
    chosen = {"naming": ONCE["naming"], **options}
    with serving(proxied, bucket, key, config_kwargs=TWICE, **chosen) as client:
        url = client.create(5)
        proxy.inject("PutObject", DOWN, times=2, where=is_object)
        assert client.patch(url, 0, b"small").status == 503
        assert len(proxy.injected) == 2
        name = f"{key}/same.txt"
        # As many bytes; under a condition even the same ones.
        body = b"small" if options else b"other"
        seaweedfs.client().put_object(Bucket=bucket, Key=name, Body=body)
        assert client.offset(url) == 0
        assert client.patch(url, 0, b"small").status == (403 if options else 204)
        assert content(seaweedfs, bucket, name) == b"small"
        assert client.delete(url).status == 204
    assert below(seaweedfs, bucket, key) == ({"same.txt": 5} if options else {})


@pytest.mark.parametrize("body", [b"small", b"SMALL"])
def test_what_comes_late_of_an_earlier_attempt_is_ones_own_if_it_is_the_same(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, body: bytes
) -> None:
    with serving(proxied, bucket, key, config_kwargs=TWICE, **ONCE) as client:
        url = client.create(5)
        proxy.inject("PutObject", DOWN, times=2, where=is_object)
        assert client.patch(url, 0, b"small").status == 503
        (record,) = below(seaweedfs, bucket, key)
        written = json.loads(content(seaweedfs, bucket, f"{key}/{record}"))
        writer_id = json.loads(written["checkpoint"])["writer_id"]
        # As the store may carry out what it was asked, after the client has given up.
        late = partial(
            seaweedfs.client().put_object,
            Bucket=bucket,
            Key=f"{key}/same.txt",
            Body=body,
            ChecksumAlgorithm="CRC64NVME",
            Metadata={"s3stream-writer": writer_id},
        )
        proxy.inject("PutObject", Meanwhile(late), where=is_object)
        assert client.patch(url, 0, b"small").status == 403
        assert len(proxy.injected) == 3
        assert client.offset(url) == (5 if body == b"small" else 0)
    assert the_object(seaweedfs, bucket, key) == body
    assert_only_records(seaweedfs, bucket, key)


def test_where_nobody_can_look_nothing_is_said(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    url = client.create(5)
    lose_the_end(proxy, b"small")
    assert client.patch(url, 0, b"small").status == 503
    assert_lost(proxy)
    proxy.inject("HeadObject", DOWN, times=6)
    assert client.head(url).status == 423
    assert client.patch(url, 0, b"small").status == 503
    assert client.delete(url).status == 503
    assert [exchange.operation for _, exchange in proxy.injected].count("HeadObject") == 6
    # Who may not look takes it for not there, and writes it once more.
    refuse = Answer(403, "AccessDenied")
    proxy.inject("HeadObject", refuse, times=None)
    assert client.offset(url) == 0
    assert client.patch(url, 0, b"small").offset == 5
    assert [fault for fault, _ in proxy.injected].count(refuse) >= 2
    assert the_object(seaweedfs, bucket, key) == b"small"


def test_who_asks_while_the_end_is_written_down_hears_where_it_stands(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    url = client.create(len(DATA))
    hold = Hold()
    write = partial(proxy.inject, "PutObject", hold, where=is_record)
    proxy.inject("CompleteMultipartUpload", Meanwhile(write))
    with ThreadPoolExecutor(2) as pool:
        sending = pool.submit(client.patch, url, 0, DATA)
        proxy.wait_for("CompleteMultipartUpload", finished=True, timeout=SECONDS)
        asked = proxy.count("ListParts")
        asking = pool.submit(client.head, url)
        # The store tells that the upload is gone, and the record does not tell why yet.
        proxy.wait_for("ListParts", asked + 1, finished=True, timeout=SECONDS)
        hold.event.set()
        assert sending.result().status == 204
        reply = asking.result()
    assert hold in [fault for fault, _ in proxy.injected]
    # Locked, where this machine was slow. Anything else, and clients begin anew.
    assert reply.status == 423 or (reply.status, reply.offset) == (200, len(DATA)), reply
    assert client.offset(url) == len(DATA)
    assert the_object(seaweedfs, bucket, key) == DATA


@pytest.mark.parametrize("operation", ["GetObject", "ListParts"])
def test_who_asks_while_the_store_is_down_is_to_ask_again(
    proxy: Proxy, client: Client, operation: str
) -> None:
    url = client.create(len(DATA))
    assert client.patch(url, 0, DATA[: PART + 10]).offset == PART + 10
    proxy.inject(operation, DOWN, times=2)
    reply = client.head(url)
    assert len(proxy.injected) == 2
    # For a 503, as for whatever else but this, tus-js-client would begin the upload anew.
    assert (reply.status, reply.headers["retry-after"]) == (423, "1")
    assert client.offset(url) == PART + 10


def test_an_upload_that_has_ended_takes_no_more(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    data = bytes_of(2 * PART)
    url = client.create()
    assert client.patch(url, 0, data).offset == len(data)
    lose_the_end(proxy, data)
    assert client.patch(url, len(data), b"", Upload_Length=str(len(data))).status == 503
    assert_lost(proxy)
    # Its length was said, and that is written down nowhere.
    assert client.patch(url, len(data), b"more").status == 413
    assert client.offset(url) == len(data)
    assert the_object(seaweedfs, bucket, key) == data


def test_a_tail_that_was_left_goes_with_its_upload(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    url = client.create(4)
    assert client.patch(url, 0, b"abc").offset == 3
    proxy.inject("DeleteObject", DOWN, times=2, where=of("-0"))
    assert client.patch(url, 3, b"d").offset == 4
    assert len(proxy.injected) == 2
    assert the_object(seaweedfs, bucket, key) == b"abcd"
    assert len(below(seaweedfs, bucket, key)) == 3
    assert client.delete(url).status == 204
    assert below(seaweedfs, bucket, key) == {}


def test_a_small_object_that_is_not_taken(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    url = client.create(5)
    proxy.inject("PutObject", Answer(503, "SlowDown"), times=2, where=is_object)
    assert client.patch(url, 0, b"small").status == 503
    assert len(proxy.injected) == 2
    assert client.offset(url) == 0
    assert client.patch(url, 0, b"small").status == 204
    assert the_object(seaweedfs, bucket, key) == b"small"


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "PutObject"])
def test_what_the_store_does_not_take_is_sent_again_from_where_it_stands(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, operation: str
) -> None:
    url = client.create(len(DATA) + 5)
    where = of("-0") if operation == "PutObject" else is_object  # a tail
    proxy.inject(operation, DOWN, times=2, where=where)
    data = b"tail" if operation == "PutObject" else DATA
    assert client.patch(url, 0, data).status == 503
    assert len(proxy.injected) == 2
    whole = DATA + b"12345"
    client.send(url, whole, len(whole), client.offset(url))
    assert the_object(seaweedfs, bucket, key) == whole
    assert_only_records(seaweedfs, bucket, key)


@pytest.mark.parametrize("size", [len(DATA), 2 * PART])
def test_a_commit_that_the_store_does_not_carry_out_is_asked_for_again(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, size: int
) -> None:
    data = bytes_of(size)
    url = client.create(size)
    proxy.inject("CompleteMultipartUpload", DOWN, times=2)
    assert client.patch(url, 0, data).status == 503
    assert len(proxy.injected) == 2
    assert finished(seaweedfs, bucket, key) == []
    # A last part that is small counts for nothing: it could not be followed by another one. Where
    # all counts, whoever asks for the offset is told so, and sends no more: then it is published.
    assert client.offset(url) == size - size % PART
    client.send(url, data, size, size - size % PART)
    assert the_object(seaweedfs, bucket, key) == data
    assert_only_records(seaweedfs, bucket, key)


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload", "UploadPart"])
def test_lost_answers_show_nowhere(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, operation: str
) -> None:
    # Of PutObject every third: records, locks, tails.
    for number in range(6 if operation == "PutObject" else 1):
        proxy.inject(operation, LoseAnswer(), skip=2 * number)
    url = client.create(len(DATA))
    client.send(url, DATA, PART - 100)
    assert proxy.injected
    assert the_object(seaweedfs, bucket, key) == DATA
    assert_only_records(seaweedfs, bucket, key)


def test_a_tail_is_read_in_one_request_which_goes_on_where_it_breaks_off(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    data = DATA[: PART - 1]
    url = client.create(len(DATA))
    assert client.patch(url, 0, data).offset == len(data)
    cut = CutAnswer(1_000_000)
    proxy.inject("GetObject", cut, where=lambda x: "-tail-" in x.path)
    client.send(url, DATA, len(DATA), len(data))
    assert cut in [fault for fault, _ in proxy.injected]
    asked = [x.request_headers["range"] for x in proxy.of("GetObject") if "-tail-" in x.path]
    assert len(asked) == 2
    begun, behind = [int(said.removeprefix("bytes=").partition("-")[0]) for said in asked]
    assert (begun, behind > 500_000) == (0, True)
    assert the_object(seaweedfs, bucket, key) == DATA
    assert_only_records(seaweedfs, bucket, key)


def test_a_tail_that_is_gone_takes_no_more_with_it(
    seaweedfs: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(len(DATA))
    assert client.patch(url, 0, DATA[: PART + 10]).offset == PART + 10
    (tail,) = (name for name in below(seaweedfs, bucket, key) if "-tail-" in name)
    seaweedfs.client().delete_object(Bucket=bucket, Key=f"{key}/{tail}")
    reply = client.patch(url, PART + 10, DATA[PART + 10 :])
    assert (reply.status, reply.offset) == (409, PART)
    assert client.offset(url) == PART
    client.send(url, DATA, len(DATA), PART)
    assert the_object(seaweedfs, bucket, key) == DATA
    assert_only_records(seaweedfs, bucket, key)


def test_an_upload_that_somebody_has_aborted_is_gone(
    seaweedfs: Server, bucket: str, key: str, client: Client
) -> None:
    url = client.create(len(DATA))
    assert client.patch(url, 0, DATA[: PART + 10]).offset == PART + 10
    s3 = seaweedfs.client()
    (upload,) = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{key}/")["Uploads"]
    s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    assert client.patch(url, PART + 10, b"x").status == 410
    assert client.head(url).status == 410
    assert client.delete(url).status == 204
    assert below(seaweedfs, bucket, key) == {}


def test_a_server_that_stood_still_publishes_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    with (
        running(proxied, bucket, key, lease=1.0, config_kwargs=TWICE) as server,
        serving(seaweedfs, bucket, key, lease=1.0) as other,
    ):
        client = server.start()
        url = client.create(10)
        half = client.half(url, 0, 10)
        half.send(b"01234")
        server.watch.wait_until(lambda watch: watch.given[-1:] > [0])
        hold = Hold()
        proxy.inject("PutObject", hold, times=None, where=of(".lock"))
        # Until the lease is over.
        while (reply := other.patch(url, 0, b"abcdefghij")).status == 423:
            pass
        assert reply.status == 204
        assert proxy.injected
        proxy.clear()
        hold.event.set()
        half.send(b"56789")
        assert half.reply().status == 423
        assert other.offset(url) == 10
    assert the_object(seaweedfs, bucket, key) == b"abcdefghij"
    assert_only_records(seaweedfs, bucket, key)


def test_a_server_whose_lock_was_taken_asks_before_it_publishes(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    with (
        running(seaweedfs, bucket, key, lease=3600.0) as server,
        serving(seaweedfs, bucket, key) as other,
    ):
        client = server.start()
        url = client.create(10)
        half = client.half(url, 0, 10)
        half.send(b"01234")
        server.watch.wait_until(lambda watch: watch.given[-1:] >= [5])
        (lock,) = (name for name in below(seaweedfs, bucket, key) if name.endswith(".lock"))
        seaweedfs.client().delete_object(Bucket=bucket, Key=f"{key}/{lock}")
        assert other.patch(url, 0, b"abcdefghij").status == 204
        half.send(b"56789")
        assert half.reply().status == 423
    assert the_object(seaweedfs, bucket, key) == b"abcdefghij"
    assert_only_records(seaweedfs, bucket, key)


@pytest.mark.parametrize("data", [b"small", DATA])
@pytest.mark.parametrize("how", ["the store", "checksum"])
def test_a_creation_with_bytes_that_fails_leaves_nothing(
    seaweedfs: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    client: Client,
    data: bytes,
    how: str,
) -> None:
    headers = {**OCTETS, "Upload-Length": str(len(data))}
    if how == "checksum":
        headers.update(checksum_of(b"another"))
    else:
        for operation in ("PutObject", "UploadPart"):
            proxy.inject(operation, DOWN, times=None, where=is_object)
    reply = client.request("POST", "", data, headers)
    assert reply.status == (460 if how == "checksum" else 503)
    assert "location" not in reply.headers
    assert bool(proxy.injected) == (how == "the store")
    assert below(seaweedfs, bucket, key) == {}
    assert uploads_below(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("data", [b"small", DATA])
def test_a_creation_whose_end_is_not_written_down_leaves_nothing(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, data: bytes
) -> None:
    # Of both times that it is tried. Then the store takes what it is asked again.
    fail = partial(proxy.inject, "PutObject", DOWN, times=4, where=is_record)
    when_published(proxy, data, fail)
    reply = client.request("POST", "", data, OCTETS, Upload_Length=str(len(data)))
    assert reply.status == 503
    assert "location" not in reply.headers
    assert [fault for fault, _ in proxy.injected].count(DOWN) == 4
    assert below(seaweedfs, bucket, key) == {}
    assert uploads_below(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("operation", ["UploadPartCopy", "CompleteMultipartUpload"])
def test_a_concatenation_that_fails_leaves_its_parts_alone(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, operation: str
) -> None:
    urls = [part_of(client, DATA), part_of(client, b"end")]
    there = below(seaweedfs, bucket, key)
    proxy.inject(operation, DOWN, times=2)
    assert client.join(urls).status == 503
    assert len(proxy.injected) == 2
    assert below(seaweedfs, bucket, key) == there
    assert uploads_below(seaweedfs, bucket, key) == []
    assert client.join(urls).status == 201
    assert the_object(seaweedfs, bucket, key) == DATA + b"end"


class Joins:
    """A server at which uploads are joined, and what its own code hears."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.heard: list[str | None] = []

    async def before_create(self, upload: Upload) -> None:
        self.urls.append(f"/files/{upload.id}")

    async def after_finish(self, upload: Upload) -> None:
        self.heard.append(upload.key)

    def options(self) -> dict[str, Any]:
        hooks = {"before_create": self.before_create, "after_finish": self.after_finish}
        return {"config_kwargs": TWICE, **hooks}


@pytest.mark.parametrize("data", [b"small", DATA])
def test_a_concatenation_whose_end_is_not_written_down_leaves_its_parts_alone(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client, data: bytes
) -> None:
    urls = [part_of(client, data), part_of(client, b"end")]
    there = below(seaweedfs, bucket, key)
    fail = partial(proxy.inject, "PutObject", DOWN, times=4, where=is_record)
    when_published(proxy, data, fail)
    assert client.join(urls).status == 503
    assert [fault for fault, _ in proxy.injected].count(DOWN) == 4
    assert below(seaweedfs, bucket, key) == there
    assert uploads_below(seaweedfs, bucket, key) == []
    assert client.join(urls).status == 201
    assert the_object(seaweedfs, bucket, key) == data + b"end"


@pytest.mark.parametrize(("data", "options"), [(b"small", {}), (DATA, ONCE)])
@pytest.mark.parametrize("ask", ["HEAD", "DELETE"])
def test_whoever_comes_next_finds_what_was_joined_unheard_of(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    data: bytes,
    options: dict[str, Any],
    ask: str,
) -> None:
    joins = Joins()
    with serving(proxied, bucket, key, **joins.options(), **options) as client:
        parts = [part_of(client, data), part_of(client, b"end")]
        # As if the server had died: nor can it remove what it has made.
        proxy.inject("DeleteObject", DOWN, times=None, where=is_object)
        lose_the_end(proxy, data)
        assert client.join(parts).status == 503
        assert_lost(proxy)
        assert joins.heard == []
        (name,) = finished(seaweedfs, bucket, key)
        url = joins.urls[-1]
        assert client.patch(url, 0, b"x").status == 403
        if ask == "DELETE":
            assert client.delete(url).status == 204
            assert finished(seaweedfs, bucket, key) == []
            return
        for _ in range(2):
            head = client.head(url)
            assert (head.status, head.offset) == (200, len(data) + 3)
        assert joins.heard == [name]
        for part in parts:
            assert client.delete(part).status == 204
    assert the_object(seaweedfs, bucket, key) == data + b"end"
    assert_only_records(seaweedfs, bucket, key)


def test_parts_are_copied_side_by_side_and_nobody_interferes(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    joins = Joins()
    with (
        serving(proxied, bucket, key, **joins.options()) as client,
        serving(seaweedfs, bucket, key) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        parts = [part_of(client, DATA) for _ in range(3)]
        hold = Hold()
        proxy.inject("UploadPartCopy", hold)
        joining = pool.submit(client.join, parts)
        try:
            proxy.wait_for("UploadPartCopy", 3, timeout=SECONDS)
            # Which is not there yet, and has no offset therefore.
            head = other.head(joins.urls[-1])
            assert (head.status, "upload-offset" in head.headers) == (200, False)
            assert other.delete(joins.urls[-1]).status == 423
        finally:
            hold.event.set()
        assert joining.result().status == 201
        assert joins.heard == finished(seaweedfs, bucket, key)
    assert hold in [fault for fault, _ in proxy.injected]
    assert the_object(seaweedfs, bucket, key) == 3 * DATA
    assert not [name for name in below(seaweedfs, bucket, key) if name.endswith(".lock")]
    assert uploads_below(seaweedfs, bucket, key) == []


ANOTHER = "Upload-Concat: one of the parts is another by now\n"


@pytest.mark.parametrize("data", [b"345", DATA])
def test_a_part_that_was_replaced_at_the_store_is_not_joined(
    seaweedfs: Server, bucket: str, key: str, client: Client, data: bytes
) -> None:
    urls = [part_of(client, b"12"), part_of(client, data)]
    part = f"{key}/.s3stream-tus/parts/{name_of(urls[1].rpartition('/')[2])}"
    seaweedfs.client().put_object(Bucket=bucket, Key=part, Body=data[::-1])
    there = below(seaweedfs, bucket, key)
    reply = client.join(urls)
    assert (reply.status, reply.sentence) == (400, ANOTHER)
    assert below(seaweedfs, bucket, key) == there
    assert uploads_below(seaweedfs, bucket, key) == []


def test_a_part_that_is_another_by_now_makes_no_torn_object(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, client: Client
) -> None:
    urls = [part_of(client, b"12"), part_of(client, b"345")]
    there = below(seaweedfs, bucket, key)
    # As of a store that does not heed If-Match.
    shorter = ChangeAnswer(rb"(?i)content-length: 3((?s:.*))345", rb"content-length: 2\g<1>34")
    proxy.inject("GetObject", shorter, where=lambda x: "/parts/" in x.path, skip=1)
    reply = client.join(urls)
    assert (reply.status, reply.sentence) == (400, ANOTHER)
    assert shorter in [fault for fault, _ in proxy.injected]
    assert below(seaweedfs, bucket, key) == there


# -- sweeps


LATER = datetime.now(timezone.utc) + timedelta(days=30)


def swept(server: Server, bucket: str, prefix: str, **options: Any) -> Swept:
    chosen = {**options_for(server), "config_kwargs": TWICE, **options}
    return sweep(open_shelf(bucket, f"{prefix}/", **chosen), LATER)


def test_a_sweep_removes_what_has_expired_and_nothing_else(
    store: Server, bucket: str, key: str
) -> None:
    with serving(store, bucket, key, expires=None) as client:
        kept = client.create(10)
        client.patch(kept, 0, b"01234")
    with serving(store, bucket, key) as client:
        client.request("POST", "", b"done", OCTETS, Upload_Length="4")
        client.request("POST", "", b"part", OCTETS, Upload_Length="4", Upload_Concat="partial")
        client.request("POST", "", DATA, OCTETS, Upload_Length=str(len(DATA) + 1))
        client.create(3)
    assert len(uploads_below(store, bucket, key)) == 2
    assert swept(store, bucket, key) == Swept(removed=4, kept=1, failed=0)
    assert the_object(store, bucket, key) == b"done"
    assert len(uploads_below(store, bucket, key)) == 1
    assert len(below(store, bucket, key)) == 3  # with the record and the tail of the one kept
    assert swept(store, bucket, key) == Swept(removed=0, kept=1, failed=0)
    with serving(store, bucket, key) as client:
        client.send(kept, b"0123456789", 5, 5)
    assert len(finished(store, bucket, key)) == 2
    assert_only_records(store, bucket, key)


def test_an_upload_that_cannot_be_removed_holds_up_no_other(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    with serving(seaweedfs, bucket, key) as client:
        for _ in range(3):
            client.request("POST", "", b"x" * 10, OCTETS, Upload_Length="11")
    (first, *_) = sorted(uploads_below(seaweedfs, bucket, key))
    refuse = Answer(403, "AccessDenied")
    proxy.inject("AbortMultipartUpload", refuse, times=None, where=of(first))
    assert swept(proxied, bucket, key) == Swept(removed=2, kept=0, failed=1)
    assert proxy.injected
    assert uploads_below(seaweedfs, bucket, key) == [first]
    proxy.clear()
    assert swept(proxied, bucket, key) == Swept(removed=1, kept=0, failed=0)
    assert below(seaweedfs, bucket, key) == {}


def test_a_sweep_leaves_what_a_request_is_about(seaweedfs: Server, bucket: str, key: str) -> None:
    with running(seaweedfs, bucket, key) as server:
        client = server.start()
        url = client.create(10)
        half = client.half(url, 0, 10)
        half.send(b"01234")
        server.watch.wait_until(lambda watch: watch.given[-1:] > [0])
        # As if it had expired since.
        assert swept(seaweedfs, bucket, key) == Swept(removed=0, kept=1, failed=0)
        half.send(b"56789")
        assert half.reply().offset == 10
        assert content(seaweedfs, bucket, finished(seaweedfs, bucket, key)[0]) == b"0123456789"


def test_a_sweep_reads_no_record_that_cannot_have_expired(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    with serving(seaweedfs, bucket, key) as client:
        for size in (0, 3, 10):
            for said in ({}, {"Upload_Concat": "partial"}):
                client.patch(client.create(10, None, **said), 0, b"x" * size)
    shelf = open_shelf(bucket, f"{key}/", **proxied.storage_options())
    now = datetime.now(timezone.utc)
    assert sweep(shelf, now, timedelta(days=7)) == Swept(removed=0, kept=6, failed=0)
    assert [exchange.operation for exchange in proxy.log] == ["ListObjectsV2"]
    assert sweep(shelf, now, stop=lambda: True) == Swept(removed=0, kept=0, failed=0)
    assert sweep(shelf, now) == Swept(removed=0, kept=6, failed=0)
    assert proxy.count("GetObject") == 6


def test_an_upload_counts_from_when_it_was_last_written_to(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    shelf = open_shelf(bucket, f"{key}/", **options_for(seaweedfs))
    name = shelf.create("0" * 32, Record(f"{key}/x", None, "", Kind.WHOLE, "", None)).name
    now = itertools.count(1e10)  # it is later whenever somebody asks
    writing = Writing(shelf, name, Patch(0, None, None, None), 5 << 40, lambda: next(now))
    writing.begin()
    writing.write(DATA)
    begun = writing.record.expires
    writing.end()
    writing.close()
    assert begun is not None
    assert (ended := shelf.read(name).record.expires) is not None
    assert ended > begun


def test_a_server_sweeps_by_itself(seaweedfs: Server, bucket: str, key: str) -> None:
    with serving(seaweedfs, bucket, key) as client:
        kept = client.create(3)
        url = client.create(4)
        client.patch(url, 0, b"abc")
    age(seaweedfs, bucket, key, url)
    often = timedelta(milliseconds=50)
    with serving(seaweedfs, bucket, key, expires=timedelta(0), sweep_every=often) as client:
        deadline = time.monotonic() + SECONDS
        while client.head(url).status != 404:
            assert time.monotonic() < deadline
        assert client.head(kept).status == 200
    assert len(below(seaweedfs, bucket, key)) == 1
    assert uploads_below(seaweedfs, bucket, key) == []


def test_nobody_waits_for_a_sweep_to_end(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("ListObjectsV2", hold, times=None)
    with running(proxied, bucket, key, sweep_every=timedelta(milliseconds=50)) as server:
        server.start()
        proxy.wait_for("ListObjectsV2")
    # It has ended, and the sweep has not.
    assert proxy.in_flight("ListObjectsV2") == 1
    hold.event.set()


def test_a_server_that_runs_out_of_patience_keeps_what_it_was_given(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    with running(seaweedfs, bucket, key) as server:
        client = server.start()
        url = client.create(len(DATA))
        half = client.half(url, 0, len(DATA))
        half.send(DATA[:1000])
        server.watch.wait_until(lambda watch: watch.given[-1:] >= [1000])
        # As uvicorn ends of which nobody tells us.
        server.config.timeout_graceful_shutdown = 0
        server.should_exit = True
        server.watch.wait_until(lambda watch: watch.ended == 2)
        half.hang_up()
    with serving(seaweedfs, bucket, key) as client:
        assert client.offset(url) == 1000
        client.send(url, DATA, len(DATA), 1000)
    assert the_object(seaweedfs, bucket, key) == DATA


def test_a_hook_that_fails_takes_no_object_along(seaweedfs: Server, bucket: str, key: str) -> None:
    async def after_finish(upload: Any) -> None:
        raise ZeroDivisionError

    with serving(seaweedfs, bucket, key, after_finish=after_finish) as client:
        url = client.create(3)
        assert client.patch(url, 0, b"abc").status == 500
        assert client.offset(url) == 3
        assert client.request("POST", "", b"abc", OCTETS, Upload_Length="3").status == 500
    assert len(finished(seaweedfs, bucket, key)) == 2
    assert_only_records(seaweedfs, bucket, key)
