"""How a process ends: exit, SIGTERM, Ctrl-C, fork. Each in a process of its own (tests/victims.py).

In every case a second client looks at the store: no object that nobody published, no upload left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import Hang, Hold
from tests.looking import assert_nothing, content, uploads
from tests.victims import DATA

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

    Start = Callable[..., subprocess.Popen[str]]

ROOT = Path(__file__).resolve().parents[1]
NO_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture
def start(proxied: Server, bucket: str, key: str) -> Start:
    """Starts a program of tests/victims.py that writes through the proxy."""

    def start(name: str) -> subprocess.Popen[str]:
        environ = {
            **os.environ,
            "STORAGE_URI": f"s3://{bucket}/{key}",
            "STORAGE_OPTIONS": json.dumps(proxied.storage_options()),
            # What a user sees, wherever the tests run; but for Python's word on fork and threads.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tests.victims", name],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    return start


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def _aborted(proxy: Proxy) -> int:
    """How many uploads: a slow part is followed by another abort of the same one."""
    return len({x.query["uploadId"] for x in proxy.of("AbortMultipartUpload")})


@pytest.mark.parametrize(
    "name",
    [
        "exits_raw",
        "exits_buffered",
        "exits_text",
        "exits_compressed",
        "exits_fsspec",
        "exits_foreign_text",
        "exits_foreign_buffer",
        "exits_gzip",
        "exits_zip",
        "exits_tar",
        "exits_small",
        "exits_seekable",
        "exits_in_atexit",
    ],
)
def test_exit_without_close_publishes_nothing_and_says_so(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str, name: str
) -> None:
    code, _, err = _end(start(name))
    assert code == 0
    assert "RuntimeWarning: nothing was published" in err
    assert f"s3://{bucket}/{key}" in err
    assert "victims.py:" in err
    # The small one has sent nothing, nor that in a temporary file; the others were in the middle
    # of an upload.
    nothing_sent = name in {"exits_small", "exits_seekable"}
    assert _aborted(proxy) == (0 if nothing_sent else 1)
    assert_nothing(seaweedfs, bucket, key)


def test_exit_does_not_wait_for_a_write_that_is_blocked(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, skip=1, times=None)
    process = start("exits_while_another_thread_is_blocked")
    code, _, err = _end(process)
    assert code == 0
    assert "nothing was published" in err
    assert "may be left at the store" in err  # the held part has had its three seconds
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") >= 1
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    "name", ["closes_in_atexit", "writes_in_an_atexit_hook_that_runs_after_ours"]
)
def test_a_close_in_atexit_publishes(
    start: Start, seaweedfs: Server, bucket: str, key: str, name: str
) -> None:
    code, _, err = _end(start(name))
    assert (code, err) == (0, "")
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []


@pytest.mark.parametrize(
    ("name", "warned"), [("calls_sys_exit", False), ("calls_sys_exit_without_with", True)]
)
def test_sys_exit_discards_and_keeps_its_code(
    start: Start, seaweedfs: Server, bucket: str, key: str, name: str, warned: bool
) -> None:
    code, _, err = _end(start(name))
    assert code == 7
    assert ("nothing was published" in err) is warned
    assert_nothing(seaweedfs, bucket, key)


def _started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def test_sigterm_discards_every_open_file_and_ends_as_it_would_have(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    process = start("is_terminated")
    _started(process)
    process.send_signal(signal.SIGTERM)
    code, _, err = _end(process)
    assert code == -signal.SIGTERM
    assert err.count("nothing was published") == 3
    assert "SIGTERM" in err
    assert _aborted(proxy) == 2  # the third waits in a temporary file
    for name in (key, f"{key}-other", f"{key}-seekable"):
        assert_nothing(seaweedfs, bucket, name)


def test_sigterm_goes_on_to_the_handler_that_was_there(
    start: Start, seaweedfs: Server, bucket: str, key: str
) -> None:
    process = start("is_terminated_and_chains")
    _started(process)
    process.send_signal(signal.SIGTERM)
    code, out, err = _end(process)
    assert (code, out) == (3, "goodbye\n")
    assert "nothing was published" in err
    assert_nothing(seaweedfs, bucket, key)


def test_after_a_sigterm_that_was_ignored_the_file_is_closed(
    start: Start, seaweedfs: Server, bucket: str, key: str
) -> None:
    process = start("is_terminated_and_ignores")
    _started(process)
    process.send_signal(signal.SIGTERM)
    code, out, err = _end(process)
    assert code == 0
    assert "closed file" in out
    assert "nothing was published" in err
    assert_nothing(seaweedfs, bucket, key)


def test_sigterm_ends_a_blocked_write(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, skip=2)
    process = start("is_terminated_in_a_blocked_write")
    _started(process)
    proxy.wait_for("UploadPart", 3)
    process.send_signal(signal.SIGTERM)
    code, _, err = _end(process)
    assert code == -signal.SIGTERM
    assert "nothing was published" in err
    assert len(proxy.injected) == 1
    assert_nothing(seaweedfs, bucket, key)


def test_sigterm_aborts_all_uploads_at_once(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """One after the other they would outlast what a container is given for its end."""
    hold = Hold()
    proxy.inject("AbortMultipartUpload", hold, times=None)
    process = start("is_terminated_with_many_files")
    _started(process)
    process.send_signal(signal.SIGTERM)
    proxy.wait_for("AbortMultipartUpload", 5)
    assert not [x for x in proxy.of("AbortMultipartUpload") if x.finished]
    hold.event.set()
    code, _, err = _end(process)
    assert code == -signal.SIGTERM
    assert err.count("nothing was published") == 5
    assert len(proxy.injected) == 5
    for number in range(5):
        assert_nothing(seaweedfs, bucket, f"{key}-{number}")


def test_sigterm_in_a_commit_does_not_say_what_nobody_knows(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()
    proxy.inject("CompleteMultipartUpload", hold)
    process = start("is_terminated_in_a_commit")
    proxy.wait_for("CompleteMultipartUpload", 1)
    process.send_signal(signal.SIGTERM)
    code, _, err = _end(process)
    assert code == -signal.SIGTERM
    assert "nobody knows whether it was published" in err
    assert "nothing was published" not in err
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") == 0
    hold.event.set()
    proxy.wait_for("CompleteMultipartUpload", 1, finished=True)
    assert content(seaweedfs, bucket, key) == DATA


def test_exit_does_not_wait_for_a_store_that_hangs(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    """From Python 3.12 on no thread can be started then: the abort is made on the only one."""
    proxy.inject("AbortMultipartUpload", Hang(), times=None)
    code, _, err = _end(start("exits_raw"))  # long before the read timeout of a minute
    assert code == 0
    assert "nothing was published" in err
    assert "upload" in err
    assert proxy.injected
    for upload_id in uploads(seaweedfs, bucket, key):
        client = seaweedfs.client()
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize(
    ("name", "warned"), [("is_interrupted", False), ("is_interrupted_without_with", True)]
)
def test_ctrl_c_between_writes_discards(
    start: Start, seaweedfs: Server, bucket: str, key: str, name: str, warned: bool
) -> None:
    process = start(name)
    _started(process)
    process.send_signal(signal.SIGINT)
    _, _, err = _end(process)
    assert "KeyboardInterrupt" in err
    assert ("nothing was published" in err) is warned
    assert_nothing(seaweedfs, bucket, key)


def test_ctrl_c_ends_the_process_though_the_store_hangs(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    hang = Hang()
    proxy.inject("AbortMultipartUpload", hang, times=None)
    process = start("is_interrupted")
    _started(process)
    process.send_signal(signal.SIGINT)
    _, _, err = _end(process)  # long before the read timeout of a minute, let alone ten attempts
    assert "KeyboardInterrupt" in err
    assert "the abort of upload" in err
    assert "may be left at the store" in err
    assert proxy.injected
    for upload_id in uploads(seaweedfs, bucket, key):
        client = seaweedfs.client()
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    assert_nothing(seaweedfs, bucket, key)


@NO_FORK
@pytest.mark.parametrize(
    ("name", "child"),
    [
        ("forks_os_exit", 4),
        ("forks_sys_exit", 5),
        ("forks_raise", 1),
        ("forks_to_the_end", 20),
        ("forks_and_writes", 6),
        ("forks_and_goes_back", 6),
        ("forks_and_writes_a_file_of_its_own", 0),
    ],
)
def test_a_forked_child_changes_nothing_and_the_parent_goes_on(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str, name: str, child: int
) -> None:
    code, out, err = _end(start(name))
    assert code == 0, err
    assert f"child ended with {child}\n" in out
    assert "published" not in err
    refused = {"forks_and_writes": 3, "forks_and_goes_back": 7}.get(name, 0)
    assert out.count("refused: ") == refused
    assert out.count("opened by the parent of this forked process") == refused
    assert content(seaweedfs, bucket, key) == DATA + b"the parent goes on"
    assert uploads(seaweedfs, bucket, key) == []
    assert proxy.count("AbortMultipartUpload") == 0
    if name == "forks_and_writes_a_file_of_its_own":
        assert content(seaweedfs, bucket, f"{key}-child") == DATA


@NO_FORK
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("forks_without_with", DATA + b"buffered"),
        ("forks_seekable_without_with", DATA + b"buffered"),
        ("forks_with_a_foreign_random_buffer", DATA + b"buffered"),
        ("forks_with_a_foreign_buffer", DATA + b"buffered"),
        ("forks_text_to_the_end", b"x" * (6 << 20)),
        ("forks_while_a_thread_writes", DATA * 4),
    ],
)
def test_what_a_child_drops_is_still_the_parents(
    start: Start,
    seaweedfs: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    name: str,
    expected: bytes,
) -> None:
    code, out, err = _end(start(name))
    assert code == 0, err
    assert err == ""
    assert "child ended with" in out
    assert {line.rpartition(" ")[2] for line in out.splitlines()} <= {"8", "9", "20"}
    assert content(seaweedfs, bucket, key) == expected
    assert uploads(seaweedfs, bucket, key) == []
    assert proxy.count("AbortMultipartUpload") == 0


@NO_FORK
def test_a_child_does_not_wait_for_what_its_parent_has_under_way(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", Hold(), times=None)
    code, out, err = _end(start("forks_with_something_late"))
    assert (code, out) == (0, "child ended with 11\n")
    assert err.count("is still not answered") == 1  # so says the parent
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_full_disk_is_a_clear_error_and_aborts_the_upload(
    start: Start, seaweedfs: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    code, out, err = _end(start("fills_the_disk"))
    assert (code, err) == (0, "")
    assert out.startswith("True no temporary file of 20,971,520 bytes in ")
    assert "File too large; make room, name another folder" in out  # the limit's word for it
    assert f"s3://{bucket}/{key}" in out
    assert proxy.count("AbortMultipartUpload") == proxy.count("CreateMultipartUpload") == 1
    assert_nothing(seaweedfs, bucket, key)
