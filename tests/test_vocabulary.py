"""s3fs's words, each with what it means, on real stores, beside a client of its own."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import urllib.request
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

import s3stream
from s3stream import AccessDeniedError, NotFoundError, S3StreamError, UsageError
from s3stream.options import MiB
from tests.faults import Answer, ChangeAnswer
from tests.looking import bytes_of
from tests.proxy import ANY
from tests.servers import CANNOT
from tests.trees import TREE, below, body_of, file_system, keys_of

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

PUBLIC = "http://acs.amazonaws.com/groups/global/AllUsers"


def granted(answer: Any) -> list[str]:
    """To whom, besides the owner, and what."""
    found = [(grant["Grantee"].get("URI"), grant["Permission"]) for grant in answer["Grants"]]
    return [permission for who, permission in found if who == PUBLIC]


def head_of(server: Server, path: str) -> Any:
    bucket, _, key = path.partition("/")
    return server.client().head_object(Bucket=bucket, Key=key)


# --- what a file system is made with -------------------------------------------------------------


def test_requester_pays_is_said_in_every_call_that_knows_it(
    proxied: Server, proxy: Proxy, root: str
) -> None:
    fs = file_system(proxied, requester_pays=True)
    fs.pipe_file(f"{root}/x", b"1")
    assert fs.cat_file(f"{root}/x") == b"1"
    fs.ls(root)
    fs.cp_file(f"{root}/x", f"{root}/y")
    fs.rm([f"{root}/x", f"{root}/y"])
    for operation in ("PutObject", "GetObject", "ListObjectsV2", "CopyObject", "DeleteObjects"):
        (exchange,) = proxy.of(operation)
        assert exchange.request_headers["x-amz-request-payer"] == "requester", operation


def test_requester_pays_may_be_said_of_one_file(proxied: Server, proxy: Proxy, root: str) -> None:
    fs = file_system(proxied)
    with fs.open(f"{root}/x", "wb", requester_pays=True) as file:
        file.write(b"1")
    with fs.open(f"{root}/x", "rb", requester_pays=True) as file:
        assert pickle.loads(pickle.dumps(file)).read() == b"1"
        assert file.read() == b"1"
    assert fs.cat_file(f"{root}/x") == b"1"
    (put,) = proxy.of("PutObject")
    assert put.request_headers["x-amz-request-payer"] == "requester"
    payers = ["x-amz-request-payer" in get.request_headers for get in proxy.of("GetObject")]
    assert payers == [True, True, False]


def test_default_block_size_is_what_reading_fetches_and_the_parts_of_writing(
    proxied: Server, proxy: Proxy, root: str
) -> None:
    fs = file_system(proxied, default_block_size=6 * MiB, default_cache_type="none")
    with fs.open(f"{root}/x", "wb") as file:
        file.write(bytes(7 * MiB))
    assert sorted(part.size for part in proxy.of("UploadPart")) == [1 * MiB, 6 * MiB]
    assert fs.open(f"{root}/x", "rb").blocksize == 6 * MiB
    assert fs.open(f"{root}/x", "rb", block_size=1_000).blocksize == 1_000
    with file_system(proxied, default_block_size=6 * MiB, part_size=5 * MiB).open(
        f"{root}/y", "wb"
    ) as file:
        file.write(bytes(6 * MiB))
    assert file.result.parts == 2


def test_default_cache_type_is_that_of_files_which_name_none(seaweedfs: Server, root: str) -> None:
    fs = file_system(seaweedfs, default_cache_type="all", default_fill_cache=False)
    fs.pipe_file(f"{root}/x", b"0123456789")
    with fs.open(f"{root}/x", "rb", fill_cache=False) as file:
        assert (file.cache.name, file.read()) == ("all", b"0123456789")
    with fs.open(f"{root}/x", "rb", cache_type="bytes") as file:
        assert file.cache.name == "bytes"


def test_fixed_upload_size_is_equal_parts(proxied: Server, proxy: Proxy, root: str) -> None:
    fs = file_system(proxied, fixed_upload_size=True, cache_regions=True)
    assert fs._write_options({}).equal_parts
    assert not file_system(proxied, fixed_upload_size=False)._write_options({}).equal_parts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"username": "me"}, r"'username' is s3fs's.*say key="),
        ({"password": "x"}, r"'password' is s3fs's.*say secret="),
        ({"session": None}, r"'session' is s3fs's.*client="),
        ({"local_expiry_check": True}, "If-Match"),
        ({"default_block_size": 0}, "block size 0"),
        ({"default_block_size": "5MB"}, "block size '5MB'"),
        ({"default_cache_type": "all-of-it"}, r"'all-of-it'.*'readahead'"),
        ({"version_awareness": True}, "did you mean version_aware"),
    ],
)
def test_what_a_file_system_is_not_made_with_says_what_to_do(
    seaweedfs: Server, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        file_system(seaweedfs, **options)


def test_open_takes_an_acl_and_chunksize_as_s3fs_does(
    proxied: Server, proxy: Proxy, root: str
) -> None:
    fs = file_system(proxied)
    with fs.open(f"{root}/x", "wb", acl="public-read") as file:
        file.write(b"1")
    fs.pipe_file(f"{root}/y", bytes(7 * MiB), chunksize=6 * MiB)
    (put,) = proxy.of("PutObject")
    assert put.request_headers["x-amz-acl"] == "public-read"
    assert sorted(part.size for part in proxy.of("UploadPart")) == [1 * MiB, 6 * MiB]
    with pytest.raises(UsageError, match="cache type 'al'"):
        fs.open(f"{root}/x", "rb", cache_type="al")


# --- exclusive create, touch ---------------------------------------------------------------------


def test_an_exclusive_create_looks_at_once(
    proxied: Server, proxy: Proxy, seaweedfs: Server, root: str
) -> None:
    fs = file_system(proxied)
    fs.pipe_file(f"{root}/x", b"first")
    with pytest.raises(FileExistsError, match=f"{root}/x"):
        fs.open(f"{root}/x", "xb")
    assert proxy.count("PutObject") == 1
    with fs.open(f"{root}/y", "xb") as file:  # after this the store is known to heed conditions
        file.write(b"1")
    # Who may write need not be allowed to look: then the store decides at the end.
    proxy.inject("HeadObject", Answer(403, "AccessDenied"))
    file = fs.open(f"{root}/x", "xb")
    assert len(proxy.injected) == 1
    file.write(b"second")
    with pytest.raises(FileExistsError):
        file.close()
    assert body_of(seaweedfs, f"{root}/x") == b"first"
    # s3stream.open asks nothing before it publishes.
    before = proxy.count("HeadObject")
    other = s3stream.open(f"s3://{root}/x", "xb", **proxied.storage_options())
    assert proxy.count("HeadObject") == before
    other.discard()


def test_touch_writes_an_empty_object_and_truncates(fs: Any, store: Server, root: str) -> None:
    fs.touch(f"{root}/x.csv", Metadata={"who": "me"})
    assert body_of(store, f"{root}/x.csv") == b""
    assert head_of(store, f"{root}/x.csv")["ContentType"] == "text/csv"
    fs.pipe_file(f"{root}/x.csv", b"full")
    with pytest.raises(UsageError, match="cannot touch what is there"):
        fs.touch(f"{root}/x.csv", truncate=False)
    assert body_of(store, f"{root}/x.csv") == b"full"
    fs.touch(f"{root}/x.csv")
    assert body_of(store, f"{root}/x.csv") == b""
    with pytest.raises(UsageError, match="'data'"):
        fs.touch(f"{root}/x.csv", data=b"not to be ignored")
    fs.touch(f"{root}/new", truncate=False)
    assert keys_of(store, root) == {"x.csv", "new"}


# --- metadata, tags ------------------------------------------------------------------------------


def lowered(metadata: dict[str, str]) -> dict[str, str]:
    # rclone writes Who for who, and adds an mtime of its own.
    return {name.lower(): value for name, value in metadata.items() if name.lower() != "mtime"}


def test_metadata_is_read_and_set_one_by_one(fs: Any, store: Server, root: str) -> None:
    path = f"{root}/x.txt"
    none = {"Tagging": ""} if "tagging" in CANNOT[store.name] else {}
    fs.pipe_file(path, b"1", Metadata={"who": "me", "old-one": "1"}, CacheControl="no-cache")
    assert lowered(fs.metadata(path)) == {"who": "me", "old-one": "1"}
    assert [fs.getxattr(path, name) for name in ("who", "old_one", "no")] == ["me", "1", None]
    fs.setxattr(path, copy_kwargs=none, old_one="2", new_one="3", who=None)
    assert lowered(head_of(store, path)["Metadata"]) == {"old-one": "2", "new-one": "3"}
    head = head_of(store, path)
    assert (head["ContentType"], head["CacheControl"]) == ("text/plain", "no-cache")
    fs.setxattr(path, copy_kwargs={**none, "ContentType": "application/pdf"})
    assert head_of(store, path)["ContentType"] == "application/pdf"
    assert lowered(fs.metadata(path)) == {"old-one": "2", "new-one": "3"}
    assert body_of(store, path) == b"1"
    with fs.open(path, "rb") as file:
        assert lowered(file.metadata()) == {"old-one": "2", "new-one": "3"}
        if not none:
            file.setxattr(old_one="4")
            assert file.getxattr("old_one") == "4"


def test_attributes_that_cannot_be_are_refused(sea: Any, root: str) -> None:
    with pytest.raises(UsageError, match="size=5: expected a string"):
        sea.setxattr(f"{root}/x", size=5)
    for word in (sea.metadata, sea.get_tags):
        with pytest.raises(NotFoundError):
            word(f"{root}/nothing")
    with pytest.raises(NotFoundError):
        sea.setxattr(f"{root}/nothing", a="1")
    with pytest.raises(UsageError, match="'refresh_it'"):
        sea.metadata(f"{root}/x", refresh_it=True)


def test_tags_are_set_and_merged(fs: Any, store: Server, root: str) -> None:
    path = f"{root}/x"
    fs.pipe_file(path, b"not to be lost")
    if "tagging" in CANNOT[store.name]:
        # It takes the call for a PutObject: the tags would be the object's bytes.
        with pytest.raises(S3StreamError, match="cannot read the tags"):
            fs.put_tags(path, {"kind": "log"})
        assert body_of(store, path) == b"not to be lost"
        return
    assert fs.get_tags(path) == {}
    fs.put_tags(path, {"kind": "log", "of": "a b"})
    assert fs.get_tags(path) == {"kind": "log", "of": "a b"}
    fs.put_tags(path, {"of": "c"}, mode="m")
    bucket, _, key = path.partition("/")
    found = store.client().get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in found} == {"kind": "log", "of": "c"}
    fs.put_tags(path, {"new": "1"})
    assert fs.get_tags(path) == {"new": "1"}
    with pytest.raises(UsageError, match="mode='x'"):
        fs.put_tags(path, {}, mode="x")
    assert fs.get_tags(path) == {"new": "1"}


def test_tags_may_be_set_by_who_may_not_read_them_but_not_merged(
    seaweedfs: Server, proxied: Server, proxy: Proxy, root: str
) -> None:
    fs, path = file_system(proxied), f"{root}/x"
    fs.pipe_file(path, b"1", Tagging="kind=log")
    proxy.inject(
        ANY,
        Answer(403, "AccessDenied"),
        where=lambda x: "tagging" in x.query and x.method == "GET",
        times=2,
    )
    with pytest.raises(AccessDeniedError):
        fs.put_tags(path, {"of": "c"}, mode="m")
    fs.put_tags(path, {"new": "1"})
    assert len(proxy.injected) == 2
    assert file_system(seaweedfs).get_tags(path) == {"new": "1"}


# --- ACLs, URLs ----------------------------------------------------------------------------------


def test_chmod_sets_a_canned_acl(fs: Any, store: Server, root: str) -> None:
    bucket, _, key = root.partition("/")
    for name in ("a", "d/b", "c"):
        fs.pipe_file(f"{root}/{name}", b"not to be lost")
    if store.name == "rclone":
        # It takes the call for a PutObject: the object would be empty.
        with pytest.raises(S3StreamError, match="cannot read the ACL"):
            fs.chmod(f"{root}/a", "public-read")
        assert body_of(store, f"{root}/a") == b"not to be lost"
        return

    def acl(name: str) -> list[str]:
        return granted(store.client().get_object_acl(Bucket=bucket, Key=f"{key}/{name}"))

    fs.chmod(f"{root}/a", "public-read")
    assert [acl(name) for name in ("a", "d/b", "c")] == [["READ"], [], []]
    fs.chmod(f"{root}/d", "public-read", recursive=True)
    assert [acl(name) for name in ("a", "d/b", "c")] == [["READ"], ["READ"], []]
    fs.chmod(root, "private", recursive=True)
    assert [acl(name) for name in ("a", "d/b", "c")] == [[], [], []]
    with pytest.raises(UsageError, match=r"acl='0644'.*'public-read'"):
        fs.chmod(f"{root}/a", "0644")
    with pytest.raises(NotFoundError):
        fs.chmod(f"{root}/nothing", "private", recursive=True)
    assert body_of(store, f"{root}/a") == b"not to be lost"


def test_chmod_of_a_bucket(fs: Any, store: Server, new_bucket: str) -> None:
    if store.name == "rclone":
        pytest.skip("rclone keeps no ACLs")
    fs.mkdir(new_bucket)
    fs.chmod(new_bucket, "public-read")
    assert granted(store.client().get_bucket_acl(Bucket=new_bucket)) == ["READ"]
    fs.pipe_file(f"{new_bucket}/x", b"1")
    fs.chmod(new_bucket, "private", recursive=True)
    assert granted(store.client().get_bucket_acl(Bucket=new_bucket)) == []
    with pytest.raises(UsageError, match="bucket-owner-read"):
        fs.chmod(new_bucket, "bucket-owner-read")


def fetched(url: str, body: bytes | None = None) -> bytes:
    request = urllib.request.Request(url, data=body, method="GET" if body is None else "PUT")
    request.remove_header("Content-type")
    with urllib.request.urlopen(request, timeout=60) as answer:
        data: bytes = answer.read()
    return data


def test_a_url_needs_no_credentials(store: Server, root: str) -> None:
    if store.name == "rclone":
        pytest.skip("rclone takes no signed URLs")
    fs = file_system(store)
    fs.pipe_file(f"{root}/x", b"signed")
    assert fetched(fs.url(f"{root}/x")) == b"signed"
    assert fetched(fs.sign(f"{root}/x", expiration=60)) == b"signed"
    assert "X-Amz-Expires=60&" in fs.sign(f"{root}/x", expiration=60)
    assert "X-Amz-Expires=99&" in fs.url(f"{root}/x", expires=99)
    with fs.open(f"{root}/x", "rb") as file:
        assert fetched(file.url()) == b"signed"
    part = fs.url(f"{root}/x", ResponseContentType="text/special")
    assert "response-content-type=text%2Fspecial" in part
    with pytest.raises(UsageError, match="names no object"):
        fs.url(root.partition("/")[0])


# --- times, checksums ----------------------------------------------------------------------------


def test_a_checksum_changes_with_the_object(fs: Any, store: Server, root: str) -> None:
    fs.pipe_file(f"{root}/d/x", b"hello")
    first = fs.checksum(f"{root}/d/x")
    etag = head_of(store, f"{root}/d/x")["ETag"].strip('"')
    assert first == int(etag, 16)
    fs.pipe_file(f"{root}/d/x", bytes(12 * MiB), part_size=5 * MiB)
    assert fs.checksum(f"{root}/d/x") not in {first, None}
    assert fs.checksum(f"{root}/d") == fs.checksum(f"{root}/d")


def test_a_checksum_of_an_etag_that_is_no_number(proxied: Server, proxy: Proxy, root: str) -> None:
    fs = file_system(proxied)
    for body in (b"1", b"2"):
        fs.pipe_file(f"{root}/{body.decode()}", body)
    proxy.inject("HeadObject", ChangeAnswer(rb'Etag: "[^"]*', b'Etag: "one'))
    proxy.inject("HeadObject", ChangeAnswer(rb'Etag: "[^"]*', b'Etag: "two'))
    assert fs.checksum(f"{root}/1") != fs.checksum(f"{root}/2")
    assert len(proxy.injected) == 2


def test_a_prefix_has_no_time(sea: Any, root: str) -> None:
    sea.pipe_file(f"{root}/d/x", b"1")
    age = datetime.now(timezone.utc) - sea.created(f"{root}/d/x")
    assert abs(age.total_seconds()) < 600
    for word in (sea.modified, sea.created):
        with pytest.raises(IsADirectoryError, match="no time"):
            word(f"{root}/d")


def test_refresh_asks_the_store(sea: Any, seaweedfs: Server, root: str) -> None:
    sea.pipe_file(f"{root}/x", b"1")
    sea.ls(root)
    bucket, _, key = root.partition("/")
    seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/x", Body=b"22")
    assert sea.info(f"{root}/x")["size"] == 1
    assert sea.info(f"{root}/x", refresh=True)["size"] == 2
    kept = sea.checksum(f"{root}/x")
    assert sea.checksum(f"{root}/x", refresh=True) != kept


# --- deleting ------------------------------------------------------------------------------------


def test_bulk_delete_takes_names_of_any_bucket(
    fs: Any, store: Server, tree: str, new_bucket: str
) -> None:
    fs.mkdir(new_bucket)
    fs.pipe_file(f"{new_bucket}/x", b"1")
    fs.ls(tree)
    gone = below(tree, "a.txt", "one/c.txt", "nothing")
    fs.bulk_delete([f"s3://{gone[0]}", *gone[1:], f"{new_bucket}/x"])
    assert keys_of(store, tree) == TREE.keys() - {"a.txt", "one/c.txt"}
    assert fs.ls(new_bucket) == []
    assert f"{tree}/a.txt" not in fs.ls(tree)
    fs.bulk_delete([])
    with pytest.raises(UsageError, match="expected a list"):
        fs.bulk_delete(f"{tree}/b.csv")
    with pytest.raises(UsageError, match="names a bucket"):
        fs.bulk_delete([new_bucket])


class Refusing:
    """A client of a store that deletes some of what it is asked to, and says so in its answer."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def delete_objects(self, **arguments: Any) -> Any:
        keys = [entry["Key"] for entry in arguments["Delete"]["Objects"]]
        kept = [{"Key": key} for key in keys if not key.endswith("kept")]
        answer = {}
        if kept:
            answer = self._client.delete_objects(**{**arguments, "Delete": {"Objects": kept}})
        refused = {"Code": "AccessDenied", "Message": "no"}
        errors = [{"Key": key, **refused} for key in keys if key.endswith("kept")]
        return {**answer, "Errors": errors}


