"""Reading ahead: everything in its order, several at once, never more than there is room for."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.ahead import Ahead
from s3stream.budget import Budget
from s3stream.options import KiB, MiB
from s3stream.pace import Pace
from tests.looking import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

OVERHEAD = 4 * KiB


def ahead_of(
    things: Iterable[bytes],
    limit: int = MiB,
    read: Callable[[bytes, int, int], bytes] = lambda thing, start, end: thing[start:end],
    at_once: int = 16,
    budget: Budget | None = None,
    pace: Pace | None = None,
) -> Ahead[bytes, bytes]:
    return Ahead(
        iter(things),
        len,
        read,
        limit=limit,
        name="s3stream test ahead",
        at_once=at_once,
        pace=pace,
        budget=budget or Budget(1 << 30),
    )


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.integers(1, 8 * OVERHEAD),
    st.integers(1, 4),
    st.data(),
)
def test_all_comes_whole_and_in_order_however_little_room_there_is(
    sizes: list[int], limit: int, at_once: int, data: st.DataObject
) -> None:
    things = [bytes_of(size, seed) for seed, size in enumerate(sizes)]
    budget = Budget(data.draw(st.integers(1, 100 * KiB)))
    ahead = ahead_of(things, limit, at_once=at_once, budget=budget)
    found = []
    with closing(ahead):
        for thing, ranges in ahead:
            taken = data.draw(st.integers(0, 3))
            if taken == 0:
                found.append(thing)  # whoever takes nothing of it gets the next
                continue
            found.append(b"".join(ranges))
            assert found[-1] == thing
    assert found == things
    assert budget.alive == 0
    # One range may come on top where there is no room for any.
    assert ahead.peak <= max(limit, 40 + OVERHEAD)


def test_no_more_is_read_than_there_is_room_for_and_that_counts_with_the_budget() -> None:
    thing = bytes_of(MiB)
    budget = Budget(MiB)
    seen: list[int] = []

    def read(of: bytes, start: int, end: int) -> bytes:
        with budget.changed:
            seen.append(budget.alive)
        return of[start:end]

    ahead = ahead_of([thing] * 3, 128 * KiB, read, budget=budget)
    with closing(ahead):
        for _, ranges in ahead:
            for _ in ranges:
                with budget.changed:
                    assert budget.alive == ahead.alive <= 128 * KiB
    assert max(seen) <= 128 * KiB
    assert 64 * KiB < ahead.peak <= 128 * KiB
    with budget.changed:
        assert budget.alive == 0


class Holder:
    """Somebody else who holds all of a budget."""

    alive = MiB
    kept = 0

    def drop_kept(self) -> None:
        """Nothing is."""


def test_when_others_hold_all_of_the_budget_it_goes_on_in_small_ranges() -> None:
    budget = Budget(MiB)
    holder = Holder()
    budget.join(holder)
    sizes: list[int] = []

    def read(of: bytes, start: int, end: int) -> bytes:
        sizes.append(end - start)
        return of[start:end]

    thing = bytes_of(300 * KiB)
    ahead = ahead_of([thing], 64 * MiB, read, budget=budget)
    with closing(ahead):
        assert [b"".join(ranges) for _, ranges in ahead] == [thing]
    assert sizes == [64 * KiB] * 4 + [44 * KiB]
    assert ahead.peak == 64 * KiB + OVERHEAD


def test_several_are_on_their_way_at_once_and_no_more() -> None:
    together = threading.Barrier(3)

    def read(of: bytes, start: int, end: int) -> bytes:
        # Passes only three at a time: with fewer at once this would wait for ever.
        together.wait(120)
        return of

    ahead = ahead_of([b"x"] * 9, read=read, at_once=3)
    with closing(ahead):
        assert [b"".join(ranges) for _, ranges in ahead] == [b"x"] * 9


def test_an_error_comes_in_its_turn_and_the_next_can_be_read() -> None:
    def read(of: bytes, start: int, end: int) -> bytes:
        if of == b"bad":
            raise FileNotFoundError("gone")
        return of

    ahead = ahead_of([b"one", b"bad", b"two"], read=read)
    found = []
    with closing(ahead):
        for thing, ranges in ahead:
            if thing == b"bad":
                with pytest.raises(FileNotFoundError, match="gone"):
                    next(ranges)
            else:
                found.append(b"".join(ranges))
    assert found == [b"one", b"two"]
    assert ahead.alive == 0


def test_what_has_failed_is_not_read_any_further() -> None:
    began: list[int] = []

    def read(of: bytes, start: int, end: int) -> bytes:
        began.append(start)
        raise FileNotFoundError("gone")

    ahead = ahead_of([bytes(100 * MiB)], 8 * MiB, read, at_once=2)
    with closing(ahead):
        for _, ranges in ahead:
            with pytest.raises(FileNotFoundError):
                next(ranges)
    assert len(began) < 8


def test_an_error_of_the_listing_comes_through() -> None:
    def listing() -> Iterator[bytes]:
        yield b"one"
        raise PermissionError("may not list")

    with (
        closing(ahead_of(listing())) as ahead,
        pytest.raises(PermissionError, match="may not list"),
    ):
        [b"".join(ranges) for _, ranges in ahead]
    assert ahead.alive == 0


def test_an_error_of_the_listing_is_no_error_of_what_was_listed_before() -> None:
    # Who passes over what cannot be read would go on, and miss all that was still to be listed.
    looked = threading.Event()

    def listing() -> Iterator[bytes]:
        yield b"one"
        raise FileNotFoundError("no such bucket")

    def read(of: bytes, start: int, end: int) -> bytes:
        looked.wait()
        return of

    with closing(ahead_of(listing(), read=read, at_once=1)) as ahead:
        things = iter(ahead)
        _, ranges = next(things)
        looked.set()
        for thread in threading.enumerate():
            if thread.name == "s3stream test ahead":
                thread.join()
        # Nothing is in flight any more, so it looks for what comes next.
        assert b"".join(ranges) == b"one"
        with pytest.raises(FileNotFoundError, match="no such bucket"):
            next(things)


class LateNews(Pace):
    """Counts a request out only when the next one is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = threading.Event()

    def leave(self, *, succeeded: bool) -> None:
        self.wanted.wait()
        super().leave(succeeded=succeeded)


def test_a_range_that_still_counts_as_in_flight_is_not_the_end() -> None:
    pace = LateNews()

    def listing() -> Iterator[bytes]:
        yield b"one"
        pace.wanted.set()
        yield b"two"

    ahead = ahead_of(listing(), at_once=1, pace=pace)
    with closing(ahead):
        found = [b"".join(ranges) for _, ranges in ahead]
    pace.wanted.set()
    assert found == [b"one", b"two"]


def test_closing_gives_back_what_was_read_and_not_used() -> None:
    budget = Budget(MiB)
    ahead = ahead_of([bytes(100)] * 8, budget=budget)
    _, ranges = next(iter(ahead))
    next(ranges)
    assert ahead.alive > 0
    ahead.close()
    with budget.changed:
        assert budget.alive == 0
    for thread in threading.enumerate():
        if thread.name == "s3stream test ahead":
            thread.join(120)
            assert not thread.is_alive()
