"""The file system that fsspec finds under `s3stream`, on every store, beside a client of its own.

What a tree looks like, what stays in it after a change, and what two processes make of one file
system.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import s3stream
from s3stream.options import MiB
from tests.faults import ChangeAnswer, LoseAnswer
from tests.trees import TREE, assert_no_uploads, below, body_of, file_system, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 * MiB
MANY = 12 * MiB  # three parts

# --- found by fsspec -----------------------------------------------------------------------------


def test_fsspec_finds_it_by_its_protocol() -> None:
    assert fsspec.get_filesystem_class("s3stream") is s3stream.S3StreamFileSystem
    # And by the entry point alone, in an interpreter which has never imported us.
    code = "import fsspec; print(fsspec.get_filesystem_class('s3stream').__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.strip() == "s3stream.fs"


def test_fsspec_open_writes_and_reads(store: Server, root: str) -> None:
    options = store.storage_options()
    with fsspec.open(f"s3stream://{root}/x", "wb", part_size=PART, **options) as file:
        file.write(b"through fsspec")
    assert body_of(store, f"{root}/x") == b"through fsspec"
    with fsspec.open(f"s3stream://{root}/x", "rb", **options) as file:
        assert file.read() == b"through fsspec"


def test_fsspec_open_writes_text_and_compresses(store: Server, root: str) -> None:
    options = store.storage_options()
    url = f"s3stream://{root}/x.txt.gz"
    with fsspec.open(url, "wt", compression="infer", encoding="utf-16", **options) as file:
        file.write("zwölf\n")
    assert body_of(store, f"{root}/x.txt.gz")[:2] == b"\x1f\x8b"
    with fsspec.open(url, "rt", compression="infer", encoding="utf-16", **options) as file:
        assert file.read() == "zwölf\n"


def test_an_exception_in_fsspec_open_publishes_nothing(store: Server, root: str) -> None:
    url = f"s3stream://{root}/x.gz"
    opened = fsspec.open(url, "wt", compression="infer", part_size=PART, **store.storage_options())
    # Fsspec's TextIOWrapper and gzip close us while the exception passes: we say what we do.
    with (  # noqa: PT012, PT031 - both come of the same block
        pytest.warns(RuntimeWarning, match="nothing was published"),
        pytest.raises(KeyError, match="producer"),
        opened as file,
    ):
        file.write("x" * 100)
        raise KeyError("producer")
    assert keys_of(store, root) == set()


def test_paths_are_taken_with_either_scheme_and_with_none(fs: Any, root: str) -> None:
    fs.pipe_file(f"s3stream://{root}/x", b"1")
    assert fs.cat_file(f"s3://{root}/x") == fs.cat_file(f"{root}/x") == b"1"
    assert fs.info(f"s3://{root}/x")["name"] == f"{root}/x"
    assert fs.unstrip_protocol(f"{root}/x") == f"s3stream://{root}/x"


# --- looking -------------------------------------------------------------------------------------


def test_ls_shows_one_level(fs: Any, tree: str) -> None:
    assert fs.ls(tree, detail=False) == below(tree, "a.txt", "b.csv", "one", "two")
    entries = {entry["name"]: entry for entry in fs.ls(f"s3stream://{tree}/", detail=True)}
    assert entries[f"{tree}/b.csv"]["type"] == "file"
    assert entries[f"{tree}/b.csv"]["size"] == 2
    assert entries[f"{tree}/one"]["type"] == "directory"
    assert entries[f"{tree}/one"]["size"] == 0


def test_a_listing_has_s3s_own_names_too_as_s3fs_has_them(fs: Any, tree: str) -> None:
    entries = [*fs.ls(tree, detail=True), *fs.find(tree, withdirs=True, detail=True).values()]
    assert {entry["type"] for entry in entries} == {"file", "directory"}
    for entry in entries:
        assert (entry["Key"], entry["Size"]) == (entry["name"], entry["size"])
    assert [entry["name"] for entry in fs.ls(tree, detail=True)] == fs.ls(tree)  # sorted alike


def test_ls_of_a_level_below_one_that_is_kept_shows_what_is_in_it(fs: Any, tree: str) -> None:
    fs.ls(tree)
    assert fs.ls(f"{tree}/one", detail=False) == below(tree, "one/c.txt", "one/deep")
    assert fs.ls(f"{tree}/one/deep", detail=False) == below(
        tree, "one/deep/d.txt", "one/deep/e.csv"
    )
    assert fs.ls(f"{tree}/a.txt", detail=False) == below(tree, "a.txt")


def test_ls_of_an_object_shows_the_object(fs: Any, tree: str) -> None:
    (entry,) = fs.ls(f"{tree}/one/c.txt", detail=True)
    assert (entry["name"], entry["size"], entry["type"]) == (f"{tree}/one/c.txt", 3, "file")


def test_ls_without_a_bucket_shows_the_buckets(fs: Any, bucket: str, new_bucket: str) -> None:
    assert bucket in fs.ls("", detail=False)
    assert new_bucket not in fs.ls("s3stream://", detail=False)
    fs.mkdir(new_bucket)
    assert new_bucket in fs.ls("", detail=False)
    assert {entry["type"] for entry in fs.ls("", detail=True)} == {"directory"}


@pytest.mark.parametrize("path", ["{root}", "{root}/x", "no-such-bucket-at-all"])
def test_ls_of_what_is_not_there_is_file_not_found(fs: Any, root: str, path: str) -> None:
    path = path.format(root=root)
    with pytest.raises(FileNotFoundError) as raised:
        fs.ls(path)
    assert raised.value.bucket == path.partition("/")[0]  # type: ignore[attr-defined]


def test_what_a_caller_does_to_a_listing_does_not_change_the_next(fs: Any, tree: str) -> None:
    first = fs.ls(tree, detail=True)
    first[0]["size"] = -1
    first.clear()
    again = fs.ls(tree, detail=True)
    assert [entry["size"] for entry in again if entry["type"] == "file"] == [1, 2]


def test_info_tells_objects_prefixes_and_buckets_apart(fs: Any, tree: str, bucket: str) -> None:
    info = fs.info(f"{tree}/one/deep/d.txt")
    assert (info["name"], info["size"], info["type"]) == (f"{tree}/one/deep/d.txt", 4, "file")
    assert info["ETag"]
    age = datetime.now(timezone.utc) - info["LastModified"]
    assert abs(age.total_seconds()) < 600
    assert fs.modified(f"{tree}/one/deep/d.txt") == info["LastModified"]
    for path in (f"{tree}/one", f"{tree}/one/", tree, bucket, "", "s3stream://"):
        assert fs.info(path)["type"] == "directory"
    assert fs.isfile(f"{tree}/a.txt")
    assert not fs.isdir(f"{tree}/a.txt")
    assert fs.isdir(f"{tree}/one")
    assert fs.size(f"{tree}/b.csv") == 2


@pytest.mark.parametrize(
    "path", ["{tree}/on", "{tree}/a.txt/x", "no-such-bucket-at-all", "no-such-bucket-at-all/x"]
)
def test_what_is_not_there_does_not_exist(fs: Any, tree: str, path: str) -> None:
    path = path.format(tree=tree)
    assert not fs.exists(path)
    with pytest.raises(FileNotFoundError):
        fs.info(path)


def test_what_is_there_exists(fs: Any, tree: str, bucket: str) -> None:
    assert all(map(fs.exists, ["", bucket, tree, f"{tree}/one", f"{tree}/one/c.txt"]))


def test_exists_does_not_take_a_refusal_for_an_absence(seaweedfs: Server, root: str) -> None:
    options = {**seaweedfs.storage_options(), "secret": "wrong"}
    fs = fsspec.filesystem("s3stream", **options)
    with pytest.raises(PermissionError):
        fs.exists(f"{root}/x")


def test_find_lists_all_objects_below(fs: Any, tree: str) -> None:
    assert fs.find(tree) == sorted(below(tree, *TREE))
    found = fs.find(f"s3stream://{tree}/", detail=True)
    sizes = {name: info["size"] for name, info in found.items()}
    assert sizes == {f"{tree}/{name}": len(body) for name, body in TREE.items()}


def test_find_of_an_object_lists_it_and_of_nothing_nothing(fs: Any, tree: str) -> None:
    assert fs.find(f"{tree}/a.txt") == below(tree, "a.txt")
    assert fs.find(f"{tree}/a.txt", detail=True)[f"{tree}/a.txt"]["size"] == 1
    assert fs.find(f"{tree}/a.txt", withdirs=True, detail=True)[f"{tree}/a.txt"]["size"] == 1
    assert fs.find(f"{tree}/nothing") == []


def test_find_heeds_maxdepth_withdirs_and_prefix(fs: Any, tree: str) -> None:
    assert fs.find(tree, maxdepth=1) == below(tree, "a.txt", "b.csv")
    assert fs.find(tree, maxdepth=2) == below(
        tree, "a.txt", "b.csv", "one/c.txt", "two/empty", "two/f.txt"
    )
    directories = {tree, *below(tree, "one", "one/deep", "two")}
    assert set(fs.find(tree, withdirs=True)) == {*below(tree, *TREE), *directories}
    assert fs.find(tree, prefix="t") == below(tree, "two/empty", "two/f.txt")
    assert fs.find(f"{tree}/one", prefix="d") == below(tree, "one/deep/d.txt", "one/deep/e.csv")
    assert fs.find(tree, prefix="b", maxdepth=1) == below(tree, "b.csv")
    assert fs.find(tree, prefix="t", withdirs=True) == below(tree, "two", "two/empty", "two/f.txt")


def test_find_does_not_take_a_longer_name_for_the_directory(
    fs: Any, store: Server, bucket: str, key: str
) -> None:
    for name in ("log/1", "logs/2", "log.txt"):
        store.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"x")
    assert fs.find(f"{bucket}/{key}/log") == [f"{bucket}/{key}/log/1"]


@pytest.mark.parametrize(
    "pattern", ["*", "*.txt", "*/*.txt", "one/*", "**", "**/*.csv", "one/deep/?.csv", "[ab].*"]
)
def test_glob_finds_what_the_local_file_system_finds(
    fs: Any, tree: str, pattern: str, tmp_path: Path
) -> None:
    for name, body in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(body)
    local = fsspec.filesystem("file").glob(f"{tmp_path}/{pattern}")
    assert local, "a pattern that finds nothing proves nothing"
    expected = {os.path.relpath(name, tmp_path) for name in local} - {"."}
    found = {os.path.relpath(name, tree) for name in fs.glob(f"s3stream://{tree}/{pattern}")}
    assert found - {"."} == expected


def test_walk_and_du_agree_with_the_tree(fs: Any, tree: str) -> None:
    walked = {
        os.path.relpath(path, tree): (sorted(dirs), sorted(files))
        for path, dirs, files in fs.walk(tree)
    }
    assert walked == {
        ".": (["one", "two"], ["a.txt", "b.csv"]),
        "one": (["deep"], ["c.txt"]),
        "one/deep": ([], ["d.txt", "e.csv"]),
        "two": ([], ["empty", "f.txt"]),
    }
    assert fs.du(tree) == sum(map(len, TREE.values()))
    assert fs.du(f"{tree}/one", total=False) == {
        f"{tree}/{name}": len(body) for name, body in TREE.items() if name.startswith("one/")
    }


def test_a_folder_that_a_console_has_made_is_a_directory(
    sea: Any, seaweedfs: Server, bucket: str, key: str
) -> None:
    root = f"{bucket}/{key}"
    seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/made/", Body=b"")
    assert sea.info(f"{root}/made")["type"] == "directory"
    assert sea.ls(root, detail=False) == [f"{root}/made"]
    assert sea.ls(f"{root}/made") == []
    assert sea.find(root) == []
    sea.rm(f"{root}/made", recursive=True)
    assert keys_of(seaweedfs, root) == set()


ODD_NAMES = ["with space", "plus+sign", "per%20cent", "grüße/日本語", "quo'te\"&<x>", "a=1;b#c?d"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_come_and_go_like_others(fs: Any, store: Server, root: str, name: str) -> None:
    path = f"{root}/{name}"
    fs.pipe_file(path, b"odd")
    assert keys_of(store, root) == {name}
    assert fs.find(root) == [path]
    assert [fs.info(path)["name"], fs.cat_file(path)] == [path, b"odd"]
    fs.cp_file(path, f"{path} copy")
    assert body_of(store, f"{path} copy") == b"odd"
    fs.rm_file(path)
    fs.rm(root, recursive=True)
    assert keys_of(store, root) == set()


# --- listings of many pages ----------------------------------------------------------------------


def test_a_listing_of_many_pages_is_whole(store: Server, tree: str) -> None:
    fs = file_system(store, s3_additional_kwargs={"MaxKeys": 2})
    assert fs.ls(tree, detail=False) == below(tree, "a.txt", "b.csv", "one", "two")
    assert fs.find(tree) == sorted(below(tree, *TREE))
    fs.rm(tree, recursive=True)
    assert keys_of(store, tree) == set()


def test_each_page_of_a_listing_is_asked_for_once(
    proxied: Server, proxy: Proxy, seaweedfs: Server, bucket: str, key: str
) -> None:
    for number in range(5):
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/{number}", Body=b"")
    fs = file_system(proxied, s3_additional_kwargs={"MaxKeys": 2})
    assert len(fs.find(f"{bucket}/{key}")) == 5
    pages = proxy.of("ListObjectsV2")
    assert [page.query["max-keys"] for page in pages] == ["2", "2", "2"]
    assert len({page.query.get("continuation-token") for page in pages}) == 3


class Repeating:
    """A client of a store that answers every request for a listing with its first page."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_objects_v2(self, **arguments: Any) -> Any:
        self.asked += 1
        arguments.pop("ContinuationToken", None)
        return self._client.list_objects_v2(**arguments)


