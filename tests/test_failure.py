"""The ground rules of failure: the first error is kept and named, and nothing is left behind.

Faults are injected on the wire; a second client then looks at the store itself.
"""

from __future__ import annotations

import gc
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from botocore.exceptions import ClientError

import s3stream
from s3stream import CleanupError, S3StreamError, S3Writer, WriteOptions
from s3stream.budget import budget_of_process
from s3stream.cleanup import Patience
from tests.faults import Answer, Hold, LoseAnswer
from tests.looking import assert_nothing, bytes_of, content, exists, uploads, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
DENIED = Answer(403, "AccessDenied", "not today")


class ProducerError(Exception):
    """What the user's own code raises."""


def _open(server: Server, bucket: str, key: str, **options: Any) -> Any:
    return s3stream.open(
        f"s3://{bucket}/{key}", **{"part_size": PART, **options}, **server.storage_options()
    )


# -- the producer fails


@pytest.mark.parametrize("size", [1 << 10, 12 << 20])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("wb", {"buffering": 0}),
        ("wb", {}),
        ("w", {"encoding": "latin-1", "newline": ""}),
        ("wb", {"compression": "gzip"}),
        ("w", {"compression": "bz2"}),
    ],
    ids=["raw", "buffered", "text", "compressed", "compressed text"],
)
def test_an_exception_in_the_body_discards_and_comes_through(
    seaweedfs: Server,
    bucket: str,
    key: str,
    size: int,
    mode: str,
    options: dict[str, Any],
    recwarn: pytest.WarningsRecorder,
) -> None:
    data: Any = bytes_of(size)
    if mode == "w":
        data = data.decode("latin-1").replace("\x85", "")
    with (
        suppress(ProducerError),
        _open(seaweedfs, bucket, key, mode=mode, **options) as file,
    ):
        file.write(data)
        raise ProducerError
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)
    assert not recwarn.list  # the exception tells


