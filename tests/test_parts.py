"""The cutter: whatever the writes, the parts are the object, of the planned sizes, and no byte of
memory is held that need not be.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3stream.errors import TooLargeError
from s3stream.memory import Memory
from s3stream.options import KiB, MiB
from s3stream.parts import Buffer, Cutter, Part
from s3stream.plan import Plan
from tests.looking import bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# CI takes a small share; `tox -e long` runs thousands.
EXAMPLES = int(os.environ.get("S3STREAM_TEST_EXAMPLES", "300"))


class CountedBuffers:
    """Buffers that keep books, hand out dirty memory, and let nobody use what was extended.

    `roomy`: give the whole room at once, as a temporary file does.
    """

    def __init__(self, roomy: bool = False) -> None:
        self.roomy = roomy
        self.lent: dict[int, bytearray] = {}
        self.peak = 0
        self.taken = 0

    def take(self, size: int, room: int) -> Buffer:
        assert 0 <= size <= room
        return self._lend(bytearray(b"\xff" * (room if self.roomy else size)))

    def extend(self, buffer: Buffer, size: int, room: int) -> Buffer:
        assert 0 <= size <= room
        old = self.lent.pop(id(buffer))
        new = bytearray(old[:size].ljust(size, b"\xff"))
        old.clear()
        return self._lend(new)

    def give_back(self, buffer: Buffer) -> None:
        del self.lent[id(buffer)]  # a KeyError if it is not lent, or given back already

    @property
    def alive(self) -> int:
        return sum(map(len, self.lent.values()))

    def _lend(self, buffer: bytearray) -> bytearray:
        self.taken += 1
        self.lent[id(buffer)] = buffer
        self.peak = max(self.peak, self.alive)
        return buffer


class Upload:
    """Feeds a cutter as a producer does, from one array that it uses again, and keeps the parts."""

    def __init__(self, plan: Plan, reserve: int = 0, roomy: bool = False) -> None:
        self.buffers = CountedBuffers(roomy)
        self.cutter = Cutter(plan, reserve, self.buffers)
        self.parts: list[tuple[int, int, bytes]] = []

    def feed(self, data: bytes) -> None:
        block = bytearray(data)
        with memoryview(block) as view:
            for part in self.cutter.feed(view):
                self._hand_on(part)
        block[:] = b"\xee" * len(block)
        block.clear()  # a BufferError, were a view of it kept

    def finish(self) -> None:
        self._hand_on(self.cutter.finish())

    @property
    def sizes(self) -> list[int]:
        return [len(body) for _, _, body in self.parts]

    def _hand_on(self, part: Part) -> None:
        assert part.size == len(part.body)
        self.parts.append((part.number, part.offset, bytes(part.body)))
        self.buffers.give_back(part.body)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Tiny plans of all kinds."""
    if draw(st.booleans(), label="grows"):
        start = draw(st.integers(1, 8), label="start")
        return Plan(start, draw(st.integers(20, 200)), True, draw(st.sampled_from([0, 50])), 500)
    return Plan(draw(st.integers(1, 64), label="start"), 10_000, False, 0)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Plan, int, list[int]]:
    """A plan, a reserve that it allows, and the sizes of writes that fit."""
    plan = draw(plans())
    reserve = draw(st.integers(0, plan.start), label="reserve")
    sizes = draw(st.lists(st.integers(0, 200), max_size=12), label="writes")
    while sum(sizes) > plan.capacity():
        sizes.pop()
    return plan, reserve, sizes


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size


@settings(max_examples=EXAMPLES)
@given(case=cases(), roomy=st.booleans())
def test_the_parts_are_the_object_in_order_without_gaps(
    case: tuple[Plan, int, list[int]], roomy: bool
) -> None:
    plan, reserve, writes = case
    data = bytes_of(sum(writes))
    upload = Upload(plan, reserve, roomy)
    for piece in pieces(data, writes):
        upload.feed(piece)
    assert upload.cutter.position == len(data)
    upload.finish()

    assert b"".join(body for _, _, body in upload.parts) == data
    assert [number for number, _, _ in upload.parts] == list(range(1, len(upload.parts) + 1))
    assert len(upload.parts) <= plan.max_parts
    offset = 0
    for _, begins, body in upload.parts:
        assert begins == offset
        offset += len(body)
    assert upload.buffers.lent == {}


