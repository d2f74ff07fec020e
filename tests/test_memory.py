"""Buffers within a limit: who asks for more waits, what is too large is a temporary file."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.errors import S3StreamError, TooLargeError
from s3stream.memory import Buffer, Memory
from s3stream.options import MiB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

PATIENCE = 60.0  # for what comes at once, or never


@contextmanager
def running(job: Callable[[], object]) -> Iterator[threading.Thread]:
    """Runs a job on a thread that has ended when the body has."""
    thread = threading.Thread(target=job, daemon=True)
    thread.start()
    yield thread
    thread.join(PATIENCE)
    assert not thread.is_alive()


def waits(thread: threading.Thread) -> bool:
    """True once the thread waits for another, False once it has ended: one of them will be."""
    while thread.is_alive():
        frame, stack = sys._current_frames().get(thread.ident or 0), set()
        while frame is not None:
            stack.add(frame.f_code)
            frame = frame.f_back
        # Who starts a thread waits as well, for it to have begun: that is not meant.
        if (
            threading.Condition.wait.__code__ in stack
            and threading.Thread.start.__code__ not in stack
        ):
            return True
        thread.join(0.001)
    return False


def spooled(folder: Path) -> list[int]:
    """Bytes of disk behind each open descriptor on a file of `folder`, deleted ones too."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists the directory
            if entry.readlink().is_relative_to(folder):
                found.append(entry.stat().st_blocks * 512)
    return found


def test_a_buffer_has_the_size_that_was_asked_for() -> None:
    memory = Memory(300, spool=False)
    assert [len(memory.take(size, 100)) for size in (0, 1, 100)] == [0, 1, 100]
    assert memory.alive == 101


def test_who_takes_too_much_waits_until_something_is_given_back() -> None:
    memory = Memory(300, spool=False)
    lent = [memory.take(100, 100) for _ in range(3)]
    got: list[Buffer] = []
    with running(lambda: got.append(memory.take(100, 100))) as taker:
        assert waits(taker)
        assert (got, memory.alive) == ([], 300)
        memory.give_back(lent.pop())
    assert [len(buffer) for buffer in got] == [100]
    assert memory.peak == memory.alive == 300


def test_who_needs_more_than_was_given_back_goes_on_waiting() -> None:
    memory = Memory(300, spool=False)
    small = [memory.take(50, 50) for _ in range(6)]
    with running(lambda: memory.take(100, 100)) as taker:
        assert waits(taker)
        memory.give_back(small.pop())
        assert waits(taker)
        memory.give_back(small.pop())
    assert memory.peak == 300


def test_who_extends_a_buffer_waits_too() -> None:
    memory = Memory(300, spool=False)
    first, growing, third = (memory.take(size, 100) for size in (100, 50, 100))
    with running(lambda: memory.extend(growing, 101, 101)) as filler:
        assert waits(filler)
        memory.give_back(first)
    assert (len(growing), memory.alive) == (101, 201)
    memory.give_back(growing)
    memory.give_back(third)
    assert memory.alive == 0
    assert memory.peak <= 300


def test_four_threads_together_stay_below_the_limit() -> None:
    limit = 3_000
    memory = Memory(limit, spool=False)
    lock, start = threading.Lock(), threading.Barrier(4)
    counted = {"now": 0, "most": 0}

    def count(size: int) -> None:
        with lock:
            counted["now"] += size
            counted["most"] = max(counted["most"], counted["now"])

    def work(seed: int) -> None:
        rng = random.Random(seed)
        start.wait(PATIENCE)
        for _ in range(1_000):
            buffer = memory.take(size := rng.choice([1, 500, 1_000, 1_000]), 1_000)
            count(size)
            with memoryview(buffer) as view:
                view[:] = bytes([seed]) * size
                assert bytes(view) == bytes([seed]) * size
            count(-size)
            memory.give_back(buffer)

    threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert memory.alive == counted["now"] == 0
    assert counted["most"] <= memory.peak <= limit


