"""Files under asyncio: nothing holds up the loop, and what is cancelled leaves nothing behind.

What is held is let go by the loop itself: a step that held it up would never end.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import gc
import gzip
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import s3stream
from s3stream import S3AsyncWriter, S3StreamError, UploadResult, UsageError
from tests.faults import Answer, Hold
from tests.looking import assert_nothing, bytes_of, content, exists, uploads, wait_for_threads

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

T = TypeVar("T")

PART = 5 << 20
MIB = 1 << 20
DENIED = Answer(403, "AccessDenied", "not today")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; no thread on which something was awaited is left then."""
    result = asyncio.run(main)
    assert steps() == []
    return result


def steps() -> list[str]:
    """The threads on which something is awaited."""
    return [t.name for t in threading.enumerate() if t.name.startswith("s3stream step")]


@pytest.fixture
def uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


@pytest.fixture
def options(proxied: Server) -> dict[str, Any]:
    """Through the proxy, one part at a time."""
    return {"part_size": PART, "max_concurrency": 1, **proxied.storage_options()}


async def arrived(proxy: Proxy, operation: str, count: int = 1) -> None:
    """Let the loop go on until so many requests have come."""
    await asyncio.to_thread(proxy.wait_for, operation, count, timeout=120)


async def notes_of(producing: Coroutine[Any, Any, None]) -> list[str]:
    """What is noted on the CancelledError, inside the task: before 3.11 `await` raises another."""
    try:
        await producing
    except asyncio.CancelledError as error:
        return list(getattr(error, "__notes__", []))
    raise AssertionError("it was not cancelled")


# -- what is written is there


def test_what_is_written_is_there_when_the_body_ends(store: Server, bucket: str, key: str) -> None:
    data = bytes_of(2 * PART + 77)
    name = f"s3://{bucket}/{key}"

    async def main() -> UploadResult:
        async with s3stream.aopen(name, part_size=PART, **store.storage_options()) as file:
            for at in range(0, len(data), 100_000):
                piece = data[at : at + 100_000]
                assert await file.write(piece) == len(piece)
            assert file.tell() == len(data)
            closed = [file.closed]
            assert not exists(store, bucket, key)
        assert [*closed, file.closed] == [False, True]
        assert file.stats.bytes == len(data)
        return file.result

    assert run(main()).size == len(data)
    assert content(store, bucket, key) == data
    assert uploads(store, bucket, key) == []


@settings(max_examples=12)
@given(sizes=st.lists(st.sampled_from([0, 1, 7, 1000, MIB - 1, MIB, MIB + 1]), max_size=6))
def test_pieces_of_every_size_come_in_their_order(
    seaweedfs: Server, bucket: str, sizes: list[int]
) -> None:
    pieces = [bytes_of(size, seed) for seed, size in enumerate(sizes)]

    async def main() -> None:
        async with s3stream.aopen(f"s3://{bucket}/pieces", **seaweedfs.storage_options()) as file:
            for number, piece in enumerate(pieces, 1):
                reused = bytearray(piece)
                await file.write(reused)
                reused[:] = bytes(len(reused))  # it is the caller's again
                assert file.tell() == sum(sizes[:number])

    run(main())
    assert content(seaweedfs, bucket, "pieces") == b"".join(pieces)


