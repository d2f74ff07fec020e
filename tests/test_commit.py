"""A commit that is certain: lost answers, error bodies, conflicts; on stores that differ."""

from __future__ import annotations

import json
import socket
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import IntegrityError, S3StreamError, UncertainError
from tests.faults import Answer, ChangeAnswer, ErrorIn200, Fault, LoseAnswer, Meanwhile
from tests.looking import bytes_of, content, exists, uploads
from tests.proxy import Proxy
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 << 20
SMALL, LARGE = 100, 2 * PART + 1
FEW_RETRIES = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 3}}}


@pytest.fixture
def before(store: Server) -> Iterator[Proxy]:
    """A fault proxy before each store in turn."""
    with Proxy(store.endpoint_url) as proxy:
        yield proxy


def _open(store: Server, proxy: Proxy, bucket: str, key: str, **options: Any) -> Any:
    through = replace(store, endpoint_url=proxy.url)
    options = {"part_size": PART, **FEW_RETRIES, **options, **through.storage_options()}
    return s3stream.open(f"s3://{bucket}/{key}", **options)


def _commit_call(size: int) -> str:
    return "PutObject" if size == SMALL else "CompleteMultipartUpload"


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "complete"])
@pytest.mark.parametrize("times", [1, None], ids=["once", "for ever"])
def test_a_lost_answer_never_makes_a_failure_of_an_object_that_is_there(
    store: Server, before: Proxy, bucket: str, key: str, size: int, times: int | None
) -> None:
    before.inject(_commit_call(size), LoseAnswer(), times=times)
    file = _open(store, before, bucket, key)
    file.write(bytes_of(size))
    provable = size == SMALL or "multipart-etag" not in CANNOT[store.name]
    idempotent = "complete-twice" not in CANNOT[store.name]
    if provable or (idempotent and times == 1):
        file.close()
        assert file.result.size == size
    else:
        with pytest.raises(UncertainError, match=key) as raised:
            file.close()
        assert raised.value.upload_id is not None
    assert before.injected
    assert before.count("AbortMultipartUpload") == 0
    assert content(store, bucket, key) == bytes_of(size)
    assert uploads(store, bucket, key) == []


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "complete"])
def test_a_refusal_after_a_lost_answer_is_no_failure_of_an_object_that_is_there(
    store: Server, before: Proxy, bucket: str, key: str, size: int
) -> None:
    before.inject(_commit_call(size), LoseAnswer())
    before.inject(_commit_call(size), Answer(403, "AccessDenied"))
    file = _open(store, before, bucket, key)
    file.write(bytes_of(size))
    if size == SMALL or "multipart-etag" not in CANNOT[store.name]:
        file.close()
        assert file.result.size == size
    else:
        with pytest.raises(UncertainError):
            file.close()
    assert len(before.injected) == 2
    assert content(store, bucket, key) == bytes_of(size)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "complete"])
def test_a_lost_answer_to_an_exclusive_create_is_known_as_our_own(
    store: Server, before: Proxy, bucket: str, key: str, size: int
) -> None:
    ability = "if-none-match-put" if size == SMALL else "if-none-match-complete"
    if ability in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: {ability}")
    before.inject(_commit_call(size), LoseAnswer())
    file = _open(store, before, bucket, key, mode="xb")
    file.write(bytes_of(size))
    file.close()
    assert before.injected
    assert content(store, bucket, key) == bytes_of(size)
    assert uploads(store, bucket, key) == []


@pytest.mark.parametrize(
    "changed",
    [
        ChangeAnswer(rb"(?i)(content-length: )\d+", rb"\g<1>12345"),
        ChangeAnswer(rb"(?i)(x-amz-checksum-crc64nvme: )\S+", rb"\g<1>AAAAAAAAAAA="),
    ],
    ids=["size", "checksum"],
)
def test_an_object_that_is_our_own_and_not_whole_is_no_success(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, changed: ChangeAnswer
) -> None:
    file = _open(proxied, proxy, bucket, key, mode="xb")
    file.write(bytes_of(SMALL))
    proxy.inject("PutObject", LoseAnswer())
    proxy.inject("HeadObject", changed)
    with pytest.raises(IntegrityError, match="the store has"):
        file.close()
    assert len(proxy.injected) == 2
    assert content(seaweedfs, bucket, key) == bytes_of(SMALL)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "complete"])
def test_an_equal_object_of_another_writer_is_not_taken_for_our_own(
    store: Server, before: Proxy, bucket: str, key: str, size: int
) -> None:
    ability = "if-none-match-put" if size == SMALL else "if-none-match-complete"
    if ability in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: {ability}")
    before.inject(_commit_call(size), Answer(503, "SlowDown"))
    file = _open(store, before, bucket, key, mode="xb")
    file.write(bytes_of(size))
    store.client().put_object(Bucket=bucket, Key=key, Body=bytes_of(size))
    with pytest.raises(FileExistsError, match=key):
        file.close()
    assert before.injected
    assert uploads(store, bucket, key) == []