@settings(max_examples=EXAMPLES)
@given(case=cases(), roomy=st.booleans())
def test_every_part_but_the_last_is_as_planned_and_the_last_has_the_reserve(
    case: tuple[Plan, int, list[int]], roomy: bool
) -> None:
    plan, reserve, writes = case
    upload = Upload(plan, reserve, roomy)
    for piece in pieces(bytes_of(sum(writes)), writes):
        upload.feed(piece)
    upload.finish()

    for _, offset, body in upload.parts[:-1]:
        assert len(body) == plan.size(offset)
    _, offset, last = upload.parts[-1]
    assert len(last) <= plan.size(offset) + max(0, reserve - 1)
    if len(upload.parts) > 1:
        assert len(last) >= max(1, reserve)


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_a_part_is_handed_on_as_soon_as_it_cannot_be_the_last_and_not_before(
    case: tuple[Plan, int, list[int]],
) -> None:
    plan, reserve, writes = case
    upload = Upload(plan, reserve)
    for piece in pieces(bytes_of(sum(writes)), writes):
        upload.feed(piece)
        certain, end = 0, plan.size(0)
        while end + max(1, reserve) <= upload.cutter.position:
            certain, end = certain + 1, end + plan.size(end)
        assert len(upload.parts) == certain


@settings(max_examples=EXAMPLES)
@given(case=cases(), roomy=st.booleans())
def test_the_cutter_never_holds_more_than_two_parts_and_the_reserve(
    case: tuple[Plan, int, list[int]], roomy: bool
) -> None:
    plan, reserve, writes = case
    upload = Upload(plan, reserve, roomy)
    for piece in pieces(bytes_of(sum(writes)), writes):
        upload.feed(piece)
    upload.finish()
    assert upload.buffers.peak <= 2 * plan.size(upload.cutter.position) + reserve


@given(size=st.integers(1, 64), reserve=st.integers(0, 64), length=st.integers(0, 64))
def test_an_object_of_up_to_one_part_is_not_cut(size: int, reserve: int, length: int) -> None:
    upload = Upload(Plan(size, 10, False, 0), min(reserve, size))
    data = bytes_of(min(length, size))
    upload.feed(data)
    assert upload.parts == []
    upload.finish()
    assert upload.parts == [(1, 0, data)]


def test_an_object_of_nothing_is_one_empty_part() -> None:
    upload = Upload(Plan(8, 10, False, 0))
    upload.finish()
    assert upload.parts == [(1, 0, b"")]


def test_a_part_in_a_message_does_not_show_its_bytes() -> None:
    assert repr(Part(2, 8, bytearray(b"secret"))) == "Part(number=2, offset=8)"


def test_a_short_tail_joins_the_part_before_it() -> None:
    upload = Upload(Plan(8, 10, False, 0), reserve=3)
    upload.feed(b"ABCDEFGH" + b"IJKLMNOP" + b"QR")
    assert upload.sizes == [8]
    upload.finish()
    assert upload.parts == [(1, 0, b"ABCDEFGH"), (2, 8, b"IJKLMNOPQR")]


def test_a_tail_of_the_reserve_is_a_part_of_its_own() -> None:
    upload = Upload(Plan(8, 10, False, 0), reserve=3)
    upload.feed(b"ABCDEFGH" + b"IJK")
    upload.finish()
    assert upload.parts == [(1, 0, b"ABCDEFGH"), (2, 8, b"IJK")]


@pytest.mark.parametrize("finish", [False, True])
def test_drop_gives_back_the_part_that_waits_for_a_short_tail(finish: bool) -> None:
    upload = Upload(Plan(8, 10, False, 0), reserve=3)
    upload.feed(b"ABCDEFGH" + b"IJ")
    assert upload.parts == []
    if finish:
        upload.finish()
    upload.cutter.drop()
    assert upload.buffers.lent == {}


@settings(max_examples=EXAMPLES)
@given(case=cases(), stop_at=st.integers(1, 5), finish=st.booleans(), roomy=st.booleans())
def test_drop_gives_back_each_buffer_once_wherever_it_comes(
    case: tuple[Plan, int, list[int]], stop_at: int, finish: bool, roomy: bool
) -> None:
    plan, reserve, writes = case
    upload = Upload(plan, reserve, roomy)
    with memoryview(bytes_of(sum(writes))) as view:
        # As when a part fails while more are to be cut from the same write.
        for number, part in enumerate(upload.cutter.feed(view), 1):
            upload.buffers.give_back(part.body)
            if number == stop_at:
                break
    if finish:
        upload.finish()
    upload.cutter.drop()
    assert upload.buffers.lent == {}
    upload.cutter.drop()


def test_the_first_part_is_as_planned_even_where_growth_sets_in_at_once() -> None:
    upload = Upload(Plan(start=1, max_parts=2, grows=True, evenly_to=0))
    upload.feed(b"ABCDE")
    upload.finish()
    assert upload.parts == [(1, 0, b"A"), (2, 1, b"BCDE")]


@pytest.mark.parametrize("reserve", [0, 4])
def test_too_much_is_refused_before_a_byte_is_taken(reserve: int) -> None:
    upload = Upload(Plan(start=4, max_parts=3, grows=False, evenly_to=0), reserve)
    upload.feed(b"0123456789")
    parts, taken = list(upload.parts), upload.buffers.taken
    with pytest.raises(TooLargeError) as caught:
        upload.feed(b"abc")
    for words in ("13 bytes", "3 parts", "hold 12", "part_size"):
        assert words in str(caught.value)
    assert upload.cutter.position == 10
    assert (upload.parts, upload.buffers.taken) == (parts, taken)

    upload.feed(b"ab")  # what fits is taken still
    upload.finish()
    assert b"".join(body for _, _, body in upload.parts) == b"0123456789ab"