@pytest.mark.parametrize("size", [1 << 10, 12 << 20])
def test_who_only_calls_close_discards_too_and_warns(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    def produce() -> None:
        uri = f"s3stream://{bucket}/{key}"
        with fsspec.open(uri, "wb", part_size=PART, **seaweedfs.storage_options()) as file:
            file.write(bytes_of(size))
            raise ProducerError

    with pytest.warns(RuntimeWarning, match="nothing was published.*ProducerError"):  # noqa: SIM117
        with pytest.raises(ProducerError):
            produce()
    assert_nothing(seaweedfs, bucket, key)


def test_closed_in_finally_it_discards(seaweedfs: Server, bucket: str, key: str) -> None:
    def produce() -> None:
        file = _open(seaweedfs, bucket, key)
        try:
            file.write(bytes_of(12 << 20))
            raise ProducerError
        finally:
            file.close()

    with pytest.warns(RuntimeWarning, match="nothing was published"):  # noqa: SIM117
        with pytest.raises(ProducerError):
            produce()
    assert_nothing(seaweedfs, bucket, key)


def test_opened_and_closed_inside_an_except_block_it_publishes(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    try:
        raise ProducerError
    except ProducerError:
        with _open(seaweedfs, bucket, key) as file:
            file.write(b"a report of the error")
    assert content(seaweedfs, bucket, key) == b"a report of the error"


def test_commit_in_an_except_block_publishes(seaweedfs: Server, bucket: str, key: str) -> None:
    file = _open(seaweedfs, bucket, key)
    try:
        file.write(b"all there is")
        raise EOFError
    except EOFError:
        file.commit()
    assert content(seaweedfs, bucket, key) == b"all there is"


@pytest.mark.parametrize("options", [{"buffering": 0}, {}, {"mode": "w"}, {"compression": "gzip"}])
def test_a_file_that_nobody_closes_is_discarded_with_a_warning_that_says_where(
    seaweedfs: Server, bucket: str, key: str, options: dict[str, Any]
) -> None:
    file = _open(seaweedfs, bucket, key, **options)
    file.write("x" * PART * 3 if options.get("mode") == "w" else bytes_of(PART * 3))
    with pytest.warns(RuntimeWarning, match=r"opened at .*test_failure\.py:\d+.*never closed"):
        del file
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("options", [{"buffering": 0}, {}, {"mode": "w"}])
def test_a_file_that_has_failed_and_is_dropped_warns_of_the_upload_it_leaves(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    options: dict[str, Any],
) -> None:
    proxy.inject("UploadPart", DENIED)
    proxy.inject("AbortMultipartUpload", DENIED, times=None)

    def produce() -> None:
        file = _open(proxied, bucket, key, max_concurrency=1, **options)
        data: Any = bytes_of(40_000).hex()
        with suppress(PermissionError):
            while True:
                file.write(data if "mode" in options else data.encode())

    def produce_and_collect() -> None:
        produce()
        gc.collect()  # the error's traceback has the file

    with pytest.warns(RuntimeWarning) as caught:
        produce_and_collect()
    said = "".join(str(warning.message) for warning in caught)
    (upload_id,) = uploads(seaweedfs, bucket, key)
    assert "nothing was published: " in said
    assert upload_id in said
    client = seaweedfs.client()
    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


# -- the store fails


def test_a_refused_part_is_raised_by_the_next_calls_and_names_where(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None, where=lambda x: x.part_number == 2)
    file = _open(proxied, bucket, key, buffering=0, max_concurrency=1)
    data = bytes_of(PART)

    def produce() -> None:
        for _ in range(10):
            file.write(data)

    with pytest.raises(PermissionError, match="not today") as raised:
        produce()
    error: Any = raised.value
    assert (error.bucket, error.key, error.part_number) == (bucket, key, 2)
    assert error.upload_id in uploads(seaweedfs, bucket, key)
    assert isinstance(error.__cause__, ClientError)
    calls: list[Callable[[], object]] = [lambda: file.write(b"more"), file.flush]
    for call in calls:
        with pytest.raises(PermissionError) as again:
            call()
        assert again.value is error
    with pytest.raises(PermissionError) as last:
        file.close()
    assert last.value is error
    assert file.closed
    file.close()
    assert [fault for fault, _ in proxy.injected] == [DENIED]
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_a_file_that_has_failed_holds_no_memory(
    proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    proxy.inject(operation, DENIED, times=None)
    before = budget_of_process().alive
    file = _open(proxied, bucket, key, buffering=0, max_concurrency=1)
    with pytest.raises(PermissionError):
        file.write(bytes_of(4 * PART))
    with pytest.raises(PermissionError):
        file.close()
    assert proxy.injected
    assert budget_of_process().alive == before  # though the file is still here


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        ("PutObject", 10),
        ("CreateMultipartUpload", 2 * PART),
        ("UploadPart", 2 * PART),
        ("CompleteMultipartUpload", 2 * PART),
    ],
)
def test_a_call_that_is_refused_for_good_fails_the_close_and_leaves_nothing(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    operation: str,
    size: int,
) -> None:
    proxy.inject(operation, DENIED, times=None)
    file = _open(proxied, bucket, key, buffering=0)
    with pytest.raises(PermissionError, match=f"not today.*{bucket}/{key}"):  # noqa: SIM117
        with file:
            file.write(bytes_of(size))
    assert {exchange.operation for _, exchange in proxy.injected} == {operation}
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    ("operation", "size"),
    [
        ("PutObject", 10),
        ("CreateMultipartUpload", 2 * PART),
        ("UploadPart", 2 * PART),
        ("CompleteMultipartUpload", 2 * PART),
    ],
)
@pytest.mark.parametrize("fault", [Answer(503, "SlowDown"), LoseAnswer()], ids=["503", "lost"])
def test_a_passing_fault_is_retried(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    operation: str,
    size: int,
    fault: Any,
) -> None:
    proxy.inject(operation, fault)
    with _open(proxied, bucket, key) as file:
        file.write(bytes_of(size))
    assert [exchange.operation for _, exchange in proxy.injected] == [operation]
    assert content(seaweedfs, bucket, key) == bytes_of(size)
    if operation != "CreateMultipartUpload":  # a lost answer to that one loses an upload_id
        assert uploads(seaweedfs, bucket, key) == []


