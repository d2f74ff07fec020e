"""The row of jobs: never more than N at once, every outcome told once, no thread left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from s3stream import S3StreamError
from s3stream.pace import Pace
from s3stream.sender import Outcome, Sender
from s3stream.waiting import Cancellation
from tests.test_memory import PATIENCE, running, waits

if TYPE_CHECKING:
    from collections.abc import Callable


def collected(sender: Sender[Any]) -> list[Outcome[Any]]:
    found: list[Outcome[Any]] = []
    sender.collect(found.append)
    return found


def threads_named(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def failing(error: BaseException) -> Callable[[], str]:
    def job() -> str:
        raise error

    return job


@pytest.mark.parametrize("concurrency", [1, 3])
def test_n_jobs_run_at_once_and_the_next_has_to_wait(concurrency: int) -> None:
    sender: Sender[bool] = Sender(concurrency, "t")
    meeting, leave = threading.Barrier(concurrency + 1), threading.Event()

    def job() -> bool:
        meeting.wait(PATIENCE)
        return leave.wait(PATIENCE)

    for _ in range(concurrency):
        sender.submit(job)
    meeting.wait(PATIENCE)  # all of them run at this moment
    assert sender.in_flight == concurrency
    with running(lambda: sender.submit(lambda: leave.wait(PATIENCE))) as producer:
        assert waits(producer)
        assert sender.in_flight == concurrency
        leave.set()
    assert sender.settle(PATIENCE)
    assert sender.in_flight == 0
    assert [outcome.value for outcome in collected(sender)] == [True] * (concurrency + 1)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_never_more_than_n_jobs_run_at_once(concurrency: int) -> None:
    sender: Sender[None] = Sender(concurrency, "t")
    lock, meeting = threading.Lock(), threading.Barrier(concurrency)
    running_now, most = 0, 0

    def job() -> None:
        nonlocal running_now, most
        with lock:
            running_now += 1
            most = max(most, running_now)
        meeting.wait(PATIENCE)
        with lock:
            running_now -= 1

    for _ in range(300):
        sender.submit(job)
    assert sender.settle(PATIENCE)
    assert most == concurrency
    assert len(collected(sender)) == 300


def test_each_outcome_is_told_once_the_error_among_them() -> None:
    sender: Sender[str] = Sender(1, "t")
    error = ValueError("no")
    assert sender.submit(lambda: "first")
    assert sender.submit(failing(error))
    assert sender.settle(PATIENCE)
    assert collected(sender) == [Outcome("first", None), Outcome(None, error)]
    assert collected(sender) == []


def test_after_a_failure_no_job_is_started() -> None:
    sender: Sender[str] = Sender(2, "t")
    leave, started = threading.Event(), threading.Event()

    def slow() -> str:
        assert leave.wait(PATIENCE)
        return "slow"

    sender.submit(slow)
    sender.submit(failing(ValueError("no")))

    def late() -> str:
        started.set()
        return "late"

    assert sender.submit(late) is False
    leave.set()
    assert sender.settle(PATIENCE)
    assert not started.is_set()
    assert {outcome.value for outcome in collected(sender)} == {"slow", None}


def test_what_has_ended_can_be_collected_while_the_rest_runs() -> None:
    sender: Sender[str] = Sender(2, "t")
    ended, leave = threading.Event(), threading.Event()

    def slow() -> str:
        assert leave.wait(PATIENCE)
        return "slow"

    sender.submit(slow)

    def third() -> str:
        ended.set()
        return "third"

    sender.submit(lambda: "quick")
    sender.submit(third)  # let in: the second has ended
    assert ended.wait(PATIENCE)
    assert "quick" in [outcome.value for outcome in collected(sender)]
    leave.set()
    assert sender.settle(PATIENCE)
    assert "slow" in [outcome.value for outcome in collected(sender)]


def test_settle_tells_whether_all_has_ended() -> None:
    sender: Sender[bool] = Sender(2, "t")
    assert sender.settle(0) is True
    leave = threading.Event()
    sender.submit(lambda: leave.wait(PATIENCE))
    assert sender.settle(0) is False
    leave.set()
    assert sender.settle() is True


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_a_job_that_ends_in_no_ordinary_error_loses_no_place(error: BaseException) -> None:
    sender: Sender[str] = Sender(1, "t")
    sender.submit(failing(error))
    assert sender.settle(PATIENCE)
    assert sender.in_flight == 0
    assert [outcome.error for outcome in collected(sender)] == [error]


def test_a_cancellation_ends_a_wait_for_a_place_and_for_the_end() -> None:
    cancellation = Cancellation()
    sender: Sender[bool] = Sender(1, "t", cancellation=cancellation)
    leave = threading.Event()
    sender.submit(lambda: leave.wait(PATIENCE))
    cancellation.request()
    with pytest.raises(S3StreamError, match="discarded while it was written to"):
        sender.submit(lambda: True)
    with pytest.raises(S3StreamError, match="discarded"):
        sender.settle(cancellation=cancellation)
    assert sender.settle(0) is False  # a wait that does not look at it
    leave.set()
    assert sender.settle(PATIENCE)
    assert len(collected(sender)) == 1


def test_an_interrupt_before_a_job_has_begun_takes_no_place() -> None:
    pace = Pace()
    sender: Sender[str] = Sender(1, "t", pace)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender.submit(lambda: "never", interrupt)
    assert sender.in_flight == 0
    assert sender.settle(0)
    for _ in range(3):  # a place that leaked would be the only one from now on
        pace.slow_down()
    assert pace.try_enter()
    assert collected(sender) == []


def test_an_outcome_that_was_not_kept_is_given_again() -> None:
    sender: Sender[str] = Sender(1, "t")
    sender.submit(lambda: "precious")
    assert sender.settle(PATIENCE)

    def interrupt(outcome: Outcome[str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sender.collect(interrupt)
    assert collected(sender) == [Outcome("precious", None)]
    assert collected(sender) == []


def test_threads_come_with_jobs_and_go_with_them() -> None:
    name = "s3stream comes and goes"
    sender: Sender[bool] = Sender(3, name)
    assert threads_named(name) == []
    meeting = threading.Barrier(4)
    for _ in range(3):
        sender.submit(lambda: meeting.wait(PATIENCE) >= 0)
    threads = threads_named(name)
    assert len(threads) == 3
    assert all(thread.daemon for thread in threads)
    meeting.wait(PATIENCE)
    assert sender.settle(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)  # what is left of it after its job is a matter of microseconds
    assert threads_named(name) == []


def test_an_epilogue_is_called_at_once_when_nothing_runs() -> None:
    sender: Sender[str] = Sender(2, "t")
    sender.submit(lambda: "over")
    assert sender.settle(PATIENCE)
    called: list[threading.Thread] = []
    sender.when_settled(lambda: called.append(threading.current_thread()))
    assert called == [threading.current_thread()]
    sender.submit(lambda: "later")
    assert sender.settle(PATIENCE)
    assert len(called) == 1


def test_an_epilogue_is_called_once_by_the_last_job_to_end() -> None:
    name = "s3stream stragglers"
    sender: Sender[bool] = Sender(2, name)
    leave = [threading.Event(), threading.Event()]
    called: list[tuple[int, bool]] = []
    for event in leave:
        sender.submit(lambda event=event: event.wait(PATIENCE))  # type: ignore[misc]
    threads = threads_named(name)
    own = threading.current_thread()
    sender.when_settled(
        lambda: called.append((sender.in_flight, threading.current_thread() is not own))
    )
    leave[0].set()
    with running(lambda: sender.submit(lambda: True)):
        pass  # let in: the first has ended
    assert called == []
    leave[1].set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sender.settle(PATIENCE)
    for thread in threads_named(name):
        thread.join(PATIENCE)
    assert called == [(0, True)]
    sender.submit(lambda: True)
    assert sender.settle(PATIENCE)
    assert len(called) == 1


def printed_by(program: str) -> list[str]:
    """Run a program by an interpreter of its own; returns the lines that it prints."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    return run.stdout.splitlines()


def test_jobs_run_while_the_interpreter_goes_down() -> None:
    # From Python 3.12 on no thread can be started then.
    program = """if True:
        import atexit
        from s3stream import sender

        def failing():
            raise ValueError("no")

        def late():
            for _ in range(3):
                row.submit(lambda: "sent")
            row.submit(failing)
            row.when_settled(lambda: print("settled"))
            settled, found = row.settle(60), []
            row.collect(found.append)
            print(settled, sorted(str(o.value) for o in found), row.in_flight)

        row = sender.Sender(2, "late")
        atexit.register(late)
    """
    assert sorted(printed_by(program)) == [
        "True ['None', 'sent', 'sent', 'sent'] 0",
        "settled",
    ]


def test_a_job_that_hangs_keeps_no_process_alive() -> None:
    program = """if True:
        import threading
        from s3stream import sender

        row = sender.Sender(2, "hangs")
        row.submit(threading.Event().wait)
        print(row.in_flight)
    """
    assert printed_by(program) == ["1"]
