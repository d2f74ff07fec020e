"""`upload_file`: a local file in parts at once; whole or not at all, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.callbacks import Callback

import s3stream
from s3stream import (
    AlreadyExistsError,
    NotFoundError,
    S3StreamError,
    UncertainError,
    UploadResult,
    UsageError,
)
from s3stream.journal import Journal
from tests.faults import Answer, Hold, HoldAnswer, LoseAnswer, Meanwhile
from tests.looking import (
    assert_nothing,
    bytes_of,
    content,
    exists,
    uploads,
    wait_for_threads,
)
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 << 20
DATA = bytes_of(4 * PART + 1000)
PARTS = 5
FEW_RETRIES = {"retries": {"mode": "standard", "total_max_attempts": 3}}

# Where the tests run in the background of a shell, SIGINT is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "upload.json"


def lock_for(store: Server) -> dict[str, Any]:
    """A lease that the tests have the time for; none where there are no conditional writes."""
    conditional = not {"if-match-put", "if-none-match-put"} & CANNOT[store.name]
    return {"lease": 1.0} if conditional else {"lock": None}


def send(store: Server, file: Path, bucket: str, key: str, **options: Any) -> UploadResult:
    chosen = {"part_size": PART, **lock_for(store), **store.storage_options(), **options}
    return s3stream.upload_file(file, f"s3://{bucket}/{key}", **chosen)


def requests_for(proxy: Proxy, key: str) -> int:
    """How many were for the object itself, and not for its lock."""
    return len([exchange for exchange in proxy.log if exchange.path.endswith(key)])


def sent(proxy: Proxy) -> list[int]:
    return sorted(exchange.part_number or 0 for exchange in proxy.of("UploadPart"))


def part(number: int) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.part_number == number


def forbid(proxy: Proxy, number: int) -> None:
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), where=part(number))


class Told(Callback):  # type: ignore[misc]  # fsspec has no types
    """Keeps what it is told, and by which thread; then does what it is asked to."""

    def __init__(
        self,
        then: Callable[[], object] = lambda: None,
        on_size: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self.on_size = on_size
        self.steps: list[int] = []
        self.threads: set[int] = set()
        self.then = then

    def set_size(self, size: int) -> None:
        super().set_size(size)
        self.on_size()

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        self.steps.append(inc)
        self.threads.add(threading.get_ident())
        self.then()


@contextmanager
def when_held(
    proxy: Proxy, operation: str, action: Callable[[Hold], object], **rule: Any
) -> Iterator[Hold]:
    """Hold a request; do something when it has come, on another thread."""
    hold = Hold()
    proxy.inject(operation, hold, **rule)

    def act() -> None:
        proxy.wait_until_injected(hold)
        action(hold)

    acting = threading.Thread(target=act)
    acting.start()
    try:
        yield hold
    finally:
        acting.join()
        assert proxy.injected


def interrupt(hold: Hold) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


# -- what it makes


@pytest.mark.parametrize("size", [0, 10, PART, PART + 1, len(DATA)])
def test_a_file_becomes_an_object(
    store: Server, bucket: str, key: str, file: Path, checkpoint: Path, size: int
) -> None:
    os.truncate(file, size)
    metadata = {"Metadata": {"made": "of a file"}}
    for more in ({}, {"checkpoint": checkpoint}):
        result = send(store, file, bucket, f"{key}.csv", **metadata, **more)
        assert content(store, bucket, f"{key}.csv") == DATA[:size]
        parts = 0 if size <= PART else -(-size // PART)
        assert (result.bucket, result.key) == (bucket, f"{key}.csv")
        assert (result.size, result.parts) == (size, parts)
        head = store.client().head_object(Bucket=bucket, Key=f"{key}.csv")
        named = {name.lower(): value for name, value in head["Metadata"].items()}
        assert named["made"] == "of a file"
        assert head["ContentType"].startswith("text/csv")
        assert uploads(store, bucket, key) == []
        assert not checkpoint.exists()
        if "checksums" not in CANNOT[store.name]:
            assert result.checksum is not None
            assert result.checksum.verified


@pytest.mark.parametrize("size", [10, len(DATA)])
def test_conditions_hold(seaweedfs: Server, bucket: str, key: str, file: Path, size: int) -> None:
    os.truncate(file, size)
    first = send(seaweedfs, file, bucket, key, if_none_match="*")
    with pytest.raises(AlreadyExistsError):
        send(seaweedfs, file, bucket, key, if_none_match="*")
    assert uploads(seaweedfs, bucket, key) == []
    with pytest.raises(s3stream.PreconditionError):
        send(seaweedfs, file, bucket, key, if_match='"no such one"')
    second = send(seaweedfs, file, bucket, key, if_match=first.etag)
    assert second.size == size
    assert content(seaweedfs, bucket, key) == DATA[:size]
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("reserve", [0, PART])
def test_a_short_tail_joins_the_part_before_where_the_store_asks_that(
    seaweedfs: Server, bucket: str, key: str, file: Path, reserve: int
) -> None:
    result = send(seaweedfs, file, bucket, key, reserve=reserve)
    assert result.parts == (4 if reserve else 5)
    assert content(seaweedfs, bucket, key) == DATA


def test_parts_are_sent_at_once(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)

    def release() -> None:
        proxy.wait_for("UploadPart", 3)
        hold.event.set()

    releasing = threading.Thread(target=release)
    releasing.start()
    send(proxied, file, bucket, key, max_concurrency=3)
    releasing.join()
    assert proxy.in_flight_peak("UploadPart") == 3
    assert sent(proxy) == [1, 2, 3, 4, 5]
    assert content(seaweedfs, bucket, key) == DATA


def test_no_part_is_copied_in_memory(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "zeros"
    path.touch()
    part_size = 32 << 20
    os.truncate(path, 3 * part_size)
    tracemalloc.start()
    try:
        send(seaweedfs, path, bucket, key, part_size=part_size)
        assert tracemalloc.get_traced_memory()[1] < part_size // 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("size", "least"), [(0, []), (10, [10]), (len(DATA), [])], ids=["empty", "small", "parts"]
)
def test_the_callback_is_told_of_every_byte_on_the_callers_thread(
    seaweedfs: Server, bucket: str, key: str, file: Path, size: int, least: list[int]
) -> None:
    os.truncate(file, size)
    told = Told()
    send(seaweedfs, file, bucket, key, callback=told)
    assert (told.size, sum(told.steps)) == (size, size)
    assert told.threads <= {threading.get_ident()}
    if least:
        assert told.steps == least


def test_the_callback_hears_of_a_part_while_others_are_in_flight(
    proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=part(2))
    told = Told(hold.event.set)
    send(proxied, file, bucket, key, callback=told)
    assert len(told.steps) > 1


def test_a_callback_that_fails_leaves_nothing(
    seaweedfs: Server, bucket: str, key: str, file: Path
) -> None:
    with pytest.raises(ZeroDivisionError):
        send(seaweedfs, file, bucket, key, callback=Told(lambda: 1 // 0))
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("size", [10, len(DATA)])
def test_a_callback_that_does_not_like_the_size_leaves_nothing(
    seaweedfs: Server, bucket: str, key: str, file: Path, size: int
) -> None:
    os.truncate(file, size)
    with pytest.raises(ZeroDivisionError):
        send(seaweedfs, file, bucket, key, callback=Told(on_size=lambda: 1 // 0))
    assert_nothing(seaweedfs, bucket, key)


def test_a_callback_that_fails_when_a_small_file_is_there_says_that_it_is(
    seaweedfs: Server, bucket: str, key: str, file: Path
) -> None:
    # One request accepts its bytes and publishes them: nobody can be told in between.
    os.truncate(file, 10)
    with pytest.raises(ZeroDivisionError) as caught:
        send(seaweedfs, file, bucket, key, callback=Told(lambda: 1 // 0))
    assert "yet the object was published" in "".join(getattr(caught.value, "__notes__", []))
    assert content(seaweedfs, bucket, key) == DATA[:10]


def test_a_transaction_of_the_same_file_system_does_not_hold_up_a_small_file(
    seaweedfs: Server, bucket: str, key: str, file: Path
) -> None:
    os.truncate(file, 10)
    fs = s3stream.S3StreamFileSystem(**seaweedfs.storage_options())
    with fs.transaction:
        send(seaweedfs, file, bucket, key, publish="commit")
        assert exists(seaweedfs, bucket, key)


# -- what it refuses


def test_wrong_input_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no-such"):
        send(proxied, tmp_path / "no-such", bucket, key)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, said in ((tmp_path, "is a folder"), (pipe, "is not a regular file")):
        with pytest.raises(UsageError, match=said):
            send(proxied, path, bucket, key)
    with pytest.raises(UsageError, match="part_sise"):
        send(proxied, file, bucket, key, part_sise=7)
    with pytest.raises(UsageError, match="NoSuchThing"):
        send(proxied, file, bucket, key, NoSuchThing=7)
    with pytest.raises(s3stream.TooLargeError, match=r"20,972,520 bytes cannot fit: 2 parts"):
        send(proxied, file, bucket, key, equal_parts=True, max_parts=2)
    assert proxy.count() == 0
    with pytest.raises(S3StreamError, match=r"checkpoint.*cannot be written") as caught:
        send(proxied, file, bucket, key, checkpoint=tmp_path / "none" / "upload.json")
    assert (caught.value.bucket, caught.value.key) == (bucket, key)
    assert proxy.count("CreateMultipartUpload") == 0


def test_a_bucket_that_is_not_there_leaves_no_checkpoint(
    seaweedfs: Server, key: str, file: Path, checkpoint: Path
) -> None:
    with pytest.raises(NotFoundError, match="no bucket") as caught:
        send(seaweedfs, file, "no-such-bucket", key, checkpoint=checkpoint)
    assert "delete" not in str(caught.value)
    assert not checkpoint.exists()


# -- the file is changed meanwhile


def append(file: Path) -> None:
    with file.open("ab") as appending:
        appending.write(b"more")


def truncate(file: Path) -> None:
    os.truncate(file, PART + 10)


def touch(file: Path) -> None:
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def exchange(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)


def remove(file: Path) -> None:
    file.unlink()


CHANGES = [
    (append, "it had .* bytes, now it has "),
    (truncate, "it had .* bytes, now it has "),
    (touch, "it was written to: the time of its last change was"),
    (exchange, "another file has taken its place"),
    (remove, "it cannot be found any more"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda c: getattr(c, "__name__", ""))
def test_a_file_that_is_changed_while_parts_are_sent_is_an_error(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    change: Callable[[Path], None],
    said: str,
) -> None:
    def act(hold: Hold) -> None:
        change(file)
        hold.event.set()

    with (
        when_held(proxy, "UploadPart", act, where=part(2)),
        pytest.raises(S3StreamError, match=rf"{file} was changed.*{said}.*send it again") as caught,
    ):
        send(proxied, file, bucket, key, max_concurrency=2)
    assert (caught.value.bucket, caught.value.key) == (bucket, key)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("change", [append, touch])
def test_a_change_after_the_last_part_is_seen_before_the_object_is_made(
    seaweedfs: Server, bucket: str, key: str, file: Path, change: Callable[[Path], None]
) -> None:
    told = Told(lambda: change(file) if told.value == told.size else None)
    with pytest.raises(S3StreamError, match="was changed while it was sent"):
        send(seaweedfs, file, bucket, key, callback=told)
    assert told.value == len(DATA)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("change", [append, touch, exchange])
def test_a_small_file_that_is_changed_is_an_error(
    seaweedfs: Server, bucket: str, key: str, file: Path, change: Callable[[Path], None]
) -> None:
    os.truncate(file, 10)
    with pytest.raises(S3StreamError, match="was changed while it was sent"):
        send(seaweedfs, file, bucket, key, callback=Told(on_size=lambda: change(file)))
    assert_nothing(seaweedfs, bucket, key)


def test_a_file_that_is_truncated_between_two_attempts_is_the_error(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    def truncated(exchange: Exchange) -> bool:
        if exchange.part_number == 2:
            truncate(file)
        return exchange.part_number == 2

    proxy.inject("UploadPart", Answer(500, "InternalError"), where=truncated)
    with pytest.raises(S3StreamError, match="was changed while it was sent"):
        send(proxied, file, bucket, key, max_concurrency=1, config_kwargs=FEW_RETRIES)
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


# -- the store fails


def test_a_part_that_is_refused_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    forbid(proxy, 3)
    with pytest.raises(PermissionError) as caught:
        send(proxied, file, bucket, key)
    assert isinstance(caught.value, S3StreamError)
    assert caught.value.part_number == 3
    assert proxy.count("CompleteMultipartUpload") == 0
    assert_nothing(seaweedfs, bucket, key)


def test_after_a_refusal_no_further_part_is_begun(
    proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    forbid(proxy, 2)
    with pytest.raises(PermissionError):
        send(proxied, file, bucket, key, max_concurrency=1)
    assert sent(proxy) == [1, 2]


def test_a_commit_that_is_refused_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    proxy.inject("CompleteMultipartUpload", Answer(403, "AccessDenied"))
    with pytest.raises(PermissionError):
        send(proxied, file, bucket, key)
    assert_nothing(seaweedfs, bucket, key)


def test_a_clean_up_that_fails_is_noted_on_the_error_that_made_it_necessary(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    forbid(proxy, 3)
    proxy.inject("AbortMultipartUpload", Answer(403, "AccessDenied"), times=None)
    with pytest.raises(s3stream.AccessDeniedError) as caught:
        send(proxied, file, bucket, key)
    assert caught.value.part_number == 3
    (note,) = getattr(caught.value, "__notes__", [])
    assert "the clean-up failed: CleanupError" in note
    (left,) = uploads(seaweedfs, bucket, key)
    assert left in note
    assert not exists(seaweedfs, bucket, key)


def test_a_lost_answer_is_settled_by_looking(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    proxy.inject("CompleteMultipartUpload", LoseAnswer())
    result = send(proxied, file, bucket, key, config_kwargs=FEW_RETRIES)
    assert (result.size, len(proxy.injected)) == (len(DATA), 1)
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("kept", [False, True])
def test_what_nobody_can_know_is_left_alone(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    kept: bool,
) -> None:
    proxy.inject("CompleteMultipartUpload", Answer(500, "InternalError"), times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    more = {"checkpoint": checkpoint} if kept else {}
    with pytest.raises(UncertainError) as caught:
        send(proxied, file, bucket, key, config_kwargs=FEW_RETRIES, **more)
    assert proxy.count("AbortMultipartUpload") == 0
    assert uploads(seaweedfs, bucket, key) == [caught.value.upload_id]
    assert checkpoint.exists() == kept
    proxy.clear()
    if kept:
        before = proxy.count("UploadPart")
        send(proxied, file, bucket, key, checkpoint=checkpoint)
        assert proxy.count("UploadPart") == before
        assert content(seaweedfs, bucket, key) == DATA
        assert uploads(seaweedfs, bucket, key) == []
        assert not checkpoint.exists()


# -- taken up again


@pytest.mark.parametrize("checksum", ["crc64nvme", None])
def test_only_the_parts_that_are_missing_are_sent(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    checksum: str | None,
) -> None:
    forbid(proxy, 4)
    chosen = {"checksum": checksum, "Metadata": {"made": "twice"}}
    with pytest.raises(PermissionError) as caught:
        send(proxied, file, bucket, key, checkpoint=checkpoint, max_concurrency=1, **chosen)
    (note,) = getattr(caught.value, "__notes__", [])
    assert str(checkpoint) in note
    assert proxy.count("AbortMultipartUpload") == 0
    before = proxy.count("UploadPart")
    assert sent(proxy) == [1, 2, 3, 4]
    told = Told()
    result = send(proxied, file, bucket, key, checkpoint=checkpoint, callback=told, **chosen)
    assert sorted(x.part_number or 0 for x in proxy.of("UploadPart")[before:]) == [4, 5]
    assert proxy.count("CreateMultipartUpload") == 1
    assert (told.size, told.value) == (len(DATA), len(DATA))
    assert (result.size, result.parts) == (len(DATA), PARTS)
    assert content(seaweedfs, bucket, key) == DATA
    head = seaweedfs.client().head_object(Bucket=bucket, Key=key)
    assert head["Metadata"]["made"] == "twice"
    assert uploads(seaweedfs, bucket, key) == []
    assert not checkpoint.exists()


def test_every_store_takes_it_up_again(
    store: Server, bucket: str, key: str, file: Path, checkpoint: Path
) -> None:
    told = Told(lambda: 1 // (told.value < 2 * PART))
    with pytest.raises(ZeroDivisionError):
        send(store, file, bucket, key, checkpoint=checkpoint, callback=told, max_concurrency=1)
    noted = Journal(checkpoint).read()
    assert noted is not None
    assert len(noted.parts) >= 2
    assert not exists(store, bucket, key)
    send(store, file, bucket, key, checkpoint=checkpoint)
    assert content(store, bucket, key) == DATA
    assert uploads(store, bucket, key) == []
    assert not checkpoint.exists()


@pytest.fixture
def interrupted(
    proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path, checkpoint: Path
) -> str:
    """An upload that has failed at its last part, and its checkpoint; gives its id."""
    forbid(proxy, PARTS)
    with pytest.raises(PermissionError):
        send(proxied, file, bucket, key, checkpoint=checkpoint, max_concurrency=1)
    noted = Journal(checkpoint).read()
    assert noted is not None
    assert [receipt.part_number for receipt in noted.parts] == [1, 2, 3, 4]
    assert noted.upload_id is not None
    return noted.upload_id


def test_a_part_that_somebody_has_replaced_is_sent_again(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    # SeaweedFS lists what was there before as well, and would take it: here the store forgets.
    noted = Journal(checkpoint).read()
    assert noted is not None
    parts = [replace(p, etag='"another"') if p.part_number == 2 else p for p in noted.parts]
    Journal(checkpoint).write(replace(noted, parts=tuple(parts)))
    before = proxy.count("UploadPart")
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert sorted(x.part_number or 0 for x in proxy.of("UploadPart")[before:]) == [2, 5]
    assert content(seaweedfs, bucket, key) == DATA


def test_every_store_lets_a_replaced_part_be_mended(
    store: Server, bucket: str, key: str, file: Path, checkpoint: Path
) -> None:
    told = Told(lambda: 1 // (told.value < 2 * PART))
    chosen: dict[str, Any] = {"checkpoint": checkpoint, "checksum": None, "max_concurrency": 1}
    with pytest.raises(ZeroDivisionError):
        send(store, file, bucket, key, callback=told, **chosen)
    (upload_id,) = uploads(store, bucket, key)
    if "part-twice" in CANNOT[store.name]:
        store.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        return
    other = bytes_of(PART, 1)
    store.client(request_checksum_calculation="when_required").upload_part(
        Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=other
    )
    send(store, file, bucket, key, **chosen)
    assert content(store, bucket, key) == DATA
    assert uploads(store, bucket, key) == []


def test_a_part_that_is_not_what_the_file_holds_is_sent_again(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    """Bytes can be changed without their showing in a time: a restored copy, a bad disk."""
    before = file.stat()
    with file.open("r+b") as changing:
        changing.seek(2 * PART + 7)
        changing.write(b"something else")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    count = proxy.count("UploadPart")
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert sorted(x.part_number or 0 for x in proxy.of("UploadPart")[count:]) == [3, 5]
    assert content(seaweedfs, bucket, key) == file.read_bytes() != DATA


def test_who_may_not_list_trusts_the_checkpoint(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    proxy.inject("ListParts", Answer(403, "AccessDenied"), times=None)
    before = proxy.count("UploadPart")
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert proxy.count("UploadPart") == before + 1
    assert content(seaweedfs, bucket, key) == DATA


def test_another_file_uri_or_choice_is_refused_and_all_is_kept(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    requests = requests_for(proxy, key)
    with pytest.raises(UsageError, match=rf"of s3://{bucket}/{key}, not of s3://{bucket}/other"):
        send(proxied, file, bucket, "other", checkpoint=checkpoint)
    for name, value in (("part_size", 2 * PART), ("checksum", "crc32"), ("if_none_match", "*")):
        with pytest.raises(UsageError, match=rf"with {name}=.*, not {value!r}"):
            send(proxied, file, bucket, key, checkpoint=checkpoint, **{name: value})
    noted = Journal(checkpoint).read()
    assert noted is not None
    Journal(checkpoint).write(replace(noted, source=None))
    with pytest.raises(UsageError, match="of a stream"):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    Journal(checkpoint).write(noted)
    touch(file)
    with pytest.raises(UsageError, match=rf"{file} as it was before.*to begin again, delete it"):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    append(file)
    with pytest.raises(UsageError, match=r"20,972,520 bytes.*now it has 20,972,524"):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    file.write_bytes(b"small now")
    with pytest.raises(UsageError, match=r"now it has 9 bytes"):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert requests_for(proxy, key) == requests
    assert Journal(checkpoint).read() == noted
    assert uploads(seaweedfs, bucket, key) == [interrupted]
    checkpoint.unlink()
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert content(seaweedfs, bucket, key) == b"small now"


def test_what_is_said_again_is_no_other_choice(
    seaweedfs: Server,
    proxied: Server,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    same = {"checksum": "crc64nvme", "if_match": None, "size_hint": len(DATA)}
    send(proxied, file, bucket, key, checkpoint=checkpoint, **same)
    assert content(seaweedfs, bucket, key) == DATA


def test_an_upload_that_is_gone_says_how_to_begin_again(
    seaweedfs: Server,
    proxied: Server,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    interrupted: str,
) -> None:
    client = seaweedfs.client()
    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=interrupted)
    for _ in "12":
        with pytest.raises(NotFoundError, match=rf"gone.*delete the checkpoint {checkpoint}"):
            send(proxied, file, bucket, key, checkpoint=checkpoint)
        # Of an upload that was never finished no object can have come.
        client.put_object(Bucket=bucket, Key=key, Body=b"of somebody else")
    checkpoint.unlink()
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert content(seaweedfs, bucket, key) == DATA


def test_an_upload_that_goes_away_between_last_part_and_commit_says_so_too(
    seaweedfs: Server, proxied: Server, bucket: str, key: str, file: Path, checkpoint: Path
) -> None:
    def abort() -> None:
        if told.value == told.size:
            (upload_id,) = uploads(seaweedfs, bucket, key)
            seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    told = Told(abort)
    for callback in (told, Told()):  # and all parts are known when it is taken up again
        with pytest.raises(NotFoundError, match=rf"delete the checkpoint {checkpoint}"):
            send(proxied, file, bucket, key, checkpoint=checkpoint, callback=callback)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("condition", [{}, {"if_none_match": "*"}], ids=["any", "exclusive"])
def test_a_commit_whose_answer_was_lost_is_found_by_the_next_call(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    condition: dict[str, Any],
) -> None:
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    more = {"config_kwargs": FEW_RETRIES, "checkpoint": checkpoint, **condition}
    with pytest.raises(UncertainError):
        send(proxied, file, bucket, key, **more)
    proxy.clear()
    assert checkpoint.exists()
    assert content(seaweedfs, bucket, key) == DATA
    counts = [proxy.count(name) for name in ("UploadPart", "CompleteMultipartUpload")]
    told = Told()
    result = send(proxied, file, bucket, key, callback=told, **more)
    assert [proxy.count(name) for name in ("UploadPart", "CompleteMultipartUpload")] == counts
    assert (result.size, result.parts, told.value) == (len(DATA), PARTS, len(DATA))
    assert not checkpoint.exists()
    assert proxy.count("AbortMultipartUpload") == 0


# -- Ctrl-C, kills


def test_an_interrupt_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    with (
        when_held(proxy, "UploadPart", interrupt, where=part(2)) as hold,
        pytest.raises(KeyboardInterrupt),
    ):
        send(proxied, file, bucket, key, max_concurrency=2)
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 2)
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_an_interrupted_beginning_leaves_nothing(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    with (
        when_held(proxy, "CreateMultipartUpload", interrupt) as hold,
        pytest.raises(KeyboardInterrupt),
    ):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert not checkpoint.exists()
    hold.event.set()
    proxy.wait_for("AbortMultipartUpload", 1)
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_an_interrupt_with_a_checkpoint_keeps_what_was_sent(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    with (
        when_held(proxy, "UploadPart", interrupt, where=part(3)) as hold,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        send(proxied, file, bucket, key, checkpoint=checkpoint, max_concurrency=1)
    (note,) = getattr(caught.value, "__notes__", [])
    assert str(checkpoint) in note
    hold.event.set()
    wait_for_threads(key)
    assert proxy.count("AbortMultipartUpload") == 0
    before = proxy.count("UploadPart")
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert proxy.count("UploadPart") - before == 3
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("kept", [False, True])
def test_an_interrupted_commit_is_left_alone(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    kept: bool,
) -> None:
    more = {"checkpoint": checkpoint} if kept else {}
    with (
        when_held(proxy, "CompleteMultipartUpload", interrupt) as hold,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        send(proxied, file, bucket, key, **more)
    (note,) = getattr(caught.value, "__notes__", [])
    assert "the object may appear" in note
    assert not exists(seaweedfs, bucket, key)
    hold.event.set()
    wait_for_threads(key)
    assert proxy.count("AbortMultipartUpload") == 0
    assert content(seaweedfs, bucket, key) == DATA
    assert checkpoint.exists() == kept
    if kept:
        assert send(proxied, file, bucket, key, **more).parts == PARTS
        assert not checkpoint.exists()


def test_an_interrupted_commit_that_is_answered_says_that_it_is_there(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path
) -> None:
    hold = HoldAnswer()  # what the store has to do does not take of the two seconds
    proxy.inject("CompleteMultipartUpload", hold)

    def interrupt_and_answer() -> None:
        assert hold.done.wait(120)
        interrupt(hold)
        hold.event.set()

    interrupting = threading.Thread(target=interrupt_and_answer)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        send(proxied, file, bucket, key)
    interrupting.join()
    assert proxy.injected
    (note,) = getattr(caught.value, "__notes__", [])
    assert "the object was published" in note
    assert content(seaweedfs, bucket, key) == DATA


PROGRAM = """
import json, sys
import s3stream
from fsspec.callbacks import Callback

