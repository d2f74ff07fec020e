"""The manifest of an archive: written in pieces, and compared piece by piece."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from s3stream import ArchiveContents, IntegrityError
from s3stream.inventory import Audit, Entry, Ledger, Said, is_piece

Written = list[tuple[str, bytes]]
Auditing = Callable[[list[Written | Entry]], ArchiveContents]
SUM = "0" * 64


def entry(name: str, size: int = 3) -> Entry:
    return Entry(name, f"s3://bucket/{name}", size)


def written(names: list[str], piece_size: int = 1, skipped: int = 0) -> list[Written | Entry]:
    """What lies in an archive: entries, and between them pieces of the manifest."""
    ledger = Ledger(piece_size)
    found: list[Written | Entry] = []
    for name in names:
        found.append(entry(name))
        ledger.record(entry(name), SUM)
        if ledger.is_full:
            found.append([ledger.take()])
    for number in range(skipped):
        ledger.skip(entry(f"gone {number}"), "it is gone")
    found.append([ledger.finish()])
    return found


def audited(archive: list[Written | Entry]) -> ArchiveContents:
    audit = Audit("s3://bucket/a.zip")
    for part in archive:
        if isinstance(part, Entry):
            audit.saw(part.name, part.size, SUM)
        else:
            for name, data in part:
                assert is_piece(name)
                audit.read_piece(name, data)
    return audit.finish()


def audited_in_advance(archive: list[Written | Entry]) -> ArchiveContents:
    """The same, with each piece before the entries that it tells of."""
    audit = Audit("s3://bucket/a.zip", foretold=True)
    entries: list[Entry] = []

    def read() -> None:
        for part in entries:
            said = audit.expect(part.name, part.size)
            assert said is not None
            assert (said.name, said.size, said.sha256) == (part.name, part.size, SUM)
            audit.compare(part.name, part.size, SUM)
            audit.saw(part.name, part.size, SUM)
        entries.clear()

    for part in archive:
        if isinstance(part, Entry):
            entries.append(part)
        else:
            audit.read_piece(*part[0])
            read()
    read()
    return audit.finish()


BOTH = pytest.mark.parametrize("audited", [audited, audited_in_advance])


@BOTH
@given(
    names=st.lists(st.text(min_size=1), max_size=10),
    size=st.integers(1, 2_000),
    skipped=st.integers(0, 3),
)
def test_what_was_recorded_is_what_is_found(
    audited: Auditing, names: list[str], size: int, skipped: int
) -> None:
    contents = audited(written(names, size, skipped))
    assert contents == ArchiveContents(len(names), 3 * len(names), skipped)


@BOTH
@given(
    numbers=st.lists(st.integers(), min_size=1, max_size=8, unique=True),
    data=st.data(),
)
def test_whatever_is_missing_twice_or_out_of_place_is_noticed(
    audited: Auditing, numbers: list[int], data: st.DataObject
) -> None:
    archive = written([str(number) for number in numbers], data.draw(st.integers(1, 400)))
    at = data.draw(st.integers(0, len(archive) - 1))
    how = data.draw(st.sampled_from(["lost", "twice", "swapped"]))
    if how == "lost":
        del archive[at]
    elif how == "twice":
        archive.insert(at, archive[at])
    else:
        other = data.draw(st.integers(0, len(archive) - 1).filter(lambda index: index != at))
        # Read in advance, a piece before its entries is where one expects it.
        kinds = {isinstance(archive[index], Entry) for index in (at, other)}
        assume(audited is not audited_in_advance or len(kinds) == 1)
        archive[at], archive[other] = archive[other], archive[at]
    with pytest.raises(IntegrityError, match=r"^s3://bucket/a\.zip: "):
        audited(archive)


def test_a_piece_is_full_when_its_lines_are_as_long_as_was_said() -> None:
    ledger = Ledger()
    ledger.record(entry("a"), SUM)
    line = ledger.take()[1].splitlines(keepends=True)[1]
    for size, lines in ((1, 1), (len(line), 1), (len(line) + 1, 2), (3 * len(line), 3)):
        ledger = Ledger(size)
        for _piece in range(2):
            for number in range(1, lines + 1):
                ledger.record(entry("a"), SUM)
                assert ledger.is_full == (number == lines)
            ledger.take()
            assert not ledger.is_full


def test_no_piece_is_much_larger_than_was_said() -> None:
    ledger = Ledger(1_000)
    for number in range(100):
        ledger.record(entry(f"{number}"), SUM)
        if ledger.is_full:
            _, data = ledger.take()
            assert 1_000 <= len(data) < 1_300
            assert not ledger.is_full


def test_a_line_tells_all_that_is_known() -> None:
    ledger = Ledger()
    time = datetime(2026, 11, 28, 3, 0, tzinfo=timezone.utc)
    whole = Entry("a", "s3://b/x/a", 3, time, '"e"', "text/plain", {"author": "me"})
    ledger.record(whole, SUM)
    ledger.skip(entry("b"), "it is gone")
    assert ledger.contents == ArchiveContents(1, 3, 1)
    name, data = ledger.finish()
    assert name == ".s3stream-manifest/000001.jsonl"
    assert data.startswith(b'{"s3stream":1,"piece":1}\n')  # for grep too
    assert [json.loads(line) for line in data.splitlines()] == [
        {"s3stream": 1, "piece": 1},
        {
            "name": "a",
            "size": 3,
            "sha256": SUM,
            "source": "s3://b/x/a",
            "modified": "2026-11-28T03:00:00+00:00",
            "etag": '"e"',
            "content_type": "text/plain",
            "metadata": {"author": "me"},
        },
        {"skipped": "b", "source": "s3://bucket/b", "reason": "it is gone"},
        {"end": {"entries": 1, "size": 3, "skipped": 1}},
    ]


@pytest.mark.parametrize(
    ("size", "checksum", "said"),
    [
        (4_000, SUM, f"4,000 bytes with SHA-256 {SUM}, its manifest says 3 with {SUM}"),
        (3, "1" * 64, f"3 bytes with SHA-256 {'1' * 64}, its manifest says 3 with {SUM}"),
        (4, None, f"4 bytes, its manifest says 3 with {SUM}"),
    ],
)
def test_an_entry_that_is_another_is_named(size: int, checksum: str | None, said: str) -> None:
    audit = Audit("a.zip")
    audit.saw("a", size, checksum)
    ledger = Ledger()
    ledger.record(entry("a"), SUM)
    with pytest.raises(IntegrityError) as caught:
        audit.read_piece(*ledger.finish())
    assert str(caught.value) == f"a.zip: 'a' is not what was archived: {said}"


def test_a_wrong_entry_is_known_to_be_one_as_soon_as_it_was_read() -> None:
    ledger = Ledger()
    ledger.record(replace(entry("a"), content_type="text/plain", metadata={"b": "c"}), SUM)
    audit = Audit("a.zip", foretold=True)
    audit.read_piece(*ledger.finish())
    told = audit.expect("a", 3)
    assert told == Said("a", 3, SUM, "text/plain", {"b": "c"})
    with pytest.raises(IntegrityError, match="'a' is not what was archived: 3 bytes with SHA-256"):
        audit.compare("a", 3, "1" * 64)
    audit.compare("a", 3, SUM)
    with pytest.raises(IntegrityError, match="'a' is not what was archived: 3 bytes with SHA-256"):
        audit.saw("a", 3, "1" * 64)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("b", 3, "'b' stands where its manifest has 'a'"),
        ("a", 4, "'a' is not what was archived: 4 bytes, its manifest says 3"),
    ],
)
def test_another_entry_is_refused_before_it_is_read(name: str, size: int, said: str) -> None:
    ledger = Ledger()
    ledger.record(entry("a"), SUM)
    audit = Audit("a.zip", foretold=True)
    audit.read_piece(*ledger.finish())
    with pytest.raises(IntegrityError, match=said):
        audit.expect(name, size)


def test_an_entry_of_which_nothing_is_told_is_refused_before_it_is_read() -> None:
    with pytest.raises(IntegrityError, match="it has no manifest"):
        Audit("a.zip", foretold=True).expect("a", 3)
    for piece, said in ((Ledger().finish(), "'a' comes after the end"), ((PIECE, HEAD), "'a' is ")):
        audit = Audit("a.zip", foretold=True)
        audit.read_piece(*piece)
        with pytest.raises(IntegrityError, match=said):
            audit.expect("a", 3)
    # Where the pieces come behind nothing is known yet.
    assert Audit("a.tar").expect("a", 3) is None


def test_an_entry_that_was_passed_over_counts_by_its_name_and_size() -> None:
    audit = Audit("a.zip")
    audit.saw("a", 3, None)
    ledger = Ledger()
    ledger.record(entry("a"), SUM)
    audit.read_piece(*ledger.finish())
    assert audit.finish() == ArchiveContents(1, 3, 0)


def test_of_a_swapped_entry_both_names_are_said() -> None:
    audit = Audit("a.zip")
    audit.saw("a", 3, SUM)
    ledger = Ledger()
    ledger.record(entry("b"), SUM)
    with pytest.raises(IntegrityError, match=r"^a\.zip: 'a' stands where its manifest has 'b'$"):
        audit.read_piece(*ledger.finish())


def test_an_entry_that_nobody_recorded_is_named() -> None:
    audit = Audit("a.zip")
    audit.saw("a", 3, SUM)
    with pytest.raises(IntegrityError, match=r"^a\.zip: 'a' is not in its manifest$"):
        audit.read_piece(*Ledger().finish())


def test_an_entry_behind_the_end_is_named() -> None:
    audit = Audit("a.zip")
    audit.read_piece(*Ledger().finish())
    with pytest.raises(IntegrityError, match="'late' comes after the end of its manifest"):
        audit.saw("late", 3, SUM)


def test_a_manifest_without_an_end_is_cut_off() -> None:
    audit = Audit("a.zip")
    audit.read_piece(*Ledger().take())
    with pytest.raises(IntegrityError, match="its manifest has no end: the archive is cut off"):
        audit.finish()


PIECE = ".s3stream-manifest/000001.jsonl"
HEAD = b'{"s3stream":1,"piece":1}\n'
LINE = b'{"name":"x","size":1,"sha256":"0"'


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (PIECE, b"", f"'{PIECE}' is not lines of JSON objects"),
        (PIECE, b"[]\n", f"'{PIECE}' is not lines of JSON objects"),
        (PIECE, b"{half\n", f"'{PIECE}' cannot be read"),
        (PIECE, b"\xff\n", f"'{PIECE}' cannot be read"),
        (PIECE, b'{"s3stream":2,"piece":1}\n', f"'{PIECE}' is no manifest of version 1"),
        (
            PIECE.replace("1", "2"),
            HEAD,
            f"its manifest goes on with '{PIECE.replace('1', '2')}', where '{PIECE}' should be",
        ),
        (PIECE, HEAD + b'{"end":{}}\n{"skipped":"x"}\n', "goes on after its end"),
        (
            PIECE,
            HEAD + b'{"name":"x","size":1,"sha256":"0"}\n',
            "'x' is in its manifest and not in the archive",
        ),
        (PIECE, HEAD + b"[" * 100_000 + b"\n", "cannot be read"),
        (PIECE, HEAD + b"{}\n", "it says of None what no archive of ours does"),
        (PIECE, HEAD + b'{"name":"x","size":"1","sha256":"0"}\n', "it says of 'x' what no"),
        (PIECE, HEAD + LINE + b',"content_type":1}\n', "it says of 'x' what no"),
        (PIECE, HEAD + LINE + b',"metadata":["a"]}\n', "it says of 'x' what no"),
        (PIECE, HEAD + LINE + b',"metadata":{"a":1}}\n', "it says of 'x' what no"),
    ],
)
def test_a_manifest_that_is_none_is_refused(name: str, data: bytes, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        Audit("a.zip").read_piece(name, data)


def test_a_wrong_count_at_the_end_is_noticed() -> None:
    audit = Audit("a.zip")
    audit.read_piece(PIECE, HEAD + b'{"end":{"entries":1,"size":0,"skipped":0}}\n')
    said = (
        "a.zip: it holds {'entries': 0, 'size': 0, 'skipped': 0}, and was made with"
        " {'entries': 1, 'size': 0, 'skipped': 0}"
    )
    with pytest.raises(IntegrityError, match=f"^{re.escape(said)}$"):
        audit.finish()


def test_an_archive_without_a_manifest_is_said_to_have_none() -> None:
    audit = Audit("a.zip")
    audit.saw("a", 3, SUM)
    with pytest.raises(IntegrityError, match="made by something else, or is cut off"):
        audit.finish()


def test_entries_without_end_are_not_remembered_without_end() -> None:
    audit = Audit("a.tar")
    for number in range(20_000):
        audit.saw(str(number), 0, None)
    with pytest.raises(IntegrityError, match="20,000 entries follow each other without a manifest"):
        audit.saw("one more", 0, None)


def test_only_what_lies_in_the_folder_of_the_manifest_is_a_piece_of_it() -> None:
    assert is_piece(PIECE)
    for name in (".s3stream-manifest", ".s3stream-manifests/1", f"a/{PIECE}", "", "a"):
        assert not is_piece(name)
