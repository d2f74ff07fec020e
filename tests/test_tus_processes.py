"""Tus servers in processes of their own: ended, killed in the middle, one after the other."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults import Hold
from tests.looking import bytes_of
from tests.test_tus import PART, the_object
from tests.test_tus_faults import is_record, when_published
from tests.tus import (
    EXECUTABLE,
    SECONDS,
    Process,
    age,
    assert_only_records,
    below,
    finished,
    process,
    serving,
    uploads_below,
)

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

DATA = bytes_of(4 * PART + 12_345)

# As the executable, with a lease that is short; it has no option for that.
VICTIM = """
import json, socket, sys
import uvicorn
from s3stream.tus import application

bucket, prefix = sys.argv[1:]
app = application(
    bucket,
    prefix=prefix,
    path="/files",
    lease=1.0,
    naming=lambda upload: upload.metadata.get("filename", upload.name),
    if_none_match="*",
)
listener = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listener.getsockname()[1]}/files"
print(json.dumps({"url": url}), flush=True)
uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])
"""


def run(store: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the executable to its end."""
    return subprocess.run(
        [*EXECUTABLE, "tus", *arguments],
        env=Process.environment(store),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_sigterm_in_a_patch_keeps_what_was_received(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    with process(proxied, bucket, key) as first:
        url = first.client.create(len(DATA), {"filename": "a"})
        half = first.client.half(url, 0, len(DATA))
        half.send(DATA[: PART + 500_000])
        proxy.wait_for("UploadPart", 1, finished=True)
        code, err = first.end(signal.SIGTERM)
        # What it had not read when it closed the connection may have cost its last words.
        with suppress(ConnectionError):
            assert half.reply().status == 503
        assert code == -signal.SIGTERM, err
        assert "Traceback" not in err
    with process(seaweedfs, bucket, key) as second:
        at = second.client.offset(url)
        assert PART <= at <= PART + 500_000
        second.client.send(url, DATA, 3 * PART, at)
        assert second.client.offset(url) == len(DATA)
        assert the_object(seaweedfs, bucket, key) == DATA
        assert second.client.delete(url).status == 204
        # Nothing is at work: it ends at once.
        code, err = second.end(signal.SIGINT)
        assert code == -signal.SIGINT, err
        assert "Traceback" not in err
    assert below(seaweedfs, bucket, key) == {}


def test_sigkill_in_a_patch_and_another_process_goes_on(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    victim = Process([sys.executable, "-c", VICTIM, bucket, f"{key}/"], proxied)
    url = victim.client.create(len(DATA))
    # The third part never comes as far as the store.
    proxy.inject("UploadPart", Hold(), times=None, where=lambda x: x.part_number == 3)
    half = victim.client.half(url, 0, len(DATA))
    try:
        half.send(DATA[: 3 * PART + 1000])
        proxy.wait_for("UploadPart", 2, finished=True)
        with serving(seaweedfs, bucket, key, lease=1.0) as other:
            # It is written down while it is on its way, whenever some bytes come.
            sent = 3 * PART + 1000
            while other.offset(url) < 2 * PART and sent < 4 * PART:
                half.send(DATA[sent : sent + 100])
                sent += 100
            assert proxy.injected
            assert victim.end(signal.SIGKILL)[0] == -signal.SIGKILL
            assert other.offset(url) == 2 * PART
            while (reply := other.patch(url, 2 * PART, DATA[2 * PART :])).status == 423:
                pass
            assert (reply.status, reply.offset) == (204, len(DATA))
    finally:
        half.hang_up()
        victim.process.kill()
        victim.process.communicate()
    assert the_object(seaweedfs, bucket, key) == DATA
    assert_only_records(seaweedfs, bucket, key)


@pytest.mark.parametrize("ask", ["HEAD", "DELETE"])
def test_sigkill_between_the_object_and_what_says_so(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, ask: str
) -> None:
    data = b"small"
    heard = []

    async def after_finish(upload: Any) -> None:
        heard.append(upload.key)

    victim = Process([sys.executable, "-c", VICTIM, bucket, f"{key}/"], proxied)
    url = victim.client.create(len(data), {"filename": "same"})
    hold = Hold()
    when_published(proxy, data, partial(proxy.inject, "PutObject", hold, where=is_record))
    half = victim.client.half(url, 0, len(data))
    try:
        half.send(data)
        proxy.wait_until_injected(hold)
        assert victim.end(signal.SIGKILL)[0] == -signal.SIGKILL
    finally:
        half.hang_up()
        victim.process.kill()
        victim.process.communicate()
    assert the_object(seaweedfs, bucket, key) == data
    with serving(
        seaweedfs, bucket, key, lease=1.0, if_none_match="*", after_finish=after_finish
    ) as other:
        # Until the lease of the dead is over.
        while (reply := other.request(ask, url)).status == 423:
            pass
        if ask == "DELETE":
            assert reply.status == 204
            assert below(seaweedfs, bucket, key) == {}
            return
        assert (reply.status, reply.offset) == (200, len(data))
        assert other.patch(url, len(data), b"").offset == len(data)
        assert heard == finished(seaweedfs, bucket, key) == [f"{key}/same"]
    assert the_object(seaweedfs, bucket, key) == data
    assert_only_records(seaweedfs, bucket, key)


def test_several_processes_serve_one_upload_in_turn(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    data = DATA[: 2 * PART + 3]
    with process(seaweedfs, bucket, key) as one, process(seaweedfs, bucket, key) as two:
        url = one.client.create(len(data))
        at = 0
        for turn in range(5):
            client = (one, two)[turn % 2].client
            assert client.offset(url) == at
            at = client.patch(url, at, data[at : at + PART // 2 + 1]).offset
        assert two.client.offset(url) == len(data)
    assert the_object(seaweedfs, bucket, key) == data
    assert_only_records(seaweedfs, bucket, key)


def test_a_sweep_from_the_shell(seaweedfs: Server, bucket: str, key: str) -> None:
    place = ("--bucket", bucket, "--prefix", f"{key}/")
    with serving(seaweedfs, bucket, key) as client:
        client.create(3)
        url = client.create(4)
        client.patch(url, 0, b"abc")
    age(seaweedfs, bucket, key, url)
    # It was written just now: what counts for a week cannot have expired.
    done = run(seaweedfs, "sweep", *place)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 removed, 2 kept, 0 failed\n", "")
    done = run(seaweedfs, "sweep", *place, "--expires", "0s", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"removed": 1, "kept": 1, "failed": 0}
    assert len(below(seaweedfs, bucket, key)) == 1
    assert uploads_below(seaweedfs, bucket, key) == []


def test_what_keeps_a_server_from_serving_is_said_before_it_does(
    seaweedfs: Server, bucket: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(seaweedfs, "serve", "--bucket", bucket, "--port", port)
    assert done.returncode == 1
    assert f"s3stream tus serve: cannot listen on 127.0.0.1 port {port}" in done.stderr
    for code, arguments, said in (
        (2, ("--bucket", bucket, "--port", "70000"), "expected a port, 0 to 65535"),
        (2, ("--bucket", bucket, "--prefix", "in"), "prefix='in'"),
        (2, ("--bucket", bucket, "--path", "files"), "path='files'"),
        (3, ("--bucket", "no-such-bucket"), "there is no bucket 'no-such-bucket'"),
    ):
        done = run(seaweedfs, "serve", *arguments)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
