"""Stores that fail: every call, every way; passing faults are ridden out, lasting ones are told.

Faults happen on the wire. A case counts only if the proxy has logged its fault; then a second
client looks at the store.
"""

from __future__ import annotations

import json
import ssl
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme

import s3stream
from s3stream import IntegrityError, S3StreamError, TooLargeError, UncertainError
from tests.faults import (
    Answer,
    ChangeAnswer,
    Delay,
    ErrorIn200,
    Fault,
    FlipByte,
    Hang,
    LoseAnswer,
    Refuse,
    ResetAfterBody,
    ResetBeforeBody,
    ResetInBody,
)
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.proxy import Proxy
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Server

PART = 5 << 20
SMALL, LARGE = 100_000, 2 * PART + 1
ATTEMPTS = 3
FEW_ATTEMPTS = {"retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}}

# Which call, and how large an object has to be for it.
CALLS = {
    "CreateMultipartUpload": LARGE,
    "UploadPart": LARGE,
    "CompleteMultipartUpload": LARGE,
    "PutObject": SMALL,
}
EVERY_CALL = pytest.mark.parametrize("operation", CALLS)


@pytest.fixture
def before(store: Server) -> Iterator[Proxy]:
    """A fault proxy before each store in turn."""
    with Proxy(store.endpoint_url) as proxy:
        yield proxy


def _open(store: Server, proxy: Proxy, bucket: str, key: str, **options: Any) -> Any:
    through = replace(store, endpoint_url=proxy.url).storage_options()
    return s3stream.open(f"s3://{bucket}/{key}", **{"part_size": PART, **through, **options})


def _write(store: Server, proxy: Proxy, bucket: str, key: str, size: int, **options: Any) -> Any:
    with _open(store, proxy, bucket, key, **options) as file:
        file.write(bytes_of(size))
    return file


# -- faults that pass

PASSING: dict[str, list[Fault]] = {
    "503 twice": [Answer(503, "SlowDown")] * 2,
    "500 twice": [Answer(500, "InternalError")] * 2,
    "refused connection": [Refuse()],
    "reset before the body": [ResetBeforeBody()],
    "reset in the body": [ResetInBody(after=50_000)],
    "reset after the body": [ResetAfterBody()],
    "answer lost": [LoseAnswer()],
    "400 RequestTimeout": [Answer(400, "RequestTimeout")],
}


@EVERY_CALL
@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_a_fault_that_passes_is_ridden_out(
    store: Server,
    before: Proxy,
    bucket: str,
    key: str,
    operation: str,
    faults: list[Fault],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = isinstance(faults[0], LoseAnswer)
    unheard = not isinstance(faults[0], Answer)
    if lost and operation == "CompleteMultipartUpload" and "multipart-etag" in CANNOT[store.name]:
        pytest.skip("cannot be proved there: tests/test_commit.py shows that it is UNCERTAIN")
    for fault in faults:
        before.inject(operation, fault)
    file = _write(store, before, bucket, key, CALLS[operation])
    assert [(fault, x.operation) for fault, x in before.injected] == [
        (f, operation) for f in faults
    ]
    assert file.result.size == CALLS[operation]
    assert content(store, bucket, key) == bytes_of(CALLS[operation])
    left = uploads(store, bucket, key)
    if unheard and operation == "CreateMultipartUpload":
        # What the store has made of it nobody else can know: the log tells of it.
        assert len(left) <= lost
        assert f"{key}: the answer to CreateMultipartUpload was lost" in caplog.text
        for upload_id in left:
            store.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    else:
        assert left == []
        assert not [record for record in caplog.records if record.name == "s3stream"]


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_an_abort_rides_out_a_fault_that_passes(
    store: Server, before: Proxy, bucket: str, key: str, faults: list[Fault]
) -> None:
    for fault in faults:
        before.inject("AbortMultipartUpload", fault)
    file = _open(store, before, bucket, key)
    file.write(bytes_of(LARGE))
    file.discard()
    assert [fault for fault, _ in before.injected] == faults
    assert_nothing(store, bucket, key)


def test_answers_after_five_seconds_are_waited_for(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    slow = Delay(5)
    for operation in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"):
        proxy.inject(operation, slow)
    file = _write(proxied, proxy, bucket, key, LARGE)
    assert len(proxy.injected) == 3
    assert file.result.parts == 3
    assert content(seaweedfs, bucket, key) == bytes_of(LARGE)
    assert uploads(seaweedfs, bucket, key) == []


@EVERY_CALL
def test_a_request_that_is_never_answered_ends_at_the_read_timeout_and_is_sent_again(
    store: Server, before: Proxy, bucket: str, key: str, operation: str
) -> None:
    if operation == "CreateMultipartUpload" and store.name != "seaweedfs":
        pytest.skip("what is not forwarded is the same on every store")
    before.inject(operation, Hang())
    size = CALLS[operation]
    _write(store, before, bucket, key, size, config_kwargs={"read_timeout": 1})
    assert [x.operation for _, x in before.injected] == [operation]
    assert content(store, bucket, key) == bytes_of(size)
    assert uploads(store, bucket, key) == []


# -- bytes changed on the way


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_a_byte_changed_on_the_way_is_found_and_sent_again(
    store: Server,
    before: Proxy,
    bucket: str,
    key: str,
    operation: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if store.name == "rclone" or "signatures" in CANNOT[store.name]:
        pytest.skip(f"{store.name} does not compare the payload with what was signed")
    before.inject(operation, FlipByte(at=7))
    _write(store, before, bucket, key, CALLS[operation])
    assert len(before.injected) == 1
    assert "a byte was changed on the way" in caplog.text
    assert content(store, bucket, key) == bytes_of(CALLS[operation])
    assert uploads(store, bucket, key) == []


def test_a_part_in_a_temporary_file_is_sent_whole_when_it_is_sent_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", FlipByte(at=7))
    size = 3 * PART + 1
    s3stream.limit_memory(1 << 20)
    try:
        with _open(proxied, proxy, bucket, key) as file:
            file.write(bytes_of(size))
            peak = file.raw.peak_memory
    finally:
        s3stream.limit_memory(1 << 30)
    assert peak < size
    assert sum(part.size for part in proxy.of("UploadPart")) == size + PART
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == bytes_of(size)


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_over_https_the_checksum_finds_it(
    seaweedfs: Server, bucket: str, key: str, operation: str, tmp_path: Path
) -> None:
    """There the payload is not signed; whoever ends the TLS may still change a byte behind it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Proxy(seaweedfs.endpoint_url, tls=context) as proxy:
        proxy.inject(operation, FlipByte(at=7))
        secure = replace(seaweedfs, endpoint_url=proxy.url, ca_bundle=str(tmp_path / "ca.pem"))
        _write(secure, proxy, bucket, key, CALLS[operation])
        (sent,) = {x.request_headers["x-amz-content-sha256"] for x in proxy.of(operation)}
        assert len(proxy.injected) == 1
    assert sent == "UNSIGNED-PAYLOAD"
    assert content(seaweedfs, bucket, key) == bytes_of(CALLS[operation])
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("operation", ["UploadPart", "PutObject"])
def test_bytes_that_are_changed_again_and_again_fail_the_write(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    proxy.inject(operation, FlipByte(at=7), times=None)
    with pytest.raises(IntegrityError, match=key):
        _write(proxied, proxy, bucket, key, CALLS[operation], max_concurrency=1)
    assert len(proxy.injected) == 3
    assert_nothing(seaweedfs, bucket, key)


WRONG_CHECKSUM = ChangeAnswer(
    rb"(?i)(checksum-?crc64nvme[:>] ?)[A-Za-z0-9+/]{11}=", rb"\1AAAAAAAAAAA="
)


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload", "PutObject"])
def test_a_store_that_answers_with_another_checksum_is_not_believed(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    proxy.inject(operation, WRONG_CHECKSUM)
    with pytest.raises(IntegrityError, match="the store has crc64nvme AAAAAAAAAAA=, what was"):
        _write(proxied, proxy, bucket, key, CALLS[operation])
    assert len(proxy.injected) == 1
    assert uploads(seaweedfs, bucket, key) == []


def test_a_store_without_checksums_is_asked_for_the_size(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("HeadObject", ChangeAnswer(rb"(?i)(content-length: )\d+", rb"\g<1>12345"))
    with pytest.raises(IntegrityError, match="an object of 12,345 bytes, 10,485,761 were written"):
        _write(proxied, proxy, bucket, key, LARGE, checksum=None)
    assert len(proxy.injected) == 1


def test_a_store_that_does_not_let_us_look_is_believed(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    file = _write(proxied, proxy, bucket, key, LARGE, checksum=None)
    assert proxy.injected
    assert file.result.checksum is None
    assert content(seaweedfs, bucket, key) == bytes_of(LARGE)


# -- faults that last

LASTING: dict[str, tuple[Answer, type[Exception], str]] = {
    "403": (Answer(403, "AccessDenied", "not for you"), PermissionError, "not for you"),
    "404": (Answer(404, "NoSuchBucket"), FileNotFoundError, "there is no bucket"),
    "clock": (
        Answer(403, "RequestTimeTooSkewed", "", (("Date", "Mon, 01 Jan 2001 00:00:00 GMT"),)),
        PermissionError,
        r"this machine's clock says .*, the store's Mon, 01 Jan 2001",
    ),
    "expired": (Answer(400, "ExpiredToken"), PermissionError, "ExpiredToken"),
}


@EVERY_CALL
@pytest.mark.parametrize(("fault", "kind", "words"), LASTING.values(), ids=LASTING)
def test_a_refusal_is_raised_at_once_and_names_where(
    store: Server,
    before: Proxy,
    bucket: str,
    key: str,
    operation: str,
    fault: Answer,
    kind: type[Exception],
    words: str,
) -> None:
    before.inject(operation, fault, times=None)
    with pytest.raises(kind, match=words) as raised:
        _write(store, before, bucket, key, CALLS[operation], max_concurrency=1)
    error = raised.value
    assert isinstance(error, S3StreamError)
    assert (error.bucket, error.key) == (bucket, key)
    assert (error.upload_id is not None) is (operation in ("UploadPart", "CompleteMultipartUpload"))
    assert (error.part_number == 1) is (operation == "UploadPart")
    assert key in str(error)
    assert len(before.injected) == 1  # nothing is to be gained by asking again
    assert_nothing(store, bucket, key)


@EVERY_CALL
def test_a_store_that_stays_busy_is_given_up_when_the_attempts_are_spent(
    store: Server, before: Proxy, bucket: str, key: str, operation: str
) -> None:
    before.inject(operation, Answer(503, "SlowDown"), times=None)
    options = {"config_kwargs": FEW_ATTEMPTS, "max_concurrency": 1}
    with pytest.raises(S3StreamError, match=f"SlowDown.*after {ATTEMPTS} attempts.*{key}"):
        _write(store, before, bucket, key, CALLS[operation], **options)
    assert len(before.injected) == ATTEMPTS
    assert_nothing(store, bucket, key)


def test_ten_attempts_would_be_made_by_default(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    _write(proxied, proxy, bucket, key, LARGE)
    assert {x.request_headers["amz-sdk-request"] for x in proxy.log} == {"attempt=1; max=10"}


def test_a_complete_that_says_200_and_means_an_error_for_ever_fails(
    store: Server, before: Proxy, bucket: str, key: str
) -> None:
    before.inject("CompleteMultipartUpload", ErrorIn200("InternalError"), times=None)
    with pytest.raises(S3StreamError, match="InternalError"):
        _write(store, before, bucket, key, LARGE, config_kwargs=FEW_ATTEMPTS)
    assert len(before.injected) == ATTEMPTS
    assert_nothing(store, bucket, key)


def test_a_client_of_the_users_own_keeps_its_retries(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", Answer(500, "InternalError"), times=None)
    client = proxied.client(retries={"mode": "standard", "total_max_attempts": 2})
    with (
        pytest.raises(S3StreamError, match="after 2 attempts"),
        s3stream.open(f"s3://{bucket}/{key}", client=client) as file,
    ):
        file.write(b"x")
    assert len(proxy.injected) == 2


# -- credentials


def test_expired_credentials_are_fetched_anew_once(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = tmp_path / "asked"
    provider = tmp_path / "provider.py"
    answer = {
        "Version": 1,
        "AccessKeyId": proxied.access_key,
        "SecretAccessKey": proxied.secret_key,
        "Expiration": "2099-01-01T00:00:00Z",
    }
    provider.write_text(
        f"open({str(asked)!r}, 'a').write('x')\nprint({json.dumps(answer)!r})\n", encoding="utf-8"
    )
    config = tmp_path / "config"
    config.write_text(
        f"[profile theirs]\ncredential_process = {sys.executable} {provider}\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    proxy.inject("UploadPart", Answer(400, "ExpiredToken"))
    options = proxied.storage_options()
    connection = {
        "profile": "theirs",
        "endpoint_url": options["endpoint_url"],
        "client_kwargs": options["client_kwargs"],
    }
    with s3stream.open(f"s3://{bucket}/{key}", part_size=PART, **connection) as file:
        file.write(bytes_of(LARGE))
        assert asked.read_text(encoding="utf-8") in ("x", "xx")
    assert asked.read_text(encoding="utf-8") == "xx"
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == bytes_of(LARGE)
    assert uploads(seaweedfs, bucket, key) == []


# -- aborts


def test_an_abort_whose_parts_are_still_listed_is_repeated(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """What a part leaves that reached the store while its upload was being aborted."""
    proxy.inject("AbortMultipartUpload", Answer(204, "NoContent"))  # never reaches the store
    file = _open(proxied, proxy, bucket, key)
    file.write(bytes_of(LARGE))
    file.discard()
    assert len(proxy.injected) == 1
    assert proxy.count("AbortMultipartUpload") == proxy.count("ListParts") == 2
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("status", [403, 501])
def test_an_abort_whose_parts_may_not_be_listed_is_believed(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, status: int
) -> None:
    proxy.inject("ListParts", Answer(status, "AccessDenied"), times=None)
    file = _open(proxied, proxy, bucket, key)
    file.write(bytes_of(LARGE))
    file.discard()
    assert len(proxy.injected) == 1
    assert_nothing(seaweedfs, bucket, key)


def test_an_abort_that_never_works_says_so(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("AbortMultipartUpload", Answer(204, "NoContent"), times=None)
    file = _open(proxied, proxy, bucket, key)
    file.write(bytes_of(LARGE))
    with pytest.raises(s3stream.CleanupError, match="still lists parts after 3 aborts") as raised:
        file.discard()
    (upload_id,) = uploads(seaweedfs, bucket, key)
    assert raised.value.upload_id == upload_id
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


# -- limits


def test_more_parts_than_the_store_takes_are_refused_and_nothing_stays(
    store: Server, before: Proxy, bucket: str, key: str
) -> None:
    file = _open(store, before, bucket, key, max_parts=3, equal_parts=True)
    file.write(bytes_of(3 * PART))
    file.write(b"!")
    with pytest.raises(TooLargeError, match=r"15,728,641 bytes cannot fit: 3 parts") as raised:
        file.flush()
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    with pytest.raises(TooLargeError):
        file.close()
    assert before.count("CreateMultipartUpload") == 1
    assert_nothing(store, bucket, key)


def test_an_object_that_the_store_finds_too_large_is_refused_and_nothing_stays(
    store: Server, before: Proxy, bucket: str, key: str
) -> None:
    before.inject("CompleteMultipartUpload", Answer(400, "EntityTooLarge"), times=None)
    with pytest.raises(TooLargeError, match="EntityTooLarge"):
        _write(store, before, bucket, key, LARGE)
    assert before.injected
    assert_nothing(store, bucket, key)


# -- what cannot be known


def test_an_object_replaced_by_another_writer_after_a_lost_answer_is_uncertain(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", LoseAnswer(), times=None)
    proxy.inject("HeadObject", ChangeAnswer(rb"(?i)(content-length: )\d+", rb"\g<1>5"))
    with pytest.raises(UncertainError, match="the object there now has 5 bytes"):
        _write(proxied, proxy, bucket, key, SMALL, config_kwargs=FEW_ATTEMPTS)
    assert exists(seaweedfs, bucket, key)
