"""The object that was there before: in which ranges it is copied, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import TooLargeError, UploadResult, UsageError, WriteOptions
from s3stream.options import GiB, TiB
from s3stream.plan import plan_parts
from s3stream.predecessor import Predecessor

PART = 5 << 20


@given(st.integers(0, 50 << 40), st.sampled_from([2, 100, 1000, 10_000]))
def test_ranges_cover_an_object_of_any_size_and_leave_numbers(size: int, max_parts: int) -> None:
    options = WriteOptions(max_parts=max_parts)
    try:
        ranges = Predecessor(size, '"e"').ranges(options)
    except TooLargeError:
        assert -(-size // (5 << 30)) >= max_parts
        return
    if size < PART:
        assert ranges == []
        return
    ends = [0, *(end for _, end in ranges)]
    assert [start for start, _ in ranges] == ends[:-1]
    assert ends[-1] == size
    assert all(PART <= end - start <= 5 << 30 for start, end in ranges)
    assert len(ranges) <= max(max_parts // 8 + 1, -(-size // (5 << 30)))
    assert len(ranges) < max_parts


def test_parts_behind_a_large_object_are_not_larger_for_it() -> None:
    before = (125, 1 << 40)
    plan = plan_parts(WriteOptions(), before)
    assert plan.size(1 << 40) == PART
    assert plan.capacity(*before) > 5 << 40
    hinted = plan_parts(WriteOptions(size_hint=1 << 40), before)
    assert hinted.capacity(*before) >= 2 << 40
    with pytest.raises(UsageError, match="size_hint"):
        plan_parts(WriteOptions(size_hint=1 << 40, equal_parts=True), before)


@pytest.mark.parametrize(
    ("size", "max_parts", "count"),
    [
        (PART, 10_000, 1),
        (GiB, 10_000, 1),
        (GiB + 1, 10_000, 2),
        (TiB, 10_000, 1_024),
        (2 * TiB, 10_000, 1_250),  # an eighth of the numbers, seven are for what comes
        (40 * TiB, 10_000, 8_192),  # of 5 GiB: more would not be taken
        (10 * GiB, 16, 2),
        (10 * GiB, 7, 2),
        (2 * GiB, 2, 1),
        (5 * GiB, 2, 1),
    ],
)
def test_it_is_copied_in_few_ranges_of_one_size(size: int, max_parts: int, count: int) -> None:
    ranges = Predecessor(size, '"e"').ranges(WriteOptions(max_parts=max_parts))
    assert len(ranges) == count
    lengths = [end - start for start, end in ranges]
    assert sum(lengths) == size
    assert max(lengths) - lengths[-1] < count


def test_what_is_smaller_than_a_part_is_not_copied() -> None:
    assert Predecessor().ranges(WriteOptions()) == []
    assert Predecessor(PART - 1, '"e"').ranges(WriteOptions()) == []
    assert Predecessor(PART, '"e"').ranges(WriteOptions()) == [(0, PART)]
    options = WriteOptions(part_size=8 << 20, min_part_size=8 << 20)
    assert Predecessor(8 << 20, '"e"').ranges(options) == [(0, 8 << 20)]
    assert Predecessor((8 << 20) - 1, '"e"').ranges(options) == []


def test_what_takes_all_part_numbers_is_refused_with_the_numbers() -> None:
    said = "cannot append to an object of 10,737,418,240 bytes: to copy it takes 2 of 2 parts"
    with pytest.raises(TooLargeError, match=f"^{said}$"):
        Predecessor(10 * GiB, '"e"').ranges(WriteOptions(max_parts=2))
    assert len(Predecessor(10 * GiB, '"e"').ranges(WriteOptions(max_parts=3))) == 2


def test_where_nothing_was_written_it_is_the_result_itself() -> None:
    before = Predecessor(7, '"e"', "v", {"ContentType": "text/plain"})
    assert before.as_result("b", "k") == UploadResult("b", "k", '"e"', "v", 7, 0, None)
