"""The fault proxy before a real store: what passes, what a client sees, what is written down."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectionError,
    HTTPClientError,
)

from tests import servers
from tests.faults import (
    Answer,
    BreakInBody,
    Delay,
    ErrorIn200,
    Fault,
    FlipByte,
    Hang,
    Hold,
    HoldInBody,
    LoseAnswer,
    Refuse,
    ResetAfterBody,
    ResetBeforeBody,
    ResetInBody,
)
from tests.proxy import ANY, Proxy
from tests.wire import Exchange, classify

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

    from tests.servers import Server

MIB = 1 << 20
BODY = bytes(range(256)) * (9 * MIB // 256)
ONCE = {"total_max_attempts": 1}

Broken = (ConnectionClosedError, ConnectionError, HTTPClientError)


@pytest.fixture
def once(proxied: Server) -> S3Client:
    """A client through the proxy which does not try again."""
    return proxied.client(retries=ONCE)


@pytest.fixture
def direct(seaweedfs: Server) -> S3Client:
    """A client that looks at the store itself."""
    return seaweedfs.client()


def is_there(client: S3Client, bucket: str, key: str) -> bool:
    return "Contents" in client.list_objects_v2(Bucket=bucket, Prefix=key)


# --- without faults ------------------------------------------------------------------------------


def test_what_goes_in_comes_out(proxied: Server, proxy: Proxy, bucket: str, key: str) -> None:
    client = proxied.client()
    client.put_object(Bucket=bucket, Key=key, Body=BODY)
    got = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert hashlib.md5(got).digest() == hashlib.md5(BODY).digest()
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(BODY)
    client.delete_object(Bucket=bucket, Key=key)

    put, get, head, delete = proxy.log
    assert [x.operation for x in proxy.log] == [
        "PutObject",
        "GetObject",
        "HeadObject",
        "DeleteObject",
    ]
    assert (put.number, put.method, put.path) == (1, "PUT", f"/{bucket}/{key}")
    assert (put.size, put.status, put.fault, put.finished) == (len(BODY), 200, None, True)
    assert put.request_headers["host"] == proxy.url.removeprefix("http://")
    assert (get.status, head.status, delete.status) == (200, 200, 204)
    assert proxy.injected == []


def test_many_requests_share_a_connection(once: S3Client, bucket: str, key: str) -> None:
    for number in range(20):
        once.put_object(Bucket=bucket, Key=key, Body=b"%d" % number)
        assert once.get_object(Bucket=bucket, Key=key)["Body"].read() == b"%d" % number


def test_an_error_of_the_store_comes_through(
    once: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    with pytest.raises(ClientError, match="NoSuchKey"):
        once.get_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="404"):
        once.head_object(Bucket=bucket, Key=key)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        once.put_object(Bucket="no-such-bucket", Key=key, Body=BODY)
    assert [x.status for x in proxy.log] == [404, 404, 404]


def test_a_multipart_upload_by_name(once: S3Client, proxy: Proxy, bucket: str, key: str) -> None:
    it: Any = {"Bucket": bucket, "Key": key}
    upload: Any = {**it, "UploadId": once.create_multipart_upload(**it)["UploadId"]}
    etag = once.upload_part(**upload, PartNumber=1, Body=BODY)["ETag"]
    once.list_parts(**upload)
    once.list_multipart_uploads(Bucket=bucket)
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    once.complete_multipart_upload(**upload, MultipartUpload=parts)
    upload["UploadId"] = once.create_multipart_upload(**it)["UploadId"]
    once.upload_part_copy(**upload, PartNumber=7, CopySource=it)
    once.abort_multipart_upload(**upload)
    assert [x.operation for x in proxy.log] == [
        "CreateMultipartUpload",
        "UploadPart",
        "ListParts",
        "ListMultipartUploads",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "UploadPartCopy",
        "AbortMultipartUpload",
    ]
    assert [x.part_number for x in proxy.log if x.part_number] == [1, 7]


@pytest.mark.parametrize(
    ("request_line", "headers", "operation"),
    [
        ("GET /", {}, "other"),
        ("GET /b?list-type=2&prefix=", {}, "ListObjectsV2"),
        ("GET /b?versions", {}, "other"),
        ("PUT /b", {}, "CreateBucket"),
        ("PUT /b?versioning", {}, "other"),
        ("HEAD /b/", {}, "HeadBucket"),
        ("POST /b?delete", {}, "DeleteObjects"),
        ("PUT /b/k?tagging", {}, "other"),
        ("PUT /b/k?x-id=PutObject", {}, "PutObject"),
        ("PUT /b/k", {"x-amz-copy-source": "b/j"}, "CopyObject"),
        ("GET /b/k/with/more?versionId=1", {}, "GetObject"),
        ("PATCH /b/k", {}, "PATCH"),
        ("OPTIONS /b/k", {}, "other"),
    ],
)
def test_operations(request_line: str, headers: dict[str, str], operation: str) -> None:
    method, _, target = request_line.partition(" ")
    path, _, query = target.partition("?")
    pairs = dict(pair.partition("=")[::2] for pair in query.split("&") if pair)
    assert classify(method, path, pairs, headers) == operation


def test_an_answer_without_a_length(once: S3Client, bucket: str, key: str) -> None:
    """SeaweedFS answers long lists in chunks."""
    for number in range(30):
        once.put_object(Bucket=bucket, Key=f"{key}/{'x' * 200}{number}", Body=b"")
    assert once.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 30


def test_https_to_the_client(seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Proxy(seaweedfs.endpoint_url, tls=context) as proxy:
        there = replace(seaweedfs, endpoint_url=proxy.url, ca_bundle=str(tmp_path / "ca.pem"))
        client = there.client()
        client.put_object(Bucket=bucket, Key=key, Body=BODY)  # aws-chunked, with a trailer
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY
        assert proxy.of("PutObject")[0].size == len(BODY)
        proxy.inject("PutObject", FlipByte(at=1000))
        with pytest.raises(ClientError):
            there.client(retries=ONCE).put_object(Bucket=bucket, Key=key, Body=BODY)
        proxy.inject("PutObject", ResetAfterBody())
        with pytest.raises(Broken):
            there.client(retries=ONCE).put_object(Bucket=bucket, Key=key, Body=BODY)


# --- each fault ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(),
        ResetBeforeBody(),
        ResetInBody(),
        ResetInBody(MIB),
        BreakInBody(MIB),
        ResetAfterBody(),
    ],
    ids=repr,
)
def test_a_broken_connection(
    fault: Fault,
    once: S3Client,
    direct: S3Client,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
) -> None:
    proxy.inject("PutObject", fault)
    with pytest.raises(Broken):
        once.put_object(Bucket=bucket, Key=key, Body=BODY)
    (exchange,) = proxy.log
    assert proxy.injected == [(fault, exchange)]
    assert (exchange.fault, exchange.status, exchange.store_status) == (fault, None, None)
    assert exchange.finished
    assert not is_there(direct, bucket, key)

    proxied.client().put_object(Bucket=bucket, Key=key, Body=BODY)  # the rule is used up
    assert is_there(direct, bucket, key)


def test_a_lost_answer(
    once: S3Client, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", LoseAnswer())
    with pytest.raises(Broken):
        once.put_object(Bucket=bucket, Key=key, Body=BODY)
    ((fault, exchange),) = proxy.injected
    assert (fault, exchange.status, exchange.store_status) == (LoseAnswer(), None, 200)
    assert is_there(direct, bucket, key)


def test_a_client_that_tries_again_gets_through(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", LoseAnswer())
    proxy.inject("PutObject", ResetInBody(1000))
    proxied.client().put_object(Bucket=bucket, Key=key, Body=BODY)
    assert [x.status for x in proxy.of("PutObject")] == [None, None, 200]


def test_another_server_takes_over(seaweedfs: Server, bucket: str, key: str) -> None:
    with Proxy("http://127.0.0.1:1") as proxy:  # where nobody listens
        client = replace(seaweedfs, endpoint_url=proxy.url).client(retries=ONCE)
        with pytest.raises(Broken):
            client.head_bucket(Bucket=bucket)
        proxy.turn_to(seaweedfs.endpoint_url)
        client.head_bucket(Bucket=bucket)
        with pytest.raises(ValueError, match="speaks http to the store, not https"):
            proxy.turn_to("https://127.0.0.1:1")


def test_an_answer_of_the_proxy(
    once: S3Client, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    fault = Answer(503, "SlowDown", "less & slower", headers=(("Retry-After", "7"),))
    proxy.inject(ANY, fault, times=None)
    with pytest.raises(ClientError, match="less & slower") as caught:
        once.put_object(Bucket=bucket, Key=key, Body=BODY)
    assert caught.value.response["Error"]["Code"] == "SlowDown"
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    with pytest.raises(ClientError, match="503"):
        once.head_object(Bucket=bucket, Key=key)
    assert [(x.status, x.store_status, x.fault) for x in proxy.log] == [(503, None, fault)] * 2
    assert not is_there(direct, bucket, key)
    proxy.clear()
    once.put_object(Bucket=bucket, Key=key, Body=BODY)


def test_an_answer_without_a_body_is_followed_by_the_next(proxy: Proxy) -> None:
    proxy.inject("DeleteObject", Answer(204, "NoContent"))
    proxy.inject("DeleteObject", Answer(503, "SlowDown"))
    host, port = proxy.url.removeprefix("http://").split(":")
    received = b""
    with socket.create_connection((host, int(port))) as client:
        for end in (b"\r\n\r\n", b"</Error>"):
            client.sendall(b"DELETE /bucket/key HTTP/1.1\r\nHost: store\r\n\r\n")
            while end not in received:
                received += client.recv(4096)
    assert received.count(b"HTTP/1.1 ") == 2
    assert received.count(b"<Error>") == 1


def test_an_error_in_200(once: S3Client, proxy: Proxy, bucket: str, key: str) -> None:
    it: Any = {"Bucket": bucket, "Key": key}
    once.put_object(**it, Body=BODY)
    proxy.inject("CopyObject", ErrorIn200("InternalError"))
    with pytest.raises(ClientError, match="InternalError"):
        once.copy_object(**it, CopySource=it)
    assert proxy.of("CopyObject")[0].status == 200


@pytest.mark.parametrize("at", [0, 5 * MIB, len(BODY) - 1])
def test_a_flipped_byte_is_stored_when_nothing_checks(
    at: int, seaweedfs: Server, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    config = {"payload_signing_enabled": False}
    unsigned = replace(seaweedfs, endpoint_url=proxy.url).client(
        s3=config, request_checksum_calculation="when_required", signature_version="s3v4"
    )
    proxy.inject("PutObject", FlipByte(at))
    url = unsigned.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key})
    _put(url, BODY)
    got = direct.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert [i for i in (0, 5 * MIB, len(BODY) - 1) if got[i] != BODY[i]] == [at]
    assert len(got) == len(BODY)
    assert proxy.injected[0][0] == FlipByte(at)


def _put(url: str, body: bytes) -> None:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data=body, method="PUT")) as answer:
        assert answer.status == 200


def test_a_flipped_byte_is_refused_when_a_checksum_goes_with_it(
    once: S3Client, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", FlipByte(at=MIB))
    with pytest.raises(ClientError):
        once.put_object(Bucket=bucket, Key=key, Body=BODY)
    assert not is_there(direct, bucket, key)


def test_nothing_to_flip(once: S3Client, proxy: Proxy, bucket: str, key: str) -> None:
    proxy.inject("PutObject", FlipByte())
    once.put_object(Bucket=bucket, Key=key, Body=b"")
    assert proxy.injected == []


def test_a_delay(proxied: Server, direct: S3Client, proxy: Proxy, bucket: str, key: str) -> None:
    proxy.inject("PutObject", Delay(30))
    hasty = proxied.client(retries=ONCE, read_timeout=0.2)
    with pytest.raises(HTTPClientError):
        hasty.put_object(Bucket=bucket, Key=key, Body=BODY)
    proxy.close()  # does not sit the delay out, nor forward what was delayed
    assert not is_there(direct, bucket, key)
    proxy.close()  # again


@pytest.mark.parametrize("kind", [Hold, HoldInBody])
def test_a_hold_puts_requests_in_order(
    kind: type[Hold], proxied: Server, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    client, hold = proxied.client(), kind()
    proxy.inject("PutObject", hold, where=lambda x: x.path.endswith("-first"))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(client.put_object, Bucket=bucket, Key=f"{key}-first", Body=BODY)
        proxy.wait_for("PutObject", 1)
        client.put_object(Bucket=bucket, Key=f"{key}-second", Body=BODY)
        proxy.wait_for("PutObject", 1, finished=True)
        assert [x.finished for x in proxy.log] == [False, True]
        assert not is_there(direct, bucket, f"{key}-first")
        assert not first.done()
        hold.event.set()
        first.result(120)
    assert is_there(direct, bucket, f"{key}-first")
    assert proxy.in_flight_peak("PutObject") == proxy.in_flight_peak() == 2


@pytest.mark.parametrize("fault", [Hold(), Hang()], ids=["hold", "hang"])
def test_closing_ends_what_is_held(
    fault: Fault, once: S3Client, direct: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", fault)
    with ThreadPoolExecutor() as pool:
        put = pool.submit(once.put_object, Bucket=bucket, Key=key, Body=BODY)
        proxy.wait_for("PutObject")
        proxy.close()
        with pytest.raises(Broken):
            put.result(120)
    assert not is_there(direct, bucket, key)
    assert not [t for t in threading.enumerate() if t.name == "fault-proxy" and t.is_alive()]


# --- ports ---------------------------------------------------------------------------------------


def test_a_port_is_given_once_to_all_who_start_servers_at_once() -> None:
    (port,) = servers._free_ports(1)
    asked = f"from tests.servers import _claim; print(_claim({port}), _claim({port + 10_000}))"
    root = Path(__file__).parent.parent
    other = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=root
    )
    assert other.stdout.split() == ["False", "False"]


# --- rules and counts ----------------------------------------------------------------------------


def test_rules_take_what_earlier_rules_left(
    once: S3Client, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", Answer(500, "First"), skip=1, times=2)
    proxy.inject("PutObject", Answer(500, "Second"), skip=2)
    for _ in range(6):
        with suppress(ClientError):
            once.put_object(Bucket=bucket, Key=key, Body=b"")
    happened = [(x.number, fault.code) for fault, x in proxy.injected if isinstance(fault, Answer)]
    assert happened == [(2, "First"), (3, "First"), (5, "Second")]
    assert [x.status for x in proxy.log] == [200, 500, 500, 200, 500, 200]
    assert proxy.count("PutObject") == proxy.count() == 6
    assert proxy.count("GetObject") == 0


def test_where(once: S3Client, proxy: Proxy, bucket: str, key: str) -> None:
    def is_small(exchange: Exchange) -> bool:
        return exchange.size < 10

    proxy.inject("PutObject", Answer(500, "Small"), times=None, where=is_small)
    once.put_object(Bucket=bucket, Key=key, Body=BODY)
    with pytest.raises(ClientError, match="Small"):
        once.put_object(Bucket=bucket, Key=key, Body=b"123456789")


def test_waiting_in_vain_says_what_was_seen(once: S3Client, proxy: Proxy, bucket: str) -> None:
    once.head_bucket(Bucket=bucket)
    with pytest.raises(TimeoutError, match=r"no 2 of HeadBucket in 0\.01 s; seen: HeadBucket"):
        proxy.wait_for("HeadBucket", 2, timeout=0.01)


def test_concurrency_is_seen(proxied: Server, proxy: Proxy, bucket: str, key: str) -> None:
    client = proxied.client()
    hold = Hold()
    proxy.inject("PutObject", hold, times=4)
    with ThreadPoolExecutor(4) as pool:
        puts = [
            pool.submit(client.put_object, Bucket=bucket, Key=f"{key}/{n}", Body=BODY)
            for n in range(12)
        ]
        proxy.wait_for("PutObject", 4)
        hold.event.set()
        for put in puts:
            put.result(120)
    assert proxy.in_flight_peak("PutObject") == 4
    assert proxy.count("PutObject") == 12