def test_two_buffers_of_a_third_and_their_growth_never_wait_for_themselves() -> None:
    # What the cutter keeps to itself while all others are on their way back.
    memory = Memory(300, spool=False)
    held, filling = memory.take(100, 100), memory.take(100, 100)
    sent = memory.take(100, 100)
    with running(lambda: memory.give_back(sent)):
        assert len(memory.extend(held, 199, 199)) == 199
    memory.give_back(filling)
    memory.give_back(held)
    assert memory.alive == 0


def test_a_buffer_that_comes_back_is_given_out_again() -> None:
    memory = Memory(300, spool=False)
    first = memory.take(100, 100)
    memory.give_back(first)
    assert memory.take(100, 100) is first


def test_no_buffer_is_given_out_twice_at_once() -> None:
    memory = Memory(300, spool=False)
    for buffer in [memory.take(100, 100) for _ in range(3)]:
        memory.give_back(buffer)
    assert len({id(buffer) for buffer in [memory.take(100, 100) for _ in range(3)]}) == 3


def test_a_buffer_of_another_size_is_not_recycled() -> None:
    memory = Memory(300, spool=False)
    memory.give_back(memory.take(100, 100))
    assert len(memory.take(60, 100)) == 60


def peak_of(action: Callable[[], object]) -> int:
    """The most memory that Python had allocated during an action, more than before it."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        action()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_recycled_buffers_of_another_size_do_not_come_on_top_of_the_limit() -> None:
    memory = Memory(24 * MiB, spool=False)

    def action() -> None:
        for size in (5 * MiB, 6 * MiB, 7 * MiB, 8 * MiB):
            lent = [memory.take(size, size) for _ in range(3)]
            while lent:
                memory.give_back(lent.pop())

    assert peak_of(action) < 25 * MiB


def test_a_buffer_that_grows_does_not_come_on_top_of_recycled_ones() -> None:
    # The end of every upload with a reserve: one part held, one with the tail, one come back.
    memory = Memory(24 * MiB, spool=False)

    def action() -> None:
        lent = [memory.take(8 * MiB, 8 * MiB) for _ in range(3)]
        memory.give_back(lent.pop())
        memory.extend(lent[0], 16 * MiB - 1, 16 * MiB - 1)

    assert peak_of(action) < 25 * MiB


def test_kept_buffers_are_let_go_on_demand() -> None:
    memory = Memory(24 * MiB, spool=False)
    tracemalloc.start()
    try:
        memory.give_back(memory.take(8 * MiB, 8 * MiB))
        assert tracemalloc.get_traced_memory()[0] > 7 * MiB
        memory.drop_free()
        assert tracemalloc.get_traced_memory()[0] < MiB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [100, 1_000], ids=["in memory", "in a file"])
def test_giving_back_twice_is_an_error(size: int, tmp_path: Path) -> None:
    memory = Memory(300, spool=str(tmp_path))
    buffer = memory.take(size, size)
    memory.give_back(buffer)
    with pytest.raises(KeyError):
        memory.give_back(buffer)
    assert memory.alive == 0


@pytest.mark.parametrize("roomy", [False, True], ids=["in memory", "in a file"])
@given(sizes=st.lists(st.integers(1, 99_000), min_size=1, max_size=5))
def test_a_buffer_that_is_extended_begins_with_the_same_bytes(
    sizes: list[int], roomy: bool
) -> None:
    memory = Memory(10_000_000, spool=True)
    room = 9_000_000 if roomy else 100_000
    buffer = memory.take(1, room)
    content = b""
    for size in sizes:
        buffer = memory.extend(buffer, size, size)
        assert len(buffer) == size
        kept = min(len(content), size)
        assert buffer[:kept] == content[:kept]
        content = random.Random(size).randbytes(size)
        with memoryview(buffer) as view:
            view[:] = content
    assert (memory.alive == 0) is roomy
    assert memory.alive <= memory.limit
    memory.give_back(buffer)
    assert memory.alive == 0


@on_linux
def test_a_part_over_a_third_of_the_limit_is_a_file_without_a_name(tmp_path: Path) -> None:
    memory = Memory(299, spool=str(tmp_path))
    memory.give_back(memory.take(99, 99))
    assert spooled(tmp_path) == []
    buffer = memory.take(10, 100)
    assert len(buffer) == 100
    assert spooled(tmp_path) != []
    assert list(tmp_path.iterdir()) == []
    assert memory.alive == 0
    buffer[:] = bytes(range(100))
    assert bytes(buffer[:]) == bytes(range(100))
    memory.give_back(buffer)
    assert spooled(tmp_path) == []


@on_linux
def test_the_disk_behind_a_file_is_there_before_a_byte_is_written(tmp_path: Path) -> None:
    # Writing to a hole of a mapped file when the disk is full ends the process.
    memory = Memory(3, spool=str(tmp_path))
    buffer = memory.take(MiB, MiB)
    assert min(spooled(tmp_path)) >= MiB
    buffer = memory.extend(buffer, 2 * MiB, 2 * MiB)
    assert min(spooled(tmp_path)) >= 2 * MiB
    memory.give_back(buffer)


def test_a_file_takes_a_joined_tail_and_a_short_end(tmp_path: Path) -> None:
    memory = Memory(3, spool=str(tmp_path))
    buffer = memory.take(5_000, 5_000)
    buffer[:] = b"x" * 5_000
    buffer = memory.extend(buffer, 9_000, 9_000)
    assert buffer[:] == b"x" * 5_000 + bytes(4_000)
    buffer = memory.extend(buffer, 10, 10)
    assert buffer[:] == b"x" * 10
    memory.give_back(buffer)


def test_without_spool_a_part_over_a_third_is_refused_with_the_numbers() -> None:
    memory = Memory(3_000, spool=False)
    assert len(memory.take(1_000, 1_000)) == 1_000
    with pytest.raises(TooLargeError) as caught:
        memory.take(10, 1_001)
    for words in ("1,001 bytes", "memory=3,000", "spool=False"):
        assert words in str(caught.value)
    assert memory.alive == 1_000


def test_a_folder_that_is_not_there_is_an_error_when_the_first_file_is_needed(
    tmp_path: Path,
) -> None:
    memory = Memory(300, spool=str(tmp_path / "gone"))
    memory.take(100, 100)
    with pytest.raises(S3StreamError, match=r"gone for a part.*No such file.*spool="):
        memory.take(1_000, 1_000)


@on_linux
def test_a_full_disk_is_an_error_when_the_buffer_is_taken(tmp_path: Path) -> None:
    program = """if True:
        import resource, sys
        from pathlib import Path
        from s3stream.memory import Memory

        memory = Memory(300, spool=sys.argv[1])
        fine = memory.take(60_000, 60_000)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        count = lambda: len(list(Path("/proc/self/fd").iterdir()))
        before = count()
        too_much = 200_000, 200_000
        for call in (lambda: memory.take(*too_much), lambda: memory.extend(fine, 200_000, 200_000)):
            try:
                call()
            except OSError as error:
                print(type(error).__name__, len(fine), count() - before)
        fine[59_999] = 1
        again = memory.take(90_000, 90_000)
        again[89_999] = 1
        print("alive", memory.alive)
        memory.give_back(fine)
        memory.give_back(again)
    """
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["S3StreamError 60000 0", "S3StreamError 60000 0", "alive 0"]


def test_at_most_four_files_at_once(tmp_path: Path) -> None:
    memory = Memory(300, spool=str(tmp_path))
    files = [memory.take(1_000, 1_000) for _ in range(4)]
    got: list[Buffer] = []
    with running(lambda: got.append(memory.take(1_000, 1_000))) as taker:
        assert waits(taker)
        assert len(memory.take(100, 100)) == 100  # memory is another matter
        memory.give_back(files.pop())
    assert len(got) == 1
    for buffer in files + got:
        memory.give_back(buffer)
