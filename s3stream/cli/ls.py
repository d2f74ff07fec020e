"""`s3stream ls`: what is there, one level or all of it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from s3stream import NotFoundError, S3StreamFileSystem

from .parsing import Parser, add_connection, connection, text
from .voice import Voice, printable

EXAMPLE = "s3stream ls s3://bucket/logs"


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument(
        "uri", metavar="URI", type=text, nargs="?", default="s3://", help="s3://bucket/folder"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="all that is below")
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """List it: when it was last written, bytes, URI."""
    fs = S3StreamFileSystem(**connection(options))
    for entry in _entries(fs, options.uri, options.recursive):
        is_object = entry["type"] == "file"
        uri = f"s3://{entry['name']}" + ("" if is_object else "/")
        facts: dict[str, Any] = {"uri": uri, "type": "object" if is_object else "prefix"}
        modified = size = ""
        if is_object:
            facts |= {"size": entry["size"], "modified": entry["LastModified"].isoformat()}
            facts |= {"etag": entry["ETag"], "storage_class": entry["StorageClass"]}
            modified, size = when(entry["LastModified"]), f"{entry['size']:,}"
        voice.result(facts, f"{modified:19}  {size:>17}  {printable(uri)}")
    return 0


def _entries(fs: Any, uri: str, recursive: bool) -> Iterable[Mapping[str, Any]]:
    if not recursive:
        listed: list[Mapping[str, Any]] = fs.ls(uri, detail=True)
        return sorted(listed, key=lambda entry: entry["name"])
    found: dict[str, Mapping[str, Any]] = fs.find(uri, detail=True)
    if not found and not fs.exists(uri):
        raise NotFoundError(f"{uri}: there is nothing of that name")
    return (found[name] for name in sorted(found))


def when(moment: datetime) -> str:
    """A moment by UTC, to the second."""
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}"
