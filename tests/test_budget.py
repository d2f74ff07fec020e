"""One budget for all writers of a process: kept, shared, and never a reason to wait for ever."""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import UsageError
from s3stream.budget import Budget, budget_of_process
from s3stream.memory import Memory
from tests.faults import Delay
from tests.looking import assert_nothing, bytes_of, content, uploads, wait_for_threads
from tests.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Server

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PART = 32 * KIB


@pytest.fixture
def budget() -> Iterator[Budget]:
    """The budget of this process, of 1 MiB for this test."""
    budget = budget_of_process()
    wait_for_threads("")  # what other tests have left on its way
    gc.collect()  # and in their tracebacks
    assert budget.alive == 0
    s3stream.limit_memory(MIB)
    budget.peak = 0
    yield budget
    s3stream.limit_memory(GIB)
    wait_for_threads("")
    assert budget.alive == 0


@pytest.fixture
def store(server_named: Callable[[str], Server]) -> Server:
    """A store that takes parts of any size."""
    return server_named("rclone")


def _open(store: Server, bucket: str, key: str, **options: Any) -> Any:
    small = {"part_size": PART, "min_part_size": 1, "buffering": 0}
    return s3stream.open(f"s3://{bucket}/{key}", **{**small, **options, **store.storage_options()})


def test_two_hundred_writers_fed_in_turn_finish_within_the_budget(
    store: Server, bucket: str, key: str, budget: Budget, tmp_path: Path
) -> None:
    writers, rounds = 200, 4
    data = bytes_of(20 * KIB)
    with ExitStack() as stack:
        files = [
            stack.enter_context(_open(store, bucket, f"{key}/{n}", spool=str(tmp_path)))
            for n in range(writers)
        ]
        for _ in range(rounds):
            for file in files:
                file.write(data)
        # Each holds some 40 KiB that nobody will take from it: eight times the budget in all.
        assert budget.alive > MIB // 2
    assert budget.peak <= MIB
    for n in range(writers):
        assert content(store, bucket, f"{key}/{n}") == data * rounds
        assert uploads(store, bucket, f"{key}/{n}") == []
    assert list(tmp_path.iterdir()) == []


def test_writers_on_threads_with_a_slow_store_share_it(
    store: Server, bucket: str, key: str, budget: Budget
) -> None:
    with Proxy(store.endpoint_url) as proxy:
        proxy.inject("UploadPart", Delay(0.01), times=None)
        through = replace(store, endpoint_url=proxy.url)

        def produce(n: int) -> None:
            with _open(through, bucket, f"{key}/{n}") as file:
                for _ in range(20):
                    file.write(bytes_of(17 * KIB, n))

        threads = [threading.Thread(target=produce, args=(n,)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
    assert MIB // 2 < budget.peak <= MIB
    for n in range(20):
        assert content(store, bucket, f"{key}/{n}") == bytes_of(17 * KIB, n) * 20


def test_without_temporary_files_it_is_an_error_that_says_what_to_do(
    store: Server, bucket: str, key: str, budget: Budget
) -> None:
    idle = _open(store, bucket, f"{key}-idle", part_size=MIB, memory=4 * MIB)
    idle.write(bytes_of(MIB - 10))
    with pytest.raises(s3stream.S3StreamError, match=r"other files hold .* of the 1,048,576 bytes"):  # noqa: SIM117
        with _open(store, bucket, key, spool=False) as file:
            file.write(bytes_of(100))
    idle.discard()
    assert_nothing(store, bucket, key)


def test_who_has_something_on_its_way_waits_for_it() -> None:
    budget = Budget(300)
    mine, other = Memory(1_000, True, budget=budget), Memory(1_000, True, budget=budget)
    other.take(100, 100)
    sent = mine.take(100, 100)
    mine.take(50, 50)
    mine.take(50, 50)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(mine.take(100, 100)))
    thread.start()
    thread.join(0.4)  # longer than a tick: it would have given up by now
    assert thread.is_alive()
    mine.give_back(sent)
    thread.join(120)
    (buffer,) = taken
    assert isinstance(buffer, bytearray)
    assert budget.alive == budget.peak == 300


def test_who_has_nothing_on_its_way_takes_a_file_and_what_grows_moves_into_one() -> None:
    budget = Budget(300)
    mine, other = Memory(1_000, True, budget=budget), Memory(1_000, True, budget=budget)
    growing = mine.take(100, 300)
    growing[:] = b"x" * 100
    other.take(200, 200)
    moved = mine.extend(growing, 250, 300)
    assert not isinstance(moved, bytearray)
    assert moved[:100] == b"x" * 100
    assert budget.alive == 200
    spooled = mine.take(150, 150)
    assert not isinstance(spooled, bytearray)
    mine.give_back(moved)
    mine.give_back(spooled)
    assert isinstance(mine.take(100, 100), bytearray)


def test_buffers_kept_for_recycling_make_way_for_other_writers() -> None:
    budget = Budget(300)
    mine, other = Memory(1_000, True, budget=budget), Memory(1_000, True, budget=budget)
    mine.give_back(mine.take(200, 200))
    assert mine.kept == 200
    other.take(150, 150)
    assert mine.kept == 0


@pytest.mark.parametrize("limit", [0, MIB - 1, -GIB, 1.5 * GIB, "1 GiB", True, None])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(UsageError, match=r"limit=.*at least 1 MiB"):
        s3stream.limit_memory(limit)
    assert budget_of_process().limit == GIB


def test_a_limit_may_be_lowered_under_what_is_given_out() -> None:
    budget = budget_of_process()
    before = budget.alive
    memory = Memory(64 * MIB, True)
    held = memory.take(8 * MIB, 8 * MIB)
    s3stream.limit_memory(MIB)
    spooled = memory.take(8 * MIB, 8 * MIB)
    assert not isinstance(spooled, bytearray)
    for buffer in (held, spooled):
        memory.give_back(buffer)
    s3stream.limit_memory(GIB)
    assert budget.alive == before