def test_text_and_compression_as_with_open(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    options = seaweedfs.storage_options()

    async def main() -> None:
        async with s3stream.aopen(f"{uri}.txt", "w", encoding="latin-1", **options) as text:
            assert await text.write("größer\n") == 7
            with pytest.raises(UnicodeEncodeError):
                await text.write("日本")
            await text.write("als\n")
            with pytest.raises(UsageError, match="cannot tell"):
                text.tell()
        async with s3stream.aopen(f"{uri}.gz", compression="infer", **options) as packed:
            await packed.write(bytes_of(2 * MIB))

    run(main())
    assert content(seaweedfs, bucket, f"{key}.txt") == "größer\nals\n".encode("latin-1")
    assert gzip.decompress(content(seaweedfs, bucket, f"{key}.gz")) == bytes_of(2 * MIB)


def test_a_character_that_the_encoding_has_not_publishes_nothing(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    async def main() -> None:
        options = seaweedfs.storage_options()
        async with s3stream.aopen(uri, "w", encoding="ascii", **options) as text:
            await text.write("before")
            await text.write("größer")

    with pytest.raises(UnicodeEncodeError):
        run(main())
    assert_nothing(seaweedfs, bucket, key)


def test_await_opens_it_too_and_the_ends_are_those_of_a_file(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    options = seaweedfs.storage_options()

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)
        assert repr(file).startswith(f"<S3AsyncWriter {uri} on <S3BufferedWriter on <S3Writer")
        await file.write(b"all of it")
        with pytest.raises(ValueError, match="is not published"):
            _ = file.result
        result = await file.commit()
        assert result == file.result == await file.commit()
        await file.close()
        await file.discard()  # harmless when it is over
        with pytest.raises(ValueError, match="closed file"):
            await file.write(b"more")
        assert content(seaweedfs, bucket, key) == b"all of it"

        file = await s3stream.aopen(uri, **options)
        await file.write(b"never mind")
        await file.discard()
        with pytest.raises(ValueError, match="nothing to commit"):
            await file.commit()

        file = await s3stream.aopen(uri, **options)
        async with file as same:
            await same.write(b"closed by its body")
        assert same is file

    run(main())
    assert content(seaweedfs, bucket, key) == b"closed by its body"
    assert uploads(seaweedfs, bucket, key) == []


def test_what_is_not_open_says_so(uri: str) -> None:
    async def main() -> None:
        file = s3stream.aopen(uri)
        assert repr(file) == f"<S3AsyncWriter {uri} on not open>"
        with pytest.raises(ValueError, match="open it by `async with`"):
            await file.write(b"")
        with pytest.raises(ValueError, match="open it by `async with`"):
            await file.commit()

    run(main())


def test_two_tasks_write_whole_writes(seaweedfs: Server, bucket: str, key: str, uri: str) -> None:
    async def main() -> None:
        async with s3stream.aopen(uri, **seaweedfs.storage_options()) as file:

            async def produce(letter: bytes) -> None:
                for _ in range(4):
                    await file.write(letter * 700_000)

            await asyncio.gather(produce(b"a"), produce(b"b"))

    run(main())
    data = content(seaweedfs, bucket, key)
    blocks = [data[at : at + 700_000] for at in range(0, len(data), 700_000)]
    assert sorted(blocks) == [b"a" * 700_000] * 4 + [b"b" * 700_000] * 4


# -- the loop is never held up


def test_a_slow_store_makes_write_wait_and_nothing_else(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    events: list[str] = []

    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            for number in range(6):
                await file.write(bytes_of(PART, number))
                events.append("written")

    async def main() -> None:
        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart")
        events.append("released")
        hold.event.set()
        await producer

    run(main())
    assert proxy.injected
    # One part held, one behind it and one being filled: the others came when it was let go.
    assert 0 < events.index("released") <= 3
    assert content(seaweedfs, bucket, key) == b"".join(bytes_of(PART, n) for n in range(6))


@pytest.mark.parametrize("operation", ["PutObject", "HeadObject"])
def test_neither_opening_nor_closing_holds_up_the_loop(
    seaweedfs: Server,
    proxy: Proxy,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    operation: str,
) -> None:
    hold = Hold()
    proxy.inject(operation, hold)

    async def produce() -> None:
        async with s3stream.aopen(uri, "ab", **options) as file:  # looks at what is there
            await file.write(b"data")

    async def main() -> None:
        producer = asyncio.create_task(produce())
        await arrived(proxy, operation)
        assert not producer.done()
        hold.event.set()
        await producer

    run(main())
    assert proxy.injected
    assert content(seaweedfs, bucket, key) == b"data"


def test_a_source_is_asked_for_no_more_than_can_be_sent(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    asked: list[int] = []

    async def source() -> AsyncIterator[bytes]:
        for number in range(10):
            asked.append(number)
            yield bytes_of(PART // 2, number)

    async def main() -> UploadResult:
        uploading = asyncio.create_task(s3stream.upload_stream(source(), uri, **options))
        await arrived(proxy, "UploadPart")
        at_release = len(asked)
        hold.event.set()
        result = await uploading
        assert at_release <= 6
        return result

    assert run(main()).size == 10 * (PART // 2)
    assert proxy.injected
    assert content(seaweedfs, bucket, key) == b"".join(bytes_of(PART // 2, n) for n in range(10))


def test_a_plain_iterable_may_wait_too(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    asked, ready = threading.Event(), threading.Event()

    def source() -> Iterator[bytes]:
        yield b"first "
        asked.set()
        assert ready.wait(120)  # the loop's own thread sets it
        yield from (b"second", b"", bytes_of(3 * MIB))

    async def main() -> None:
        uploading = asyncio.create_task(s3stream.upload_stream(source(), uri, **options))
        assert await asyncio.to_thread(asked.wait, 120)
        ready.set()
        await uploading

    run(main())
    assert content(seaweedfs, bucket, key) == b"first second" + bytes_of(3 * MIB)


# -- what fails


@pytest.mark.parametrize("kind", [KeyError, asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("size", [10, 2 * PART])
def test_a_body_that_raises_publishes_nothing(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    kind: type[BaseException],
    size: int,
) -> None:
    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            await file.write(bytes_of(size))
            raise kind

    async def main() -> None:
        with pytest.raises(kind):
            await produce()

    run(main())
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("kind", [ConnectionError, StopIteration])
def test_an_exception_of_the_source_comes_through(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    asynchronous: bool,
    kind: type[Exception],
) -> None:
    class Source:
        """What raises a StopIteration of its own ends a plain iterable, and nothing else."""

        def __init__(self) -> None:
            self.left = 3

        async def __anext__(self) -> bytes:
            return self.__next__()

        def __next__(self) -> bytes:
            self.left -= 1
            if not self.left:
                raise kind("the source is gone")
            return bytes_of(PART)

    class Async(Source):
        def __aiter__(self) -> Async:
            return self

    class Plain(Source):
        def __iter__(self) -> Plain:
            return self

    source: Any = Async() if asynchronous else Plain()
    uploading = s3stream.upload_stream(source, uri, **options)
    if kind is StopIteration and not asynchronous:
        assert run(uploading).size == 2 * PART
        return
    with pytest.raises(RuntimeError if kind is StopIteration else kind):
        run(uploading)
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_an_error_of_the_store_comes_through_and_stays(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None)

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)
        with pytest.raises(PermissionError, match="not today"):
            await file.write(bytes_of(5 * PART))
        with pytest.raises(PermissionError, match="not today"):
            await file.write(bytes_of(PART))
        with pytest.raises(PermissionError, match="not today"):
            await file.close()

    run(main())
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


def test_an_end_that_cannot_hand_on_what_is_gathered_discards(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None)

    async def produce(file: S3AsyncWriter) -> None:
        async with file:
            await file.write(bytes_of(2 * PART - 1000))
            await file.write(bytes_of(500_000))  # gathered, and a part with what is there

    async def main() -> S3AsyncWriter:
        file = await s3stream.aopen(uri, **options)
        with pytest.raises(PermissionError, match="not today"):
            await produce(file)
        return file

    file = run(main())
    assert proxy.injected
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)  # and nobody has collected it yet


def test_a_close_while_an_exception_unwinds_publishes_nothing(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    async def main() -> None:
        file = await s3stream.aopen(uri, **seaweedfs.storage_options())
        try:
            await file.write(b"half")
            raise KeyError
        finally:
            await file.close()

    with (
        pytest.warns(RuntimeWarning, match=r"nothing was published.*test_asyncio\.py:\d+\) was"),
        pytest.raises(KeyError),
    ):
        run(main())
    assert_nothing(seaweedfs, bucket, key)


def test_commit_while_an_exception_is_handled_publishes(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    options = seaweedfs.storage_options()

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)
        try:
            await file.write(b"to the end")
            raise EOFError
        except EOFError:
            await file.commit()
            # An exception that is handled where a file is opened is no reason to discard it.
            other = await s3stream.aopen(f"{uri}-other", **options)
            await other.write(b"other")
            await other.close()

    run(main())
    assert content(seaweedfs, bucket, key) == b"to the end"
    assert content(seaweedfs, bucket, f"{key}-other") == b"other"


def test_one_that_nobody_closes_is_discarded_and_says_where_it_was_opened(
    seaweedfs: Server, bucket: str, key: str, uri: str
) -> None:
    async def main() -> None:
        file = await s3stream.aopen(uri, **seaweedfs.storage_options())
        await file.write(bytes_of(2 * MIB))
        del file
        gc.collect()

    with pytest.warns(RuntimeWarning, match=r"opened at .*test_asyncio\.py:\d+, after 2,097,152"):
        run(main())
    assert_nothing(seaweedfs, bucket, key)


def test_a_discard_ends_the_write_of_another_task(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)

        async def produce() -> None:
            while True:
                await file.write(bytes_of(PART))

        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart")
        await file.discard()
        with pytest.raises((S3StreamError, ValueError), match=r"discarded|closed file"):
            await producer

    run(main())
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


# -- what is cancelled


def test_a_write_that_is_cancelled_discards(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            while True:
                await file.write(bytes_of(PART))

    async def main() -> None:
        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart")
        producer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await producer
        assert steps() == []

    run(main())
    assert proxy.injected
    hold.event.set()  # what was in the air is followed by another abort
    wait_for_threads(key)
    assert proxy.count("AbortMultipartUpload") >= 2
    assert_nothing(seaweedfs, bucket, key)


def test_an_end_that_is_cancelled_while_another_task_writes_discards(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)

        async def produce() -> None:
            while True:
                await file.write(bytes_of(PART))

        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart")
        closing = asyncio.create_task(file.close())
        await asyncio.sleep(0)  # it has begun, and waits for its turn
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises((S3StreamError, ValueError), match=r"discarded|closed file"):
            await producer

    run(main())
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_a_file_whose_write_was_cancelled_cannot_be_gone_on_with(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def main() -> None:
        file = await s3stream.aopen(uri, **options)

        async def produce() -> None:
            while True:
                await file.write(bytes_of(PART))

        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart")
        producer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await producer
        hold.event.set()
        with pytest.raises(S3StreamError, match="discarded while it was written to"):
            await file.close()

    run(main())
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_nor_can_one_of_which_nothing_was_on_its_way(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    encoding, go_on = threading.Event(), threading.Event()

    def leave_out(error: UnicodeError) -> tuple[str, int]:
        encoding.set()
        assert go_on.wait(120)
        assert isinstance(error, UnicodeEncodeError)
        return "", error.end

    codecs.register_error(f"leave out {key}", leave_out)

    async def main() -> None:
        file = await s3stream.aopen(
            uri, "w", encoding="ascii", errors=f"leave out {key}", **options
        )
        writing = asyncio.create_task(file.write("\u00e9"))
        await asyncio.to_thread(encoding.wait, 120)
        writing.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        with pytest.raises(S3StreamError, match="discarded while it was written to"):
            await file.close()

    run(main())
    assert_nothing(seaweedfs, bucket, key)


def test_a_source_that_is_waited_for_can_be_cancelled(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    async def source() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes_of(PART)
        await asyncio.Event().wait()

    async def main() -> None:
        uploading = asyncio.create_task(s3stream.upload_stream(source(), uri, **options))
        await arrived(proxy, "UploadPart", 2)
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading

    run(main())
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_cancelling_again_and_again_waits_for_the_same_clean_up(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    """So do the cancel scopes of anyio, and with them Starlette: at every await, until it ends."""
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def main() -> None:
        async def source() -> AsyncIterator[bytes]:
            while True:
                yield bytes_of(PART)

        async with anyio.create_task_group() as group:

            async def upload() -> None:
                await s3stream.upload_stream(source(), uri, **options)

            group.start_soon(upload)
            with anyio.CancelScope(shield=True):
                await arrived(proxy, "UploadPart")
            group.cancel_scope.cancel()

    run(main())
    assert proxy.injected
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    ("operation", "size"), [("PutObject", 10), ("CompleteMultipartUpload", 2 * PART)]
)
@pytest.mark.parametrize("how", ["commit", "close", "the end of the body"])
def test_a_commit_that_is_cancelled_when_it_was_answered_says_that_it_is_there(
    seaweedfs: Server,
    proxy: Proxy,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    operation: str,
    size: int,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hold = Hold()
    proxy.inject(operation, hold)
    files: list[S3AsyncWriter] = []

    async def produce() -> None:
        file = await s3stream.aopen(uri, **options)
        files.append(file)
        await file.write(bytes_of(size))
        if how == "commit":
            await file.commit()
        elif how == "close":
            await file.close()
        else:
            async with file:
                pass

    async def main() -> None:
        producer = asyncio.create_task(notes_of(produce()))
        await arrived(proxy, operation)
        # Hold up the loop until the thread has its answer, which the loop then does not know yet.
        (thread,) = [t for t in threading.enumerate() if t.name.startswith("s3stream step")]
        hold.event.set()
        thread.join()
        producer.cancel()
        (note,) = await producer
        assert "and yet the object was published: UploadResult(" in note
        assert note in caplog.text

    with caplog.at_level(logging.WARNING, "s3stream"):
        run(main())
    assert proxy.injected
    assert files[0].result.size == size
    assert content(seaweedfs, bucket, key) == bytes_of(size)


@pytest.mark.parametrize(
    ("operation", "size"), [("PutObject", 10), ("CompleteMultipartUpload", 2 * PART)]
)
def test_a_commit_that_is_cancelled_before_its_answer_says_that_it_may_appear(
    seaweedfs: Server,
    proxy: Proxy,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    operation: str,
    size: int,
) -> None:
    hold = Hold()
    proxy.inject(operation, hold)

    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            await file.write(bytes_of(size))

    async def main() -> None:
        producer = asyncio.create_task(notes_of(produce()))
        await arrived(proxy, operation)
        producer.cancel()
        (note,) = await producer
        assert "the object may appear" in note
        assert steps() == []

    run(main())
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") == 0
    assert not exists(seaweedfs, bucket, key)
    hold.event.set()
    wait_for_threads(key)
    assert content(seaweedfs, bucket, key) == bytes_of(size)


def test_an_end_that_is_cancelled_before_its_commit_says_that_nothing_is_there(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, skip=1)

    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            await file.write(bytes_of(2 * PART))

    async def main() -> None:
        producer = asyncio.create_task(notes_of(produce()))
        await arrived(proxy, "UploadPart", 2)
        producer.cancel()
        assert await producer == ["nothing was published"]

    run(main())
    assert proxy.injected
    assert proxy.count("CompleteMultipartUpload") == 0
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_an_end_that_is_cancelled_while_it_hands_on_what_is_gathered_discards(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    files: list[S3AsyncWriter] = []

    async def produce() -> None:
        async with s3stream.aopen(uri, **options) as file:
            files.append(file)
            await file.write(bytes_of(2 * PART - 1000))
            await file.write(bytes_of(500_000))  # gathered, and waits for a place at the end

    async def main() -> None:
        producer = asyncio.create_task(notes_of(produce()))
        await arrived(proxy, "UploadPart")
        while not files or files[0].tell() < 2 * PART - 1000 + 500_000:
            await asyncio.sleep(0)
        producer.cancel()
        assert "nothing was published" in await producer

    run(main())
    assert proxy.injected
    assert files[0].closed
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)


def test_a_cancelled_opening_leaves_nothing_open(
    seaweedfs: Server, proxy: Proxy, options: dict[str, Any], bucket: str, key: str, uri: str
) -> None:
    hold = Hold()
    proxy.inject("HeadObject", hold)

    async def produce() -> None:
        async with s3stream.aopen(uri, "ab", **options):
            raise AssertionError("not reached")

    async def main() -> None:
        producer = asyncio.create_task(produce())
        await arrived(proxy, "HeadObject")
        producer.cancel()
        hold.event.set()
        with pytest.raises(asyncio.CancelledError):
            await producer

    run(main())
    gc.collect()  # a warning would be an error here
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


# -- checkpoints


def test_what_is_cancelled_can_be_taken_up_where_there_is_a_checkpoint(
    seaweedfs: Server,
    proxy: Proxy,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    tmp_path: Path,
) -> None:
    data = bytes_of(4 * PART + 99)
    noted = {"checkpoint": tmp_path / "noted.json", **options}
    hold = Hold()
    proxy.inject("UploadPart", hold, skip=2)
    began: list[int] = []

    async def produce() -> None:
        async with s3stream.aopen(uri, **noted) as file:
            began.append(file.tell())
            for at in range(file.tell(), len(data), MIB):
                await file.write(data[at : at + MIB])

    async def main() -> None:
        producer = asyncio.create_task(produce())
        await arrived(proxy, "UploadPart", 3)
        producer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await producer
        assert len(uploads(seaweedfs, bucket, key)) == 1
        hold.event.set()
        for thread in threading.enumerate():
            if thread.name == "s3stream unlock":
                thread.join()
        await produce()

    run(main())
    assert proxy.injected
    assert began == [0, 2 * PART]
    assert proxy.count("AbortMultipartUpload") == 0
    assert content(seaweedfs, bucket, key) == data
    assert uploads(seaweedfs, bucket, key) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["checkpoint", "lock"])
def test_an_iterable_has_no_checkpoint(
    proxy: Proxy, options: dict[str, Any], uri: str, tmp_path: Path, name: str
) -> None:
    given = {name: tmp_path / "noted.json"}
    with pytest.raises(UsageError, match=f"{name}=: an iterable begins at its beginning"):
        run(s3stream.upload_stream([b"data"], uri, **given, **options))
    assert proxy.count() == 0


# -- what cannot be


@pytest.mark.parametrize("mode", ["rb", "r", "w+b", "rw", 3])
def test_modes_that_do_not_write_from_beginning_to_end_are_refused(uri: str, mode: Any) -> None:
    async def main() -> None:
        s3stream.aopen(uri, mode)

    with pytest.raises(UsageError, match="mode="):
        run(main())


def test_what_is_no_uri_is_refused_where_it_is_said() -> None:
    with pytest.raises(UsageError, match="expected a URI"):
        s3stream.aopen("bucket/key")


def test_wrong_options_are_refused_before_any_request(
    proxy: Proxy, options: dict[str, Any], uri: str
) -> None:
    async def main() -> None:
        async with s3stream.aopen(uri, part_siz=PART, **options):
            raise AssertionError("not reached")

    with pytest.raises(UsageError, match="did you mean part_size"):
        run(main())
    assert proxy.count() == 0


@pytest.mark.parametrize("source", [b"data", bytearray(3), memoryview(b"x"), "text", 3, None])
def test_what_is_no_iterable_of_bytes_is_refused_before_any_request(
    proxy: Proxy, options: dict[str, Any], uri: str, source: Any
) -> None:
    with pytest.raises(UsageError, match="expected an iterable of bytes"):
        run(s3stream.upload_stream(source, uri, **options))
    assert proxy.count() == 0


@pytest.mark.parametrize("piece", ["text", 3, None])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_an_iterable_of_something_else_publishes_nothing(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    uri: str,
    piece: Any,
    asynchronous: bool,
) -> None:
    async def source() -> AsyncIterator[Any]:
        yield b"bytes"
        yield piece

    given = source() if asynchronous else [b"bytes", piece]
    with pytest.raises(TypeError):
        run(s3stream.upload_stream(given, uri, **options))
    assert_nothing(seaweedfs, bucket, key)


# -- in a web server


class App:
    """Takes the body of a PUT, and writes it to the store while it comes."""

    def __init__(self, bucket: str, options: dict[str, Any]) -> None:
        self._bucket = bucket
        self._options = options
        self.ended: list[str] = []
        self.has_ended = threading.Event()
        self.asgi = Starlette(
            routes=[
                Route("/{key}", self.put, methods=["PUT"]),
                Route("/", self.ping, methods=["GET"]),
            ]
        )

    async def put(self, request: Request) -> JSONResponse:
        uri = f"s3://{self._bucket}/{request.path_params['key']}"
        try:
            result = await s3stream.upload_stream(request.stream(), uri, **self._options)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            self.has_ended.set()
            raise
        return JSONResponse({"size": result.size, "etag": result.etag})

    async def ping(self, request: Request) -> JSONResponse:
        return JSONResponse("here")


class Announced(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@pytest.fixture
def app(bucket: str, options: dict[str, Any]) -> App:
    return App(bucket, options)


@pytest.fixture
def served(app: App) -> Iterator[str]:
    """The URL at which uvicorn serves it, over a real socket, on a thread."""
    server = Announced(uvicorn.Config(app.asgi, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.is_up.wait(120)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_a_streamed_body_becomes_an_object(
    seaweedfs: Server, proxy: Proxy, served: str, bucket: str, key: str
) -> None:
    """The store is slow: the body waits, and other clients do not."""
    data = bytes_of(4 * PART + 5)
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 64 << 10):
            yield data[at : at + (64 << 10)]

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(timeout=None) as client:
            putting = asyncio.create_task(client.put(f"{served}/{key}", content=body()))
            await arrived(proxy, "UploadPart")
            assert (await client.get(served)).json() == "here"
            assert not putting.done()
            hold.event.set()
            return await putting

    answer = run(main())
    assert proxy.injected
    assert answer.status_code == 200
    assert answer.json()["size"] == len(data)
    assert content(seaweedfs, bucket, key) == data
    assert uploads(seaweedfs, bucket, key) == []


def test_a_client_that_goes_away_leaves_nothing(
    seaweedfs: Server, proxy: Proxy, app: App, served: str, bucket: str, key: str
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for number in range(4):
            yield bytes_of(PART, number)
        await asyncio.Event().wait()

    async def main() -> None:
        async with httpx.AsyncClient(timeout=None) as client:
            putting = asyncio.create_task(client.put(f"{served}/{key}", content=body()))
            await arrived(proxy, "UploadPart")
            putting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await putting
        await asyncio.to_thread(app.has_ended.wait, 120)

    run(main())
    assert app.ended == [ClientDisconnect.__name__]
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)
    assert proxy.count("AbortMultipartUpload") >= 1


def test_the_server_task_that_is_cancelled_leaves_nothing(
    seaweedfs: Server, proxy: Proxy, app: App, bucket: str, key: str
) -> None:
    """As by a server that gives up its connections: the client still sends, the store hangs."""
    hold = Hold()
    proxy.inject("UploadPart", hold)

    async def body() -> AsyncIterator[bytes]:
        while True:
            yield bytes_of(PART)

    async def main() -> None:
        transport = httpx.ASGITransport(app.asgi)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            putting = asyncio.create_task(client.put(f"/{key}", content=body()))
            await arrived(proxy, "UploadPart")
            putting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await putting

    run(main())
    assert app.ended == ["CancelledError"]
    assert proxy.injected
    hold.event.set()
    wait_for_threads(key)
    assert_nothing(seaweedfs, bucket, key)
