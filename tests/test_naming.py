"""Names of entries: safe wherever they are unpacked, and no two alike."""

from __future__ import annotations

import ntpath
import posixpath
import re
import tracemalloc
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import UsageError
from s3stream.naming import MANIFEST_FOLDER, Names, is_safe, safe_name

_NASTY = [
    "/",
    "//",
    "..",
    ".",
    "C:",
    "c:",
    "0",
    ":",
    "\\",
    "a",
    "b.txt",
    "%2F",
    "%",
    "ü",
    "日本",
    "👩\u200d👩\u200d👧",
    "~",
]
_INVISIBLE = ["\0", "\n", "\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\udcff", " "]
NASTY = st.lists(st.sampled_from([*_NASTY, *_INVISIBLE, MANIFEST_FOLDER])).map("".join)
KEYS = st.one_of(NASTY, st.text(max_size=30))


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b.txt", "a/b.txt"),
        ("a/", "a/"),
        ("", ""),
        ("/", "%2F/"),
        ("//", "%2F%2F/"),
        ("/etc/passwd", "%2Fetc/passwd"),
        ("a//b", "a/%2Fb"),
        ("a///b", "a/%2F%2Fb"),
        ("a//", "a/%2F/"),
        ("../../x", "%2E%2E/%2E%2E/x"),
        ("a/./b/..", "a/%2E/b/%2E%2E"),
        ("a/.../b..c/.d", "a/.../b..c/.d"),
        ("C:/Windows", "C%3A/Windows"),
        ("c:x", "c%3Ax"),
        ("0:x", "0%3Ax"),
        ("é:x", "é%3Ax"),
        ("::x", "%3A:x"),
        ("a/C:/x", "a/C:/x"),
        ("12:30/x", "12:30/x"),
        ("a\\..\\b", "a%5C..%5Cb"),
        ("a\nb\x00\x7f\x85", "a%0Ab%00%7F%C2%85"),
        ("invoice\u202efdp.exe", "invoice%E2%80%AEfdp.exe"),
        ("not utf-8: \udcff", "not utf-8: %FF"),
        ("not utf-8: \udc80", "not utf-8: %80"),
        ("half: \ud800", "half: %ED%A0%80"),
        ("half: \udc7f\udd00", "half: %ED%B1%BF%ED%B4%80"),
        ("100%", "100%"),
        ("grün/日本/👩‍👩‍👧", "grün/日本/👩‍👩‍👧"),
        (f"{MANIFEST_FOLDER}/000001.jsonl", f"%2E{MANIFEST_FOLDER[1:]}/000001.jsonl"),
        (f"{MANIFEST_FOLDER.upper()}/x", f"%2E{MANIFEST_FOLDER[1:].upper()}/x"),
        (f"x/{MANIFEST_FOLDER}", f"x/{MANIFEST_FOLDER}"),
    ],
)
def test_what_could_lead_outside_is_encoded_and_all_else_stays(key: str, name: str) -> None:
    assert safe_name(key) == name
    assert is_safe(name) is (name != "")
    assert is_safe(key) is (key == name != "")


@given(KEYS)
def test_no_key_leads_outside_or_hides_what_it_is(key: str) -> None:
    name = safe_name(key)
    if not key:
        return
    components = name.removesuffix("/").split("/")
    assert not {"", ".", ".."} & set(components)
    assert not ntpath.splitdrive(name)[0]
    assert not ntpath.isabs(name)
    assert not posixpath.isabs(name)
    assert not re.search("[\\x00-\\x1f\\x7f-\\x9f\\\\\u2028\u2029\u202a-\u202e\u2066-\u2069]", name)
    assert components[0].lower() != MANIFEST_FOLDER
    name.encode("utf-8")
    assert name.endswith("/") == key.endswith("/")


@given(KEYS)
def test_a_safe_name_is_left_as_it_is(key: str) -> None:
    assert safe_name(safe_name(key)) == safe_name(key)


@given(NASTY.filter(lambda key: "%" not in key and not key.endswith("/")))
def test_a_key_can_be_told_from_its_name(key: str) -> None:
    as_bytes = b"".join(
        character.encode(
            "utf-8", "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"
        )
        for character in key
    )
    found = unquote_to_bytes(safe_name(key).encode())
    # Of doubled slashes one is a separator already.
    assert found == as_bytes


def model(names: list[str]) -> int | None:
    """Which name is the first that cannot stand beside those before it."""
    files: set[str] = set()
    folders: set[str] = set()
    for index, name in enumerate(names):
        bare = name.rstrip("/")
        parts = bare.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if name.endswith("/"):
            above.add(bare)
        elif bare in folders or bare in files:
            return index
        if above & files:
            return index
        folders |= above
        if not name.endswith("/"):
            files.add(bare)
    return None


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "aX", "b"]), min_size=1, max_size=3)
        .map("/".join)
        .flatmap(lambda name: st.sampled_from([name, name + "/"])),
        max_size=8,
    )
)
def test_two_of_one_name_and_a_file_that_is_a_folder_are_refused(names: list[str]) -> None:
    taken = Names()
    refused = model(names)
    for name in names[:refused]:
        taken.add(name)
    if refused is not None:
        with pytest.raises(UsageError, match="exclude="):
            taken.add(names[refused])


def test_names_that_begin_alike_are_two() -> None:
    taken = Names()
    for name in ("a", "aX", "b/a", "b/aX/", "bX/a"):
        taken.add(name)
    with pytest.raises(UsageError, match="'aX'"):
        taken.add("aX/")


def test_names_that_no_encoding_takes_are_told_apart_too() -> None:
    taken = Names()  # as they come out of an archive of somebody else's
    for name in ("\udcff", "\udcfe", "\ud800"):
        taken.add(name)
        with pytest.raises(UsageError, match="two entries"):
            taken.add(name)


def test_thousands_of_names_in_any_order_are_told_apart() -> None:
    # Enough for the table to grow several times.
    names = [f"folder {number % 7}/{number * 7919 % 5_003}" for number in range(5_000)]
    taken = Names()
    for name in names:
        taken.add(name)
    for name in names[::97]:
        with pytest.raises(UsageError, match=re.escape(repr(name))):
            taken.add(name)


def test_a_clash_says_what_to_leave_out() -> None:
    taken = Names()
    taken.add("a/b")
    with pytest.raises(UsageError) as caught:
        taken.add("a")
    assert str(caught.value) == (
        "'a' would be a file in the archive and the folder of other entries too, which no file"
        " system can unpack: leave one out with exclude='a' or exclude='a/*'"
    )
    for below in ("a/b/c", "a/b/c/d", "a/b/"):
        with pytest.raises(UsageError, match=r"exclude='a/b' or exclude='a/b/\*'$"):
            taken.add(below)
    with pytest.raises(UsageError, match=r"^two entries would have the name 'a/b' in the archive"):
        taken.add("a/b")


def test_a_name_costs_no_more_than_some_forty_bytes() -> None:
    count = 4_000
    tracemalloc.start()
    try:
        taken = Names()
        for number in range(count):
            taken.add(f"a folder with a long name/{number}")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 43 * count + 2_000
