"""A bucket into one archive, and back: what goes in, what it is called, who can read it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import tarfile
import uuid
import zipfile
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import s3stream
from s3stream import ArchiveContents, IntegrityError, NotFoundError, UsageError
from tests import programs
from tests.archives import (
    Listed,
    Served,
    connection,
    entries,
    manifest,
    put,
    tree,
    unpacked,
)
from tests.looking import assert_nothing, bytes_of, content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

MIB = 1 << 20
OBJECTS = {
    "a.txt": b"a" * 1_000,
    "empty": b"",
    "folder/b.bin": bytes_of(100_000),
    "folder/deep/grün.txt": "Grüß Gott".encode(),
    "large.bin": bytes_of(5 * MIB),
    "z": b"z",
}


class Timeless(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system that does not tell when a file was written."""

    protocol = "timeless"
    store: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.removeprefix("timeless://"))
        return stripped

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return [self._untimed(info) for info in super().ls(path, detail, **kwargs)]

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return self._untimed(super().info(path, **kwargs))

    def _untimed(self, info: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in info.items() if name != "created"}


fsspec.register_implementation("timeless", Timeless, clobber=True)
CONTENTS = ArchiveContents(len(OBJECTS), sum(map(len, OBJECTS.values())), 0)
FORMATS = ["zip", "tar", "tar.gz", "tar.zst"]


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_prefix_goes_into_one_archive_and_back(
    store: Server, bucket: str, key: str, format: str, tmp_path: Path
) -> None:
    put(store, bucket, {f"{key}/in/{name}": data for name, data in OBJECTS.items()})
    archive = f"s3://{bucket}/{key}/all.{format}"
    options = connection(store)
    made = s3stream.archive(f"s3://{bucket}/{key}/in/", archive, **options)
    assert made.contents == CONTENTS
    assert made.upload.key == f"{key}/all.{format}"
    assert made.upload.size == len(content(store, bucket, f"{key}/all.{format}"))
    assert entries(store, bucket, f"{key}/all.{format}") == OBJECTS
    assert s3stream.verify(archive, **options) == CONTENTS
    assert s3stream.extract(archive, tmp_path / "out", **options) == CONTENTS
    assert tree(tmp_path / "out") == OBJECTS
    assert s3stream.extract(archive, f"s3://{bucket}/{key}/out/", **options) == CONTENTS
    assert content(store, bucket, f"{key}/out/large.bin") == OBJECTS["large.bin"]
    assert content(store, bucket, f"{key}/out/folder/deep/grün.txt") == "Grüß Gott".encode()


@pytest.fixture(scope="module")
def source(seaweedfs: Server, bucket: str) -> str:
    """A prefix with OBJECTS below it, without a slash at its end."""
    prefix = f"archive-source-{uuid.uuid4().hex[:8]}"
    objects = {f"{prefix}/{name}": data for name, data in OBJECTS.items()}
    put(seaweedfs, bucket, objects, Metadata={"author": "me"}, ContentType="text/x-test")
    return f"s3://{bucket}/{prefix}"


def archived(server: Server, source: Any, dest: str, **more: Any) -> s3stream.ArchiveResult:
    return s3stream.archive(source, dest, **{**connection(server), **more})


@pytest.mark.parametrize("format", FORMATS)
def test_other_programs_read_it(
    seaweedfs: Server, bucket: str, key: str, source: str, format: str, tmp_path: Path
) -> None:
    program = programs.find("unzip" if format == "zip" else "tar")
    made = archived(seaweedfs, source, f"s3://{bucket}/{key}", format=format)
    assert made.contents == CONTENTS
    assert entries(seaweedfs, bucket, key) == OBJECTS
    file = tmp_path / "archive"
    file.write_bytes(content(seaweedfs, bucket, key))
    out = tmp_path / "out"
    out.mkdir()
    if format == "tar.zst":
        file.write_bytes(uncompressed(file.read_bytes()))
    commands: dict[str, list[list[str | Path]]] = {
        "zip": [[program, "-tq", file], [program, "-q", file, "-d", out]],
        "tar.gz": [[program, "-xzf", file, "-C", out]],
    }
    for command in commands.get(format, [[program, "-xf", file, "-C", out]]):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"}
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    found = tree(out)
    assert found.pop(".s3stream-manifest/000001.jsonl")
    assert found == OBJECTS
    client = seaweedfs.client()
    for name in OBJECTS:
        head = client.head_object(Bucket=bucket, Key=f"{source.split('/')[-1]}/{name}")
        assert int((out / name).stat().st_mtime) == int(head["LastModified"].timestamp())


def uncompressed(data: bytes) -> bytes:
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)) as reader:
        return reader.read()


