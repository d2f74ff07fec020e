"""Files of a transaction appear together or not at all, however it ends and whatever fails."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

import s3stream
from s3stream import S3StreamError, UsageError
from tests.faults import Answer, LoseAnswer
from tests.looking import bytes_of, content, exists, uploads

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
DENIED = Answer(403, "AccessDenied", "not today")
NAMES = ("a", "b", "c")


@pytest.fixture
def fs(proxied: Server) -> Any:
    options = proxied.storage_options()
    return fsspec.filesystem("s3stream", part_size=PART, skip_instance_cache=True, **options)


@pytest.fixture
def root(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


def _write_all(fs: Any, root: str, size: int = 2 * PART) -> list[Any]:
    files = []
    for name in NAMES:
        with fs.open(f"{root}/{name}", "wb") as file:
            file.write(bytes_of(size))
        files.append(file)
    return files


def _there(server: Server, bucket: str, key: str) -> set[str]:
    return {name for name in NAMES if exists(server, bucket, f"{key}/{name}")}


def _left(server: Server, bucket: str, key: str) -> list[str]:
    return [upload for name in NAMES for upload in uploads(server, bucket, f"{key}/{name}")]


def test_everything_is_at_the_store_before_the_first_file_is_published(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    with fs.transaction:
        _write_all(fs, root)
        _write_all(fs, f"{root}/small", 10)
        fs.pipe_file(f"{root}/empty", b"")
        assert proxy.count("CompleteMultipartUpload") == proxy.count("PutObject") == 0
    last_part = max(x.number for x in proxy.of("UploadPart"))
    first_commit = min(x.number for x in proxy.of("CompleteMultipartUpload"))
    assert last_part < first_commit
    assert content(seaweedfs, bucket, f"{key}/a") == bytes_of(2 * PART)
    assert content(seaweedfs, bucket, f"{key}/small/c") == bytes_of(10)
    assert content(seaweedfs, bucket, f"{key}/empty") == b""
    assert _left(seaweedfs, bucket, key) == []


def test_a_file_that_was_not_closed_belongs_to_it_too(
    seaweedfs: Server, fs: Any, bucket: str, key: str, root: str
) -> None:
    with fs.transaction:
        file = fs.open(f"{root}/a", "w")
        file.write("not closed, and still in the buffer")
    assert content(seaweedfs, bucket, f"{key}/a") == b"not closed, and still in the buffer"
    assert file.closed


@pytest.mark.parametrize("operation", ["UploadPart", "CreateMultipartUpload"])
@pytest.mark.parametrize("how", ["with", "end_transaction"])
def test_one_that_cannot_be_sent_publishes_none(
    seaweedfs: Server,
    fs: Any,
    proxy: Proxy,
    bucket: str,
    key: str,
    root: str,
    operation: str,
    how: str,
) -> None:
    proxy.inject(operation, DENIED, times=None, where=lambda x: x.path.endswith("/c"))

    def in_a_with() -> None:
        with fs.transaction:
            _write_all(fs, root, 100)

    def by_hand() -> None:
        fs.start_transaction()
        _write_all(fs, root, 100)
        fs.end_transaction()

    with pytest.raises(PermissionError, match="not today"):
        (in_a_with if how == "with" else by_hand)()
    assert proxy.injected
    assert _there(seaweedfs, bucket, key) == set()
    assert _left(seaweedfs, bucket, key) == []
    fs.pipe_file(f"{root}/a", b"the next one is in no transaction")
    assert _there(seaweedfs, bucket, key) == {"a"}


def test_a_failure_between_two_commits_names_what_is_there_and_what_is_not(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    proxy.inject("CompleteMultipartUpload", DENIED, times=None, where=lambda x: "/b" in x.path)
    with pytest.raises(S3StreamError, match="only a part") as raised, fs.transaction:
        _write_all(fs, root)
    said = str(raised.value)
    assert f"Published: s3://{root}/a." in said
    assert (
        f"Not published: s3://{root}/b (AccessDeniedError: cannot publish: AccessDenied: not today"
        in said
    )
    assert f"Not published: s3://{root}/c" in said
    assert isinstance(raised.value.__cause__, PermissionError)
    assert proxy.injected
    assert _there(seaweedfs, bucket, key) == {"a"}
    assert _left(seaweedfs, bucket, key) == []


def test_one_whose_fate_is_unknown_is_called_so(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), where=lambda x: "/b" in x.path)
    proxy.inject("CompleteMultipartUpload", DENIED, times=None, where=lambda x: "/b" in x.path)
    proxy.inject("HeadObject", DENIED, times=None)
    with pytest.raises(S3StreamError, match=f"Unknown: s3://{root}/b") as raised, fs.transaction:
        _write_all(fs, root)
    assert f"Published: s3://{root}/a." in str(raised.value)
    assert proxy.injected
    assert _there(seaweedfs, bucket, key) == {"a", "b"}
    assert _left(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_every_exit_by_an_exception_discards_all(
    seaweedfs: Server, fs: Any, bucket: str, key: str, root: str, kind: type[BaseException]
) -> None:
    def produce() -> None:
        with fs.transaction:
            _write_all(fs, root)
            fs.open(f"{root}/open", "wb").write(bytes_of(100))
            raise kind

    with pytest.raises(kind) as raised:
        produce()
    assert not getattr(raised.value, "__notes__", [])
    assert _there(seaweedfs, bucket, key) == set()
    assert _left(seaweedfs, bucket, key) == []
    assert not fs._intrans


def test_a_failed_clean_up_does_not_keep_the_others_from_theirs(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=1, where=lambda x: "/a" in x.path)

    def produce() -> None:
        with fs.transaction:
            _write_all(fs, root)
            raise KeyError

    with pytest.raises(KeyError) as raised:
        produce()
    (note,) = raised.value.__notes__
    assert f"s3://{root}/a" in note
    (left,) = _left(seaweedfs, bucket, key)
    seaweedfs.client().abort_multipart_upload(Bucket=bucket, Key=f"{key}/a", UploadId=left)
    assert _there(seaweedfs, bucket, key) == set()


def test_discarding_it_by_hand_raises_when_something_is_left(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=None)
    fs.start_transaction()
    _write_all(fs, root)
    with pytest.raises(s3stream.CleanupError) as raised:
        fs.transaction.complete(commit=False)
    assert len(raised.value.__notes__) == 2  # the two other files
    assert _there(seaweedfs, bucket, key) == set()
    for name in NAMES:
        (left,) = uploads(seaweedfs, bucket, f"{key}/{name}")
        client = seaweedfs.client()
        client.abort_multipart_upload(Bucket=bucket, Key=f"{key}/{name}", UploadId=left)


def test_a_file_that_was_discarded_on_purpose_is_not_part_of_it(
    seaweedfs: Server, fs: Any, bucket: str, key: str, root: str
) -> None:
    with fs.transaction:
        files = _write_all(fs, root)
        files[1].discard()
    assert _there(seaweedfs, bucket, key) == {"a", "c"}
    assert _left(seaweedfs, bucket, key) == []


def test_a_file_that_has_failed_fails_it_though_its_error_was_caught(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    proxy.inject("UploadPart", DENIED, times=None, where=lambda x: "/b" in x.path)

    def produce() -> None:
        with fs.transaction:
            for name in NAMES:
                with (
                    contextlib.suppress(PermissionError),
                    fs.open(f"{root}/{name}", "wb", max_concurrency=1) as file,
                ):
                    for _ in range(3):
                        file.write(bytes_of(PART))

    with pytest.raises(PermissionError, match="not today"):
        produce()
    assert proxy.injected
    assert _there(seaweedfs, bucket, key) == set()
    assert _left(seaweedfs, bucket, key) == []


def test_one_inside_another_is_refused_before_anything_is_written(fs: Any, root: str) -> None:
    def produce() -> None:
        with fs.transaction:
            fs.open(f"{root}/a", "wb").write(b"a")
            with fs.transaction:
                raise AssertionError("not reached")

    with pytest.raises(UsageError, match="there is a transaction of this file system already"):
        produce()
    assert not fs._intrans


def test_ctrl_c_between_two_commits_names_what_is_there(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    """In the place of the handler that Python has: what the second file calls when it is there."""

    def interrupt(result: object) -> None:
        raise KeyboardInterrupt

    def produce() -> None:
        with fs.transaction:
            files = _write_all(fs, root)
            files[1].raw._on_commit = interrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        produce()
    (note,) = raised.value.__notes__
    assert f"Published: s3://{root}/a." in note
    assert f"Unknown: s3://{root}/b" in note
    assert f"Not published: s3://{root}/c" in note
    assert _there(seaweedfs, bucket, key) == {"a", "b"}
    assert _left(seaweedfs, bucket, key) == []
    assert proxy.count("AbortMultipartUpload") == 1
