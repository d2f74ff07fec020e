"""What objects had beside their bytes: through an archive and back; and what S3 could not take."""

from __future__ import annotations

import io
import logging
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3stream
from s3stream.archiving.describing import parameters_for
from tests.archives import connection
from tests.looking import bytes_of, content

if TYPE_CHECKING:
    from tests.servers import Server

MIB = 1 << 20
# Bytes, content type, metadata; the second is sent in parts.
OBJECTS: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "report.csv": (b"1,2\n", "text/plain; charset=utf-8", {"author": "me", "of-day": "2026-11-28"}),
    "large.bin": (bytes_of(6 * MIB), "application/x-large", {"checked": "yes, by me"}),
    "nothing.txt": (b"", "application/x-nothing", {}),
}


def described(server: Server, bucket: str, key: str) -> tuple[bytes, str, dict[str, str]]:
    """What a second client sees; some stores give names of metadata back with capitals."""
    head = server.client().head_object(Bucket=bucket, Key=key)
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    # rclone keeps the time in it, of each object its own.
    metadata.pop("mtime", None)
    return content(server, bucket, key), head["ContentType"], metadata


@pytest.mark.parametrize("format", ["zip", "tar", "tar.gz"])
def test_objects_come_back_with_their_content_types_and_metadata(
    store: Server, bucket: str, key: str, format: str
) -> None:
    for name, (data, content_type, metadata) in OBJECTS.items():
        store.client().put_object(
            Bucket=bucket,
            Key=f"{key}/in/{name}",
            Body=data,
            ContentType=content_type,
            Metadata=metadata,
        )
    archive = f"s3://{bucket}/{key}/a.{format}"
    options = connection(store)
    s3stream.archive(f"s3://{bucket}/{key}/in/", archive, **options)
    s3stream.extract(archive, f"s3://{bucket}/{key}/out/", **options)
    for name, whole in OBJECTS.items():
        assert described(store, bucket, f"{key}/in/{name}") == whole
        assert described(store, bucket, f"{key}/out/{name}") == whole


def test_what_is_given_for_all_objects_wins(seaweedfs: Server, bucket: str, key: str) -> None:
    client = seaweedfs.client()
    metadata = {"author": "me", "kept": "1"}
    client.put_object(
        Bucket=bucket, Key=f"{key}/in/a.csv", Body=b"1", ContentType="text/a", Metadata=metadata
    )
    client.put_object(Bucket=bucket, Key=f"{key}/in/b", Body=b"2", ContentType="text/b")
    archive = f"s3://{bucket}/{key}/a.zip"
    options = connection(seaweedfs)
    s3stream.archive(f"s3://{bucket}/{key}/in/", archive, **options)
    more: dict[str, Any] = {"ContentType": "text/x", "Metadata": {"Author": "you", "new": "2"}}
    for chosen in (more, {"s3_additional_kwargs": more}):
        out = f"s3://{bucket}/{key}/out"
        s3stream.extract(archive, out, dest_options={**options, **chosen}, **options)
        assert described(seaweedfs, bucket, f"{key}/out/a.csv") == (
            b"1",
            "text/x",
            {"author": "you", "new": "2", "kept": "1"},
        )
        assert described(seaweedfs, bucket, f"{key}/out/b") == (
            b"2",
            "text/x",
            {"author": "you", "new": "2"},
        )


