"""Copies that the store makes: what goes along, in one call and in parts, and what is not lost.

An object of 12 MiB is made in parts here, as one of more than 5 GiB is elsewhere.
"""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3stream
from s3stream import AccessDeniedError, S3StreamError, UncertainError, UsageError
from s3stream.options import MiB
from s3stream.store import Copies, Place
from s3stream.store.copying import ranges
from tests.faults import Answer, Hold, Meanwhile
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.proxy import ANY
from tests.servers import CANNOT
from tests.trees import file_system

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

# Where the tests run in the background of a shell, SIGINT is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)

LARGE = 12 * MiB
WHOLE_UP_TO = 7 * MiB
DESCRIBED: Any = {
    "CacheControl": "max-age=60",
    "ContentDisposition": "attachment",
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "ContentType": "text/x-special",
    "Expires": datetime(2030, 1, 1, tzinfo=timezone.utc),
    "Metadata": {"who": "me", "why": "a test"},
}


def put(server: Server, bucket: str, key: str, size: int, **parameters: Any) -> bytes:
    body = bytes_of(size, seed=size)
    server.client().put_object(Bucket=bucket, Key=key, Body=body, **parameters)
    return body


def tags(server: Server, bucket: str, key: str) -> dict[str, str]:
    found = server.client().get_object_tagging(Bucket=bucket, Key=key).get("TagSet", [])
    return {tag["Key"]: tag["Value"] for tag in found}


def described(server: Server, bucket: str, key: str) -> dict[str, Any]:
    head = server.client().head_object(Bucket=bucket, Key=key)
    told = {name: value for name, value in head.items() if name in DESCRIBED}
    # rclone writes Who for who, and adds an mtime of its own.
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    metadata.pop("mtime", None)
    return {**told, "Metadata": metadata}


def copies(server: Server, **given: Any) -> Copies:
    return Copies(file_system(server).client, given, whole_up_to=WHOLE_UP_TO)


