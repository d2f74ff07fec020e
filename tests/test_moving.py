"""`mv`: all of it is there afterwards, at the one place or at the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from s3stream import PreconditionError, S3StreamError, UsageError
from tests.faults import Answer, ChangeAnswer, Meanwhile
from tests.trees import TREE, below, body_of, file_system, keys_of

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server


def put(server: Server, path: str, body: bytes) -> None:
    bucket, _, key = path.partition("/")
    server.client().put_object(Bucket=bucket, Key=key, Body=body)


@pytest.fixture
def sea_tree(seaweedfs: Server, bucket: str, key: str) -> str:
    for name, body in TREE.items():
        put(seaweedfs, f"{bucket}/{key}/{name}", body)
    return f"{bucket}/{key}"


ONE = {name: body for name, body in TREE.items() if name.startswith("one/")}


def test_an_object_moves_with_its_bytes(fs: Any, store: Server, tree: str) -> None:
    fs.ls(tree)
    fs.mv(f"s3://{tree}/a.txt", f"s3://{tree}/z.txt")
    assert keys_of(store, tree) == {*TREE, "z.txt"} - {"a.txt"}
    assert body_of(store, f"{tree}/z.txt") == TREE["a.txt"]
    assert f"{tree}/a.txt" not in fs.ls(tree)
    fs.mv(f"{tree}/z.txt", f"{tree}/two/")  # into a folder
    assert body_of(store, f"{tree}/two/z.txt") == TREE["a.txt"]
    fs.mv(f"{tree}/two/z.txt", f"{tree}/two/z.txt")  # to where it is
    assert keys_of(store, tree) == {*TREE, "two/z.txt"} - {"a.txt"}


def test_a_tree_moves_with_the_folders_that_consoles_have_made(
    sea: Any, seaweedfs: Server, sea_tree: str
) -> None:
    put(seaweedfs, f"{sea_tree}/one/deep/", b"")
    sea.mv(f"{sea_tree}/one", f"{sea_tree}/gone", recursive=True)
    moved = {name.replace("one/", "gone/") for name in ONE}
    assert keys_of(seaweedfs, sea_tree) == (TREE.keys() - ONE.keys()) | moved
    for name, body in ONE.items():
        assert body_of(seaweedfs, f"{sea_tree}/{name.replace('one/', 'gone/')}") == body


def test_lists_and_patterns_move(sea: Any, seaweedfs: Server, sea_tree: str) -> None:
    sea.mv(below(sea_tree, "a.txt", "b.csv"), below(sea_tree, "1", "2"))
    sea.mv(f"{sea_tree}/one/deep/*", f"{sea_tree}/flat/")
    assert keys_of(seaweedfs, sea_tree) == {
        *("1", "2", "one/c.txt", "flat/d.txt", "flat/e.csv", "two/f.txt", "two/empty")
    }
    with pytest.raises(UsageError, match="1 paths to 2"):
        sea.mv([f"{sea_tree}/1"], below(sea_tree, "x", "y"))


def test_what_lies_deeper_than_maxdepth_stays(sea: Any, seaweedfs: Server, sea_tree: str) -> None:
    put(seaweedfs, f"{sea_tree}/two/deep/x", b"x")
    sea.mv(f"{sea_tree}/two", f"{sea_tree}/new", recursive=True, maxdepth=1)
    moved = {"new/f.txt", "new/empty", "two/deep/x"}
    assert keys_of(seaweedfs, sea_tree) == {*TREE, *moved} - {"two/f.txt", "two/empty"}


def test_an_object_that_comes_while_others_are_copied_is_not_deleted(
    seaweedfs: Server, proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    late = Meanwhile(lambda: put(seaweedfs, f"{sea_tree}/one/late", b"late"))
    proxy.inject("CopyObject", late)
    file_system(proxied).mv(f"{sea_tree}/one", f"{sea_tree}/gone", recursive=True)
    assert len(proxy.injected) == 1
    assert body_of(seaweedfs, f"{sea_tree}/one/late") == b"late"
    assert "gone/late" not in keys_of(seaweedfs, sea_tree)
    assert not {f"one/{name}" for name in ("c.txt", "deep/d.txt")} & keys_of(seaweedfs, sea_tree)


@pytest.mark.parametrize("operation", ["CopyObject", "DeleteObjects"])
def test_an_object_that_is_written_anew_meanwhile_stays(
    seaweedfs: Server, proxied: Server, proxy: Proxy, sea_tree: str, operation: str
) -> None:
    anew = Meanwhile(lambda: put(seaweedfs, f"{sea_tree}/one/c.txt", b"anew"))
    proxy.inject(operation, anew)
    with pytest.raises(PreconditionError, match=r"replaced meanwhile.*one/c\.txt") as raised:
        file_system(proxied).mv(f"{sea_tree}/one", f"{sea_tree}/gone", recursive=True)
    assert getattr(raised.value, "__notes__", []) == ["not deleted: 1 of 3 objects"]
    assert len(proxy.injected) == 1
    assert body_of(seaweedfs, f"{sea_tree}/one/c.txt") == b"anew"
    moved = {name.replace("one/", "gone/") for name in ONE}
    assert keys_of(seaweedfs, sea_tree) == (TREE.keys() - ONE.keys()) | moved | {"one/c.txt"}


def test_an_object_that_somebody_deletes_meanwhile_has_moved(
    seaweedfs: Server, proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    bucket, _, key = sea_tree.partition("/")
    gone = Meanwhile(lambda: seaweedfs.client().delete_object(Bucket=bucket, Key=f"{key}/a.txt"))
    proxy.inject("DeleteObjects", gone)
    file_system(proxied).mv(f"{sea_tree}/a.txt", f"{sea_tree}/z.txt")
    assert proxy.injected
    assert keys_of(seaweedfs, sea_tree) == {*TREE, "z.txt"} - {"a.txt"}


@pytest.mark.parametrize("recursive", [False, True])
def test_a_copy_that_is_refused_deletes_nothing(
    seaweedfs: Server, proxied: Server, proxy: Proxy, sea_tree: str, recursive: bool
) -> None:
    proxy.inject("CopyObject", Answer(403, "AccessDenied"), times=None)
    source = f"{sea_tree}/one" if recursive else f"{sea_tree}/a.txt"
    with pytest.raises(PermissionError):
        file_system(proxied).mv(source, f"{sea_tree}/gone", recursive=recursive)
    assert proxy.injected
    assert keys_of(seaweedfs, sea_tree) == TREE.keys()


@pytest.mark.parametrize("recursive", [False, True])
def test_a_move_to_a_bucket_that_is_not_there_moves_nothing(
    seaweedfs: Server, sea_tree: str, recursive: bool
) -> None:
    # SeaweedFS says so as a 500, which is worth repeating.
    once = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    source = f"{sea_tree}/one" if recursive else f"{sea_tree}/a.txt"
    with pytest.raises(S3StreamError, match="cannot copy"):
        file_system(seaweedfs, config_kwargs=once).mv(
            source, "no-such-bucket-at-all/x", recursive=recursive
        )
    assert keys_of(seaweedfs, sea_tree) == TREE.keys()


REFUSED: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "into itself": ("one", "one/new", {"recursive": True}, "into itself"),
    "a prefix": ("one", "gone", {}, "recursive=True"),
    "two into one": (["a.txt", "b.csv"], ["x", "x"], {}, "more than one"),
    "in a chain": (["a.txt", "b.csv"], ["b.csv", "c"], {}, "both moved and written to"),
    "into itself, not deep": (
        *("one", "one/deep", {"recursive": True, "maxdepth": 2}),
        "into itself",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_would_lose_something_is_refused(
    sea: Any, seaweedfs: Server, sea_tree: str, case: tuple[Any, Any, dict[str, Any], str]
) -> None:
    put(seaweedfs, f"{sea_tree}/one/deep/c.txt", b"in the way")

    def full(names: Any) -> Any:
        return below(sea_tree, *names) if isinstance(names, list) else f"{sea_tree}/{names}"

    source, dest, options, message = case
    with pytest.raises((UsageError, IsADirectoryError), match=message):
        sea.mv(full(source), full(dest), **options)
    assert keys_of(seaweedfs, sea_tree) == {*TREE, "one/deep/c.txt"}
    assert body_of(seaweedfs, f"{sea_tree}/one/c.txt") == TREE["one/c.txt"]


def test_an_object_with_bytes_that_is_named_like_a_folder_is_refused(
    seaweedfs: Server, proxied: Server, proxy: Proxy, sea_tree: str
) -> None:
    # SeaweedFS keeps no bytes of such an object; other stores do.
    put(seaweedfs, f"{sea_tree}/one/deep/", b"")
    proxy.inject(
        "ListObjectsV2",
        ChangeAnswer(b"<Size>0</Size>", b"<Size>5</Size>"),
        times=None,
        where=lambda x: not x.query.get("delimiter") and "max-keys" not in x.query,
    )
    with pytest.raises(UsageError, match=r"5 bytes is named like a folder.*one/deep/"):
        file_system(proxied).mv(f"{sea_tree}/one", f"{sea_tree}/gone", recursive=True)
    assert proxy.injected
    assert keys_of(seaweedfs, sea_tree) == {*TREE, "one/deep/"}
