"""Jobs done together: within their bounds, and with the meaning of a loop when one fails."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.together import Job, Stop, Together


class Room:
    """What jobs take while they are done, and whether it was ever too much."""

    def __init__(self, at_once: int, memory: int) -> None:
        self._lock = threading.Lock()
        self._limits = at_once, memory
        self._inside: list[tuple[int, int]] = []
        self.too_much = False

    def job(self, takes: tuple[int, int], value: int, stop: Stop) -> int:
        with self._lock:
            self._inside.append(takes)
            sums = tuple(map(sum, zip(*self._inside, strict=True)))
            alone = len(self._inside) == 1
            self.too_much |= not alone and (sums[0] > self._limits[0] or sums[1] > self._limits[1])
        with self._lock:
            self._inside.remove(takes)
        return value


@given(
    takes=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 12)), max_size=12),
    at_once=st.integers(1, 4),
    memory=st.integers(0, 12),
)
def test_jobs_never_take_more_than_there_is_and_give_back_in_order(
    takes: list[tuple[int, int]], at_once: int, memory: int
) -> None:
    room = Room(at_once, memory)
    jobs = [Job(partial(room.job, t, n), *t) for n, t in enumerate(takes)]
    assert Together[int](at_once, "test", memory).run(jobs) == list(range(len(takes)))
    assert not room.too_much


@pytest.mark.parametrize("takes", [(1, 5), (2, 0)], ids=["memory", "requests"])
def test_two_of_what_takes_half_of_all_go_at_once_and_never_three(takes: tuple[int, int]) -> None:
    inside = threading.Semaphore(2)
    two, three = threading.Barrier(2), threading.Barrier(3)

    def job(stop: Stop) -> bool:
        assert inside.acquire(blocking=False), "three at once"
        two.wait(60)
        try:
            three.wait(0.5)  # in vain: room for a third to come
        except threading.BrokenBarrierError:
            return True
        finally:
            inside.release()
        return False

    jobs = [Job(job, *takes)] * 4
    assert Together[bool](4, "test", 10).run(jobs) == [True] * 4


def test_the_error_is_that_of_the_first_and_notes_tell_of_the_others() -> None:
    all_begun = threading.Barrier(3)
    stopped = threading.Event()  # which is when the failure of the second is known

    def first(stop: Stop) -> str:
        all_begun.wait(60)
        assert stopped.wait(60)
        raise LookupError("the first")

    def second(stop: Stop) -> str:
        all_begun.wait(60)
        error = ValueError("the second")
        error.__notes__ = ["left behind"]  # type: ignore[attr-defined, unused-ignore]
        raise error

    def third(stop: Stop) -> str:
        all_begun.wait(60)
        stop.then(hurry=lambda: None, stop=stopped.set)
        assert stopped.wait(60)
        stop.check()
        return "not reached"

    def never(stop: Stop) -> str:
        raise AssertionError("begun after a failure")

    jobs = [Job(first), Job(second), Job(third), *[Job(never)] * 5]
    together = Together[str](3, "test")
    with pytest.raises((LookupError, ValueError)) as raised:
        together.run(jobs)
    notes = getattr(raised.value, "__notes__", [])
    assert isinstance(raised.value, LookupError)
    assert "and ValueError: the second" in notes
    assert "left behind" in notes
    assert any(note.startswith("0 of 8 ") for note in notes)
    assert not any("given up" in note for note in notes)


def test_what_is_stopped_before_it_has_said_how_is_told_when_it_does() -> None:
    called: list[str] = []
    stop = Stop()
    stop.request()
    stop.then(stop=lambda: called.append("stop"), hurry=lambda: called.append("hurry"))
    assert called == ["stop"]
    hurried = Stop()
    hurried.hurry()
    hurried.then(stop=lambda: called.append("stop"), hurry=lambda: called.append("hurry"))
    assert called == ["stop", "hurry"]


def test_one_alone_is_done_on_the_callers_thread() -> None:
    here = threading.get_ident()
    assert Together[int](8, "test").run([Job(lambda stop: threading.get_ident())]) == [here]
    both = Together[int](1, "test").run([Job(lambda stop: threading.get_ident())] * 2)
    assert both == [here, here]
    assert Together[int](8, "test").run([]) == []