def test_a_discard_waits_for_parts_in_flight_before_it_aborts(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, times=2)
    file = _open(proxied, bucket, key, buffering=0)
    file.write(bytes_of(3 * PART))
    proxy.wait_for("UploadPart", 2)
    threading.Timer(0.2, hold.event.set).start()
    file._discard(Patience(settle=120), on_purpose=True)  # as discard(), on any machine
    assert len(proxy.injected) == 2
    sent = [exchange for exchange in proxy.of("UploadPart") if exchange.finished]
    assert len(sent) == 2
    assert proxy.count("AbortMultipartUpload") == 1
    assert_nothing(seaweedfs, bucket, key)


def test_a_part_that_outlasts_the_grace_is_followed_by_another_abort(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, times=1)
    file = _open(proxied, bucket, key, buffering=0)
    file.write(bytes_of(2 * PART))
    proxy.wait_for("UploadPart", 1)
    file.discard()  # gives up waiting after two seconds
    assert proxy.count("AbortMultipartUpload") == 1
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_a_failed_abort_is_noted_on_the_error_and_never_instead_of_it(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=None)

    def produce() -> None:
        with _open(proxied, bucket, key) as file:
            file.write(bytes_of(2 * PART))
            raise ProducerError

    with pytest.raises(ProducerError) as raised:
        produce()
    (upload_id,) = uploads(seaweedfs, bucket, key)
    (note,) = raised.value.__notes__
    assert "clean-up failed" in note
    assert upload_id in note
    assert not exists(seaweedfs, bucket, key)
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)


def test_a_discard_that_cannot_abort_says_what_is_left(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=None)
    file = _open(proxied, bucket, key)
    file.write(bytes_of(2 * PART))
    with pytest.raises(CleanupError, match="costs storage") as raised:
        file.discard()
    assert uploads(seaweedfs, bucket, key) == [raised.value.upload_id]
    assert file.closed
    seaweedfs.client().abort_multipart_upload(
        Bucket=bucket, Key=key, UploadId=raised.value.upload_id or ""
    )


def test_a_part_that_may_not_be_spooled_is_refused_and_the_error_stays(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    file = S3Writer(
        bucket,
        key,
        client=proxied.client(),
        options=WriteOptions(part_size=PART, memory=3 * PART, spool=False, size_hint=1 << 40),
    )
    # The planned parts are too large for this memory: the first byte that needs one is refused.
    with pytest.raises(s3stream.TooLargeError, match="spool=False"):
        file.write(b"x" * 100)
    with pytest.raises(S3StreamError):
        file.write(b"y")
    with pytest.raises(S3StreamError):
        file.close()
    assert proxy.count() == 0
    assert_nothing(seaweedfs, bucket, key)


def test_no_thread_is_left_when_a_writer_is_closed(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    before = threading.active_count()
    with _open(seaweedfs, bucket, key) as file:
        file.write(bytes_of(3 * PART))
    with warnings.catch_warnings():
        for thread in threading.enumerate():
            if thread.name.startswith("s3stream"):
                thread.join(120)
    assert threading.active_count() <= before


def test_the_error_of_a_close_is_not_its_own_context(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None)
    file = _open(proxied, bucket, key)
    file.write(bytes_of(PART + 40_000))
    proxy.wait_for("UploadPart", 1, finished=True)
    with pytest.raises(PermissionError) as raised:
        file.close()
    seen: list[BaseException | None] = []
    link: BaseException | None = raised.value
    while link is not None:
        assert link not in seen
        seen.append(link)
        link = link.__context__
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("buffering", [0, -1])
def test_with_publish_commit_a_failed_upload_is_cleaned_up_by_close(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, buffering: int
) -> None:
    proxy.inject("UploadPart", DENIED, times=None)
    file = _open(proxied, bucket, key, buffering=buffering, publish="commit", max_concurrency=1)
    with pytest.raises(PermissionError):
        file.write(bytes_of(4 * PART))
    with pytest.raises(PermissionError):
        file.close()
    assert file.closed
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)
