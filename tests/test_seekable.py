"""Modes `w+b` and `x+b`: a file in which one goes back and forth, and all the promises of `wb`."""

from __future__ import annotations

import errno
import gc
import io
import os
import pickle
import shutil
import sys
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec.callbacks
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3stream
from s3stream import S3StreamError, UsageError
from s3stream.draft import Draft
from tests.faults import Answer, Hold
from tests.looking import assert_nothing, bytes_of, content, exists, uploads, wait_for_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
MIB = 1 << 20
DENIED = Answer(403, "AccessDenied", "not today")


class ProducerError(Exception):
    """What the user's own code raises."""


class Opener:
    """Opens this test's object by way of the proxy, with its temporary files in a folder."""

    def __init__(self, server: Server, bucket: str, key: str, folder: Path) -> None:
        self.uri = f"s3://{bucket}/{key}"
        self.options: dict[str, Any] = {
            "part_size": PART,
            "spool": str(folder),
            **server.storage_options(),
        }
        self._folder = folder

    def __call__(self, mode: str = "w+b", buffering: int = -1, **more: Any) -> Any:
        return s3stream.open(self.uri, mode, buffering, **{**self.options, **more})

    @property
    def temporary_files(self) -> int:
        """How many files are open in the folder."""
        opened = [fd.resolve() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
        return sum(str(self._folder) in str(path) for path in opened)


@pytest.fixture
def opened(proxied: Server, bucket: str, key: str, tmp_path: Path) -> Opener:
    return Opener(proxied, bucket, key, tmp_path)


# -- a real file


@pytest.mark.parametrize("mode", ["w+b", "wb+", "+wb", "x+b", "xb+"])
@pytest.mark.parametrize(
    ("buffering", "kind"), [(0, s3stream.S3Writer), (-1, s3stream.S3RandomWriter)]
)
def test_it_is_a_binary_file_that_can_be_read_written_and_sought(
    opened: Opener, mode: str, buffering: int, kind: type
) -> None:
    with opened(mode, buffering) as file:
        assert kind in type(file).__mro__
        assert issubclass(kind, io.BufferedRandom if buffering else io.RawIOBase)
        assert file.readable()
        assert file.writable()
        assert file.seekable()
        assert file.mode == ("w+b" if "w" in mode else "x+b")
        assert file.name == opened.uri
        file.discard()
    attempts: list[Callable[[], object]] = [
        lambda: file.read(1),
        lambda: file.seek(0),
        lambda: file.write(b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="closed file"):
            attempt()


def test_nothing_is_sent_before_it_is_closed_and_then_all_of_it(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    data = bytearray(bytes_of(12 * MIB))
    with opened() as file:
        file.write(data)
        file.seek(3)
        file.write(b"changed")
        file.flush()
        assert proxy.count() == 0
        assert opened.temporary_files == 1
    data[3:10] = b"changed"
    assert content(seaweedfs, bucket, key) == data
    assert (file.result.size, file.result.parts) == (len(data), 3)
    assert file.raw.peak_memory <= 128 * MIB
    assert opened.temporary_files == 0


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, PART, PART + 1])
def test_any_length_arrives_whole(
    seaweedfs: Server, opened: Opener, bucket: str, key: str, size: int
) -> None:
    with opened() as file:
        file.write(bytes_of(size))
    assert content(seaweedfs, bucket, key) == bytes_of(size)
    assert uploads(seaweedfs, bucket, key) == []


OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.binary(max_size=40)),
    st.tuples(st.sampled_from(["read", "truncate", "readinto"]), st.integers(0, 60)),
    st.tuples(st.just("seek"), st.integers(0, 80)),
    st.tuples(st.sampled_from(["tell", "flush", "readline", "truncate", "read"])),
    st.tuples(st.just("seek"), st.integers(-10, 10), st.just(os.SEEK_CUR)),
    st.tuples(st.just("seek"), st.integers(-80, 10), st.just(os.SEEK_END)),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(OPERATIONS, max_size=25), buffering=st.sampled_from([-1, 0, 8]))