def test_a_store_that_repeats_its_first_page_for_ever_is_an_error(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    for number in range(3):
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/{number}", Body=b"")
    client = Repeating(seaweedfs.client())
    fs = s3stream.S3StreamFileSystem(client=client, s3_additional_kwargs={"MaxKeys": 1})
    with pytest.raises(s3stream.S3StreamError, match=r"listing does not end") as raised:
        fs.find(f"{bucket}/{key}")
    assert (raised.value.bucket, client.asked) == (bucket, 2)


def test_more_than_a_thousand_objects_are_listed_and_deleted(
    sea: Any, seaweedfs: Server, bucket: str, key: str
) -> None:
    root, client = f"{bucket}/{key}", seaweedfs.client()
    names = [f"{number:04}" for number in range(1003)]
    for name in names:
        client.put_object(Bucket=bucket, Key=f"{key}/all/{name}", Body=b"")
    client.put_object(Bucket=bucket, Key=f"{key}/other", Body=b"")
    assert sea.ls(f"{root}/all", detail=False) == below(root, *(f"all/{name}" for name in names))
    sea.rm(f"{root}/all", recursive=True)
    assert keys_of(seaweedfs, root) == {"other"}


# --- listings that are kept ----------------------------------------------------------------------


def change_by_open(fs: Any, root: str) -> None:
    with fs.open(f"{root}/one/new", "wb") as file:
        file.write(b"new")


def change_by_pipe(fs: Any, root: str) -> None:
    fs.pipe_file(f"{root}/one/new", b"new")


def change_by_copy(fs: Any, root: str) -> None:
    fs.cp_file(f"{root}/one/c.txt", f"{root}/one/new")


def change_by_move(fs: Any, root: str) -> None:
    fs.mv(f"{root}/a.txt", f"{root}/one/new")


def change_by_transaction(fs: Any, root: str) -> None:
    with fs.transaction, fs.open(f"{root}/one/new", "wb") as file:
        file.write(b"new")


@pytest.mark.parametrize(
    "change",
    [change_by_open, change_by_pipe, change_by_copy, change_by_move, change_by_transaction],
)
def test_a_kept_listing_is_dropped_by_what_changes_it(fs: Any, tree: str, change: Any) -> None:
    for path in (tree, f"{tree}/one", f"{tree}/one/deep"):
        fs.ls(path)
    assert not fs.exists(f"{tree}/one/new")
    change(fs, tree)
    assert f"{tree}/one/new" in fs.ls(f"{tree}/one", detail=False)
    assert fs.exists(f"{tree}/one/new")
    fs.rm(f"{tree}/one/new")
    assert f"{tree}/one/new" not in fs.ls(f"{tree}/one", detail=False)
    assert not fs.exists(f"{tree}/one/new")


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("DeleteObjects", lambda fs, root: fs.rm(f"{root}/a.txt")),
        ("DeleteObjects", lambda fs, root: fs.bulk_delete([f"{root}/a.txt"])),
        ("DeleteObjects", lambda fs, root: fs.mv(f"{root}/a.txt", f"{root}/two/a.txt")),
        ("DeleteObject", lambda fs, root: fs.rm_file(f"{root}/a.txt")),
        ("CopyObject", lambda fs, root: fs.cp_file(f"{root}/b.csv", f"{root}/new")),
    ],
    ids=["rm", "bulk_delete", "mv", "rm_file", "cp_file"],
)
def test_a_kept_listing_is_dropped_by_what_fails_when_it_is_done(
    proxied: Server, proxy: Proxy, seaweedfs: Server, root: str, operation: str, change: Any
) -> None:
    bucket, _, key = root.partition("/")
    for name, body in TREE.items():
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=body)
    fs = file_system(proxied, config_kwargs={"retries": {"total_max_attempts": 1}})
    fs.find(root, withdirs=True)  # every level is kept
    proxy.inject(operation, LoseAnswer())
    with pytest.raises(s3stream.S3StreamError):
        change(fs, root)
    assert proxy.injected
    # What is kept of any level says what another client sees.
    known = {f"{path}/{name}" for path, _, files in fs.walk(root) for name in files}
    assert known == {f"{root}/{name}" for name in keys_of(seaweedfs, root)} != {*below(root, *TREE)}


