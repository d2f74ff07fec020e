"""The room that owns the bytes: waits at its limit, recycles, spools what is too large."""

from __future__ import annotations

import mmap
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from s3stream import TooLargeError
from s3stream.memory import Memory

if TYPE_CHECKING:
    from pathlib import Path

    from s3stream.memory import Buffer


def test_at_the_limit_take_waits_for_a_buffer_to_come_back() -> None:
    memory = Memory(limit=30, spool=True)
    held = [memory.take(10, 10) for _ in range(3)]
    given: list[Buffer] = []
    taker = threading.Thread(target=lambda: given.append(memory.take(10, 10)))
    taker.start()
    assert given == []
    assert memory.alive == 30
    memory.give_back(held.pop())
    taker.join()
    assert len(given) == 1
    assert memory.alive == memory.peak == 30


def test_growing_waits_as_well() -> None:
    memory = Memory(limit=30, spool=True)
    small, large = memory.take(2, 10), [memory.take(10, 10), memory.take(10, 10)]
    grown: list[Buffer] = []
    grower = threading.Thread(target=lambda: grown.append(memory.extend(small, 11)))
    grower.start()
    memory.give_back(large.pop())
    grower.join()
    assert [len(buffer) for buffer in grown] == [11]
    assert memory.peak <= 30


def test_many_takers_never_exceed_the_limit() -> None:
    memory = Memory(limit=64, spool=True)

    def work() -> None:
        for size in range(1, 22):
            for _ in range(20):
                memory.give_back(memory.take(size, 21))

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert memory.alive == 0
    assert 0 < memory.peak <= 64


def test_a_buffer_given_back_is_recycled_until_let_go() -> None:
    memory = Memory(limit=100, spool=True)
    first = memory.take(10, 10)
    memory.give_back(first)
    assert memory.take(10, 10) is first
    memory.give_back(first)
    memory.drop_free()
    assert memory.take(10, 10) is not first


def test_a_buffer_comes_back_once() -> None:
    memory = Memory(limit=100, spool=True)
    buffer = memory.take(10, 10)
    memory.give_back(buffer)
    with pytest.raises(KeyError):
        memory.give_back(buffer)


@pytest.mark.parametrize("room", [30, 60], ids=["in memory", "in a file"])
def test_a_buffer_grows_and_shrinks_and_keeps_its_bytes(room: int) -> None:
    memory = Memory(limit=90, spool=True)
    buffer = memory.take(10, room)
    with memoryview(buffer) as view:
        view[:10] = b"0123456789"
    buffer = memory.extend(buffer, 60)
    assert len(buffer) == 60
    assert bytes(buffer[:10]) == b"0123456789"
    buffer = memory.extend(buffer, 4)
    assert bytes(buffer[:]) == b"0123"
    memory.give_back(buffer)
    assert memory.alive == 0


def test_what_is_to_be_large_is_a_temporary_file_from_the_start(tmp_path: Path) -> None:
    memory = Memory(limit=90, spool=str(tmp_path))
    buffer = memory.take(1, 31)
    assert isinstance(buffer, mmap.mmap)
    assert len(buffer) == 31
    assert memory.alive == 0
    # It has no name: a process that dies leaves nothing behind.
    assert list(tmp_path.iterdir()) == []
    memory.give_back(buffer)
    assert buffer.closed


def test_only_so_many_parts_lie_on_disk_at_once() -> None:
    memory = Memory(limit=3, spool=True)
    files = [memory.take(1, 10) for _ in range(4)]
    given: list[Buffer] = []
    taker = threading.Thread(target=lambda: given.append(memory.take(1, 10)))
    taker.start()
    assert given == []
    memory.give_back(files.pop())
    taker.join()
    for buffer in files + given:
        memory.give_back(buffer)


def test_without_spool_what_is_too_large_is_refused_with_the_numbers() -> None:
    memory = Memory(limit=3_000, spool=False)
    with pytest.raises(TooLargeError, match=r"1,001 bytes .* memory=3,000 .* spool=False"):
        memory.take(1, 1_001)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, as a full disk does")
def test_a_full_disk_is_an_error_when_the_buffer_is_taken() -> None:
    program = """
import resource, signal
from s3stream.memory import Memory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    Memory(limit=3, spool=True).take(1, 2 << 20)
except OSError as error:
    print("refused:", error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "refused: File too large\n"
