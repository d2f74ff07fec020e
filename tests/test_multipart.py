"""An upload that is held, handed to other processes, looked at, completed and aborted."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from s3stream import (
    AlreadyExistsError,
    IntegrityError,
    MultipartUpload,
    NotFoundError,
    PreconditionError,
    Receipt,
    S3StreamError,
    UncertainError,
    UsageError,
)
from s3stream.checksums import ALGORITHMS
from s3stream.store.started import Ask, list_parts
from tests.faults import Answer, ChangeAnswer, FlipByte, Hold, LoseAnswer
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
DATA = bytes_of(2 * PART + 1000)
FEW_RETRIES = {"retries": {"mode": "standard", "total_max_attempts": 3}}


def create(store: Server, bucket: str, key: str, **options: Any) -> MultipartUpload:
    return MultipartUpload.create(f"s3://{bucket}/{key}", **store.storage_options(), **options)


def attach(store: Server, bucket: str, key: str, upload_id: str, **options: Any) -> MultipartUpload:
    where = f"s3://{bucket}/{key}"
    return MultipartUpload.attach(where, upload_id, **store.storage_options(), **options)


def send(upload: MultipartUpload, *numbers: int) -> list[Receipt]:
    return [
        upload.upload_part(number, DATA[(number - 1) * PART : number * PART]) for number in numbers
    ]


def test_parts_in_any_order_and_from_anything_make_the_object(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    upload = create(store, bucket, key, Metadata={"made": "by hand"})
    last = upload.upload_part_from_file(3, path, 2 * PART)
    upload.upload_part(np.int64(1), np.frombuffer(DATA, "uint8", PART).reshape(5, -1))
    with path.open("rb") as file:
        upload.upload_part_from_file(2, file, PART, PART)
    assert (last.part_number, last.size) == (3, 1000)
    assert [(part.part_number, part.size) for part in upload] == [(1, PART), (2, PART), (3, 1000)]
    assert "3 parts sent here" in repr(upload)

    result = upload.complete()

    assert content(store, bucket, key) == DATA
    assert (result.size, result.parts, result.key) == (len(DATA), 3, key)
    assert uploads(store, bucket, key) == []
    head = store.client().head_object(Bucket=bucket, Key=key)
    assert {name.lower(): value for name, value in head["Metadata"].items()}["made"] == "by hand"
    assert upload.complete() is result
    assert "committed" in upload.status
    if "checksums" not in CANNOT[store.name]:
        assert result.checksum is not None
        assert result.checksum.verified


FORKING = """
import os, pickle, sys, threading
from s3stream import MultipartUpload

uri, connection, part = pickle.loads(bytes.fromhex(sys.argv[1]))
upload = MultipartUpload.create(uri, **connection)
warm = upload.upload_part(9, b"a connection is in the pool now")
reading, writing = os.pipe()
child = os.fork()
mine = range(1, 9, 2) if child else range(2, 9, 2)
receipts = [upload.upload_part(number, bytes([number]) * part) for number in mine]
if not child:
    os.write(writing, pickle.dumps(receipts))
    os._exit(0)
os.close(writing)
with os.fdopen(reading, "rb") as pipe:
    receipts += pickle.load(pipe)