def test_what_the_store_will_not_delete_is_an_error_when_all_were_tried(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    client = seaweedfs.client()
    names = ["000-kept", *(f"{number:04}" for number in range(1003)), "z-kept"]
    for name in ("000-kept", "0000", "1002", "z-kept"):
        client.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"")
    fs = s3stream.S3StreamFileSystem(client=Refusing(client))
    with pytest.raises(AccessDeniedError, match="cannot delete: AccessDenied: no") as raised:
        fs.rm([f"{bucket}/{key}/{name}" for name in names])
    assert raised.value.key == f"{key}/000-kept"
    assert raised.value.__notes__ == ["not deleted: 2 of 1,005 objects"]
    assert keys_of(seaweedfs, f"{bucket}/{key}") == {"000-kept", "z-kept"}


# --- buckets -------------------------------------------------------------------------------------


def test_a_bucket_that_is_there_is_not_made_again(fs: Any, new_bucket: str) -> None:
    fs.mkdir(new_bucket)
    with pytest.raises(FileExistsError, match=new_bucket):
        fs.mkdir(f"s3://{new_bucket}/")
    fs.mkdir(f"{new_bucket}/folder")
    with pytest.raises(UsageError, match="names no bucket"):
        fs.mkdir("")
    with pytest.raises(UsageError, match="did you mean region_name"):
        fs.mkdir("s3stream-not-made", region="eu-west-1")