@given(plan=plans(), data=st.data())
def test_exactly_the_capacity_fits_and_one_byte_more_does_not(
    plan: Plan, data: st.DataObject
) -> None:
    plan = Plan(plan.start, min(plan.max_parts, 30), plan.grows, plan.evenly_to, 500)
    reserve = data.draw(st.integers(0, plan.start), label="reserve")
    upload = Upload(plan, reserve)
    whole = bytes_of(plan.capacity())
    upload.feed(whole)
    with pytest.raises(TooLargeError):
        upload.feed(b"x")
    upload.finish()
    assert len(upload.parts) == plan.max_parts
    assert b"".join(body for _, _, body in upload.parts) == whole


def test_a_large_part_of_a_small_object_costs_little_memory() -> None:
    upload = Upload(Plan(8 * MiB, 10_000, True, 0))
    upload.feed(b"a small object")
    assert upload.buffers.alive == 64 * KiB
    upload.feed(bytes(64 * KiB - len(b"a small object")))
    assert upload.buffers.alive == 64 * KiB


def test_the_first_buffer_grows_in_few_steps_and_to_no_more_than_four_times_its_content() -> None:
    upload = Upload(Plan(8 * MiB, 10_000, True, 0))
    for _ in range(8 * MiB // (16 * KiB)):
        upload.feed(bytes(16 * KiB))
        assert upload.buffers.alive <= 4 * max(16 * KiB, upload.cutter.position)
    assert upload.buffers.taken <= 6  # each step copies what is there already


def test_a_buffer_that_is_full_grows_fourfold_when_the_next_byte_comes() -> None:
    upload = Upload(Plan(8 * MiB, 10_000, True, 0))
    upload.feed(bytes(64 * KiB))
    assert upload.buffers.alive == 64 * KiB
    upload.feed(b"x")
    assert upload.buffers.alive == 256 * KiB


def test_every_part_after_the_first_has_one_buffer_and_is_never_copied() -> None:
    upload = Upload(Plan(256 * KiB, 10_000, False, 0))
    upload.feed(bytes(256 * KiB))
    before = upload.buffers.taken
    for _ in range(3 * 256):
        upload.feed(bytes(KiB))
    upload.finish()
    assert upload.sizes == [256 * KiB] * 4
    assert upload.buffers.taken == before + 3


@settings(max_examples=40)
@given(
    writes=st.lists(st.integers(0, 300 * KiB) | st.integers(0, 100), max_size=10),
    part_size=st.integers(64 * KiB, 700 * KiB),
    reserve=st.sampled_from([0, 1, 64 * KiB]),
)
def test_a_first_buffer_that_grows_with_its_content_loses_none_of_it(
    writes: list[int], part_size: int, reserve: int
) -> None:
    data = bytes_of(sum(writes))
    upload = Upload(Plan(part_size, 10_000, False, 0), reserve)
    for piece in pieces(data, writes):
        upload.feed(piece)
    upload.finish()
    assert b"".join(body for _, _, body in upload.parts) == data
    assert upload.buffers.peak <= 2 * part_size + reserve


@settings(max_examples=60)
@given(case=cases(), limit=st.integers(0, 1 << 20))
def test_with_the_real_memory_every_byte_comes_out_and_every_buffer_goes_back(
    case: tuple[Plan, int, list[int]], limit: int
) -> None:
    # From "each part is a temporary file" to "none is".
    plan, reserve, writes = case
    data = bytes_of(sum(writes))
    memory = Memory(max(limit, 3), spool=True)
    cutter = Cutter(plan, reserve, memory)
    out = b""
    for piece in pieces(data, writes):
        with memoryview(piece) as view:
            for part in cutter.feed(view):
                out += part.body[:]
                memory.give_back(part.body)
    last = cutter.finish()
    out += last.body[:]
    memory.give_back(last.body)
    assert out == data
    assert memory.alive == 0
    assert memory.peak <= memory.limit


@settings(max_examples=EXAMPLES)
@given(case=cases())
def test_a_length_that_is_known_is_cut_like_a_stream(case: tuple[Plan, int, list[int]]) -> None:
    plan, reserve, writes = case
    upload = Upload(plan, reserve)
    for piece in pieces(bytes_of(sum(writes)), writes):
        upload.feed(piece)
    upload.finish()
    cut = [(offset, len(body)) for _, offset, body in upload.parts if body]
    assert plan.cut(sum(writes), reserve) == cut


def test_a_length_that_cannot_fit_is_not_cut() -> None:
    plan = Plan(10, 3, False, 0)
    assert plan.cut(30) == [(0, 10), (10, 10), (20, 10)]
    with pytest.raises(TooLargeError, match="31 bytes cannot fit: 3 parts, the first of 10 bytes"):
        plan.cut(31)
