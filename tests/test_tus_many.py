"""Many uploads at one tus server, and one upload in every way: nothing is lost, memory is bounded.

CI takes a share; `tox -e long` the hundred uploads of 16 MiB at 1 MiB/s that are promised.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults import Hold
from tests.looking import bytes_of, content
from tests.test_tus import PART
from tests.tus import Process, assert_only_records, below, checksum_of, has_locks, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3stream.tus import Upload
    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.tus import Client, Half, Reply, Running

UPLOADS = int(os.environ.get("S3STREAM_TEST_TUS_UPLOADS", "10"))
MIB = int(os.environ.get("S3STREAM_TEST_TUS_MIB", "2"))
# MiB of each upload in a second; none in CI, where a test may not wait.
RATE = float(os.environ.get("S3STREAM_TEST_TUS_RATE", "0"))
EXAMPLES = int(os.environ.get("S3STREAM_TEST_TUS_EXAMPLES", "6"))
BUDGET = 64 << 20

# Answers one line for each line that it is asked: the most memory that it has had, in KiB. What
# waits in temporary files is mapped, and none of it: the kernel may write it to the disk any time.
SERVER = """
import json, socket, sys, threading, time
import uvicorn
import s3stream
from s3stream.tus import application

peak = 0

def look():
    global peak
    while True:
        with open("/proc/self/status") as status:
            peak = max(peak, next(int(x.split()[1]) for x in status if x.startswith("RssAnon")))
        time.sleep(0.01)

def answer():
    for line in sys.stdin:
        print(peak, flush=True)

bucket, prefix, budget, locks = sys.argv[1:]
s3stream.limit_memory(int(budget))
app = application(bucket, prefix=prefix, path="/files", lock=locks == "locks")
listener = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/files"
print(json.dumps({"url": url}), flush=True)
for job in (look, answer):
    threading.Thread(target=job, daemon=True).start()
uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])
"""


def upload(client: Client, data: bytes) -> None:
    """As a client does that goes on where the server stands whenever it is refused."""
    url = client.create(len(data))
    at = 0
    while at < len(data):
        half = client.half(url, at, len(data) - at)
        send(half, data[at:])
        reply = half.reply()
        assert reply.status in {204, 423, 503}, reply
        at = client.offset(url)


def send(half: Half, data: bytes) -> None:
    began = time.monotonic()
    piece = 64 << 10
    for start in range(0, len(data), piece):
        half.send(data[start : start + piece])
        if RATE:
            time.sleep(max(0.0, began + start / (RATE * (1 << 20)) - time.monotonic()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc/self/status")
@pytest.mark.timeout(1800)
def test_many_uploads_at_once_stay_within_the_budget_and_lose_nothing(
    store: Server, bucket: str, key: str
) -> None:
    datas = [bytes_of(MIB << 20, seed=number) for number in range(UPLOADS)]
    locks = "locks" if has_locks(store) else "none"
    command = [sys.executable, "-c", SERVER, bucket, f"{key}/", str(BUDGET), locks]
    server = Process(command, store, stdin=subprocess.PIPE)
    server.client.seconds = 1500.0  # what is in the buffers of a hundred sockets may take long
    try:
        upload(server.client, b"warm")
        idle = server.ask()
        began = time.monotonic()
        with ThreadPoolExecutor(UPLOADS) as pool:
            for done in [pool.submit(upload, server.client, data) for data in datas]:
                done.result()
        seconds, grown = time.monotonic() - began, server.ask() - idle
    finally:
        server.process.kill()
        server.process.communicate()
    print(f"{UPLOADS} uploads of {MIB} MiB: {seconds:.0f} s, {grown >> 10} MiB above idle")
    listed = store.client().list_objects_v2(Bucket=bucket, Prefix=f"{key}/")["Contents"]
    names = [entry["Key"] for entry in listed if "/.s3stream-tus/" not in entry["Key"]]
    kept = sorted(content(store, bucket, name) for name in names)
    assert kept == sorted([b"warm", *datas])
    assert_only_records(store, bucket, key)
    # The parts; what the process has besides; and of each upload connections, buffers, threads.
    assert grown <= (BUDGET >> 10) + (32 << 10) + (2 << 10) * UPLOADS


def test_a_slow_store_slows_its_client_down(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    data = bytes_of(12 * PART)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    memory = 3 * PART
    with running(proxied, bucket, key, memory=memory, max_concurrency=2) as server:
        client = server.start()
        url = client.create(len(data))
        half = client.half(url, 0, len(data))
        sending = threading.Thread(target=half.send, args=(data,))
        sending.start()
        proxy.wait_for("UploadPart", 2)
        server.watch.wait_until(lambda watch: watch.given[-1:] >= [memory])
        number = len(server.watch.given) - 1
        # Whatever else happens meanwhile: no more is taken than there is memory for, and what has
        # come in one message.
        client.send(client.create(3), b"abc", 3)  # by PutObject, which is not held
        assert memory <= server.watch.given[number] <= memory + (1 << 20)
        hold.event.set()
        sending.join()
        assert half.reply().offset == len(data)
    assert proxy.injected
    (name,) = (n for n, size in below(seaweedfs, bucket, key).items() if size == len(data))
    assert content(seaweedfs, bucket, f"{key}/{name}") == data


class Asked:
    """A server, and how many requests with a body it was sent."""

    def __init__(self, server: Running) -> None:
        self.client = server.start()
        self._watch = server.watch
        self._sent = 0

    def create(self, length: int | None, name: str) -> str:
        self._sent += 1
        return self.client.create(length, {"filename": name})

    def patch(self, url: str, offset: int, data: bytes, **headers: str) -> Reply:
        self._sent += 1
        return self.client.patch(url, offset, data, **headers)

    def break_off(self, url: str, offset: int, data: bytes) -> int:
        """Send that and one byte less than was said; where the upload stands when that is over."""
        self._sent += 1
        half = self.client.half(url, offset, len(data) + 1)
        half.send(data)
        half.hang_up()
        self._watch.wait_until(lambda watch: watch.ended == self._sent)
        return self.client.offset(url)


@pytest.fixture(scope="module")
def two_servers(seaweedfs: Server, bucket: str) -> Iterator[list[Asked]]:
    with ExitStack() as stack:
        yield [
            Asked(stack.enter_context(running(seaweedfs, bucket, "many", naming=by_filename)))
            for _ in range(2)
        ]


def by_filename(upload: Upload) -> str:
    return upload.metadata["filename"]


SIZES = st.sampled_from([0, 1, 2, 7, 1000, 70_000, PART - 1, PART, PART + 1, 2 * PART])
STEPS = st.lists(
    st.tuples(
        SIZES,
        st.sampled_from(
            ["whole", "whole", "broken off", "checksum", "wrong checksum", "elsewhere"]
        ),
        st.integers(0, 1),
    ),
    min_size=1,
    max_size=7,
)


@pytest.mark.timeout(3600)
@settings(max_examples=EXAMPLES, deadline=None)
@given(steps=STEPS, deferred=st.booleans())
def test_an_upload_is_what_was_told_of_it_whatever_happens(
    seaweedfs: Server,
    bucket: str,
    two_servers: list[Asked],
    steps: list[tuple[int, str, int]],
    deferred: bool,
) -> None:
    whole = bytes_of(1 + sum(size for size, _, _ in steps))
    server = two_servers[0]
    name = uuid.uuid4().hex
    url = server.create(None if deferred else len(whole), name)
    at = 0
    for size, how, which in steps:
        server = two_servers[which]
        data = whole[at : at + size]
        if how == "broken off":
            offset = server.break_off(url, at, data)
            assert at <= offset <= at + size
            at = offset
        elif how == "elsewhere":
            reply = server.patch(url, at + 1, b"")
            assert (reply.status, reply.offset) == (409, at)
        elif how == "wrong checksum":
            reply = server.patch(url, at, data, **checksum_of(data + b"x"))
            assert reply.status == 460
        else:
            said = checksum_of(data) if how == "checksum" else {}
            reply = server.patch(url, at, data, **said)
            assert (reply.status, reply.offset) == (204, at + size)
            at += size
        assert two_servers[1 - which].client.offset(url) == at
    said = {"Upload-Length": str(len(whole))} if deferred else {}
    assert server.patch(url, at, whole[at:], **said).status == 204
    assert content(seaweedfs, bucket, f"many/{name}") == whole
