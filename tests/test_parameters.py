"""S3's own parameters arrive, on objects of one part and of many, shown where they are kept.

What is asked                       shown on
----------------------------------  ----------------------------------------------------------------
Metadata, Content*, CacheControl    SeaweedFS
Expires                             SeaweedFS
Tagging, StorageClass               SeaweedFS
ServerSideEncryption AES256, SSE-C  SeaweedFS
Object lock, legal hold             SeaweedFS
aws:kms with SSEKMSKeyId            LocalStack (SeaweedFS has no KMS here)
ACL                                 LocalStack (SeaweedFS ignores it)
WebsiteRedirectLocation             LocalStack (SeaweedFS ignores it)
RequestPayer, ExpectedBucketOwner   on the wire (no server here keeps it)
checksums, conditions               every store, as far as tests/servers.py says that it can
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from botocore.exceptions import ClientError

import s3stream
from s3stream.options import MiB
from tests import conftest
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.servers import ABILITIES, CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from types_boto3_s3.client import S3Client

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 * MiB
SIZES = pytest.mark.parametrize("size", [100, 12 * MiB], ids=["one-part", "many-parts"])
ALSO_EMPTY = pytest.mark.parametrize("size", [0, 100, 12 * MiB], ids=["empty", "one", "many"])

SECRET_KEY = os.urandom(32)
KMS_KEY = "arn:aws:kms:us-east-1:000000000000:key/12345678-1234-1234-1234-123456789012"
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
TOMORROW = (datetime.now(timezone.utc) + timedelta(days=1)).replace(microsecond=0)

SSE_C: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": SECRET_KEY}


@pytest.fixture(scope="module")
def locked_bucket(seaweedfs: Server) -> str:
    """A bucket that knows object lock; its objects stay until the server is gone."""
    seaweedfs.client().create_bucket(Bucket="s3stream-locked", ObjectLockEnabledForBucket=True)
    return "s3stream-locked"


def write(server: Server, bucket: str, key: str, size: int, mode: str = "wb", **given: Any) -> Any:
    """Write `size` bytes with these parameters; the closed file."""
    options = {**server.storage_options(), "part_size": PART, **given}
    with s3stream.open(f"s3://{bucket}/{key}", mode, **options) as file:
        file.write(bytes_of(size))
    return file


# --- what a server keeps -------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """Parameters, the server that keeps them, and how that shows."""

    server: str
    given: dict[str, Any]
    look: Callable[[S3Client, str, str], Any]
    shows: Any


def head(*fields: str) -> Callable[[S3Client, str, str], Any]:
    def look(client: S3Client, bucket: str, key: str) -> Any:
        answer: Any = client.head_object(Bucket=bucket, Key=key)
        return tuple(answer.get(field) for field in fields)

    return look


def tags(client: S3Client, bucket: str, key: str) -> Any:
    found = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def grants(client: S3Client, bucket: str, key: str) -> Any:
    found = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
    return {(grant["Grantee"].get("URI"), grant["Permission"]) for grant in found}


KEPT = {
    "metadata": Kept(
        "seaweedfs",
        {"Metadata": {"who": "me", "long-name": "and value"}},
        head("Metadata"),
        ({"who": "me", "long-name": "and value"},),
    ),
    "content-type": Kept(
        "seaweedfs", {"ContentType": "text/x-own"}, head("ContentType"), ("text/x-own",)
    ),
    "content": Kept(
        "seaweedfs",
        {
            "CacheControl": "no-store",
            "ContentDisposition": 'attachment; filename="a b.txt"',
            "ContentEncoding": "gzip",
            "ContentLanguage": "de",
        },
        head("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"),
        ("no-store", 'attachment; filename="a b.txt"', "gzip", "de"),
    ),
    "expires": Kept(
        "seaweedfs",
        {"Expires": datetime(2050, 1, 2, tzinfo=timezone.utc)},
        head("ExpiresString"),
        ("Sun, 02 Jan 2050 00:00:00 GMT",),
    ),
    "tagging": Kept(
        "seaweedfs", {"Tagging": "team=data&kind=a%20b"}, tags, {"team": "data", "kind": "a b"}
    ),
    "storage-class": Kept(
        "seaweedfs", {"StorageClass": "STANDARD_IA"}, head("StorageClass"), ("STANDARD_IA",)
    ),
    "sse-s3": Kept(
        "seaweedfs", {"ServerSideEncryption": "AES256"}, head("ServerSideEncryption"), ("AES256",)
    ),
    "sse-kms": Kept(
        "localstack",
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": KMS_KEY},
        head("ServerSideEncryption", "SSEKMSKeyId"),
        ("aws:kms", KMS_KEY),
    ),
    "acl": Kept(
        "localstack",
        {"ACL": "public-read"},
        grants,
        {(None, "FULL_CONTROL"), (EVERYBODY, "READ")},
    ),
    "website": Kept(
        "localstack",
        {"WebsiteRedirectLocation": "/elsewhere"},
        head("WebsiteRedirectLocation"),
        ("/elsewhere",),
    ),
}


def on_its_server(name: str) -> Any:
    """A case of KEPT; SeaweedFS is always there, another server when it was asked for."""
    server = KEPT[name].server
    absent = server not in {"seaweedfs", *conftest.asked_stores()}
    reason = f"only {server} keeps it, and S3STREAM_TEST_STORES does not ask for {server}"
    return pytest.param(name, marks=[pytest.mark.skipif(absent, reason=reason)])


@SIZES
@pytest.mark.parametrize("name", [on_its_server(name) for name in KEPT])
def test_a_parameter_arrives(
    server_named: Callable[[str], Server], bucket: str, key: str, name: str, size: int
) -> None:
    kept = KEPT[name]
    server = server_named(kept.server)
    file = write(server, bucket, key, size, **kept.given)
    assert file.result.parts == (0 if size < PART else 3)
    assert kept.look(server.client(), bucket, key) == kept.shows
    assert content(server, bucket, key) == bytes_of(size)


@SIZES
def test_parameters_arrive_by_every_way_to_give_them(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    """Of the file system, of one open as a mapping, by name: the nearer wins."""
    fs = fsspec.filesystem(
        "s3stream",
        **seaweedfs.storage_options(),
        part_size=PART,
        s3_additional_kwargs={"CacheControl": "fs", "ContentLanguage": "fs", "Tagging": "of=fs"},
    )
    given = {"CacheControl": "open", "ContentLanguage": "open"}
    with fs.open(f"{bucket}/{key}", "wb", s3_additional_kwargs=given, CacheControl="name") as file:
        file.write(bytes_of(size))
    shown = head("CacheControl", "ContentLanguage")(seaweedfs.client(), bucket, key)
    assert shown == ("name", "open")
    assert tags(seaweedfs.client(), bucket, key) == {"of": "fs"}


@SIZES
def test_an_object_is_encrypted_with_the_customers_key(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    client, known = seaweedfs.client(), {"Bucket": bucket, "Key": key}
    file = write(seaweedfs, bucket, key, size, **SSE_C)
    assert file.result.parts == (0 if size < PART else 3)
    with pytest.raises(ClientError, match="400"):
        client.head_object(**known)  # type: ignore[arg-type]  # boto3-stubs want literal names
    found: Any = client.get_object(**known, **SSE_C)  # type: ignore[arg-type]
    assert found["SSECustomerAlgorithm"] == "AES256"
    assert found["Body"].read() == bytes_of(size)


@SIZES
def test_what_the_customers_key_encrypts_is_read_and_copied_with_it(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    options = {**seaweedfs.storage_options(), "part_size": PART}
    write(seaweedfs, bucket, key, size, **SSE_C)
    with s3stream.open(f"s3://{bucket}/{key}", "rb", **options, **SSE_C) as file:
        assert file.read() == bytes_of(size)
    with s3stream.open(f"s3://{bucket}/{key}", "rb", **options, s3_additional_kwargs=SSE_C) as file:
        assert file.read() == bytes_of(size)
    source = {f"CopySource{name}": value for name, value in SSE_C.items()}
    fs = fsspec.filesystem("s3stream", **options, s3_additional_kwargs={**SSE_C, **source})
    assert fs.cat_file(f"{bucket}/{key}", -10) == bytes_of(size)[-10:]
    fs.cp_file(f"{bucket}/{key}", f"{bucket}/{key}-copy")
    assert fs.cat_file(f"{bucket}/{key}-copy") == bytes_of(size)


@pytest.mark.parametrize("kind", [bytes, bytes.decode], ids=["bytes", "str"])
def test_parts_are_listed_with_the_customers_key(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    kind: Callable[[bytes], Any],
) -> None:
    known = b"0123456789abcdef" * 2
    secret: Any = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": kind(known)}
    uri, options = f"s3://{bucket}/{key}", {**proxied.storage_options(), "part_size": PART}
    file = s3stream.open(uri, **options, **secret)
    file.write(bytes_of(2 * PART))
    file.discard()
    assert_nothing(seaweedfs, bucket, key)
    assert proxy.count("ListParts")
    for exchange in (*proxy.of("ListParts"), *proxy.of("UploadPart")):
        sent = exchange.request_headers["x-amz-server-side-encryption-customer-key"]
        assert base64.b64decode(sent) == known
        digest = exchange.request_headers["x-amz-server-side-encryption-customer-key-md5"]
        assert base64.b64decode(digest) == hashlib.md5(known).digest()
    file = s3stream.open(uri, **options, **secret)
    file.write(bytes_of(PART + 10))
    with s3stream.resume(file.suspend(), **proxied.storage_options(), **secret) as again:
        assert again.tell() == PART + 10
    with s3stream.open(uri, "rb", **seaweedfs.storage_options(), **secret) as there:
        assert there.read() == bytes_of(PART + 10)


def test_a_customers_key_is_not_shown_in_an_error(seaweedfs: Server, key: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write(seaweedfs, "no-such-bucket-at-all", key, 100, **SSE_C)
    assert repr(SECRET_KEY)[2:-1] not in str(raised.value)
    with pytest.raises(s3stream.UsageError, match="SSECustomerKey") as refused:
        write(seaweedfs, "bucket", key, 1, SSECustomerAlgorithm="AES256", SSECustomerKey=[12345])
    assert "12345" not in str(refused.value)


@SIZES
def test_an_object_is_locked_until_the_time_given(
    seaweedfs: Server, locked_bucket: str, key: str, size: int
) -> None:
    given: dict[str, Any] = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": TOMORROW}
    file = write(seaweedfs, locked_bucket, key, size, **given)
    client = seaweedfs.client()
    found = client.get_object_retention(Bucket=locked_bucket, Key=key)["Retention"]
    assert found["Mode"] == "GOVERNANCE"
    assert found["RetainUntilDate"] == TOMORROW
    version = client.head_object(Bucket=locked_bucket, Key=key)["VersionId"]
    assert file.result.version_id == version
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_object(Bucket=locked_bucket, Key=key, VersionId=version)


@SIZES
def test_an_object_is_held_for_the_law(
    seaweedfs: Server, locked_bucket: str, key: str, size: int
) -> None:
    write(seaweedfs, locked_bucket, key, size, ObjectLockLegalHoldStatus="ON")
    found = seaweedfs.client().get_object_legal_hold(Bucket=locked_bucket, Key=key)["LegalHold"]
    assert found["Status"] == "ON"


# --- on the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "header"),
    [
        ({"RequestPayer": "requester"}, ("x-amz-request-payer", "requester")),
        ({"ExpectedBucketOwner": "1" * 12}, ("x-amz-expected-bucket-owner", "1" * 12)),
    ],
    ids=["request-payer", "expected-bucket-owner"],
)
def test_what_every_call_knows_is_sent_with_every_call(
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    given: dict[str, str],
    header: tuple[str, str],
) -> None:
    name, value = header
    write(proxied, bucket, key, 12 * MiB, **given)
    write(proxied, bucket, f"{key}-small", 100, **given)
    options = {**proxied.storage_options(), "part_size": PART, **given}
    file: Any = s3stream.open(f"s3://{bucket}/{key}", "wb", **options)
    file.write(bytes(12 * MiB))
    file.discard()
    fs = fsspec.filesystem("s3stream", **proxied.storage_options(), s3_additional_kwargs=given)
    assert fs.cat_file(f"{bucket}/{key}-small", -5)
    fs.ls(f"{bucket}/{key}")
    fs.cp_file(f"{bucket}/{key}-small", f"{bucket}/{key}-copy")
    fs.rm_file(f"{bucket}/{key}-copy")
    sent = {exchange.operation: exchange.request_headers.get(name) for exchange in proxy.log}
    assert sent == dict.fromkeys(
        [
            *("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"),
            *("AbortMultipartUpload", "HeadObject", "GetObject", "ListObjectsV2", "CopyObject"),
            *("DeleteObject", "ListParts"),
        ],
        value,
    )


def test_a_parameter_is_sent_only_with_the_calls_that_know_it(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    write(proxied, bucket, key, 12 * MiB, StorageClass="STANDARD_IA", ContentType="text/plain")
    (create,) = proxy.of("CreateMultipartUpload")
    assert create.request_headers["x-amz-storage-class"] == "STANDARD_IA"
    assert create.request_headers["content-type"] == "text/plain"
    later = [*proxy.of("UploadPart"), *proxy.of("CompleteMultipartUpload")]
    assert len(later) == 4
    assert not any("x-amz-storage-class" in exchange.request_headers for exchange in later)


# --- content types -------------------------------------------------------------------------------

TYPES = {
    "data.csv": "text/csv",
    "data.csv.gz": "application/gzip",
    "data.tar.bz2": "application/x-bzip2",
    "data.json": "application/json",
    "table.parquet": "application/vnd.apache.parquet",
    "part-0.parquet.zst": "application/zstd",
    "page.html": "text/html",
    "picture.png": "image/png",
    "folder.csv/data": None,
    "no-ending": None,
    "unknown.ending-of-nobody": None,
}


@SIZES
@pytest.mark.parametrize("name", TYPES)
def test_the_content_type_is_guessed_from_the_name(
    proxied: Server, proxy: Proxy, bucket: str, key: str, name: str, size: int
) -> None:
    write(proxied, bucket, f"{key}/{name}", size)
    (first,) = proxy.of("PutObject") or proxy.of("CreateMultipartUpload")
    assert first.request_headers.get("content-type") == TYPES[name]
    if TYPES[name] is not None:
        shown = proxied.client().head_object(Bucket=bucket, Key=f"{key}/{name}")["ContentType"]
        assert shown == TYPES[name]


@SIZES
def test_a_content_type_that_is_given_counts_and_not_the_name(
    store: Server, bucket: str, key: str, size: int
) -> None:
    write(store, bucket, f"{key}.csv.gz", size, ContentType="text/x-own")
    answer = store.client().head_object(Bucket=bucket, Key=f"{key}.csv.gz")
    assert answer["ContentType"] == "text/x-own"
    assert not answer.get("ContentEncoding")  # a browser would else unpack it


# --- checksums -----------------------------------------------------------------------------------

FIELDS: dict[str, Any] = {
    "crc32": "ChecksumCRC32",
    "crc32c": "ChecksumCRC32C",
    "crc64nvme": "ChecksumCRC64NVME",
}


@ALSO_EMPTY
@pytest.mark.parametrize("checksum", FIELDS)
def test_the_store_proves_the_checksum_that_was_chosen(
    store: Server, bucket: str, key: str, checksum: str, size: int
) -> None:
    file = write(store, bucket, key, size, checksum=checksum)
    ours = file.result.checksum
    assert ours.algorithm == checksum
    assert ours.verified == ("checksums" not in CANNOT[store.name]), ABILITIES["checksums"]
    assert content(store, bucket, key) == bytes_of(size)
    if ours.verified:
        shown: Any = store.client().head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        assert shown[FIELDS[checksum]] == ours.value


@ALSO_EMPTY
def test_no_checksum_is_sent_when_none_is_wanted(
    proxied: Server, proxy: Proxy, bucket: str, key: str, size: int
) -> None:
    file = write(proxied, bucket, key, size, checksum=None)
    assert file.result.checksum is None
    sent = {name for exchange in proxy.log for name in exchange.request_headers}
    assert not [name for name in sent if "checksum" in name or name == "x-amz-trailer"]
    assert content(proxied, bucket, key) == bytes_of(size)


# --- conditions ----------------------------------------------------------------------------------


def heeds(store: Server, condition: str, size: int) -> bool:
    ability = f"{condition}-{'put' if size < PART else 'complete'}"
    return ability not in CANNOT[store.name]


@ALSO_EMPTY
def test_exclusive_creation_makes_an_object_where_there_is_none(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if not heeds(store, "if-none-match", size):
        pytest.skip(f"{store.name} cannot: it is refused")
    file = write(store, bucket, key, size, "xb", Metadata={"who": "me"})
    assert content(store, bucket, key) == bytes_of(size)
    found = store.client().head_object(Bucket=bucket, Key=key)
    assert {name.lower(): value for name, value in found["Metadata"].items()}["who"] == "me"
    assert file.result.size == size


@ALSO_EMPTY
@pytest.mark.parametrize("way", ["mode", "option"])
def test_exclusive_creation_refuses_to_replace(
    store: Server, bucket: str, key: str, size: int, way: str
) -> None:
    store.client().put_object(Bucket=bucket, Key=key, Body=b"first")
    how: dict[str, Any] = {"mode": "xb"} if way == "mode" else {"if_none_match": "*"}
    if not heeds(store, "if-none-match", size):
        with pytest.raises(s3stream.UsageError, match="if_none_match: this store ignores it in"):
            write(store, bucket, key, size, **how)
        assert content(store, bucket, key) == b"first"
        assert uploads(store, bucket, key) == []
        return
    with pytest.raises(FileExistsError, match="already") as raised:
        write(store, bucket, key, size, **how)
    assert isinstance(raised.value, s3stream.AlreadyExistsError)
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    assert content(store, bucket, key) == b"first"
    assert uploads(store, bucket, key) == []


@ALSO_EMPTY
def test_if_match_replaces_the_object_it_names_and_no_other(
    store: Server, bucket: str, key: str, size: int
) -> None:
    if not heeds(store, "if-match", size):
        with pytest.raises(s3stream.UsageError, match="if_match: this store ignores it in"):
            write(store, bucket, key, size, if_match='"0123456789abcdef0123456789abcdef"')
        assert_nothing(store, bucket, key)
        return
    etag = store.client().put_object(Bucket=bucket, Key=key, Body=b"first")["ETag"]
    with pytest.raises(s3stream.PreconditionError) as raised:
        write(store, bucket, key, size, if_match='"0123456789abcdef0123456789abcdef"')
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    assert content(store, bucket, key) == b"first"
    assert uploads(store, bucket, key) == []
    write(store, bucket, key, size, if_match=etag)
    assert content(store, bucket, key) == bytes_of(size)


@ALSO_EMPTY
def test_if_match_of_an_object_that_is_gone_publishes_nothing(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    with pytest.raises(s3stream.S3StreamError) as raised:
        write(seaweedfs, bucket, key, size, if_match='"0123456789abcdef0123456789abcdef"')
    assert isinstance(raised.value, (s3stream.PreconditionError, s3stream.NotFoundError))
    assert_nothing(seaweedfs, bucket, key)


# --- what cannot be ------------------------------------------------------------------------------


def both_ways(server: Server, bucket: str, key: str, given: dict[str, Any], says: str) -> None:
    """Refused by `open` and by a file system, as an argument and in the mapping."""
    options = server.storage_options()
    uri = f"s3://{bucket}/{key}"
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, "wb", **given, **options)
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, "wb", s3_additional_kwargs=given, **options)
    with pytest.raises(s3stream.UsageError, match=says):
        fsspec.filesystem("s3stream", s3_additional_kwargs=given, **options)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("StorageClas", "StorageClass"),
        ("Storageclass", "StorageClass"),
        ("ServerSideEncrypton", "ServerSideEncryption"),
        ("ContentTyp", "ContentType"),
        ("MetaData", "Metadata"),
        ("SseKmsKeyId", "SSEKMSKeyId"),
        ("Tags", "Tagging"),
    ],
)
def test_an_unknown_parameter_is_named_with_the_nearest_right_one(
    proxied: Server, proxy: Proxy, bucket: str, key: str, name: str, near: str
) -> None:
    both_ways(proxied, bucket, key, {name: "x"}, rf"'{name}'.*did you mean {near}\?")
    assert proxy.count() == 0


def test_a_parameter_like_no_other_is_named(
    proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    both_ways(proxied, bucket, key, {"Xyzzy": 1}, r"'Xyzzy': no S3 call that we make has it$")
    assert proxy.count() == 0


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("Bucket", "the URI"),
        ("Key", "the URI"),
        ("Body", "the bytes written"),
        ("ContentLength", "the bytes written"),
        ("ContentMD5", "the bytes written"),
        ("MultipartUpload", "the bytes written"),
        ("PartNumber", "the bytes written"),
        ("UploadId", "the store"),
        ("ChecksumAlgorithm", "the option checksum="),
        ("ChecksumType", "the option checksum="),
        ("ChecksumCRC32", "the option checksum="),
        ("ChecksumSHA256", "the option checksum="),
        ("IfMatch", "the option if_match="),
        ("IfNoneMatch", "the option if_none_match= or mode 'xb'"),
        ("Range", "the reader"),
    ],
)
def test_a_parameter_that_is_ours_is_refused_with_the_way_to_say_it(
    proxied: Server, proxy: Proxy, bucket: str, key: str, name: str, instead: str
) -> None:
    both_ways(proxied, bucket, key, {name: "x"}, f"parameter {name}: that is said by {instead}")
    assert proxy.count() == 0


@pytest.mark.parametrize(
    "given",
    [
        {"Metadata": "who=me"},
        {"Metadata": {"who": 1}},
        {"ContentType": 5},
        {"Tagging": {"team": "data"}},
        {"StorageClass": None},
        {"ObjectLockRetainUntilDate": "no date at all"},
        {"BucketKeyEnabled": "yes"},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, key: str, given: dict[str, Any]
) -> None:
    both_ways(proxied, bucket, key, given, f"{next(iter(given))}")
    assert proxy.count() == 0


@pytest.mark.parametrize(
    "given",
    [
        {"ContentType": "text/plain\nx-amz-meta-more: 1"},
        {"ContentType": "text/\udcff"},
        {"Tagging": "team=\x00"},
        {"Metadata": {"who": "me\r\nx-amz-meta-more: 1"}},
        {"Metadata": {"who\x7f": "me"}},
        {"Metadata": {"who": "Zoë"}},
        {"Metadata": {"qui\xe8": "me"}},
    ],
    ids=ascii,
)
def test_what_no_header_can_hold_is_refused_before_any_request(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    given: dict[str, Any],
) -> None:
    # What is there already must not be taken for what was to be written.
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=bytes_of(100))
    with pytest.raises(s3stream.UsageError, match=f"^S3 parameter {next(iter(given))}: "):
        write(proxied, bucket, key, 100, **given)
    assert proxy.count() == 0


@SIZES
def test_what_only_the_store_can_refuse_leaves_nothing(
    seaweedfs: Server, bucket: str, key: str, size: int
) -> None:
    """Object lock in a bucket that has none."""
    given: dict[str, Any] = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": TOMORROW}
    with pytest.raises(s3stream.S3StreamError) as raised:
        write(seaweedfs, bucket, key, size, **given)
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    assert not exists(seaweedfs, bucket, key)
    assert uploads(seaweedfs, bucket, key) == []
