"""Programs that end badly, each in a process of its own: `python -m tests.victims NAME`.

They write to STORAGE_URI with STORAGE_OPTIONS (JSON), both from the environment. What they leave at
the store is for somebody else to look at.
"""

from __future__ import annotations

import atexit
import errno
import gzip
import io
import json
import os
import resource
import signal
import sys
import tarfile
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import fsspec

import s3stream

if TYPE_CHECKING:
    from collections.abc import Callable

URI = os.environ.get("STORAGE_URI", "")
OPTIONS: dict[str, Any] = json.loads(os.environ.get("STORAGE_OPTIONS", "{}"))
PART = 5 << 20
DATA = bytes(range(256)) * (12 << 12)  # 12 MiB


def victim(**more: Any) -> Any:
    return s3stream.open(URI, **{"part_size": PART, **OPTIONS, **more})


KEPT: list[Any] = []  # lives as long as the process


# -- interpreter exit


def exits_raw() -> None:
    KEPT.append(victim(buffering=0))
    KEPT[0].write(DATA)


def exits_buffered() -> None:
    KEPT.append(victim())
    KEPT[0].write(DATA + b"a rest in the buffer")


def exits_text() -> None:
    KEPT.append(victim(mode="w"))
    KEPT[0].write("x" * len(DATA))


def exits_compressed() -> None:
    KEPT.append(victim(compression="bz2"))
    KEPT[0].write(os.urandom(len(DATA)))


def exits_fsspec() -> None:
    KEPT.append(fsspec.open(f"s3stream://{URI[5:]}", "wb", part_size=PART, **OPTIONS).open())
    KEPT[0].write(DATA)


def exits_foreign_text() -> None:
    KEPT.append(io.TextIOWrapper(victim(), write_through=True))
    KEPT[0].write("x" * len(DATA))


def exits_foreign_buffer() -> None:
    KEPT.append(io.BufferedWriter(victim(buffering=0)))
    KEPT[0].write(DATA + b"a rest in the buffer")


def exits_gzip() -> None:
    KEPT.append(gzip.GzipFile(fileobj=victim(), mode="wb"))
    KEPT[0].write(os.urandom(len(DATA)))


def exits_zip() -> None:
    KEPT.append(zipfile.ZipFile(victim(), "w"))
    KEPT[0].writestr("a", DATA)


def exits_tar() -> None:
    KEPT.append(tarfile.open(fileobj=victim(), mode="w|"))  # noqa: SIM115 - nobody closes it
    member = tarfile.TarInfo("a")
    member.size = len(DATA)
    KEPT[0].addfile(member, io.BytesIO(DATA))


def exits_small() -> None:
    KEPT.append(victim())
    KEPT[0].write(b"little")


def exits_seekable() -> None:
    KEPT.append(victim(mode="w+b"))
    KEPT[0].write(DATA + b"a rest in the buffer")


def exits_while_another_thread_is_blocked() -> None:
    started = threading.Event()

    def produce() -> None:
        with victim(buffering=0, max_concurrency=1) as file:
            while True:
                file.write(DATA)
                started.set()

    threading.Thread(target=produce, daemon=True).start()
    started.wait()


def exits_in_atexit() -> None:
    def write_late() -> None:
        KEPT.append(victim())
        KEPT[0].write(DATA)

    victim().discard()  # our own hook is there: this one then runs before it
    atexit.register(write_late)


def closes_in_atexit() -> None:
    file = victim()
    file.write(DATA)
    atexit.register(file.close)


def writes_in_an_atexit_hook_that_runs_after_ours() -> None:
    def write_last() -> None:
        with victim() as file:
            file.write(DATA)

    atexit.register(write_last)
    victim().discard()  # only now is our hook there


def calls_sys_exit() -> None:
    with victim() as file:
        file.write(DATA)
        sys.exit(7)


def calls_sys_exit_without_with() -> None:
    file = victim()
    file.write(DATA)
    KEPT.append(file)
    sys.exit(7)


# -- signals


def _tell_and_wait() -> None:
    print("ready", flush=True)
    while True:
        signal.pause()


def is_terminated() -> None:
    s3stream.discard_on_sigterm()
    s3stream.discard_on_sigterm()  # twice is once
    files: list[Any] = [
        victim(),
        s3stream.open(URI + "-other", part_size=PART, **OPTIONS),
        s3stream.open(URI + "-seekable", "w+b", **OPTIONS),
    ]
    for file in files:
        file.write(DATA)
    _tell_and_wait()


def is_terminated_with_many_files() -> None:
    s3stream.discard_on_sigterm()
    for number in range(5):
        KEPT.append(s3stream.open(f"{URI}-{number}", part_size=PART, **OPTIONS))
        KEPT[-1].write(DATA)
    _tell_and_wait()


def is_terminated_in_a_commit() -> None:
    s3stream.discard_on_sigterm()
    with victim() as file:
        file.write(DATA)


def is_terminated_and_chains() -> None:
    def goodbye(number: int, frame: object) -> None:
        os.write(1, b"goodbye\n")  # the signal may have come in the middle of a print
        sys.exit(3)

    signal.signal(signal.SIGTERM, goodbye)
    s3stream.discard_on_sigterm()
    with victim() as file:
        file.write(DATA)
        _tell_and_wait()


def is_terminated_and_ignores() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    s3stream.discard_on_sigterm()
    told = threading.Event()
    file = victim()
    file.write(DATA)
    print("ready", flush=True)
    while not file.closed:
        told.wait(0.01)
    try:
        file.write(b"more")
    except ValueError as error:
        print(f"refused: {error}", flush=True)