def test_a_kept_size_is_dropped_when_the_object_is_written_again(fs: Any, tree: str) -> None:
    fs.ls(tree)
    assert fs.info(f"{tree}/a.txt")["size"] == 1
    fs.pipe_file(f"{tree}/a.txt", b"longer")
    assert fs.info(f"{tree}/a.txt")["size"] == 6
    assert fs.cat_file(f"{tree}/a.txt") == b"longer"
    with fs.open(f"{tree}/a.txt") as file:
        assert file.read() == b"longer"


def test_a_new_directory_shows_in_a_kept_listing(fs: Any, store: Server, tree: str) -> None:
    fs.ls(tree)
    fs.pipe_file(f"{tree}/brand/new/x", b"")
    assert f"{tree}/brand" in fs.ls(tree, detail=False)
    fs.rm(f"{tree}/brand", recursive=True)
    assert fs.find(tree) == sorted(below(tree, *TREE))
    # SeaweedFS goes on showing the empty prefix for a while: no more is shown than it says.
    bucket, _, key = tree.partition("/")
    seen = store.client().list_objects_v2(Bucket=bucket, Prefix=f"{key}/", Delimiter="/")
    prefixes = {f"{bucket}/{entry['Prefix']}".rstrip("/") for entry in seen["CommonPrefixes"]}
    entries = fs.ls(tree, detail=True)
    shown = {entry["name"] for entry in entries if entry["type"] == "directory"}
    assert {f"{tree}/one", f"{tree}/two"} <= shown <= prefixes


