"""What a file tells of its writing: numbers that are those of the store, progress, a line of log.

Waits are not timed: a test waits until a clock has moved, or sees that it stands.
"""

from __future__ import annotations

import gc
import itertools
import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.callbacks import Callback

import s3stream
from s3stream import NotFoundError, S3StreamError, UsageError, WriteStats
from tests.faults import (
    Answer,
    FlipByte,
    Hold,
    LoseAnswer,
    Refuse,
    ResetAfterBody,
    ResetInBody,
)
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.test_memory import running
from tests.test_meter import Told, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults import Fault
    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
DATA = bytes_of(2 * PART + 12_345)
SLOW = Answer(503, "SlowDown")
BROKEN = Answer(500, "InternalError")


def start(server: Server, bucket: str, key: str, mode: str = "wb", **options: Any) -> Any:
    return s3stream.open(f"s3://{bucket}/{key}", mode, **{**server.storage_options(), **options})


# -- the numbers


@pytest.mark.parametrize(
    ("size", "parts"), [(0, 0), (100, 0), (PART, 0), (PART + 1, 2), (len(DATA), 3)]
)
def test_the_numbers_are_those_of_the_object(
    store: Server, bucket: str, key: str, size: int, parts: int
) -> None:
    with start(store, bucket, key) as file:
        file.write(DATA[:size])
    assert isinstance(file.stats, WriteStats)
    head = store.client().head_object(Bucket=bucket, Key=key)
    assert (file.stats.bytes, file.stats.parts) == (head["ContentLength"], parts)
    assert (file.stats.bytes, file.stats.parts) == (file.result.size, file.result.parts)
    assert (file.stats.retries, file.stats.throttled) == (0, 0)


def test_on_the_way_they_are_what_the_store_lists(store: Server, bucket: str, key: str) -> None:
    file = start(store, bucket, key)
    file.write(DATA)
    checkpoint = file.suspend()
    listed = store.client().list_parts(Bucket=bucket, Key=key, UploadId=checkpoint.upload_id or "")[
        "Parts"
    ]
    assert (file.stats.bytes, file.stats.parts) == (sum(p["Size"] for p in listed), len(listed))
    assert file.stats.parts == 2
    options = {**store.storage_options(), "lock": None}
    with s3stream.resume(checkpoint, **options) as again:
        assert (again.stats.bytes, again.stats.parts) == (2 * PART, 2)
    assert (again.stats.bytes, again.stats.parts) == (len(DATA), 3)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("wb", {"buffering": 0}),
        ("wb", {}),
        ("w", {"encoding": "ascii"}),
        ("wb", {"compression": "gzip"}),
        ("w", {"compression": "bz2"}),
    ],
    ids=["raw", "buffered", "text", "compressed", "compressed text"],
)
def test_every_face_tells_them(
    seaweedfs: Server, bucket: str, key: str, mode: str, more: dict[str, Any]
) -> None:
    told = Told()
    with start(seaweedfs, bucket, key, mode, callback=told, **more) as file:
        file.write("abc" if mode == "w" else b"abc")
        assert file.stats.bytes == 0
    assert file.stats.bytes == len(content(seaweedfs, bucket, key)) == file.result.size
    assert (told.sizes, told.steps) == ([file.stats.bytes], [file.stats.bytes])


def test_what_is_appended_to_counts(seaweedfs: Server, bucket: str, key: str) -> None:
    for before, parts in ((0, 0), (10, 0), (6 << 20, 2)):
        seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=DATA[:before])
        told = Told()
        with start(seaweedfs, bucket, key, "ab", callback=told) as file:
            file.write(b"behind")
        assert (file.stats.bytes, file.stats.parts) == (before + 6, parts)
        assert (told.value, told.sizes) == (before + 6, [before + 6])
        assert len(content(seaweedfs, bucket, key)) == before + 6


@pytest.mark.parametrize(
    ("operation", "faults"),
    [
        ("PutObject", [BROKEN, SLOW, ResetAfterBody()]),
        ("PutObject", [FlipByte(7)]),
        ("CreateMultipartUpload", [BROKEN]),
        ("UploadPart", [SLOW, BROKEN, Refuse(), ResetInBody(100_000), ResetAfterBody()]),
        ("UploadPart", [LoseAnswer(), FlipByte(7)]),
        ("CompleteMultipartUpload", [BROKEN, LoseAnswer()]),
    ],
    ids=str,
)
def test_every_fault_is_counted_as_one_attempt_made_again(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    operation: str,
    faults: list[Fault],
) -> None:
    data = DATA[:1000] if operation == "PutObject" else DATA
    for fault in faults:
        proxy.inject(operation, fault)
    with start(proxied, bucket, key) as file:
        file.write(data)
    assert {fault for fault, _ in proxy.injected} == set(faults)
    assert file.stats.retries == len(proxy.injected) == len(faults)
    assert file.stats.throttled == faults.count(SLOW)
    assert proxy.count(operation) == len(faults) + (3 if operation == "UploadPart" else 1)
    assert content(seaweedfs, bucket, key) == data
    assert uploads(seaweedfs, bucket, key) == []


