"""Files that were prepared anywhere appear together or not at all, whatever fails in between."""

from __future__ import annotations

import gc
import gzip
import multiprocessing
import pickle
import signal
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

import s3stream
from s3stream import (
    AlreadyExistsError,
    Dataset,
    NotFoundError,
    PreparedUpload,
    S3StreamError,
    UncertainError,
    UsageError,
)
from s3stream.checksums import ALGORITHMS
from tests.faults import Answer, ChangeAnswer, Hold, LoseAnswer, Meanwhile
from tests.looking import assert_nothing, bytes_of, content, exists, uploads, wait_for_threads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20
GATEWAY_GAVE_UP = Answer(504, "GatewayTimeout")
DENIED = Answer(403, "AccessDenied", "not today")
NAMES = ("a", "b", "c")
ATTEMPTS = 2

# Where the tests run in the background of a shell, SIGINT is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def write(uri: str, data: bytes, **options: Any) -> PreparedUpload:
    """What a worker does; its receipt as it comes to the driver."""
    with s3stream.open(uri, part_size=PART, **options) as file:
        file.write(data)
        receipt = file.prepare()
    travelled: PreparedUpload = pickle.loads(pickle.dumps(receipt))
    assert travelled == receipt
    return travelled


def data_of(name: str) -> bytes:
    return bytes_of({"a": 2 * PART + 7, "b": 10, "c": 0}[name], ord(name))