def test_a_kept_listing_costs_no_request_and_refresh_asks_again(
    proxied: Server, proxy: Proxy, seaweedfs: Server, bucket: str, key: str
) -> None:
    put = seaweedfs.client().put_object
    put(Bucket=bucket, Key=f"{key}/x", Body=b"1")
    fs, root = file_system(proxied), f"{bucket}/{key}"
    assert fs.ls(root) == fs.ls(root)
    assert fs.info(f"{root}/x")["size"] == 1
    assert proxy.count() == 1
    put(Bucket=bucket, Key=f"{key}/y", Body=b"2")
    assert fs.ls(root, detail=False) == [f"{root}/x"]
    assert fs.ls(root, detail=False, refresh=True) == [f"{root}/x", f"{root}/y"]


@pytest.mark.parametrize("at", ["", "/one", None])
def test_invalidate_cache_forgets_what_is_at_and_below_a_path(
    fs: Any, store: Server, tree: str, at: str | None
) -> None:
    bucket, _, key = tree.partition("/")
    for path in (tree, f"{tree}/one", f"{tree}/one/deep"):
        fs.ls(path)
    store.client().put_object(Bucket=bucket, Key=f"{key}/one/deep/new", Body=b"")
    fs.invalidate_cache(None if at is None else f"s3stream://{tree}{at}")
    assert f"{tree}/one/deep/new" in fs.ls(f"{tree}/one/deep", detail=False)


def test_without_kept_listings_another_writer_is_seen_at_once(store: Server, tree: str) -> None:
    bucket, _, key = tree.partition("/")
    fs = file_system(store, use_listings_cache=False)
    assert f"{tree}/new" not in fs.ls(tree, detail=False)
    store.client().put_object(Bucket=bucket, Key=f"{key}/new", Body=b"")
    assert f"{tree}/new" in fs.ls(tree, detail=False)


# --- changing ------------------------------------------------------------------------------------


def test_rm_of_an_object_leaves_its_neighbours(fs: Any, store: Server, tree: str) -> None:
    fs.rm(f"s3stream://{tree}/one/c.txt")
    fs.rm_file(f"{tree}/a.txt")
    assert keys_of(store, tree) == TREE.keys() - {"one/c.txt", "a.txt"}


def test_rm_recursive_takes_all_below_and_nothing_beside(fs: Any, store: Server, tree: str) -> None:
    fs.pipe_file(f"{tree}/one-more", b"")
    fs.rm(f"{tree}/one", recursive=True)
    assert keys_of(store, tree) == {"a.txt", "b.csv", "two/f.txt", "two/empty", "one-more"}
    assert fs.find(f"{tree}/one") == []


def test_rm_takes_patterns_and_lists_and_heeds_maxdepth(fs: Any, store: Server, tree: str) -> None:
    fs.rm(f"{tree}/*.csv")
    fs.rm(below(tree, "two/f.txt", "two/empty"))
    assert keys_of(store, tree) == {"a.txt", "one/c.txt", "one/deep/d.txt", "one/deep/e.csv"}
    fs.rm(f"{tree}/one", recursive=True, maxdepth=1)
    assert keys_of(store, tree) == {"a.txt", "one/deep/d.txt", "one/deep/e.csv"}


