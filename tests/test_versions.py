"""Buckets that keep versions: read, listed and copied by their ids, where a store has them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from s3stream import NotFoundError, PreconditionError, UsageError
from tests.trees import file_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Server


@pytest.fixture
def versions(store: Server, key: str) -> Iterator[tuple[Any, str, list[str]]]:
    """A file system, a path of which there are two versions, and their ids, the older first."""
    if store.name == "rclone":
        pytest.skip("rclone keeps no versions")
    client = store.client()
    bucket = "s3stream-" + key.rpartition("-")[2]
    client.create_bucket(Bucket=bucket)
    fs = file_system(store, version_aware=True)
    assert not fs.is_bucket_versioned(bucket)
    fs.make_bucket_versioned(f"s3://{bucket}")
    assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert fs.is_bucket_versioned(bucket)
    ids = []
    for body in (b"first", b"the second"):
        ids.append(client.put_object(Bucket=bucket, Key="d/x", Body=body)["VersionId"])
        client.put_object(Bucket=bucket, Key="d/x-and-more", Body=body)
    yield fs, f"{bucket}/d/x", ids
    for kind in ("Versions", "DeleteMarkers"):
        for found in client.list_object_versions(Bucket=bucket).get(kind, []):  # type: ignore[attr-defined]  # by either name
            client.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])
    client.delete_bucket(Bucket=bucket)


def test_a_version_is_read_by_its_id(versions: tuple[Any, str, list[str]], tmp_path: Path) -> None:
    fs, path, (old, new) = versions
    assert fs.cat_file(path) == b"the second"
    assert fs.cat_file(f"s3://{path}?versionId={old}") == b"first"
    assert fs.cat_file(path, version_id=old) == b"first"
    assert fs.cat_file(path, -3, None, version_id=old) == b"rst"
    for opened in (
        fs.open(path, "rb", version_id=old),
        fs.open(f"{path}?versionId={old}", "rb"),
        pickle.loads(pickle.dumps(fs.open(path, "rb", version_id=old))),
    ):
        with opened as file:
            assert (file.size, file.version_id, file.read()) == (5, old, b"first")
    fs.get_file(f"{path}?versionId={old}", f"{tmp_path}/old")
    fs.get_file(path, f"{tmp_path}/old-too", version_id=old)
    assert (tmp_path / "old").read_bytes() == (tmp_path / "old-too").read_bytes() == b"first"
    info = fs.info(path, version_id=old)
    assert (info["size"], info["VersionId"]) == (5, old)
    assert fs.info(path)["VersionId"] == new
    assert fs.exists(f"{path}?versionId={old}")
    assert not fs.exists(f"{path}-and-more?versionId={old}")
    assert fs.split_path(f"{path}?versionId={old}") == (*path.split("/", 1), old)
    assert fs.modified(path, version_id=old) <= fs.modified(path, version_id=new)


def test_a_file_that_is_open_reads_on_when_its_object_is_replaced(
    versions: tuple[Any, str, list[str]], store: Server
) -> None:
    fs, path, _ = versions
    bucket, key, _ = fs.split_path(path)
    unaware = file_system(store).open(path, "rb", cache_type="none")
    with fs.open(path, "rb", cache_type="none") as file:
        store.client().put_object(Bucket=bucket, Key=key, Body=b"something else")
        assert pickle.loads(pickle.dumps(file)).read() == b"the second"
        assert file.read() == b"the second"
    with pytest.raises(PreconditionError):
        unaware.read()


def test_versions_are_listed(versions: tuple[Any, str, list[str]]) -> None:
    fs, path, (old, new) = versions
    more = f"{path}-and-more"
    folder = path.rpartition("/")[0]
    assert fs.ls(folder) == [path, more]
    assert [entry["VersionId"] for entry in fs.ls(folder, detail=True)][:1] == [new]
    assert fs.info(path)["VersionId"] == new  # out of the kept listing
    listed = fs.ls(folder, versions=True, detail=True)
    assert {entry["name"] for entry in listed if entry["name"].startswith(f"{path}?")} == {
        f"{path}?versionId={old}",
        f"{path}?versionId={new}",
    }
    assert fs.ls(path, versions=True) == sorted(f"{path}?versionId={v}" for v in (old, new))
    assert fs.ls(folder.partition("/")[0], versions=True) == [folder]
    latest = {e["VersionId"]: e["IsLatest"] for e in fs.ls(path, versions=True, detail=True)}
    assert latest == {old: False, new: True}
    told = fs.object_version_info(path)
    assert [(v["Key"], v["VersionId"], v["Size"]) for v in told] == [
        ("d/x", new, 10),
        ("d/x", old, 5),
    ]
    assert {entry["VersionId"] for entry in fs.find(folder, detail=True).values()} > {new}
    fs.rm(path)  # a marker: the versions are there, the object is not
    assert fs.ls(folder) == fs.find(folder) == [more]
    assert not fs.exists(path)
    assert len(fs.object_version_info(path)) == 2
    for word in (fs.object_version_info, lambda name: fs.ls(name, versions=True)):
        with pytest.raises(NotFoundError):
            word(f"{path}-not")


def test_a_version_is_copied_and_described(
    versions: tuple[Any, str, list[str]], store: Server
) -> None:
    fs, path, (old, _) = versions
    fs.cp_file(f"{path}?versionId={old}", f"{path}-restored")
    assert fs.cat_file(f"{path}-restored") == b"first"
    fs.put_tags(f"{path}?versionId={old}", {"kind": "old"})
    assert fs.get_tags(f"{path}?versionId={old}") == {"kind": "old"}
    assert fs.get_tags(path) == {}
    assert f"versionId={old}" in fs.url(f"{path}?versionId={old}")


def test_a_version_is_not_written_or_deleted(versions: tuple[Any, str, list[str]]) -> None:
    fs, path, (old, new) = versions
    version = f"{path}?versionId={old}"
    words: list[Callable[[], object]] = [
        lambda: fs.open(version, "wb"),
        lambda: fs.rm_file(version),
        lambda: fs.cp_file(path, version),
        lambda: fs.setxattr(version, a="1"),
        lambda: fs.merge(version, [path]),
        lambda: fs.bulk_delete([version]),
    ]
    for word in words:
        with pytest.raises(UsageError, match="versions are read only"):
            word()
    with pytest.raises(UsageError, match="for reading"):
        fs.open(path, "wb", version_id=old)
    assert [v["VersionId"] for v in fs.object_version_info(path)] == [new, old]


def test_versions_are_for_a_file_system_that_is_aware_of_them(sea: Any, root: str) -> None:
    sea.pipe_file(f"{root}/x", b"1")
    words: list[Callable[[], object]] = [
        lambda: sea.open(f"{root}/x", "rb", version_id="1"),
        lambda: sea.info(f"{root}/x", version_id="1"),
        lambda: sea.cat_file(f"{root}/x", version_id="1"),
        lambda: sea.ls(root, versions=True),
        lambda: sea.object_version_info(f"{root}/x"),
    ]
    for word in words:
        with pytest.raises(UsageError, match="version_aware=True"):
            word()
    sea.pipe_file(f"{root}/x?versionId=1", b"a name like others")
    assert sea.cat_file(f"{root}/x?versionId=1") == b"a name like others"


def test_a_bucket_without_versions_reads_as_ever(seaweedfs: Server, root: str) -> None:
    fs = file_system(seaweedfs, version_aware=True)
    fs.pipe_file(f"{root}/x", b"1")
    assert fs.ls(root) == [f"{root}/x"]
    assert fs.info(f"{root}/x", refresh=True)["size"] == 1
    with fs.open(f"{root}/x", "rb") as file:
        assert file.read() == b"1"
    fs.mv(f"{root}/x", f"{root}/y")
    assert fs.find(root) == [f"{root}/y"]
