"""Options and URIs say what is wrong before anything is sent; errors say where."""

from __future__ import annotations

import dataclasses
import pickle
import traceback
from typing import Any

import pytest

import s3stream
from s3stream import S3StreamError, UsageError, WriteOptions
from s3stream.errors import attach
from s3stream.options import GiB, MiB
from s3stream.uri import split_path, split_uri

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"part_size": 5 * MiB - 1}, r"part_size=5,242,879: expected 5,242,880 to 5,368,709,120"),
    ({"part_size": 5 * GiB + 1}, r"part_size=5,368,709,121"),
    ({"part_size": 8.0}, r"part_size=8.0: expected a whole number"),
    ({"part_size": True}, r"part_size=True"),
    ({"part_size": "8MiB"}, r"part_size='8MiB'"),
    ({"min_part_size": 0}, r"min_part_size=0"),
    ({"min_part_size": 16 * MiB}, r"part_size=8,388,608: expected 16,777,216 to"),
    ({"max_parts": 0}, r"max_parts=0: expected 1 to 10,000"),
    ({"max_parts": 10_001}, r"max_parts=10,001"),
    ({"reserve": -1}, r"reserve=-1"),
    ({"reserve": 9 * MiB}, r"reserve=9,437,184: expected 0 to 8,388,608 \(0 and part_size\)"),
    ({"max_concurrency": 0}, r"max_concurrency=0: expected 1 to 1,000"),
    ({"memory": 24 * MiB - 1}, r"memory=25,165,823: expected 25,165,824 .*three part_size"),
    ({"size_hint": -1}, r"size_hint=-1"),
    ({"size_hint": 10_000 * 5 * GiB + 1}, r"size_hint=53,687,091,200,001"),
    ({"checksum": "md5"}, r"checksum='md5': expected one of 'crc64nvme', 'crc32c', 'crc32', None"),
    ({"publish": "never"}, r"publish='never': expected one of 'close', 'commit'"),
    ({"if_none_match": "etag"}, r"if_none_match='etag': expected one of None, '\*'"),
    ({"if_match": "a", "if_none_match": "*"}, r"exclude each other"),
    ({"equal_parts": "yes"}, r"equal_parts='yes'"),
    ({"spool": 3}, r"spool=3: expected True, False or the path"),
    ({"s3_additional_kwargs": ["a"]}, r"s3_additional_kwargs=\['a'\]: expected a mapping"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_option_is_named_with_its_value_and_what_would_be_right(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        WriteOptions(**given)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    "given",
    [
        {"part_size": 5 * MiB},
        {"part_size": 5 * GiB},
        {"part_size": 1, "min_part_size": 1},
        {"reserve": 8 * MiB},
        {"memory": 24 * MiB},
        {"size_hint": 10_000 * 5 * GiB},
        {"checksum": None},
        {"spool": "/var/tmp"},
    ],
    ids=str,
)
def test_the_extremes_are_taken(given: dict[str, Any]) -> None:
    options = WriteOptions(**given)
    assert {name: getattr(options, name) for name in given} == given


def test_options_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        WriteOptions().part_size = 1  # type: ignore[misc]


def test_memory_is_three_parts_where_parts_are_large() -> None:
    assert WriteOptions().memory_limit == 128 * MiB
    assert WriteOptions(part_size=100 * MiB).memory_limit == 300 * MiB
    assert WriteOptions(memory=64 * MiB).memory_limit == 64 * MiB


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("s3://b/k", "b", "k"),
        ("s3stream://b/a/b c?#%", "b", "a/b c?#%"),
        ("b/k", "b", "k"),
        ("/b/k", "b", "k"),
        ("b", "b", ""),
        ("", "", ""),
        ("s3://b/a//b/", "b", "a//b/"),
    ],
)
def test_a_path_is_bucket_and_key(path: str, bucket: str, key: str) -> None:
    assert split_path(path) == (bucket, key)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("gs://b/k", "the scheme is 'gs', expected s3://bucket/key"),
        ("s3://", "names no bucket"),
        ("s3:///k", "names a bucket and no key"),
        ("s3://b", "no key, expected s3://b/key"),
        ("s3://b/", "no key, expected s3://b/key"),
        ("b/k", "expected a URI"),
        (3, "3: expected a string"),
    ],
)
def test_a_uri_that_names_no_object_is_refused(uri: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        split_uri(uri)


ERRORS = [
    error
    for error in vars(s3stream).values()
    if isinstance(error, type) and issubclass(error, S3StreamError)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_says_where_and_survives_pickling(kind: type[S3StreamError]) -> None:
    error = kind("it broke", bucket="b", key="k", upload_id="u", part_number=3)
    for same in (error, pickle.loads(pickle.dumps(error))):
        assert type(same) is kind
        assert str(same) == "it broke (s3://b/k, part 3, upload u)"
        assert (same.bucket, same.key, same.upload_id, same.part_number) == ("b", "k", "u", 3)
        assert same.errno
    assert str(kind("it broke")) == "it broke"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (s3stream.NotFoundError, FileNotFoundError),
        (s3stream.AccessDeniedError, PermissionError),
        (s3stream.AlreadyExistsError, FileExistsError),
        (s3stream.TimedOutError, TimeoutError),
        (s3stream.UsageError, ValueError),
    ],
)
def test_python_has_a_word_for_it(kind: type[S3StreamError], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)
    assert issubclass(kind, OSError)


def test_a_failed_clean_up_is_noted_on_the_error() -> None:
    error = ValueError("the cause")
    attach(error, OSError("no abort"))
    attach(error, OSError("nor later"))
    notes: list[str] = getattr(error, "__notes__", [])
    assert notes == [
        "and the clean-up failed: OSError: no abort",
        "and the clean-up failed: OSError: nor later",
    ]
    if hasattr(error, "add_note"):  # from Python 3.11 on a traceback shows them
        assert "no abort" in "".join(traceback.format_exception(error))