@pytest.mark.parametrize("recursive", [False, True])
def test_rm_of_nothing_is_file_not_found(fs: Any, root: str, recursive: bool) -> None:
    with pytest.raises(FileNotFoundError):
        fs.rm(f"{root}/nothing", recursive=recursive)


def test_rm_of_a_prefix_needs_recursive(fs: Any, store: Server, tree: str) -> None:
    with pytest.raises(IsADirectoryError, match="recursive=True"):
        fs.rm(f"{tree}/one")
    assert keys_of(store, tree) == TREE.keys()


def test_buckets_are_made_and_removed(fs: Any, store: Server, new_bucket: str) -> None:
    fs.mkdir(new_bucket)
    store.client().head_bucket(Bucket=new_bucket)
    assert fs.ls(new_bucket) == []
    assert fs.exists(new_bucket)
    fs.pipe_file(f"{new_bucket}/x", b"")
    with pytest.raises(s3stream.S3StreamError):
        fs.rmdir(new_bucket)  # not empty
    fs.rm(f"{new_bucket}/x")
    fs.rmdir(new_bucket)
    assert not fs.exists(new_bucket)
    with pytest.raises(FileNotFoundError):
        fs.rmdir(new_bucket)


def test_makedirs_heeds_exist_ok(fs: Any, new_bucket: str) -> None:
    fs.makedirs(f"s3stream://{new_bucket}")
    fs.makedirs(new_bucket, exist_ok=True)
    with pytest.raises(FileExistsError, match=new_bucket):
        fs.makedirs(new_bucket)


def test_rm_recursive_of_a_bucket_removes_it_with_all_in_it(
    fs: Any, store: Server, new_bucket: str
) -> None:
    fs.mkdir(new_bucket)
    fs.pipe({f"{new_bucket}/a/b": b"1", f"{new_bucket}/c": b"2"})
    fs.rm(new_bucket, recursive=True)
    names = [entry["Name"] for entry in store.client().list_buckets()["Buckets"]]
    assert new_bucket not in names


def test_folders_are_made_and_removed_without_a_trace(fs: Any, store: Server, tree: str) -> None:
    fs.mkdir(f"{tree}/new")
    fs.makedirs(f"{tree}/newer/still", exist_ok=True)
    fs.rmdir(f"{tree}/newer/still")
    with pytest.raises(FileExistsError, match="not empty"):
        fs.rmdir(f"{tree}/two")
    assert keys_of(store, tree) == TREE.keys()


def test_folders_cost_no_request_and_a_bucket_that_is_there_no_right_to_make_one(
    proxied: Server, proxy: Proxy, root: str, bucket: str
) -> None:
    fs = file_system(proxied)
    fs.makedirs(root, exist_ok=True)
    assert proxy.count() == 0
    fs.makedirs(bucket, exist_ok=True)
    assert proxy.count("CreateBucket") == 0