def test_any_mix_of_operations_makes_what_it_makes_of_a_local_file(
    seaweedfs: Server,
    opened: Opener,
    bucket: str,
    key: str,
    tmp_path: Path,
    steps: list[tuple[Any, ...]],
    buffering: int,
) -> None:
    def apply(file: Any, step: tuple[Any, ...]) -> Any:
        name, *arguments = step
        if name == "readinto":
            buffer = bytearray(arguments[0])
            count = file.readinto(buffer)
            return count, bytes(buffer)
        try:
            return getattr(file, name)(*arguments)
        except OSError as error:  # before the beginning
            return type(error), error.errno

    local = tmp_path / "local"
    with local.open("w+b", buffering) as model, opened(buffering=buffering) as file:
        for step in steps:
            assert apply(file, step) == apply(model, step), step
    assert content(seaweedfs, bucket, key) == local.read_bytes()


def test_a_length_below_nothing_is_refused_and_costs_nothing(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    with opened(buffering=0) as file:
        file.write(b"fine")
        with pytest.raises(ValueError, match=r"truncate\(-1\)"):
            file.truncate(-1)
        with pytest.raises(TypeError):
            file.truncate("2")
        with pytest.raises(TypeError, match="mode 'w'"):
            file.write("text")
    assert content(seaweedfs, bucket, key) == b"fine"


def test_its_descriptor_is_that_of_the_temporary_file(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    """numpy writes and reads by it, and so does whatever asks the system for more than io has."""
    numbers = np.arange(1000)
    with opened() as file:
        numbers.tofile(file)
        file.seek(0)
        assert np.array_equal(np.fromfile(file, dtype=numbers.dtype), numbers)
        assert os.fstat(file.fileno()).st_size == numbers.nbytes
    assert content(seaweedfs, bucket, key) == numbers.tobytes()


def test_its_progress_begins_when_it_is_sent_and_then_its_length_is_known(opened: Opener) -> None:
    told: list[tuple[int | None, int]] = []

    class Listening(fsspec.callbacks.Callback):  # type: ignore[misc]  # fsspec has no types
        def call(self, *names: Any, **more: Any) -> None:
            told.append((self.size, self.value))

    with opened(callback=Listening()) as file:
        file.write(bytes_of(12 * MIB))
        assert told == []
    assert told[0] == (12 * MIB, 0)
    assert told[-1] == (12 * MIB, 12 * MIB)
    assert (file.stats.bytes, file.stats.parts) == (12 * MIB, 3)


def test_repr_is_a_status_line(opened: Opener) -> None:
    file = opened(buffering=0)
    file.write(b"12345")
    assert repr(file).startswith(f"<SeekableWriter {opened.uri} 5 bytes in a temporary file")
    file.commit()
    assert repr(file).startswith(f"<SeekableWriter {opened.uri} committed, 5 bytes")


def test_a_zip_archive_gets_another_member(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    with opened("wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("first", "one")
    with opened("rb") as before, opened() as file:
        shutil.copyfileobj(before, file)
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("second", "two")
    with zipfile.ZipFile(io.BytesIO(content(seaweedfs, bucket, key))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "first": b"one",
            "second": b"two",
        }


def test_a_text_wrapper_can_be_put_on_it(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    with io.TextIOWrapper(opened(), encoding="utf-8", newline="\n") as file:
        file.write("grüße\nzweite\n")
        file.seek(0)
        assert file.readline() == "grüße\n"
        where = file.tell()
        assert file.readline() == "zweite\n"
        file.seek(where)
        file.write("2\n")
        file.truncate()
    assert content(seaweedfs, bucket, key) == "grüße\n2\n".encode()


# -- all or nothing


def test_a_body_that_raises_publishes_nothing(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    with pytest.raises(ProducerError), opened() as file:  # noqa: PT012
        file.write(bytes_of(12 * MIB))
        raise ProducerError
    assert proxy.count() == 0
    assert opened.temporary_files == 0
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_close_while_an_exception_unwinds_sends_nothing_and_warns(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str, buffering: int
) -> None:
    file = opened(buffering=buffering)

    def produce() -> None:
        try:
            file.write(bytes_of(12 * MIB))
            raise ProducerError
        finally:
            file.close()

    with (
        pytest.warns(RuntimeWarning, match=r"nothing was published.*12,582,912 bytes"),
        pytest.raises(ProducerError),
    ):
        produce()
    assert proxy.count() == 0
    assert opened.temporary_files == 0
    assert_nothing(seaweedfs, bucket, key)


def dropped_raw(opened: Opener) -> None:
    opened(buffering=0).write(b"noise")


def dropped_buffered(opened: Opener) -> None:
    opened().write(b"noise")


def dropped_in_a_foreign_buffer(opened: Opener) -> None:
    io.BufferedRandom(opened(buffering=0)).write(b"noise")


def dropped_in_a_foreign_buffer_after_a_read(opened: Opener) -> None:
    file = io.BufferedRandom(opened(buffering=0))
    file.write(bytes_of(100_000))
    file.seek(10)
    file.read(1)


def dropped_in_a_text_wrapper(opened: Opener) -> None:
    io.TextIOWrapper(opened()).write("noise")


def dropped_in_a_cycle(opened: Opener) -> None:
    file = opened()
    file.write(b"noise")
    file.itself = file
    del file
    gc.collect()


@pytest.mark.parametrize(
    "drop",
    [
        dropped_raw,
        dropped_buffered,
        dropped_in_a_foreign_buffer,
        dropped_in_a_foreign_buffer_after_a_read,
        dropped_in_a_text_wrapper,
        dropped_in_a_cycle,
    ],
    ids=lambda drop: drop.__name__,
)
def test_what_nobody_closes_is_discarded_with_a_warning(
    seaweedfs: Server,
    opened: Opener,
    proxy: Proxy,
    bucket: str,
    key: str,
    drop: Callable[[Opener], None],
) -> None:
    with pytest.warns(RuntimeWarning, match=r"nothing was published.*test_seekable\.py") as caught:
        drop(opened)
    assert len(caught) == 1
    assert proxy.count() == 0
    assert opened.temporary_files == 0
    assert_nothing(seaweedfs, bucket, key)


def test_commit_publishes_at_once_and_discard_never(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    file = opened()
    file.write(b"draft")
    file.discard()
    with pytest.raises(ValueError, match="discarded"):
        file.commit()
    file.close()
    assert_nothing(seaweedfs, bucket, key)
    file = opened()
    try:
        file.write(b"all of it")
        raise EOFError
    except EOFError:
        result = file.commit()
    assert result == file.result == file.commit()
    file.discard()
    assert content(seaweedfs, bucket, key) == b"all of it"
    assert opened.temporary_files == 0


def test_with_publish_commit_only_commit_publishes(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    with opened(publish="commit") as file:
        file.write(bytes_of(12 * MIB))
    assert opened.temporary_files == 0  # closing it has sent it
    assert not exists(seaweedfs, bucket, key)
    assert proxy.count("CompleteMultipartUpload") == proxy.count("PutObject") == 0
    file.commit()
    assert content(seaweedfs, bucket, key) == bytes_of(12 * MIB)


def test_a_closed_file_that_is_never_committed_leaves_nothing(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    file = opened(publish="commit")
    file.write(bytes_of(12 * MIB))
    file.close()
    with pytest.warns(RuntimeWarning, match=r"commit\(\) was never called"):
        del file
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("closed", [True, False])
def test_in_a_transaction_all_is_at_the_store_before_the_first_is_published(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str, closed: bool
) -> None:
    fs = fsspec.filesystem("s3stream", skip_instance_cache=True, **opened.options)
    with fs.transaction:
        fs.pipe_file(f"{bucket}/{key}/a", b"another")
        file = fs.open(f"{bucket}/{key}/b", "w+b")
        file.write(bytes_of(12 * MIB))
        file.seek(0)
        file.write(b"first")
        if closed:
            file.close()
    last_part = max(x.number for x in proxy.of("UploadPart"))
    assert last_part < min(x.number for x in proxy.of("CompleteMultipartUpload"))
    assert content(seaweedfs, bucket, f"{key}/b") == b"first" + bytes_of(12 * MIB)[5:]
    assert content(seaweedfs, bucket, f"{key}/a") == b"another"
    assert opened.temporary_files == 0


def test_prepared_it_is_at_the_store_and_a_dataset_publishes_it(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    file = opened()
    file.write(bytes_of(12 * MIB))
    file.seek(0)
    file.write(b"first")
    receipt = file.prepare()
    assert opened.temporary_files == 0
    assert proxy.count("UploadPart") == 3
    assert not exists(seaweedfs, bucket, key)
    with s3stream.Dataset(**seaweedfs.storage_options()) as dataset:
        dataset.add(receipt)
    assert content(seaweedfs, bucket, key) == b"first" + bytes_of(12 * MIB)[5:]


@pytest.mark.parametrize("buffering", [0, -1])
def test_its_end_is_said_in_the_log_once(
    opened: Opener, caplog: pytest.LogCaptureFixture, buffering: int
) -> None:
    caplog.set_level("INFO", "s3stream")
    with opened(buffering=buffering) as file:
        file.write(b"12345")
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"{opened.uri} at " in said
    assert "published: 5 bytes" in said


def test_a_transaction_whose_file_cannot_be_sent_publishes_none(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None, where=lambda x: x.path.endswith("/b"))
    fs = fsspec.filesystem("s3stream", skip_instance_cache=True, **opened.options)

    def write() -> None:
        with fs.transaction:
            fs.pipe_file(f"{bucket}/{key}/a", b"another")
            fs.open(f"{bucket}/{key}/b", "w+b").write(b"not closed")

    with pytest.raises(PermissionError, match="not today"):
        write()
    assert proxy.injected
    assert opened.temporary_files == 0
    for name in ("a", "b"):
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")


def test_exclusive_create_leaves_what_is_there(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    with opened("x+b") as first:
        first.write(b"first")
    second = opened("x+b")
    second.write(b"second")
    with pytest.raises(FileExistsError, match=key):
        second.close()
    assert content(seaweedfs, bucket, key) == b"first"
    assert opened.temporary_files == 0


@pytest.mark.parametrize("how", ["close", "commit"])
def test_a_store_that_refuses_is_an_error_at_the_end_and_leaves_nothing(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str, how: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None)
    file = opened()
    file.write(bytes_of(12 * MIB))
    with pytest.raises(PermissionError, match="not today"):
        getattr(file, how)()
    assert proxy.injected
    assert file.closed
    with pytest.raises(PermissionError, match="not today"):
        file.commit()
    assert opened.temporary_files == 0
    assert_nothing(seaweedfs, bucket, key)


def test_a_discard_ends_a_close_that_waits_on_another_thread(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold)
    file = opened(max_concurrency=1)
    file.write(bytes_of(12 * MIB))
    raised: list[S3StreamError] = []

    def close() -> None:
        try:
            file.close()
        except S3StreamError as error:
            raised.append(error)

    closing = threading.Thread(target=close)
    closing.start()
    proxy.wait_for("UploadPart", 1)
    file.discard()
    closing.join(120)
    assert not closing.is_alive()
    assert len(raised) == 1
    assert proxy.injected
    hold.event.set()
    wait_for_threads(key)
    assert opened.temporary_files == 0
    assert_nothing(seaweedfs, bucket, key)


# -- the temporary file


def test_a_folder_that_is_not_there_is_said_when_it_is_opened(
    opened: Opener, proxy: Proxy, tmp_path: Path
) -> None:
    with pytest.raises(S3StreamError, match=r"no temporary file in .*gone.*spool=") as raised:
        opened(spool=str(tmp_path / "gone"))
    assert raised.value.errno == errno.ENOENT
    assert proxy.count() == 0


def test_without_a_temporary_file_there_is_no_such_mode(opened: Opener, proxy: Proxy) -> None:
    with pytest.raises(UsageError, match="spool=False forbids one"):
        opened(spool=False)
    assert proxy.count() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="a device that is always full is Linux's")
def test_a_full_disk_is_an_error_that_stays(
    seaweedfs: Server, opened: Opener, proxy: Proxy, bucket: str, key: str
) -> None:
    file = opened(buffering=0)
    file.write(b"fits")
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), file.fileno())
    attempts: list[Callable[[], object]] = [
        lambda: file.write(b"does not"),
        lambda: file.write(b"nor this"),
        lambda: file.truncate(0),
        file.close,
        file.commit,
    ]
    for attempt in attempts:
        with pytest.raises(S3StreamError, match=r"no room for 8 more bytes.*spool=") as raised:
            attempt()
        assert raised.value.errno == errno.ENOSPC
        assert raised.value.key == key
    assert file.closed
    assert proxy.count() == 0
    assert_nothing(seaweedfs, bucket, key)


def test_a_draft_is_gone_when_it_is_closed_and_still_knows_its_length(tmp_path: Path) -> None:
    draft = Draft(str(tmp_path))
    draft.write(memoryview(b"12345"))
    descriptor = draft.fileno()
    draft.close()
    draft.close()
    assert (draft.closed, draft.size) == (True, 5)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert list(tmp_path.iterdir()) == []


# -- what cannot be


@pytest.mark.parametrize(
    ("mode", "more", "says"),
    [
        ("r+b", {}, "cannot be changed, only replaced.*'w\\+b'"),
        ("a+b", {}, "cannot be changed, only replaced.*'w\\+b'"),
        ("r+", {}, "cannot be changed, only replaced"),
        ("w+", {}, "only a binary file.*'w\\+b'"),
        ("x+t", {}, "only a binary file.*'x\\+b'"),
        ("w+b", {"compression": "gzip"}, "cannot be changed in the middle.*'wb'"),
        ("w+b", {"encoding": "utf-8"}, "a binary mode takes none"),
        ("w+b", {"checkpoint": "file.json"}, r"upload_file\(checkpoint=\)"),
        ("w+b", {"part_size": 1}, "part_size=1"),
    ],
)
def test_what_does_not_go_with_it_is_refused_before_any_request(
    opened: Opener, proxy: Proxy, mode: str, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        opened(mode, **more)
    assert proxy.count() == 0
    assert opened.temporary_files == 0


def test_compression_by_a_name_that_says_none_is_fine(
    seaweedfs: Server, opened: Opener, bucket: str, key: str
) -> None:
    with opened(compression="infer") as file:
        file.write(b"plain")
    assert content(seaweedfs, bucket, key) == b"plain"


def test_it_can_be_neither_suspended_nor_pickled(opened: Opener) -> None:
    with opened(buffering=0) as file:
        with pytest.raises(UsageError, match="cannot be suspended"):
            file.suspend()
        with pytest.raises(TypeError, match="belongs to its process"):
            pickle.dumps(file)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("wb", {"buffering": 0}),
        ("wb", {}),
        ("xb", {}),
        ("ab", {}),
        ("wb", {"compression": "gzip"}),
        ("w", {}),
        ("w", {"compression": "gzip"}),
    ],
)
def test_every_other_file_says_which_mode_can(
    opened: Opener, mode: str, more: dict[str, Any]
) -> None:
    file = opened(mode, **more)
    attempts: list[Callable[[], object]] = [
        lambda: file.seek(0),
        lambda: file.seek(0, os.SEEK_END),
        lambda: file.truncate(0),
        file.truncate,
        file.read,
        lambda: file.read(1),
        lambda: file.readinto(bytearray(1)),
        file.readline,
        file.readlines,
    ]
    for attempt in attempts:
        with pytest.raises(io.UnsupportedOperation, match=r"s3://.*with mode 'w\+b' or 'x\+b'"):
            attempt()
    assert not file.seekable()
    assert not file.readable()
    file.discard()
