"""The cutter, by properties: random writes, absurdly small parts, every reserve."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3stream import TooLargeError
from s3stream.parts import Cutter, Part
from s3stream.plan import Plan

if TYPE_CHECKING:
    from s3stream.parts import Buffer

# CI takes a small share; `tox -e long` runs thousands.
EXAMPLES = int(os.environ.get("S3STREAM_TEST_EXAMPLES", "300"))


class Counting:
    """Buffers that count the bytes that are out."""

    def __init__(self) -> None:
        self.out: dict[int, bytearray] = {}

    def alive(self) -> int:
        return sum(map(len, self.out.values()))

    def take(self, size: int, room: int) -> Buffer:
        assert size <= room
        buffer = bytearray(b"\xff" * size)
        self.out[id(buffer)] = buffer
        return buffer

    def extend(self, buffer: Buffer, size: int) -> Buffer:
        assert isinstance(buffer, bytearray)
        del buffer[size:]
        buffer.extend(b"\xff" * (size - len(buffer)))
        return buffer

    def give_back(self, buffer: Buffer) -> None:
        del self.out[id(buffer)]


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, int]:
    """A plan of small parts, and a reserve that fits it."""
    start = draw(st.integers(1, 64))
    max_parts = draw(st.integers(500, 10_000))
    grows = draw(st.booleans())
    hint = draw(st.sampled_from([0, 100, 1000]))
    return Plan(start, max_parts, grows, hint), draw(st.integers(0, start))


@settings(max_examples=EXAMPLES)
@given(planned=plans(), writes=st.lists(st.binary(max_size=200), max_size=20))
def test_whatever_is_fed_comes_out_in_the_planned_parts(
    planned: tuple[Plan, int], writes: list[bytes]
) -> None:
    plan, reserve = planned
    fed = 0
    whole = sum(map(len, writes))
    if whole > plan.capacity():
        return
    buffers = Counting()
    cutter = Cutter(plan, reserve, buffers)
    parts: list[tuple[Part, bytes]] = []

    def sent(part: Part) -> None:
        parts.append((part, bytes(part.body)))
        buffers.give_back(part.body)

    for data in writes:
        incoming = bytearray(data)
        for part in cutter.feed(memoryview(incoming)):
            sent(part)
        incoming[:] = bytes(len(incoming))  # it is the caller's again
        fed += len(data)
        assert cutter.position == fed
        # What is stated: the part held back, and the one being filled.
        assert buffers.alive() <= 2 * plan.size(fed)
    last = cutter.finish()
    assert buffers.alive() <= plan.size(last.offset) + max(reserve, 1)
    sent(last)
    assert buffers.alive() == 0

    assert b"".join(body for _, body in parts) == b"".join(writes)
    assert [part.number for part, _ in parts] == list(range(1, len(parts) + 1))
    offset = 0
    for part, body in parts[:-1]:
        assert part.offset == offset
        assert len(body) == plan.size(offset)
        offset += len(body)
    assert last.offset == offset
    final = parts[-1][1]
    assert len(final) < plan.size(offset) + max(reserve, 1)
    if len(parts) > 1:
        assert len(final) >= max(reserve, 1)


@given(planned=plans(), data=st.data())
def test_what_may_be_the_whole_object_is_not_cut(
    planned: tuple[Plan, int], data: st.DataObject
) -> None:
    plan, reserve = planned
    size = data.draw(st.integers(0, plan.start + max(reserve, 1) - 1))
    cutter = Cutter(plan, reserve, Counting())
    assert list(cutter.feed(memoryview(bytes(size)))) == []
    assert cutter.finish().number == 1


@given(planned=plans(), size=st.integers(0, 500))
def test_drop_gives_every_buffer_back(planned: tuple[Plan, int], size: int) -> None:
    plan, reserve = planned
    buffers = Counting()
    cutter = Cutter(plan, reserve, buffers)
    for part in cutter.feed(memoryview(bytes(size))):
        buffers.give_back(part.body)
    cutter.drop()
    cutter.drop()
    assert buffers.out == {}


def test_what_cannot_fit_is_refused_before_a_byte_is_taken() -> None:
    cutter = Cutter(Plan(start=10, max_parts=3, grows=False, evenly_to=0), 0, Counting())
    list(cutter.feed(memoryview(bytes(25))))
    with pytest.raises(TooLargeError, match=r"31 bytes cannot fit: 3 parts.* hold 30"):
        list(cutter.feed(memoryview(bytes(6))))
    assert cutter.position == 25
    list(cutter.feed(memoryview(bytes(5))))
    assert cutter.finish().number == 3