def test_of_a_file_that_failed_the_numbers_say_what_had_been_accepted(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    retries = {"retries": {"mode": "standard", "total_max_attempts": 3}}
    proxy.inject("UploadPart", BROKEN, times=None, where=lambda x: x.part_number == 2)
    file = start(proxied, bucket, key, config_kwargs=retries, max_concurrency=1)
    file.write(DATA)
    with pytest.raises(S3StreamError):
        file.close()
    assert len(proxy.injected) == 3
    assert (file.stats.bytes, file.stats.parts, file.stats.retries) == (PART, 1, 2)
    assert_nothing(seaweedfs, bucket, key)


def test_attempts_of_another_file_of_the_same_client_do_not_count(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("PutObject", BROKEN, where=lambda x: x.path.endswith("-b"))
    client = proxied.client()
    a = s3stream.open(f"s3://{bucket}/{key}-a", client=client)
    b = s3stream.open(f"s3://{bucket}/{key}-b", client=client)
    for file in (a, b):
        file.write(b"data")
        file.close()
    assert len(proxy.injected) == 1
    assert (a.stats.retries, b.stats.retries) == (0, 1)


# -- who waits for whom


def test_while_a_part_is_held_the_producer_waits_and_then_the_uplink_for_the_producer(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    file = start(proxied, bucket, key, max_concurrency=1, buffering=0)
    assert file.stats.producer_waited == 0
    before = file.stats.uplink_waited
    until(lambda: bool(file.stats.uplink_waited > before))  # nothing to send yet
    with running(lambda: file.write(DATA + DATA)) as producer:
        proxy.wait_for("UploadPart")
        until(lambda: bool(file.stats.producer_waited > 0))
        waited, idle = file.stats.producer_waited, file.stats.uplink_waited
        until(lambda: bool(file.stats.producer_waited > waited))
        assert file.stats.uplink_waited == idle  # there is something on its way
        assert producer.is_alive()
        hold.release()
    until(lambda: bool(file.stats.uplink_waited > idle))  # all of it is there, and no more comes
    file.close()
    stats = file.stats
    assert stats.producer_waited > 0
    assert stats.uplink_waited >= idle
    assert stats.seconds >= stats.producer_waited
    assert stats.seconds >= stats.uplink_waited
    assert file.stats == stats  # its clocks stand


def test_a_producer_that_waits_for_memory_waits_for_the_uplink(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    file = start(proxied, bucket, key, memory=3 * PART, buffering=0)
    with running(lambda: file.write(DATA + DATA)):
        proxy.wait_for("UploadPart", 1)
        waited = file.stats.producer_waited
        until(lambda: bool(file.stats.producer_waited > waited))
        hold.release()
    file.close()
    assert proxy.in_flight_peak("UploadPart") < 24


# -- progress


def test_progress_is_what_the_store_has_accepted_and_nothing_sooner(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=lambda x: x.part_number == 2)
    told = Told()
    file = start(proxied, bucket, key, callback=told, buffering=0, size_hint=len(DATA) + 5)
    assert (told.sizes, told.steps) == ([len(DATA) + 5], [])
    file.write(DATA)
    written = 0
    while not told.steps:  # the first part's answer is on its way
        written += file.write(b"x")
        time.sleep(0.001)
    assert told.steps == [PART]
    assert (file.stats.bytes, file.stats.parts) == (PART, 1)
    hold.release()
    file.close()
    assert told.value == sum(told.steps) == len(DATA) + written == file.result.size
    assert told.sizes == [len(DATA) + 5, len(DATA) + written][: 1 + (written != 5)]
    assert told.threads == {threading.get_ident()}
    assert len(content(seaweedfs, bucket, key)) == told.value


def test_progress_goes_on_while_close_waits_for_the_last_parts(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=lambda x: x.part_number == 3)
    told = Told(lambda: hold.event.set() if told.value == 2 * PART else None)
    with start(proxied, bucket, key, callback=told) as file:
        file.write(DATA)
    assert proxy.injected
    assert told.steps[-1] == len(DATA) - 2 * PART
    assert told.value == len(DATA)


def test_what_is_taken_up_is_told_first(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA)
    told = Told()
    options = {**seaweedfs.storage_options(), "callback": told}
    with s3stream.resume(file.suspend(), **options):
        assert told.steps == [2 * PART]
    assert (told.value, told.sizes) == (len(DATA), [len(DATA)])
    path = tmp_path / "file.json"
    file = start(seaweedfs, bucket, key, checkpoint=path)
    file.write(DATA)
    file.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    told = Told()
    with start(seaweedfs, bucket, key, checkpoint=path, callback=told) as file:
        assert told.value == file.tell() == 2 * PART
        file.write(DATA[file.tell() :])
    assert (told.value, told.sizes) == (len(DATA), [len(DATA)])
    assert content(seaweedfs, bucket, key) == DATA


@pytest.mark.parametrize("size", [0, 100, len(DATA)])
def test_the_file_system_tells_of_local_files_and_of_bytes(
    store: Server, bucket: str, key: str, tmp_path: Path, size: int
) -> None:
    fs = s3stream.S3StreamFileSystem(**store.storage_options())
    local = tmp_path / "local"
    local.write_bytes(DATA[:size])
    told = Told()
    fs.put_file(local, f"{bucket}/{key}", callback=told)
    assert (told.sizes, told.value) == ([size], size)
    assert content(store, bucket, key) == DATA[:size]
    told = Told()
    fs.pipe_file(f"{bucket}/{key}", b"bytes", callback=told)
    assert (told.sizes, told.value) == ([5], 5)


def test_what_was_published_unheard_is_told_when_it_is_found(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    retries = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    options: dict[str, Any] = {"checkpoint": path, "config_kwargs": retries}
    proxy.inject("CompleteMultipartUpload", LoseAnswer())
    proxy.inject("HeadObject", Answer(403, "AccessDenied"))
    file = start(proxied, bucket, key, **options)
    file.write(DATA)
    with pytest.raises(s3stream.UncertainError):
        file.close()
    assert len(proxy.injected) == 2
    told = Told()
    with start(proxied, bucket, key, callback=told, **options) as file:
        assert (told.sizes, told.value) == ([len(DATA)], len(DATA))
    assert (file.stats.bytes, file.stats.parts) == (len(DATA), 3)


def test_in_a_transaction_it_is_told_of_the_parts_and_of_the_rest_at_its_end(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    fs = s3stream.S3StreamFileSystem(**seaweedfs.storage_options())
    small, large = Told(), Told()
    with fs.transaction:
        fs.pipe_file(f"{bucket}/{key}", b"small", callback=small)
        fs.pipe_file(f"{bucket}/{key}-large", DATA, callback=large)
        assert small.value == 0
    assert (small.value, large.value) == (5, len(DATA))


# -- a callback that fails


class BarError(Exception):
    """What a progress bar raises."""


def failing() -> None:
    raise BarError


def test_the_error_of_a_callback_is_the_first_and_nothing_is_published(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    def produce() -> None:
        with file:
            file.write(DATA)
            while True:  # until the first part has been accepted
                file.write(b"more")

    file = start(seaweedfs, bucket, key, callback=Told(failing), buffering=0)
    with pytest.raises(BarError):
        produce()
    assert_nothing(seaweedfs, bucket, key)
    with pytest.raises(S3StreamError, match="BarError") as caught:
        file.commit()
    assert isinstance(caught.value.__cause__, BarError)
    assert_nothing(seaweedfs, bucket, key)


def test_an_error_of_the_callback_in_close_comes_through_and_nothing_is_published(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    told = Told(lambda: failing() if told.value == len(DATA) else None)
    file = start(seaweedfs, bucket, key, callback=told)
    file.write(DATA)
    with pytest.raises(BarError):
        file.close()  # told of the last part, before the commit
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("told_of", [PART, len(DATA)], ids=["in write", "in close"])
def test_a_callback_may_discard(seaweedfs: Server, bucket: str, key: str, told_of: int) -> None:
    def produce() -> None:
        file.write(DATA)
        while told.value < told_of < len(DATA):
            file.write(b"more")
        file.close()

    told = Told(lambda: file.discard() if told.value >= told_of else None)
    file = start(seaweedfs, bucket, key, callback=told, buffering=0)
    with pytest.raises(S3StreamError, match="discarded while it was written to"):
        produce()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("end", ["close", "commit", "prepare"])
@pytest.mark.parametrize("size", [100, PART + 1], ids=["one request", "parts"])
@pytest.mark.parametrize("mode", ["wb", "w+b"])
def test_a_callback_may_discard_when_it_hears_of_the_size(
    seaweedfs: Server, bucket: str, key: str, mode: str, size: int, end: str
) -> None:
    class Discards(Callback):  # type: ignore[misc]  # fsspec has no types
        def set_size(self, size: int) -> None:
            super().set_size(size)
            file.discard()

    file = start(seaweedfs, bucket, key, mode, callback=Discards())
    file.write(DATA[:size])
    with pytest.raises(S3StreamError, match="discarded while it was written to"):
        getattr(file, end)()
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)


def test_a_callback_that_discards_what_is_there_does_no_harm(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    told = Told()
    file = start(seaweedfs, bucket, key, callback=told)
    told.then = file.discard
    file.write(b"small")
    file.close()
    assert content(seaweedfs, bucket, key) == b"small"


def test_with_a_checkpoint_what_was_sent_is_kept_all_the_same(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    told = Told(lambda: failing() if told.value == len(DATA) else None)
    path = tmp_path / "file.json"
    with (
        pytest.raises(BarError),
        start(seaweedfs, bucket, key, callback=told, checkpoint=path) as file,
    ):
        file.write(DATA)
    assert not exists(seaweedfs, bucket, key)
    with start(seaweedfs, bucket, key, checkpoint=path) as file:
        assert file.tell() == 2 * PART  # the last one is smaller than a part, and is sent again
        file.write(DATA[2 * PART :])
    assert content(seaweedfs, bucket, key) == DATA


def test_of_a_small_object_it_comes_when_that_is_there_and_says_so(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    fs = s3stream.S3StreamFileSystem(**seaweedfs.storage_options())
    with pytest.raises(NotFoundError):
        fs.info(f"{bucket}/{key}/small")
    assert fs.find(f"{bucket}/{key}") == []
    fs.pipe_file(f"{bucket}/{key}/first", b"1")
    assert fs.ls(f"{bucket}/{key}", detail=False) == [f"{bucket}/{key}/first"]
    file = fs.open(f"{bucket}/{key}/small", "wb", callback=Told(failing))
    file.write(b"small")
    with pytest.raises(BarError) as caught:
        file.close()
    assert "yet the object was published" in "".join(getattr(caught.value, "__notes__", []))
    assert file.result.size == 5
    assert content(seaweedfs, bucket, f"{key}/small") == b"small"
    assert fs.ls(f"{bucket}/{key}", detail=False) == [
        f"{bucket}/{key}/first",
        f"{bucket}/{key}/small",
    ]


def test_a_callback_that_does_not_like_a_size_leaves_nothing(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    class NoSize(Callback):  # type: ignore[misc]  # fsspec has no types
        def set_size(self, size: int) -> None:
            raise BarError

    with pytest.raises(BarError):
        start(seaweedfs, bucket, key, callback=NoSize(), size_hint=10)
    with pytest.raises(BarError), start(seaweedfs, bucket, key, callback=NoSize()) as file:
        file.write(DATA)
    gc.collect()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    "wrong", ["tqdm", print, 7, lambda done: None], ids=lambda v: type(v).__name__
)
def test_what_is_no_callback_is_refused(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path, wrong: object
) -> None:
    local = tmp_path / "local"
    for size in (10, len(DATA)):
        local.write_bytes(DATA[:size])
        with pytest.raises(UsageError, match=r"callback=.*: expected one of fsspec's"):
            s3stream.upload_file(
                local, f"s3://{bucket}/{key}", callback=wrong, **proxied.storage_options()
            )
    with pytest.raises(UsageError, match=r"callback=.*: expected one of fsspec's"):
        start(proxied, bucket, key, callback=wrong)
    assert proxy.log == []


def test_reading_takes_none(proxied: Server, proxy: Proxy, bucket: str, key: str) -> None:
    with pytest.raises(UsageError, match="callback=: is for writing"):
        start(proxied, bucket, key, "rb", callback=Told())
    fs = s3stream.S3StreamFileSystem(**proxied.storage_options())
    with pytest.raises(UsageError, match="callback=: is for writing"):
        fs.open(f"{bucket}/{key}", callback=Told())
    assert proxy.log == []


# -- the line at the end


def lines(caplog: pytest.LogCaptureFixture, key: str) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == ("s3stream", logging.INFO)
        and key in record.msg % (record.args or ())
    ]


@pytest.mark.parametrize("size", [100, len(DATA)])
@pytest.mark.parametrize(
    ("end", "became"),
    [
        (lambda file: file.close(), "published"),
        (lambda file: file.commit(), "published"),
        (lambda file: file.discard(), "discarded"),
        (lambda file: file.suspend(), "kept, to be taken up again"),
    ],
    ids=["close", "commit", "discard", "suspend"],
)
def test_one_line_at_info_says_how_it_ended(
    seaweedfs: Server,
    bucket: str,
    key: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    size: int,
    end: Callable[[Any], object],
    became: str,
) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    file = start(seaweedfs, bucket, key)
    file.write(DATA[:size])
    assert lines(caplog, key) == []
    end(file)
    file.close()
    file.discard()
    del file
    gc.collect()
    (line,) = lines(caplog, key)
    assert line.startswith(f"s3://{bucket}/{key} at generic: {became}: ")
    if became == "published":
        parts = "3 parts" if size > PART else "0 parts"
        assert f": {size:,} bytes, {parts}, " in line
        assert "0 repeated, 0 SlowDown" in line
    assert capfd.readouterr() == ("", "")


FACES: dict[str, tuple[str, dict[str, Any]]] = {
    "raw": ("wb", {"buffering": 0}),
    "buffered": ("wb", {}),
    "text": ("w", {}),
    "compressed": ("wb", {"compression": "gzip"}),
}
ENDS = ("close", "commit", "discard", "__exit__")


@pytest.mark.parametrize(
    ("face", "end"),
    [*itertools.product(FACES, ENDS), ("raw", "suspend"), ("buffered", "suspend")],
)
def test_no_lock_is_held_meanwhile_for_the_log_may_be_written_to_the_file(
    seaweedfs: Server, bucket: str, key: str, face: str, end: str
) -> None:
    mode, more = FACES[face]
    file = start(seaweedfs, bucket, key, mode, **more)

    def use() -> None:
        with suppress(ValueError):  # it is closed
            file.write("x" if mode == "w" else b"x")
        file.discard()

    class Asking(logging.Handler):
        """Asks, on another thread, whether the file can be used."""

        def emit(self, record: logging.LogRecord) -> None:
            if key in record.getMessage():
                with running(use):
                    found.append(record.getMessage())

    found: list[str] = []
    handler, log = Asking(logging.INFO), logging.getLogger("s3stream")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        file.write("text" if mode == "w" else b"text")
        arguments = (ValueError, ValueError(), None) if end == "__exit__" else ()
        getattr(file, end)(*arguments)
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
    assert len(found) == 1


def test_a_file_that_nobody_closes_has_its_line_too(
    seaweedfs: Server, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    file = start(seaweedfs, bucket, key)
    file.write(b"lost")
    lost = [file]
    del file
    with pytest.warns(RuntimeWarning, match="nothing was published"):
        lost.clear()
    (line,) = lines(caplog, key)
    assert f"{key} at generic: discarded: 0 bytes" in line


def test_where_nobody_knows_the_line_says_so(
    proxied: Server, proxy: Proxy, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    retries = {"retries": {"mode": "standard", "total_max_attempts": 2}}
    proxy.inject("PutObject", BROKEN, times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    file = start(proxied, bucket, key, config_kwargs=retries)
    file.write(b"?")
    with pytest.raises(s3stream.UncertainError):
        file.close()
    assert {exchange.operation for _, exchange in proxy.injected} == {"PutObject", "HeadObject"}
    (line,) = lines(caplog, key)
    assert "nobody knows whether it was published: 0 bytes, 0 parts" in line
    assert file.stats.retries == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_local_file_has_its_line(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    fails: bool,
) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    local = tmp_path / "local"
    local.write_bytes(DATA)
    retries = {"retries": {"mode": "standard", "total_max_attempts": 3}}
    options: dict[str, Any] = {**proxied.storage_options(), "config_kwargs": retries}
    proxy.inject("UploadPart", BROKEN, times=3 if fails else 2, where=lambda x: x.part_number == 2)
    if fails:
        with pytest.raises(S3StreamError):
            s3stream.upload_file(local, f"s3://{bucket}/{key}", **options)
        assert_nothing(seaweedfs, bucket, key)
    else:
        s3stream.upload_file(local, f"s3://{bucket}/{key}", **options)
        assert content(seaweedfs, bucket, key) == DATA
    assert len(proxy.injected) == (3 if fails else 2)
    (line,) = lines(caplog, key)
    if fails:
        assert f"{key} at generic: discarded: " in line
    else:
        assert f"{key} at generic: published: {len(DATA):,} bytes, 3 parts, " in line
    assert "2 repeated, 0 SlowDown" in line
