"""The lock of an upload that is kept: who holds it, who has lost it, and what that keeps alive."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.callbacks import Callback

import s3stream
from s3stream import Checkpoint, LockedError, NotFoundError, S3StreamError, UsageError
from s3stream.store import LockObject
from tests.faults import Answer, CutAnswer, Hold, LoseAnswer
from tests.looking import bytes_of, content, exists, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 << 20
DATA = bytes_of(3 * PART + 1000)


def kept(store: Server, bucket: str, key: str, path: Path, **options: Any) -> Any:
    chosen = {"checkpoint": path, "lease": 1.0, **store.storage_options(), **options}
    return s3stream.open(f"s3://{bucket}/{key}", **chosen)


def send(store: Server, file: Path, bucket: str, key: str, path: Path, **options: Any) -> Any:
    chosen = {"part_size": PART, "checkpoint": path, "lease": 1.0, **options}
    return s3stream.upload_file(
        file, f"s3://{bucket}/{key}", **{**store.storage_options(), **chosen}
    )


def beside(store: Server, bucket: str, key: str) -> list[str]:
    listed = store.client().list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    return [entry["Key"] for entry in listed if entry["Key"] != key]


def of_the_lock(exchange: Exchange) -> bool:
    return exchange.path.endswith(".s3stream-lock")


@contextmanager
def standing_still(proxy: Proxy) -> Iterator[None]:
    """No renewal of the lock arrives: its owner's machine, or its network, is suspended."""
    hold = Hold()
    proxy.inject("PutObject", hold, times=None, where=of_the_lock)
    yield
    assert proxy.injected
    proxy.clear()
    hold.event.set()


def lose(file: Any) -> None:
    """Somebody who forgets to close."""
    del file
    gc.collect()


def write_until_it_fails(file: Any) -> None:
    """Somebody who has nothing to say just now, and says it all the time."""
    while True:
        file.write(b"")


def renewing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("s3stream lock ")]


# -- at work


