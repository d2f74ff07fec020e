"""The life of an upload, row by row, and what may be completed."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.checksums import ALGORITHMS
from s3stream.errors import S3StreamError, UncertainError
from s3stream.state import Checksum, Event, Phase, Receipt, UploadResult, UploadState, combined_crc

# Written down a second time on purpose: whoever changes the life of an upload does it twice.
LIFE = """
            | cut        fail    commit     lose-sight  discard  suspend
fresh       | streaming  failed  committed  uncertain   aborted  -
streaming   | streaming  failed  committed  uncertain   aborted  suspended
failed      | -          failed  -          -           aborted  -
uncertain   | -          -       -          -           -        -
committed   | -          -       -          -           -        -
aborted     | -          -       -          -           -        -
suspended   | -          -       -          -           -        -
"""

# The events that lead to each phase.
WAYS = {
    Phase.FRESH: [],
    Phase.STREAMING: [Event.CUT],
    Phase.FAILED: [Event.CUT, Event.FAIL],
    Phase.UNCERTAIN: [Event.CUT, Event.LOSE_SIGHT],
    Phase.COMMITTED: [Event.CUT, Event.COMMIT],
    Phase.ABORTED: [Event.DISCARD],
    Phase.SUSPENDED: [Event.CUT, Event.SUSPEND],
}

RESULT = UploadResult("bucket", "key", '"etag"', None, 9, 1, None)


def rows() -> list[tuple[Phase, Event, Phase | None]]:
    head, *lines = (line.split("|") for line in LIFE.strip("\n").splitlines())
    events = [Event(name.replace("-", " ")) for name in head[1].split()]
    return [
        (Phase(name.strip()), event, None if cell == "-" else Phase(cell))
        for name, cells in lines
        for event, cell in zip(events, cells.split(), strict=True)
    ]


def state_in(phase: Phase) -> UploadState:
    state = UploadState()
    for event in WAYS[phase]:
        state.on(event)
    assert state.phase is phase
    return state


def receipt(number: int, size: int = 1, crc: int | None = None) -> Receipt:
    return Receipt(number, size, f'"etag-{number}"', crc)


def test_the_table_here_has_every_phase_and_event() -> None:
    assert [row[:2] for row in rows()] == [(phase, event) for phase in Phase for event in Event]


@pytest.mark.parametrize(
    ("phase", "event", "after"),
    [pytest.param(*row, id=f"{row[0].value}, {row[1].value}") for row in rows()],
)
def test_an_event_leads_where_the_table_says_or_is_refused(
    phase: Phase, event: Event, after: Phase | None
) -> None:
    state = state_in(phase)
    if after is not None:
        state.on(event)
        assert state.phase is after
        return
    with pytest.raises(RuntimeError) as caught:
        state.on(event)
    assert str(caught.value) == f"cannot {event.value} an upload that is {phase.value}"
    assert state.phase is phase


def test_the_first_error_is_kept() -> None:
    state = state_in(Phase.STREAMING)
    first = S3StreamError("first")
    state.fail(first)
    state.fail(S3StreamError("second"))
    assert state.error is first
    state.on(Event.DISCARD)
    assert state.error is first


def test_a_commit_whose_fate_is_unknown_is_remembered_with_its_error() -> None:
    state = state_in(Phase.STREAMING)
    error = UncertainError("no answer")
    state.lose_sight(error)
    assert state.phase is Phase.UNCERTAIN
    assert state.error is error


def test_a_commit_brings_the_result() -> None:
    state = state_in(Phase.STREAMING)
    assert state.result is None
    state.commit(RESULT)
    assert state.phase is Phase.COMMITTED
    assert state.result is RESULT


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ABORTED, Phase.UNCERTAIN])
def test_what_cannot_be_committed_gets_no_result(phase: Phase) -> None:
    state = state_in(phase)
    with pytest.raises(RuntimeError, match=f"cannot commit an upload that is {phase.value}"):
        state.commit(RESULT)
    assert state.result is None


@pytest.mark.parametrize("phase", [Phase.COMMITTED, Phase.ABORTED, Phase.UNCERTAIN])
def test_what_is_over_gets_no_error(phase: Phase) -> None:
    state = state_in(phase)
    before = state.error
    for late in (state.fail, state.lose_sight):
        with pytest.raises(RuntimeError, match=f"an upload that is {phase.value}"):
            late(S3StreamError("late"))
        assert state.error is before


@given(st.permutations(range(1, 30)))
def test_the_manifest_is_in_order_whatever_the_order_of_acceptance(numbers: list[int]) -> None:
    state = UploadState()
    for number in numbers:
        state.accept(receipt(number, size=number))
    assert state.parts_accepted == len(numbers)
    manifest = state.manifest(sum(numbers))
    assert [accepted.part_number for accepted in manifest] == list(range(1, 30))
    assert [accepted.size for accepted in manifest] == list(range(1, 30))


@given(count=st.integers(1, 20), data=st.data())
def test_a_gap_is_refused_with_the_first_missing_number(count: int, data: st.DataObject) -> None:
    missing = data.draw(st.sets(st.integers(1, count), min_size=1), label="missing")
    state = UploadState()
    for number in range(1, count + 2):
        if number not in missing:
            state.accept(receipt(number))
    with pytest.raises(S3StreamError, match=f"^part {min(missing)} was never accepted"):
        state.manifest(count + 1 - len(missing))


@pytest.mark.parametrize("size", [0, 5])
def test_an_upload_without_parts_is_refused(size: int) -> None:
    with pytest.raises(S3StreamError, match="part 1 was never accepted"):
        UploadState().manifest(size)


@pytest.mark.parametrize("written", [0, 2_999, 3_001, 5_000])
def test_parts_that_do_not_make_up_the_object_are_refused_with_the_numbers(written: int) -> None:
    state = UploadState()
    state.accept(receipt(1, size=2_000))
    state.accept(receipt(2, size=1_000))
    with pytest.raises(S3StreamError, match=f"3,000 bytes, but {written:,} were written"):
        state.manifest(written)
    assert len(state.manifest(3_000)) == 2


def test_a_part_that_was_sent_again_counts_once() -> None:
    state = UploadState()
    state.accept(receipt(1, size=5))
    again = Receipt(1, 5, '"newer"', None)
    state.accept(again)
    assert state.manifest(5) == [again]
    assert state.parts_accepted == 1


@pytest.mark.parametrize("name", ALGORITHMS)
@given(parts=st.lists(st.binary(max_size=100), max_size=12))
def test_the_crcs_of_the_parts_make_the_crc_of_the_object(name: str, parts: list[bytes]) -> None:
    algorithm = ALGORITHMS[name]
    receipts = [
        receipt(number, len(part), algorithm.compute(part)) for number, part in enumerate(parts, 1)
    ]
    whole = list(accumulate(parts, initial=b""))[-1]
    assert combined_crc(receipts, algorithm) == algorithm.compute(whole)


def test_a_checksum_says_whether_the_store_has_said_the_same() -> None:
    verified = Checksum("crc32c", "4waSgw==", verified=True)
    assert str(verified) == "crc32c:4waSgw== (verified by the store)"
    unproved = Checksum("crc32c", "4waSgw==", verified=False)
    assert str(unproved) == "crc32c:4waSgw== (not verified by the store)"
    assert repr(verified) == "Checksum(algorithm='crc32c', value='4waSgw==', verified=True)"