def test_a_bucket_is_made_with_acl_and_region(
    proxied: Server, proxy: Proxy, seaweedfs: Server, key: str
) -> None:
    name = "s3stream-" + key.rpartition("-")[2]
    fs = file_system(proxied)
    fs.mkdir(name, acl="public-read", region_name="eu-west-1")
    (made,) = proxy.of("CreateBucket")
    assert made.request_headers["x-amz-acl"] == "public-read"
    assert made.size > 0  # the region is in the body
    assert name in [found["Name"] for found in seaweedfs.client().list_buckets()["Buckets"]]
    fs.rmdir(name)


def test_unfinished_uploads_are_listed_and_cleared(fs: Any, store: Server, new_bucket: str) -> None:
    fs.mkdir(new_bucket)
    assert fs.list_multipart_uploads(new_bucket) == []
    client = store.client()
    ids = {
        name: client.create_multipart_upload(Bucket=new_bucket, Key=name)["UploadId"]
        for name in ("a", "b")
    }
    listed = fs.list_multipart_uploads(f"s3://{new_bucket}")
    assert {upload["Key"]: upload["UploadId"] for upload in listed} == ids
    assert {upload["Initiated"].tzinfo is not None for upload in listed} == {True}
    fs.clear_multipart_uploads(new_bucket)
    assert fs.list_multipart_uploads(new_bucket) == []
    with suppress(client.exceptions.NoSuchUpload):  # so says rclone of none
        assert "Uploads" not in client.list_multipart_uploads(Bucket=new_bucket)
    with pytest.raises(UsageError, match="expected the name of a bucket"):
        fs.clear_multipart_uploads(f"{new_bucket}/logs")