def test_an_owner_who_writes_nothing_is_at_work(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file.json"
    with kept(seaweedfs, bucket, key, path) as file:
        file.write(b"a line")
        for _ in "12":
            with pytest.raises(LockedError, match=r"held by process \d+ on .*, who is at work"):
                kept(seaweedfs, bucket, key, path)
        (said, _) = caplog.messages
        assert f"s3://{bucket}/{key}.s3stream-lock: the lock of process" in said
        assert "s for its lease to run out" in said
    assert content(seaweedfs, bucket, key) == b"a line"
    assert beside(seaweedfs, bucket, key) == []


def test_a_file_whose_parts_take_long_is_at_work(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    file, path = tmp_path / "data", tmp_path / "file.json"
    file.write_bytes(DATA)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, proxied, file, bucket, key, path)
        proxy.wait_for("UploadPart", 4)
        with pytest.raises(LockedError, match="who is at work"):
            send(seaweedfs, file, bucket, key, path)
        hold.event.set()
        assert sending.result().size == len(DATA)
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("end", ["close", "suspend", "discard", "collect", "fail"])
@pytest.mark.filterwarnings("ignore:nothing was published yet:RuntimeWarning")
def test_nobody_renews_the_lock_of_a_file_that_is_over(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path, end: str
) -> None:
    files = [kept(seaweedfs, bucket, key, tmp_path / "file.json", lease=1000.0)]
    assert len(renewing()) == 1
    if end == "collect":
        lose(files.pop())
    elif end == "fail":
        with pytest.raises(ZeroDivisionError), files.pop():
            raise ZeroDivisionError
    else:
        getattr(files.pop(), end)()
    assert renewing() == []
    assert beside(seaweedfs, bucket, key) == []


FORKING = """
import os, pickle, sys, threading
import s3stream

# Such hooks are called last first: when all others have been.
os.register_at_fork(before=lambda: print([t.name for t in threading.enumerate()], flush=True))

uri, options = pickle.loads(bytes.fromhex(sys.argv[1]))
file = s3stream.open(uri, **options)
file.write(b"of the parent")
child = os.fork()
if child == 0:
    del file
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
print("the child is over", flush=True)
input()
file.close()
"""


def test_a_forked_child_neither_renews_nor_releases_the_lock_of_its_parent(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    options = {**seaweedfs.storage_options(), "checkpoint": tmp_path / "file.json", "lease": 1.0}
    given = pickle.dumps((f"s3://{bucket}/{key}", options)).hex()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "['MainThread']\n"  # nothing is copied half-done
        assert parent.stdout.readline() == "the child is over\n"
        assert beside(seaweedfs, bucket, key) == [f"{key}.s3stream-lock"]
        with pytest.raises(LockedError, match=rf"held by process {parent.pid} .*is at work"):
            kept(seaweedfs, bucket, key, tmp_path / "file.json")
        parent.communicate("\n")
    assert parent.returncode == 0
    assert content(seaweedfs, bucket, key) == b"of the parent"


def test_who_has_lost_the_lock_hears_of_it_at_the_next_write(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    file = kept(seaweedfs, bucket, key, tmp_path / "file.json", buffering=0)
    lock: dict[str, Any] = {"Bucket": bucket, "Key": f"{key}.s3stream-lock"}
    seaweedfs.client().put_object(**lock, Body=b"{}")
    with pytest.raises(LockedError, match="has taken it over"):
        write_until_it_fails(file)
    with pytest.raises(LockedError, match="has taken it over"):
        file.close()
    assert renewing() == []
    assert not exists(seaweedfs, bucket, key)
    assert beside(seaweedfs, bucket, key) == [lock["Key"]]


def test_a_renewal_that_fails_is_tried_again_before_it_is_an_error(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    file = kept(proxied, bucket, key, path)
    proxy.inject("PutObject", Answer(403, "AccessDenied"), where=of_the_lock)
    renewals = proxy.count("PutObject")
    proxy.wait_for("PutObject", renewals + 1, finished=True)
    file.write(DATA[: 2 * PART])
    file.flush()
    assert len(proxy.injected) == 1
    proxy.inject("PutObject", Answer(403, "AccessDenied"), times=None, where=of_the_lock)
    with pytest.raises(PermissionError, match="cannot write the lock"), file:
        write_until_it_fails(file.raw)
    proxy.clear()
    assert Checkpoint.from_json(path.read_text()).offset >= PART
    with kept(proxied, bucket, key, path) as again:
        again.write(DATA[again.tell() :])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_a_lost_answer_to_a_lock_is_not_taken_for_anothers(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    proxy.inject("PutObject", LoseAnswer(), where=of_the_lock)
    with kept(proxied, bucket, key, tmp_path / "file.json", lease=1000.0) as file:
        proxy.inject("PutObject", LoseAnswer(), where=of_the_lock)
        file.write(DATA)
    assert len(proxy.injected) == 2
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("content", [b'{"lease": 86400, "owner": "x"}', b'{"lease": Infinity}'])
def test_a_lease_that_is_too_long_to_be_waited_for_is_an_error_at_once(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path, content: bytes
) -> None:
    name = f"{key}.s3stream-lock"
    seaweedfs.client().put_object(Bucket=bucket, Key=name, Body=content)
    with pytest.raises(
        LockedError, match=rf"more than is waited.*\(601\).*delete the lock '{name}"
    ):
        kept(seaweedfs, bucket, key, tmp_path / "file.json")
    assert beside(seaweedfs, bucket, key) == [name]


# -- taken over


@pytest.mark.parametrize("size", [3, len(DATA)])
def test_who_was_taken_over_publishes_nothing_over_what_its_successor_has_published(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    size: int,
) -> None:
    path = tmp_path / "file.json"
    slow = kept(proxied, bucket, key, path)
    slow.write(DATA[:size])
    with standing_still(proxy):
        with kept(seaweedfs, bucket, key, path) as second:
            second.write(DATA[second.tell() :])
        assert content(seaweedfs, bucket, key) == DATA
    with pytest.raises(LockedError, match="its lease has run out, and it was removed"):
        slow.close()
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []
    assert beside(seaweedfs, bucket, key) == []
    assert not path.exists()


def test_a_small_file_is_not_published_by_who_was_taken_over(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"old")

    class Meanwhile(Callback):  # type: ignore[misc]  # fsspec has no types
        def set_size(self, size: int | None) -> None:
            with standing_still(proxy):
                other = tmp_path / "other"
                other.write_bytes(b"new")
                send(seaweedfs, other, bucket, key, tmp_path / "other.json")

    with pytest.raises(LockedError, match="it was removed"):
        send(proxied, file, bucket, key, tmp_path / "file.json", callback=Meanwhile())
    assert content(seaweedfs, bucket, key) == b"new"


@pytest.mark.parametrize("noticed", [True, False])
def test_a_discard_by_who_was_taken_over_leaves_all_to_its_successor(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    noticed: bool,
) -> None:
    path = tmp_path / "file.json"
    file = kept(seaweedfs, bucket, key, path)
    file.write(DATA[: PART + 10])
    file.suspend()
    slow = kept(proxied, bucket, key, path)
    with standing_still(proxy):
        second = kept(seaweedfs, bucket, key, path)
    written = path.read_text()
    (upload_id,) = uploads(seaweedfs, bucket, key)
    if noticed:
        with pytest.raises(LockedError):
            write_until_it_fails(slow.raw)
    with pytest.raises(LockedError, match="has taken it over") as caught:
        slow.discard()
    assert "nothing was discarded" in "".join(getattr(caught.value, "__notes__", []))
    slow.discard()  # it is over
    assert len(renewing()) == 1
    assert proxy.count("AbortMultipartUpload") == 0
    assert uploads(seaweedfs, bucket, key) == [upload_id]
    assert path.read_text() == written
    lock, tail = beside(seaweedfs, bucket, key)
    assert lock.endswith("-lock")
    assert "-tail-" in tail
    second.write(DATA[second.tell() :])
    second.close()
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_a_discard_that_cannot_ask_the_lock_discards_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    file = kept(proxied, bucket, key, path, lease=1000.0)
    file.write(DATA)
    proxy.inject("PutObject", Answer(403, "AccessDenied"), where=of_the_lock)
    with pytest.raises(PermissionError, match="cannot write the lock"):
        file.discard()
    assert proxy.injected
    assert len(uploads(seaweedfs, bucket, key)) == 1
    kept(seaweedfs, bucket, key, path).discard()
    assert uploads(seaweedfs, bucket, key) == []


def test_what_the_successor_has_published_is_not_said_to_be_gone(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    """Who is told to delete the checkpoint and to begin again does it, over the object."""
    file, path = tmp_path / "data", tmp_path / "file.json"
    file.write_bytes(DATA)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None, where=lambda x: x.part_number == 1)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(send, proxied, file, bucket, key, path)
        proxy.wait_for("UploadPart", 4)
        still = Hold()
        proxy.inject("PutObject", still, times=None, where=of_the_lock)
        send(seaweedfs, file, bucket, key, path)
        # Its part is answered with NoSuchUpload before it hears of its lock.
        hold.event.set()
        proxy.wait_for("UploadPart", 4, finished=True)
        proxy.clear()
        still.event.set()
        with pytest.raises(LockedError, match="its lease has run out"):
            slow.result()
    assert content(seaweedfs, bucket, key) == DATA
    assert not path.exists()
    assert uploads(seaweedfs, bucket, key) == []


# -- on the store


@pytest.mark.parametrize("act", ["create", "replace"])
def test_of_many_at_once_one_gets_the_lock(store: Server, bucket: str, key: str, act: str) -> None:
    if {"if-match-put", "if-none-match-put"} & CANNOT[store.name]:
        with pytest.raises(UsageError, match="no conditional writes"):
            s3stream.open(f"s3://{bucket}/{key}", checkpoint="file.json", **store.storage_options())
        return
    owners = 6
    # SeaweedFS makes them wait for each other for a second; Ceph 16 is the one to be doubted.
    rounds = 10 if store.name == "seaweedfs" else 50
    objects = [LockObject(store.client(), bucket, key, {}) for _ in range(owners)]
    barrier = threading.Barrier(owners)
    with ThreadPoolExecutor(owners) as pool:
        for round_ in range(rounds):
            for_all = {"etag": objects[0].create(b"first")} if act == "replace" else {}
            assert all(for_all.values())

            def claim(owner: int, turn: int = round_, given: Any = for_all) -> str | None:
                barrier.wait()
                said = json.dumps({"owner": owner, "turn": turn}).encode()
                etag: str | None = getattr(objects[owner], act)(said, **given)
                return etag

            etags = list(pool.map(claim, range(owners)))
            (winner,) = [owner for owner, etag in enumerate(etags) if etag is not None]
            there = objects[0].look()
            assert there is not None
            assert there.etag == etags[winner]
            assert json.loads(there.content) == {"owner": winner, "turn": round_}
            objects[0].remove()


def test_the_lock_has_those_of_the_objects_parameters_that_belong_to_it(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    theirs = {"ServerSideEncryption": "AES256", "RequestPayer": "requester"}
    not_theirs = {
        "Metadata": {"made": "by us"},
        "Tagging": "a=b",
        "ACL": "private",
        "StorageClass": "STANDARD",
        "ContentType": "text/plain",
    }
    with kept(proxied, bucket, key, tmp_path / "file.json", **theirs, **not_theirs) as file:
        file.write(b"1")
    locking = [exchange for exchange in proxy.log if of_the_lock(exchange)]
    assert {x.operation for x in locking} >= {"PutObject", "GetObject", "DeleteObject"}
    for exchange in locking:
        said = {name for name in exchange.request_headers if name.startswith("x-amz-")}
        assert exchange.request_headers["x-amz-request-payer"] == "requester"
        encrypted = exchange.request_headers.get("x-amz-server-side-encryption")
        assert encrypted == ("AES256" if exchange.operation == "PutObject" else None)
        assert not said & {
            "x-amz-meta-made",
            "x-amz-tagging",
            "x-amz-acl",
            "x-amz-storage-class",
        }
        assert exchange.request_headers.get("content-type") != "text/plain"


def test_the_expected_owner_of_the_bucket_is_expected_of_the_locks_too(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    kept(proxied, bucket, key, tmp_path / "file.json", ExpectedBucketOwner="123456789012").close()
    for exchange in [exchange for exchange in proxy.log if of_the_lock(exchange)]:
        assert exchange.request_headers["x-amz-expected-bucket-owner"] == "123456789012"


def test_a_lock_under_a_customers_key(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    given = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32}
    file = kept(seaweedfs, bucket, key, path, **given)
    name = {"Bucket": bucket, "Key": f"{key}.s3stream-lock"}
    head = seaweedfs.client().head_object(**name, **given)  # type: ignore[arg-type]
    assert head["SSECustomerAlgorithm"] == "AES256"
    with pytest.raises(LockedError, match="who is at work"):
        kept(seaweedfs, bucket, key, path, **given)
    file.close()
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("size", [1023, 1024 - len(".s3stream-lock") + 1])
def test_a_key_that_is_too_long_for_what_lies_beside_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, tmp_path: Path, size: int
) -> None:
    key, path = "k" * size, tmp_path / "file.json"
    data = tmp_path / "data"
    data.write_bytes(b"1")
    with pytest.raises(UsageError, match=r"S3 takes 1,024"):
        send(proxied, data, bucket, key, path)
    for long in (key, "k" * (1024 - 40)):
        with pytest.raises(UsageError, match=r"S3 takes 1,024"):
            kept(proxied, bucket, long, path)
    gone = Checkpoint(bucket, key, None, None, {}, ())
    with pytest.raises(UsageError, match=r"S3 takes 1,024"):
        s3stream.resume(gone, **proxied.storage_options())
    assert proxy.log == []
    assert not path.exists()
    with pytest.raises(UsageError, match="is too long for an upload that can be suspended"):
        kept(proxied, bucket, key, path, lock=None)


def test_what_is_gone_is_still_said_to_be_gone_by_its_owner(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    file = kept(seaweedfs, bucket, key, path)
    file.write(DATA)
    file.suspend()
    (upload_id,) = uploads(seaweedfs, bucket, key)
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    with pytest.raises(NotFoundError, match="cannot go on: the upload is gone"):
        kept(seaweedfs, bucket, key, path)
    assert renewing() == []


def test_what_is_read_of_a_lock_and_breaks_off_is_an_error_of_ours(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"{}" * 1000)
    proxy.inject("GetObject", CutAnswer(100))
    with pytest.raises(S3StreamError, match="cannot look at the lock"):
        LockObject(proxied.client(), bucket, key, {}).look()
    assert len(proxy.injected) == 1
