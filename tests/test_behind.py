"""Ending things behind their making: several at once, within bounds, and the first error wins."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.behind import Behind

PATIENCE_SECONDS = 60


def behind(at_once: int = 3, limit: int = 100) -> Behind:
    return Behind(at_once=at_once, limit=limit, name="s3stream test behind")


def nothing() -> None:
    """What there is to interrupt."""


@given(st.lists(st.integers(0, 60), max_size=12), st.integers(1, 50), st.integers(1, 4))
def test_all_of_them_end_and_never_more_is_held_than_there_is_room_for(
    sizes: list[int], limit: int, at_once: int
) -> None:
    ending = behind(at_once, limit)
    ended: list[int] = []
    for number, size in enumerate(sizes):
        ending.make_room(size)
        ending.submit(partial(ended.append, number), nothing, size)
    ending.finish()
    assert sorted(ended) == list(range(len(sizes)))
    assert ending.held == 0
    assert ending.peak <= max(limit, *sizes, 0)


def test_several_end_at_once_and_no_more() -> None:
    # Passes only three at a time: with fewer at once this would wait for ever.
    together = threading.Barrier(3)
    ending = behind(at_once=3)
    for _ in range(9):
        ending.make_room(1)
        ending.submit(lambda: together.wait(PATIENCE_SECONDS), nothing, 1)
    ending.finish()
    assert not together.broken


def test_what_is_larger_than_the_limit_waits_for_all_others_and_they_for_it() -> None:
    ending = behind(limit=10)
    held: list[int] = []
    for size in (4, 4, 100, 4):
        ending.make_room(size)
        held.append(ending.held)
        ending.submit(nothing, nothing, size)
    ending.finish()
    assert held[2] == 100
    assert held[3] == 4


def test_the_first_error_ends_the_waiting_and_nothing_more_is_begun() -> None:
    release, interrupted = threading.Event(), threading.Event()
    ending = behind(at_once=2, limit=10)

    def fails() -> None:
        release.wait(PATIENCE_SECONDS)
        raise PermissionError("may not write")

    def goes_on() -> None:
        release.set()
        interrupted.wait(PATIENCE_SECONDS)
        raise TimeoutError("a later one")

    for step in (fails, goes_on):
        ending.make_room(5)
        ending.submit(step, interrupted.set, 5)
    # It waits for room, and is told instead; though the other one has not ended.
    with pytest.raises(PermissionError, match="may not write"):
        ending.make_room(10)
    assert not interrupted.is_set()
    began: list[int] = []
    for call in (
        ending.check,
        ending.finish,
        lambda: ending.make_room(0),
        lambda: ending.submit(lambda: began.append(1), nothing, 0),
    ):
        with pytest.raises(PermissionError, match="may not write"):
            call()
    assert began == []
    ending.give_up()
    assert interrupted.is_set()
    assert ending.held == 0
    with pytest.raises(PermissionError, match="may not write"):
        ending.check()


def test_giving_up_does_not_wait_longer_than_it_was_told() -> None:
    release = threading.Event()
    ending = behind()
    ending.make_room(1)
    ending.submit(lambda: release.wait(PATIENCE_SECONDS), nothing, 1)
    ending.give_up(0)
    assert ending.held == 1
    release.set()
    ending.finish()
