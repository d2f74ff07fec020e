"""Archives that are cut off, changed or made by an enemy: refused in clear words, within bounds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
import tempfile
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import s3stream
from s3stream import IntegrityError
from tests.archives import connection, tree
from tests.looking import bytes_of, content

if TYPE_CHECKING:
    from tests.servers import Server

MIB = 1 << 20
LARGE = 24 * MIB
FORMATS = ["zip", "tar", "tar.gz", "tar.zst"]
OBJECTS = {"a": b"a" * 700, "empty": b"", "folder/b": bytes_of(600), "z": b"z"}
PIECE = ".s3stream-manifest/000001.jsonl"


@pytest.fixture(scope="module")
def sound(seaweedfs: Server, bucket: str) -> dict[str, bytes]:
    """A small archive of each format; of the zip the entries are stored."""
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/hostile/{name}": data for name, data in OBJECTS.items()})
    made = {}
    for format in FORMATS:
        compression = "stored" if format == "zip" else None
        dest = f"s3://{bucket}/hostile/a.{format}"
        s3stream.archive("memory://hostile", dest, compression=compression, **connection(seaweedfs))
        made[format] = content(seaweedfs, bucket, f"hostile/a.{format}")
    fs.rm("/hostile", recursive=True)
    return made


def verified(data: bytes) -> s3stream.ArchiveContents:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return s3stream.verify(file.name)


@pytest.mark.parametrize("format", FORMATS)
def test_wherever_it_is_cut_off_it_is_not_taken_for_whole(
    sound: dict[str, bytes], format: str
) -> None:
    whole = sound[format]
    verified(whole)
    last = len(whole) - 1

    @settings(max_examples=50)
    @given(st.integers(0, last) | st.integers(0, min(last, 600)).map(lambda less: last - less))
    def cut(size: int) -> None:
        with pytest.raises(IntegrityError):
            verified(whole[:size])

    cut()


@pytest.mark.parametrize("format", FORMATS)
def test_whatever_is_changed_it_is_refused_or_changes_nothing(
    sound: dict[str, bytes], format: str
) -> None:
    whole = sound[format]

    @settings(max_examples=50)
    @given(
        st.lists(
            st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=8)),
            min_size=1,
            max_size=3,
        )
    )
    def change(changes: list[tuple[int, bytes]]) -> None:
        changed = bytearray(whole)
        for at, data in changes:
            changed[at : at + len(data)] = data
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "a")
            file.write_bytes(changed)
            try:
                s3stream.extract(str(file), Path(folder, "out"))
            except IntegrityError as error:
                assert str(file) in str(error)  # noqa: PT017 - what is not raised is looked at, too
            else:
                assert tree(Path(folder, "out")) == OBJECTS

    change()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("more", [b"x", b"\0" * 512 + b"x", b"PK\x05\x06" + bytes(18)])
def test_what_follows_the_end_is_refused(sound: dict[str, bytes], format: str, more: bytes) -> None:
    with pytest.raises(IntegrityError):
        verified(sound[format] + more)


def test_an_archive_within_an_archive_that_is_cut_off_is_not_taken_for_it(
    sound: dict[str, bytes], seaweedfs: Server, bucket: str, key: str
) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe({f"/{key}/a": b"first", f"/{key}/b.zip": sound["zip"], f"/{key}/c": b"last"})
    dest = f"s3://{bucket}/{key}.zip"
    s3stream.archive(f"memory://{key}", dest, compression="stored", **connection(seaweedfs))
    fs.rm(f"/{key}", recursive=True)
    whole = content(seaweedfs, bucket, f"{key}.zip")
    end = whole.index(sound["zip"]) + len(sound["zip"])
    with zipfile.ZipFile(io.BytesIO(whole[:end])) as opened:  # to Python it is a zip
        assert "folder/b" in opened.namelist()
    with pytest.raises(IntegrityError, match="bytes come before its first entry: it is cut off"):
        verified(whole[:end])


# -- made by an enemy


def zipped(entries: dict[str, tuple[bytes, int]]) -> bytes:
    """A zip of these, by Python: bytes and method."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, (data, method) in entries.items():
            made.writestr(name, data, method)
    return file.getvalue()