@pytest.mark.parametrize("size", [0, 5, MANY], ids=["empty", "small", "many-parts"])
def test_cp_file_copies_bytes_and_what_belongs_to_them(store: Server, root: str, size: int) -> None:
    fs = file_system(store, part_size=PART)
    body = bytes(range(256)) * (size // 256) or b"x" * size
    fs.pipe_file(f"{root}/from.csv", body, Metadata={"who": "me"})
    fs.cp_file(f"s3stream://{root}/from.csv", f"s3stream://{root}/to/there")
    assert body_of(store, f"{root}/to/there") == body
    bucket, _, key = root.partition("/")
    head = store.client().head_object(Bucket=bucket, Key=f"{key}/to/there")
    assert head["ContentType"] == "text/csv"
    # rclone writes Who for who, and adds an mtime of its own.
    assert {name.lower(): value for name, value in head["Metadata"].items()}["who"] == "me"


def test_cp_and_mv_of_what_is_not_there_are_file_not_found(fs: Any, root: str) -> None:
    with pytest.raises(FileNotFoundError):
        fs.cp_file(f"{root}/nothing", f"{root}/x")
    with pytest.raises(FileNotFoundError):
        fs.mv(f"{root}/nothing", f"{root}/x")
    assert not fs.exists(root)


def test_cp_and_mv_take_trees(fs: Any, store: Server, tree: str) -> None:
    fs.cp(f"{tree}/one/", f"{tree}/copy/", recursive=True)
    assert {"copy/c.txt", "copy/deep/d.txt", "copy/deep/e.csv"} <= keys_of(store, tree)
    fs.mv(f"{tree}/one/", f"{tree}/moved/", recursive=True)
    assert keys_of(store, tree) == {
        *("a.txt", "b.csv", "two/f.txt", "two/empty"),
        *("copy/c.txt", "copy/deep/d.txt", "copy/deep/e.csv"),
        *("moved/c.txt", "moved/deep/d.txt", "moved/deep/e.csv"),
    }
    assert body_of(store, f"{tree}/moved/deep/d.txt") == TREE["one/deep/d.txt"]


def test_put_and_get_bring_a_tree_there_and_back(
    fs: Any, store: Server, root: str, tmp_path: Path
) -> None:
    for name, body in TREE.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_bytes(body)
    fs.put(f"{tmp_path}/out/", f"s3stream://{root}/", recursive=True)
    assert keys_of(store, root) == TREE.keys()
    fs.get(f"s3stream://{root}/", f"{tmp_path}/back/", recursive=True)
    back = {
        path.relative_to(tmp_path / "back").as_posix(): path.read_bytes()
        for path in (tmp_path / "back").rglob("*")
        if path.is_file()
    }
    assert back == TREE


def test_put_file_to_the_top_of_a_bucket_makes_no_bucket(
    proxied: Server, proxy: Proxy, seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"local")
    file_system(proxied).put_file(tmp_path / "x", f"{bucket}/{key}")
    assert body_of(seaweedfs, f"{bucket}/{key}") == b"local"
    assert proxy.count("CreateBucket") == 0


def test_put_file_to_a_bucket_that_is_not_there_does_not_make_it(
    fs: Any, store: Server, new_bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"local")
    with pytest.raises(FileNotFoundError, match=new_bucket):
        fs.put_file(tmp_path / "x", f"{new_bucket}/x")
    assert new_bucket not in [entry["Name"] for entry in store.client().list_buckets()["Buckets"]]


# --- whole objects -------------------------------------------------------------------------------

RANGES = [
    *((None, None), (0, None), (None, 0), (0, 5), (3, 7), (9, 10), (0, 10), (5, 5), (7, 3)),
    *((-3, None), (None, -3), (-5, -2), (2, -2), (-2, 2), (-100, 4), (-100, -50), (0, -100)),
    *((5, 100), (10, 20), (100, 200), (10, None), (100, None)),
]


def test_cat_file_counts_like_a_slice(fs: Any, root: str) -> None:
    body = b"0123456789"
    fs.pipe_file(f"{root}/digits", body)
    got = {r: fs.cat_file(f"{root}/digits", *r) for r in RANGES}
    assert got == {(start, end): body[start:end] for start, end in RANGES}


def test_cat_file_of_nothing_is_nothing_whatever_the_range(fs: Any, root: str) -> None:
    fs.pipe_file(f"{root}/empty", b"")
    assert {r: fs.cat_file(f"{root}/empty", *r) for r in RANGES} == dict.fromkeys(RANGES, b"")


def test_cat_reads_many_and_their_ranges(fs: Any, tree: str) -> None:
    names = below(tree, "b.csv", "one/c.txt")
    assert fs.cat(names) == {names[0]: b"bb", names[1]: b"ccc"}
    assert fs.cat(f"{tree}/one", recursive=True, on_error="omit") == {
        f"{tree}/{name}": body for name, body in TREE.items() if name.startswith("one/")
    }
    assert fs.cat_ranges(names, [0, 1], [1, 3]) == [b"b", b"cc"]
    assert fs.head(f"{tree}/two/f.txt", 2) == b"ff"
    assert fs.tail(f"{tree}/two/f.txt", 3) == b"fff"


def test_cat_file_of_what_is_not_there_is_file_not_found(fs: Any, root: str) -> None:
    for bounds in ((), (0, 5), (-5, None)):
        with pytest.raises(FileNotFoundError) as raised:
            fs.cat_file(f"{root}/nothing", *bounds)
        assert f"{raised.value.bucket}/{raised.value.key}" == f"{root}/nothing"  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [0, 5, MANY], ids=["empty", "small", "many-parts"])
def test_pipe_file_writes_any_buffer(store: Server, root: str, size: int) -> None:
    fs = file_system(store, part_size=PART)
    body = os.urandom(size)
    for name, value in {"b": body, "ba": bytearray(body), "mv": memoryview(body)}.items():
        fs.pipe_file(f"{root}/{name}", value)
        assert body_of(store, f"{root}/{name}") == body
    assert_no_uploads(store, root, "b", "ba", "mv")


def test_pipe_file_in_create_mode_refuses_to_replace(
    sea: Any, seaweedfs: Server, root: str
) -> None:
    sea.pipe_file(f"{root}/x", b"first", mode="create")
    with pytest.raises(FileExistsError):
        sea.pipe_file(f"{root}/x", b"second", mode="create")
    assert body_of(seaweedfs, f"{root}/x") == b"first"
    sea.pipe_file(f"{root}/x", b"third")
    assert body_of(seaweedfs, f"{root}/x") == b"third"


def test_touch_and_text_go_through_the_writer(fs: Any, store: Server, root: str) -> None:
    fs.touch(f"{root}/touched")
    assert body_of(store, f"{root}/touched") == b""
    fs.write_text(f"{root}/text", "grüße\n", encoding="latin-1")
    assert body_of(store, f"{root}/text") == b"gr\xfc\xdfe\n"
    assert fs.read_text(f"{root}/text", encoding="latin-1") == "grüße\n"


def test_opening_the_file_system_takes_part_size_as_block_size(
    proxied: Server, proxy: Proxy, root: str
) -> None:
    fs = file_system(proxied)
    with fs.open(f"{root}/x", "wb", block_size=6 * MiB) as file:
        file.write(bytes(MANY + 1))
    sizes = sorted(part.size for part in proxy.of("UploadPart"))
    assert sizes == [1, 6 * MiB, 6 * MiB]


def test_defaults_of_the_file_system_hold_for_its_files(
    proxied: Server, proxy: Proxy, root: str
) -> None:
    fs = file_system(
        proxied, part_size=PART, checksum="crc32", s3_additional_kwargs={"CacheControl": "no-store"}
    )
    with fs.open(f"{root}/x", "wb") as file:
        file.write(bytes(MANY))
    assert file.result.checksum.algorithm == "crc32"
    assert file.result.parts == 3
    (create,) = proxy.of("CreateMultipartUpload")
    assert create.request_headers["cache-control"] == "no-store"
    with fs.open(f"{root}/y", "wb", checksum=None, CacheControl="max-age=1") as file:
        file.write(b"")
    (put,) = proxy.of("PutObject")
    assert put.request_headers["cache-control"] == "max-age=1"
    assert file.result.checksum is None


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache_type", ["readahead", "none", "all", "blockcache", "bytes", "first"])
def test_every_read_cache_gives_the_bytes(fs: Any, root: str, cache_type: str) -> None:
    body = os.urandom(300_000)
    fs.pipe_file(f"{root}/x", body)
    with fs.open(f"{root}/x", "rb", block_size=64_000, cache_type=cache_type) as file:
        assert file.read(10) == body[:10]
        assert file.seek(-10, io.SEEK_END) == len(body) - 10
        assert file.read() == body[-10:]
        assert file.read() == b""
        file.seek(100_000)
        assert file.read(90_000) == body[100_000:190_000]
        file.seek(0)
        assert file.read() == body
        assert file.size == len(body)


