"""The plan of part sizes, to 48.8 TiB and 10,000 parts, without moving a byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import UsageError, WriteOptions
from s3stream.options import GiB, MiB, TiB
from s3stream.plan import Plan, plan_parts

LARGEST = 10_000 * 5 * GiB


def walk(plan: Plan, until: int) -> list[int]:
    """The sizes of the parts of an object of `until` bytes."""
    sizes: list[int] = []
    offset = 0
    while offset < until:
        sizes.append(min(plan.size(offset), until - offset))
        offset += sizes[-1]
    return sizes


def test_without_a_hint_an_object_of_five_tebibytes_fits() -> None:
    sizes = walk(plan_parts(WriteOptions()), 5 * TiB)
    assert len(sizes) <= 10_000
    assert sizes[0] == 8 * MiB
    assert max(sizes) <= 5 * GiB
    # Growth comes late: the first ten gibibytes go in parts of the size that was asked for.
    assert sizes[:1280] == [8 * MiB] * 1280


def test_a_store_of_a_thousand_parts_takes_half_a_tebibyte() -> None:
    assert len(walk(plan_parts(WriteOptions(max_parts=1000)), TiB // 2)) <= 1000


def test_with_a_hint_the_largest_object_of_all_fits_exactly() -> None:
    sizes = walk(plan_parts(WriteOptions(size_hint=LARGEST)), LARGEST)
    assert sizes == [5 * GiB] * 10_000


@given(hint=st.integers(0, LARGEST), part_size=st.integers(5 * MiB, 5 * GiB))
def test_whatever_is_hinted_fits_evenly(hint: int, part_size: int) -> None:
    plan = plan_parts(WriteOptions(size_hint=hint, part_size=part_size))
    assert part_size <= plan.start <= 5 * GiB
    assert plan.size(0) == plan.size(max(0, hint - 1)) == plan.start
    assert -(-hint // plan.start) <= 10_000
    assert plan.capacity() >= hint


@given(hint=st.integers(1, TiB))
def test_twice_what_was_hinted_fits_as_well(hint: int) -> None:
    assert plan_parts(WriteOptions(size_hint=hint)).capacity() >= 2 * hint


@given(part_size=st.integers(5 * MiB, 100 * MiB), offsets=st.lists(st.integers(0, 5 * TiB)))
def test_parts_never_shrink(part_size: int, offsets: list[int]) -> None:
    plan = plan_parts(WriteOptions(part_size=part_size))
    sizes = [plan.size(offset) for offset in sorted(offsets)]
    assert sizes == sorted(sizes)
    assert all(part_size <= size <= 5 * GiB for size in sizes)


def test_equal_parts_never_grow_and_refuse_what_cannot_fit() -> None:
    options = WriteOptions(equal_parts=True, part_size=10 * MiB)
    plan = plan_parts(options)
    assert {plan.size(offset) for offset in range(0, TiB, GiB)} == {10 * MiB}
    assert plan.capacity() == 10_000 * 10 * MiB
    with pytest.raises(UsageError, match=r"size_hint=1,099,511,627,776 .* raise part_size"):
        plan_parts(WriteOptions(equal_parts=True, part_size=10 * MiB, size_hint=TiB))


def test_a_tail_that_joins_the_last_part_does_not_outgrow_the_store() -> None:
    options = WriteOptions(part_size=5 * GiB, reserve=5 * MiB)
    assert plan_parts(options).size(0) + options.reserve <= 5 * GiB
