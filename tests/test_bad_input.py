"""What cannot be is refused in plain words: before any request where that can be known.

Errors carry bucket and key, and name what would be right.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import fsspec
import pytest

import s3stream
from s3stream.options import MAX_PART_SIZE, MiB
from tests.looking import assert_nothing, content

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server

PART = 5 * MiB


@pytest.fixture
def options(proxied: Server) -> dict[str, Any]:
    """Storage options for a store that counts what reaches it."""
    return proxied.storage_options()


@pytest.fixture
def uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


# --- before any request: the URI -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["wb", "xb", "rb", "w", "r"])
@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s3://only-a-bucket", r"'s3://only-a-bucket' names a bucket and no key"),
        ("s3://only-a-bucket/", r"expected s3://only-a-bucket/key"),
        ("s3:///no-bucket", None),
        ("s3://", r"names no bucket"),
        ("gs://bucket/key", r"the scheme is 'gs', expected s3://bucket/key"),
        ("file:///tmp/x", r"the scheme is 'file'"),
        ("bucket/key", r"expected a URI such as s3://bucket/key"),
        ("", r"expected a URI such as s3://bucket/key"),
        (b"s3://bucket/key", r"expected a string such as 's3://bucket/key'"),
        (None, r"expected a string"),
        (7, r"expected a string"),
    ],
)
def test_a_uri_that_names_no_object_is_refused(
    uri: Any, says: str | None, mode: str, options: dict[str, Any], proxy: Proxy
) -> None:
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, mode, **options)
    assert proxy.count() == 0


@pytest.mark.parametrize("path", ["only-a-bucket", "s3stream://only-a-bucket/", "", "gs://b/key"])
def test_a_path_that_names_no_object_is_refused_by_the_file_system(
    path: str, options: dict[str, Any], proxy: Proxy
) -> None:
    fs = fsspec.filesystem("s3stream", **options)
    with pytest.raises(s3stream.UsageError):
        fs.open(path, "wb")
    assert proxy.count() == 0


@pytest.mark.parametrize("mode", ["wb", "xb", "w"])
def test_a_key_ending_in_a_slash_is_refused_rather_than_written_elsewhere(
    mode: str, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=r"ends in '/'"):
        s3stream.open(f"{uri}/", mode, **options)
    fs = fsspec.filesystem("s3stream", **options)
    with pytest.raises(s3stream.UsageError, match=r"ends in '/'"):
        fs.open(f"{uri}/", mode)
    assert proxy.count() == 0


# --- before any request: options -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"part_size": 5 * MiB - 1}, r"part_size=5,242,879: expected 5,242,880 to 5,368,709,120"),
        ({"part_size": MAX_PART_SIZE + 1}, r"part_size=5,368,709,121: expected"),
        ({"part_size": 0}, r"part_size=0"),
        ({"part_size": -1}, r"part_size=-1"),
        ({"part_size": 8.5e6}, r"part_size=8500000\.0: expected a whole number"),
        ({"part_size": "8MiB"}, r"part_size='8MiB': expected a whole number"),
        ({"part_size": True}, r"part_size=True"),
        ({"min_part_size": 0}, r"min_part_size=0"),
        ({"max_parts": 0}, r"max_parts=0: expected 1 to 10,000"),
        ({"max_parts": 10_001}, r"max_parts=10,001: expected 1 to 10,000"),
        ({"max_concurrency": 0}, r"max_concurrency=0"),
        (
            {"reserve": 9 * MiB},
            r"reserve=9,437,184: expected 0 to 5,242,880 \(part_size, and 5 GiB",
        ),
        ({"memory": 1}, r"memory=1: expected 15,728,640 to .* \(three part_size and 1 TiB\)"),
        ({"size_hint": -1}, r"size_hint=-1"),
        (
            {"size_hint": 11 * MiB, "part_size": PART, "max_parts": 2, "equal_parts": True},
            r"size_hint=11,534,336 bytes cannot fit: 2 parts of 5,242,880 bytes are 10,485,760",
        ),
        ({"checksum": "md5"}, r"checksum='md5': expected one of 'crc64nvme', 'crc32c', 'crc32'"),
        ({"publish": "never"}, r"publish='never': expected one of 'close', 'commit'"),
        ({"if_none_match": "etag"}, r"if_none_match='etag': expected one of None, '\*'"),
        ({"if_match": "e", "if_none_match": "*"}, r"exclude each other"),
        ({"spool": 5}, r"spool=5: expected True, False or the path of a folder"),
        ({"s3_additional_kwargs": 5}, r"s3_additional_kwargs=5: expected a mapping"),
        ({"s3_additional_kwargs": "AES256"}, r"s3_additional_kwargs='AES256': expected a mapping"),
    ],
    ids=str,
)
def test_an_option_outside_its_limits_is_refused_by_name_and_value(
    wrong: dict[str, Any], says: str, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, "wb", **wrong, **options)
    with pytest.raises(ValueError, match=says):  # a UsageError is one
        fsspec.filesystem("s3stream", **options).open(uri, "wb", **wrong)
    assert proxy.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [{"part_size": 1}, {"checksum": "md5"}, {"s3_additional_kwargs": "AES256"}],
    ids=str,
)
def test_a_file_system_refuses_wrong_defaults_when_it_is_made(
    wrong: dict[str, Any], options: dict[str, Any], proxy: Proxy
) -> None:
    with pytest.raises(s3stream.UsageError, match=next(iter(wrong))):
        fsspec.filesystem("s3stream", **wrong, **options)
    assert proxy.count() == 0


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("part_sise", "part_size"),
        ("partsize", "part_size"),
        ("max_concurency", "max_concurrency"),
        ("check_sum", "checksum"),
        ("endpoint", "endpoint_url"),
        ("secrets", "secret"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_right_name(
    name: str, near: str, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    says = rf"'{name}'.*did you mean {near}\?"
    wrong: dict[str, Any] = {name: 1}
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, "wb", **wrong, **options)
    with pytest.raises(s3stream.UsageError, match=says):
        fsspec.filesystem("s3stream", **wrong, **options)
    assert proxy.count() == 0


def test_an_unknown_option_for_reading_is_refused(
    options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=r"'cache_tipe'.*did you mean cache_type\?"):
        s3stream.open(uri, "rb", cache_tipe="all", **options)
    assert proxy.count() == 0


# --- before any request: modes and layers --------------------------------------------------------


@pytest.mark.parametrize(
    "mode",
    [
        "rw",
        "r+b",
        "w+",
        "a+b",
        "wb++",
        "+",
        "wbt",
        "z",
        "",
        "b",
        "t",
        "wx",
        "ww",
        "wbb",
        "U",
        "wz",
        "w b",
    ],
)
def test_a_mode_that_is_none_is_refused(
    mode: str, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=r"mode="):
        s3stream.open(uri, mode, **options)
    with pytest.raises(s3stream.UsageError, match=r"mode="):
        fsspec.filesystem("s3stream", **options).open(uri, mode)
    assert proxy.count() == 0


@pytest.mark.parametrize("mode", [None, 2, ["w"]])
def test_a_mode_that_is_no_string_is_refused(
    mode: Any, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises((TypeError, s3stream.UsageError)):
        s3stream.open(uri, mode, **options)
    assert proxy.count() == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mode": "wb", "encoding": "utf-8"}, r"encoding='utf-8': a binary mode takes none"),
        ({"mode": "rb", "encoding": "utf-8"}, r"encoding='utf-8': a binary mode takes none"),
        ({"mode": "wb", "errors": "replace"}, r"errors='replace': a binary mode takes none"),
        ({"mode": "wb", "newline": ""}, r"newline='': a binary mode takes none"),
        ({"mode": "w", "newline": "x"}, r"newline='x': expected None"),
        ({"mode": "w", "buffering": 0}, r"buffering=0: text cannot be unbuffered"),
        ({"mode": "wb", "buffering": -2}, r"buffering=-2: expected -1, 0, 1 or a size"),
        ({"mode": "wb", "compression": "zipp"}, r"compression='zipp': expected 'infer' or one of"),
        ({"mode": "rb", "compression": "zipp"}, r"compression='zipp'.*gzip"),
    ],
    ids=str,
)
def test_layers_that_do_not_fit_each_other_are_refused(
    arguments: dict[str, Any], says: str, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=says):
        s3stream.open(uri, **arguments, **options)
    assert proxy.count() == 0


def test_a_compression_whose_package_is_missing_is_told_with_its_name() -> None:
    program = """if True:
        import sys
        sys.modules |= dict.fromkeys(("lz4", "zstandard", "compression", "snappy"))  # none of them
        import s3stream
        for asked in ("lz4", "zstd", "snappy"):
            try:
                s3stream.open("s3://bucket/key", compression=asked, key="a", secret="b")
            except s3stream.UsageError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"compression={asked!r}: it needs the package {package}, which is not installed"
        for asked, package in (("lz4", "lz4"), ("zstd", "zstandard"), ("snappy", "python-snappy"))
    ]