READS = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 5_500)),
        st.tuples(st.just("read"), st.integers(-1, 3_000)),
        st.tuples(st.just("readline"), st.just(0)),
        st.tuples(st.just("readinto"), st.integers(0, 3_000)),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def lines(seaweedfs: Server, bucket: str) -> tuple[Any, str, bytes]:
    """One object of lines, and the file system which it is read by."""
    body = b"".join(bytes([97 + n % 26]) * (n * 7 % 90) + b"\n" for n in range(110))
    seaweedfs.client().put_object(Bucket=bucket, Key="lines-for-reading", Body=body)
    return file_system(seaweedfs), f"{bucket}/lines-for-reading", body


@pytest.mark.parametrize("cache_type", ["readahead", "none", "all", "blockcache"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reads=READS)
def test_any_mix_of_seek_and_read_gives_the_same_as_the_bytes(
    lines: tuple[Any, str, bytes], cache_type: str, reads: list[tuple[str, int]]
) -> None:
    fs, path, body = lines
    model = io.BytesIO(body)
    with fs.open(path, "rb", block_size=1_000, cache_type=cache_type, size=len(body)) as file:
        for action, number in reads:
            if action == "readinto":
                ours, theirs = bytearray(number), bytearray(number)
                assert file.readinto(ours) == model.readinto(theirs)
                assert ours == theirs
            elif action == "readline":
                assert file.readline() == model.readline()
            else:
                assert getattr(file, action)(number) == getattr(model, action)(number)
            assert file.tell() == model.tell()


def test_text_is_read_line_by_line_in_its_encoding(store: Server, root: str) -> None:
    options = store.storage_options()
    text = "eins\r\nzwei ä\nlast without end"
    uri = f"s3://{root}/x.txt"
    with s3stream.open(uri, "w", encoding="utf-16", newline="", **options) as file:
        file.write(text)
    with s3stream.open(uri, "r", encoding="utf-16", newline="", **options) as file:
        assert file.read() == text
    with s3stream.open(uri, "r", encoding="utf-16", **options) as file:
        assert list(file) == ["eins\n", "zwei ä\n", "last without end"]


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_compression_is_inferred_both_ways(store: Server, root: str, ending: str) -> None:
    options = {**store.storage_options(), "compression": "infer"}
    uri = f"s3://{root}/x.txt.{ending}"
    with s3stream.open(uri, "w", **options) as file:
        file.write("text\n" * 1000)
    assert len(body_of(store, f"{root}/x.txt.{ending}")) < 1000
    with s3stream.open(uri, "r", **options) as file:
        assert file.read() == "text\n" * 1000


def test_an_object_is_read_with_the_options_it_was_written_with(store: Server, root: str) -> None:
    options = {**store.storage_options(), "part_size": PART, "checksum": "crc32"}
    for mode in ("wb", "rb"):
        with s3stream.open(f"s3://{root}/x", mode, **options) as file:
            assert file.write(b"12") == 2 if mode == "wb" else file.read() == b"12"


def test_no_file_mixes_two_objects_of_the_same_size(fs: Any, store: Server, root: str) -> None:
    bucket, _, key = root.partition("/")
    store.client().put_object(Bucket=bucket, Key=key, Body=b"a" * 20)
    with fs.open(root, block_size=10, cache_type="none") as file:
        assert file.read(10) == b"a" * 10
        store.client().put_object(Bucket=bucket, Key=key, Body=b"b" * 20)
        with pytest.raises(s3stream.PreconditionError):
            file.read(10)


def test_nor_where_the_store_ignores_the_condition(
    seaweedfs: Server, proxied: Server, proxy: Proxy, root: str
) -> None:
    bucket, _, key = root.partition("/")
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"a" * 20)
    proxy.inject("GetObject", ChangeAnswer(rb'(?i)\r\netag: "[0-9a-f]+"', b'\r\nETag: "other"'))
    with (
        file_system(proxied).open(root) as file,
        pytest.raises(s3stream.PreconditionError, match="the object was replaced"),
    ):
        file.read()
    assert proxy.injected


def test_a_prefix_is_not_opened_for_reading(fs: Any, tree: str) -> None:
    with pytest.raises(IsADirectoryError, match=f"s3://{tree}/one"):
        fs.open(f"{tree}/one", "rb")


def test_a_file_for_reading_pickles_at_its_place(fs: Any, root: str) -> None:
    fs.pipe_file(f"{root}/x", b"0123456789")
    with fs.open(f"{root}/x", "rb") as file:
        file.seek(4)
        with pickle.loads(pickle.dumps(file)) as again:
            assert again.read() == b"456789"


# --- instances, processes ------------------------------------------------------------------------


def test_the_same_options_give_the_same_instance(store: Server) -> None:
    options = store.storage_options()
    one = fsspec.filesystem("s3stream", **options)
    assert fsspec.filesystem("s3stream", **options) is one
    assert fsspec.filesystem("s3stream", **options, part_size=PART) is not one
    assert fsspec.core.url_to_fs("s3stream://b/k", **options)[0] is one


