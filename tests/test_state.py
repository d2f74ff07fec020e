"""The life of an upload, row by row; the manifest; the combined checksum."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import S3StreamError, UploadResult
from s3stream.checksums import ALGORITHMS
from s3stream.state import TABLE, Checksum, Event, Phase, Receipt, UploadState, combined_crc

RESULT = UploadResult("b", "k", '"e"', None, 0, 0, None)


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, Event)))
def test_the_table_is_the_whole_life(phase: Phase, event: Event) -> None:
    state = UploadState()
    state.phase = phase
    if (phase, event) in TABLE:
        state.on(event)
        assert state.phase is TABLE[phase, event]
    else:
        with pytest.raises(RuntimeError, match=f"cannot {event.value}.*{phase.value}"):
            state.on(event)
        assert state.phase is phase


LIVES = [
    ([Event.PUBLISH, Event.COMMIT], Phase.COMMITTED),  # one PutObject
    ([Event.BEGIN, Event.PREPARE, Event.PUBLISH, Event.COMMIT], Phase.COMMITTED),
    ([Event.BEGIN, Event.PREPARE, Event.PUBLISH, Event.LOSE_SIGHT], Phase.UNCERTAIN),
    ([Event.BEGIN, Event.PREPARE, Event.DISCARD], Phase.ABORTED),
    ([Event.BEGIN, Event.PREPARE, Event.FAIL, Event.DISCARD], Phase.ABORTED),
    ([Event.PUBLISH, Event.LOSE_SIGHT, Event.COMMIT], Phase.COMMITTED),  # answered after all
    ([Event.BEGIN, Event.PREPARE, Event.PUBLISH, Event.FAIL, Event.DISCARD], Phase.ABORTED),
    ([Event.BEGIN, Event.FAIL, Event.FAIL, Event.DISCARD], Phase.ABORTED),
    ([Event.BEGIN, Event.DISCARD], Phase.ABORTED),
    ([Event.DISCARD], Phase.ABORTED),
    ([Event.BEGIN, Event.SUSPEND], Phase.SUSPENDED),
    ([Event.BEGIN, Event.PREPARE, Event.PUBLISH, Event.REFUSE], Phase.STREAMING),
    ([Event.PUBLISH, Event.LOSE_SIGHT, Event.PUBLISH, Event.COMMIT], Phase.COMMITTED),
]


@pytest.mark.parametrize(("events", "end"), LIVES)
def test_the_lives_that_uploads_have(events: list[Event], end: Phase) -> None:
    state = UploadState()
    assert state.phase is Phase.FRESH
    for event in events:
        state.on(event)
    assert state.phase is end


def test_a_part_that_is_accepted_again_counts_once() -> None:
    state = UploadState()
    for number, size in ((1, 10), (2, 5), (1, 7)):
        state.accept(Receipt(number, size, '"e"', None))
    assert state.accepted == (12, 2)


def test_of_a_published_object_its_own_numbers_count() -> None:
    state = UploadState()
    state.on(Event.PUBLISH)
    state.commit(dataclasses.replace(RESULT, size=7, parts=3))
    assert state.accepted == (7, 3)


def test_a_commit_on_its_way_can_neither_be_discarded_nor_begun_again() -> None:
    assert {event for phase, event in TABLE if phase is Phase.COMMITTING} == {
        Event.COMMIT,
        Event.FAIL,
        Event.LOSE_SIGHT,
        Event.REFUSE,
    }


@pytest.mark.parametrize("end", [Phase.COMMITTED, Phase.ABORTED])
def test_nothing_leads_out_of_an_end(end: Phase) -> None:
    assert not [event for phase, event in TABLE if phase is end]


def test_the_first_error_is_kept() -> None:
    state = UploadState()
    first = OSError("first")
    state.fail(first)
    state.fail(OSError("second"))
    assert state.error is first
    assert state.phase is Phase.FAILED


def test_a_commit_keeps_its_result() -> None:
    state = UploadState()
    state.on(Event.PUBLISH)
    state.commit(RESULT)
    assert state.result is RESULT
    assert state.phase is Phase.COMMITTED


def test_an_upload_begins_with_nothing() -> None:
    state = UploadState()
    assert state.phase is Phase.FRESH
    assert (state.upload_id, state.error, state.result) == (None, None, None)
    assert state.parts_accepted == 0


def test_a_commit_that_nobody_saw_keeps_its_error() -> None:
    state = UploadState()
    state.on(Event.PUBLISH)
    error = OSError("the line went dead")
    state.lose_sight(error)
    assert state.phase is Phase.UNCERTAIN
    assert state.error is error
    assert state.result is None


def test_an_answer_that_comes_after_all_makes_a_commit_like_any() -> None:
    state = UploadState()
    state.on(Event.PUBLISH)
    state.lose_sight(OSError("the line went dead"))
    state.commit(RESULT)
    assert state.phase is Phase.COMMITTED
    assert state.error is None
    assert state.result is RESULT


def _accepting(*sizes: tuple[int, int]) -> UploadState:
    state = UploadState()
    for number, size in sizes:
        state.accept(Receipt(number, size, f'"{number}"', None))
    return state


def test_the_manifest_is_in_order_whatever_the_order_of_arrival() -> None:
    state = _accepting((3, 1), (1, 5), (2, 5))
    assert [receipt.part_number for receipt in state.manifest(11)] == [1, 2, 3]
    assert state.parts_accepted == 3


@pytest.mark.parametrize(
    ("accepted", "size", "said"),
    [
        ([], 0, "part 1 was never accepted"),
        ([(1, 5), (3, 5)], 10, "part 2 was never accepted"),
        ([(2, 5)], 5, "part 1 was never accepted"),
        ([(1, 5), (2, 5)], 11, "10 bytes, but 11 were written"),
    ],
)
def test_gaps_and_misfits_are_refused(
    accepted: list[tuple[int, int]], size: int, said: str
) -> None:
    with pytest.raises(S3StreamError, match=said):
        _accepting(*accepted).manifest(size)


@pytest.mark.parametrize("name", ALGORITHMS)
@given(bodies=st.lists(st.binary(max_size=100)))
def test_the_whole_crc_follows_from_the_parts(name: str, bodies: list[bytes]) -> None:
    algorithm = ALGORITHMS[name]
    receipts = [
        Receipt(number, len(body), '"e"', algorithm.compute(body))
        for number, body in enumerate(bodies, 1)
    ]
    assert combined_crc(receipts, algorithm) == algorithm.compute(b"".join(bodies))


def test_without_the_crc_of_every_part_there_is_none_of_the_whole() -> None:
    receipts = [Receipt(1, 3, '"e"', 7), Receipt(2, 3, '"e"', None)]
    assert combined_crc(receipts, ALGORITHMS["crc32"]) is None


@pytest.mark.parametrize(
    ("name", "value", "encoded"),
    [
        ("crc64nvme", 0xAE8B14860A799888, "rosUhgp5mIg="),
        ("crc32c", 0xE3069283, "4waSgw=="),
        ("crc32", 0xCBF43926, "y/Q5Jg=="),
    ],
)
def test_checksums_are_the_standard_ones_in_s3s_notation(
    name: str, value: int, encoded: str
) -> None:
    algorithm = ALGORITHMS[name]
    assert algorithm.compute(b"123456789") == value
    assert algorithm.encode(value) == encoded
    assert algorithm.decode(encoded) == value
    assert algorithm.field == f"Checksum{name.upper()}"


@pytest.mark.parametrize(
    "said",
    [RESULT, Checksum("crc32", "AAAAAA==", True), Receipt(1, 5, '"e"', None)],
    ids=lambda said: type(said).__name__,
)
def test_what_the_store_has_said_cannot_be_changed(said: object) -> None:
    for field in dataclasses.fields(said):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(said, field.name, None)


def test_a_checksum_says_whether_the_store_has_proved_it() -> None:
    assert str(Checksum("crc32", "AAAAAA==", True)) == "crc32:AAAAAA== (verified by the store)"
    assert "(not verified by the store)" in str(Checksum("crc32", "AAAAAA==", False))
