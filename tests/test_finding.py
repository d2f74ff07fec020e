"""What lies below a path: all of it, or an error; and of the same name, the object."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream.fs.finding import _folders_of
from s3stream.store import Version
from tests.faults import Answer
from tests.trees import TREE, below, file_system, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

DENIED = Answer(403, "AccessDenied", "not today")
ALL = ["one", "one/deep", "two", *TREE]


@pytest.fixture
def sea_tree(seaweedfs: Server, bucket: str, key: str) -> str:
    for name, body in TREE.items():
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=body)
    return f"{bucket}/{key}"


def walked(fs: Any, root: str, **options: Any) -> list[str]:
    return [path for path, _, _ in fs.walk(root, **options)]


@pytest.mark.parametrize(
    "act",
    [
        lambda fs, root, here: fs.find(root, withdirs=True),
        lambda fs, root, here: fs.find(root, maxdepth=3),
        lambda fs, root, here: fs.glob(f"{root}/**/*.txt"),
        lambda fs, root, here: fs.glob(f"{root}/*/*/*.txt"),
        lambda fs, root, here: fs.du(root, withdirs=True),
        lambda fs, root, here: fs.get(f"{root}/", f"{here}/", recursive=True),
        lambda fs, root, here: fs.cp(f"{root}/", f"{root}-copy/", recursive=True),
        lambda fs, root, here: fs.mv(f"{root}/", f"{root}-gone/", recursive=True),
        lambda fs, root, here: walked(fs, root),
    ],
    ids=["find", "maxdepth", "glob", "glob of levels", "du", "get", "cp", "mv", "walk"],
)
@pytest.mark.parametrize("skip", [0, 1])
def test_a_level_that_cannot_be_listed_is_an_error_and_not_an_empty_one(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    sea_tree: str,
    act: Callable[[Any, str, Path], object],
    skip: int,
    tmp_path: Path,
) -> None:
    # The pages of one listing, or the listings of one level each.
    fs = file_system(proxied, s3_additional_kwargs={"MaxKeys": 3})
    fs.info(f"{sea_tree}/a.txt")
    proxy.inject(
        "ListObjectsV2",
        DENIED,
        times=None,
        skip=skip,
        where=lambda x: x.query.get("max-keys") != "1" and "-copy" not in x.query["prefix"],
    )
    with pytest.raises(PermissionError, match="not today"):
        act(fs, sea_tree, tmp_path)
    assert proxy.injected
    assert keys_of(seaweedfs, sea_tree) == {*TREE}


def test_walk_says_to_on_error_what_could_not_be_listed(
    proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    fs = file_system(proxied)
    proxy.inject(
        "ListObjectsV2", DENIED, times=None, where=lambda x: x.query["prefix"].endswith("/one/")
    )
    others = {sea_tree, f"{sea_tree}/two"}
    assert set(walked(fs, sea_tree, on_error="omit")) == others
    told: list[OSError] = []
    assert set(walked(fs, sea_tree, on_error=told.append)) == others
    assert [type(error).__name__ for error in told] == ["AccessDeniedError"]
    with pytest.raises(PermissionError):
        walked(fs, sea_tree, on_error="raise")
    assert walked(fs, f"{sea_tree}/nothing") == []
    with pytest.raises(FileNotFoundError):
        walked(fs, f"{sea_tree}/nothing", on_error="raise")
    assert proxy.injected


def test_walk_goes_where_it_is_sent(sea: Any, sea_tree: str) -> None:
    names = []
    for path, dirs, files in sea.walk(sea_tree):
        names.append((os.path.relpath(path, sea_tree), list(dirs), list(files)))
        dirs[:] = [name for name in dirs if name != "two"]
    assert names == [
        (".", ["one", "two"], ["a.txt", "b.csv"]),
        ("one", ["deep"], ["c.txt"]),
        ("one/deep", [], ["d.txt", "e.csv"]),
    ]
    upwards = below(sea_tree, "one/deep", "one", "two")
    assert walked(sea, sea_tree, topdown=False) == [*upwards, sea_tree]
    assert walked(sea, sea_tree, maxdepth=2) == [sea_tree, *below(sea_tree, "one", "two")]
    with pytest.raises(ValueError, match="at least 1"):
        walked(sea, sea_tree, maxdepth=0)


def test_a_tree_is_found_by_one_listing_and_its_levels_are_known_then(
    proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    fs = file_system(proxied)
    assert fs.find(sea_tree, withdirs=True) == sorted([sea_tree, *below(sea_tree, *ALL)])
    assert proxy.count("ListObjectsV2") == 1
    before = proxy.count()
    assert {path: (list(d), list(f)) for path, d, f in fs.walk(sea_tree)} == {
        sea_tree: (["one", "two"], ["a.txt", "b.csv"]),
        f"{sea_tree}/one": (["deep"], ["c.txt"]),
        f"{sea_tree}/one/deep": ([], ["d.txt", "e.csv"]),
        f"{sea_tree}/two": ([], ["empty", "f.txt"]),
    }
    assert fs.info(f"{sea_tree}/one/deep/d.txt")["size"] == 4
    assert fs.isdir(f"{sea_tree}/one/deep")
    assert proxy.count() == before
    fs.pipe_file(f"{sea_tree}/one/new/x", b"x")
    assert fs.ls(f"{sea_tree}/one") == below(sea_tree, "one/c.txt", "one/deep", "one/new")


def test_du_asks_of_no_object_by_itself(proxied: Server, proxy: Proxy, sea_tree: str) -> None:
    fs = file_system(proxied)
    assert fs.du(sea_tree) == sum(map(len, TREE.values()))
    assert fs.disk_usage(f"{sea_tree}/one", total=False) == {
        f"{sea_tree}/{name}": len(body) for name, body in TREE.items() if name.startswith("one/")
    }
    assert fs.du(sea_tree, maxdepth=1, total=False) == {
        f"{sea_tree}/{name}": len(TREE[name]) for name in ("a.txt", "b.csv")
    }
    assert set(fs.du(f"{sea_tree}/two", total=False, withdirs=True)) == {
        f"{sea_tree}/two",
        *below(sea_tree, "two/f.txt", "two/empty"),
    }
    assert proxy.count("HeadObject") == 0


def test_an_object_and_a_prefix_of_one_name_stay_an_object_when_they_were_listed(
    sea: Any, seaweedfs: Server, bucket: str, key: str
) -> None:
    root = f"{bucket}/{key}/x"
    for name, body in (("a", b"object"), ("a/b", b"below")):
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/x/{name}", Body=body)
    for look in (sea.info, sea.ls, lambda path: sea.find(path, withdirs=True)):
        sea.invalidate_cache()
        look(root)
        assert sea.info(f"{root}/a")["size"] == 6
        assert sea.isfile(f"{root}/a")
    sea.mv(root, f"{bucket}/{key}/gone", recursive=True)
    assert keys_of(seaweedfs, f"{bucket}/{key}") == {"gone/a", "gone/a/b"}


@given(
    st.sampled_from(["", "x/", "x/y/"]),
    st.text("ab/", max_size=3),
    st.lists(st.text("ab/", max_size=7), max_size=5),
)
def test_folders_are_what_stands_before_a_slash(top: str, prefix: str, names: list[str]) -> None:
    keys = [f"{top}{prefix}{name}" for name in names if prefix or name]
    expected = {
        key[:end]
        for key in keys
        for end, letter in enumerate(key)
        if letter == "/" and end > len(top) and key[end - 1] != "/"
        if key[:end].startswith(f"{top}{prefix}")
    }
    versions = [Version(key, 0, "", datetime.now(timezone.utc), "") for key in keys]
    assert _folders_of(versions, len(top), len(top + prefix)) == expected


def test_isdir_and_isfile_take_no_failure_for_an_absence(
    proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    fs = file_system(proxied, config_kwargs={"retries": {"total_max_attempts": 1}})
    proxy.inject("HeadObject", Answer(503, "ServiceUnavailable", "not now"), times=None)
    for asked in (fs.isdir, fs.isfile):
        with pytest.raises(OSError, match="503"):
            asked(f"{sea_tree}/one")
    proxy.clear()
    proxy.inject("HeadObject", DENIED, times=None)
    # Who may only write asks what may not be told.
    assert not fs.isdir(f"{sea_tree}/one")
    assert not fs.isfile(f"{sea_tree}/a.txt")
    proxy.clear()
    assert fs.isdir(f"{sea_tree}/one")
    assert fs.isfile(f"{sea_tree}/a.txt")