def test_all_uploads_are_tried_when_one_cannot_be_cleared(
    proxied: Server, proxy: Proxy, seaweedfs: Server, key: str
) -> None:
    name = "s3stream-" + key.rpartition("-")[2]
    client, fs = seaweedfs.client(), file_system(proxied)
    client.create_bucket(Bucket=name)
    for upload in ("a", "b", "c"):
        client.create_multipart_upload(Bucket=name, Key=upload)
    proxy.inject("AbortMultipartUpload", Answer(403, "AccessDenied"), times=2)
    with pytest.raises(AccessDeniedError) as raised:
        fs.clear_multipart_uploads(name)
    assert len(raised.value.__notes__) == 1
    assert len(proxy.injected) == 2
    assert len(fs.list_multipart_uploads(name)) == 2
    fs.clear_multipart_uploads(name)
    fs.rmdir(name)


# --- the protocol s3 -----------------------------------------------------------------------------

TAKE_OVER = """
import json, sys
import fsspec, s3stream
from fsspec.registry import registry
assert "s3" not in registry, "by import"
s3stream.register("s3")
url, options = sys.argv[1], json.loads(sys.argv[2])
with fsspec.open(url, "wb", **options) as file:
    file.write(b"by s3stream")
assert type(fsspec.filesystem("s3", **options)) is s3stream.S3StreamFileSystem
with fsspec.open(url + ".txt", "wt", **options) as file:
    file.write("and text")
"""


