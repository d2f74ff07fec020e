"""An equal object of an earlier run is no place to leave an upload beside: removed, or said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import Dataset, MultipartUpload, S3StreamFileSystem, UncertainError, UploadResult
from tests.faults import Answer, ChangeAnswer, Fault, Meanwhile, ResetAfterBody
from tests.looking import bytes_of, content, uploads
from tests.proxy import Proxy
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Server

PART = 5 << 20
DATA = bytes_of(PART + 1)
FEW_ATTEMPTS = {"retries": {"mode": "standard", "total_max_attempts": 2}}
BUSY = Answer(503, "SlowDown")
DENIED = Answer(403, "AccessDenied")
# The store does it, and who stands between says that it did not.
DONE_AND_503 = ChangeAnswer(rb"(HTTP/1.1) 200 OK", rb"\1 503 Service Unavailable")


@pytest.fixture
def before(store: Server) -> Iterator[Proxy]:
    """A fault proxy before each store in turn."""
    with Proxy(store.endpoint_url) as proxy:
        yield proxy


def through(proxy: Proxy, store: Server) -> dict[str, Any]:
    options = replace(store, endpoint_url=proxy.url).storage_options()
    return {**options, "config_kwargs": FEW_ATTEMPTS}


def write(uri: str, options: dict[str, Any], **more: Any) -> UploadResult:
    with s3stream.open(uri, part_size=PART, **options, **more) as file:
        file.write(DATA)
    result: UploadResult = file.result
    return result


def an_earlier_run(store: Server, bucket: str, key: str) -> UploadResult:
    """An object that is older by the store's clock, whose seconds are all that it tells."""
    result = write(f"s3://{bucket}/{key}", store.storage_options(), Metadata={"run": "first"})
    client = store.client()
    written = client.head_object(Bucket=bucket, Key=key)["LastModified"]
    now = written
    while now <= written:
        client.put_object(Bucket=bucket, Key=f"clock-of-{key}")
        now = client.head_object(Bucket=bucket, Key=f"clock-of-{key}")["LastModified"]
    return result


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "s3stream"]