assert os.waitpid(child, 0)[1] == 0
print(upload.complete(receipts).parts)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_sends_over_connections_of_its_own(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    once = {"retries": {"total_max_attempts": 1}, "read_timeout": 20}
    options = {**seaweedfs.storage_options(), "config_kwargs": once}
    given = (f"s3://{bucket}/{key}", options, PART)
    run = subprocess.run(
        [sys.executable, "-c", FORKING, pickle.dumps(given).hex()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("9\n", 0), run.stderr
    joined = b"".join(bytes([number]) * PART for number in range(1, 9))
    assert content(seaweedfs, bucket, key) == joined + b"a connection is in the pool now"


def send_elsewhere(upload: MultipartUpload, number: int) -> Receipt:
    return send(upload, number)[0]


def test_processes_send_the_parts_of_one_object(store: Server, bucket: str, key: str) -> None:
    upload = create(store, bucket, key)
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawned) as pool:
        receipts = list(pool.map(send_elsewhere, [upload] * 3, [3, 1, 2]))
    assert sorted(receipt.part_number for receipt in receipts) == [1, 2, 3]
    result = upload.complete(receipts)
    assert content(store, bucket, key) == DATA
    assert result.checksum is not None
    assert result.checksum.verified or "checksums" in CANNOT[store.name]
    assert uploads(store, bucket, key) == []


KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "full": {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"},
    "composite": {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "COMPOSITE"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_of_another_program_is_taken_up(
    store: Server, bucket: str, key: str, kind: str
) -> None:
    client = store.client(request_checksum_calculation="when_required")
    name: dict[str, Any] = {"Bucket": bucket, "Key": key}
    upload_id = client.create_multipart_upload(**name, **KINDS[kind])["UploadId"]
    of_part: dict[str, Any] = {n: v for n, v in KINDS[kind].items() if n == "ChecksumAlgorithm"}
    client.upload_part(**name, UploadId=upload_id, PartNumber=1, Body=DATA[:PART], **of_part)
    # Where the store does not say which checksum it was started with, none is sent.
    upload = attach(store, bucket, key, upload_id)
    assert [part.part_number for part in upload] == [1]
    receipts = send(upload, 3, 2)
    declared = kind != "none" and "list-checksums" not in CANNOT[store.name]
    assert [receipt.crc is not None for receipt in receipts] == [declared] * 2
    if kind == "composite" and store.name == "seaweedfs":
        # It does not say that there is a checksum, and wants it all the same.
        with pytest.raises(S3StreamError, match="InvalidRequest"):
            upload.complete()
        upload.abort()
        return
    result = upload.complete()
    assert content(store, bucket, key) == DATA
    assert (result.size, result.parts) == (len(DATA), 3)
    assert uploads(store, bucket, key) == []
    if declared and kind == "full":
        assert result.checksum is not None
        assert result.checksum.verified


def test_a_checksum_that_the_store_does_not_name_can_be_said(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    begun = create(seaweedfs, bucket, key, checksum="crc32")
    receipts = send(begun, 1)
    upload = attach(seaweedfs, bucket, key, begun.upload_id, checksum="crc32")
    result = upload.complete([*receipts, *send(upload, 2)])
    assert result.checksum is not None
    assert (result.checksum.algorithm, result.checksum.verified) == ("crc32", True)


def test_an_upload_with_a_checksum_that_is_not_ours_is_not_taken_up(
    store: Server, bucket: str, key: str
) -> None:
    if "list-checksums" in CANNOT[store.name]:
        pytest.skip(f"{store.name} does not say with which checksum an upload was started")
    client = store.client()
    begun = client.create_multipart_upload(Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256")
    with pytest.raises(UsageError, match=r"started with SHA256; expected one of crc64nvme"):
        attach(store, bucket, key, begun["UploadId"])
    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=begun["UploadId"])


class OneAtATime(io.BytesIO):
    """A file that complains when another thread reads than the one that has sought."""

    by: int | None = None

    def seek(self, *where: int) -> int:
        self.by = threading.get_ident()
        at = super().seek(*where)
        time.sleep(0)  # the other threads may go on
        return at

    def read(self, size: int | None = -1) -> bytes:
        assert self.by == threading.get_ident()
        return super().read(size)


def test_threads_share_a_file(seaweedfs: Server, bucket: str, key: str) -> None:
    upload = create(seaweedfs, bucket, key)
    file = OneAtATime(DATA)

    def send_one(number: int) -> Receipt:
        return upload.upload_part_from_file(number, file, number * 10, 10)

    with ThreadPoolExecutor(6) as pool:
        receipts = list(pool.map(send_one, range(1, 61)))
    compute = ALGORITHMS["crc64nvme"].compute
    assert [r.crc for r in receipts] == [compute(DATA[n * 10 : n * 10 + 10]) for n in range(1, 61)]
    upload.abort()


def listed(**page: Any) -> Ask:
    """A store that lists parts as one pleases."""
    return lambda method, arguments, cancellation: page


@pytest.mark.parametrize(
    ("said", "checksum", "composite"),
    [
        ({}, None, False),
        ({"ChecksumAlgorithm": "CRC64NVME"}, "CRC64NVME", False),
        ({"ChecksumAlgorithm": "CRC32"}, "CRC32", True),
        ({"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}, "CRC32", False),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": "COMPOSITE"}, "CRC32C", True),
        ({"ChecksumAlgorithm": "SHA256", "ChecksumType": "COMPOSITE"}, "SHA256", True),
    ],
)
def test_what_a_listing_says_of_the_checksum(
    said: dict[str, str], checksum: str | None, composite: bool
) -> None:
    listing = list_parts(listed(**said), {}, {})
    assert (listing.parts, listing.checksum, listing.composite) == ({}, checksum, composite)


def test_the_newest_of_a_part_that_is_listed_twice_comes_last() -> None:
    def part(etag: str, second: int | None, number: int = 1) -> dict[str, Any]:
        at = (
            {}
            if second is None
            else {"LastModified": datetime(2026, 1, 1, 0, 0, second, tzinfo=timezone.utc)}
        )
        crc = {"ChecksumCRC32": "y/Q5Jg=="}
        return {"PartNumber": number, "Size": 5, "ETag": etag, **crc, **at}

    page = [part("b", 2), part("c", 3), part("a", 1), part("d", None, number=2)]
    listing = list_parts(listed(Parts=page, ChecksumAlgorithm="CRC32"), {}, {})
    assert [receipt.etag for receipt in listing.parts[1]] == ["a", "b", "c"]
    assert listing.doubtful == frozenset()
    assert listing.parts[2] == (Receipt(2, 5, "d", 0xCBF43926),)
    page += [part("e", 3), part("d", None, number=2), part("f", 4, number=3)]
    doubtful = list_parts(listed(Parts=page), {}, {})
    assert doubtful.doubtful == {1}
    assert len(doubtful.parts[2]) == 1  # the same, listed twice
    unnamed = list_parts(listed(Parts=page), {}, {})
    assert unnamed.parts[2] == (Receipt(2, 5, "d", None),)


def test_a_part_that_is_sent_again_takes_the_place_of_the_first(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    upload = create(seaweedfs, bucket, key)
    upload.upload_part(1, b"x" * PART)
    send(upload, 2, 1, 3)
    assert [part.part_number for part in upload] == [1, 2, 3]  # SeaweedFS lists four
    upload.complete()
    assert content(seaweedfs, bucket, key) == DATA


def test_all_pages_of_parts_are_listed(seaweedfs: Server, bucket: str, key: str) -> None:
    upload = create(seaweedfs, bucket, key, min_part_size=1, part_size=1)
    count = 1_001  # a page has a thousand
    for number in range(1, count + 1):
        upload.upload_part(number, b"x")
    assert [part.part_number for part in upload] == list(range(1, count + 1))
    upload.abort()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    ("sent", "number", "said"),
    [
        ((1, 3), 2, "never sent, and there are parts behind it"),
        ((2,), 1, "never sent"),
        ((), None, "no part has been sent"),
    ],
    ids=["a gap", "no first", "none"],
)
def test_gaps_are_refused_before_the_store_is_asked(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    sent: tuple[int, ...],
    number: int | None,
    said: str,
) -> None:
    upload = create(proxied, bucket, key)
    send(upload, *sent)
    with pytest.raises(S3StreamError, match=said) as caught:
        upload.complete()
    assert (caught.value.part_number, caught.value.upload_id) == (number, upload.upload_id)
    assert proxy.count("CompleteMultipartUpload") == 0
    # Nothing is lost: what was missing can be sent.
    send(upload, *({1, 2, 3} - {*sent}))
    upload.complete()
    assert content(seaweedfs, bucket, key) == DATA


def test_a_part_below_the_minimum_is_refused_before_the_store_is_asked(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    upload.upload_part(1, b"too small")
    send(upload, 2)
    with pytest.raises(S3StreamError, match=r"9 bytes.*min_part_size=5,242,880") as caught:
        upload.complete()
    assert caught.value.part_number == 1
    assert proxy.count("CompleteMultipartUpload") == 0
    upload.abort()


def test_a_part_that_somebody_else_has_replaced_is_not_published(
    store: Server, bucket: str, key: str
) -> None:
    upload = create(store, bucket, key)
    receipts = send(upload, 1, 2)
    other = pickle.loads(pickle.dumps(upload))
    if "part-twice" in CANNOT[store.name]:
        with pytest.raises(S3StreamError, match="cannot be replaced"):
            other.upload_part(2, b"something else")
        upload.abort()
        return
    other.upload_part(2, b"something else")
    if "list-parts-once" in CANNOT[store.name]:
        # It still has what we have sent, and takes that, for we name its ETag.
        upload.complete(receipts)
        assert content(store, bucket, key) == DATA[: 2 * PART]
        return
    for holder in (upload, attach(store, bucket, key, upload.upload_id)):
        with pytest.raises(S3StreamError, match=r"the store has 14 bytes.*somebody else") as caught:
            holder.complete(receipts)
        assert caught.value.part_number == 2
    assert not exists(store, bucket, key)
    upload.abort()
    assert_nothing(store, bucket, key)


def test_what_was_sent_twice_within_a_second_is_told_apart_by_its_etag(
    store: Server, bucket: str, key: str
) -> None:
    """SeaweedFS lists both, with times in whole seconds."""
    if "part-twice" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: a part is sent once")
    upload = create(store, bucket, key)
    for content_of in (b"first", b"second", b"third"):
        upload.upload_part(1, content_of)
    upload.complete()
    assert content(store, bucket, key) == b"third"


def test_with_receipts_only_what_they_name_is_published(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    upload = create(seaweedfs, bucket, key)
    driver = pickle.loads(pickle.dumps(upload))
    receipts = send(upload, 1, 2)
    pickle.loads(pickle.dumps(upload)).upload_part(3, b"of a task that was given up")
    with pytest.raises(S3StreamError, match="not among the receipts") as caught:
        driver.complete(receipts)
    assert caught.value.part_number == 3
    assert not exists(seaweedfs, bucket, key)
    assert driver.complete().parts == 3  # all that is there


def test_an_abort_leaves_nothing_and_is_the_end(store: Server, bucket: str, key: str) -> None:
    upload = create(store, bucket, key)
    send(upload, 1)
    elsewhere = pickle.loads(pickle.dumps(upload))
    upload.abort()
    upload.abort()
    assert_nothing(store, bucket, key)
    with pytest.raises(ValueError, match="it was aborted"):
        send(upload, 2)
    with pytest.raises(ValueError, match="it was aborted"):
        upload.complete()
    # Where the store has not been heard of, it is asked.
    with pytest.raises(NotFoundError):
        attach(store, bucket, key, upload.upload_id)
    elsewhere.abort()
    assert not exists(store, bucket, key)


@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_answer_to_complete_is_settled_by_looking(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, times: int
) -> None:
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), times=times)
    upload = create(proxied, bucket, key, config_kwargs=FEW_RETRIES)
    send(upload, 1, 2, 3)
    assert upload.complete().size == len(DATA)
    assert len(proxy.injected) == times
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("condition", [{}, {"if_none_match": "*"}], ids=["any", "exclusive"])
def test_who_completes_second_and_has_the_receipts_learns_that_it_is_there(
    store: Server, bucket: str, key: str, condition: dict[str, str]
) -> None:
    if condition and "if-none-match-complete" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: the condition is refused")
    upload = create(store, bucket, key, **condition)
    receipts = send(upload, 1, 2, 3)
    second = pickle.loads(pickle.dumps(upload))
    done = upload.complete()
    if not condition and "multipart-etag" in CANNOT[store.name]:
        with pytest.raises(UncertainError, match="not what these parts make"):
            second.complete(receipts)
        return
    assert second.complete(receipts).size == done.size
    assert second.complete(receipts).checksum == done.checksum or store.name == "ceph"
    with pytest.raises(NotFoundError):
        pickle.loads(pickle.dumps(upload)).complete()


def test_an_upload_that_is_gone_is_not_asked_for_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    receipts = send(upload, 1, 2)
    pickle.loads(pickle.dumps(upload)).abort()
    with pytest.raises(NotFoundError, match="has not become this object"):
        upload.complete(receipts)
    # And when there is an object, whose is it?
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"something else")
    with pytest.raises(UncertainError, match="14 bytes"):
        upload.complete(receipts)
    assert proxy.count("CompleteMultipartUpload") == 0
    assert content(seaweedfs, bucket, key) == b"something else"


@pytest.mark.parametrize("status", [403, 405, 501])
def test_who_may_not_list_completes_by_receipts(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, status: int
) -> None:
    upload = create(proxied, bucket, key)
    driver = pickle.loads(pickle.dumps(upload))
    receipts = send(upload, 1, 3, 2)
    proxy.inject("ListParts", Answer(status, "AccessDenied"), times=None)
    with pytest.raises(S3StreamError):
        driver.complete()
    with pytest.raises(S3StreamError, match="cannot list the parts"):
        upload.complete()  # there may be more than what it has sent itself
    with pytest.raises(S3StreamError, match="never sent"):
        pickle.loads(pickle.dumps(upload)).complete(receipts[:2])
    assert driver.complete(receipts).parts == 3
    assert len(proxy.injected) == 4
    assert content(seaweedfs, bucket, key) == DATA


def test_an_interrupted_complete_is_uncertain_until_it_is_asked_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    send(upload, 1)
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold)

    def interrupt() -> None:
        proxy.wait_for("CompleteMultipartUpload", 1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        upload.complete()
    interrupting.join()
    assert "uncertain" in upload.status
    with pytest.raises(ValueError, match="before you abort it"):
        upload.abort()
    hold.release()
    assert upload.complete().size == PART
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == DATA[:PART]
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("then", ["lost", "refused"])
def test_what_nobody_can_know_is_uncertain_and_left_alone(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, then: str
) -> None:
    upload = create(proxied, bucket, key, config_kwargs=FEW_RETRIES)
    send(upload, 1)
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), times=1)
    # A refusal of the second attempt says nothing of the first.
    second = LoseAnswer() if then == "lost" else Answer(403, "AccessDenied")
    proxy.inject("CompleteMultipartUpload", second, times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    with pytest.raises(UncertainError) as caught:
        upload.complete()
    assert caught.value.upload_id == upload.upload_id
    assert len(proxy.injected) >= 2
    assert "uncertain" in upload.status
    with pytest.raises(ValueError, match="uncertain"):
        upload.abort()
    assert proxy.count("AbortMultipartUpload") == 0
    proxy.clear()
    assert upload.complete().size == PART
    assert content(seaweedfs, bucket, key) == DATA[:PART]


def test_a_complete_that_fails_can_be_tried_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    send(upload, 1)
    proxy.inject("CompleteMultipartUpload", Answer(403, "AccessDenied", "not today"), times=1)
    with pytest.raises(PermissionError):
        upload.complete()
    assert len(proxy.injected) == 1
    assert upload.complete().size == PART
    assert content(seaweedfs, bucket, key) == DATA[:PART]


def test_an_exclusive_upload_does_not_replace_and_knows_its_own_elsewhere_too(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    first, second = (
        create(proxied, bucket, key, if_none_match="*", config_kwargs=FEW_RETRIES) for _ in "12"
    )
    send(first, 1)
    send(second, 1)
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), times=1)
    assert pickle.loads(pickle.dumps(first)).complete().size == PART
    assert len(proxy.injected) == 1
    with pytest.raises(AlreadyExistsError):
        second.complete()
    second.abort()
    assert uploads(seaweedfs, bucket, key) == []


def test_parts_are_copied_at_the_store(store: Server, bucket: str, key: str) -> None:
    source = f"source-of-{key}"
    store.client().put_object(Bucket=bucket, Key=source, Body=DATA)
    upload = create(store, bucket, key)
    uri = f"s3://{bucket}/{source}"
    if "part-copy" in CANNOT[store.name]:
        with pytest.raises(S3StreamError, match="does not copy parts"):
            upload.copy_part(1, uri)
        upload.abort()
        return
    assert upload.copy_part(1, uri).size == len(DATA)
    assert upload.copy_part(2, uri, (PART, len(DATA))).size == len(DATA) - PART
    assert upload.upload_part(3, b"the end").size == 7
    result = upload.complete()
    assert content(store, bucket, key) == DATA + DATA[PART:] + b"the end"
    assert (result.size, result.parts) == (2 * len(DATA) - PART + 7, 3)
    assert uploads(store, bucket, key) == []


def test_a_whole_object_is_copied_without_a_range(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """A range asks for the right to read it in pieces, and some stores take none for small ones."""
    source = f"source-of-{key}"
    proxied.client().put_object(Bucket=bucket, Key=source, Body=b"0123456789")
    upload = create(proxied, bucket, key)
    upload.copy_part(1, f"s3://{bucket}/{source}")
    upload.copy_part(1, f"s3://{bucket}/{source}", (0, 10))
    sent = [copy.request_headers for copy in proxy.of("UploadPartCopy")]
    assert ["x-amz-copy-source-range" in headers for headers in sent] == [False, True]
    assert all("x-amz-copy-source-if-match" in headers for headers in sent)
    upload.abort()


def test_a_source_that_cannot_be_copied_is_refused(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    source = f"source-of-{key}"
    seaweedfs.client().put_object(Bucket=bucket, Key=source, Body=b"0123456789")
    upload = create(seaweedfs, bucket, key)
    with pytest.raises(NotFoundError):
        upload.copy_part(1, f"s3://{bucket}/{key}/nothing")
    for wrong in ((0, 11), (5, 5), (-1, 3)):
        with pytest.raises(UsageError, match=r"byte_range=.*has 10 bytes"):
            upload.copy_part(1, f"s3://{bucket}/{source}", wrong)
    assert list(upload) == []
    upload.abort()


def test_wrong_input_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"0123456789")
    upload = create(proxied, bucket, key)
    for number in (0, -1, 10_001, True, "1", 1.0, None):
        with pytest.raises(UsageError, match=r"part number .*expected 1 to 10,000"):
            upload.upload_part(number, b"data")  # type: ignore[arg-type]
    for nothing in (b"", np.empty((0, 3))):
        with pytest.raises(UsageError, match="a part of 0 bytes"):
            upload.upload_part(1, nothing)
    for file in (path, io.BytesIO(b"0123456789")):
        with pytest.raises(UsageError, match=r"offset=-1, size=4: the file ends after 10 bytes"):
            upload.upload_part_from_file(1, file, -1, 4)
        with pytest.raises(UsageError, match=r"offset=5, size=6: the file ends after 10 bytes"):
            upload.upload_part_from_file(1, file, 5, 6)
    with pytest.raises(TypeError, match="a part of str"):
        upload.upload_part(1, "text")
    with pytest.raises(TypeError, match="C-contiguous"):
        upload.upload_part(1, memoryview(b"0123")[::2])
    with pytest.raises(UsageError, match="a part of 0 bytes"):
        upload.upload_part_from_file(1, io.BytesIO(b"0123"), 4)
    assert proxy.count("UploadPart") == 0
    upload.abort()
    for uri in ("s3://", f"s3://{bucket}", "file:///tmp/x", key):
        with pytest.raises(UsageError):
            MultipartUpload.create(uri)
    with pytest.raises(UsageError, match="part_sise"):
        create(proxied, bucket, key, part_sise=7)
    with pytest.raises(UsageError, match="belong to create"):
        attach(proxied, bucket, key, "an id", if_none_match="*")
    assert proxy.count("CreateMultipartUpload") == 1


def test_with_a_client_of_ones_own_it_stays_in_its_process(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    upload = MultipartUpload.create(f"s3://{bucket}/{key}", client=seaweedfs.client())
    with pytest.raises(TypeError, match="client= cannot be pickled"):
        pickle.dumps(upload)
    upload.abort()


def test_a_checksum_that_is_not_that_of_the_parts_publishes_nothing(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    upload = create(seaweedfs, bucket, key)
    receipt = upload.upload_part(1, DATA)
    assert receipt.crc is not None
    wrong = replace(receipt, crc=receipt.crc ^ 1)
    with pytest.raises(S3StreamError):
        upload.complete([wrong])
    upload.abort()
    assert_nothing(seaweedfs, bucket, key)


def test_a_source_that_is_replaced_between_two_ranges_is_not_torn(
    store: Server, bucket: str, key: str
) -> None:
    if "part-copy" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: copy parts")
    source = f"source-of-{key}"
    client = store.client()
    client.put_object(Bucket=bucket, Key=source, Body=b"a" * 2 * PART)
    upload = create(store, bucket, key)
    upload.copy_part(1, f"s3://{bucket}/{source}", (0, PART))
    client.put_object(Bucket=bucket, Key=source, Body=b"b" * 2 * PART)
    with pytest.raises(PreconditionError):
        upload.copy_part(2, f"s3://{bucket}/{source}", (PART, 2 * PART))
    upload.abort()


def test_a_part_from_a_file_is_sent_whole_when_it_is_sent_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    proxy.inject("UploadPart", FlipByte(at=7))
    upload = create(proxied, bucket, key)
    upload.upload_part_from_file(1, path)
    assert len(proxy.injected) == 1
    assert [part.size for part in proxy.of("UploadPart")] == [len(DATA)] * 2
    upload.complete()
    assert content(seaweedfs, bucket, key) == DATA


@pytest.mark.parametrize("upload_id", ["", None])
def test_without_an_id_nothing_is_attached_to(
    proxied: Server, proxy: Proxy, bucket: str, key: str, upload_id: Any
) -> None:
    with pytest.raises(UsageError, match="upload_id="):
        attach(proxied, bucket, key, upload_id)
    assert proxy.log == []


def test_a_part_that_comes_too_late_is_told_so(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    send(upload, 1, 2)
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold)
    with ThreadPoolExecutor(1) as pool:
        completing = pool.submit(upload.complete)
        proxy.wait_for("CompleteMultipartUpload", 1)
        with pytest.raises(S3StreamError, match="is not in the object") as caught:
            send(upload, 3)
        hold.release()
        assert completing.result().parts == 2
    assert caught.value.part_number == 3
    assert content(seaweedfs, bucket, key) == DATA[: 2 * PART]


def test_several_that_complete_at_once_agree(store: Server, bucket: str, key: str) -> None:
    if "complete-at-once" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: complete-at-once")
    upload = create(store, bucket, key)
    receipts = send(upload, 1, 2, 3)
    copies = [pickle.loads(pickle.dumps(upload)) for _ in range(4)]

    def complete(copy: MultipartUpload) -> int | None:
        try:
            return copy.complete(receipts).size
        except UncertainError:
            # Without an ETag of the parts nothing proves it.
            assert "multipart-etag" in CANNOT[store.name]
            return None

    with ThreadPoolExecutor(4) as pool:
        sizes = set(pool.map(complete, copies))
    assert sizes - {None} == {len(DATA)}
    assert content(store, bucket, key) == DATA
    assert uploads(store, bucket, key) == []


def test_parts_that_are_not_listed_at_once_are_looked_for_again(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """So SeaweedFS shows an upload that somebody else is completing, just before it is gone."""
    upload = create(proxied, bucket, key)
    receipts = send(upload, 1)
    hidden = ChangeAnswer(rb"<PartNumber>1<", rb"<PartNumber>2<")
    proxy.inject("ListParts", hidden, times=1)
    assert upload.complete(receipts).size == PART
    assert [fault for fault, _ in proxy.injected] == [hidden]
    assert content(proxied, bucket, key) == DATA[:PART]


@pytest.mark.parametrize("status", [500, 504])
def test_an_error_of_the_store_while_completing_is_not_the_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, status: int
) -> None:
    """A gateway may have given up what the store then carries out."""
    upload = create(proxied, bucket, key, config_kwargs=FEW_RETRIES)
    send(upload, 1)
    proxy.inject("CompleteMultipartUpload", Answer(status, "InternalError"), times=None)
    with pytest.raises(UncertainError, match="did not say whether the object was published"):
        upload.complete()
    proxy.clear()
    proxy.inject("CompleteMultipartUpload", Answer(403, "AccessDenied"))
    with pytest.raises(PermissionError):
        upload.complete()
    assert "uncertain" in upload.status  # of the first attempt that says nothing
    with pytest.raises(ValueError, match="before you abort it"):
        upload.abort()
    assert upload.complete().size == PART
    assert len(proxy.injected) == 4
    assert content(seaweedfs, bucket, key) == DATA[:PART]


def test_what_was_uncertain_and_is_gone_can_be_laid_to_rest(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key, config_kwargs=FEW_RETRIES)
    send(upload, 1)
    elsewhere = pickle.loads(pickle.dumps(upload))
    proxy.inject("CompleteMultipartUpload", Answer(500, "InternalError"), times=None)
    with pytest.raises(S3StreamError):
        upload.complete()
    assert len(proxy.injected) == 3
    elsewhere.abort()
    with pytest.raises(NotFoundError):
        upload.complete()
    upload.abort()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("receipt", [None, (1, 5), Receipt(1, PART, '"e"', "y/Q5Jg==")])  # type: ignore[arg-type]
def test_what_is_no_receipt_changes_nothing(
    proxied: Server, proxy: Proxy, bucket: str, key: str, receipt: Any
) -> None:
    upload = create(proxied, bucket, key)
    with pytest.raises(UsageError, match="expected a Receipt"):
        upload.complete([receipt])
    assert "streaming" in upload.status
    assert proxy.count("ListParts") == 0
    upload.abort()


def test_an_object_that_is_not_what_was_sent_is_not_called_unpublished(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key)
    send(upload, 1)
    changed = ChangeAnswer(
        rb"(?i)(checksum-?crc64nvme[:>] ?)[A-Za-z0-9+/]{11}=", rb"\1AAAAAAAAAAA="
    )
    proxy.inject("CompleteMultipartUpload", changed)
    with pytest.raises(IntegrityError):
        upload.complete()
    assert len(proxy.injected) == 1
    assert "uncertain" in upload.status
    with pytest.raises(ValueError, match="before you abort it"):
        upload.abort()
    assert exists(seaweedfs, bucket, key)


def test_a_conflict_with_another_writer_is_not_an_object_that_exists(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    upload = create(proxied, bucket, key, if_none_match="*")
    send(upload, 1)
    answer = Answer(409, "ConditionalRequestConflict")
    proxy.inject("CompleteMultipartUpload", answer)
    with pytest.raises(PreconditionError, match="in the same moment") as caught:
        upload.complete()
    assert not isinstance(caught.value, FileExistsError)
    assert len(proxy.injected) == 1
    assert upload.complete().size == PART
