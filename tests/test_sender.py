"""Jobs on threads: at most N at once, every outcome collected once, no thread left."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial

import pytest

from s3stream.sender import Sender


def test_no_more_than_so_many_jobs_are_in_flight_and_submit_waits() -> None:
    sender: Sender[int] = Sender(3, "test")
    gate, running = threading.Event(), threading.Barrier(4)

    def job() -> int:
        running.wait(30)
        gate.wait(30)
        return 1

    for _ in range(3):
        sender.submit(job)
    running.wait(30)
    assert sender.in_flight == 3
    fourth = threading.Thread(target=lambda: sender.submit(lambda: 4))
    fourth.start()
    assert fourth.is_alive()
    assert sender.in_flight == 3
    gate.set()
    fourth.join()
    assert sender.settle()
    assert sorted(outcome.value or 0 for outcome in sender.collect()) == [1, 1, 1, 4]
    assert sender.collect() == []


def test_errors_are_outcomes_and_free_their_place() -> None:
    sender: Sender[int] = Sender(1, "test")
    errors: list[BaseException] = [ValueError("no"), KeyboardInterrupt(), SystemExit(3)]

    def job(error: BaseException) -> int:
        raise error

    for error in errors:
        sender.submit(partial(job, error))
    assert sender.settle()
    assert [outcome.error for outcome in sender.collect()] == errors


def test_settle_says_when_the_time_was_not_enough() -> None:
    sender: Sender[int] = Sender(1, "test")
    gate = threading.Event()
    sender.submit(lambda: int(gate.wait(30)))
    assert not sender.settle(0)
    gate.set()
    assert sender.settle(30)


@pytest.mark.parametrize("busy", [True, False])
def test_an_epilogue_is_called_once_when_all_have_ended(busy: bool) -> None:
    sender: Sender[int] = Sender(2, "test")
    gate, done = threading.Event(), threading.Event()
    called: list[int] = []

    def epilogue() -> None:
        called.append(sender.in_flight)
        done.set()

    if busy:
        for _ in range(2):
            sender.submit(lambda: int(gate.wait(30)))
    sender.when_settled(epilogue)
    assert called == ([] if busy else [0])
    gate.set()
    assert done.wait(30)
    sender.submit(lambda: 0)
    sender.settle()
    assert called == [0]


def test_no_thread_outlives_its_job() -> None:
    before = set(threading.enumerate())
    sender: Sender[int] = Sender(4, "test")
    for number in range(20):
        sender.submit(partial(abs, number))
    assert sender.settle()
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert set(threading.enumerate()) == before


def test_a_job_is_done_even_when_the_interpreter_starts_no_more_threads() -> None:
    program = """
import atexit
from s3stream.sender import Sender

@atexit.register
def last():
    sender = Sender(1, "last")
    sender.submit(lambda: "done at exit")
    sender.settle()
    print(sender.collect()[0].value)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "done at exit\n"
