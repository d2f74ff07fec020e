"""What holds on every store: lengths around the part size, and what `result` says of them.

A store's inability is data in tests/servers.py, and asserted here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import UsageError
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from tests.servers import Server

PART = 5 << 20
LENGTHS = {
    "empty": 0,
    "one byte": 1,
    "one byte under a part": PART - 1,
    "exactly a part": PART,
    "one byte over a part": PART + 1,
    "three parts": 3 * PART,
    "three parts and a bit": 3 * PART + 7,
}


@pytest.fixture(params=[0, -1], ids=["raw", "buffered"])
def buffering(request: pytest.FixtureRequest) -> int:
    """The raw writer, and the default."""
    chosen: int = request.param
    return chosen


def _check(server: Server, bucket: str, key: str, data: bytes, result: Any) -> None:
    assert content(server, bucket, key) == data
    assert uploads(server, bucket, key) == []
    head = server.client().head_object(Bucket=bucket, Key=key)
    assert (result.bucket, result.key, result.size) == (bucket, key, len(data))
    if result.parts == 0 or "multipart-etag" not in CANNOT[server.name]:
        assert result.etag == head["ETag"]
    assert result.version_id is None
    if "checksums" not in CANNOT[server.name]:
        assert result.checksum.verified


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
def test_an_object_of_any_length_arrives_whole(
    store: Server, bucket: str, key: str, length: int, buffering: int
) -> None:
    data = bytes_of(length)
    uri = f"s3://{bucket}/{key}"
    with s3stream.open(uri, buffering=buffering, part_size=PART, **store.storage_options()) as file:
        for start in range(0, length, 1_000_003):
            file.write(data[start : start + 1_000_003])
    _check(store, bucket, key, data, file.result)
    # Up to one part an object is one PutObject; beyond, the parts are of the planned size.
    assert file.result.parts == (0 if length <= PART else -(-length // PART))


@pytest.mark.parametrize("length", [PART + 1, 3 * PART + 7])
def test_over_https_as_well(seaweedfs: Server, bucket: str, key: str, length: int) -> None:
    server = seaweedfs.over_https()
    data = bytes_of(length)
    with s3stream.open(f"s3://{bucket}/{key}", part_size=PART, **server.storage_options()) as file:
        file.write(data)
    _check(server, bucket, key, data, file.result)


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c", "crc32", None])
def test_every_checksum_is_proved_by_a_store_that_can(
    store: Server, bucket: str, key: str, checksum: str | None
) -> None:
    data = bytes_of(2 * PART + 1)
    file = s3stream.open(
        f"s3://{bucket}/{key}", part_size=PART, checksum=checksum, **store.storage_options()
    )
    file.write(data)
    file.close()
    assert content(store, bucket, key) == data
    result = file.result
    if checksum is None:
        assert result.checksum is None
        return
    assert result.checksum.algorithm == checksum
    if store.name == "ceph":
        assert not result.checksum.verified
        assert "not verified" in str(result.checksum)
    elif "checksums" not in CANNOT[store.name]:
        assert result.checksum.verified


def test_a_short_tail_joins_its_neighbour_when_a_reserve_is_asked(
    store: Server, bucket: str, key: str
) -> None:
    data = bytes_of(2 * PART + 7)
    with s3stream.open(
        f"s3://{bucket}/{key}", part_size=PART, reserve=PART, **store.storage_options()
    ) as file:
        file.write(data)
    _check(store, bucket, key, data, file.result)
    assert file.result.parts == 2


@pytest.mark.parametrize("length", [0, 1, 2 * PART])
def test_exclusive_create_leaves_what_is_there(
    store: Server, bucket: str, key: str, length: int
) -> None:
    ability = "if-none-match-complete" if length > PART else "if-none-match-put"
    uri, connection = f"s3://{bucket}/{key}", store.storage_options()

    def write_first() -> None:
        with s3stream.open(uri, "xb", part_size=PART, **connection) as first:
            first.write(bytes_of(length, seed=1))

    if ability in CANNOT[store.name]:
        with pytest.raises(UsageError, match="this store ignores it in"):
            write_first()
        assert_nothing(store, bucket, key)
        return
    write_first()
    second = s3stream.open(uri, "xb", part_size=PART, **connection)
    second.write(bytes_of(length, seed=2))
    with pytest.raises(FileExistsError, match=key):
        second.close()
    assert content(store, bucket, key) == bytes_of(length, seed=1)
    assert uploads(store, bucket, key) == []


def test_a_failing_producer_publishes_nothing(store: Server, bucket: str, key: str) -> None:

    def produce() -> None:
        with s3stream.open(
            f"s3://{bucket}/{key}", part_size=PART, **store.storage_options()
        ) as file:
            file.write(bytes_of(3 * PART))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        produce()
    assert_nothing(store, bucket, key)


def test_an_object_that_was_there_stays_when_the_new_one_fails(
    store: Server, bucket: str, key: str
) -> None:
    store.client().put_object(Bucket=bucket, Key=key, Body=b"the old one")
    file = s3stream.open(f"s3://{bucket}/{key}", part_size=PART, **store.storage_options())
    file.write(bytes_of(2 * PART))
    file.discard()
    assert content(store, bucket, key) == b"the old one"
    assert uploads(store, bucket, key) == []


def test_a_missing_bucket_is_named(store: Server, key: str) -> None:
    file = s3stream.open(f"s3://no-such-bucket-here/{key}", **store.storage_options())
    with pytest.raises(FileNotFoundError, match="no-such-bucket-here"):
        file.close()
    assert not exists(store, "s3stream-tests", key)
