"""Plans, walked without moving a byte: any length fits, and no part is what a store refuses."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from s3stream import UsageError, WriteOptions
from s3stream.options import MAX_PART_SIZE, MAX_PARTS, GiB, MiB, TiB
from s3stream.plan import Plan, plan_parts

LARGEST = MAX_PARTS * MAX_PART_SIZE  # 48.8 TiB

# CI takes a small share; `tox -e long` runs thousands.
EXAMPLES = int(os.environ.get("S3STREAM_TEST_EXAMPLES", "60"))


def walk(plan: Plan, length: int | None = None) -> list[int]:
    """The sizes of the parts of an object of `length` bytes; without one, of all the parts."""
    sizes: list[int] = []
    offset = 0
    while offset < length if length is not None else len(sizes) < plan.max_parts:
        sizes.append(plan.size(offset))
        offset += sizes[-1]
    return sizes


def test_without_options_five_tib_fit_and_the_first_parts_are_small() -> None:
    plan = plan_parts(WriteOptions())
    sizes = walk(plan)
    assert sizes[:1_280] == [5 * MiB] * 1_280  # the first six gibibytes: growth comes late
    assert sum(sizes) == plan.capacity() >= 5 * TiB
    assert max(sizes) <= MAX_PART_SIZE
    assert len(walk(plan, 5 * TiB)) <= MAX_PARTS


def test_parts_never_get_smaller() -> None:
    sizes = walk(plan_parts(WriteOptions()))
    assert sizes == sorted(sizes)


def test_sizes_that_grow_are_whole_mebibytes() -> None:
    assert {size % MiB for size in walk(plan_parts(WriteOptions()))} == {0}


def test_the_largest_object_of_all_fits_exactly() -> None:
    plan = plan_parts(WriteOptions(size_hint=LARGEST))
    assert walk(plan, LARGEST) == [MAX_PART_SIZE] * MAX_PARTS
    assert plan.capacity() == LARGEST


@settings(max_examples=EXAMPLES)
@given(
    hint=st.integers(0, LARGEST),
    part_size=st.sampled_from([5 * MiB, 8 * MiB, 8 * MiB + 1, 100 * MiB, GiB, MAX_PART_SIZE]),
)
@example(hint=0, part_size=8 * MiB)
@example(hint=9_000 * 8 * MiB + 1, part_size=8 * MiB)
@example(hint=LARGEST - 1, part_size=5 * MiB)
def test_whatever_is_hinted_fits_in_even_parts(hint: int, part_size: int) -> None:
    plan = plan_parts(WriteOptions(size_hint=hint, part_size=part_size))
    sizes = walk(plan, hint)
    assert len(sizes) <= MAX_PARTS
    assert len(set(sizes)) <= 1
    assert sum(sizes) >= hint
    assert part_size <= plan.size(0) <= MAX_PART_SIZE
    assert plan.capacity() == sum(walk(plan)) >= hint


@settings(max_examples=EXAMPLES)
@given(hint=st.integers(1, 40 * TiB))
def test_a_hint_that_was_too_low_by_a_tenth_does_no_harm(hint: int) -> None:
    plan = plan_parts(WriteOptions(size_hint=hint))
    sizes = walk(plan, hint + hint // 10)
    assert len(sizes) <= MAX_PARTS
    assert sizes == sorted(sizes)
    assert max(sizes) <= MAX_PART_SIZE


@settings(max_examples=EXAMPLES)
@given(hint=st.integers(1, TiB))
def test_twice_what_was_hinted_fits_as_well(hint: int) -> None:
    assert plan_parts(WriteOptions(size_hint=hint)).capacity() >= 2 * hint


def test_sizes_stay_even_up_to_the_hint_and_grow_from_there() -> None:
    plan = Plan(start=8, max_parts=10, grows=True, evenly_to=1_000)
    assert plan.size(999) == 8
    assert plan.size(1_000) > 8


@pytest.mark.parametrize(
    "options",
    [{}, {"size_hint": 90 * GiB}, {"size_hint": LARGEST}, {"equal_parts": True}, {"max_parts": 7}],
    ids=repr,
)
def test_a_size_is_a_whole_number_of_bytes(options: dict[str, Any]) -> None:
    plan = plan_parts(WriteOptions(**options))
    assert {type(plan.size(offset)) for offset in (0, GiB, TiB)} == {int}
    assert type(plan.capacity()) is int


def test_a_hint_makes_no_part_larger_than_it_needs() -> None:
    hint = 90 * GiB
    assert plan_parts(WriteOptions(size_hint=hint)).size(0) == 11 * MiB
    assert plan_parts(WriteOptions(size_hint=MiB)).size(0) == 5 * MiB


@pytest.mark.parametrize("max_parts", [1, 2, 3, 10, 1_000])
def test_a_store_of_fewer_parts_takes_what_it_can_hold(max_parts: int) -> None:
    largest = max_parts * MAX_PART_SIZE
    plan = plan_parts(WriteOptions(max_parts=max_parts, size_hint=largest))
    assert walk(plan, largest) == [MAX_PART_SIZE] * max_parts
    without_hint = plan_parts(WriteOptions(max_parts=max_parts))
    assert len(walk(without_hint, without_hint.capacity())) == max_parts


def test_at_a_thousand_parts_growth_still_reaches_half_a_tib() -> None:
    plan = plan_parts(WriteOptions(max_parts=1_000))
    sizes = walk(plan)
    assert sum(sizes) == plan.capacity() >= TiB // 2
    assert sizes == sorted(sizes)
    assert max(sizes) <= MAX_PART_SIZE


@given(
    part_size=st.integers(5 * MiB, MAX_PART_SIZE),
    max_parts=st.integers(1, MAX_PARTS),
    data=st.data(),
)
def test_equal_parts_are_equal_to_the_end(
    part_size: int, max_parts: int, data: st.DataObject
) -> None:
    plan = plan_parts(WriteOptions(part_size=part_size, max_parts=max_parts, equal_parts=True))
    assert plan.capacity() == max_parts * part_size
    for number in data.draw(st.lists(st.integers(0, max_parts - 1), min_size=1)):
        assert plan.size(number * part_size) == part_size


def test_a_hint_beyond_equal_parts_is_refused_with_the_numbers() -> None:
    options: dict[str, Any] = {"part_size": 8 * MiB, "equal_parts": True}
    capacity = MAX_PARTS * 8 * MiB
    assert plan_parts(WriteOptions(size_hint=capacity, **options)).capacity() == capacity
    with pytest.raises(UsageError) as caught:
        plan_parts(WriteOptions(size_hint=capacity + 1, **options))
    for words in (f"size_hint={capacity + 1:,}", "10,000 parts", f"{8 * MiB:,} bytes", "part_size"):
        assert words in str(caught.value)
    assert f"are {capacity:,}" in str(caught.value)
    assert str(caught.value).endswith("; raise part_size (equal_parts keeps it from growing)")


def test_a_hint_that_leaves_no_room_for_the_reserve_is_refused_with_the_numbers() -> None:
    with pytest.raises(UsageError, match=f"size_hint={LARGEST:,} bytes .*; raise part_size$"):
        plan_parts(WriteOptions(size_hint=LARGEST, reserve=1))


def test_a_tail_that_joins_the_last_part_does_not_outgrow_the_store() -> None:
    with pytest.raises(UsageError, match="reserve=5,242,880"):
        WriteOptions(part_size=MAX_PART_SIZE, reserve=5 * MiB)
    options = WriteOptions(part_size=MAX_PART_SIZE - 5 * MiB, reserve=5 * MiB, size_hint=40 * TiB)
    assert plan_parts(options).size(0) + options.reserve == MAX_PART_SIZE


SIZES = st.sampled_from([5 * MiB, 8 * MiB, GiB, GiB * 5 // 2, 4 * GiB, MAX_PART_SIZE])


@settings(max_examples=max(EXAMPLES, 200))
@given(
    part_size=SIZES | st.integers(5 * MiB, MAX_PART_SIZE),
    reserve=st.sampled_from([0, 1, 5 * MiB]) | SIZES,
    hint=st.sampled_from([None, 0, 5 * TiB, LARGEST]),
    equal_parts=st.booleans(),
)
def test_options_that_are_taken_make_a_plan_that_keeps_them(
    part_size: int, reserve: int, hint: int | None, equal_parts: bool
) -> None:
    assume(reserve <= part_size)
    try:
        options = WriteOptions(
            part_size=part_size, reserve=reserve, size_hint=hint, equal_parts=equal_parts
        )
        plan = plan_parts(options)
    except UsageError:
        return
    first, last = plan.size(0), plan.size(plan.capacity())
    assert first >= options.min_part_size
    if equal_parts:
        assert first == part_size
    # A tail shorter than the reserve joins the part before it; and only a whole part can be the
    # reserve that stands behind a part.
    assert reserve <= first
    assert last + max(0, reserve - 1) <= MAX_PART_SIZE


@given(
    start=st.integers(1, 64),
    max_parts=st.integers(1, 300),
    grows=st.booleans(),
    evenly_to=st.integers(0, 1_000),
    max_part_size=st.integers(64, 1_000),
)
def test_any_plan_is_monotone_and_its_capacity_is_its_walk(
    start: int, max_parts: int, grows: bool, evenly_to: int, max_part_size: int
) -> None:
    plan = Plan(start, max_parts, grows, evenly_to, max_part_size)
    sizes = walk(plan)
    assert sizes == sorted(sizes)
    assert sizes[0] == start
    assert max(sizes) <= max_part_size
    assert sum(sizes) == plan.capacity()