def test_an_archive_in_a_local_file_can_be_verified_and_unpacked(
    seaweedfs: Server, bucket: str, key: str, source: str, tmp_path: Path
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.zip")
    file = tmp_path / "local.zip"
    file.write_bytes(content(seaweedfs, bucket, f"{key}.zip"))
    assert s3stream.verify(str(file)) == CONTENTS
    assert s3stream.extract(f"file://{file}", tmp_path / "out") == CONTENTS
    assert tree(tmp_path / "out") == OBJECTS


@pytest.mark.parametrize("compression", ["stored", "deflated", None])
def test_a_zip_is_deflated_or_stored(
    seaweedfs: Server, bucket: str, key: str, source: str, compression: str | None
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", compression=compression)
    with zipfile.ZipFile(io.BytesIO(content(seaweedfs, bucket, f"{key}.zip"))) as opened:
        info = opened.getinfo("a.txt")
    stored = compression == "stored"
    assert info.compress_type == (zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    assert (info.compress_size == 1_000) is stored


def test_the_manifest_tells_what_was_archived(
    seaweedfs: Server, bucket: str, key: str, source: str
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.tar")
    lines = manifest(seaweedfs, bucket, f"{key}.tar")
    assert [line["name"] for line in lines] == list(OBJECTS)
    head = seaweedfs.client().head_object(Bucket=bucket, Key=f"{source.split('/')[-1]}/a.txt")
    first = lines[0]
    assert datetime.fromisoformat(first.pop("modified")) == head["LastModified"]
    assert first == {
        "name": "a.txt",
        "size": 1_000,
        "sha256": "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3",
        "source": f"{source}/a.txt",
        "etag": head["ETag"],
        "content_type": "text/x-test",
        "metadata": {"author": "me"},
    }
    with tarfile.open(fileobj=io.BytesIO(content(seaweedfs, bucket, f"{key}.tar"))) as tar:
        headers = tar.getmember("a.txt").pax_headers
    of = "SCHILY.xattr.user.s3stream."
    assert {name: value for name, value in headers.items() if name.startswith(of)} == {
        f"{of}source": f"{source}/a.txt",
        f"{of}etag": head["ETag"],
        f"{of}content-type": "text/x-test",
        f"{of}metadata.author": "me",
    }


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_manifest_of_many_pieces(seaweedfs: Server, bucket: str, key: str, format: str) -> None:
    fs = fsspec.filesystem("memory")
    metadata = "x" * 3_000  # in the path: so that few lines fill a piece
    names = [f"/{key}/{metadata}/{number:04}" for number in range(400)]
    for name in names:
        fs.pipe_file(name, name.encode())
    made = archived(seaweedfs, f"memory://{key}", f"s3://{bucket}/{key}.{format}")
    assert made.contents.entries == 400
    found = unpacked(seaweedfs, bucket, f"{key}.{format}")
    pieces = [name for name in found if name.startswith(".s3stream-manifest/")]
    assert len(pieces) >= 3
    assert len(manifest(seaweedfs, bucket, f"{key}.{format}")) == 400
    assert s3stream.verify(f"s3://{bucket}/{key}.{format}", **connection(seaweedfs)).entries == 400
    options = connection(seaweedfs)
    s3stream.extract(f"s3://{bucket}/{key}.{format}", f"memory://{key}/out", **options)
    out = fs.find(f"/{key}/out")
    assert [fs.cat_file(name) for name in out] == [name.encode() for name in names]
    fs.rm(f"/{key}", recursive=True)


# -- what is called how


def test_several_sources_have_a_folder_each(
    seaweedfs: Server, bucket: str, key: str, source: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/logs/x": b"1", f"{key}/one.txt": b"2"})
    sources = [f"{source}/folder/", f"s3://{bucket}/{key}/logs", f"s3://{bucket}/{key}/one.txt"]
    archived(seaweedfs, sources, f"s3://{bucket}/{key}.zip")
    assert list(entries(seaweedfs, bucket, f"{key}.zip")) == [
        "folder/b.bin",
        "folder/deep/grün.txt",
        "logs/x",
        "one.txt",
    ]


def test_one_object_alone(seaweedfs: Server, bucket: str, key: str, source: str) -> None:
    archived(seaweedfs, f"{source}/folder/b.bin", f"s3://{bucket}/{key}.zip")
    found = entries(seaweedfs, bucket, f"{key}.zip")
    assert found == {"b.bin": OBJECTS["folder/b.bin"]}


def test_an_object_that_others_lie_below_is_not_guessed_about(
    seaweedfs: Server, bucket: str, key: str, proxied: Server, proxy: Proxy
) -> None:
    # SeaweedFS keeps no such pair; others do.
    proxy.inject("ListObjectsV2", Listed(((f"{key}/a", 1), (f"{key}/a/b", 1))), times=None)
    for operation in ("GetObject", "HeadObject"):
        where = lambda exchange: ".zip" not in exchange.path  # noqa: E731 - it is used once
        proxy.inject(operation, Served(b"1"), times=None, where=where)
    dest = f"s3://{bucket}/{key}.zip"
    with pytest.raises(UsageError, match=f"s3://{bucket}/{key}/a/ are those"):
        archived(proxied, f"s3://{bucket}/{key}/a", dest)
    with pytest.raises(UsageError, match="'a' would be a file in the archive and the folder"):
        archived(proxied, f"s3://{bucket}/{key}/", dest)
    assert len(proxy.injected) >= 3
    assert_nothing(seaweedfs, bucket, f"{key}.zip")
    archived(proxied, f"s3://{bucket}/{key}/", dest, exclude="a/*")
    assert entries(seaweedfs, bucket, f"{key}.zip") == {"a": b"1"}


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_keys_that_lead_elsewhere_and_folders_of_consoles(
    seaweedfs: Server, bucket: str, key: str, proxied: Server, proxy: Proxy, format: str
) -> None:
    # SeaweedFS refuses or changes such keys; others do not.
    keys = {
        "": 0,  # the source itself, as a console makes it
        "../../up": 1,
        "/abs": 1,
        "C:/x": 1,
        "a\\b": 1,
        "folder/": 0,
        "folder with bytes/": 1,
        "tab\there": 1,
        ".s3stream-manifest/000001.jsonl": 1,
    }
    listed = tuple((f"{key}/{name}", size) for name, size in keys.items())
    proxy.inject("ListObjectsV2", Listed(listed), times=None)
    full = lambda exchange: not exchange.path.endswith("/folder/")  # noqa: E731 - it is used once
    proxy.inject("GetObject", Served(b"1"), times=None, where=full)
    proxy.inject("GetObject", Served(b""), times=None)
    made = archived(proxied, f"s3://{bucket}/{key}/", f"s3://{bucket}/{key}.{format}")
    assert made.contents == ArchiveContents(8, 7, 0)
    assert entries(seaweedfs, bucket, f"{key}.{format}") == {
        "%2E%2E/%2E%2E/up": b"1",
        "%2Fabs": b"1",
        "C%3A/x": b"1",
        "a%5Cb": b"1",
        "folder/": b"",
        "folder with bytes%2F": b"1",
        "tab%09here": b"1",
        "%2Es3stream-manifest/000001.jsonl": b"1",
    }
    told = manifest(seaweedfs, bucket, f"{key}.{format}")
    sources = [f"s3://{bucket}/{name}" for name, _ in listed[1:]]
    assert [line["source"] for line in told] == sources
    verified = s3stream.verify(f"s3://{bucket}/{key}.{format}", **connection(seaweedfs))
    assert verified == made.contents


def test_unpacked_folders_are_folders(
    seaweedfs: Server, bucket: str, key: str, proxied: Server, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.inject("ListObjectsV2", Listed(((f"{key}/in/empty/", 0),)))
    proxy.inject("GetObject", Served(b""))
    archive = f"s3://{bucket}/{key}.tar"
    archived(proxied, f"s3://{bucket}/{key}/in/", archive)
    options = connection(seaweedfs)
    s3stream.extract(archive, tmp_path / "one", **options)
    s3stream.extract(archive, f"file://{tmp_path}/two", dest_options={}, **options)
    for name in ("one", "two"):
        assert (tmp_path / name / "empty").is_dir()
    # S3 has none.
    s3stream.extract(archive, f"s3://{bucket}/{key}/out/", **options)
    assert_nothing(seaweedfs, bucket, f"{key}/out/")


def test_two_of_one_name_are_refused(seaweedfs: Server, bucket: str, key: str) -> None:
    put(seaweedfs, bucket, {f"{key}/1/logs/x": b"1", f"{key}/2/logs/x": b"2"})
    sources = [f"s3://{bucket}/{key}/{number}/logs/" for number in (1, 2)]
    with pytest.raises(UsageError, match="two entries would have the name 'logs/x'"):
        archived(seaweedfs, sources, f"s3://{bucket}/{key}.tar")
    assert_nothing(seaweedfs, bucket, f"{key}.tar")


# -- what goes in


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ({"include": "*.txt"}, ["a.txt", "folder/deep/grün.txt"]),
        ({"include": ["*.bin", "z"]}, ["folder/b.bin", "large.bin", "z"]),
        ({"exclude": "folder/*"}, ["a.txt", "empty", "large.bin", "z"]),
        ({"include": "folder/*", "exclude": ["*.txt"]}, ["folder/b.bin"]),
        ({"include": "A.TXT"}, []),
        ({"since": datetime.now(timezone.utc) + timedelta(days=1)}, []),
        ({"since": datetime(2020, 1, 1, tzinfo=timezone.utc)}, list(OBJECTS)),
    ],
)
def test_only_what_is_chosen(
    seaweedfs: Server,
    bucket: str,
    key: str,
    source: str,
    choice: dict[str, Any],
    chosen: list[str],
) -> None:
    made = archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", **choice)
    assert list(entries(seaweedfs, bucket, f"{key}.zip")) == chosen
    assert made.contents.entries == len(chosen)
    verified = s3stream.verify(f"s3://{bucket}/{key}.zip", **connection(seaweedfs))
    assert verified == made.contents


def test_what_was_written_at_that_moment_is_written_since(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/in/a": b"1"})
    head = seaweedfs.client().head_object(Bucket=bucket, Key=f"{key}/in/a")
    listed = seaweedfs.client().list_objects_v2(Bucket=bucket, Prefix=f"{key}/in/")["Contents"]
    then = max(head["LastModified"], listed[0]["LastModified"])
    for since, count in ((listed[0]["LastModified"], 1), (then + timedelta(seconds=1), 0)):
        made = archived(
            seaweedfs, f"s3://{bucket}/{key}/in/", f"s3://{bucket}/{key}.tar", since=since
        )
        assert made.contents.entries == count


def test_an_archive_does_not_hold_itself(seaweedfs: Server, bucket: str, key: str) -> None:
    put(seaweedfs, bucket, {f"{key}/a": b"1", f"{key}/z": b"2"})
    for _ in range(2):  # the second finds that of the first
        archived(seaweedfs, f"s3://{bucket}/{key}/", f"s3://{bucket}/{key}/b.zip")
        assert entries(seaweedfs, bucket, f"{key}/b.zip") == {"a": b"1", "z": b"2"}


def test_source_and_destination_may_be_different_stores(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    put(seaweedfs, bucket, {f"{key}/a": b"1", f"{key}/all.zip": b"another endpoint's"})
    s3stream.archive(
        f"s3://{bucket}/{key}/",
        f"s3://{bucket}/{key}/all.zip",
        source_options=connection(proxied),
        **connection(seaweedfs),
    )
    assert {exchange.operation for exchange in proxy.log} == {"ListObjectsV2", "GetObject"}
    # Of this name, but of another endpoint: it is not the archive itself.
    found = entries(seaweedfs, bucket, f"{key}/all.zip")
    assert found == {"a": b"1", "all.zip": b"another endpoint's"}


def test_clients_of_ones_own(seaweedfs: Server, bucket: str, key: str, source: str) -> None:
    made = s3stream.archive(
        source,
        f"s3://{bucket}/{key}.tar",
        client=seaweedfs.client(),
        source_options={"client": seaweedfs.client(max_pool_connections=2)},
    )
    assert made.contents == CONTENTS
    client = seaweedfs.client()
    assert s3stream.verify(f"s3://{bucket}/{key}.tar", client=client) == CONTENTS


def test_pages_of_a_listing_follow_each_other(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, source: str
) -> None:
    made = s3stream.archive(
        source,
        f"s3://{bucket}/{key}.tar",
        source_options={**connection(proxied), "MaxKeys": 2},
        **connection(seaweedfs),
    )
    assert made.contents == CONTENTS
    assert proxy.count("ListObjectsV2") == 1 + len(OBJECTS) // 2


def test_options_of_open_are_for_the_archive(
    seaweedfs: Server, bucket: str, key: str, source: str
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", Metadata={"a": "b"}, publish="commit")
    head = seaweedfs.client().head_object(Bucket=bucket, Key=f"{key}.zip")
    assert head["Metadata"] == {"a": "b"}
    assert head["ContentType"] == "application/zip"
    with pytest.raises(s3stream.AlreadyExistsError):
        archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", if_none_match="*")


def test_progress_is_told_in_bytes(seaweedfs: Server, bucket: str, key: str, source: str) -> None:
    made, read = fsspec.Callback(), fsspec.Callback()
    archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", callback=made)
    s3stream.verify(f"s3://{bucket}/{key}.zip", callback=read, **connection(seaweedfs))
    assert made.value == read.value == CONTENTS.size


# -- other sources than S3


def test_a_local_folder(seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name, data in OBJECTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "nothing in it").mkdir()
    (folder / "link").symlink_to(folder / "a.txt")
    os.utime(folder / "a.txt", (1_000_000_000, 1_000_000_000.5))
    os.utime(folder / "z", (1_000, 1_000))  # zip's time begins in 1980
    for format in ("zip", "tar"):
        dest = f"s3://{bucket}/{key}.{format}"
        made = archived(seaweedfs, folder, dest)
        assert made.contents.entries == len(OBJECTS) + 1
        out = tmp_path / format
        s3stream.extract(dest, out, **connection(seaweedfs))
        assert tree(out) == {**OBJECTS, "link": OBJECTS["a.txt"]}
        assert int((out / "a.txt").stat().st_mtime) == 1_000_000_000
        assert (out / "z").stat().st_mtime == 1_000
    assert list(entries(seaweedfs, bucket, f"{key}.zip")) == sorted([*OBJECTS, "link"])


def test_what_is_no_file_is_refused_unless_it_is_left_out(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    os.mkfifo(tmp_path / "pipe")
    dest = f"s3://{bucket}/{key}.tar"
    with pytest.raises(UsageError, match=r"pipe cannot be archived.*exclude='pipe'"):
        archived(seaweedfs, tmp_path, dest)
    assert_nothing(seaweedfs, bucket, f"{key}.tar")
    assert archived(seaweedfs, tmp_path, dest, exclude="pipe").contents.entries == 1


def test_what_cannot_be_looked_at_is_not_passed_over(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"1")
    # A link that leads nowhere: for root there are no files that may not be read.
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="dangling"):
        archived(seaweedfs, tmp_path, f"s3://{bucket}/{key}.tar")
    assert_nothing(seaweedfs, bucket, f"{key}.tar")


# -- nothing to do, and wrong arguments


@pytest.mark.parametrize("below", ["", "/", "/deeper/"])
def test_where_there_is_nothing_it_is_an_error(
    seaweedfs: Server, bucket: str, key: str, below: str
) -> None:
    uri = f"s3://{bucket}/{key}{below}"
    with pytest.raises(NotFoundError, match=re.escape(f"nothing to archive: '{uri}'")):
        archived(seaweedfs, uri, f"s3://{bucket}/{key}.zip")
    assert_nothing(seaweedfs, bucket, f"{key}.zip")


def test_an_empty_folder_and_the_archive_of_the_last_time_are_nothing(
    seaweedfs: Server, bucket: str, key: str, proxied: Server, proxy: Proxy
) -> None:
    dest = f"s3://{bucket}/{key}/a.zip"
    for listed in ("", "a.zip"):
        proxy.clear()
        proxy.inject("ListObjectsV2", Listed(((f"{key}/{listed}", 0),)), times=None)
        with pytest.raises(NotFoundError, match="there is nothing to archive"):
            archived(proxied, f"s3://{bucket}/{key}/", dest)
        assert proxy.injected
        assert_nothing(seaweedfs, bucket, f"{key}/a.zip")


@pytest.mark.parametrize(
    ("choice", "doubts"),
    [
        ({"include": "*.cvs"}, ["include='*.cvs' matches none of the 6 names there"]),
        (
            {"include": ["*.txt", "X*", "Y"], "exclude": "a*"},
            [f"include={glob!r} matches none of the 6 names there" for glob in ("X*", "Y")],
        ),
        ({"exclude": "*"}, ["exclude= leaves none of the 6 names there"]),
        ({"include": "*.txt", "exclude": "*t"}, ["exclude= leaves none of the 6 names there"]),
        ({"include": ["*.txt", "z"], "exclude": "nothing"}, []),
    ],
)
def test_globs_that_match_nothing_are_warned_of(
    seaweedfs: Server,
    bucket: str,
    key: str,
    source: str,
    choice: dict[str, Any],
    doubts: list[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    dest = f"s3://{bucket}/{key}.zip"
    with caplog.at_level(logging.WARNING, "s3stream"):
        archived(seaweedfs, source, dest, **choice)
        assert caplog.messages == [f"{dest}: {doubt}" for doubt in doubts]
        caplog.clear()
        archived(seaweedfs, source, dest)
        s3stream.extract(dest, tmp_path, **choice, **connection(seaweedfs))
        assert caplog.messages == [f"{dest}: {doubt}" for doubt in doubts]


def test_that_nothing_was_written_since_is_no_reason_to_warn(
    seaweedfs: Server, bucket: str, key: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    later = datetime.now(timezone.utc) + timedelta(days=1)
    with caplog.at_level(logging.WARNING, "s3stream"):
        archived(seaweedfs, source, f"s3://{bucket}/{key}.zip", since=later, include="*.txt")
    assert caplog.messages == []


def test_what_is_left_out_need_not_have_a_time(seaweedfs: Server, bucket: str, key: str) -> None:
    fs = fsspec.filesystem("timeless")
    fs.pipe({f"/{key}/a": b"1", f"/{key}/b": b"2"})
    since = datetime(2020, 1, 1, tzinfo=timezone.utc)
    dest = f"s3://{bucket}/{key}.zip"
    with pytest.raises(UsageError, match=r"nobody can tell when .*/a was last written"):
        archived(seaweedfs, f"timeless://{key}", dest, since=since)
    made = archived(seaweedfs, f"timeless://{key}", dest, since=since, exclude="*")
    assert made.contents.entries == 0
    fs.rm(f"/{key}", recursive=True)


def test_no_such_folder(seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(NotFoundError, match="there is nothing to archive: no"):
            archived(seaweedfs, tmp_path / name, f"s3://{bucket}/{key}.zip")
    assert_nothing(seaweedfs, bucket, f"{key}.zip")


def test_no_such_bucket(seaweedfs: Server, bucket: str, key: str, source: str) -> None:
    with pytest.raises(NotFoundError):
        archived(seaweedfs, "s3://there-is-no-such-bucket/", f"s3://{bucket}/{key}.zip")
    with pytest.raises(NotFoundError):
        archived(seaweedfs, source, f"s3://there-is-no-such-bucket/{key}.zip")
    assert_nothing(seaweedfs, bucket, f"{key}.zip")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"dest": "s3://b/k.rar"}, "its name means no format of archives (.zip, .tar"),
        ({"dest": "/local/file.zip"}, "expected a URI such as s3://bucket/key"),
        ({"dest": "file:///file.zip"}, "the scheme is 'file', expected s3://bucket/key"),
        ({"format": "rar"}, "format='rar': expected one of 'zip', 'tar', 'tar.gz', 'tar.zst'"),
        ({"format": "tar", "compression": "stored"}, "that is for format 'zip'"),
        ({"compression": "lzma"}, "compression='lzma': expected 'deflated' or 'stored'"),
        ({"sources": []}, "there is nothing to archive"),
        ({"sources": [""]}, "source '': expected a URI"),
        ({"sources": 3}, "sources=3: expected a URI"),
        ({"sources": ["s3://"]}, "'s3://' names no bucket"),
        ({"sources": "nowhere://x"}, "'nowhere://x' cannot be opened by fsspec"),
        ({"include": [""]}, "include='': expected a glob"),
        ({"include": 3}, "include=3: expected a glob"),
        ({"exclude": [3]}, "exclude=3: expected a glob"),
        ({"since": datetime(2026, 1, 1)}, "expected a datetime with a time zone"),
        ({"since": "yesterday"}, "since='yesterday': expected a datetime"),
        ({"changed": "ignore"}, "changed='ignore': expected 'error' or 'skip'"),
        ({"memory_limit": 1_000}, "memory_limit=1000: expected a whole number of bytes"),
        ({"memory_limit": True}, "memory_limit=True: expected"),
        ({"checkpoint": "c.json"}, "checkpoint=: an archive cannot be taken up again"),
        ({"lock": None}, "lock=: an archive cannot be taken up again"),
        ({"part_sice": 1}, "there is none of that name, did you mean part_size?"),
        ({"source_options": {"profil": "x"}}, "did you mean profile?"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    proxied: Server, proxy: Proxy, arguments: dict[str, Any], said: str
) -> None:
    given = {"sources": "s3://b/in/", "dest": "s3://b/k.zip", **connection(proxied), **arguments}
    with pytest.raises(UsageError, match=re.escape(said)):
        s3stream.archive(**given)
    assert proxy.log == []


# -- extract and verify


def stored_zip(entries: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return file.getvalue()


def plain_tar(*members: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for member in members:
            made.addfile(member, io.BytesIO(b"x" * member.size))
    return file.getvalue()


def member(name: str, type: bytes = tarfile.REGTYPE, size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = type, size, "/etc/passwd"
    return info


@pytest.mark.parametrize("name", ["../up", "/tmp/abs", "a/../../up", "C:/x", "a\\b", "a\nb"])
@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_name_that_leads_outside_is_refused(name: str, format: str, tmp_path: Path) -> None:
    file = tmp_path / "in" / "evil"
    file.parent.mkdir()
    data = stored_zip({name: b"x"}) if format == "zip" else plain_tar(member(name))
    file.write_bytes(data)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(IntegrityError, match="is refused: a name that could lead out"):
        s3stream.extract(str(file), tmp_path / "in" / "out")
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, b"6"])
def test_links_and_devices_are_refused(type: bytes, tmp_path: Path) -> None:
    file = tmp_path / "evil.tar"
    file.write_bytes(plain_tar(member("passwd", type, 0)))
    with pytest.raises(IntegrityError, match="'passwd' is refused: a link or a device"):
        s3stream.extract(str(file), tmp_path / "out")
    assert not (tmp_path / "out" / "passwd").exists()


def test_a_link_in_the_folder_does_not_lead_outside(
    seaweedfs: Server, bucket: str, key: str, source: str, tmp_path: Path
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.tar")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = tmp_path / "out"
    out.mkdir()
    (out / "folder").symlink_to(elsewhere)
    with pytest.raises(s3stream.S3StreamError, match=r"'folder/b\.bin' would be written to"):
        s3stream.extract(f"s3://{bucket}/{key}.tar", out, **connection(seaweedfs))
    assert list(elsewhere.iterdir()) == []


@pytest.fixture(scope="module")
def sound(seaweedfs: Server, bucket: str, source: str) -> dict[str, bytes]:
    """An archive of each format, its bytes; of the zip the entries are stored."""
    made = {}
    for format in FORMATS:
        dest = f"{source}-sound.{format}"
        compression = "stored" if format == "zip" else None
        archived(seaweedfs, source, dest, compression=compression, exclude="large.bin")
        made[format] = content(seaweedfs, bucket, dest.removeprefix(f"s3://{bucket}/"))
    return made


@pytest.mark.parametrize("format", FORMATS)
def test_an_archive_that_is_cut_off_is_noticed_wherever(
    sound: dict[str, bytes], format: str, tmp_path: Path
) -> None:
    whole = sound[format]
    file = tmp_path / "cut"
    for size in (*range(0, len(whole) - 10_000, len(whole) // 7), 600, 1_024):
        file.write_bytes(whole[:size])
        with pytest.raises(IntegrityError, match="cut"):
            s3stream.verify(str(file))


@pytest.mark.parametrize("format", ["zip", "tar"])
def test_a_changed_byte_is_noticed(sound: dict[str, bytes], format: str, tmp_path: Path) -> None:
    at = sound[format].index(b"a" * 1_000) + 500
    changed = bytearray(sound[format])
    changed[at] ^= 1
    file = tmp_path / "changed"
    file.write_bytes(changed)
    with pytest.raises(IntegrityError, match=r"changed.*a\.txt"):
        s3stream.verify(str(file))
    with pytest.raises(IntegrityError, match=r"changed.*a\.txt"):
        s3stream.extract(str(file), tmp_path / "out")


def test_a_wrong_entry_of_a_zip_is_refused_before_it_is_there(
    sound: dict[str, bytes], seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(sound["zip"])) as opened:
        found = {name: opened.read(name) for name in opened.namelist()}
    # Whole as a zip, and of the same size: only the manifest tells.
    found["folder/b.bin"] = bytes_of(len(OBJECTS["folder/b.bin"]), 1)
    file = tmp_path / "wrong.zip"
    file.write_bytes(stored_zip(found))
    with pytest.raises(IntegrityError, match=r"'folder/b\.bin' is not what was archived"):
        s3stream.extract(str(file), tmp_path / "out")
    assert list(tree(tmp_path / "out")) == ["a.txt", "empty"]
    dest = f"s3://{bucket}/{key}"
    with pytest.raises(IntegrityError, match=r"'folder/b\.bin' is not what was archived"):
        s3stream.extract(str(file), dest, dest_options=connection(seaweedfs))
    assert content(seaweedfs, bucket, f"{key}/a.txt") == OBJECTS["a.txt"]
    for name in ("folder/b.bin", "folder/deep/grün.txt", "z"):
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")
    # What is not chosen is not read, and not held against anything but its name and size.
    s3stream.extract(str(file), tmp_path / "some", include="z")
    assert list(tree(tmp_path / "some")) == ["z"]


def test_of_a_zip_without_a_manifest_nothing_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "other.zip"
    file.write_bytes(stored_zip({"a": b"1"}))
    with pytest.raises(IntegrityError, match="it has no manifest"):
        s3stream.extract(str(file), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["tar.gz", "tar.zst"])
def test_a_changed_byte_in_what_is_compressed_is_noticed(
    sound: dict[str, bytes], format: str, tmp_path: Path
) -> None:
    changed = bytearray(sound[format])
    changed[len(changed) // 2] ^= 1
    file = tmp_path / "changed"
    file.write_bytes(changed)
    with pytest.raises(IntegrityError, match="changed"):
        s3stream.verify(str(file))


def test_what_was_added_to_a_zip_is_noticed(sound: dict[str, bytes], tmp_path: Path) -> None:
    file = tmp_path / "added.zip"
    file.write_bytes(sound["zip"])
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr("more.txt", b"more")
    with pytest.raises(IntegrityError, match=r"'more\.txt' comes after the end of its manifest"):
        s3stream.verify(str(file))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (stored_zip({"a": b"1"}), "it has no manifest"),
        (plain_tar(member("a")), "it has no manifest"),
        (stored_zip({}), "it has no manifest"),
        (b"", "neither a zip nor a tar"),
        (b"just a text", "neither a zip nor a tar"),
        (b"PK\x03\x04 and no zip", "damaged, or no such archive"),
        (b"\x1f\x8b and no gzip", "damaged, or no such archive"),
        (b"\x28\xb5\x2f\xfd and no frame", "damaged, or no such archive"),
    ],
)
def test_what_is_no_archive_of_ours_is_refused(data: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(data)
    with pytest.raises(IntegrityError, match=said):
        s3stream.verify(str(file))


def test_only_what_is_chosen_is_unpacked(
    seaweedfs: Server, bucket: str, key: str, source: str, tmp_path: Path
) -> None:
    for format in ("zip", "tar"):
        dest = f"s3://{bucket}/{key}.{format}"
        archived(seaweedfs, source, dest)
        out = tmp_path / format
        contents = s3stream.extract(
            dest, out, include="*.txt", exclude="a*", **connection(seaweedfs)
        )
        assert contents == ArchiveContents(1, len(OBJECTS["folder/deep/grün.txt"]), 0)
        assert list(tree(out)) == ["folder/deep/grün.txt"]


def test_into_any_file_system_of_fsspec(
    seaweedfs: Server, bucket: str, key: str, source: str
) -> None:
    archived(seaweedfs, source, f"s3://{bucket}/{key}.tar")
    s3stream.extract(f"s3://{bucket}/{key}.tar", f"memory://{key}", **connection(seaweedfs))
    # The one that was asked for last, which has not heard of the store's keys.
    fs = MemoryFileSystem.current()
    assert fs.storage_options == {}
    assert fs.cat_file(f"/{key}/folder/b.bin") == OBJECTS["folder/b.bin"]
    fs.rm(f"/{key}", recursive=True)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"dest": ""}, UsageError, "dest='': expected a folder"),
        ({"dest": 3}, UsageError, "dest=3: expected a folder"),
        ({"dest": "s3://"}, UsageError, "names no bucket"),
        ({"dest": "nowhere://x"}, UsageError, "cannot be opened by fsspec"),
        ({"dest": __file__}, UsageError, "is a file: expected a folder"),
        ({"archive_uri": "/no/such.zip"}, NotFoundError, "there is no file /no/such.zip"),
        ({"archive_uri": "/"}, NotFoundError, "there is no file /"),
        ({"memory_limit": 0}, UsageError, "memory_limit=0"),
        ({"include": 3}, UsageError, "include=3"),
    ],
)
def test_what_cannot_be_unpacked(
    arguments: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(stored_zip({}))
    given = {"archive_uri": str(file), "dest": tmp_path / "out", **arguments}
    with pytest.raises(error, match=re.escape(said)):
        s3stream.extract(**given)


def test_no_such_archive(seaweedfs: Server, bucket: str, key: str, source: str) -> None:
    for uri in (f"s3://{bucket}/{key}.zip", f"{source}/", source, f"s3://{bucket}"):
        with pytest.raises(NotFoundError, match="there is no object"):
            s3stream.verify(uri, **connection(seaweedfs))


def test_an_unpacked_file_takes_the_place_of_another_or_leaves_it(
    sound: dict[str, bytes], tmp_path: Path
) -> None:
    whole = sound["tar"]
    file = tmp_path / "a.tar"
    file.write_bytes(whole[: whole.index(b"a" * 1_000) + 100])
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.txt").write_bytes(b"before")
    with pytest.raises(IntegrityError):
        s3stream.extract(str(file), out)
    assert tree(out) == {"a.txt": b"before"}
    file.write_bytes(whole)
    s3stream.extract(str(file), out)
    assert (out / "a.txt").read_bytes() == b"a" * 1_000


def test_the_manifest_is_lines_that_other_tools_can_read(sound: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(sound["zip"])) as opened:
        lines = opened.read(".s3stream-manifest/000001.jsonl").splitlines()
    assert json.loads(lines[0]) == {"s3stream": 1, "piece": 1}
    assert json.loads(lines[-1]) == {
        "end": {"entries": 5, "size": CONTENTS.size - 5 * MIB, "skipped": 0}
    }