@pytest.fixture
def root(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


@pytest.fixture
def receipts(seaweedfs: Server, root: str) -> list[PreparedUpload]:
    """Three files, prepared past the proxy: one of several parts, one of one, one empty."""
    options = seaweedfs.storage_options()
    return [write(f"{root}/{name}", data_of(name), **options) for name in NAMES]


@pytest.fixture
def dataset(proxied: Server, receipts: list[PreparedUpload]) -> Dataset:
    """Of them, one request at a time."""
    retries = {"retries": {"mode": "standard", "total_max_attempts": ATTEMPTS}}
    options = {**proxied.storage_options(), "config_kwargs": retries}
    return Dataset(receipts, max_concurrency=1, **options)


@pytest.fixture
def there(seaweedfs: Server, bucket: str, key: str) -> Callable[[], set[str]]:
    """The names of the objects that there are, as another client sees them; each is whole."""

    def there() -> set[str]:
        found = {name for name in NAMES if exists(seaweedfs, bucket, f"{key}/{name}")}
        for name in found:
            assert content(seaweedfs, bucket, f"{key}/{name}") == data_of(name)
        return found

    return there


@pytest.fixture
def left(seaweedfs: Server, bucket: str, key: str) -> Callable[[], set[str]]:
    """The names of the unfinished uploads, as another client sees them."""

    def left() -> set[str]:
        return {name for name in NAMES if uploads(seaweedfs, bucket, f"{key}/{name}")}

    return left


def of(name: str) -> Callable[[Any], bool]:
    return lambda exchange: bool(exchange.path.endswith(f"/{name}"))


# -- a file is prepared


def test_every_face_and_size_can_be_prepared_and_published(
    store: Server, bucket: str, key: str
) -> None:
    options = {"part_size": PART, **store.storage_options()}
    long = bytes_of(2 * PART + 7)
    files: dict[str, Any] = {
        "raw": s3stream.open(f"s3://{bucket}/{key}/raw", buffering=0, **options),
        "small": s3stream.open(f"s3://{bucket}/{key}/small", **options),
        "empty": s3stream.open(f"s3://{bucket}/{key}/empty", **options),
        "text": s3stream.open(f"s3://{bucket}/{key}/text", "w", encoding="utf-8", **options),
        "packed": s3stream.open(f"s3://{bucket}/{key}/packed", compression="gzip", **options),
    }
    expected = {"raw": long, "small": b"small", "empty": b"", "text": "größer".encode()}
    files["text"].write("größer")
    files["packed"].write(long)
    for name in ("raw", "small", "empty"):
        files[name].write(expected[name])
    prepared = {name: file.prepare() for name, file in files.items()}
    assert all(file.closed for file in files.values())
    for name in files:
        assert not exists(store, bucket, f"{key}/{name}")
        assert uploads(store, bucket, f"{key}/{name}") == [prepared[name].upload_id]
    sizes = {name: receipt.size for name, receipt in prepared.items()}
    assert [sizes["raw"], sizes["small"], sizes["empty"]] == [len(long), 5, 0]
    assert [len(prepared[name].parts) for name in ("raw", "small", "empty")] == [3, 1, 1]
    assert prepared["raw"].uri == f"s3://{bucket}/{key}/raw"

    results = Dataset(prepared.values(), **store.storage_options()).complete()

    assert [result.key for result in results] == [f"{key}/{name}" for name in files]
    for name, data in expected.items():
        assert content(store, bucket, f"{key}/{name}") == data
        assert uploads(store, bucket, f"{key}/{name}") == []
    assert gzip.decompress(content(store, bucket, f"{key}/packed")) == long
    if "checksums" not in CANNOT[store.name]:
        assert all(result.checksum and result.checksum.verified for result in results)


def test_another_process_writes_and_this_one_publishes(
    seaweedfs: Server, root: str, there: Callable[[], set[str]]
) -> None:
    options = seaweedfs.storage_options()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool, Dataset(**options) as dataset:
        for name in NAMES:
            dataset.add(pool.submit(write, f"{root}/{name}", data_of(name), **options).result())
        assert there() == set()
    assert there() == set(NAMES)
    assert [result.size for result in dataset.published] == [len(data_of(n)) for n in NAMES]


def test_after_prepare_closing_and_the_garbage_collection_change_nothing(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file: Any = s3stream.open(f"s3://{bucket}/{key}", **seaweedfs.storage_options())
    file.write(b"data")
    receipt = file.prepare()
    assert file.prepare() == receipt
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        file.write(b"more")
    with pytest.raises(ValueError, match="is not published"):
        _ = file.result
    del file
    gc.collect()  # a warning would be an error here
    # Should its receipt be lost with its process, it is seen as what it is.
    (unfinished,) = s3stream.list_uploads(bucket, key, **seaweedfs.storage_options())
    assert (unfinished.upload_id, unfinished.size) == (receipt.upload_id, 4)
    Dataset([receipt], **seaweedfs.storage_options()).abort()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("data", [b"data", b""])
def test_a_prepared_file_can_be_committed_where_it_was_written(
    seaweedfs: Server, bucket: str, key: str, data: bytes
) -> None:
    file = s3stream.open(f"s3://{bucket}/{key}", **seaweedfs.storage_options())
    file.write(data)
    receipt = file.prepare()
    result = file.commit()
    assert content(seaweedfs, bucket, key) == data
    # Who has the receipt finds it published.
    (found,) = Dataset([receipt], **seaweedfs.storage_options()).complete()
    assert found.etag == result.etag
    with pytest.raises(ValueError, match="it cannot be prepared"):
        file.prepare()


def test_a_prepared_file_can_be_discarded_where_it_was_written(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file = s3stream.open(f"s3://{bucket}/{key}", **seaweedfs.storage_options())
    file.write(b"data")
    receipt = file.prepare()
    file.discard()
    assert_nothing(seaweedfs, bucket, key)
    with pytest.raises(ValueError, match="it cannot be prepared"):
        file.prepare()
    with pytest.raises(NotFoundError, match="the upload is gone"):
        Dataset([receipt], **seaweedfs.storage_options()).complete()


def test_what_a_library_has_closed_can_be_prepared_where_closing_does_not_publish(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    options = seaweedfs.storage_options()
    for text in (False, True):
        mode = "w" if text else "wb"
        file: Any = s3stream.open(f"s3://{bucket}/{key}", mode, publish="commit", **options)
        file.write("data" if text else b"data")
        file.close()
        receipt = file.prepare()
        assert not exists(seaweedfs, bucket, key)
        Dataset([receipt], **options).complete()
        assert content(seaweedfs, bucket, key) == b"data"
        seaweedfs.client().delete_object(Bucket=bucket, Key=key)


def test_a_body_that_raises_after_it_discards(seaweedfs: Server, bucket: str, key: str) -> None:
    def produce() -> None:
        with s3stream.open(f"s3://{bucket}/{key}", **seaweedfs.storage_options()) as file:
            file.write(b"data")
            file.prepare()
            raise KeyError

    with pytest.raises(KeyError):
        produce()
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
def test_what_cannot_be_sent_cannot_be_prepared_and_leaves_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    proxy.inject(operation, DENIED, times=None)
    file = s3stream.open(f"s3://{bucket}/{key}", **proxied.storage_options())
    file.write(b"data")
    with pytest.raises(PermissionError, match="not today"):
        file.prepare()
    assert proxy.injected
    assert file.closed
    assert_nothing(seaweedfs, bucket, key)


def test_appending_and_checkpoints_cannot_be_prepared_and_the_file_is_as_it_was(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Any
) -> None:
    options = seaweedfs.storage_options()
    appended = s3stream.open(f"s3://{bucket}/{key}", "ab", **options)
    appended.write(b"appended")
    with pytest.raises(UsageError, match="appending cannot be prepared"):
        appended.prepare()
    appended.close()
    assert content(seaweedfs, bucket, key) == b"appended"

    noted = s3stream.open(f"s3://{bucket}/{key}", checkpoint=tmp_path / "c.json", **options)
    noted.write(b"noted")
    with pytest.raises(UsageError, match="a checkpoint, or was resumed, cannot be prepared"):
        noted.prepare()
    noted.close()
    assert content(seaweedfs, bucket, key) == b"noted"


def test_a_receipt_holds_no_key_and_what_the_end_needs(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    options = seaweedfs.storage_options()
    secret = "0123456789abcdef0123456789abcdef"
    sse = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": secret}
    given = {"RequestPayer": "requester", "Metadata": {"made": "by me"}, **sse}
    receipt = write(f"s3://{bucket}/{key}", b"data", **given, **options)
    assert receipt.parameters == {"RequestPayer": "requester", "SSECustomerAlgorithm": "AES256"}
    for form in (pickle.dumps(receipt), repr(receipt).encode()):
        assert secret.encode() not in form
        assert options["secret"].encode() not in form
    Dataset([receipt], SSECustomerKey=secret, **options).abort()
    assert_nothing(seaweedfs, bucket, key)


# -- all of them


def test_everything_is_looked_at_before_the_first_is_published(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    with dataset:
        assert proxy.count() == 0
        assert repr(dataset) == "<Dataset: 0 published, 3 prepared, 0 uncertain>"
    last_look = max(x.number for x in proxy.of("ListParts"))
    first_commit = min(x.number for x in proxy.of("CompleteMultipartUpload"))
    assert last_look < first_commit
    assert proxy.count("ListParts") == proxy.count("CompleteMultipartUpload") == 3
    assert there() == set(NAMES)
    assert left() == set()
    assert repr(dataset) == "<Dataset: 3 published, 0 prepared, 0 uncertain>"
    assert [r.key.rpartition("/")[2] for r in dataset.complete()] == list(NAMES)
    assert proxy.count("CompleteMultipartUpload") == 3
    dataset.abort()  # there is nothing to abort
    assert there() == set(NAMES)


def test_several_are_asked_of_at_once(
    receipts: list[PreparedUpload], proxied: Server, proxy: Proxy, there: Callable[[], set[str]]
) -> None:
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold, times=None)

    def release() -> None:
        proxy.wait_for("CompleteMultipartUpload", 3, timeout=120)  # none has been answered yet
        hold.event.set()

    releaser = threading.Thread(target=release)
    releaser.start()
    Dataset(receipts, **proxied.storage_options()).complete()
    releaser.join()
    assert len(proxy.injected) == 3
    assert there() == set(NAMES)


def test_listings_that_were_kept_show_the_new_objects(
    seaweedfs: Server, receipts: list[PreparedUpload], bucket: str, key: str
) -> None:
    options = seaweedfs.storage_options()
    fs = fsspec.filesystem("s3stream", **options)
    assert fs.find(f"{bucket}/{key}") == []
    fs.dircache[f"{bucket}/{key}"] = []  # as a listing of a moment ago
    Dataset(receipts, **options).complete()  # fsspec gives it the same file system
    assert fs.ls(f"{bucket}/{key}", detail=False) == [f"{bucket}/{key}/{n}" for n in NAMES]


def test_no_receipts_publish_nothing(proxied: Server, proxy: Proxy) -> None:
    with Dataset(**proxied.storage_options()) as dataset:
        pass
    assert dataset.complete() == []
    dataset.abort()
    assert proxy.count() == 0


# -- or none


@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_every_exit_by_an_exception_removes_all(
    dataset: Dataset,
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    kind: type[BaseException],
) -> None:
    def produce() -> None:
        with dataset:
            raise kind

    with pytest.raises(kind) as raised:
        produce()
    assert not getattr(raised.value, "__notes__", [])
    assert there() == left() == set()
    assert proxy.count("CompleteMultipartUpload") == 0
    assert dataset.unpublished == []
    with pytest.raises(UsageError, match="was aborted"):
        dataset.complete()


PART_GONE = ChangeAnswer(b"<PartNumber>2</PartNumber>", b"<PartNumber>4</PartNumber>")
LOOKS = 5  # at parts that should be there, before they are believed to be missing


@pytest.mark.parametrize("by_hand", [False, True], ids=["with", "by hand"])
@pytest.mark.parametrize("what", ["a part less", "a part more"])
def test_one_that_is_not_as_it_was_sent_publishes_none(
    seaweedfs: Server,
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    what: str,
    by_hand: bool,
) -> None:
    if what == "a part less":
        changed, message = receipts[0], "the store has nothing, what was sent has"
        proxy.inject("ListParts", PART_GONE, times=LOOKS, where=of("a"))
    else:
        changed, message = receipts[1], "it is not among the receipts"
        crc = ALGORITHMS["crc64nvme"]
        seaweedfs.client().upload_part(
            Bucket=changed.bucket,
            Key=changed.key,
            UploadId=changed.upload_id,
            PartNumber=2,
            Body=b"more",
            ChecksumCRC64NVME=crc.encode(crc.compute(b"more")),
        )

    def complete() -> None:
        if by_hand:
            dataset.complete()
        else:
            with dataset:
                pass

    with pytest.raises(S3StreamError, match=message) as raised:
        complete()
    assert len(proxy.injected) == LOOKS * (what == "a part less")
    assert (raised.value.key, raised.value.part_number) == (changed.key, 2)
    assert proxy.count("CompleteMultipartUpload") == 0
    assert there() == set()
    if not by_hand:
        assert left() == set()
        return
    (note,) = raised.value.__notes__
    assert "nothing was published; the 3 prepared uploads are kept" in note
    assert left() == set(NAMES)
    assert len(dataset.unpublished) == 3
    dataset.abort()
    assert left() == set()


@pytest.mark.parametrize("replaces", [False, True], ids=["new", "over another"])
def test_an_upload_that_somebody_has_aborted_publishes_none(
    seaweedfs: Server,
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    replaces: bool,
) -> None:
    gone = receipts[0]
    client = seaweedfs.client()
    if replaces:
        client.put_object(Bucket=gone.bucket, Key=gone.key, Body=b"an older one")
    client.abort_multipart_upload(Bucket=gone.bucket, Key=gone.key, UploadId=gone.upload_id)

    with pytest.raises(NotFoundError, match="the upload is gone, and has not become") as raised:
        dataset.__exit__(None, None, None)
    assert raised.value.key == gone.key
    assert proxy.count("CompleteMultipartUpload") == 0
    assert left() == set()
    if replaces:
        assert content(seaweedfs, gone.bucket, gone.key) == b"an older one"
        client.delete_object(Bucket=gone.bucket, Key=gone.key)
    assert there() == set()


def test_every_upload_that_is_not_whole_is_named(
    seaweedfs: Server, dataset: Dataset, receipts: list[PreparedUpload]
) -> None:
    client = seaweedfs.client()
    for gone in receipts[:2]:
        client.abort_multipart_upload(Bucket=gone.bucket, Key=gone.key, UploadId=gone.upload_id)
    with pytest.raises(NotFoundError) as raised:
        dataset.__exit__(None, None, None)
    assert receipts[0].uri in str(raised.value)
    (note,) = raised.value.__notes__
    assert receipts[1].uri in note


def test_a_store_that_does_not_let_us_look_publishes_none(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    proxy.inject("ListParts", Answer(400, "InvalidRequest", "not so"), times=1, where=of("b"))
    with pytest.raises(S3StreamError, match="not so"):
        dataset.complete()
    assert proxy.injected
    assert proxy.count("ListParts") == 2  # what is wrong with the store is asked no further
    assert proxy.count("CompleteMultipartUpload") == 0
    assert left() == set(NAMES)
    dataset.complete()
    assert there() == set(NAMES)


def test_who_may_not_list_parts_may_publish(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]]
) -> None:
    proxy.inject("ListParts", DENIED, times=None)
    dataset.complete()
    assert proxy.injected
    assert there() == set(NAMES)


def test_the_first_that_is_refused_publishes_none(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    proxy.inject("CompleteMultipartUpload", DENIED, times=1)
    with pytest.raises(PermissionError, match="not today"):
        dataset.__exit__(None, None, None)
    assert proxy.injected
    assert there() == left() == set()


def test_a_failed_clean_up_does_not_keep_the_others_from_theirs(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=2, where=lambda x: not of("b")(x))

    def produce() -> None:
        with dataset:
            raise KeyError

    with pytest.raises(KeyError) as raised:
        produce()
    assert [note.rpartition("/")[2][0] for note in raised.value.__notes__] == ["a", "c"]
    assert len(proxy.injected) == 2
    assert there() == set()
    assert left() == {"a", "c"}
    dataset.abort()
    assert left() == set()


def test_aborting_by_hand_raises_what_is_left(
    dataset: Dataset, proxy: Proxy, left: Callable[[], set[str]]
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=2)
    with pytest.raises(PermissionError, match="not today") as raised:
        dataset.abort()
    assert len(proxy.injected) == 2
    assert len(raised.value.__notes__) == 1
    assert len(left()) == 2
    dataset.abort()
    assert left() == set()


# -- between two


def test_a_refusal_between_two_names_what_is_there_and_can_be_gone_on_with(
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    root: str,
) -> None:
    proxy.inject("CompleteMultipartUpload", DENIED, times=1, where=of("b"))
    with pytest.raises(S3StreamError, match="not published as a whole") as raised:
        dataset.__exit__(None, None, None)
    said = str(raised.value)
    assert f" Published: {root}/a." in said
    assert " Nobody knows: none." in said
    assert f" Not published: {root}/b (AccessDeniedError: cannot publish" in said
    assert f", {root}/c." in said
    assert isinstance(raised.value.__cause__, PermissionError)
    assert proxy.injected
    assert there() == {"a"}
    assert left() == {"b", "c"}
    assert proxy.count("AbortMultipartUpload") == 0
    assert dataset.unpublished == receipts[1:]

    assert [result.size for result in dataset.complete()] == [len(data_of(n)) for n in NAMES]
    assert there() == set(NAMES)
    assert left() == set()
    assert len([x for x in proxy.of("CompleteMultipartUpload") if of("a")(x)]) == 1


def test_after_a_failure_between_two_the_rest_can_be_removed(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    proxy.inject("CompleteMultipartUpload", DENIED, times=1, where=of("b"))
    with pytest.raises(S3StreamError, match="not published as a whole"):
        dataset.complete()
    assert proxy.injected
    dataset.abort()
    assert there() == {"a"}
    assert left() == set()


def test_a_lost_answer_is_proved(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    for name in NAMES:
        proxy.inject("CompleteMultipartUpload", LoseAnswer(), where=of(name))
    assert len(dataset.complete()) == 3
    assert len(proxy.injected) == 3
    assert there() == set(NAMES)
    assert left() == set()


def test_one_whose_fate_is_unknown_is_called_so_and_left_alone(
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    root: str,
) -> None:
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), where=of("b"))
    proxy.inject("CompleteMultipartUpload", DENIED, times=None, where=of("b"))
    proxy.inject("HeadObject", DENIED, times=None)
    with pytest.raises(S3StreamError, match=f"Nobody knows: {root}/b ") as raised:
        dataset.__exit__(None, None, None)
    assert f" Published: {root}/a." in str(raised.value)
    assert f" Not published: {root}/c." in str(raised.value)
    assert "go on with a Dataset without its receipt" in str(raised.value)
    assert proxy.injected
    assert there() == {"a", "b"}
    assert left() == {"c"}
    assert dataset.uncertain == receipts[1:2]

    with pytest.raises(UncertainError, match="it was left alone") as alone:
        dataset.abort()
    assert alone.value.key == receipts[1].key
    assert left() == set()
    assert there() == {"a", "b"}


def test_one_whose_fate_was_unknown_is_found_out_by_the_next_attempt(
    dataset: Dataset, proxy: Proxy, there: Callable[[], set[str]], left: Callable[[], set[str]]
) -> None:
    # A gateway gives up, and says nothing of what the store has done.
    proxy.inject("CompleteMultipartUpload", GATEWAY_GAVE_UP, times=None, where=of("b"))
    with pytest.raises(S3StreamError, match="not published as a whole"):
        dataset.complete()
    assert len(proxy.injected) == ATTEMPTS
    proxy.clear()
    assert [receipt.key.rpartition("/")[2] for receipt in dataset.uncertain] == ["b"]
    assert len(dataset.complete()) == 3
    assert there() == set(NAMES)
    assert left() == set()


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "not answered"])
def test_ctrl_c_between_two_names_what_is_there(
    dataset: Dataset,
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
    root: str,
    answered: bool,
) -> None:
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold, where=of("b"))
    main = threading.main_thread().ident or 0

    def interrupt() -> None:
        proxy.wait_for("CompleteMultipartUpload", 2, timeout=120)
        signal.pthread_kill(main, signal.SIGINT)
        if answered:
            hold.event.set()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        dataset.__exit__(None, None, None)
    interrupter.join()
    assert proxy.injected
    (note,) = getattr(raised.value, "__notes__", [])
    assert f" Not published: {root}/c." in note
    known = len(dataset.published) == 2
    assert answered or not known
    if known:  # two seconds may be too short for an answer
        assert f" Published: {root}/a, {root}/b. Nobody knows: none." in note
    else:
        assert f" Published: {root}/a. Nobody knows: {root}/b." in note
    hold.event.set()
    wait_for_threads("dataset")
    assert there() == {"a", "b"}
    assert left() == {"c"}
    dataset.complete()
    assert there() == set(NAMES)


# -- a driver that has died


def test_another_driver_with_the_same_receipts_goes_on(
    store: Server, bucket: str, key: str
) -> None:
    options = store.storage_options()
    receipts = [write(f"s3://{bucket}/{key}/{n}", data_of(n), **options) for n in NAMES]
    Dataset(receipts[:1], **options).complete()  # as far as the first driver has come
    follower = Dataset(receipts, **options)
    if "multipart-etag" in CANNOT[store.name]:
        # Nothing there proves whose an object is: it is left to somebody who knows.
        with pytest.raises(S3StreamError, match=f"Nobody knows: s3://{bucket}/{key}/a "):
            follower.__exit__(None, None, None)
        for name in NAMES[1:]:
            assert uploads(store, bucket, f"{key}/{name}") != []
        follower = Dataset(receipts[1:], **options)
    follower.complete()
    for name in NAMES:
        assert content(store, bucket, f"{key}/{name}") == data_of(name)
        assert uploads(store, bucket, f"{key}/{name}") == []


def test_what_another_driver_has_begun_no_exception_ends(
    seaweedfs: Server,
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
) -> None:
    Dataset(receipts[:1], **seaweedfs.storage_options()).complete()

    def produce() -> None:
        with dataset:
            raise KeyError

    with pytest.raises(KeyError) as raised:
        produce()
    (note,) = raised.value.__notes__
    assert f" Published: {receipts[0].uri}. Nobody knows: none. Not published: " in note
    assert proxy.count("AbortMultipartUpload") == 0
    assert left() == {"b", "c"}
    dataset.complete()
    assert there() == set(NAMES)


def test_aborting_what_another_driver_has_begun_says_what_stays(
    seaweedfs: Server,
    dataset: Dataset,
    receipts: list[PreparedUpload],
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
) -> None:
    Dataset(receipts[:1], **seaweedfs.storage_options()).complete()
    with pytest.raises(S3StreamError, match=f"and it stays: {receipts[0].uri}"):
        dataset.abort()
    assert there() == {"a"}
    assert left() == set()
    assert [result.key for result in dataset.published] == [receipts[0].key]
    dataset.abort()  # said once


def test_two_drivers_at_once_publish_it_once(
    seaweedfs: Server,
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    there: Callable[[], set[str]],
    left: Callable[[], set[str]],
) -> None:
    other = Dataset(receipts, **seaweedfs.storage_options())
    proxy.inject("CompleteMultipartUpload", Meanwhile(other.complete), where=of("a"))
    assert len(dataset.complete()) == 3
    assert proxy.injected
    assert there() == set(NAMES)
    assert left() == set()


# -- conditions


def test_conditions_travel_with_the_receipt(
    seaweedfs: Server, bucket: str, key: str, root: str
) -> None:
    options = seaweedfs.storage_options()
    first, second = (write(f"{root}/x", b"1" * n, if_none_match="*", **options) for n in (1, 2))
    assert first.writer_id
    Dataset([first], **options).complete()
    with pytest.raises(AlreadyExistsError):
        Dataset([second], **options).__exit__(None, None, None)
    assert content(seaweedfs, bucket, f"{key}/x") == b"1"
    assert uploads(seaweedfs, bucket, f"{key}/x") == []
    # And whoever follows the first driver finds that its object is its own.
    assert len(Dataset([first], **options).complete()) == 1


def test_publishing_under_a_condition_tries_no_store_again(
    seaweedfs: Server, proxied: Server, proxy: Proxy, root: str
) -> None:
    receipt = write(f"{root}/x", b"1", if_none_match="*", **seaweedfs.storage_options())
    Dataset([receipt], **proxied.storage_options()).complete()
    assert [x.operation for x in proxy.log] == ["ListParts", "CompleteMultipartUpload"]
    assert proxy.count("probe") == 0


# -- what cannot be


def test_two_uploads_of_one_object_are_refused_until_one_is_discarded(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, root: str
) -> None:
    once, twice = (write(f"{root}/x", text, **seaweedfs.storage_options()) for text in (b"1", b"2"))
    dataset = Dataset([once, once], **proxied.storage_options())
    message = f"two uploads of {root}/x: {once.upload_id} and {twice.upload_id} "
    with pytest.raises(UsageError, match=message):
        dataset.add(twice)
    with pytest.raises(UsageError, match=message):
        dataset.complete()
    assert proxy.count() == 0
    dataset.discard(once)
    assert uploads(seaweedfs, bucket, f"{key}/x") == [twice.upload_id]
    dataset.complete()
    assert content(seaweedfs, bucket, f"{key}/x") == b"2"
    with pytest.raises(ValueError, match="is published: there is nothing to discard"):
        dataset.discard(twice)


def test_the_second_upload_of_an_object_is_removed_with_the_others(
    seaweedfs: Server, bucket: str, key: str, root: str
) -> None:
    options = seaweedfs.storage_options()
    once, twice = (write(f"{root}/x", text, **options) for text in (b"1", b"2"))

    def produce() -> None:
        with Dataset([once], **options) as dataset:
            dataset.add(twice)

    with pytest.raises(UsageError, match="two uploads"):
        produce()
    assert_nothing(seaweedfs, bucket, f"{key}/x")


def test_a_discard_that_fails_keeps_it(
    dataset: Dataset,
    receipts: list[PreparedUpload],
    proxy: Proxy,
    left: Callable[[], set[str]],
) -> None:
    proxy.inject("AbortMultipartUpload", DENIED, times=1)
    with pytest.raises(PermissionError, match="not today"):
        dataset.discard(receipts[0])
    assert proxy.injected
    assert left() == set(NAMES)
    assert dataset.unpublished == receipts
    dataset.discard(receipts[0])
    assert left() == {"b", "c"}
    dataset.abort()


def test_wrong_arguments_are_refused_before_any_request(proxied: Server, proxy: Proxy) -> None:
    options = proxied.storage_options()
    with pytest.raises(UsageError, match="did you mean endpoint_url"):
        Dataset(endpoint_ur="http://localhost")
    with pytest.raises(UsageError, match="SSECustomerKey"):
        Dataset(SSECustomerKe="k", **options)
    with pytest.raises(UsageError, match="drop key"):
        Dataset(client=proxied.client(), **options)
    wrong: Any = "s3://bucket/key"
    with pytest.raises(UsageError, match="expected what prepare"):
        Dataset([wrong], **options)
    assert proxy.count() == 0


def test_a_client_of_ones_own(
    seaweedfs: Server, receipts: list[PreparedUpload], there: Callable[[], set[str]]
) -> None:
    Dataset(receipts, client=seaweedfs.client()).complete()
    assert there() == set(NAMES)


def test_it_stays_where_it_is(seaweedfs: Server) -> None:
    with pytest.raises(TypeError, match="what is added to a copy would be lost"):
        pickle.dumps(Dataset(**seaweedfs.storage_options()))


def test_one_that_is_forgotten_says_what_it_leaves(
    seaweedfs: Server, receipts: list[PreparedUpload], left: Callable[[], set[str]]
) -> None:
    options = seaweedfs.storage_options()

    def forget(*added: PreparedUpload) -> None:
        dataset = Dataset(receipts[:1], **options)
        if added:
            dataset.complete()
        for receipt in added:
            dataset.add(receipt)
        del dataset
        gc.collect()

    where = r"made at .*test_dataset\.py:\d+\) was neither"
    with pytest.warns(RuntimeWarning, match=f"{where}.* its 1 prepared .* cost storage: .*/a;"):
        forget()
    assert left() == set(NAMES)
    with pytest.warns(RuntimeWarning, match="its 2 prepared uploads cost storage: .*/b, .*/c;"):
        forget(*receipts[1:])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        Dataset(receipts[1:], **options).abort()
        Dataset(**options)
        gc.collect()
    assert [str(warning.message) for warning in said] == []
    assert left() == set()


def test_many_names_are_cut_short(
    seaweedfs: Server, proxied: Server, proxy: Proxy, root: str, bucket: str
) -> None:
    options = seaweedfs.storage_options()
    receipts = [write(f"{root}/{n:02}", b"x", **options) for n in range(23)]
    dataset = Dataset(receipts, max_concurrency=1, **proxied.storage_options())
    proxy.inject("CompleteMultipartUpload", DENIED, skip=1, times=None)
    with pytest.raises(S3StreamError) as raised:
        dataset.complete()
    assert f"{root}/20 and 2 more." in str(raised.value)
    assert f"{root}/21" not in str(raised.value)
    dataset.abort()
    for receipt in receipts[1:]:
        assert uploads(seaweedfs, bucket, receipt.key) == []