def test_what_s3_cannot_take_is_left_out_and_told_and_the_object_is_there(
    seaweedfs: Server, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = seaweedfs.client()
    for name in ("a.txt", "b.txt"):
        client.put_object(
            Bucket=bucket, Key=f"{key}/in/{name}", Body=name.encode(), Metadata={"good": "1"}
        )
    options = connection(seaweedfs)
    s3stream.archive(f"s3://{bucket}/{key}/in/", f"s3://{bucket}/{key}/a.tar", **options)
    client.put_object(
        Bucket=bucket,
        Key=f"{key}/a.tar",
        Body=with_attributes(
            content(seaweedfs, bucket, f"{key}/a.tar"),
            {"content-type": "text/x\r\nx-amz-acl: public-read", "metadata.evil": "a\r\nb"},
        ),
    )
    with caplog.at_level(logging.WARNING, "s3stream"):
        s3stream.extract(f"s3://{bucket}/{key}/a.tar", f"s3://{bucket}/{key}/out", **options)
    at = f"s3://{bucket}/{key}/out"
    assert caplog.messages == [
        f"{at}/{name} is unpacked without {what}: S3 cannot keep that"
        for name in ("a.txt", "b.txt")
        for what in (
            r"the content type 'text/x\r\nx-amz-acl: public-read'",
            "the metadata 'evil'",
        )
    ]
    for name in ("a.txt", "b.txt"):
        # Of what is not said, the key tells.
        expected = (name.encode(), "text/plain", {"good": "1"})
        assert described(seaweedfs, bucket, f"{key}/out/{name}") == expected


def with_attributes(archive: bytes, attributes: dict[str, str]) -> bytes:
    """The tar, with other headers for its objects, as no archive of ours has them."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive)) as before,
        tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as after,
    ):
        for info in before:
            if not info.name.startswith(".s3stream-manifest"):
                told = {f"SCHILY.xattr.user.s3stream.{n}": v for n, v in attributes.items()}
                info.pax_headers = {**info.pax_headers, **told}
            after.addfile(info, before.extractfile(info))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content_type", "metadata", "parameters", "left_out"),
    [
        (None, None, {}, []),
        ("", {}, {}, []),
        ("text/html", {"a": ""}, {"ContentType": "text/html", "Metadata": {"a": ""}}, []),
        ("x" * 256, None, {}, [f"the content type {'x' * 255!r}"]),
        ("text/plain ", None, {}, ["the content type 'text/plain '"]),
        ("text/grün", None, {}, ["the content type 'text/grün'"]),
        (None, {"A": "Grüße"}, {"Metadata": {"a": "=?UTF-8?B?R3LDvMOfZQ==?="}}, []),
        (
            None,
            {"a": "=?UTF-8?B?R3LDvMOfZQ==?="},
            {"Metadata": {"a": "=?UTF-8?B?R3LDvMOfZQ==?="}},
            [],
        ),
        (None, {"a": " b "}, {"Metadata": {"a": "=?UTF-8?B?IGIg?="}}, []),
        (None, {"a": "\x00"}, {}, ["the metadata 'a'"]),
        (None, {"a": "\x85"}, {}, ["the metadata 'a'"]),
        (None, {"a": "\udcff"}, {}, ["the metadata 'a'"]),
        (None, {"a b": "1", "c": "2"}, {"Metadata": {"c": "2"}}, ["the metadata 'a b'"]),
        (None, {"a:": "1"}, {}, ["the metadata 'a:'"]),
        (None, {"": "1"}, {}, ["the metadata ''"]),
        (None, {"a": "1", "A": "2"}, {"Metadata": {"a": "1"}}, ["the metadata 'A'"]),
        (None, {"a": "b" * 2047}, {"Metadata": {"a": "b" * 2047}}, []),
        (None, {"a": "b" * 2048}, {}, ["2,049 bytes of metadata (S3 takes 2,048)"]),
    ],
)
def test_what_is_made_of_it(
    content_type: str | None,
    metadata: dict[str, str] | None,
    parameters: dict[str, Any],
    left_out: list[str],
) -> None:
    assert parameters_for(content_type, metadata, {}) == (parameters, left_out)


@given(st.none() | st.text(), st.dictionaries(st.text(), st.text()))
def test_nothing_but_what_a_header_can_hold_comes_through(
    content_type: str | None, metadata: dict[str, str]
) -> None:
    parameters, left_out = parameters_for(content_type, metadata, {})
    kept = parameters.get("Metadata", {})
    for text in [parameters.get("ContentType", "x"), *kept, *kept.values()]:
        assert text.isascii()
        assert text == "" or text.isprintable()
        assert text == text.strip()
    if not left_out:
        assert len(kept) == len(metadata)