def test_a_given_client_is_the_one_that_is_used(seaweedfs: Server, root: str) -> None:
    client = seaweedfs.client()
    seen: list[str] = []
    client.meta.events.register("before-call.s3", lambda model, **_: seen.append(model.name))
    fs = fsspec.filesystem("s3stream", client=client)
    fs.pipe_file(f"{root}/x", b"given")
    assert fs.client is client
    assert fs.cat_file(f"{root}/x") == b"given"
    with s3stream.open(f"s3://{root}/y", "wb", client=client) as file:
        file.write(b"")
    assert seen == ["PutObject", "GetObject", "PutObject"]
    other = fsspec.filesystem("s3stream", client=seaweedfs.client())
    assert other is not fs


def test_a_file_system_with_a_given_client_is_not_pickled(seaweedfs: Server) -> None:
    fs = fsspec.filesystem("s3stream", client=seaweedfs.client())
    with pytest.raises(TypeError, match=r"made with client= cannot be pickled.*endpoint_url="):
        pickle.dumps(fs)


def run(code: str, *arguments: str, stdin: bytes = b"") -> None:
    """Run Python in a new process; what it says when it fails is what pytest shows."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()


WRITE_BY_PICKLE = """
import pickle, sys
fs = pickle.load(sys.stdin.buffer)
with fs.open(sys.argv[1], "wb") as file:
    file.write(bytes(12 << 20))
assert file.result.parts == 3, file.result
assert fs.cat_file(sys.argv[2]) == b"from the parent"
"""


def test_a_file_system_is_pickled_into_another_process_and_writes_there(
    store: Server, root: str
) -> None:
    fs = file_system(store, part_size=PART)
    fs.pipe_file(f"{root}/parent", b"from the parent")
    run(WRITE_BY_PICKLE, f"{root}/child", f"{root}/parent", stdin=pickle.dumps(fs))
    assert body_of(store, f"{root}/child") == bytes(MANY)


WRITE_AFTER_FORK = """
import json, os, sys
import fsspec
path, fs = sys.argv[2], fsspec.filesystem("s3stream", **json.loads(sys.argv[1]))
fs.pipe_file(path + "/before", b"parent" * 1_000_000)
client = fs.client
for name in ("child1", "child2"):
    pid = os.fork()
    if pid == 0:
        assert fs.client is not client
        with fs.open(path + "/" + name, "wb") as file:
            file.write(name.encode() * 2_000_000)
        assert fs.cat_file(path + "/before", 0, 6) == b"parent"
        os._exit(0)
    fs.pipe_file(path + "/beside-" + name, b"parent")
    assert os.waitpid(pid, 0)[1] == 0
    assert fs.client is client
fs.pipe_file(path + "/after", b"parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_writes_by_a_client_of_its_own_and_the_parent_goes_on(
    store: Server, root: str
) -> None:
    options = {**store.storage_options(), "part_size": PART}
    run(WRITE_AFTER_FORK, json.dumps(options), root)
    names = {"before", "child1", "child2", "beside-child1", "beside-child2", "after"}
    assert keys_of(store, root) == names
    for name in ("child1", "child2"):
        assert body_of(store, f"{root}/{name}") == name.encode() * 2_000_000
    assert_no_uploads(store, root, "child1", "child2")


# --- transactions --------------------------------------------------------------------------------


def test_files_of_a_transaction_appear_together_at_its_end(store: Server, root: str) -> None:
    fs = file_system(store, part_size=PART)
    with fs.transaction:
        with fs.open(f"{root}/small", "wb") as small:
            small.write(b"small")
        with fs.open(f"{root}/large", "wb") as large:
            large.write(bytes(MANY))
        with fs.open(f"{root}/text.gz", "w", compression="infer") as text:
            text.write("text")
        assert keys_of(store, root) == set()
    assert keys_of(store, root) == {"small", "large", "text.gz"}
    assert body_of(store, f"{root}/small") == b"small"
    assert body_of(store, f"{root}/large") == bytes(MANY)
    assert fs.open(f"{root}/text.gz", "r", compression="gzip").read() == "text"
    assert large.result.parts == 3
    fs.pipe_file(f"{root}/later", b"")  # after it, files appear at once again
    assert "later" in keys_of(store, root)


def test_an_exception_in_a_transaction_publishes_nothing_and_leaves_no_upload(
    store: Server, root: str
) -> None:
    fs = file_system(store, part_size=PART)
    with pytest.raises(KeyError, match="late"), fs.transaction:  # noqa: PT012
        with fs.open(f"{root}/small", "wb") as small:
            small.write(b"small")
        with fs.open(f"{root}/large", "wb") as large:
            large.write(bytes(MANY))
        raise KeyError("late")
    assert keys_of(store, root) == set()
    assert_no_uploads(store, root, "small", "large")
    fs.pipe_file(f"{root}/later", b"")
    assert keys_of(store, root) == {"later"}


def test_a_file_that_fails_in_a_transaction_fails_all_of_it(store: Server, root: str) -> None:
    fs = file_system(store, part_size=PART)
    with pytest.raises(KeyError, match="producer"), fs.transaction:  # noqa: PT012
        with fs.open(f"{root}/good", "wb") as good:
            good.write(bytes(MANY))
        with fs.open(f"{root}/bad", "wb") as bad:
            bad.write(bytes(MANY))
            raise KeyError("producer")
    assert keys_of(store, root) == set()
    assert_no_uploads(store, root, "good", "bad")


def test_pipe_file_waits_for_the_end_of_the_transaction_too(
    fs: Any, store: Server, root: str
) -> None:
    with fs.transaction:
        fs.pipe_file(f"{root}/x", b"1")
        assert keys_of(store, root) == set()
    assert body_of(store, f"{root}/x") == b"1"
