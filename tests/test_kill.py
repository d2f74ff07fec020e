"""A producer that is killed at any moment, and started again until it is done: nothing is lost.

CI takes a few rounds; `tox -e kill` the 200 that are promised, and prints its seed.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3stream import Checkpoint
from tests.looking import bytes_of, content, exists, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

ROUNDS = int(os.environ.get("S3STREAM_TEST_KILLS", "5"))
SEED = int(os.environ.get("S3STREAM_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
PART = 5 << 20
SIZE = 6 * PART + 12_345
LEASE = 1.0

# Writes what is missing, in odd pieces; says where it began.
PRODUCER = """
import pickle, sys
import s3stream
from tests.looking import bytes_of

uri, options, size, step = pickle.loads(bytes.fromhex(sys.argv[1]))
data = memoryview(bytes_of(size))
with s3stream.open(uri, **options) as file:
    print(file.tell(), flush=True)
    for at in range(file.tell(), size, step):
        file.write(data[at : at + step])
print(file.result.size, flush=True)
"""


def run(given: Any, proxy: Proxy, at: int | None) -> tuple[int, list[int]]:
    """Run the producer to its end, or kill it when the proxy has seen so many requests."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PRODUCER, pickle.dumps(given).hex()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    over = threading.Event()

    def kill() -> None:
        while not over.is_set():
            if at is not None and len(proxy.log) >= at:
                process.send_signal(signal.SIGKILL)
                return
            over.wait(0.001)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        out, err = process.communicate(timeout=120)
    finally:
        over.set()
        killing.join()
    assert process.returncode in {0, -signal.SIGKILL}, err
    return process.returncode, [int(line) for line in out.split()]


@pytest.mark.timeout(3600)
def test_killed_at_any_request_and_started_again_until_done(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    assert not {"if-match-put", "if-none-match-put"} & CANNOT[seaweedfs.name]
    print(f"S3STREAM_TEST_SEED={SEED}, {ROUNDS} rounds")
    chance = random.Random(SEED)
    kills = 0
    for number in range(ROUNDS):
        name, path = f"{key}-{number}", tmp_path / f"{number}.json"
        options = {
            **proxied.storage_options(),
            "checkpoint": str(path),
            "lease": LEASE,
            "max_concurrency": chance.choice([1, 2, 4]),
            "buffering": chance.choice([-1, 0]),
        }
        given = (f"s3://{bucket}/{name}", options, SIZE, chance.randrange(100_000, 2 * PART))
        code, said, promised = -1, [0], 0
        while code != 0:
            # A whole run makes about 20 requests; some kills come too late, and then it is done.
            at = len(proxy.log) + chance.randrange(0, 24)
            code, said = run(given, proxy, at)
            kills += code != 0
            if said:
                assert said[0] >= promised, "less was there than had been promised"
            # Without a file it has not begun, or is published and could not say so any more.
            promised = Checkpoint.from_json(path.read_text()).offset if path.exists() else 0
        assert said[-1] == SIZE
        assert content(seaweedfs, bucket, name) == bytes_of(SIZE)
        assert not path.exists()
        listed = seaweedfs.client().list_objects_v2(Bucket=bucket, Prefix=name)["Contents"]
        assert [entry["Key"] for entry in listed] == [name]
        # A kill between the store's answer to Create and the first line of the checkpoint leaves
        # an upload that nobody can know of; it has no part.
        for upload_id in uploads(seaweedfs, bucket, name):
            parts = seaweedfs.client().list_parts(Bucket=bucket, Key=name, UploadId=upload_id)
            assert not parts.get("Parts")
    assert exists(seaweedfs, bucket, f"{key}-0")
    print(f"{kills} kills")
    assert kills >= ROUNDS // 2
