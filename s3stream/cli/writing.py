"""What verbs that write an object share: its options, the look before it, and the last word."""

from __future__ import annotations

import argparse
import dataclasses
import time
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import s3stream

from ..errors import AlreadyExistsError, NotFoundError, PreconditionError, add_note
from ..plan import plan_parts
from .bar import clock, count, human
from .parsing import connection, pair, size, text, whole_number
from .streams import flush_output
from .voice import Voice

_CHECKSUMS = ("crc64nvme", "crc32c", "crc32", "none")


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Add the options of an object that is written."""
    group = parser.add_argument_group("object")
    condition = group.add_mutually_exclusive_group()
    condition.add_argument(
        "--if-none-match", action="store_true", help="only where there is no object yet"
    )
    condition.add_argument(
        "--if-match", metavar="ETAG", type=text, help="only in the place of this one"
    )
    group.add_argument("--storage-class", metavar="CLASS", type=text, help="such as STANDARD_IA")
    group.add_argument(
        "--content-type", metavar="TYPE", type=text, help="guessed from the key if not given"
    )
    group.add_argument(
        "--metadata",
        metavar="NAME=VALUE",
        type=pair,
        action="append",
        default=[],
        help="any number",
    )
    group.add_argument(
        "--checksum", choices=_CHECKSUMS, default="crc64nvme", help="proves it (crc64nvme)"
    )
    group = parser.add_argument_group("speed and memory")
    group.add_argument(
        "--part-size", metavar="SIZE", type=size, help="of the first parts (5MiB); later ones grow"
    )
    group.add_argument(
        "--concurrency", metavar="N", type=whole_number, help="parts in flight at once (24)"
    )
    group.add_argument(
        "--memory", metavar="SIZE", type=size, help="the most that parts hold in memory (128MiB)"
    )


def add_expected_size(parser: argparse.ArgumentParser) -> None:
    """Add the option for a stream whose length nobody knows for certain."""
    parser.add_argument(
        "--expected-size",
        metavar="SIZE",
        type=size,
        help="about so many bytes will come: for the bar, and needed above 5TiB",
    )


def writing(options: Namespace) -> dict[str, Any]:
    """What `add_connection`'s and `add_writing`'s options say, in the library's words."""
    given = {
        "part_size": options.part_size,
        "max_concurrency": options.concurrency,
        "memory": options.memory,
        "if_match": options.if_match,
        "if_none_match": "*" if options.if_none_match else None,
        "StorageClass": options.storage_class,
        "ContentType": options.content_type,
        "Metadata": dict(options.metadata) or None,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen["checksum"] = None if options.checksum == "none" else options.checksum
    return connection(options) | chosen


def look_first(options: Namespace, uri: str) -> None:
    """With --if-none-match or --if-match, raise what would come of it before anything is read.

    The store has the last word when the object is published; a look now may save hours.
    """
    if not options.if_none_match and options.if_match is None:
        return
    fs = s3stream.S3StreamFileSystem(**connection(options))
    try:
        found = fs.info(uri)
    except PermissionError:
        return  # nobody may look: then it shows in the end
    except FileNotFoundError:
        if options.if_match is None:
            return
        raise
    is_object = found["type"] == "file"
    if options.if_none_match and is_object:
        raise AlreadyExistsError(f"{uri}: there is an object of that name already")
    if options.if_match is None:
        return
    if not is_object:
        raise NotFoundError(f"{uri}: --if-match: there is no object of that name")
    if found["ETag"].strip('"') != options.if_match.strip('"'):
        raise PreconditionError(
            f"{uri}: --if-match: the ETag of the object that is there is {found['ETag']}, and not"
            f" {options.if_match}"
        )


def parts_of(chosen: dict[str, Any], expected: int | None) -> Callable[[int], int]:
    """What tells how many parts are filled by the first so many bytes, of about `expected`."""
    part_size = chosen.get("part_size", s3stream.WriteOptions.part_size)
    plan = plan_parts(s3stream.WriteOptions(part_size=part_size, size_hint=expected))
    ends = [0]

    def count_parts(done: int) -> int:
        while ends[-1] + plan.size(ends[-1]) <= done or ends[-1] < (expected or 0) <= done:
            ends.append(ends[-1] + plan.size(ends[-1]))
        return len(ends) - 1

    return count_parts


def is_published(file: Any) -> bool:
    """Whether a file of the library's has become an object."""
    try:
        return bool(file.result)
    except ValueError:
        return False


def tell_of(voice: Voice, uri: str, facts: dict[str, Any]) -> None:
    """Print the result of what is published; an error of that says that it is."""
    try:
        voice.result({"uri": uri, **facts})
        flush_output()
    except OSError as error:
        # Or who hears of a failure would take it for one of the upload.
        add_note(error, f"{uri} is published")
        raise


class Report:
    """Says what has become of an object, and how long it took from the report's making."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._begun = time.monotonic()

    def published(self, uri: str, result: s3stream.UploadResult) -> None:
        """It is there."""
        tell_of(self._voice, uri, dataclasses.asdict(result))
        took = clock(time.monotonic() - self._begun)
        parts = f"{count(result.parts, 'part')}, " if result.parts else ""
        self._voice.done(f"{uri}: {human(result.size)} ({result.size:,} bytes), {parts}{took}")
