"""Mode `ab`: behind what is there, without fetching it, and losing nobody else's bytes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import pandas
import pytest

import s3stream
from s3stream import (
    PreconditionError,
    S3StreamError,
    UncertainError,
    UsageError,
)
from s3stream.store import look_at_predecessor
from tests.faults import Answer, ChangeAnswer, CutAnswer, Hold, LoseAnswer, Meanwhile
from tests.looking import bytes_of, content, uploads
from tests.proxy import ANY
from tests.servers import CANNOT

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
MORE = bytes_of(PART + 5, seed=2)


def append(store: Server, bucket: str, key: str, mode: str = "ab", **options: Any) -> Any:
    if "tagging" in CANNOT[store.name]:
        options.setdefault("Tagging", "")
    return s3stream.open(f"s3://{bucket}/{key}", mode, **store.storage_options(), **options)


def put(store: Server, bucket: str, key: str, size: int, **parameters: Any) -> bytes:
    body = bytes_of(size)
    store.client().put_object(Bucket=bucket, Key=key, Body=body, **parameters)
    return body


@pytest.mark.parametrize("more", [1, len(MORE)])
@pytest.mark.parametrize("size", [None, 0, 1000, PART, 2 * PART + 77])
def test_what_is_written_comes_behind_what_was_there(
    store: Server, bucket: str, key: str, size: int | None, more: int
) -> None:
    before = b"" if size is None else put(store, bucket, key, size)
    file = append(store, bucket, key)
    assert (file.tell(), file.mode) == (len(before), "ab")
    if len(before) >= PART and "part-copy" in CANNOT[store.name]:
        with pytest.raises(S3StreamError, match="does not copy parts"), file:
            file.write(MORE[:more])
        assert content(store, bucket, key) == before
        assert uploads(store, bucket, key) == []
        return
    file.write(MORE[:more])
    file.close()
    assert content(store, bucket, key) == before + MORE[:more]
    assert file.result.size == len(before) + more
    assert uploads(store, bucket, key) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_again_and_again_and_as_text(
    seaweedfs: Server, bucket: str, key: str, encoding: str
) -> None:
    for number in range(5):
        with append(seaweedfs, bucket, key, "a", encoding=encoding) as file:
            file.write(f"line {number}\n")
    text = "".join(f"line {number}\n" for number in range(5))
    assert content(seaweedfs, bucket, key).decode(encoding) == text


def test_whatever_opens_by_fsspec_appends(seaweedfs: Server, bucket: str, key: str) -> None:
    uri, connection = f"s3stream://{bucket}/{key}", seaweedfs.storage_options()
    for day in ("one", "two"):
        pandas.DataFrame({"day": [day]}).to_csv(
            uri, mode="a", header=False, index=False, storage_options=connection
        )
    with fsspec.open(uri, "ab", **connection) as file:
        file.write(b"three\n")
    assert content(seaweedfs, bucket, key) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("size", [1000, PART])
def test_what_belongs_to_the_object_goes_along(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if size == PART and "part-copy" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: copy parts")
    about = {
        "ContentType": "text/x-log",
        "CacheControl": "max-age=7",
        "Metadata": {"made": "by hand"},
    }
    tagged = {} if "tagging" in CANNOT[store.name] else {"Tagging": "kind=log&of=a%20b"}
    put(store, bucket, key, size, **about, **tagged)
    for _ in range(2):
        with append(store, bucket, key) as file:
            file.write(b"more")
    client = store.client()
    head = client.head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == "text/x-log"
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    assert metadata["made"] == "by hand"
    if store.name != "rclone":
        assert head["CacheControl"] == "max-age=7"
    if tagged:
        tags = client.get_object_tagging(Bucket=bucket, Key=key).get("TagSet", [])
        kept = size < PART or "multipart-tagging" not in CANNOT[store.name]
        expected = {"kind": "log", "of": "a b"} if kept else {}
        assert {tag["Key"]: tag["Value"] for tag in tags} == expected
    with append(store, bucket, key, ContentType="text/plain") as file:
        file.write(b"more")
    assert client.head_object(Bucket=bucket, Key=key)["ContentType"] == "text/plain"


@pytest.mark.parametrize("size", [1000, PART])
def test_the_customers_key_is_that_of_what_is_there_too(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if store.name not in {"seaweedfs", "localstack"}:
        pytest.skip(f"{store.name} takes no customer's key over http")
    secret: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef" * 2}
    before = put(store, bucket, key, size, **secret)
    file = append(store, bucket, key, **secret)
    file.write(b"more")
    if size == PART and store.name == "seaweedfs":
        with pytest.raises(S3StreamError, match=r"cannot copy.*NotImplemented"):
            file.close()
        assert uploads(store, bucket, key) == []
    else:
        file.close()
        before += b"more"
    with s3stream.open(f"s3://{bucket}/{key}", "rb", **secret, **store.storage_options()) as there:
        assert there.read() == before


def test_a_large_object_is_not_fetched(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = put(seaweedfs, bucket, key, 2 * PART)
    with append(proxied, bucket, key) as file:
        file.write(b"more")
        assert proxy.count("CreateMultipartUpload") == 0  # nothing before the first part
    assert proxy.count("GetObject") == 0
    assert proxy.count("UploadPartCopy") == 1
    assert [part.size for part in proxy.of("UploadPart")] == [4]
    assert content(seaweedfs, bucket, key) == before + b"more"


@pytest.mark.parametrize("size", [None, 0, 1000, PART])
def test_nothing_written_leaves_it_as_it_is(
    seaweedfs: Server, bucket: str, key: str, size: int | None
) -> None:
    before = b"" if size is None else put(seaweedfs, bucket, key, size)
    client = seaweedfs.client()
    etag = None if size is None else client.head_object(Bucket=bucket, Key=key)["ETag"]
    with append(seaweedfs, bucket, key) as file:
        pass
    assert content(seaweedfs, bucket, key) == before
    assert etag in {None, file.result.etag}
    assert file.result.size == len(before)
    assert etag in {None, client.head_object(Bucket=bucket, Key=key)["ETag"]}


@pytest.mark.parametrize("size", [None, 1000, PART])
def test_two_that_append_lose_nothing(
    store: Server, bucket: str, key: str, size: int | None
) -> None:
    if size == PART and "part-copy" in CANNOT[store.name]:
        pytest.skip(f"{store.name} cannot: copy parts")
    before = b"" if size is None else put(store, bucket, key, size)
    first, second = (append(store, bucket, key) for _ in "12")
    first.write(b"first")
    second.write(b"second")
    first.close()
    with pytest.raises(PreconditionError, match="replaced or deleted while it was appended to"):
        second.close()
    assert content(store, bucket, key) == before + b"first"
    assert uploads(store, bucket, key) == []


@pytest.mark.parametrize("size", [1000, PART])
def test_who_appends_in_the_very_last_moment_is_not_lost_where_the_store_can(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    before = put(seaweedfs, bucket, key, size)
    commit = "PutObject" if size == 1000 else "CompleteMultipartUpload"
    proxy.inject(commit, hold := Hold())
    file = append(proxied, bucket, key)
    file.write(b"ours")
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(file.close)
        proxy.wait_for(commit)
        with append(seaweedfs, bucket, key) as other:
            other.write(b"other")
        hold.release()
        assert isinstance(closing.exception(120), PreconditionError)
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == before + b"other"
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("size", [1000, PART])
def test_whose_answer_was_lost_and_who_was_appended_to_is_not_told_to_append_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    before = put(seaweedfs, bucket, key, size)

    def append_behind() -> None:
        with append(seaweedfs, bucket, key) as other:
            other.write(b"other")

    commit = "PutObject" if size == 1000 else "CompleteMultipartUpload"
    proxy.inject(commit, LoseAnswer())
    proxy.inject(commit, Meanwhile(append_behind))
    file = append(proxied, bucket, key)
    file.write(b"ours")
    with pytest.raises(UncertainError, match="did not say whether"):
        file.close()
    assert len(proxy.injected) == 2
    assert content(seaweedfs, bucket, key) == before + b"oursother"


def test_metadata_that_cannot_be_sent_again_is_refused_at_once(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = put(seaweedfs, bucket, key, 10, Metadata={"name": "Juergen"})
    proxy.inject("HeadObject", ChangeAnswer(b"Juergen", "J\u00fcrgen".encode()))
    with pytest.raises(UsageError, match="say its metadata yourself with Metadata="):
        append(proxied, bucket, key)
    assert len(proxy.injected) == 1
    with append(proxied, bucket, key, Metadata={"name": "J"}) as file:
        file.write(b"more")
    assert content(seaweedfs, bucket, key) == before + b"more"


def test_who_names_the_encryption_names_all_of_it(seaweedfs: Server, bucket: str, key: str) -> None:
    client = seaweedfs.client()
    put(seaweedfs, bucket, key, 10)
    known = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "a-key", "BucketKeyEnabled": True}

    def tell(parsed: dict[str, Any], **kwargs: Any) -> None:
        parsed.update(known)

    client.meta.events.register("after-call.s3.HeadObject", tell)
    seen = look_at_predecessor(client, bucket, key, {}).parameters
    assert known.items() <= seen.items()
    seen = look_at_predecessor(client, bucket, key, {"ServerSideEncryption": "AES256"}).parameters
    assert seen["ServerSideEncryption"] == "AES256"
    assert not {"SSEKMSKeyId", "BucketKeyEnabled"} & set(seen)


def test_what_is_read_for_it_is_read_again_when_it_breaks_off(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = put(seaweedfs, bucket, key, 1 << 20)
    proxy.inject("GetObject", CutAnswer(1000), times=2)
    with append(proxied, bucket, key) as file:
        file.write(b"more")
    assert len(proxy.injected) == 2
    assert content(seaweedfs, bucket, key) == before + b"more"
    proxy.inject("GetObject", CutAnswer(1000), times=None)
    with pytest.raises(S3StreamError, match="cannot read"):
        append(proxied, bucket, key)


def test_a_store_that_does_not_tell_tags_is_an_error_and_no_loss(
    store: Server, bucket: str, key: str
) -> None:
    if "tagging" not in CANNOT[store.name]:
        pytest.skip(f"{store.name} tells them")
    put(store, bucket, key, 10)
    with pytest.raises(S3StreamError, match="say them yourself with Tagging="):
        s3stream.open(f"s3://{bucket}/{key}", "ab", **store.storage_options())


def test_a_file_that_appends_is_not_suspended(seaweedfs: Server, bucket: str, key: str) -> None:
    before = put(seaweedfs, bucket, key, 10)
    with append(seaweedfs, bucket, key) as file:
        with pytest.raises(UsageError, match="appending cannot be suspended"):
            file.suspend()
        file.write(b"more")
    assert content(seaweedfs, bucket, key) == before + b"more"


def test_tags_that_may_not_be_read_are_not_lost(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = put(seaweedfs, bucket, key, 10, Tagging="kind=log")
    proxy.inject(ANY, Answer(403, "AccessDenied"), where=lambda x: "tagging" in x.query)
    with pytest.raises(PermissionError, match="say them yourself with Tagging="):
        append(proxied, bucket, key)
    assert len(proxy.injected) == 1
    with append(proxied, bucket, key, Tagging="kind=other") as file:
        file.write(b"more")
    client = seaweedfs.client()
    assert client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"][0]["Value"] == "other"
    assert content(seaweedfs, bucket, key) == before + b"more"


@pytest.mark.parametrize("size", [1000, PART])
def test_a_producer_that_fails_changes_nothing(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    before = put(seaweedfs, bucket, key, size)
    file = append(seaweedfs, bucket, key)

    def fail() -> None:
        with file:
            file.write(MORE)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert content(seaweedfs, bucket, key) == before
    assert uploads(seaweedfs, bucket, key) == []


def test_a_copy_that_the_store_refuses_fails_the_append(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = put(seaweedfs, bucket, key, PART)
    proxy.inject("UploadPartCopy", Answer(403, "AccessDenied"))
    file = append(proxied, bucket, key)
    file.write(b"more")
    with pytest.raises(PermissionError, match=r"cannot copy.*part 1"):
        file.close()
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == before
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize(
    "options",
    [
        {"equal_parts": True},
        {"reserve": PART},
        {"if_match": '"e"'},
        {"if_none_match": "*"},
        {"compression": "gzip"},
        {"checkpoint": "x.json"},
    ],
)
def test_what_does_not_go_with_it_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, key: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        append(proxied, bucket, key, **options)
    assert proxy.log == []
