"""Options: what cannot be is refused when they are made, by name and value; the extremes can be."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from s3stream import UsageError, WriteOptions
from s3stream.options import (
    MAX_PART_SIZE,
    MAX_PARTS,
    MAX_PUT_SIZE,
    OPTION_NAMES,
    GiB,
    KiB,
    MiB,
    TiB,
)

WRONG: dict[str, list[Any]] = {
    "part_size": [0, -1, 5 * MiB - 1, 5 * GiB + 1, 8.0 * MiB, "8MiB", True, None],
    "min_part_size": [0, -1, 5 * GiB + 1, 5.0, "5MiB", True, None],
    "max_parts": [0, -1, 10_001, 1e4, "all", True, None],
    "equal_parts": ["yes", 2, None],
    "reserve": [-1, 5 * MiB + 1, 0.5, "5MiB", True, None],
    "size_hint": [-1, 10_000 * 5 * GiB + 1, 1e9, "1GiB", True],
    "max_concurrency": [0, -1, 1_001, 2.0, "many", True, None],
    "memory": [0, -1, 3 * 5 * MiB - 1, 1 * TiB + 1, 1e9, "1GiB", True],
    "spool": [None, 0, 1.5, b"/tmp", ["/tmp"]],
    "checksum": ["md5", "CRC32", "", 32, True],
    "publish": ["never", "", None, True],
    "if_match": [7, b'"etag"', True],
    "if_none_match": ['"etag"', "", True],
    "beside": ["", None, 7, b".s3stream"],
    "lease": [0, -1, "60", True, None],
    "s3_additional_kwargs": ["ACL=private", [("ACL", "private")], None, 7],
}

EXTREMES: list[dict[str, Any]] = [
    {},
    {"part_size": 5 * MiB},
    {"part_size": 5 * GiB},
    {"part_size": 1, "min_part_size": 1, "memory": 3},
    {"part_size": 5 * GiB, "min_part_size": 5 * GiB},
    {"max_parts": 1},
    {"max_parts": 10_000},
    {"reserve": 0},
    {"reserve": 5 * MiB},
    {"size_hint": 0},
    {"size_hint": 10_000 * 5 * GiB},
    {"max_concurrency": 1},
    {"max_concurrency": 1_000},
    {"memory": 15 * MiB},
    {"memory": 1 * TiB},
    {"spool": False},
    {"spool": "/a/folder"},
    {"checksum": None},
    {"checksum": "crc64nvme"},
    {"checksum": "crc32c"},
    {"checksum": "crc32"},
    {"publish": "commit"},
    {"if_match": '"etag"'},
    {"if_none_match": "*"},
    {"equal_parts": True},
    {"s3_additional_kwargs": {"StorageClass": "STANDARD_IA"}},
]


def test_every_option_has_wrong_values_here() -> None:
    assert set(WRONG) == OPTION_NAMES


@pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(name, v, id=f"{name}={v!r}") for name, values in WRONG.items() for v in values],
)
def test_a_wrong_value_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        WriteOptions(**{name: value})
    number = isinstance(value, int) and not isinstance(value, bool)
    shown = {f"{name}={value!r}", f"{name}={value:,}" if number else ""}
    assert any(words in str(caught.value) for words in shown - {""})
    assert "expected" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("chosen", EXTREMES, ids=repr)
def test_the_extremes_are_taken_as_they_are(chosen: dict[str, Any]) -> None:
    options = WriteOptions(**chosen)
    assert {name: getattr(options, name) for name in chosen} == chosen


def test_the_limits_are_s3s_own() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    assert (KiB, MiB, GiB, TiB) == (1024, 1024**2, 1024**3, 1024**4)
    assert (MAX_PART_SIZE, MAX_PUT_SIZE, MAX_PARTS) == (5 * 1024**3, 5 * 1024**3, 10_000)


def test_who_chooses_nothing_gets_this() -> None:
    assert dataclasses.asdict(WriteOptions()) == {
        "part_size": 5 * MiB,
        "min_part_size": 5 * MiB,
        "max_parts": 10_000,
        "equal_parts": False,
        "reserve": 0,
        "size_hint": None,
        "max_concurrency": 24,
        "memory": None,
        "spool": True,
        "checksum": "crc64nvme",
        "publish": "close",
        "if_match": None,
        "if_none_match": None,
        "beside": ".s3stream",
        "lease": 60.0,
        "s3_additional_kwargs": {},
    }


def test_what_is_refused_says_what_would_be_right() -> None:
    with pytest.raises(UsageError, match=r"checksum='md5': expected one of 'crc64nvme', 'crc32c'"):
        WriteOptions(checksum="md5")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            {"part_size": 1_000},
            "part_size=1,000: expected 5,242,880 to 5,368,709,120 (min_part_size and 5 GiB)",
        ),
        (
            {"reserve": GiB},
            "reserve=1,073,741,824: expected 0 to 5,242,880"
            " (part_size, and 5 GiB for both together)",
        ),
        (
            {"memory": 100},
            "memory=100: expected 15,728,640 to 1,099,511,627,776 (three part_size and 1 TiB)",
        ),
        ({"max_parts": 0}, "max_parts=0: expected 1 to 10,000"),
    ],
    ids=repr,
)
def test_a_number_out_of_bounds_is_told_the_bounds_and_where_they_come_from(
    chosen: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        WriteOptions(**chosen)
    assert str(caught.value) == said


def test_bounds_follow_the_other_options() -> None:
    assert WriteOptions(part_size=MiB, min_part_size=MiB).part_size == MiB
    with pytest.raises(UsageError, match="part_size=5,242,880: expected 16,777,216 to"):
        WriteOptions(min_part_size=16 * MiB)
    with pytest.raises(UsageError, match="reserve"):
        WriteOptions(part_size=6 * MiB, reserve=6 * MiB + 1)
    with pytest.raises(UsageError, match="memory"):
        WriteOptions(part_size=GiB, memory=2 * GiB)
    with pytest.raises(UsageError, match="size_hint"):
        WriteOptions(max_parts=1_000, size_hint=1_000 * 5 * GiB + 1)


def test_two_conditions_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="if_match and if_none_match exclude each other"):
        WriteOptions(if_match='"etag"', if_none_match="*")


def test_an_unknown_or_positional_option_is_refused() -> None:
    with pytest.raises(TypeError, match="part_sise"):
        WriteOptions(part_sise=8 * MiB)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        WriteOptions(8 * MiB)  # type: ignore[call-arg]


def test_options_cannot_be_changed_but_made_anew_and_checked_again() -> None:
    options = WriteOptions()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.part_size = 1  # type: ignore[misc]
    assert dataclasses.replace(options, part_size=9 * MiB).part_size == 9 * MiB
    with pytest.raises(UsageError, match="part_size=1:"):
        dataclasses.replace(options, part_size=1)


def test_options_can_be_sent_to_another_process() -> None:
    options = WriteOptions(part_size=9 * MiB, s3_additional_kwargs={"ACL": "private"})
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("chosen", "limit"),
    [
        ({}, 128 * MiB),
        ({"part_size": 42 * MiB}, 128 * MiB),
        ({"part_size": 43 * MiB}, 129 * MiB),
        ({"part_size": GiB}, 3 * GiB),
        ({"memory": 24 * MiB}, 24 * MiB),
        ({"memory": GiB}, GiB),
    ],
    ids=repr,
)
def test_memory_is_128_mib_or_three_parts_unless_it_is_said(
    chosen: dict[str, Any], limit: int
) -> None:
    assert WriteOptions(**chosen).memory_limit == limit


@pytest.mark.parametrize("name", sorted(OPTION_NAMES))
def test_every_option_is_documented(name: str) -> None:
    assert f"`{name}`: " in str(WriteOptions.__doc__)


def test_a_customers_key_is_not_shown() -> None:
    options = WriteOptions(s3_additional_kwargs={"SSECustomerKey": "0123456789abcdef" * 2})
    assert "0123456789abcdef" not in repr(options)
