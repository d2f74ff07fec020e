"""Ctrl-C at the worst moments: never a torn object, never a wrong word about one that is there."""

from __future__ import annotations

import gzip
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import s3stream
from s3stream import S3Writer
from tests.faults import Hold, HoldAnswer
from tests.looking import assert_nothing, bytes_of, content, exists, uploads, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20

# Where the tests run in the background of a shell, SIGINT is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# From its first query on polars has a handler of its own for SIGINT, after which a wait for a lock
# is not interrupted any more.
pl.DataFrame({"a": [1]}).lazy().select("a").collect()


def interrupted_at(code: CodeType, action: Callable[[], object]) -> None:
    """Run an action that a KeyboardInterrupt ends at the entry of a function."""

    def trace(frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code is code:
            sys.settrace(None)
            raise KeyboardInterrupt

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            action()
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_close_whose_flush_is_interrupted_publishes_nothing(
    seaweedfs: Server, bucket: str, key: str, mode: str
) -> None:
    options = seaweedfs.storage_options()
    file: Any = s3stream.open(f"s3://{bucket}/{key}", mode, **options)
    for size in (40_000, 5):
        file.write("A" * size if mode == "w" else b"A" * size)
    interrupted_at(S3Writer.write.__code__, file.close)
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)


def test_a_compressing_file_that_was_interrupted_cannot_be_gone_on_with(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    options = seaweedfs.storage_options()
    file = s3stream.open(f"s3://{bucket}/{key}", compression="gzip", **options)
    file.write(b"A" * 40_000)
    interrupted_at(gzip.GzipFile.write.__code__, lambda: file.write(b"B" * 40_000))
    assert file.closed
    file.close()
    assert_nothing(seaweedfs, bucket, key)


@pytest.fixture
def interrupt_when_held(proxy: Proxy) -> Callable[[str, Hold, bool], threading.Thread]:
    """Has a thread interrupt the main one when a request is held, and perhaps release it then."""

    def interrupt_when_held(operation: str, hold: Hold, release: bool) -> threading.Thread:
        proxy.inject(operation, hold)
        main = threading.main_thread().ident or 0

        def interrupt() -> None:
            proxy.wait_for(operation, 1)
            if isinstance(hold, HoldAnswer):
                assert hold.done.wait(120)
            signal.pthread_kill(main, signal.SIGINT)
            if release:
                hold.event.set()

        thread = threading.Thread(target=interrupt)
        thread.start()
        return thread

    return interrupt_when_held


@pytest.mark.parametrize(
    ("operation", "size"), [("PutObject", 10), ("CompleteMultipartUpload", 2 * PART)]
)
@pytest.mark.parametrize("answered", [True, False], ids=["answered", "not answered"])
def test_an_interrupted_commit_says_what_became_of_it(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    interrupt_when_held: Callable[[str, Hold, bool], threading.Thread],
    operation: str,
    size: int,
    answered: bool,
) -> None:
    options = proxied.storage_options()
    file = s3stream.open(f"s3://{bucket}/{key}", part_size=PART, **options)
    file.write(bytes_of(size))
    # What the store has to do does not take of the two seconds that its answer has.
    hold = HoldAnswer() if answered else Hold()
    interrupter = interrupt_when_held(operation, hold, answered)
    with pytest.raises(KeyboardInterrupt) as raised:
        file.close()
    interrupter.join()
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") == 0
    (note,) = getattr(raised.value, "__notes__", [])
    if answered:
        assert "the object was published" in note
        assert file.result.size == size
    else:
        assert "the object may appear" in note
        assert not exists(seaweedfs, bucket, key)
        with pytest.raises(s3stream.UncertainError):
            file.commit()
        hold.event.set()
        proxy.wait_for(operation, 1, finished=True)
        for thread in threading.enumerate():
            if thread.name == f"s3stream {key}":
                thread.join()
        assert file.commit().size == size  # the answer came after all
    assert content(seaweedfs, bucket, key) == bytes_of(size)


def test_an_interrupted_write_discards_within_the_grace(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    interrupt_when_held: Callable[[str, Hold, bool], threading.Thread],
) -> None:
    hold = Hold()
    interrupter = interrupt_when_held("UploadPart", hold, False)

    def produce() -> None:
        options = proxied.storage_options()
        uri = f"s3://{bucket}/{key}"
        with s3stream.open(uri, part_size=PART, max_concurrency=1, **options) as file:
            for _ in range(10):
                file.write(bytes_of(PART))

    with pytest.raises(KeyboardInterrupt):
        produce()
    interrupter.join()
    assert proxy.injected
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert not exists(seaweedfs, bucket, key)
    assert uploads(seaweedfs, bucket, key) == []


def test_an_interrupted_close_of_a_file_that_seeks_discards_within_the_grace(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    interrupt_when_held: Callable[[str, Hold, bool], threading.Thread],
) -> None:
    options = proxied.storage_options()
    file = s3stream.open(
        f"s3://{bucket}/{key}", "w+b", part_size=PART, max_concurrency=1, **options
    )
    file.write(bytes_of(10 * PART))
    hold = Hold()
    interrupter = interrupt_when_held("UploadPart", hold, False)
    with pytest.raises(KeyboardInterrupt):
        file.close()
    interrupter.join()
    assert proxy.injected
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)
