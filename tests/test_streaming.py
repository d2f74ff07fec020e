"""Parts go up while the producer writes, a slow store makes it wait, and memory stays bounded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from s3stream import S3Writer, WriteOptions
from tests.faults import Hold
from tests.looking import bytes_of, content

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 << 20


def test_parts_are_sent_while_the_producer_still_writes(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    data = bytes_of(3 * PART + 1)
    options = WriteOptions(part_size=PART)
    with S3Writer(bucket, key, client=proxied.client(), options=options) as file:
        for number in range(3):
            file.write(data[number * PART : (number + 1) * PART])
            # Up to a full part the object may still be a small one: nothing has been asked for.
            assert proxy.count("CreateMultipartUpload") == min(number, 1)
            proxy.wait_for("UploadPart", number)
        file.write(data[3 * PART :])
        proxy.wait_for("UploadPart", 3)
        assert proxy.count("CompleteMultipartUpload") == 0
    assert content(seaweedfs, bucket, key) == data


@pytest.mark.parametrize("reserve", [0, PART])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_store_that_does_not_answer_makes_the_producer_wait(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    concurrency: int,
    reserve: int,
) -> None:
    parts = 9
    data = bytes_of(parts * PART)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    options = WriteOptions(part_size=PART, max_concurrency=concurrency, reserve=reserve)
    file = S3Writer(bucket, key, client=proxied.client(), options=options)

    def produce() -> None:
        with file:
            for start in range(0, len(data), PART // 2):
                file.write(data[start : start + PART // 2])

    producer = threading.Thread(target=produce)
    producer.start()
    proxy.wait_for("UploadPart", concurrency)
    assert producer.is_alive()
    hold.event.set()
    producer.join()
    assert proxy.injected, "nothing was held"
    assert proxy.in_flight_peak("UploadPart") == concurrency
    assert content(seaweedfs, bucket, key) == data
    # The formula of the README.
    assert file.peak_memory <= (concurrency + 2) * PART + reserve
    assert file.peak_memory >= (concurrency + 1) * PART


def test_memory_bounds_the_parts_below_the_concurrency(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    data = bytes_of(12 * PART)
    options = WriteOptions(part_size=PART, memory=3 * PART, max_concurrency=20)
    with S3Writer(bucket, key, client=seaweedfs.client(), options=options) as file:
        file.write(data)
    assert content(seaweedfs, bucket, key) == data
    assert file.peak_memory <= 3 * PART


def test_a_client_of_few_connections_carries_no_more_parts_than_it_keeps(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    data = bytes_of(9 * PART)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    client = proxied.client(max_pool_connections=2)

    def produce() -> None:
        with S3Writer(bucket, key, client=client, options=WriteOptions(part_size=PART)) as file:
            file.write(data)

    producer = threading.Thread(target=produce)
    producer.start()
    proxy.wait_for("UploadPart", 2)
    hold.event.set()
    producer.join()
    assert proxy.injected, "nothing was held"
    assert proxy.in_flight_peak("UploadPart") == 2
    assert content(seaweedfs, bucket, key) == data


# In MiB; the long run (tox -e long) sets 6144.
STREAM_MIB = int(os.environ.get("S3STREAM_TEST_STREAM_MIB", "512"))

_STREAM = """
import os, resource, sys
import s3stream

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

uri, mib = sys.argv[1], int(sys.argv[2])
with s3stream.open(uri + ".warm") as file:
    file.write(b"x")
block = os.urandom(1 << 20)
base = resident()
with s3stream.open(uri) as file:
    for number in range(mib):
        file.write(number.to_bytes(8, "big"))
        file.write(block[8:])
print(resident() - base, file.raw.peak_memory >> 20, file.result.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc/self/status")
@pytest.mark.timeout(900)
def test_a_long_stream_stays_within_the_memory_that_the_readme_states(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint_url,
        "AWS_ACCESS_KEY_ID": seaweedfs.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-c", _STREAM, f"s3://{bucket}/{key}", str(STREAM_MIB)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    resident_mib, parts_mib, size = map(int, done.stdout.split())
    print(f"{STREAM_MIB} MiB streamed: {parts_mib} MiB of parts, {resident_mib} MiB resident")
    client = seaweedfs.client()
    assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == size == STREAM_MIB << 20
    client.delete_object(Bucket=bucket, Key=key)
    assert parts_mib <= 128
    # The parts, and what two dozen connections and their threads take.
    assert resident_mib <= 128 + 16