def manifest_of(entries: dict[str, bytes]) -> bytes:
    """The manifest that an enemy writes who knows what we look at."""
    lines: list[dict[str, Any]] = [{"s3stream": 1, "piece": 1}]
    for name, data in entries.items():
        digest = hashlib.sha256(data).hexdigest()
        lines.append({"name": name, "size": len(data), "sha256": digest})
    size = sum(map(len, entries.values()))
    lines.append({"end": {"entries": len(entries), "size": size, "skipped": 0}})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def header(name: str, type: bytes, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = type, size
    return info.tobuf(tarfile.GNU_FORMAT)


def refused(data: bytes, said: str, tmp_path: Path, most: int = LARGE // 2) -> None:
    """Nothing comes of it, and it costs less memory than it wants to have."""
    file = tmp_path / "enemy"
    file.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match=re.escape(said)):
            s3stream.extract(str(file), tmp_path / "out", memory_limit=2 * MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_compressed_by_what_has_no_bound_is_refused(method: int, tmp_path: Path) -> None:
    data = bytes(4 * MIB)
    manifest = (manifest_of({"a": data}), zipfile.ZIP_STORED)
    refused(
        zipped({"a": (data, method), PIECE: manifest}),
        f"the entry 'a' is refused: compressed by method {method}",
        tmp_path,
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("promised", [10, 2 * LARGE])
def test_a_zip_whose_entry_is_longer_or_shorter_than_it_says(promised: int, tmp_path: Path) -> None:
    data = bytes(LARGE)
    manifest = manifest_of({"a": data[:promised]}).replace(b"%d" % LARGE, b"%d" % promised)
    made = bytearray(
        zipped({"a": (data, zipfile.ZIP_DEFLATED), PIECE: (manifest, zipfile.ZIP_STORED)})
    )
    at = made.index(b"PK\x01\x02") + 24
    struct.pack_into("<L", made, at, promised)
    refused(bytes(made), "'a'", tmp_path)
    assert tree(tmp_path) == {"enemy": bytes(made)}


def test_a_piece_of_a_manifest_that_inflates_without_end_is_refused(tmp_path: Path) -> None:
    made = zipped({PIECE: (bytes(LARGE), zipfile.ZIP_DEFLATED)})
    # A piece of 16 MiB would be one.
    refused(made, "is too long for a piece of a manifest", tmp_path, 2 * LARGE)


@pytest.mark.parametrize("type", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_tar_with_headers_of_any_length_is_refused(type: bytes, tmp_path: Path) -> None:
    made = header("a", type, LARGE) + b"1" * LARGE + bytes(10_240)
    refused(gzip.compress(made, 1), "a header of type", tmp_path)


def test_a_tar_with_headers_of_any_number_is_refused(tmp_path: Path) -> None:
    one = header("a", tarfile.GNUTYPE_LONGNAME, MIB) + bytes(MIB)
    refused(gzip.compress(one * 40, 1), "a header of type", tmp_path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    refused(header("a", tarfile.GNUTYPE_SPARSE, 0) + bytes(10_240), "a header of type", tmp_path)
    info = tarfile.TarInfo("a")
    info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": f"{1 << 60}"}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as opened:
        opened.addfile(info)
    refused(made.getvalue(), "the entry 'a' is refused: a sparse file", tmp_path)


def test_a_size_below_nothing_is_refused(tmp_path: Path) -> None:
    refused(header("a", tarfile.REGTYPE, -512) + bytes(10_240), "-512 bytes", tmp_path)


@pytest.mark.parametrize("time", ["nan", "inf", "-1e300", "1e300"])
def test_a_time_that_no_calendar_has_is_none(time: str, tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for name, data in (("a", b"1"), (PIECE, manifest_of({"a": b"1"}))):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), {"mtime": time}
            opened.addfile(info, io.BytesIO(data))
    file = tmp_path / "a.tar"
    file.write_bytes(made.getvalue())
    s3stream.extract(str(file), tmp_path / "out")
    assert tree(tmp_path / "out") == {"a": b"1"}


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
@pytest.mark.parametrize("format", ["zip", "tar"])
def test_two_entries_in_each_others_place_are_refused(
    names: tuple[str, str], format: str, tmp_path: Path
) -> None:
    made = io.BytesIO()
    lines = [manifest_of({name: b"1"}).splitlines(keepends=True)[1] for name in names]
    head, *_ = manifest_of({}).splitlines(keepends=True)
    end = b'{"end":{"entries":2,"size":2,"skipped":0}}\n'
    entries = [*((name, b"1") for name in names), (PIECE, b"".join([head, *lines, end]))]
    if format == "zip":
        with zipfile.ZipFile(made, "w") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of two of one name
            for name, data in entries:
                opened.writestr(zipfile.ZipInfo(name), data)
    else:
        with tarfile.open(fileobj=made, mode="w") as opened:
            for name, data in entries:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                opened.addfile(info, io.BytesIO(data))
    refused(
        made.getvalue(), f"the entry {names[1]!r} is refused: there was one of that name", tmp_path
    )


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_folder_with_bytes_is_refused(format: str, tmp_path: Path) -> None:
    made = zipped({"a/": (b"1", zipfile.ZIP_STORED)})
    if format == "tar":
        made = header("a", tarfile.DIRTYPE, 1) + bytes(10_240 - 512)
    said = "'a/' is refused: a folder with bytes"
    refused(made, said, tmp_path)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    made = bytearray(zipped({"a": (b"1", zipfile.ZIP_STORED)}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        made[made.index(signature) + offset] |= 1
    refused(bytes(made), "'a' is refused: encrypted", tmp_path)


def test_a_zip_over_several_disks_is_refused(tmp_path: Path) -> None:
    made = bytearray(zipped({"a": (b"1", zipfile.ZIP_STORED)}))
    at = made.index(b"PK\x05\x06")
    struct.pack_into("<HH", made, at + 4, 1, 1)
    refused(bytes(made), "enemy", tmp_path)


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    made = zipped({"grün": (b"1", zipfile.ZIP_STORED)})
    refused(made.replace("ü".encode(), b"\xff\xff"), "is damaged, or no such archive", tmp_path)


def test_zstandard_tells_other_programs_what_is_damaged(sound: dict[str, bytes]) -> None:
    assert zstandard.get_frame_parameters(sound["tar.zst"]).has_checksum