def test_an_unknown_encoding_is_refused_and_nothing_is_left_behind(
    options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match="encoding='utf-7b'"):
        s3stream.open(uri, "w", encoding="utf-7b", **options)
    assert proxy.count() == 0


@pytest.mark.parametrize("buffering", [0, -1])
def test_text_to_a_binary_file_is_refused_and_the_file_goes_on(
    buffering: int,
    options: dict[str, Any],
    proxy: Proxy,
    seaweedfs: Server,
    bucket: str,
    key: str,
) -> None:
    wrong: Any = "text"
    with s3stream.open(f"s3://{bucket}/{key}", "wb", buffering, **options) as file:
        file.write(b"before, ")
        with pytest.raises(TypeError, match=r"bytes-like object|takes bytes"):
            file.write(wrong)
        assert proxy.count() == 0
        assert file.tell() == len(b"before, ")
        file.write(b"after")
    assert content(seaweedfs, bucket, key) == b"before, after"


@pytest.mark.parametrize("buffering", [0, -1])
def test_text_to_a_binary_file_is_refused_and_the_file_can_be_discarded(
    buffering: int, options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    wrong: Any = "text"
    file: Any = s3stream.open(uri, "wb", buffering, **options)
    with pytest.raises(TypeError):
        file.write(wrong)
    file.discard()
    assert file.closed
    assert proxy.count() == 0


def test_bytes_to_a_text_file_are_refused(options: dict[str, Any], proxy: Proxy, uri: str) -> None:
    wrong: Any = b"bytes"
    file: Any = s3stream.open(uri, "w", **options)
    with pytest.raises(TypeError):
        file.write(wrong)
    file.discard()
    assert proxy.count() == 0


# --- before any request: credentials and connection ----------------------------------------------


@pytest.mark.parametrize("given", [{"key": "alone"}, {"secret": "alone"}], ids=str)
def test_half_of_a_key_pair_is_refused(given: dict[str, Any], proxy: Proxy, uri: str) -> None:
    with pytest.raises(s3stream.UsageError, match=r"key and secret go together"):
        s3stream.open(uri, "wb", endpoint_url=proxy.url, **given)
    assert proxy.count() == 0


def test_a_client_and_connection_options_exclude_each_other(
    proxied: Server, proxy: Proxy, uri: str
) -> None:
    client = proxied.client()
    with pytest.raises(s3stream.UsageError, match=r"client= brings .*: drop key, endpoint_url"):
        s3stream.open(uri, "wb", client=client, key="k", endpoint_url=proxy.url)
    with pytest.raises(s3stream.UsageError, match=r"client= brings .*: drop anon"):
        fsspec.filesystem("s3stream", client=client, anon=True)
    assert proxy.count() == 0


def test_missing_credentials_are_refused_with_the_ways_to_give_them(
    proxy: Proxy, uri: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))  # no ~/.aws, no ~/.boto
    with pytest.raises(PermissionError, match=r"no credentials: give key= and secret=") as raised:
        s3stream.open(uri, "wb", endpoint_url=proxy.url)
    assert isinstance(raised.value, s3stream.AccessDeniedError)
    with pytest.raises(PermissionError, match=r"AWS_ACCESS_KEY_ID.*anon=True"):
        fsspec.filesystem("s3stream", endpoint_url=proxy.url, client_kwargs={"region_name": "x"})
    assert proxy.count() == 0