def test_register_takes_the_protocol_s3_over_for_this_process(seaweedfs: Server, root: str) -> None:
    options = json.dumps(seaweedfs.storage_options())
    command = [sys.executable, "-c", TAKE_OVER, f"s3://{root}/x", options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert body_of(seaweedfs, f"{root}/x") == b"by s3stream"
    assert body_of(seaweedfs, f"{root}/x.txt") == b"and text"


def test_register_takes_no_protocol_that_is_not_ours() -> None:
    with pytest.raises(UsageError, match=r"protocol='gs'.*'s3'"):
        s3stream.register("gs")
    assert fsspec.get_filesystem_class("file") is not s3stream.S3StreamFileSystem


def test_paths_are_split_as_s3fs_does(sea: Any) -> None:
    assert sea.split_path("s3://bucket/a/b.txt") == ("bucket", "a/b.txt", None)
    assert sea.split_path("bucket") == ("bucket", "", None)
    assert sea.split_path("bucket/a?versionId=1") == ("bucket", "a?versionId=1", None)


def test_ranges_of_several_objects(fs: Any, root: str) -> None:
    body = bytes_of(1000)
    fs.pipe({f"{root}/a": body, f"{root}/b": body[::-1]})
    got = fs.cat_ranges([f"{root}/a", f"{root}/b", f"{root}/nothing"], [0, 10, 0], [5, 20, 1])
    assert got[:2] == [body[:5], body[::-1][10:20]]
    assert isinstance(got[2], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{root}/nothing"], [0], [1], on_error="raise")
