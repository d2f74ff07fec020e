"""One file, several threads: whole writes in some order, and an end that does not hang."""

from __future__ import annotations

import gzip
import threading
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import S3StreamError
from s3stream.pace import pace_of
from tests.faults import Hang, Hold
from tests.looking import assert_nothing, bytes_of, content, exists, wait_for_threads

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
LINES = 1_500


def _lines(letter: str) -> list[bytes]:
    """Lines that hardly compress, of lengths that divide nothing, in order."""
    noise = bytes_of(1 << 20).hex().encode()
    return sorted(letter.encode() + noise[n * 97 : n * 97 + 1_997] + b"\n" for n in range(LINES))


@pytest.mark.parametrize(
    "options", [{"buffering": 0}, {}, {"mode": "w", "newline": ""}, {"compression": "gzip"}]
)
def test_writes_of_two_threads_are_interleaved_whole(
    seaweedfs: Server, bucket: str, key: str, options: dict[str, Any]
) -> None:
    file: Any = s3stream.open(
        f"s3://{bucket}/{key}", **{"part_size": PART, **options, **seaweedfs.storage_options()}
    )
    ready = threading.Barrier(2)

    def write(letter: str) -> None:
        ready.wait()
        for line in _lines(letter):
            file.write(line.decode() if "mode" in options else line)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    data = content(seaweedfs, bucket, key)
    if "compression" in options:
        data = gzip.decompress(data)
    assert sorted(data.splitlines(keepends=True)) == _lines("a") + _lines("b")


def test_a_discard_ends_a_write_that_is_blocked_on_another_thread(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    options = proxied.storage_options()
    uri = f"s3://{bucket}/{key}"
    file = s3stream.open(uri, buffering=0, part_size=PART, max_concurrency=1, **options)
    raised: list[BaseException] = []

    def produce() -> None:
        try:
            for _ in range(10):
                file.write(bytes_of(PART))
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    thread = threading.Thread(target=produce)
    thread.start()
    proxy.wait_for("UploadPart", 1)
    file.discard()
    thread.join(120)
    assert not thread.is_alive()
    (error,) = raised
    assert isinstance(error, (S3StreamError, ValueError))
    assert "discarded while it was written to" in str(error) or "closed file" in str(error)
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


def test_a_part_is_not_repeated_after_the_discard(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """Or it would go on for minutes when nobody wants it any more."""
    hang = Hang()
    proxy.inject("UploadPart", hang)
    options = proxied.storage_options()
    file = s3stream.open(f"s3://{bucket}/{key}", buffering=0, part_size=PART, **options)
    file.write(bytes_of(PART + 1))
    proxy.wait_for("UploadPart", 1)
    file.discard()
    hang.event.set()  # the connection is closed, which is worth another attempt
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert proxy.count("UploadPart") == len(proxy.injected) == 1
    assert_nothing(seaweedfs, bucket, key)


def test_a_discard_does_not_undo_a_commit_that_is_on_its_way(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("PutObject", hold)
    file = s3stream.open(f"s3://{bucket}/{key}", buffering=0, **proxied.storage_options())
    file.write(b"whole")
    committing = threading.Thread(target=file.close)
    committing.start()
    proxy.wait_for("PutObject", 1)
    discarding = threading.Thread(target=file.discard)
    discarding.start()
    hold.event.set()
    committing.join(120)
    discarding.join(120)
    assert proxy.injected
    assert file.result.size == 5
    assert exists(seaweedfs, bucket, key)


@pytest.mark.parametrize("size", [10, PART + 1], ids=["put", "complete"])
def test_a_commit_that_still_waits_for_its_turn_is_discarded(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    """The store has slowed us down, and another file's request has the only place."""
    pace = pace_of(proxied.endpoint_url)
    options = proxied.storage_options()
    file = s3stream.open(f"s3://{bucket}/{key}", buffering=0, part_size=PART, **options)
    file.write(bytes_of(size))
    if size > PART:
        assert file._prepare()
    pace.slow_down()
    assert pace.limit == 1
    assert pace.try_enter()
    raised: list[BaseException] = []

    def commit() -> None:
        try:
            file.commit()
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    committing = threading.Thread(target=commit)
    committing.start()
    committing.join(0.4)
    assert committing.is_alive()
    file._cancel()
    committing.join(120)
    assert not committing.is_alive()
    (error,) = raised
    assert isinstance(error, S3StreamError)
    assert not isinstance(error, s3stream.UncertainError)
    assert proxy.count("CompleteMultipartUpload") == proxy.count("PutObject") == 0
    assert_nothing(seaweedfs, bucket, key)