def is_terminated_in_a_blocked_write() -> None:
    s3stream.discard_on_sigterm()
    with victim(buffering=0, max_concurrency=1) as file:
        print("ready", flush=True)
        while True:
            file.write(DATA)


def is_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with victim() as file:
        file.write(DATA)
        _tell_and_wait()


def is_interrupted_without_with() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file = victim()
    file.write(DATA)
    KEPT.append(file)
    _tell_and_wait()


# -- a full disk


def fills_the_disk() -> None:
    s3stream.limit_memory(1 << 20)  # every part is to wait in a temporary file
    resource.setrlimit(resource.RLIMIT_FSIZE, (17 << 20, resource.RLIM_INFINITY))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with victim(
            buffering=0, part_size=6 << 20, min_part_size=5 << 20, equal_parts=True
        ) as file:
            file.write(DATA)
            file.write(DATA)
            with victim(part_size=20 << 20) as other:
                other.write(DATA)
                other.write(DATA)
    except OSError as error:
        print(error.errno == errno.EFBIG, error, flush=True)


# -- forks: what the child does; the parent then finishes its object


def _fork(child: Callable[[Any], object], **more: Any) -> None:
    with victim(**more) as file:
        file.write(DATA)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            child(file)
        else:
            _, status = os.waitpid(pid, 0)
            print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
            file.write(b"the parent goes on")
    if pid == 0:
        os._exit(20)  # the child has come to the end of the `with` body


def forks_os_exit() -> None:
    _fork(lambda file: os._exit(4))


def forks_sys_exit() -> None:
    _fork(lambda file: sys.exit(5))


def forks_raise() -> None:
    def child(file: Any) -> None:
        raise RuntimeError("of the child")

    _fork(child)


def forks_to_the_end() -> None:
    _fork(lambda file: None)


def forks_text_to_the_end() -> None:
    with victim(mode="w") as file:
        file.write("x" * (6 << 20))
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    if not pid:
        os._exit(20)


def forks_and_writes() -> None:
    def child(file: Any) -> None:
        for action in (
            lambda: file.write(b"x" * 100_000),
            file.flush,
            file.commit,
        ):
            try:
                action()
            except s3stream.S3StreamError as error:  # noqa: PERF203 - each is to be refused
                print("refused:", error, flush=True)
        file.discard()
        file.close()
        os._exit(6)

    _fork(child, buffering=0)


def forks_and_goes_back() -> None:
    """The position of the temporary file is one for both processes."""

    def child(file: Any) -> None:
        for action in (
            lambda: file.seek(0),
            lambda: file.read(1),
            lambda: file.write(b"x"),
            file.truncate,
            file.fileno,
            file.tell,
            file.commit,
        ):
            try:
                action()
            except s3stream.S3StreamError as error:  # noqa: PERF203 - each is to be refused
                print("refused:", error, flush=True)
        file.close()
        os._exit(6)

    _fork(child, mode="w+b", buffering=0)


def forks_seekable_without_with() -> None:
    file = victim(mode="w+b")
    file.write(DATA + b"buffered")
    pid = os.fork()
    if pid == 0:
        sys.exit(8)  # with all that comes with it: atexit, garbage collection
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    file.close()


def forks_with_a_foreign_random_buffer() -> None:
    """What the child's buffer does when it is collected must not move the parent's position."""
    file = io.BufferedRandom(victim(mode="w+b", buffering=0))
    for piece in (DATA, b"buffered"):
        file.write(piece)
    pid = os.fork()
    if pid == 0:
        sys.exit(8)
    os.waitpid(pid, 0)
    file.seek(len(DATA) - 1)
    file.read(1)  # and some more, ahead
    pid = os.fork()
    if pid == 0:
        sys.exit(8)
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    file.write(b"b")
    file.close()


def forks_without_with() -> None:
    file = victim()
    file.write(DATA + b"buffered")
    pid = os.fork()
    if pid == 0:
        sys.exit(8)  # with all that comes with it: atexit, garbage collection
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    file.close()


def forks_while_a_thread_writes() -> None:
    file = victim(buffering=0, max_concurrency=1)
    writing = threading.Event()

    def produce() -> None:
        for _ in range(4):
            file.write(DATA)
            writing.set()

    thread = threading.Thread(target=produce)
    thread.start()
    writing.wait()
    children = []
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            try:
                file.write(b"x")
            except s3stream.S3StreamError:
                file.close()
                os._exit(9)
            os._exit(1)
        children.append(pid)
    for pid in children:
        _, status = os.waitpid(pid, 0)
        print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    thread.join()
    file.close()


def forks_with_something_late() -> None:
    """A request of the parent's is not answered: the child must not wait for it at its exit."""
    file = victim(buffering=0)
    file.write(DATA)
    file.discard()
    pid = os.fork()
    if pid == 0:
        sys.exit(11)
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status), flush=True)


def forks_and_writes_a_file_of_its_own() -> None:
    with victim() as file:
        file.write(DATA)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            with s3stream.open(URI + "-child", part_size=PART, **OPTIONS) as own:
                own.write(DATA)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
        file.write(b"the parent goes on")


def forks_with_a_foreign_buffer() -> None:
    file = io.BufferedWriter(victim(buffering=0))
    file.write(DATA + b"buffered")
    pid = os.fork()
    if pid == 0:
        sys.exit(8)
    _, status = os.waitpid(pid, 0)
    print("child ended with", os.waitstatus_to_exitcode(status), flush=True)
    file.close()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
