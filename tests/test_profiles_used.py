"""What is known of stores is used where nothing else was said, by endpoint or by name."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

import s3stream
from s3stream import UsageError
from s3stream.options import MiB
from s3stream.profiles import PROFILES
from tests.looking import assert_nothing, bytes_of, content, exists

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.proxy import Proxy
    from tests.servers import Server

R2 = "https://0123456789abcdef.r2.cloudflarestorage.com"
KEYS: dict[str, Any] = {"key": "k", "secret": "s", "skip_instance_cache": True}
DATA = bytes_of(23 * MiB)
SHORT = DATA[: 11 * MiB]
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


# -- found by the endpoint


def test_the_endpoint_chooses_options_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")  # that is AWS's
    fs = s3stream.S3StreamFileSystem(endpoint_url=R2, **KEYS)
    assert (fs.store, fs.client.meta.region_name) == ("r2", "auto")
    assert fs._write_options({}).equal_parts
    assert not fs._write_options({"equal_parts": False}).equal_parts
    assert repr(fs) == f"<S3StreamFileSystem at {R2}, store 'r2'>"


def test_so_does_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", R2)
    fs = s3stream.S3StreamFileSystem(**KEYS)
    assert (fs.store, fs.client.meta.region_name) == ("r2", "auto")


@pytest.mark.parametrize(
    "said",
    [
        {"client_kwargs": {"region_name": "weur"}},
        {"config_kwargs": {"region_name": "weur"}},
    ],
    ids=str,
)
def test_a_region_that_was_given_counts(said: dict[str, Any]) -> None:
    fs = s3stream.S3StreamFileSystem(endpoint_url=R2, **said, **KEYS)
    assert fs.client.meta.region_name == "weur"


def test_an_unknown_endpoint_keeps_the_region_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    fs = s3stream.S3StreamFileSystem(endpoint_url="http://127.0.0.1:1", **KEYS)
    assert (fs.store, fs.client.meta.region_name) == ("generic", "eu-west-1")


def test_a_name_wins_over_the_endpoint() -> None:
    fs = s3stream.S3StreamFileSystem(endpoint_url=R2, store="generic", **KEYS)
    assert (fs.store, fs._write_options({}).equal_parts) == ("generic", False)
    assert fs.client.meta.region_name != "auto"


def test_it_goes_along_when_pickled() -> None:
    fs = s3stream.S3StreamFileSystem(endpoint_url="http://127.0.0.1:1", store="gcs", **KEYS)
    again = pickle.loads(pickle.dumps(fs))
    assert (again.store, again._write_options({}).checksum) == ("gcs", None)


def test_an_option_that_does_not_go_with_the_stores_is_refused_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="max_parts"):
        s3stream.S3StreamFileSystem(endpoint_url=R2, max_parts=0, **KEYS)
    with pytest.raises(UsageError, match="size_hint"):  # more than a thousand parts hold
        s3stream.S3StreamFileSystem(
            endpoint_url="https://s3.fr-par.scw.cloud", size_hint=6 << 40, **KEYS
        )


# -- by name, at a store that takes anything


def write(uri: str, data: bytes, **options: Any) -> None:
    with s3stream.open(uri, **options) as file:
        file.write(data)


def write_by_fsspec(uri: str, data: bytes, **options: Any) -> None:
    with fsspec.open(uri.replace("s3://", "s3stream://"), "wb", **options) as file:
        file.write(data)


def write_by_hand(uri: str, data: bytes, **options: Any) -> None:
    upload = s3stream.MultipartUpload.create(uri, **options)
    for number, at in enumerate(range(0, len(data), 6 * MiB), 1):
        upload.upload_part(number, data[at : at + 6 * MiB])
    pickle.loads(pickle.dumps(upload)).complete()


def write_in_two(uri: str, data: bytes, **options: Any) -> None:
    file = s3stream.open(uri, **options)
    file.write(data[: len(data) // 2])
    with s3stream.resume(file.suspend(), **options) as again:
        again.write(data[again.tell() :])


def write_from_a_file(uri: str, data: bytes, **options: Any) -> None:
    local = Path("local")
    local.write_bytes(data)
    s3stream.upload_file(local, uri, **options)


WAYS = [write, write_by_fsspec, write_by_hand, write_in_two, write_from_a_file]
BY_EACH = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


def of_checksums(proxy: Proxy) -> set[str]:
    """The names of all headers that are about checksums, in whatever request for the object."""
    return {
        name
        for exchange in proxy.log
        if exchange.operation in {"CreateMultipartUpload", "UploadPart"}
        for name in exchange.request_headers
        if name.startswith("x-amz-checksum-")
    }


@BY_EACH
def test_every_way_of_writing_takes_a_name(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[..., None],
) -> None:
    monkeypatch.chdir(tmp_path)
    way(f"s3://{bucket}/{key}", SHORT, store="gcs", **proxied.storage_options())
    assert content(seaweedfs, bucket, key) == SHORT
    assert proxy.count("UploadPart") >= 2
    assert of_checksums(proxy) == set()
    way(f"s3://{bucket}/{key}", SHORT, store="gcs", checksum="crc32", **proxied.storage_options())
    assert "x-amz-checksum-crc32" in of_checksums(proxy)
    assert content(seaweedfs, bucket, key) == SHORT


@BY_EACH
def test_a_wrong_name_is_refused_before_any_request(
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[..., None],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"store='r3': .*did you mean 'r2'"):
        way(f"s3://{bucket}/{key}", SHORT, store="r3", **proxied.storage_options())
    assert proxy.log == []


@pytest.mark.parametrize(
    ("store", "sizes"), [("generic", [5, 5, 8, 5]), ("r2", [5, 5, 5, 5, 3])], ids=["generic", "r2"]
)
def test_parts_are_cut_as_the_store_wants_them(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    store: str,
    sizes: list[int],
) -> None:
    # Of ten parts the third would be larger.
    write(f"s3://{bucket}/{key}", DATA, store=store, max_parts=10, **proxied.storage_options())
    sent = {x.part_number: x.size // MiB for x in proxy.of("UploadPart")}
    assert [sent[number] for number in sorted(sent, key=int)] == sizes  # type: ignore[arg-type]  # every part has a number
    assert content(seaweedfs, bucket, key) == DATA


def test_a_local_file_too_long_for_the_usual_equal_parts_has_larger_ones(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    local.write_bytes(DATA)
    options = {"store": "r2", "max_parts": 3, **proxied.storage_options()}
    s3stream.upload_file(local, f"s3://{bucket}/{key}", **options)
    sent = {x.part_number: x.size // MiB for x in proxy.of("UploadPart")}
    assert sent == {1: 9, 2: 9, 3: 5}
    assert content(seaweedfs, bucket, key) == DATA


def test_a_thousand_parts_are_the_most_by_hand(seaweedfs: Server, bucket: str, key: str) -> None:
    options = {"store": "scaleway", **seaweedfs.storage_options()}
    upload = s3stream.MultipartUpload.create(f"s3://{bucket}/{key}", **options)
    with pytest.raises(UsageError, match="part number 1001: expected 1 to 1,000"):
        upload.upload_part(1001, b"x")
    upload.abort()


def test_a_client_is_as_it_is_and_the_options_count(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    client = proxied.client()
    before = client.meta.region_name
    write(f"s3://{bucket}/{key}", DATA, client=client, store="gcs")
    write(f"s3://{bucket}/{key}-2", DATA, client=client, store="r2", max_parts=10)
    assert client.meta.region_name == before
    with s3stream.open(f"s3://{bucket}/{key}-3", client=client) as file:
        file.write(DATA)
    sizes = [x.size for x in proxy.of("UploadPart") if x.path.endswith("-2")]
    assert sorted(sizes)[1:] == [5 * MiB] * 4
    assert ", store generic>" in repr(file)  # not what another one was told
    assert content(seaweedfs, bucket, f"{key}-2") == DATA


def test_repr_and_log_say_which(
    seaweedfs: Server, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    file = s3stream.open(f"s3://{bucket}/{key}", store="r2", **seaweedfs.storage_options())
    assert ", store r2>" in repr(file)
    file.discard()
    said = [record.getMessage() for record in caplog.records if record.name == "s3stream"]
    assert any(f"s3://{bucket}/{key} at r2: discarded" in line for line in said)


def test_what_is_appended_to_must_not_be_copied_where_parts_are_equal(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    options = {"store": "r2", **seaweedfs.storage_options()}
    for small in (b"", b"before, "):
        seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=small)
        with s3stream.open(f"s3://{bucket}/{key}", "ab", **options) as file:
            file.write(DATA)
        assert content(seaweedfs, bucket, key) == small + DATA
    with pytest.raises(UsageError, match=r"'r2' wants equal parts, .* of 24,117,256 bytes"):
        s3stream.open(f"s3://{bucket}/{key}", "ab", **options)
    assert content(seaweedfs, bucket, key) == small + DATA
    assert_nothing(seaweedfs, bucket, f"{key}-none")
    assert exists(seaweedfs, bucket, key)


def test_unfinished_uploads_are_looked_for_with_the_same_options(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    options = {"store": "r2", **seaweedfs.storage_options()}
    assert list(s3stream.list_uploads(bucket, key, **options)) == []


# -- and what the README says of them


def test_the_readme_has_a_row_for_each() -> None:
    table = README.split("## Stores")[1].split("\n## ")[0].split("|--")[-1]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", table, re.MULTILINE))
    assert set(rows) == {profile.name for profile in PROFILES}
    for profile in PROFILES:
        says = rows[profile.name]
        for name, value in profile.writing.items():
            assert f"`{name}={value!r}`" in says
        assert (f"region `{profile.region}`" in says) == (profile.region is not None)
