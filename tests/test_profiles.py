"""What is known of stores: the table, and what becomes of it where something was said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3stream import UsageError, WriteOptions
from s3stream.options import MAX_PART_SIZE, MAX_PARTS, GiB, MiB
from s3stream.plan import plan_parts
from s3stream.profiles import GENERIC, PROFILES, Profile, profile_at, profile_named, with_defaults

R2 = "https://0123456789abcdef.r2.cloudflarestorage.com"


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
    ("wrong", "meant"),
    [("R2", "'r2'"), ("r3", "'r2'"), ("sealeway", "'scaleway'"), ("seaweed", "'seaweedfs'")],
)
def test_a_wrong_name_is_told_the_nearest_right_one(wrong: str, meant: str) -> None:
    with pytest.raises(UsageError, match=rf"^store='{wrong}': .*', did you mean {meant}\?$"):
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_parts": 0},
        {"max_parts": 10_001},
        {"max_parts": "all"},
        {"size_hint": "400GiB"},
        {"size_hint": None, "max_parts": -1},
        {"equal_parts": "yes"},
    ],
    ids=str,
)
def test_what_cannot_be_is_left_to_who_refuses_it_by_name(wrong: dict[str, Any]) -> None:
    given_ = {"size_hint": 400 * GiB, **wrong}
    assert with_defaults(profile_named("r2"), given_) == {"equal_parts": True, **given_}
    with pytest.raises(UsageError, match=next(reversed(wrong))):
        WriteOptions(**given_)


def test_larger_equal_parts_are_as_few_bytes_larger_as_can_be() -> None:
    r2 = profile_named("r2")
    # A tenth more than 9,000 parts of 5 MiB fits into 10,000.
    assert "part_size" not in with_defaults(r2, {"size_hint": 45_000 * MiB})
    assert with_defaults(r2, {"size_hint": 45_000 * MiB + 1})["part_size"] == 6 * MiB
    assert with_defaults(r2, {"size_hint": 54_000 * MiB})["part_size"] == 6 * MiB
    assert with_defaults(r2, {"size_hint": 54_000 * MiB + 1})["part_size"] == 7 * MiB
    assert with_defaults(r2, {"size_hint": 9 * MiB, "max_parts": 1})["part_size"] == 10 * MiB
    assert with_defaults(r2, {"size_hint": 5 * GiB, "max_parts": 1})["part_size"] == MAX_PART_SIZE
