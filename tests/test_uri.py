"""URIs apart: bucket and key as the user wrote them, or a refusal that shows the URI."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s3stream.errors import UsageError
from s3stream.uri import split_path, split_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/key", ("bucket", "key")),
        ("s3stream://bucket/key", ("bucket", "key")),
        ("s3://bucket/a/b/c.txt", ("bucket", "a/b/c.txt")),
        ("s3://bucket//leading/slash", ("bucket", "/leading/slash")),
        ("s3://bucket/a//b/", ("bucket", "a//b/")),
        ("s3://bucket/with space?and#marks%20&ü", ("bucket", "with space?and#marks%20&ü")),
        ("s3://bucket/http://elsewhere/x", ("bucket", "http://elsewhere/x")),
        ("s3://my.bucket-1/./../k", ("my.bucket-1", "./../k")),
        ("s3://arnold/k", ("arnold", "k")),
    ],
)
def test_a_uri_is_bucket_and_key_letter_by_letter(uri: str, expected: tuple[str, str]) -> None:
    assert split_uri(uri) == expected


@given(
    scheme=st.sampled_from(["s3", "s3stream"]),
    bucket=st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True),
    key=st.text(min_size=1),
)
def test_no_key_is_changed(scheme: str, bucket: str, key: str) -> None:
    assert split_uri(f"{scheme}://{bucket}/{key}") == (bucket, key)


ARNS = [
    "arn:aws:s3:eu-west-1:123456789012:accesspoint/name",
    "arn:aws:s3:eu-west-1:123456789012:accesspoint:name",
    "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint/name",
    "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/my-olap",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/name",
    "arn:aws:s3-outposts:us-west-2:123456789012:outpost:op-01ac5d28a6a232904:accesspoint:name",
]


@pytest.mark.parametrize("arn", ARNS)
@given(key=st.text(min_size=1))
@example("two\nlines/in it")
def test_the_arn_of_an_access_point_stands_for_a_bucket(arn: str, key: str) -> None:
    assert split_uri(f"s3://{arn}/{key}") == (arn, key)
    assert split_path(f"{arn}/{key}") == (arn, key)
    assert split_path(f"/{arn}/") == split_path(arn) == (arn, "")


@pytest.mark.parametrize(
    "wrong",
    [
        "arn:aws:s3:::bucket/key",
        "arn:aws:s3:eu-west-1:123456789012:bucket/name/key",
        "arn:aws:sqs:eu-west-1:123456789012:accesspoint/name/key",
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/name/key",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/",
    ],
)
def test_an_arn_of_something_else_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match=r"the ARN of no access point, expected s3://arn:aws:s3:"):
        split_uri(f"s3://{wrong}")


def test_an_access_point_without_a_key_is_refused() -> None:
    with pytest.raises(UsageError, match=f"no key, expected s3://{ARNS[0]}/key"):
        split_uri(f"s3://{ARNS[0]}")


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("bucket/key", "expected a URI such as s3://bucket/key"),
        ("", "expected a URI such as s3://bucket/key"),
        ("s3:/bucket/key", "expected a URI such as s3://bucket/key"),
        ("gs://bucket/key", "the scheme is 'gs'"),
        ("s3a://bucket/key", "the scheme is 's3a'"),
        ("://bucket/key", "the scheme is ''"),
        ("s3://", "names no bucket"),
        ("s3:///", "names no bucket"),
        ("s3://bucket", "names a bucket and no key, expected s3://bucket/key"),
        ("s3://bucket/", "names a bucket and no key, expected s3://bucket/key"),
        ("s3://bucket/\udcff", "not UTF-8, which S3's names are: choose another"),
    ],
)
def test_what_names_no_object_is_refused_and_shown(uri: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_uri(uri)
    assert says in str(caught.value)
    assert repr(uri) in str(caught.value)


def test_an_empty_bucket_is_not_made_up_from_the_key() -> None:
    # f"s3://{bucket}/2024/flights.csv" with an empty variable must not write to a bucket "2024".
    with pytest.raises(UsageError, match="names no bucket"):
        split_uri("s3:///2024/flights.csv")


@pytest.mark.parametrize("wrong", [b"s3://bucket/key", None, 7])
def test_what_is_no_string_is_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="expected a string"):
        split_uri(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("bucket/key", ("bucket", "key")),
        ("/bucket/key", ("bucket", "key")),
        ("/X-Files/X/key", ("X-Files", "X/key")),
        ("bucket", ("bucket", "")),
        ("bucket/", ("bucket", "")),
        ("", ("", "")),
        ("s3://bucket/key", ("bucket", "key")),
        ("s3stream://bucket", ("bucket", "")),
    ],
)
def test_a_path_of_the_file_system_may_lack_scheme_and_key(
    path: str, expected: tuple[str, str]
) -> None:
    assert split_path(path) == expected


def test_a_path_of_another_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="'gs://bucket/key': the scheme is 'gs'"):
        split_path("gs://bucket/key")


@pytest.mark.parametrize("key", ["http://elsewhere/x", "a/b://c"])
def test_a_path_that_was_split_and_joined_splits_again(key: str) -> None:
    # fsspec takes the protocol off and hands the rest in again.
    assert split_path("/".join(split_path(f"s3://bucket/{key}"))) == ("bucket", key)