@pytest.mark.parametrize(
    "fault",
    [Answer(503, "SlowDown"), Answer(500, "InternalError"), ErrorIn200("InternalError")],
    ids=["503", "500", "error in 200"],
)
def test_a_complete_that_fails_once_is_retried(
    store: Server, before: Proxy, bucket: str, key: str, fault: Fault
) -> None:
    before.inject("CompleteMultipartUpload", fault)
    with _open(store, before, bucket, key) as file:
        file.write(bytes_of(LARGE))
    assert [injected for injected, _ in before.injected] == [fault]
    assert content(store, bucket, key) == bytes_of(LARGE)


@pytest.mark.parametrize(
    "fault",
    [Answer(503, "SlowDown"), ErrorIn200("InternalError"), Answer(403, "AccessDenied")],
    ids=["503", "error in 200", "403"],
)
def test_a_complete_that_never_comes_through_is_a_failure_and_leaves_nothing(
    store: Server, before: Proxy, bucket: str, key: str, fault: Fault
) -> None:
    before.inject("CompleteMultipartUpload", fault, times=None)
    file = _open(store, before, bucket, key)
    file.write(bytes_of(LARGE))
    with pytest.raises(S3StreamError, match=f"cannot publish.*{key}"):
        file.close()
    assert before.injected
    assert not exists(store, bucket, key)
    assert uploads(store, bucket, key) == []


def test_a_complete_that_a_gateway_gave_up_is_looked_for_after_the_abort(
    store: Server, before: Proxy, bucket: str, key: str
) -> None:
    client: Any = store.client()

    def carry_out() -> None:
        [upload_id] = uploads(store, bucket, key)
        listed = client.list_parts(Bucket=bucket, Key=key, UploadId=upload_id)["Parts"]
        checksum: Any = {"ChecksumType": "FULL_OBJECT"} if store.name == "localstack" else {}
        names = ("PartNumber", "ETag", "ChecksumCRC64NVME")
        client.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={
                "Parts": [{n: part[n] for n in names if n in part} for part in listed]
            },
            **checksum,
        )

    before.inject("CompleteMultipartUpload", Answer(504, "GatewayTimeout"), times=None)
    before.inject("AbortMultipartUpload", Meanwhile(carry_out))
    file = _open(store, before, bucket, key)
    file.write(bytes_of(LARGE))
    if "multipart-etag" in CANNOT[store.name]:  # nothing proves the object to be ours
        with pytest.raises(UncertainError, match="the upload is gone"):
            file.close()
    else:
        file.close()
        assert file.result.size == LARGE
    assert len(before.injected) == 4
    assert content(store, bucket, key) == bytes_of(LARGE)
    assert uploads(store, bucket, key) == []


def test_what_nobody_can_know_is_its_own_error_and_left_alone(
    store: Server, before: Proxy, bucket: str, key: str
) -> None:
    before.inject("CompleteMultipartUpload", Answer(503, "SlowDown"), times=None)
    before.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    file = _open(store, before, bucket, key)
    file.write(bytes_of(LARGE))
    with pytest.raises(UncertainError, match="did not say whether") as raised:
        file.close()
    assert uploads(store, bucket, key) == [raised.value.upload_id]
    assert before.count("AbortMultipartUpload") == 0
    store.client().abort_multipart_upload(
        Bucket=bucket, Key=key, UploadId=raised.value.upload_id or ""
    )


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "create"])
def test_a_store_that_was_never_reached_is_a_plain_failure(size: int) -> None:
    def produce(url: str) -> None:
        options: dict[str, Any] = {"endpoint_url": url, "key": "k", "secret": "s", **FEW_RETRIES}
        with s3stream.open("s3://bucket/key", **options) as file:
            file.write(bytes_of(size))

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens: connections are refused
        with pytest.raises(S3StreamError, match="EndpointConnectionError") as raised:
            produce(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert not isinstance(raised.value, UncertainError)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["put", "complete"])
def test_credentials_that_fail_after_a_lost_answer_are_no_word_about_the_object(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    size: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Botocore signs every attempt anew: the error of the second says nothing about the first."""
    call = _commit_call(size)
    provider = tmp_path / "provider.py"
    state = tmp_path / "gone"
    answer = {
        "Version": 1,
        "AccessKeyId": proxied.access_key,
        "SecretAccessKey": proxied.secret_key,
        # So near that botocore asks again for every request.
        "Expiration": (datetime.now(timezone.utc) + timedelta(seconds=300)).isoformat(),
    }
    provider.write_text(
        f"import os, sys\nif os.path.exists({str(state)!r}): sys.exit('no more')\n"
        f"print({json.dumps(answer)!r})\n",
        encoding="utf-8",
    )
    config = tmp_path / "config"
    config.write_text(
        f"[profile p]\ncredential_process = {sys.executable} {provider}\n", encoding="utf-8"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    lost = LoseAnswer()

    def end_the_provider(exchange: Exchange) -> bool:
        state.touch()
        return True

    proxy.inject(call, lost, where=end_the_provider)
    options = proxied.storage_options()
    file = s3stream.open(
        f"s3://{bucket}/{key}",
        part_size=PART,
        profile="p",
        endpoint_url=options["endpoint_url"],
        client_kwargs=options["client_kwargs"],
    )
    file.write(bytes_of(size))
    with pytest.raises(UncertainError, match="did not say whether the object was published"):
        file.close()
    assert [fault for fault, _ in proxy.injected] == [lost]
    assert content(seaweedfs, bucket, key) == bytes_of(size)
