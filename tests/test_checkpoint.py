"""What is written down of an upload, and read again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import Receipt, UsageError, WriteOptions
from s3stream.checkpoint import CHECKPOINTED, Checkpoint, Tail

OPTIONS = {name: getattr(WriteOptions(), name) for name in CHECKPOINTED}
ONE = Checkpoint(
    "b", "k", "id", None, OPTIONS, (Receipt(1, 5, '"e"', 7),), Tail("k.tail", 5, 3, "AAAA")
)

crcs = st.none() | st.integers(0, 2**64 - 1)
sizes = st.integers(0, 2**40)
receipts = st.builds(Receipt, st.integers(1, 10_000), sizes, st.text(), crcs)
checkpoints = st.builds(
    Checkpoint,
    bucket=st.text(),
    key=st.text(),
    upload_id=st.none() | st.text(),
    writer_id=st.none() | st.text(),
    options=st.just(OPTIONS),
    parts=st.lists(receipts, max_size=5, unique_by=lambda part: part.part_number).map(tuple),
    tail=st.none() | st.builds(Tail, st.text(), sizes, sizes, st.none() | st.text()),
    source=st.none() | st.tuples(sizes, sizes),
)


@given(checkpoints)
def test_what_is_written_is_read_again(checkpoint: Checkpoint) -> None:
    text = checkpoint.to_json()
    assert Checkpoint.from_json(text) == checkpoint
    assert json.loads(text)["version"] == 1


SMALL = {**OPTIONS, "part_size": 10, "min_part_size": 10}


@given(st.permutations(range(1, 8)), st.integers(1, 8))
def test_only_the_parts_before_the_first_gap_are_safe(order: list[int], missing: int) -> None:
    parts = tuple(Receipt(n, n * 10, '"e"', None) for n in order if n != missing)
    checkpoint = replace(ONE, parts=parts, tail=None, options=SMALL)
    assert [part.part_number for part in checkpoint.gapless] == list(range(1, min(missing, 8)))
    assert checkpoint.firm == checkpoint.gapless
    assert checkpoint.offset == sum(n * 10 for n in range(1, min(missing, 8)))


@pytest.mark.parametrize(
    ("sizes", "equal", "tail", "firm", "offset"),
    [
        ([10, 20], False, None, 2, 30),
        ([10, 9], False, None, 1, 10),  # the last: nothing can follow it
        ([10, 20, 9], True, None, 2, 30),
        ([10, 9, 20], False, None, 1, 10),
        ([10], False, (10, 3), 1, 13),
        ([10, 3], False, (10, 3), 1, 13),  # the tail has become a last part, which may yet grow
        ([10, 12], False, (10, 3), 2, 22),  # and here a part like any
        ([10, 10], False, (10, 13), 2, 23),
        ([10], False, (20, 3), 1, 10),  # of what is between nobody knows
        ([], False, (0, 3), 0, 3),
    ],
)
def test_where_to_go_on_from(
    sizes: list[int], equal: bool, tail: tuple[int, int] | None, firm: int, offset: int
) -> None:
    parts = tuple(Receipt(n, size, '"e"', None) for n, size in enumerate(sizes, 1))
    options = {**SMALL, "equal_parts": equal}
    at = None if tail is None else Tail("t", *tail, None)
    checkpoint = replace(ONE, parts=parts, tail=at, options=options)
    assert (len(checkpoint.firm), checkpoint.offset) == (firm, offset)


def test_it_says_how_the_upload_is_to_be_continued_and_nothing_else() -> None:
    written = json.loads(ONE.to_json())
    assert set(written["options"]) == set(CHECKPOINTED)
    assert not {"s3_additional_kwargs", "memory", "spool"} & set(written["options"])


def test_no_text_that_was_cut_off_is_taken() -> None:
    text = ONE.to_json()
    for end in range(len(text)):
        with pytest.raises(UsageError, match="not a checkpoint"):
            Checkpoint.from_json(text[:end])


def _changed(**changes: Any) -> str:
    return json.dumps({**json.loads(ONE.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", r"not a checkpoint: '\[1, 2\]'"),
        ("{}", "not a checkpoint"),
        (_changed(version=2), "version 2, this s3stream reads 1"),
        (_changed(parts=[[1, 5, '"e"']]), "a broken checkpoint: ValueError"),
        (_changed(parts=[["1", 5, '"e"', None]]), "'1' is not a whole number"),
        (_changed(parts=[[True, 5, '"e"', None]]), "True is not a whole number"),
        (_changed(parts=[[1, -5, '"e"', None]]), "-5 is not a whole number"),
        (_changed(parts=[[1, 5, None, None]]), "None is not a text"),
        (_changed(tail=["key", 0, None, None]), "None is not a whole number"),
        (_changed(options={}), "KeyError: 'part_size'"),
        (_changed(options={**OPTIONS, "part_size": 1}), "part_size=1"),
        (_changed(parts=[[0, 5, '"e"', None]]), "0 is no part number"),
        (_changed(parts=[[10_001, 5, '"e"', None]]), "10001 is no part number"),
        (_changed(parts=[[1, 5, '"e"', None]] * 2), "a part is there twice"),
        (_changed(bucket=7), "7 is not a text"),
        (_changed(source=[1]), "a broken checkpoint: IndexError"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Checkpoint.from_json(text)
