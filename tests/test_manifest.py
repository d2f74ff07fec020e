"""Which parts an object is made of, as the store and the senders agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import Receipt, S3StreamError
from s3stream.manifest import agreed, is_listed

ONE, TWO, THREE = (Receipt(n, 5, f'"{n}"', None) for n in (1, 2, 3))


def listed(*receipts: Receipt) -> dict[int, tuple[Receipt, ...]]:
    return {receipt.part_number: (receipt,) for receipt in receipts}


@given(count=st.integers(1, 20), known=st.sets(st.integers(1, 20)))
def test_all_that_is_listed_is_completed_in_order(count: int, known: set[int]) -> None:
    there = listed(*(Receipt(n, 5, f'"{n}"', None) for n in range(count, 0, -1)))
    ours = {n: replace(there[n][0], crc=n) for n in known if n <= count}
    parts = agreed(ours, there, strictly=False, min_part_size=5)
    assert [part.part_number for part in parts] == list(range(1, count + 1))
    # What was sent here is known better than the store tells it.
    assert {part.part_number for part in parts if part.crc is not None} == set(ours)


@pytest.mark.parametrize(
    ("known", "there", "number", "said"),
    [
        ([], [], None, "no part has been sent"),
        ([], [TWO], 1, "never sent"),
        ([ONE], [ONE, THREE], 2, "never sent, and there are parts behind it"),
        ([ONE, TWO], [ONE], 2, "the store has nothing, what was sent has 5 bytes"),
        ([ONE], [replace(ONE, size=4)], 1, "the store has 4 bytes"),
        ([ONE], [replace(ONE, etag='"other"')], 1, 'ETag "other", what was sent .* ETag "1"'),
        ([], [replace(ONE, size=4), TWO], 1, "4 bytes; every part but the last .*=5"),
    ],
)
def test_what_must_not_be_completed(
    known: list[Receipt], there: list[Receipt], number: int | None, said: str
) -> None:
    ours = {receipt.part_number: receipt for receipt in known}
    with pytest.raises(S3StreamError, match=said) as caught:
        agreed(ours, listed(*there), strictly=False, min_part_size=5)
    assert caught.value.part_number == number


def test_the_last_part_may_be_small() -> None:
    small = replace(TWO, size=1)
    assert agreed({}, listed(ONE, small), strictly=False, min_part_size=5) == [ONE, small]


def test_strictly_every_part_is_known() -> None:
    there = listed(ONE, TWO)
    with pytest.raises(S3StreamError, match="not among the receipts") as caught:
        agreed({1: ONE}, there, strictly=True, min_part_size=5)
    assert caught.value.part_number == 2
    assert agreed({1: ONE, 2: TWO}, there, strictly=True, min_part_size=5) == [ONE, TWO]


def test_of_a_part_that_is_listed_twice_the_one_that_was_sent_counts_else_the_newest() -> None:
    old, new = replace(ONE, etag='"old"'), replace(ONE, etag='"new"')
    there = {1: (old, new)}
    assert agreed({1: old}, there, strictly=True, min_part_size=5) == [old]
    assert agreed({}, there, strictly=False, min_part_size=5) == [new]
    assert not is_listed(replace(ONE, etag='"third"'), there)


def test_of_which_nobody_knows_the_newest_is_not_completed() -> None:
    there = {1: (replace(ONE, etag='"x"'), replace(ONE, etag='"y"')), 2: (TWO,)}
    with pytest.raises(S3StreamError, match="more than once within a second") as caught:
        agreed({2: TWO}, there, strictly=False, min_part_size=5, doubtful={1})
    assert caught.value.part_number == 1
    known = {1: replace(ONE, etag='"x"')}
    assert agreed(known, there, strictly=False, min_part_size=5, doubtful={1}) == [known[1], TWO]


def test_a_checksum_that_the_sender_does_not_know_is_the_stores() -> None:
    (part,) = agreed({1: ONE}, listed(replace(ONE, crc=7)), strictly=True, min_part_size=5)
    assert part.crc == 7


def test_parts_are_the_same_by_size_etag_and_checksum() -> None:
    assert is_listed(replace(ONE, etag="1"), listed(ONE))  # some stores do not quote
    assert is_listed(replace(ONE, crc=7), listed(ONE))
    assert is_listed(replace(ONE, crc=7), listed(replace(ONE, crc=7)))
    assert not is_listed(replace(ONE, crc=7), listed(replace(ONE, crc=8)))
    assert not is_listed(ONE, {})
