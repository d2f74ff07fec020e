"""The rules of the tus server, without one: headers, metadata, keys, ranges, records."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import Checkpoint, Receipt, UsageError
from s3stream.checkpoint import CHECKPOINTED, Tail
from s3stream.options import WriteOptions
from s3stream.tus.describing import check_key, check_prefix, parameters_for
from s3stream.tus.protocol import (
    Checksum,
    Creation,
    Patch,
    Refused,
    check_once,
    check_version,
    checksum_of,
    conflict,
    creation_of,
    fits,
    is_id,
    metadata_of,
    method_of,
    patch_of,
)
from s3stream.tus.ranges import Piece, Range, plan
from s3stream.tus.record import Kind, Record, Status, Whole, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX = 1000
ID, OTHER = "0123456789abcdef" * 2, "f" * 32
OCTETS = {"content-type": "application/offset+octet-stream"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextmanager
def refused(status: int, match: str = ".") -> Iterator[pytest.ExceptionInfo[Refused]]:
    with pytest.raises(Refused, match=match) as caught:
        yield caught
    assert caught.value.status == status
    assert caught.value.sentence == str(caught.value)  # what the client reads


# -- headers


def test_another_version_is_refused() -> None:
    check_version({"tus-resumable": "1.0.0"})
    for headers, match in (
        ({}, r"^no Tus-Resumable: this server speaks 1\.0\.0$"),
        ({"tus-resumable": "0.2.2"}, r"^another version in Tus-Resumable: this server speaks 1"),
    ):
        with refused(412, match) as caught:
            check_version(headers)
        assert caught.value.headers == {"Tus-Version": "1.0.0"}


def test_what_counts_once_is_said_once() -> None:
    check_once(["host", "upload-length", "x-forwarded-for", "x-forwarded-for", "upload-metadata"])
    for name in ("upload-length", "upload-metadata", "content-type", "tus-resumable"):
        with refused(400, f"^{name.title()}: it is there twice"):
            check_once(["host", name, "x", name])


def test_a_method_may_stand_in_a_header() -> None:
    assert method_of("PATCH", {"x-http-method-override": "DELETE"}) == "PATCH"
    assert method_of("POST", {}) == "POST"
    for meant in ("PATCH", "DELETE", "HEAD"):
        assert method_of("POST", {"x-http-method-override": meant}) == meant
        assert method_of("POST", {"x-http-method-override": meant.lower()}) == meant
    with refused(400, "X-HTTP-Method-Override: expected PATCH, DELETE or HEAD"):
        method_of("POST", {"x-http-method-override": "TRACE"})


@pytest.mark.parametrize(
    ("headers", "creation"),
    [
        ({"upload-length": "0"}, Creation(0, {}, "")),
        ({"upload-length": "1000", "content-length": "0"}, Creation(1000, {}, "")),
        ({"upload-defer-length": "1"}, Creation(None, {}, "")),
        (
            {"upload-length": "3", "content-length": "2", **OCTETS},
            Creation(3, {}, "", carries_bytes=True),
        ),
        (
            {"upload-length": "3", "content-length": "3", **OCTETS},
            Creation(3, {}, "", carries_bytes=True),
        ),
        (
            {"upload-length": "3", "upload-metadata": "a YQ==,b"},
            Creation(3, {"a": "a", "b": ""}, "a YQ==,b"),
        ),
        (
            {"upload-length": "3", "transfer-encoding": "chunked", **OCTETS},
            Creation(3, {}, "", carries_bytes=True),
        ),
        (
            {"upload-length": "3", "upload-concat": "partial"},
            Creation(3, {}, "", partial=True, raw_concat="partial"),
        ),
        (
            {"upload-defer-length": "1", "upload-concat": " partial "},
            Creation(None, {}, "", partial=True, raw_concat="partial"),
        ),
        (
            {"upload-concat": f" final ;/{ID}?a=/b", "upload-metadata": "a YQ=="},
            Creation(None, {"a": "a"}, "a YQ==", parts=(ID,), raw_concat=f"final ;/{ID}?a=/b"),
        ),
        (
            {"upload-concat": f"final;/files;a=b/{ID}"},
            Creation(None, {}, "", parts=(ID,), raw_concat=f"final;/files;a=b/{ID}"),
        ),
        (
            {"upload-concat": f"final; /files/{ID}  https://x.example:1/y/{OTHER}/"},
            Creation(
                None,
                {},
                "",
                parts=(ID, OTHER),
                raw_concat=f"final; /files/{ID}  https://x.example:1/y/{OTHER}/",
            ),
        ),
    ],
)
def test_what_a_post_asks_for(headers: dict[str, str], creation: Creation) -> None:
    assert creation_of(headers, MAX) == creation


@pytest.mark.parametrize(
    ("headers", "status", "match"),
    [
        ({}, 400, "expected one of Upload-Length and Upload-Defer-Length"),
        ({"upload-length": "1", "upload-defer-length": "1"}, 400, "expected one of"),
        ({"upload-defer-length": "2"}, 400, "Upload-Defer-Length: expected 1"),
        ({"upload-length": "1001"}, 413, "at most 1,000"),
        ({"upload-length": "-1"}, 400, "Upload-Length: expected a whole number"),
        ({"upload-length": "+1"}, 400, "Upload-Length"),
        ({"upload-length": "1_0"}, 400, "Upload-Length"),
        ({"upload-length": "\u0661"}, 400, "Upload-Length"),
        ({"upload-length": ""}, 400, "Upload-Length"),
        ({"upload-length": "1" * 19}, 400, "Upload-Length"),
        ({"upload-length": "3", "content-length": "x", **OCTETS}, 400, "Content-Length: expected"),
        ({"upload-length": "3", "upload-metadata": "a !"}, 400, "Upload-Metadata"),
        ({"upload-length": "3", "content-length": "2"}, 415, "Content-Type: expected"),
        ({"upload-length": "3", "content-length": "4", **OCTETS}, 413, "more than Upload-Length"),
        ({"upload-length": "3", "upload-concat": "both"}, 400, "Upload-Concat"),
        ({"upload-concat": "final;"}, 400, "Upload-Concat"),
        ({"upload-concat": f"finally;/files/{ID}"}, 400, "Upload-Concat"),
        ({"upload-concat": f"final;/files/{ID} /{ID}"}, 400, "twice"),
        ({"upload-concat": f"final;/files/{ID[:-1]}"}, 400, "none of this server"),
        ({"upload-concat": f"final;/files/{ID}X"}, 400, "none of this server"),
        ({"upload-concat": "final;http://["}, 400, "none of this server"),
        ({"upload-concat": f"final;/{ID}", "upload-length": "1"}, 400, "say none"),
        ({"upload-concat": f"final;/{ID}", "upload-defer-length": "1"}, 400, "say none"),
        (
            {"upload-concat": f"final;/{ID}", "content-length": "1", **OCTETS},
            400,
            "send no bytes",
        ),
    ],
)
def test_what_a_post_may_not_ask_for(headers: dict[str, str], status: int, match: str) -> None:
    with refused(status, match):
        creation_of(headers, MAX)


@pytest.mark.parametrize(
    ("headers", "status", "match"),
    [
        ({"upload-offset": "0"}, 415, "Content-Type: expected application/offset"),
        ({"upload-offset": "0", "content-type": "text/plain"}, 415, "Content-Type: expected"),
        (OCTETS, 400, "no Upload-Offset: say at which byte"),
        ({**OCTETS, "upload-offset": "x"}, 400, "Upload-Offset: expected a whole number"),
        ({**OCTETS, "upload-offset": "0", "upload-length": "x"}, 400, "Upload-Length: expected a"),
        ({**OCTETS, "upload-offset": "0", "upload-length": "1001"}, 413, "at most 1,000 bytes"),
        ({**OCTETS, "upload-offset": "0", "upload-checksum": "sha1"}, 400, "expected sha1 and its"),
        (
            {**OCTETS, "upload-offset": "0", "upload-checksum": "crc7 AAAA"},
            400,
            "Upload-Checksum: expected one of sha1, sha256, sha512, md5$",
        ),
        ({**OCTETS, "upload-offset": "0", "upload-checksum": "md5 !"}, 400, "its 16 bytes in base"),
        ({**OCTETS, "upload-offset": "0", "upload-checksum": "md5 AAAA"}, 400, "its 16 bytes in b"),
    ],
)
def test_what_a_patch_may_not_say(headers: dict[str, str], status: int, match: str) -> None:
    with refused(status, match):
        patch_of(headers, MAX)


def test_what_a_patch_says() -> None:
    headers = {**OCTETS, "upload-offset": "3", "content-length": "2", "upload-length": "5"}
    assert patch_of(headers, MAX) == Patch(3, 2, 5, None)
    typed = {"content-type": " Application/Offset+Octet-Stream "}
    assert patch_of({**typed, "upload-offset": "0"}, MAX) == Patch(0, 0, None, None)
    chunked = {**OCTETS, "upload-offset": "0", "transfer-encoding": "chunked"}
    assert patch_of(chunked, MAX) == Patch(0, None, None, None)
    assert patch_of({**chunked, "upload-length": str(MAX)}, MAX) == Patch(0, None, MAX, None)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
def test_a_patch_says_what_its_bytes_must_be(algorithm: str) -> None:
    digest = hashlib.new(algorithm, b"bytes").digest()
    for said in ("{} {}", " {} {} "):
        header = said.format(algorithm, base64.b64encode(digest).decode())
        assert checksum_of({"upload-checksum": header}) == Checksum(algorithm, digest)
    assert checksum_of({}) is None


def test_who_comes_for_another_offset_is_told_the_right_one() -> None:
    refusal = conflict(7_000)
    assert (refusal.status, refusal.headers) == (409, {"Upload-Offset": "7000"})
    assert refusal.sentence == "Upload-Offset: the upload stands at 7,000"


@pytest.mark.parametrize(
    ("patch", "length", "left"),
    [
        (Patch(0, None, None, None), 10, 10),
        (Patch(4, 6, None, None), 10, 6),
        (Patch(4, 0, 10, None), 10, 6),
        (Patch(4, 0, 10, None), None, 6),
        (Patch(4, 0, 4, None), None, 0),
        (Patch(4, None, None, None), None, MAX - 4),
        (Patch(0, MAX, None, None), None, MAX),
        (Patch(4, 6, 10, None), None, 6),
        # Behind the end: the offset is what is wrong, and is told.
        (Patch(11, 3, None, None), 10, 0),
        (Patch(MAX + 1, 3, None, None), None, 0),
    ],
)
def test_how_much_a_patch_may_bring(patch: Patch, length: int | None, left: int) -> None:
    assert fits(patch, length, MAX) == left


@pytest.mark.parametrize(
    ("patch", "length", "status", "match"),
    [
        (Patch(4, 7, None, None), 10, 413, "more bytes than the 6 that are left"),
        (Patch(0, MAX + 1, None, None), None, 413, "more bytes than the 1,000 that are left"),
        (Patch(4, 0, 9, None), 10, 400, "it was said to be 10, and stays so"),
        (Patch(4, 0, 3, None), None, 400, "Upload-Length: less than Upload-Offset"),
        (Patch(4, 7, 10, None), None, 413, "more bytes than the 6 that are left"),
    ],
)
def test_how_much_is_too_much(patch: Patch, length: int | None, status: int, match: str) -> None:
    with refused(status, match):
        fits(patch, length, MAX)


def test_a_refusal_refuses() -> None:
    for status in (200, 399, 600):
        with pytest.raises(ValueError, match=f"status {status}: a refusal is 400 to 599"):
            Refused(status, "well done")
    for status in (400, 599):
        refusal = Refused(status, "not today")
        assert (refusal.status, refusal.sentence, refusal.headers) == (status, "not today", {})
        assert str(refusal) == "not today"


def test_ids() -> None:
    assert is_id(ID)
    for text in ("", ID.upper(), ID[1:], f"{ID}0", f"{ID}\n", "../" + ID[3:]):
        assert not is_id(text)
    assert name_of(ID) != name_of(OTHER)
    assert ID not in name_of(ID)


# -- metadata


def test_metadata() -> None:
    said = f"filename {encoded('ä b.txt')} , empty ,,type   {encoded('text/plain')},"
    assert metadata_of(said) == {"filename": "ä b.txt", "empty": "", "type": "text/plain"}
    assert metadata_of("") == {}


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("a !", "the value of a is not base64"),
        ("a YQ", "the value of a is not base64"),
        ("a YQ== YQ==", "the value of a is not base64"),
        ("a YQ==,a YQ==", "a is there twice"),
        ("ä YQ==", "a name is of printable ASCII without a comma"),
        ("a\x00 YQ==", "a name is of printable ASCII without a comma"),
        (f"a {'/' * 4}", "the value of a is not UTF-8"),
    ],
)
def test_metadata_that_is_none(said: str, match: str) -> None:
    with refused(400, f"Upload-Metadata: {match}"):
        metadata_of(said)


@given(st.dictionaries(st.text("abc-_A1", min_size=1, max_size=8), st.text(max_size=20)))
def test_metadata_comes_through(metadata: dict[str, str]) -> None:
    said = ",".join(f"{name} {encoded(value)}" for name, value in metadata.items())
    assert metadata_of(said) == metadata


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_a_client_says_makes_no_header_that_is_none(name: str, value: str) -> None:
    metadata = {"filename": name, "note": value}
    parameters = parameters_for(metadata, {})
    headers = [parameters["ContentDisposition"], *parameters["Metadata"].values()]
    for header in headers:
        assert header.isascii()
        assert header.isprintable()
        assert header == header.strip()


def test_what_becomes_of_metadata() -> None:
    metadata = {"filename": "a.txt", "filetype": "text/plain; charset=utf-8", "Note": "tä\n"}
    assert parameters_for(metadata, {}) == {
        "ContentType": "text/plain; charset=utf-8",
        "ContentDisposition": "attachment; filename*=UTF-8''a.txt",
        "Metadata": {"filename": "a.txt", "note": "=?UTF-8?B?dMOkCg==?="},
    }
    assert parameters_for({}, {}) == {"ContentDisposition": "attachment"}


def test_what_the_server_was_given_wins() -> None:
    metadata = {"filename": "a.txt", "type": "text/html", "note": "theirs"}
    given = {"ContentType": "text/plain", "Metadata": {"note": "ours"}, "StorageClass": "X"}
    assert parameters_for(metadata, given) == {
        "ContentType": "text/plain",
        "Metadata": {"filename": "a.txt", "note": "ours"},
        "StorageClass": "X",
    }
    # S3 would join both values of names that differ in case.
    given = {"Metadata": {"Note": "ours"}}
    assert parameters_for({"nOte": "theirs"}, given)["Metadata"] == {"Note": "ours"}
    disposed = parameters_for(metadata, {"ContentDisposition": "inline"})
    assert disposed["ContentDisposition"] == "inline"


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ({"filetype": "text"}, "the file's type is no media type"),
        ({"filetype": "text/plain\r\nX-Evil: 1"}, "the file's type is no media type"),
        ({"filetype": "text/plain\n"}, "the file's type is no media type"),
        ({"type": "text/" + "x" * 200}, "the file's type is no media type"),
        ({"type": "text/plain; charset=\u00fc"}, "the file's type is no media type"),
        ({"type": 'text/plain; charset="a'}, "the file's type is no media type"),
        ({"type": 'text/plain; charset="a\n"'}, "the file's type is no media type"),
        ({"na(me": "x"}, r"na\(me cannot be the name of S3 metadata"),
        ({"x" * 129: "x"}, "x{129} cannot be the name of S3 metadata"),
        ({"note": "1", "Note": "2"}, "Note is there twice, but for its case"),
        ({"S3Stream-writer": "x"}, "S3Stream-writer cannot be the name of S3 metadata"),
        ({"note": "x" * 2048}, "2,052 bytes, at most 1,984 are kept"),
        ({"filename": "x" * 256}, "a file's name has at most 255 characters"),
    ],
)
def test_what_s3_could_not_keep_is_refused(metadata: dict[str, str], match: str) -> None:
    with refused(400, f"Upload-Metadata: {match}"):
        parameters_for(metadata, {})


@pytest.mark.parametrize(
    ("metadata", "type"),
    [
        ({"filetype": "a/b", "type": "c/d"}, "a/b"),
        ({"filetype": "", "type": "c/d"}, "c/d"),
        ({"contentType": "a/b"}, "a/b"),
        ({"content-type": "a/b"}, "a/b"),
    ],
)
def test_the_type_is_that_of_whichever_client(metadata: dict[str, str], type: str) -> None:
    assert parameters_for(metadata, {}) == {"ContentType": type, "ContentDisposition": "attachment"}


@pytest.mark.parametrize(
    ("metadata", "disposition"),
    [
        ({}, "attachment"),
        ({"filename": ""}, "attachment"),
        ({"filename": "a"}, "attachment; filename*=UTF-8''a"),
        ({"name": "b"}, "attachment; filename*=UTF-8''b"),
        ({"filename": "a", "name": "b"}, "attachment; filename*=UTF-8''a"),
        ({"filename": "ä/'\";\n"}, "attachment; filename*=UTF-8''%C3%A4%2F%27%22%3B%0A"),
        ({"filename": "x" * 255}, "attachment; filename*=UTF-8''" + "x" * 255),
    ],
)
def test_what_is_downloaded_is_called_as_it_was(metadata: dict[str, str], disposition: str) -> None:
    assert parameters_for(metadata, {})["ContentDisposition"] == disposition


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a=?", "a=?"),
        (" a", "=?UTF-8?B?IGE=?="),
        ("a ", "=?UTF-8?B?YSA=?="),
        ("=?UTF-8?B?YQ==?=", "=?UTF-8?B?PT9VVEYtOD9CP1lRPT0/PQ==?="),  # what looks encoded
    ],
)
def test_what_is_no_plain_header_is_encoded(value: str, kept: str) -> None:
    assert parameters_for({"note": value}, {})["Metadata"] == {"note": kept}


def test_there_is_room_for_what_the_server_adds() -> None:
    most = {"note": "x" * (2048 - 64 - len("note"))}
    assert parameters_for(most, {})["Metadata"] == most
    with refused(400, "Upload-Metadata: 1,985 bytes, at most 1,984 are kept"):
        parameters_for({"note": most["note"] + "x"}, {})
    # S3 keeps 2,048 bytes, of which "s3stream-writer" and 32 digits are the library's.
    assert parameters_for({"note": "x" * 1900}, {})["Metadata"]
    for metadata, ours in (("x" * 1990, ""), ("x" * 1000, "x" * 1000)):
        with refused(400, "Upload-Metadata"):
            parameters_for({"note": metadata}, {"Metadata": {"ours": ours}})
    assert parameters_for({}, {"Metadata": {"ours": "x" * 2000}})["Metadata"]


@pytest.mark.parametrize(
    "said",
    ["video/webm;codecs=vp8,opus", 'audio/mp4; codecs="mp4a.40.2, x"', "a/b;a=1; b=2;c=3;d=4"],
)
def test_media_types(said: str) -> None:
    assert parameters_for({"filetype": said}, {})["ContentType"] == said


# -- keys


@pytest.mark.parametrize("key", ["a", "a/b.txt", "ä b", "a..b/...", "s3stream-tus"])
def test_keys(key: str) -> None:
    assert check_key(key, "in/") == f"in/{key}"


@pytest.mark.parametrize(
    ("key", "match"),
    [
        *((key, "an empty piece") for key in ("", "/a", "a/", "a//b", ".", "a/../b", "..", "./a")),
        (".s3stream-tus/uploads/x", ".s3stream-tus is this server's own"),
        ("other/.s3stream-tus/uploads/x", ".s3stream-tus is this server's own"),
        *((key, "a control character") for key in ("a\nb", "a\x7f", "\ud800")),
    ],
)
def test_keys_that_lead_elsewhere(key: str, match: str) -> None:
    with refused(400, f"the file's name makes no key: {match}"):
        check_key(key, "in/")


def test_a_key_is_a_string() -> None:
    with pytest.raises(TypeError, match="naming= has returned None"):
        check_key(None, "")


def test_prefixes() -> None:
    for prefix in ("", "a/", "a/b/"):
        check_prefix(prefix)
    for prefix in ("a", "/", "/a/", "a//", ".s3stream-tus/", "a/.s3stream-tus/"):
        said = (
            f"prefix={prefix!r}: expected none, or one such as 'incoming/', without .s3stream-tus"
        )
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
            check_prefix(prefix)


# -- ranges


def fetched(*ranges: tuple[int, int, int]) -> Piece:
    return Piece(tuple(Range(*r) for r in ranges), copied=False)


def copied(source: int, start: int, end: int) -> Piece:
    return Piece((Range(source, start, end),), copied=True)


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([], []),
        ([0, 0], []),
        ([3], [fetched((0, 0, 3))]),
        ([5], [copied(0, 0, 5)]),
        ([10], [copied(0, 0, 10)]),
        ([11], [copied(0, 0, 5), copied(0, 5, 11)]),
        ([5, 5], [copied(0, 0, 5), copied(1, 0, 5)]),
        ([3, 6], [fetched((0, 0, 3), (1, 0, 2)), fetched((1, 2, 6))]),
        ([3, 7], [fetched((0, 0, 3), (1, 0, 2)), copied(1, 2, 7)]),
        ([1, 10], [fetched((0, 0, 1), (1, 0, 4)), copied(1, 4, 10)]),
        ([3, 2, 5], [fetched((0, 0, 3), (1, 0, 2)), copied(2, 0, 5)]),
        ([3, 0, 1, 4], [fetched((0, 0, 3), (2, 0, 1), (3, 0, 1)), fetched((3, 1, 4))]),
    ],
)
def test_what_can_be_copied_is(sizes: list[int], pieces: list[Piece]) -> None:
    assert plan(sizes, 5, 10) == pieces


@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.integers(1, 7),
    st.integers(0, 9),
)
def test_sources_become_parts(sizes: list[int], least: int, more: int) -> None:
    most = 2 * least + more
    pieces = plan(sizes, least, most)
    sources = [bytes([number]) * size for number, size in enumerate(sizes)]
    joined = [
        b"".join(sources[part.source][part.start : part.end] for part in piece.ranges)
        for piece in pieces
    ]
    assert b"".join(joined) == b"".join(sources)
    assert [len(piece) for piece in joined] == [piece.size for piece in pieces]
    assert all(least <= len(piece) <= most for piece in joined[:-1])
    for piece in pieces:
        assert all(part.size for part in piece.ranges)
        if piece.copied:
            assert len(piece.ranges) == 1
            assert least <= piece.size <= most
        else:
            assert piece.size <= least
    # No more than what is too small anyway is fetched, and a seam for each source.
    in_all = sum(piece.size for piece in pieces if not piece.copied)
    assert in_all <= 2 * least * len(sizes)
    if all(size >= 2 * least for size in sizes):
        assert in_all == 0


# -- records

OPTIONS = {name: getattr(WriteOptions(), name) for name in CHECKPOINTED}
CHECKPOINT = Checkpoint(
    "b", "k", "u", None, OPTIONS, (Receipt(1, 5 << 20, "e", 7),), Tail("t", 5 << 20, 3, "c")
)


@pytest.mark.parametrize(
    "record",
    [
        Record("k", None, "", Kind.WHOLE, "", None),
        Record("k", 0, "a YQ==", Kind.PARTIAL, "partial", 12.5, turn=3),
        Record("k", 9, "", Kind.WHOLE, "", 1.0, Status.OPEN, CHECKPOINT),
        Record("k", 9, "", Kind.WHOLE, "", 1.0, whole=Whole(9, '"e"', 7)),
        Record("k", 9, "", Kind.FINAL, "final;x", 1.0, Status.FINISHED, None, '"e"', "v", 4),
    ],
)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record


def test_what_a_record_says() -> None:
    fresh = Record("k", 9, "", Kind.WHOLE, "", 10.0)
    assert (fresh.offset, fresh.upload_id) == (0, None)
    assert not fresh.is_expired(9.9)
    assert fresh.is_expired(10.0)
    assert not Record("k", 9, "", Kind.WHOLE, "", None).is_expired(1e12)
    begun = Record("k", None, "", Kind.WHOLE, "", None, Status.OPEN, CHECKPOINT)
    assert (begun.offset, begun.upload_id) == ((5 << 20) + 3, "u")
    assert Record("k", 9, "", Kind.WHOLE, "", None, Status.FINISHED).offset == 9


def test_records_of_earlier_servers_are_read() -> None:
    record = Record("k", 9, "", Kind.WHOLE, "", None)
    written = json.loads(record.to_json())
    del written["whole"]
    assert Record.from_json(json.dumps(written)) == record


def test_a_record_says_what_it_is_to_who_looks_into_the_bucket() -> None:
    written = json.loads(Record("k", 9, "a YQ==", Kind.PARTIAL, "partial", 1.5).to_json())
    assert written == {
        "format": "s3stream tus upload",
        "version": 1,
        "key": "k",
        "length": 9,
        "metadata": "a YQ==",
        "kind": "partial",
        "concat": "partial",
        "expires": 1.5,
        "status": "open",
        "checkpoint": None,
        "etag": None,
        "version_id": None,
        "turn": 0,
        "whole": None,
    }


NONE = "not the record of an upload"


def without(name: str) -> str:
    written = json.loads(Record("k", 9, "", Kind.WHOLE, "", None).to_json())
    del written[name]
    return json.dumps(written)


def changed(**changes: Any) -> str:
    written = json.loads(Record("k", 9, "", Kind.WHOLE, "", None).to_json())
    return json.dumps({**written, **changes})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"{NONE}: "),
        ("{", f"{NONE}: "),
        ("[]", rf"{NONE}, or of a version to come: '\[\]'$"),
        ('{"a": "' + "x" * 100, f"{NONE}: "),
        (f'"{"x" * 100}"', f"""{NONE}, or of a version to come: '"{"x" * 59}'$"""),
        (changed(version=2), f"{NONE}, or of a version to come"),
        (changed(format="x"), f"{NONE}, or of a version to come"),
        (without("version"), f"{NONE}, or of a version to come"),
        (changed(kind="y"), "a broken record of an upload: 'y' is not a valid Kind"),
        (changed(status="y"), "a broken record of an upload: 'y' is not a valid Status"),
        (changed(checkpoint="{}"), "a broken record of an upload: not a checkpoint"),
        (changed(checkpoint=3), "a broken record of an upload: "),
        (changed(whole=[1, "e"]), "a broken record of an upload: "),
        (without("key"), "a broken record of an upload: 'key'"),
        (without("checkpoint"), "a broken record of an upload: 'checkpoint'"),
    ],
)
def test_what_is_no_record_is_an_error(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^{said}"):
        Record.from_json(text)
