"""Unfinished uploads on the command line: seen, removed, expired, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from s3stream import Checkpoint
from tests.faults import Hold
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.shell import PART, PATIENCE_SECONDS, end, feed, running, s3stream

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

DATA = bytes_of(2 * PART + 12_345)


def begin(server: Server, bucket: str, key: str, *sizes: int) -> str:
    """Start an upload with parts of these sizes, and leave it."""
    client = server.client()
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number, size in enumerate(sizes, 1):
        client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=bytes_of(size)
        )
    return upload_id


def test_they_are_listed_and_aborted(store: Server, bucket: str, key: str) -> None:
    first = begin(store, bucket, f"{key}/a", PART, 123)
    second = begin(store, bucket, f"{key}/b")
    uri = f"s3://{bucket}/{key}"

    listed = s3stream(store, "uploads", "list", f"{uri}/", "--json")
    assert (listed.returncode, listed.stderr) == (0, b"")
    a, b = sorted(map(json.loads, listed.stdout.splitlines()), key=lambda upload: upload["uri"])
    assert (a["uri"], a["upload_id"], a["parts"], a["size"]) == (f"{uri}/a", first, 2, PART + 123)
    assert (b["uri"], b["upload_id"], b["parts"], b["size"]) == (f"{uri}/b", second, 0, 0)
    assert -60 < a["age_seconds"] < 3_600

    young = s3stream(store, "uploads", "list", f"{uri}/", "--older-than", "1d")
    assert (young.returncode, young.stdout) == (0, b"")
    young = s3stream(store, "uploads", "abort", f"{uri}/", "--older-than", "1d")
    assert (young.returncode, young.stdout) == (0, b"")
    assert uploads(store, bucket, f"{key}/a") == [first]

    one = s3stream(store, "uploads", "abort", f"{uri}/a", "--upload-id", first)
    assert (one.returncode, one.stdout, one.stderr) == (0, b"", b"")
    assert_nothing(store, bucket, f"{key}/a")
    rest = s3stream(store, "uploads", "abort", f"{uri}/", "--older-than", "0s")
    assert (rest.returncode, rest.stderr) == (0, b"")
    assert rest.stdout.split()[-2:] == [second.encode(), f"{uri}/b".encode()]
    assert_nothing(store, bucket, f"{key}/b")


def test_the_store_expires_them(seaweedfs: Server, bucket: str, key: str) -> None:
    expire = s3stream(seaweedfs, "uploads", "expire", f"s3://{bucket}/{key}", "--days", "3")
    assert (expire.returncode, expire.stdout, expire.stderr) == (0, b"", b"")
    client = seaweedfs.client()
    rules = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    (ours,) = [rule for rule in rules if rule.get("Filter", {}).get("Prefix") == key]
    assert ours["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}
    client.delete_bucket_lifecycle(Bucket=bucket)


def test_standard_input_is_taken_up_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/{key}"
    path = tmp_path / "checkpoint"
    put = ("put", "-", uri, "--checkpoint", str(path))
    with running(proxied, *put) as process:
        feed(process, DATA)
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        kept = "what was sent is kept: the same command goes on with it"
        said = f"s3stream put: stopped by SIGTERM; {kept}\n"
        assert end(process) == (-signal.SIGTERM, said)
    assert Checkpoint.from_json(path.read_text()).offset == 2 * PART
    assert len(uploads(seaweedfs, bucket, key)) == 1

    other = b"x" + DATA[1:]
    wrong = s3stream(seaweedfs, *put, given=other)
    assert wrong.returncode == 2
    assert b"standard input is not what was sent before: bytes 0 to 5,242,880" in wrong.stderr
    short = s3stream(seaweedfs, *put, given=DATA[: 2 * PART - 1])
    assert short.returncode == 2
    assert b"standard input ended after 10,485,759 bytes, and 10,485,760 were" in short.stderr
    assert not exists(seaweedfs, bucket, key)
    file = tmp_path / "file"
    file.write_bytes(DATA)
    no_file = s3stream(seaweedfs, "uploads", "resume", str(path), str(file))
    assert no_file.returncode == 2
    assert b"the upload is one of standard input: give -" in no_file.stderr

    before = proxy.count("UploadPart")
    more = s3stream(proxied, "uploads", "resume", str(path), "-", "--json", given=DATA)
    assert (more.returncode, more.stderr) == (0, b"")
    assert json.loads(more.stdout)["size"] == len(DATA)
    assert proxy.count("UploadPart") == before + 1, "what was there was sent again"
    assert content(seaweedfs, bucket, key) == DATA
    listed = seaweedfs.client().list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]
    assert [entry["Key"] for entry in listed] == [key], "a tail or a lock is left"
    assert sorted(tmp_path.iterdir()) == [file]


def test_a_file_is_taken_up_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    uri = f"s3://{bucket}/{key}"
    path, file = tmp_path / "checkpoint", tmp_path / "file"
    file.write_bytes(DATA)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None, where=lambda part: part.part_number == 3)
    with running(proxied, "put", str(file), uri, "--checkpoint", str(path)) as process:
        proxy.wait_for("UploadPart", 3, timeout=PATIENCE_SECONDS)
        while not path.exists() or Checkpoint.from_json(path.read_text()).offset < 2 * PART:
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
    proxy.clear()
    assert len(proxy.injected) == 1
    # Its lock would be waited for: it is as after a minute.
    seaweedfs.client().delete_object(Bucket=bucket, Key=f"{key}.s3stream-lock")
    no_input = s3stream(seaweedfs, "uploads", "resume", str(path), "-", given=DATA)
    assert no_input.returncode == 2
    assert b"the upload is one of a file: give its name" in no_input.stderr
    before = proxy.count("UploadPart")
    more = s3stream(proxied, "uploads", "resume", str(path), str(file), "--concurrency", "1")
    assert (more.returncode, more.stdout, more.stderr) == (0, b"", b"")
    assert proxy.count("UploadPart") == before + 1, "what was there was sent again"
    hold.event.set()
    assert content(seaweedfs, bucket, key) == DATA
    assert not path.exists()


def test_a_lock_that_is_waited_for_is_told_of(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    claim = {"owner": "0", "host": "elsewhere", "pid": 123, "lease": 500, "turn": 1}
    lock = f"{key}.s3stream-lock"
    seaweedfs.client().put_object(Bucket=bucket, Key=lock, Body=json.dumps(claim).encode())
    path = tmp_path / "checkpoint"
    with running(seaweedfs, "put", "-", f"s3://{bucket}/{key}", "--checkpoint", str(path)) as put:
        assert put.stderr is not None
        said = put.stderr.readline().decode()
        assert said.startswith(
            f"s3stream put: warning: s3://{bucket}/{lock}: the lock of process 123 on elsewhere,"
        )
        put.send_signal(signal.SIGINT)
        assert end(put)[0] == -signal.SIGINT
    assert exists(seaweedfs, bucket, lock), "it was another's"
    claim["lease"] = 5_000
    seaweedfs.client().put_object(Bucket=bucket, Key=lock, Body=json.dumps(claim).encode())
    put_again = s3stream(
        seaweedfs, "put", "-", f"s3://{bucket}/{key}", "--checkpoint", str(path), given=DATA
    )
    assert put_again.returncode == 6
    assert b"it is held by process 123 on elsewhere" in put_again.stderr
    assert path.exists() is False


def test_a_store_without_locks_needs_a_word(
    server_named: object, bucket: str, key: str, tmp_path: Path
) -> None:
    rclone = server_named("rclone")  # type: ignore[operator]  # the fixture's own type is of another module
    put = ("put", "-", f"s3://{bucket}/{key}", "--checkpoint", str(tmp_path / "checkpoint"))
    refused = s3stream(rclone, *put, given=DATA)
    assert refused.returncode == 2
    assert b"give --no-lock if nobody else continues this upload" in refused.stderr
    assert s3stream(rclone, *put, "--no-lock", given=DATA).returncode == 0
    assert content(rclone, bucket, key) == DATA


# In MiB; the long run (tox -e long) sets 6144.
STREAM_MIB = int(os.environ.get("S3STREAM_TEST_STREAM_MIB", "256"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.timeout(900)
def test_put_stays_within_the_memory_that_the_readme_states(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    block = os.urandom(1 << 20)
    client = seaweedfs.client()
    with running(seaweedfs, "put", "-", f"s3://{bucket}/{key}") as process:

        def peak() -> int:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as status:  # noqa: PTH123
                return next(int(line.split()[1]) for line in status if line[:6] == "VmHWM:") >> 10

        feed(process, block * 6)
        while not (begun := uploads(seaweedfs, bucket, key)):
            time.sleep(0.05)
        while not client.list_parts(Bucket=bucket, Key=key, UploadId=begun[0]).get("Parts"):
            time.sleep(0.05)
        base = peak()  # with all that it needs at all, and one part sent
        for number in range(6, STREAM_MIB):
            feed(process, number.to_bytes(8, "big") + block[8:])
        resident = peak() - base
        assert end(process) == (0, "")
    print(f"{STREAM_MIB} MiB through put -: {resident} MiB resident above its beginning")
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == STREAM_MIB << 20
    client.delete_object(Bucket=bucket, Key=key)
    # The parts, and what two dozen connections and their threads take.
    assert resident <= 128 + 16
