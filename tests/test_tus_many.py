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
from tests.tus import Process, assert_only_records, below, checksum_of, has_locks, running, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s3stream.tus import Upload
    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.tus import Client, Half

UPLOADS = int(os.environ.get("S3STREAM_TEST_TUS_UPLOADS", "10"))
MIB = int(os.environ.get("S3STREAM_TEST_TUS_MIB", "2"))
# MiB of each upload in a second; none in CI, where a test may not wait.
RATE = float(os.environ.get("S3STREAM_TEST_TUS_RATE", "0"))
EXAMPLES = int(os.environ.get("S3STREAM_TEST_TUS_EXAMPLES", "6"))
BUDGET = 64 << 20

# Answers one line for each line that it is asked: the most memory it has had, in KiB.
SERVER = """
import json, socket, sys, threading
import uvicorn
import s3stream
from s3stream.tus import application

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

def answer():
    for line in sys.stdin:
        print(peak(), flush=True)

bucket, prefix, budget, locks = sys.argv[1:]
s3stream.limit_memory(int(budget))
app = application(bucket, prefix=prefix, path="/files", lock=locks == "locks")
listener = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/files"
print(json.dumps({"url": url}), flush=True)
threading.Thread(target=answer, daemon=True).start()
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


@pytest.fixture(scope="module")
def two_servers(seaweedfs: Server, bucket: str) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(serving(seaweedfs, bucket, "many", naming=by_filename))
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
    two_servers: list[Client],
    steps: list[tuple[int, str, int]],
    deferred: bool,
) -> None:
    whole = bytes_of(1 + sum(size for size, _, _ in steps))
    client = two_servers[0]
    name = uuid.uuid4().hex
    url = client.create(None if deferred else len(whole), {"filename": name})
    at = 0
    for size, how, which in steps:
        client = two_servers[which]
        data = whole[at : at + size]
        if how == "broken off":
            half = client.half(url, at, size + 1)
            half.send(data)
            half.hang_up()
            offset = when_let_go(client, url)
            assert at <= offset <= at + size
            at = offset
            continue
        if how == "elsewhere":
            reply = client.patch(url, at + 1, b"")
            assert (reply.status, reply.offset) == (409, at)
        elif how == "wrong checksum":
            reply = client.patch(url, at, data, **checksum_of(data + b"x"))
            assert reply.status == 460
        else:
            said = checksum_of(data) if how == "checksum" else {}
            reply = client.patch(url, at, data, **said)
            assert (reply.status, reply.offset) == (204, at + size)
            at += size
        assert client.offset(url) == at
    said = {"Upload-Length": str(len(whole))} if deferred else {}
    assert client.patch(url, at, whole[at:], **said).status == 204
    assert content(seaweedfs, bucket, f"many/{name}") == whole


def when_let_go(client: Client, url: str) -> int:
    """The offset as soon as no request is about the upload any more."""
    while True:
        before = client.offset(url)
        # It changes nothing, and is refused while another one holds the upload, or has just left.
        if client.patch(url, before, b"").status == 204:
            return before
