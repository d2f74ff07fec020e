"""A condition is a promise: a store that ignores it is found out before an object is replaced."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

import s3stream
from s3stream import MultipartUpload, PreconditionError, S3StreamError, UsageError
from s3stream.store.conditions import COMPLETE, PUT, refuse_unless_heeded
from s3stream.store.parameters import Parameters
from tests.faults import Answer, LoseAnswer
from tests.looking import bytes_of, content
from tests.proxy import Proxy
from tests.servers import CANNOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 << 20
WRONG = '"0123456789abcdef0123456789abcdef"'
SIZES = pytest.mark.parametrize("size", [1, PART + 1], ids=["put", "complete"])


def write(store: Server, bucket: str, key: str, size: int, **options: Any) -> None:
    uri = f"s3://{bucket}/{key}"
    with s3stream.open(uri, part_size=PART, **store.storage_options(), **options) as file:
        file.write(bytes_of(size))


def _is_a_first_attempt_to_change(exchange: Exchange) -> bool:
    first = exchange.request_headers["amz-sdk-request"].startswith("attempt=1")
    return first and exchange.method in {"PUT", "POST"} and "uploads" not in exchange.query


def everything(store: Server, bucket: str, prefix: str) -> list[str]:
    """The keys of objects and of uploads, whatever they are called."""
    client = store.client()
    found: list[Any] = [*client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    # So says rclone of a bucket that has never had an upload.
    with suppress(client.exceptions.NoSuchUpload):
        found += client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return [entry["Key"] for entry in found]


@SIZES
@pytest.mark.parametrize("option", ["if_match", "if_none_match"])
def test_finding_out_leaves_nothing_behind(
    store: Server, bucket: str, key: str, size: int, option: str
) -> None:
    name = f"{key}/deeper/object"
    client = store.client()
    etag = client.put_object(Bucket=bucket, Key=name, Body=b"first")["ETag"]
    call = "put" if size == 1 else "complete"
    if f"{option.replace('_', '-')}-{call}" in CANNOT[store.name]:
        with pytest.raises(UsageError, match=rf"^{option}: this store ignores it in") as raised:
            write(store, bucket, name, size, **{option: "*" if "none" in option else WRONG})
        assert (raised.value.bucket, raised.value.key) == (bucket, name)
        assert content(store, bucket, name) == b"first"
    else:
        if option == "if_none_match":
            client.delete_object(Bucket=bucket, Key=name)
        write(store, bucket, name, size, **{option: "*" if "none" in option else etag})
        assert content(store, bucket, name) == bytes_of(size)
    assert everything(store, bucket, f"{key}/") == [name]


@SIZES
def test_it_is_found_out_once_beside_the_object(
    proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    write(proxied, bucket, f"{key}/a/1", size)
    assert proxy.count("probe") == 0  # without a condition there is nothing to find out
    write(proxied, bucket, f"{key}/a/2", size, if_none_match="*")
    asked = proxy.of("probe")
    assert {x.path.rpartition("/")[0] for x in asked} == {f"/{bucket}/{key}/a"}
    write(proxied, bucket, f"{key}/b/3", size, if_none_match="*")
    assert proxy.count("probe") == len(asked)
    assert len(everything(proxied, bucket, f"{key}/")) == 3


@SIZES
def test_who_may_not_find_out_is_warned(
    proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    proxy.inject("probe", Answer(403, "AccessDenied"), times=None)
    with pytest.warns(RuntimeWarning) as warned:
        write(proxied, bucket, key, size, if_none_match="*")
    # Of what could not be put nothing is left.
    said = [str(warning.message) for warning in warned]
    assert len(said) == len(proxy.injected) == (1 if size == 1 else 2)
    assert all(re.search(r"heeds if_none_match.*may be replaced", text) for text in said)
    assert content(proxied, bucket, key) == bytes_of(size)


@SIZES
def test_what_cannot_be_removed_is_told_and_found_out_all_the_same(
    proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    refused = Answer(403, "AccessDenied")
    proxy.inject("probe", refused, times=None, where=lambda x: x.method == "DELETE")
    with pytest.warns(RuntimeWarning, match=rf"{key}/.s3stream-probe-\w+ is left, which"):
        write(proxied, bucket, f"{key}/1", size, if_none_match="*")
    asked = proxy.count("probe")
    write(proxied, bucket, f"{key}/2", size, if_none_match="*")
    assert proxy.count("probe") == asked
    assert content(proxied, bucket, f"{key}/2") == bytes_of(size)


@SIZES
@pytest.mark.parametrize("option", ["if_match", "if_none_match"])
def test_a_lost_answer_does_not_make_it_heed(
    store: Server, bucket: str, key: str, size: int, option: str
) -> None:
    call = "put" if size == 1 else "complete"
    ignores = f"{option.replace('_', '-')}-{call}" in CANNOT[store.name]
    name = f"{key}/object"
    store.client().put_object(Bucket=bucket, Key=name, Body=b"first")
    with Proxy(store.endpoint_url) as proxy:
        through = replace(store, endpoint_url=proxy.url, https_url=None)
        proxy.inject("probe", LoseAnswer(), times=None, where=_is_a_first_attempt_to_change)
        expected = UsageError if ignores else (FileExistsError, PreconditionError)
        with pytest.raises(expected):
            write(through, bucket, name, size, **{option: "*" if "none" in option else WRONG})
        assert proxy.injected
    assert content(store, bucket, name) == b"first"
    assert not [each for each in everything(store, bucket, f"{key}/") if each != name]


@SIZES
def test_what_cannot_be_found_out_is_not_promised(
    proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    proxy.inject("probe", Answer(400, "InvalidRequest"))
    with pytest.raises(S3StreamError, match="cannot find out whether the store heeds if_match"):
        write(proxied, bucket, f"{key}/object", size, if_match=WRONG)
    assert len(proxy.injected) == 1
    assert everything(proxied, bucket, f"{key}/") == []


def test_an_upload_that_is_held_or_of_a_file_promises_no_more(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    if "if-none-match-complete" not in CANNOT[store.name]:
        pytest.skip(f"{store.name} heeds it")
    uri = f"s3://{bucket}/{key}/object"
    with pytest.raises(UsageError, match="ignores it in CompleteMultipartUpload"):
        MultipartUpload.create(uri, if_none_match="*", **store.storage_options())
    path = tmp_path / "file"
    path.write_bytes(bytes_of(PART + 1))
    with pytest.raises(UsageError, match="ignores it in CompleteMultipartUpload"):
        s3stream.upload_file(path, uri, if_none_match="*", **store.storage_options())
    assert everything(store, bucket, f"{key}/") == []


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1"])
def test_of_aws_it_is_known(region: str) -> None:
    client = boto3.client(
        "s3", region_name=region, aws_access_key_id="k", aws_secret_access_key="s"
    )

    def refuse(**kwargs: Any) -> None:
        raise AssertionError("a request to AWS")

    client.meta.events.register("before-send.s3", refuse)
    for operation in (PUT, COMPLETE):
        for condition in ("IfMatch", "IfNoneMatch"):
            refuse_unless_heeded(
                client, "bucket", "key", Parameters(client, {}), (operation, condition)
            )
