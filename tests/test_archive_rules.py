"""What goes into an archive, and of which format it is: decided without one."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3stream import UsageError
from s3stream.archiving.choosing import Choice, check_memory_limit
from s3stream.archiving.formats import (
    FORMATS,
    HEAD,
    choose_compression,
    choose_format,
    format_of,
)
from s3stream.inventory import Entry

# -- the format, by the name


@pytest.mark.parametrize(
    ("dest", "format"),
    [
        ("s3://b/a.zip", "zip"),
        ("s3://b/a.ZIP", "zip"),
        ("a.tar", "tar"),
        ("a.tar.gz", "tar.gz"),
        ("a.tgz", "tar.gz"),
        ("a.Tar.Zst", "tar.zst"),
        ("a.tzst", "tar.zst"),
        ("a.zip.tar", "tar"),
    ],
)
def test_the_name_means_a_format_unless_one_is_said(dest: str, format: str) -> None:
    assert choose_format(dest, None) == format
    for said in FORMATS:
        assert choose_format(dest, said) == said


@pytest.mark.parametrize("dest", ["a", "a.gz", "a.zip/b", "zip", "a.tar.xz"])
def test_a_name_that_means_none_is_told_which_do(dest: str) -> None:
    known = ".zip, .tar, .tar.gz, .tgz, .tar.zst, .tzst"
    said = f"{dest!r}: its name means no format of archives ({known}); say format="
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        choose_format(dest, None)
    assert choose_format(dest, "tar") == "tar"


def test_a_format_that_is_none_is_told_which_are() -> None:
    said = "format='rar': expected one of 'zip', 'tar', 'tar.gz', 'tar.zst'"
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        choose_format("a.zip", "rar")


def test_only_a_zip_has_a_compression_to_choose() -> None:
    for format in FORMATS:
        assert choose_compression(format, None) == "deflated"
    for asked in ("stored", "deflated"):
        assert choose_compression("zip", asked) == asked
        for format in ("tar", "tar.gz", "tar.zst"):
            with pytest.raises(UsageError, match=f"compression='{asked}': that is for format"):
                choose_compression(format, asked)
    with pytest.raises(UsageError, match="compression='lzma': expected 'deflated' or 'stored'"):
        choose_compression("zip", "lzma")


# -- the format, by the first bytes


def made(kind: str, *, with_a_file: bool = True) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            if with_a_file:
                archive.writestr("a", b"x")
    else:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(tarfile.TarInfo("ä"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (made("zip"), "zip"),
        (made("zip", with_a_file=False), "zip"),
        (made("tar"), "tar"),
        (gzip.compress(made("tar")), "tar.gz"),
        (b"\x28\xb5\x2f\xfd" + bytes(HEAD), "tar.zst"),
        (b"", None),
        (b"PK", None),
        (b" " + made("zip"), None),
        (bytes(2 * HEAD), None),
        (b" " + made("tar"), None),
        (b"\x1f\x8c" + bytes(HEAD), None),
    ],
)
def test_the_first_bytes_tell_the_format(data: bytes, format: str | None) -> None:
    assert format_of(data[:HEAD]) == format


# -- what is taken


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ({}, ["a.csv", "b/a.csv", "b/c.txt", "d.CSV"]),
        ({"include": "*.csv"}, ["a.csv", "b/a.csv"]),
        ({"include": "a.csv"}, ["a.csv"]),
        ({"include": "csv"}, []),  # all of the name, not a piece of it
        ({"include": ["*.txt", "d*"]}, ["b/c.txt", "d.CSV"]),
        ({"include": {"b/*": 1}.keys()}, ["b/a.csv", "b/c.txt"]),
        ({"include": ()}, ["a.csv", "b/a.csv", "b/c.txt", "d.CSV"]),
        ({"exclude": "b/*"}, ["a.csv", "d.CSV"]),
        ({"exclude": ["*.csv", "*.txt"]}, ["d.CSV"]),
        ({"exclude": ["?", "[ab].csv"]}, ["b/a.csv", "b/c.txt", "d.CSV"]),
        ({"exclude": "b"}, ["a.csv", "b/a.csv", "b/c.txt", "d.CSV"]),
        ({"include": "*.csv", "exclude": "b/*"}, ["a.csv"]),
        ({"include": "b/*", "exclude": "*.txt"}, ["b/a.csv"]),
    ],
)
def test_names_are_taken_by_globs(choice: dict[str, Any], taken: list[str]) -> None:
    chosen = Choice(**choice)
    names = ["a.csv", "b/a.csv", "b/c.txt", "d.CSV"]
    assert [name for name in names if chosen.takes(name)] == taken
    assert [name for name in names if chosen.takes_entry(name, Entry(name, "s3://b", 0))] == taken


def test_globs_may_come_one_by_one() -> None:
    chosen = Choice(include=iter(["a*", "b*"]), exclude=(glob for glob in ("*.txt",)))
    for _ in range(2):
        assert [name for name in ("a", "b", "b.txt", "c") if chosen.takes(name)] == ["a", "b"]


@pytest.mark.parametrize("what", ["include", "exclude"])
@pytest.mark.parametrize(
    ("globs", "said"),
    [
        (3, "=3: expected a glob such as '*.csv', or several"),
        (None, "=None: expected a glob such as '*.csv', or several"),
        (["*", ""], "='': expected a glob such as '*.csv'"),
        ([b"*"], "=b'*': expected a glob such as '*.csv'"),
    ],
)
def test_what_is_no_glob_is_refused(what: str, globs: Any, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(what + said)}$"):
        Choice(**{what: globs})


SINCE = datetime(2026, 11, 28, 3, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("modified", "taken"),
    [
        (SINCE, True),
        (SINCE - timedelta(microseconds=1), False),
        (SINCE + timedelta(days=1), True),
        (SINCE.astimezone(timezone(timedelta(hours=9))), True),
    ],
)
def test_what_was_written_since_then_is_taken(modified: datetime, taken: bool) -> None:
    entry = Entry("a.csv", "s3://b/a.csv", 3, modified)
    assert Choice(since=SINCE).takes_entry("a.csv", entry) is taken
    assert Choice(since=SINCE, include="*.csv").takes_entry("a.csv", entry) is taken
    assert not Choice(since=SINCE, include="*.txt").takes_entry("a.csv", entry)


def test_what_has_no_time_is_not_passed_over_in_silence() -> None:
    entry = Entry("a.csv", "memory://a.csv", 3)
    with pytest.raises(UsageError, match=r"nobody can tell when memory://a\.csv was last written"):
        Choice(since=SINCE).takes_entry("a.csv", entry)
    assert Choice().takes_entry("a.csv", entry)


@pytest.mark.parametrize("since", [SINCE.replace(tzinfo=None), "yesterday", 0, SINCE.date()])
def test_a_time_needs_a_zone(since: Any) -> None:
    said = f"since={since!r}: expected a datetime with a time zone, such as"
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        Choice(since=since)


def test_memory_is_a_mebibyte_or_more() -> None:
    for limit in (1 << 20, 1 << 40):
        check_memory_limit(limit)
    for wrong in ((1 << 20) - 1, 0, -1, True, None, 2e6, "64MiB"):
        said = f"memory_limit={wrong!r}: expected a whole number of bytes, at least 1 MiB"
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
            check_memory_limit(wrong)
