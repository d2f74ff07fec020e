"""Who is told to end leaves nothing behind; who runs a command publishes only what succeeded."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import Answer, Hold
from tests.looking import assert_nothing, bytes_of, content
from tests.shell import PART, PATIENCE_SECONDS, assert_stopped, end, feed, running, s3stream

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.proxy import Proxy
    from tests.servers import Server

DATA = bytes_of(2 * PART + 12_345)

ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

# Prints twelve MiB, leaves its pid in a file, says what it is told, and waits: until it is told to
# end, or for ever.
PRODUCER = """
import os, pathlib, signal, sys

heeds, folder = sys.argv[1] == "heeds", pathlib.Path(sys.argv[2])
tell = os.open(folder / "told", os.O_WRONLY)

def told(number, frame):
    os.write(tell, signal.Signals(number).name.encode() + b" ")
    if heeds or number == signal.SIGUSR1:
        os._exit(0)  # as if all were well

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, told)
sys.stdout.buffer.write(bytes(12 << 20))
sys.stdout.buffer.flush()
(folder / "pid.new").write_text(str(os.getpid()))
(folder / "pid.new").rename(folder / "pid")
while True:
    signal.pause()
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[int]:
    """Where the producer says what it was told: a pipe with a name."""
    os.mkfifo(tmp_path / "told")
    ours = os.open(tmp_path / "told", os.O_RDWR)
    yield ours
    os.close(ours)


def pid_of_producer(run: subprocess.Popen[bytes], folder: Path) -> int:
    """Wait until it has printed everything; or it would complain of a pipe that nobody reads."""
    while not (folder / "pid").exists():
        assert run.poll() is None
        time.sleep(0.05)
    return int((folder / "pid").read_text())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", ENDING)
def test_put_that_is_told_to_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, number: signal.Signals
) -> None:
    with running(proxied, "put", "-", f"s3://{bucket}/{key}") as process:
        feed(process, DATA)
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(number)
        process.send_signal(number)  # a terminal that closes sends two
        code, said = end(process)
    assert code == -number
    assert_stopped(said, "put", number)
    assert proxy.count("AbortMultipartUpload") >= 1
    assert_nothing(seaweedfs, bucket, key)