def describable(server: Server) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an object is described with where the store keeps it, and its tags as a parameter."""
    client = server.client()
    client.put_object(Bucket="s3stream-tests", Key="describable", Body=b"", **DESCRIBED)
    kept = described(server, "s3stream-tests", "describable")
    assert kept["Metadata"] == DESCRIBED["Metadata"]
    assert kept["ContentType"] == DESCRIBED["ContentType"]
    return kept, {} if "tagging" in CANNOT[server.name] else {"Tagging": "kind=log&of=a%20b"}


@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_all_that_describes_an_object_goes_along(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if size == LARGE and "part-copy" in CANNOT[store.name]:
        pytest.skip(f"{store.name} copies no parts")
    kept, tagging = describable(store)
    body = put(store, bucket, f"{key}/from", size, **DESCRIBED, **tagging)
    # What new objects are given by default says nothing of a copy.
    made = copies(store, ContentType="text/wrong", Metadata={"of": "new objects"})
    made.copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    if size < LARGE and store.name == "localstack":
        del kept["Expires"]  # its CopyObject loses it
    assert content(store, bucket, f"{key}/to") == body
    assert described(store, bucket, f"{key}/to") == kept
    lost = size == LARGE and "multipart-tagging" in CANNOT[store.name]
    if tagging:
        expected = {} if lost else {"kind": "log", "of": "a b"}
        assert tags(store, bucket, f"{key}/to") == expected
    assert uploads(store, bucket, f"{key}/to") == []


def test_a_large_object_is_copied_in_parts_without_passing_through_here(
    proxied: Server, proxy: Proxy, seaweedfs: Server, bucket: str, key: str
) -> None:
    body = put(seaweedfs, bucket, f"{key}/from", LARGE)
    copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    assert content(seaweedfs, bucket, f"{key}/to") == body
    assert proxy.count("UploadPartCopy") == 2
    assert proxy.count("CopyObject") == proxy.count("GetObject") == 0


@pytest.mark.parametrize("size", [1000, LARGE])
def test_metadata_and_tags_may_be_said_instead(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    put(seaweedfs, bucket, f"{key}/from", size, **DESCRIBED, Tagging="kind=log")
    made = copies(
        seaweedfs,
        Metadata={"new": "1"},
        ContentType="text/css",
        MetadataDirective="REPLACE",
        Tagging="kind=css",
        TaggingDirective="REPLACE",
    )
    made.copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    assert described(seaweedfs, bucket, f"{key}/to") == {
        "Metadata": {"new": "1"},
        "ContentType": "text/css",
    }
    assert tags(seaweedfs, bucket, f"{key}/to") == {"kind": "css"}


def test_the_customers_key_is_that_of_what_is_copied_too(
    store: Server, bucket: str, key: str
) -> None:
    if store.name not in {"seaweedfs", "localstack"}:
        pytest.skip(f"{store.name} takes no customer's key over http")
    secret: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef" * 2}
    fs, root = file_system(store, **secret), f"{bucket}/{key}"
    fs.pipe_file(f"{root}/x", b"secret")
    fs.cp_file(f"{root}/x", f"{root}/y")
    fs.setxattr(f"{root}/y", of="x")
    assert fs.cat_file(f"{root}/y") == b"secret"
    assert fs.getxattr(f"{root}/y", "of") == "x"
    with pytest.raises(S3StreamError):
        file_system(store).cat_file(f"{root}/y")


def test_a_copy_in_parts_whose_tags_may_not_be_read_is_an_error(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE, Tagging="kind=log")
    proxy.inject(ANY, Answer(403, "AccessDenied"), where=lambda x: "tagging" in x.query)
    with pytest.raises(
        AccessDeniedError, match=r"cannot copy s3://.*its tags, which would be lost"
    ):
        copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    assert len(proxy.injected) == 1
    assert_nothing(seaweedfs, bucket, f"{key}/to")


def test_an_object_that_is_replaced_while_it_is_copied_in_parts_makes_no_torn_copy(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE)
    other = Meanwhile(lambda: put(seaweedfs, bucket, f"{key}/from", LARGE - 1))
    proxy.inject("CompleteMultipartUpload", Answer(500, "InternalError"), times=None)
    proxy.inject("UploadPartCopy", other)
    with pytest.raises(s3stream.PreconditionError):
        copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    assert len(proxy.injected) == 1  # it has not come as far as the Complete
    assert_nothing(seaweedfs, bucket, f"{key}/to")


def test_a_copy_in_parts_that_fails_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE)
    for operation in ("UploadPartCopy", "CompleteMultipartUpload"):
        proxy.inject(operation, Answer(403, "AccessDenied"))
        with pytest.raises(AccessDeniedError) as raised:
            copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
        assert raised.value.upload_id
        assert_nothing(seaweedfs, bucket, f"{key}/to")
    assert len(proxy.injected) == 2


def test_parts_are_copied_side_by_side(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    body = put(seaweedfs, bucket, f"{key}/from", LARGE)
    hold = Hold()
    proxy.inject("UploadPartCopy", hold)
    with ThreadPoolExecutor(1) as pool:
        copying = pool.submit(
            copies(proxied).copy, Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to")
        )
        try:
            proxy.wait_for("UploadPartCopy", 2)
        finally:
            hold.event.set()
        copying.result()
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, f"{key}/to") == body


def test_a_part_that_is_still_being_copied_when_another_fails_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE)
    hold = Hold()
    proxy.inject("UploadPartCopy", hold, where=lambda x: x.part_number == 1)
    proxy.inject("UploadPartCopy", Answer(403, "AccessDenied"))
    with pytest.raises(AccessDeniedError):
        copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    assert len(proxy.injected) == 2
    aborts = proxy.count("AbortMultipartUpload")
    hold.event.set()
    # It may have come to the store after the upload was aborted over its head.
    proxy.wait_for("AbortMultipartUpload", aborts + 1, finished=True)
    assert_nothing(seaweedfs, bucket, f"{key}/to")


def test_a_complete_that_nobody_can_tell_of_leaves_the_upload_alone(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE)
    proxy.inject("CompleteMultipartUpload", Answer(500, "InternalError"), times=None)
    client = file_system(
        proxied, config_kwargs={"retries": {"mode": "standard", "total_max_attempts": 1}}
    ).client
    with pytest.raises(UncertainError) as raised:
        Copies(client, {}, whole_up_to=WHOLE_UP_TO).copy(
            Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to")
        )
    assert proxy.injected
    assert uploads(seaweedfs, bucket, f"{key}/to") == [raised.value.upload_id]
    assert not exists(seaweedfs, bucket, f"{key}/to")


def test_ctrl_c_in_its_complete_says_that_nobody_knows(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, f"{key}/from", LARGE)
    main = threading.main_thread().ident or 0
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold)

    def interrupt() -> None:
        proxy.wait_for("CompleteMultipartUpload")
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        copies(proxied).copy(Place(bucket, f"{key}/from"), Place(bucket, f"{key}/to"))
    interrupter.join()
    (upload_id,) = uploads(seaweedfs, bucket, f"{key}/to")
    (note,) = getattr(raised.value, "__notes__", [])
    assert f"{key}/to may appear, or upload {upload_id} be left" in note
    assert proxy.injected


# --- metadata ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, LARGE])
def test_metadata_is_changed_and_all_else_stays(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if size == LARGE and "part-copy" in CANNOT[store.name]:
        pytest.skip(f"{store.name} copies no parts")
    kept, tagging = describable(store)
    body = put(store, bucket, key, size, **DESCRIBED, **tagging)
    none = {"Tagging": ""} if "tagging" in CANNOT[store.name] else {}
    made = copies(store, CacheControl="of new objects", Metadata={"of": "new objects"})
    made.change_metadata(Place(bucket, key), lambda m: {**m, "new": "1"}, none)
    assert content(store, bucket, key) == body
    metadata = {**kept["Metadata"], "new": "1"}
    assert described(store, bucket, key) == {**kept, "Metadata": metadata}
    if tagging:
        lost = size == LARGE and "multipart-tagging" in CANNOT[store.name]
        assert tags(store, bucket, key) == ({} if lost else {"kind": "log", "of": "a b"})
    assert uploads(store, bucket, key) == []


def test_metadata_of_an_object_that_is_replaced_meanwhile_is_not_changed(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, key, 1000)
    proxy.inject("CopyObject", Meanwhile(lambda: put(seaweedfs, bucket, key, 999)))
    with pytest.raises(s3stream.PreconditionError, match="cannot change the metadata"):
        file_system(proxied).setxattr(f"{bucket}/{key}", new="1")
    assert len(proxy.injected) == 1
    assert content(seaweedfs, bucket, key) == bytes_of(999, seed=999)
    assert described(seaweedfs, bucket, key)["Metadata"] == {}


# --- merging -------------------------------------------------------------------------------------


def test_merge_makes_one_object_of_several_in_their_order(
    store: Server, bucket: str, key: str
) -> None:
    fs = file_system(store)
    names = [f"{bucket}/{key}/{name}" for name in ("one", "none", "two", "end")]
    sizes = (5 * MiB, 0, 6 * MiB, 7)
    bodies = [
        put(store, bucket, f"{key}/{name}", size)
        for name, size in zip(("one", "none", "two", "end"), sizes, strict=True)
    ]
    if "part-copy" in CANNOT[store.name]:
        with pytest.raises(S3StreamError, match="does not copy parts"):
            fs.merge(f"{bucket}/{key}/all.csv", names)
        assert_nothing(store, bucket, f"{key}/all.csv")
        return
    fs.ls(f"{bucket}/{key}")
    fs.merge(f"s3://{bucket}/{key}/all.csv", names, Metadata={"made": "of four"})
    assert content(store, bucket, f"{key}/all.csv") == b"".join(bodies)
    told = described(store, bucket, f"{key}/all.csv")
    assert (told["ContentType"], told["Metadata"]) == ("text/csv", {"made": "of four"})
    assert content(store, bucket, f"{key}/end") == bodies[-1]
    assert f"{bucket}/{key}/all.csv" in fs.ls(f"{bucket}/{key}")


def test_merge_refuses_what_the_store_would_refuse_at_its_end(
    sea: Any, seaweedfs: Server, bucket: str, key: str
) -> None:
    for name, size in {"small": 10, "none": 0, "large": 5 * MiB}.items():
        put(seaweedfs, bucket, f"{key}/{name}", size)
    root = f"{bucket}/{key}"
    for names, message in (
        (["small", "large"], r"small has 10 bytes.* need 5,242,880"),
        (["none"], "no byte"),
        ([], "no byte"),
    ):
        with pytest.raises(UsageError, match=message):
            sea.merge(f"{root}/all", [f"{root}/{name}" for name in names])
    put(seaweedfs, bucket, f"{key}/larger", 6 * MiB)
    equal = file_system(seaweedfs, store="r2")
    with pytest.raises(UsageError, match="wants equal parts"):
        equal.merge(f"{root}/all", [f"{root}/large", f"{root}/larger"])
    with pytest.raises(UsageError, match="expected a list"):
        sea.merge(f"{root}/all", f"{root}/large")
    with pytest.raises(FileNotFoundError):
        sea.merge(f"{root}/all", [f"{root}/large", f"{root}/nothing"])
    assert_nothing(seaweedfs, bucket, f"{key}/all")


@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(1, 40))
def test_ranges_are_all_of_the_bytes_in_order(size: int, part: int, most: int) -> None:
    cut = ranges(size, part, most)
    assert [byte for start, end in cut for byte in range(start, end)] == list(range(size))
    lengths = [end - start for start, end in cut]
    assert len(cut) <= most
    assert len(set(lengths[:-1])) <= 1
    assert all(length <= lengths[0] for length in lengths[-1:])
    # Where the parts suffice none is larger, and none so small that the store refuses it.
    if part * most >= size:
        assert all(length <= part for length in lengths)
        assert all(length >= part // 2 for length in lengths[:-1])