def test_a_profile_that_is_not_there_is_refused_by_name(proxy: Proxy, uri: str) -> None:
    with pytest.raises(s3stream.UsageError, match="nobody-has-this-profile"):
        s3stream.open(uri, "wb", profile="nobody-has-this-profile", endpoint_url=proxy.url)
    assert proxy.count() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint_url": "no url"},
        {"client_kwargs": {"no_such_argument": 1}},
        {"config_kwargs": {"no_such_setting": 1}},
        {"client_kwargs": 5},
        {"config_kwargs": "retries"},
    ],
    ids=str,
)
def test_a_connection_that_botocore_does_not_take_is_a_usage_error(
    wrong: dict[str, Any], options: dict[str, Any], proxy: Proxy, uri: str
) -> None:
    with pytest.raises(s3stream.UsageError, match=r"cannot make an S3 client"):
        s3stream.open(uri, "wb", **{**options, **wrong})
    assert proxy.count() == 0


def test_a_client_that_is_none_of_s3_is_refused(uri: str) -> None:
    other = boto3.client("sts", region_name="us-east-1")
    resource = boto3.resource("s3", region_name="us-east-1")
    for client in (other, resource, "a string"):
        with pytest.raises(s3stream.UsageError, match=r"client=.*expected a boto3 S3 client"):
            s3stream.open(uri, "wb", client=client)
        with pytest.raises(s3stream.UsageError, match=r"client=.*expected a boto3 S3 client"):
            s3stream.S3Writer("bucket", "key", client=client)


