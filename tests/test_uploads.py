"""Unfinished uploads are seen, aborted and expired; nothing else is touched.

The uploads are made, and looked at again, by a boto3 client that knows nothing of ours.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

import s3stream
from s3stream import S3StreamError, UnfinishedUpload, UsageError
from tests.faults import Answer
from tests.looking import bytes_of, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy import Proxy
    from tests.servers import Server

NOW = timedelta(0)
DENIED = Answer(403, "AccessDenied", "not today")


def begin(server: Server, bucket: str, key: str, *sizes: int) -> str:
    """Start an upload with parts of these sizes, and leave it."""
    client = server.client()
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    for number, size in enumerate(sizes, 1):
        client.upload_part(
            Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=bytes_of(size)
        )
    return upload_id


def abort(bucket: str, prefix: str = "", **options: Any) -> list[UnfinishedUpload]:
    return s3stream.abort_uploads(bucket, prefix, older_than=NOW, **options)


def expire(bucket: str, prefix: str = "", **options: Any) -> None:
    s3stream.expire_uploads(bucket, 7, prefix, **options)


every_function = pytest.mark.parametrize("function", [s3stream.list_uploads, abort, expire])


@pytest.fixture
def fresh(store: Server) -> Iterator[str]:
    """A bucket for one test: one that has never had an upload, nor lifecycle rules."""
    name = f"uploads-{uuid.uuid4().hex[:12]}"
    client = store.client()
    client.create_bucket(Bucket=name)
    yield name
    client.delete_bucket(Bucket=name)


# -- seeing them


def test_each_upload_is_listed_with_its_parts_and_bytes(
    store: Server, bucket: str, key: str
) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    expected = {
        (f"{key}/a", begin(store, bucket, f"{key}/a", 100, 50), 2, 150),
        (f"{key}/b", begin(store, bucket, f"{key}/b"), 0, 0),
        (f"{key}/b", begin(store, bucket, f"{key}/b", 7), 1, 7),
        (f"{key}/ü + ?&", begin(store, bucket, f"{key}/ü + ?&", 3), 1, 3),
    }
    begin(store, bucket, f"other-{key}/a", 10)
    found = s3stream.list_uploads(bucket, f"{key}/", **store.storage_options())
    assert {(u.key, u.upload_id, u.parts, u.size) for u in found} == expected
    assert len(found) == len(expected)
    for upload in found:
        assert upload.bucket == bucket
        assert upload.initiated.utcoffset() is not None
        assert before <= upload.initiated <= datetime.now(timezone.utc)
        assert NOW <= upload.age < timedelta(minutes=5)


def test_without_a_prefix_every_upload_of_the_bucket_is_listed(store: Server, fresh: str) -> None:
    begun = {begin(store, fresh, "a"), begin(store, fresh, "b")}
    found = s3stream.list_uploads(fresh, **store.storage_options())
    assert {upload.upload_id for upload in found} == begun
    assert {upload.upload_id for upload in abort(fresh, **store.storage_options())} == begun


def test_what_was_completed_or_aborted_is_not_listed(store: Server, bucket: str, key: str) -> None:
    client = store.client()
    with s3stream.open(f"s3://{bucket}/{key}", part_size=5 << 20, **store.storage_options()) as f:
        f.write(bytes_of(6 << 20))
    upload_id = begin(store, bucket, key, 10)
    client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    assert s3stream.list_uploads(bucket, key, **store.storage_options()) == []


def test_a_bucket_that_never_had_an_upload_has_none(store: Server, fresh: str) -> None:
    assert s3stream.list_uploads(fresh, **store.storage_options()) == []
    assert abort(fresh, **store.storage_options()) == []


@every_function
def test_a_bucket_that_is_not_there_is_not_found(
    store: Server, function: Callable[..., object]
) -> None:
    name = f"uploads-{uuid.uuid4().hex[:12]}"
    with pytest.raises(FileNotFoundError, match=f"there is no bucket '{name}'"):
        function(name, **store.storage_options())
    assert name not in {found["Name"] for found in store.client().list_buckets()["Buckets"]}


def test_a_part_that_was_sent_twice_counts_once(store: Server, bucket: str, key: str) -> None:
    upload_id = begin(store, bucket, key, 100, 50)
    store.client().upload_part(
        Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=2, Body=bytes_of(50)
    )
    (found,) = s3stream.list_uploads(bucket, key, **store.storage_options())
    assert (found.parts, found.size) == (2, 150)


@pytest.mark.parametrize("function", [s3stream.list_uploads, abort])
def test_an_upload_that_ends_behind_the_listing_is_left_out(
    store: Server, bucket: str, key: str, function: Callable[..., list[UnfinishedUpload]]
) -> None:
    ends, stays = begin(store, bucket, f"{key}/1", 10), begin(store, bucket, f"{key}/2", 10)
    client: Any = store.client()
    judge = store.client()

    def end(params: dict[str, Any], **kwargs: Any) -> None:
        if params["UploadId"] == ends:
            judge.abort_multipart_upload(Bucket=bucket, Key=f"{key}/1", UploadId=ends)

    client.meta.events.register("provide-client-params.s3.ListParts", end)
    found = function(bucket, key, client=client)
    assert [upload.upload_id for upload in found] == [stays]


# -- in pages


def in_small_pages(server: Server) -> tuple[Any, list[str]]:
    """A client that asks for two at a time, and the calls that it makes."""
    client: Any = server.client()
    calls: list[str] = []
    for call, limit in (("ListMultipartUploads", "MaxUploads"), ("ListParts", "MaxParts")):

        def ask(
            params: dict[str, Any], *, call: str = call, limit: str = limit, **kwargs: Any
        ) -> dict[str, Any]:
            calls.append(call)
            return {**params, limit: 2}

        client.meta.events.register(f"provide-client-params.s3.{call}", ask)
    return client, calls


def test_all_pages_of_uploads_are_read(store: Server, bucket: str, key: str) -> None:
    begun = {begin(store, bucket, f"{key}/{number // 3}") for number in range(7)}
    client, calls = in_small_pages(store)
    found = s3stream.list_uploads(bucket, f"{key}/", client=client)
    assert len(found) == 7
    assert {upload.upload_id for upload in found} == begun
    assert calls.count("ListMultipartUploads") == 4


def test_all_pages_of_parts_are_read(store: Server, bucket: str, key: str) -> None:
    begin(store, bucket, key, 10, 20, 30, 40, 50)
    client, calls = in_small_pages(store)
    (found,) = s3stream.list_uploads(bucket, key, client=client)
    assert (found.parts, found.size) == (5, 150)
    assert calls.count("ListParts") == 3


class RepeatingClient:
    """A client of a store that answers the same page again and again, as Swift does."""

    def __init__(self, server: Server, **following: Any) -> None:
        self.meta: Any = server.client().meta
        self.asked: list[dict[str, Any]] = []
        self.page = {"IsTruncated": True, **following}

    def _get_credentials(self) -> None:
        """There are none to be renewed."""

    def list_multipart_uploads(self, **arguments: Any) -> dict[str, Any]:
        self.asked.append(arguments)
        return self.page


class RepeatingPartsClient(RepeatingClient):
    def list_multipart_uploads(self, **arguments: Any) -> dict[str, Any]:
        started = {"Key": "a/b", "UploadId": "u", "Initiated": datetime.now(timezone.utc)}
        return {"IsTruncated": False, "Uploads": [started]}

    def list_parts(self, **arguments: Any) -> dict[str, Any]:
        return super().list_multipart_uploads(**arguments)


@pytest.mark.parametrize(
    ("kind", "following", "requests"),
    [
        (RepeatingClient, {"NextKeyMarker": "k", "NextUploadIdMarker": "u"}, 2),
        (RepeatingClient, {"NextUploadIdMarker": "u"}, 2),
        (RepeatingClient, {}, 1),
        (RepeatingPartsClient, {"NextPartNumberMarker": 5}, 2),
        (RepeatingPartsClient, {"NextPartNumberMarker": 0}, 1),
    ],
)
def test_a_listing_that_does_not_end_is_an_error(
    seaweedfs: Server,
    bucket: str,
    kind: type[RepeatingClient],
    following: dict[str, Any],
    requests: int,
) -> None:
    client = kind(seaweedfs, **following)
    with pytest.raises(S3StreamError, match=f"listing does not end.*s3://{bucket}/a"):
        s3stream.list_uploads(bucket, "a", client=client)
    assert len(client.asked) == requests


# -- aborting them


def test_what_is_aborted_is_gone_and_returned_and_the_rest_stays(
    store: Server, bucket: str, key: str
) -> None:
    first, second = begin(store, bucket, f"{key}/1", 100, 50), begin(store, bucket, f"{key}/2")
    other = begin(store, bucket, f"other-{key}", 10)
    listed = s3stream.list_uploads(bucket, f"{key}/", **store.storage_options())
    aborted = s3stream.abort_uploads(bucket, f"{key}/", older_than=NOW, **store.storage_options())
    assert aborted == listed
    assert {(u.upload_id, u.size) for u in aborted} == {(first, 150), (second, 0)}
    assert uploads(store, bucket, f"{key}/1") == uploads(store, bucket, f"{key}/2") == []
    assert uploads(store, bucket, f"other-{key}") == [other]


def test_a_young_upload_is_left_alone(store: Server, bucket: str, key: str) -> None:
    upload_id = begin(store, bucket, key, 10)
    for older_than in (timedelta(days=1), timedelta.max):
        aborted = s3stream.abort_uploads(
            bucket, key, older_than=older_than, **store.storage_options()
        )
        assert aborted == []
    assert uploads(store, bucket, key) == [upload_id]


def test_only_the_old_ones_are_aborted(seaweedfs: Server, bucket: str, key: str) -> None:
    old, young = begin(seaweedfs, bucket, f"{key}/1"), begin(seaweedfs, bucket, f"{key}/2")
    client: Any = seaweedfs.client()

    def backdate(parsed: dict[str, Any], **kwargs: Any) -> None:
        for upload in parsed["Uploads"]:
            if upload["UploadId"] == old:
                upload["Initiated"] -= timedelta(days=2)

    client.meta.events.register("after-call.s3.ListMultipartUploads", backdate)
    (aborted,) = s3stream.abort_uploads(bucket, key, older_than=timedelta(days=1), client=client)
    assert aborted.upload_id == old
    assert timedelta(days=2) <= aborted.age < timedelta(days=2, minutes=5)
    assert uploads(seaweedfs, bucket, f"{key}/1") == []
    assert uploads(seaweedfs, bucket, f"{key}/2") == [young]


def test_an_upload_that_ends_before_its_abort_counts_as_aborted(
    store: Server, bucket: str, key: str
) -> None:
    upload_id = begin(store, bucket, key, 10)
    client: Any = store.client()
    judge = store.client()

    def end(**kwargs: Any) -> None:
        judge.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)

    client.meta.events.register("provide-client-params.s3.AbortMultipartUpload", end)
    (aborted,) = abort(bucket, key, client=client)
    assert aborted.upload_id == upload_id


@pytest.mark.parametrize("operation", ["AbortMultipartUpload", "ListParts"])
def test_one_that_fails_does_not_stop_the_others_and_every_failure_is_named(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, operation: str
) -> None:
    keys = [f"{key}/{number}" for number in range(4)]
    begun = [begin(seaweedfs, bucket, name) for name in keys]
    refused = {begun[1], begun[2]}
    proxy.inject(operation, DENIED, times=2, where=lambda x: x.query["uploadId"] in refused)
    with pytest.raises(PermissionError, match="not today") as raised:
        abort(bucket, f"{key}/", **proxied.storage_options())
    error: Any = raised.value
    assert isinstance(error.__cause__, ClientError)
    (other,) = refused - {error.upload_id}
    another, count = error.__notes__
    assert "AccessDeniedError" in another
    assert other in another
    assert f"s3://{bucket}/{keys[begun.index(other)]}" in another
    assert count == "uploads that were aborted: 2, that were not: 2"
    left = [uploads(seaweedfs, bucket, name) for name in keys]
    assert left == [[], [begun[1]], [begun[2]], []]


@pytest.mark.parametrize("older_than", [timedelta(seconds=-1), 0, 3600.0, None, "1 day"])
def test_an_age_that_is_none_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, older_than: Any
) -> None:
    with pytest.raises(UsageError, match=r"older_than=.*expected a timedelta of zero or more") as e:
        s3stream.abort_uploads(bucket, older_than=older_than, **proxied.storage_options())
    assert repr(older_than) in str(e.value)
    assert proxy.count() == 0


def test_nobody_aborts_without_saying_what_is_old(bucket: str) -> None:
    call: Any = s3stream.abort_uploads
    with pytest.raises(TypeError, match="older_than"):
        call(bucket)


# -- letting the store abort them


def rules_of(server: Server, bucket: str) -> dict[str, Any]:
    answer: Any = server.client().get_bucket_lifecycle_configuration(Bucket=bucket)
    found = {rule["ID"]: rule for rule in answer["Rules"]}
    assert len(found) == len(answer["Rules"])
    return found


def expiring(rule: dict[str, Any]) -> tuple[str, str, int]:
    """Of a lifecycle rule: its status, its prefix, and after how many days it aborts uploads."""
    prefix = rule["Prefix"] if "Prefix" in rule else rule["Filter"]["Prefix"]
    return rule["Status"], prefix, rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]


def test_a_lifecycle_rule_is_set_and_replaced(store: Server, fresh: str) -> None:
    if "lifecycle" in CANNOT[store.name]:
        with pytest.raises(S3StreamError, match=f"no lifecycle rules.*{fresh}"):
            s3stream.expire_uploads(fresh, **store.storage_options())
        return
    s3stream.expire_uploads(fresh, **store.storage_options())
    assert [expiring(rule) for rule in rules_of(store, fresh).values()] == [("Enabled", "", 7)]
    s3stream.expire_uploads(fresh, 1, "logs/", **store.storage_options())
    s3stream.expire_uploads(fresh, 3, **store.storage_options())
    found = rules_of(store, fresh)
    assert all(name.startswith("s3stream: abort unfinished uploads") for name in found)
    assert sorted(expiring(rule) for rule in found.values()) == [
        ("Enabled", "", 3),
        ("Enabled", "logs/", 1),
    ]


def with_filter(prefix: str) -> dict[str, Any]:
    return {"Filter": {"Prefix": prefix}}


def without_filter(prefix: str) -> dict[str, Any]:
    return {"Prefix": prefix}


@pytest.mark.parametrize(
    ("ability", "of"), [("lifecycle", with_filter), ("lifecycle-prefix", without_filter)]
)
def test_rules_of_others_stay(
    store: Server, fresh: str, ability: str, of: Callable[[str], dict[str, Any]]
) -> None:
    aborting = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 30}}
    theirs: Any = [
        {"ID": "theirs", "Status": "Enabled", **of("tmp/"), "Expiration": {"Days": 3}},
        {"ID": "theirs too", "Status": "Disabled", **of("uploads/"), **aborting},
    ]
    client = store.client()

    def set_theirs() -> None:
        client.put_bucket_lifecycle_configuration(
            Bucket=fresh,
            LifecycleConfiguration={"Rules": theirs},
            TransitionDefaultMinimumObjectSize="varies_by_storage_class",
        )

    if ability in CANNOT[store.name]:
        with pytest.raises(ClientError):
            set_theirs()
        return
    set_theirs()
    before: Any = client.get_bucket_lifecycle_configuration(Bucket=fresh)
    for days in (9, 10):
        s3stream.expire_uploads(fresh, days, "parts/", **store.storage_options())
    found = rules_of(store, fresh)
    assert {name: found.pop(name) for name in ("theirs", "theirs too")} == {
        rule["ID"]: rule for rule in before["Rules"]
    }
    (ours,) = found.values()
    assert expiring(ours) == ("Enabled", "parts/", 10)
    assert ours | of("parts/") == ours  # AWS refuses both versions in one configuration
    after: Any = client.get_bucket_lifecycle_configuration(Bucket=fresh)
    setting = "TransitionDefaultMinimumObjectSize"
    assert after.get(setting) == before.get(setting)


@pytest.mark.parametrize("operation", ["GET", "PUT"])
def test_rules_that_may_not_be_read_or_set_are_an_error(
    proxied: Server, proxy: Proxy, bucket: str, operation: str
) -> None:
    proxy.inject("other", DENIED, where=lambda x: x.method == operation and "lifecycle" in x.query)
    with pytest.raises(PermissionError, match=f"lifecycle rule.*not today.*{bucket}"):
        s3stream.expire_uploads(bucket, **proxied.storage_options())
    assert len(proxy.injected) == 1
    assert proxy.count() == (1 if operation == "GET" else 2)


@pytest.mark.parametrize("days", [0, -1, 1.5, True, None, "7", timedelta(days=7)])
def test_days_that_are_none_are_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, days: Any
) -> None:
    with pytest.raises(UsageError, match=r"days=.*expected a whole number of 1 or more") as raised:
        s3stream.expire_uploads(bucket, days, **proxied.storage_options())
    assert repr(days) in str(raised.value)
    assert proxy.count() == 0


# -- what all of them take


@every_function
@pytest.mark.parametrize("name", ["s3://my-bucket", "my-bucket/logs", "my-bucket/", 7, None])
def test_a_bucket_is_a_name_alone(
    proxied: Server, proxy: Proxy, function: Callable[..., object], name: Any
) -> None:
    with pytest.raises(UsageError, match="expected its name alone, such as 'my-bucket'") as raised:
        function(name, **proxied.storage_options())
    assert repr(name) in str(raised.value)
    assert proxy.count() == 0


@every_function
@pytest.mark.parametrize("name", ["", "a bucket", "ü"])
def test_a_bucket_has_a_name_that_s3_takes(
    proxied: Server, proxy: Proxy, function: Callable[..., object], name: str
) -> None:
    with pytest.raises(UsageError, match=f"bucket '{name}': expected 3 to 63 letters"):
        function(name, **proxied.storage_options())
    assert proxy.count() == 0


@every_function
@pytest.mark.parametrize("prefix", [None, 7, ["a"]])
def test_a_prefix_is_a_string(
    proxied: Server, proxy: Proxy, bucket: str, function: Callable[..., object], prefix: Any
) -> None:
    with pytest.raises(UsageError, match=r"prefix=.*expected a string") as raised:
        function(bucket, prefix, **proxied.storage_options())
    assert repr(prefix) in str(raised.value)
    assert proxy.count() == 0


@every_function
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "'endpoint'.*did you mean endpoint_url"),
        ({"part_size": 5 << 20}, "'part_size'"),
        ({"client": object()}, "expected a boto3 S3 client|brings its own connection"),
        ({"Owner": "me"}, "'Owner'.*no S3 call"),
    ],
)
def test_an_option_that_is_none_is_refused(
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    function: Callable[..., object],
    options: dict[str, Any],
    words: str,
) -> None:
    connection = {} if "client" in options else proxied.storage_options()
    with pytest.raises(UsageError, match=words):
        function(bucket, **connection, **options)
    assert proxy.count() == 0


@every_function
def test_a_client_brings_its_own_connection(
    proxied: Server, proxy: Proxy, bucket: str, function: Callable[..., object]
) -> None:
    with pytest.raises(UsageError, match=r"client= brings its own connection: drop key, secret"):
        function(bucket, client=proxied.client(), **proxied.storage_options())
    assert proxy.count() == 0


@every_function
def test_s3s_own_parameters_reach_every_call(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    function: Callable[..., object],
) -> None:
    begin(seaweedfs, bucket, key)
    function(bucket, key, ExpectedBucketOwner="111122223333", **proxied.storage_options())
    assert proxy.count() >= 2
    owners = {x.request_headers.get("x-amz-expected-bucket-owner") for x in proxy.log}
    assert owners == {"111122223333"}
