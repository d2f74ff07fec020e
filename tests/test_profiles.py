"""What is known of stores counts where nothing else was said, by endpoint or by name."""

from __future__ import annotations

import logging
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3stream
from s3stream import UsageError, WriteOptions
from s3stream.options import MAX_PART_SIZE, MAX_PARTS, GiB, MiB
from s3stream.plan import plan_parts
from s3stream.profiles import GENERIC, PROFILES, Profile, profile_at, profile_named, with_defaults
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


# -- the table


@pytest.mark.parametrize(
    ("endpoint_url", "name"),
    [
        ("https://s3.amazonaws.com", "aws"),
        ("https://s3.eu-west-1.amazonaws.com", "aws"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "aws"),
        (R2, "r2"),
        ("https://0123456789abcdef.eu.r2.cloudflarestorage.com", "r2"),
        ("https://storage.googleapis.com", "gcs"),
        ("https://STORAGE.googleapis.com:443/", "gcs"),
        ("https://s3.fr-par.scw.cloud", "scaleway"),
        ("http://s3.localhost.localstack.cloud:4566", "localstack"),
        ("http://localhost.localstack.cloud:4566", "localstack"),
        ("https://play.min.io:9000", "minio"),
        ("http://127.0.0.1:9000", "generic"),
        ("http://minio:9000", "generic"),
        ("https://my-amazonaws.com", "generic"),
        ("https://storage.googleapis.com.example.org", "generic"),
        ("https://r2.cloudflarestorage.com", "generic"),  # of no account
        ("", "generic"),
    ],
)
def test_a_store_is_found_by_its_endpoint(endpoint_url: str, name: str) -> None:
    assert profile_at(endpoint_url).name == name


def test_every_store_has_a_name_and_options_that_can_be() -> None:
    names = [profile.name for profile in (GENERIC, *PROFILES)]
    assert sorted(set(names)) == sorted(names)
    for profile in (GENERIC, *PROFILES):
        assert profile_named(profile.name) is profile
        WriteOptions(**with_defaults(profile, {}))
    assert with_defaults(GENERIC, {}) == {}


def test_what_their_documentation_says_is_in_the_table() -> None:
    chosen = {p.name: WriteOptions(**with_defaults(p, {})) for p in PROFILES}
    assert {name for name, options in chosen.items() if options.equal_parts} == {"r2"}
    assert {name for name, options in chosen.items() if options.checksum is None} == {"gcs"}
    assert {n: o.max_parts for n, o in chosen.items() if o.max_parts != MAX_PARTS} == {
        "scaleway": 1_000
    }
    assert {p.name: p.region for p in PROFILES if p.region} == {"r2": "auto"}


@pytest.mark.parametrize(
    ("wrong", "meant"), [("R2", "'r2'"), ("sealeway", "'scaleway'"), ("seaweed", "'seaweedfs'")]
)
def test_a_wrong_name_is_told_the_nearest_right_one(wrong: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"store='{wrong}': .* did you mean {meant}"):
        profile_named(wrong)


@pytest.mark.parametrize("wrong", ["", "zzzz", 7, None, b"r2", ["r2"]], ids=repr)
def test_a_name_that_is_none_is_told_what_there_is(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"expected one of 'generic', 'aws', .*'scaleway'$"):
        profile_named(wrong)


@given(
    profile=st.sampled_from(PROFILES),
    options=st.fixed_dictionaries(
        {},
        optional={
            "equal_parts": st.booleans(),
            "checksum": st.sampled_from(["crc32", None]),
            "max_parts": st.integers(10, 100),
            "part_size": st.integers(5 * MiB, 6 * MiB),
            "min_part_size": st.integers(1, 5 * MiB),
            "size_hint": st.integers(0, 100 * MiB),
        },
    ),
)
def test_what_the_user_says_wins(profile: Profile, options: dict[str, Any]) -> None:
    chosen = WriteOptions(**with_defaults(profile, options))
    assert {name: getattr(chosen, name) for name in options} == options


@given(hint=st.integers(0, MAX_PARTS * MAX_PART_SIZE), max_parts=st.integers(1, MAX_PARTS))
def test_equal_parts_are_as_large_as_what_is_expected_needs(hint: int, max_parts: int) -> None:
    hint = min(hint, max_parts * MAX_PART_SIZE)
    given_ = {"size_hint": hint, "max_parts": max_parts}
    options = WriteOptions(**with_defaults(profile_named("r2"), given_))
    plan = plan_parts(options)
    assert not plan.grows
    assert plan.capacity() >= min(hint * 10 // 9, max_parts * MAX_PART_SIZE)
    fewest = -(-hint * 10 // (max_parts * 9))
    assert options.part_size <= max(5 * MiB, fewest + MiB)
    assert options.part_size % MiB == 0


def test_where_equal_parts_are_the_users_own_they_stay() -> None:
    hint = {"size_hint": 400 * GiB}
    assert "part_size" not in with_defaults(GENERIC, {**hint, "equal_parts": True})
    r2 = profile_named("r2")
    assert "part_size" not in with_defaults(r2, {**hint, "equal_parts": False})
    assert with_defaults(r2, {**hint, "part_size": 8 * MiB})["part_size"] == 8 * MiB
    assert with_defaults(r2, hint)["part_size"] == 46 * MiB
    assert "part_size" not in with_defaults(r2, {"size_hint": 5 * MiB})


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