# --- with requests -------------------------------------------------------------------------------


def test_a_missing_bucket_is_named_when_a_small_file_is_closed(store: Server, key: str) -> None:
    file = s3stream.open(f"s3://no-such-bucket-at-all/{key}", "wb", **store.storage_options())
    file.write(b"small")
    with pytest.raises(FileNotFoundError, match="no-such-bucket-at-all") as raised:
        file.close()
    assert isinstance(raised.value, s3stream.NotFoundError)
    assert (raised.value.bucket, raised.value.key) == ("no-such-bucket-at-all", key)
    assert f"s3://no-such-bucket-at-all/{key}" in str(raised.value)
    assert raised.value.__cause__ is not None
    assert file.closed


def test_a_missing_bucket_is_named_at_the_write_that_cuts_the_first_part(
    store: Server, key: str
) -> None:
    file: Any = s3stream.open(
        f"s3://no-such-bucket-at-all/{key}", "wb", part_size=PART, **store.storage_options()
    )
    with pytest.raises(FileNotFoundError, match="no-such-bucket-at-all") as raised:
        file.write(bytes(2 * PART + 1))
    assert isinstance(raised.value, s3stream.NotFoundError)
    assert (raised.value.bucket, raised.value.key) == ("no-such-bucket-at-all", key)
    with pytest.raises(FileNotFoundError, match="no-such-bucket-at-all"):
        file.write(bytes(PART))  # the first error stays
    with pytest.raises(FileNotFoundError, match="no-such-bucket-at-all"):
        file.close()
    assert file.closed


def test_a_missing_object_is_named_when_it_is_read(store: Server, bucket: str, key: str) -> None:
    with pytest.raises(FileNotFoundError, match=key) as raised:
        s3stream.open(f"s3://{bucket}/{key}", "rb", **store.storage_options())
    assert isinstance(raised.value, s3stream.NotFoundError)
    assert (raised.value.bucket, raised.value.key) == (bucket, key)


@pytest.mark.parametrize("size", [5, 2 * PART + 1], ids=["one-part", "many-parts"])
def test_a_wrong_secret_is_a_permission_error_and_is_not_tried_again(
    size: int, options: dict[str, Any], proxy: Proxy, seaweedfs: Server, bucket: str, key: str
) -> None:
    wrong = {**options, "secret": "not-the-secret", "part_size": PART}
    with (
        pytest.raises(PermissionError, match="SignatureDoesNotMatch") as raised,
        s3stream.open(f"s3://{bucket}/{key}", "wb", **wrong) as file,
    ):
        file.write(bytes(size))
    assert isinstance(raised.value, s3stream.AccessDeniedError)
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    assert proxy.count() == 1
    assert_nothing(seaweedfs, bucket, key)


def test_an_upload_that_cannot_fit_is_refused_at_the_write_where_it_is_certain(
    store: Server, bucket: str, key: str
) -> None:
    options = {"part_size": PART, "max_parts": 2, "equal_parts": True, **store.storage_options()}
    taken = 0
    with (  # noqa: PT012 - the write that raises is the point
        pytest.raises(s3stream.TooLargeError, match=r"10,485,760") as raised,
        s3stream.open(f"s3://{bucket}/{key}", "wb", buffering=0, **options) as file,
    ):
        for piece in (bytes(2 * PART), b"!", b"more"):
            taken += file.write(piece)
    assert taken == 2 * PART
    assert (raised.value.bucket, raised.value.key) == (bucket, key)
    assert "2 parts" in str(raised.value)
    assert_nothing(store, bucket, key)


def test_what_fits_the_part_limit_exactly_is_published(
    store: Server, bucket: str, key: str
) -> None:
    options = {"part_size": PART, "max_parts": 2, "equal_parts": True, **store.storage_options()}
    with s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file:
        file.write(bytes(2 * PART))
    assert store.client().head_object(Bucket=bucket, Key=key)["ContentLength"] == 2 * PART