def test_put_of_a_file_that_is_told_to_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "local"
    file.write_bytes(DATA)
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    with running(proxied, "put", str(file), f"s3://{bucket}/{key}") as process:
        proxy.wait_for("UploadPart", 3, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        proxy.wait_for("AbortMultipartUpload", finished=True, timeout=PATIENCE_SECONDS)
        hold.event.set()  # they come too late
        code, said = end(process)
    assert code == -signal.SIGTERM
    assert said.startswith("s3stream put: stopped by SIGTERM")
    assert len(proxy.injected) == 3
    assert_nothing(seaweedfs, bucket, key)


def test_a_signal_that_is_ignored_stays_ignored(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    before = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")  # as nohup does
    with running(proxied, "put", "-", f"s3://{bucket}/{key}", before=before) as process:
        feed(process, DATA)
        proxy.wait_for("UploadPart", finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGHUP)
        assert end(process) == (0, "")
    assert content(seaweedfs, bucket, key) == DATA


@pytest.mark.parametrize("heeds", ["heeds", "stays"])
@pytest.mark.parametrize("number", ENDING)
def test_run_that_is_told_to_end(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    told: int,
    number: signal.Signals,
    heeds: str,
) -> None:
    command = [sys.executable, "-c", PRODUCER, heeds, str(tmp_path)]
    with running(proxied, "run", f"s3://{bucket}/{key}", "--", *command) as process:
        pid = pid_of_producer(process, tmp_path)
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(number)
        if heeds == "stays":
            # Its own clean-up may take its time; ours does not wait for it.
            proxy.wait_for("AbortMultipartUpload", finished=True, timeout=PATIENCE_SECONDS)
            os.kill(pid, signal.SIGUSR1)
        # That the command exits with 0 then does not make its output whole.
        code, said = end(process)
        assert code == -number
        assert_stopped(said, "run", number)
        assert not is_alive(pid)
    assert os.read(told, 100).split()[0].decode() == number.name
    assert_nothing(seaweedfs, bucket, key)


def test_a_second_signal_is_passed_on_too(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path, told: int
) -> None:
    command = [sys.executable, "-c", PRODUCER, "stays", str(tmp_path)]
    with running(proxied, "run", f"s3://{bucket}/{key}", "--", *command) as process:
        pid = pid_of_producer(process, tmp_path)
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert os.read(told, 100) == b"SIGTERM "
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"s3stream run: stopped by SIGTERM")
        process.send_signal(signal.SIGHUP)
        assert os.read(told, 100) == b"SIGHUP "
        os.kill(pid, signal.SIGUSR1)
        assert end(process)[0] == -signal.SIGTERM


def test_a_command_that_succeeds(seaweedfs: Server, bucket: str, key: str) -> None:
    script = "head -c 12000000 /dev/zero; echo a word >&2"
    uri = f"s3://{bucket}/{key}"
    run = s3stream(seaweedfs, "run", uri, "--json", "--", "sh", "-c", script)
    assert (run.returncode, run.stderr) == (0, b"a word\n")
    assert json.loads(run.stdout)["size"] == 12_000_000
    assert content(seaweedfs, bucket, key) == bytes(12_000_000)


@pytest.mark.parametrize(
    ("ending", "code", "says"),
    [
        ("exit 3", 3, "sh exited with 3"),
        ("kill -9 $$", 137, "sh was killed by SIGKILL"),
        ("kill -15 $$", 143, "sh was killed by SIGTERM"),
        ("exec 1>&-; exit 125", 125, "sh exited with 125"),
    ],
)
def test_a_command_that_dies_publishes_nothing(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    ending: str,
    code: int,
    says: str,
) -> None:
    script = f"head -c 12000000 /dev/zero; {ending}"
    run = s3stream(proxied, "run", f"s3://{bucket}/{key}", "--", "sh", "-c", script)
    assert run.returncode == code
    assert run.stderr.decode() == f"s3stream run: {says}: nothing was published\n"
    assert proxy.count("UploadPart") == 2
    assert_nothing(seaweedfs, bucket, key)


def test_a_command_that_cannot_be_started(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_text("no program", encoding="utf-8")
    uri = f"s3://{bucket}/{key}"
    run = s3stream(seaweedfs, "run", uri, "--", "no-such-command", "--if-none-match")
    said = "s3stream run: no-such-command: there is no such command; nothing was published\n"
    assert (run.returncode, run.stderr.decode()) == (127, said)
    run = s3stream(seaweedfs, "run", uri, "--", str(text))
    assert run.returncode == 126
    assert b"Permission denied" in run.stderr
    text.chmod(0o755)
    run = s3stream(seaweedfs, "run", uri, "--", str(text))
    assert run.returncode == 126
    assert b"Exec format error" in run.stderr
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_a_store_that_refuses_ends_the_command(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, trap: str
) -> None:
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), times=None)
    # It would go on for ever; one that does not heed SIGTERM finds nobody who reads.
    script = f"{trap}while head -c 1000000 /dev/zero; do :; done"
    run = s3stream(proxied, "run", f"s3://{bucket}/{key}", "--", "sh", "-c", script)
    assert run.returncode == 125
    assert run.stderr.decode().startswith("s3stream run: cannot upload")
    assert len(run.stderr.splitlines()) == 1
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)


def test_nothing_is_run_where_there_is_an_object_already(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"old")
    started = tmp_path / "started"
    uri = f"s3://{bucket}/{key}"
    run = s3stream(seaweedfs, "run", uri, "--if-none-match", "--", "touch", str(started))
    assert run.returncode == 125
    assert b"there is an object of that name already" in run.stderr
    assert not started.exists()
    assert content(seaweedfs, bucket, key) == b"old"