class Print(Callback):
    def relative_update(self, inc=1):
        print(inc, flush=True)

if {on_sigterm}:
    s3stream.discard_on_sigterm()
path, uri, options = sys.argv[1:]
s3stream.upload_file(path, uri, callback=Print(), **json.loads(options))
"""


def run(
    store: Server, file: Path, bucket: str, key: str, on_sigterm: bool = False, **options: Any
) -> subprocess.Popen[str]:
    connection = {**lock_for(store), **store.storage_options()}
    chosen = {"part_size": PART, "max_concurrency": 1, **connection, **options}
    program = PROGRAM.format(on_sigterm=on_sigterm)
    arguments = [str(file), f"s3://{bucket}/{key}", json.dumps(chosen)]
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("held", [2, 4])
def test_a_process_that_is_killed_loses_no_part_that_was_told_of(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    held: int,
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=part(held))
    with run(proxied, file, bucket, key, checkpoint=str(checkpoint)) as process:
        assert process.stdout is not None
        for _ in range(held - 1):
            assert process.stdout.readline() == f"{PART}\n"
        proxy.wait_for("UploadPart", held)
        process.kill()
    before = proxy.count("UploadPart")
    assert not exists(seaweedfs, bucket, key)
    told = Told()
    result = send(proxied, file, bucket, key, checkpoint=checkpoint, callback=told)
    again = sorted(x.part_number or 0 for x in proxy.of("UploadPart")[before:])
    assert again == list(range(held, PARTS + 1))
    assert (result.size, told.value) == (len(DATA), len(DATA))
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []
    assert not checkpoint.exists()


def test_a_process_that_is_killed_before_its_upload_was_known_begins_again(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    hold = Hold()
    proxy.inject("CreateMultipartUpload", hold)
    with run(proxied, file, bucket, key, checkpoint=str(checkpoint)) as process:
        proxy.wait_for("CreateMultipartUpload", 1)
        process.kill()
    noted = Journal(checkpoint).read()
    assert noted is not None
    assert noted.upload_id is None
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert content(seaweedfs, bucket, key) == DATA
    assert not checkpoint.exists()


@pytest.mark.parametrize("kept", [False, True])
def test_a_process_that_is_told_to_end_cleans_up(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
    kept: bool,
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=part(3))
    more = {"checkpoint": str(checkpoint)} if kept else {}
    with run(proxied, file, bucket, key, on_sigterm=True, **more) as process:
        proxy.wait_for("UploadPart", 3)
        process.terminate()
        if not kept:
            proxy.wait_for("AbortMultipartUpload", 1)
        hold.event.set()
    assert process.returncode == -signal.SIGTERM
    assert not exists(seaweedfs, bucket, key)
    assert len(uploads(seaweedfs, bucket, key)) == kept
    if kept:
        send(proxied, file, bucket, key, checkpoint=checkpoint)
        assert sent(proxy)[:2] == [1, 2]
        assert content(seaweedfs, bucket, key) == DATA


def test_with_a_checkpoint_it_is_locked_as_long_as_it_is_sent(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, where=part(1))
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send, proxied, file, bucket, key, checkpoint=checkpoint, lease=60.0)
        proxy.wait_for("UploadPart", 1)
        assert exists(seaweedfs, bucket, f"{key}.s3stream-lock")
        hold.release()
        assert sending.result().size == file.stat().st_size
    assert not exists(seaweedfs, bucket, f"{key}.s3stream-lock")
    own = threading.Lock()
    told = Told(then=lambda: own.locked() or pytest.fail("not locked"))
    send(proxied, file, bucket, key, checkpoint=checkpoint, lock=own, callback=told)
    assert not own.locked()


def test_who_has_lost_the_lock_does_not_publish(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    lock: dict[str, Any] = {"Bucket": bucket, "Key": f"{key}.s3stream-lock"}
    taken_over = Told(then=lambda: seaweedfs.client().put_object(**lock, Body=b"{}"))
    with pytest.raises(s3stream.LockedError, match="has taken it over"):
        send(proxied, file, bucket, key, checkpoint=checkpoint, callback=taken_over)
    assert not exists(seaweedfs, bucket, key)
    assert proxy.count("CompleteMultipartUpload") == 0
    seaweedfs.client().delete_object(**lock)
    send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert content(seaweedfs, bucket, key) == file.read_bytes()
    assert uploads(seaweedfs, bucket, key) == []


def test_a_lock_that_cannot_be_removed_is_no_reason_to_say_that_nothing_was_published(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    proxy.inject("DeleteObject", Answer(403, "AccessDenied"), times=None)
    with pytest.warns(RuntimeWarning, match="its lock is left: cannot remove the lock"):
        assert send(proxied, file, bucket, key, checkpoint=checkpoint).parts == PARTS
    assert proxy.injected
    assert content(seaweedfs, bucket, key) == DATA
    assert not checkpoint.exists()


def test_a_lock_that_cannot_be_removed_does_not_hide_the_first_error(
    proxied: Server, proxy: Proxy, bucket: str, key: str, file: Path, checkpoint: Path
) -> None:
    forbid(proxy, 2)
    proxy.inject("DeleteObject", Answer(403, "AccessDenied"), times=None)
    with (
        pytest.warns(RuntimeWarning, match="its lock is left: cannot remove the lock"),
        pytest.raises(PermissionError, match=r"cannot upload.*part 2"),
    ):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert checkpoint.exists()


class Unlocked:
    """Somebody's own lock, which fails when it is released."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        raise ZeroDivisionError


def test_somebodys_own_lock_that_cannot_be_released_is_no_reason_either(
    seaweedfs: Server, bucket: str, key: str, file: Path, checkpoint: Path
) -> None:
    with pytest.warns(RuntimeWarning, match="its lock is left"):
        send(seaweedfs, file, bucket, key, checkpoint=checkpoint, lock=Unlocked())
    assert content(seaweedfs, bucket, key) == DATA


def test_a_checkpoint_that_cannot_be_removed_is_no_reason_either(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    file: Path,
    checkpoint: Path,
) -> None:
    def in_the_way() -> None:
        checkpoint.unlink()
        checkpoint.mkdir()

    proxy.inject("CompleteMultipartUpload", Meanwhile(in_the_way))
    with pytest.warns(RuntimeWarning, match="its checkpoint is left"):
        send(proxied, file, bucket, key, checkpoint=checkpoint)
    assert proxy.injected
    assert content(seaweedfs, bucket, key) == DATA