def test_an_upload_that_the_store_does_not_complete_is_not_left_beside_an_equal_object(
    store: Server, before: Proxy, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = an_earlier_run(store, bucket, key)
    before.inject("CompleteMultipartUpload", BUSY, times=None)
    again = {"Metadata": {"run": "second"}}
    if "multipart-etag" in CANNOT[store.name]:  # nothing proves whose the object is
        with pytest.raises(UncertainError) as raised:
            write(f"s3://{bucket}/{key}", through(before, store), **again)
        assert uploads(store, bucket, key) == [raised.value.upload_id]
    else:
        result = write(f"s3://{bucket}/{key}", through(before, store), **again)
        assert (result.etag, result.size) == (earlier.etag, len(DATA))
        assert uploads(store, bucket, key) == []
        [note] = said(caplog)
        assert f"s3://{bucket}/{key}: the store did not complete upload " in note
        assert "(SlowDown)" in note
        assert "the upload was removed" in note
    assert before.injected
    assert content(store, bucket, key) == DATA
    # What is there is what the note says: the earlier object.
    head = store.client().head_object(Bucket=bucket, Key=key)
    assert {n.lower(): value for n, value in head["Metadata"].items()}["run"] == "first"


def by_file(uri: str, options: dict[str, Any], path: Path) -> UploadResult:
    path.write_bytes(DATA)
    return s3stream.upload_file(path, uri, part_size=PART, **options)


def by_hand(uri: str, options: dict[str, Any], path: Path) -> UploadResult:
    upload = MultipartUpload.create(uri, **options)
    for number, start in enumerate(range(0, len(DATA), PART), 1):
        upload.upload_part(number, DATA[start : start + PART])
    return upload.complete()


def by_dataset(uri: str, options: dict[str, Any], path: Path) -> UploadResult:
    with s3stream.open(uri, part_size=PART, **options) as file:
        file.write(DATA)
        receipt = file.prepare()
    with Dataset(**options) as dataset:
        dataset.add(receipt)
    [result] = dataset.published
    return result


def by_resuming(uri: str, options: dict[str, Any], path: Path) -> UploadResult:
    with s3stream.open(uri, part_size=PART, **options) as file:
        file.write(DATA[:PART])
        checkpoint = file.suspend()
    with s3stream.resume(checkpoint, **options) as rest:
        rest.write(DATA[PART:])
    return rest.result


DOORS = {
    "upload_file": by_file,
    "MultipartUpload": by_hand,
    "Dataset": by_dataset,
    "resume": by_resuming,
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_nor_is_one_that_is_completed_otherwise(
    seaweedfs: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    door: Callable[[str, dict[str, Any], Path], UploadResult],
) -> None:
    an_earlier_run(seaweedfs, bucket, key)
    proxy.inject("CompleteMultipartUpload", BUSY, times=None)
    result = door(f"s3://{bucket}/{key}", through(proxy, seaweedfs), tmp_path / "file")
    assert proxy.injected
    assert result.size == len(DATA)
    assert uploads(seaweedfs, bucket, key) == []
    assert content(seaweedfs, bucket, key) == DATA
    assert "the upload was removed" in said(caplog)[-1]


def test_nor_is_that_of_a_copy(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=f"source-of-{key}", Body=DATA[:PART])
    seaweedfs.client().put_object(Bucket=bucket, Key=f"end-of-{key}", Body=DATA[PART:])
    an_earlier_run(seaweedfs, bucket, key)
    proxy.inject("CompleteMultipartUpload", BUSY, times=None)
    fs = S3StreamFileSystem(**through(proxy, seaweedfs), skip_instance_cache=True)
    fs.merge(f"{bucket}/{key}", [f"{bucket}/source-of-{key}", f"{bucket}/end-of-{key}"])
    assert proxy.injected
    assert uploads(seaweedfs, bucket, key) == []
    assert content(seaweedfs, bucket, key) == DATA
    assert "the upload was removed" in said(caplog)[-1]


@pytest.mark.parametrize(
    ("complete", "more", "why"),
    [
        (Answer(504, "GatewayTimeout"), {}, "the store may still be completing it"),
        (ResetAfterBody(), {}, "the store may still be completing it"),
        (BUSY, {"ListParts": DENIED}, "the store does not tell"),
        (BUSY, {"AbortMultipartUpload": DENIED}, "it could not be removed"),
    ],
    ids=["gateway gave up", "answers lost", "parts not shown", "abort refused"],
)
def test_an_upload_that_must_not_or_cannot_be_removed_is_named_and_no_failure(
    seaweedfs: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    caplog: pytest.LogCaptureFixture,
    complete: Fault,
    more: dict[str, Fault],
    why: str,
) -> None:
    an_earlier_run(seaweedfs, bucket, key)
    for operation, fault in ({"CompleteMultipartUpload": complete} | more).items():
        proxy.inject(operation, fault, times=None)
    assert write(f"s3://{bucket}/{key}", through(proxy, seaweedfs)).size == len(DATA)
    [upload_id] = uploads(seaweedfs, bucket, key)
    assert {fault for fault, _ in proxy.injected} == {complete, *more.values()}
    assert proxy.count("AbortMultipartUpload") == ("AbortMultipartUpload" in more)
    [note] = said(caplog)
    assert f"s3://{bucket}/{key}: an equal object is there, but upload {upload_id}" in note
    assert why in note
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def test_an_upload_that_may_have_become_the_object_is_not_aborted(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its parts could be the object's: SeaweedFS has taken them out of it."""

    def another_writer() -> None:
        write(f"s3://{bucket}/{key}", seaweedfs.storage_options())

    meanwhile = Meanwhile(another_writer)
    proxy.inject("CompleteMultipartUpload", BUSY, times=None)
    proxy.inject("HeadObject", meanwhile, times=1)
    assert write(f"s3://{bucket}/{key}", through(proxy, seaweedfs)).size == len(DATA)
    assert {fault for fault, _ in proxy.injected} == {BUSY, meanwhile}
    [upload_id] = uploads(seaweedfs, bucket, key)
    assert proxy.count("AbortMultipartUpload") == 0
    [note] = said(caplog)
    assert f"upload {upload_id} is left" in note
    assert "nothing tells whether the object was made of it" in note
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def test_one_that_has_become_the_object_is_neither_aborted_nor_spoken_of(
    seaweedfs: Server, proxy: Proxy, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.inject("CompleteMultipartUpload", DONE_AND_503, times=None)
    assert write(f"s3://{bucket}/{key}", through(proxy, seaweedfs)).size == len(DATA)
    assert [fault for fault, _ in proxy.injected] == [DONE_AND_503] * 2
    assert proxy.count("AbortMultipartUpload") == 0
    assert uploads(seaweedfs, bucket, key) == []
    assert content(seaweedfs, bucket, key) == DATA
    assert said(caplog) == []
