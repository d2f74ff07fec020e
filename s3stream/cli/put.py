"""`s3stream put`: a file, or standard input, as one object; `uploads resume` goes on with it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import s3stream

from ..checksums import ALGORITHMS
from ..errors import UsageError, add_note
from ..journal import Journal
from .parsing import Parser, add_connection, text
from .signals import Stopped
from .streams import copy, pieces, size_ahead, standard_input
from .voice import Voice
from .writing import (
    Report,
    add_expected_size,
    add_writing,
    is_published,
    look_first,
    parts_of,
    writing,
)

EXAMPLE = """
s3stream put backup.tar s3://bucket/backup.tar
pg_dump shop | gzip | s3stream put - s3://bucket/shop.sql.gz     (or see s3stream run)
"""

_INPUT = "standard input"


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("file", metavar="FILE", type=text, help="a file; - is standard input")
    parser.add_argument(
        "uri",
        metavar="URI",
        type=text,
        help="s3://bucket/key; s3://bucket/folder/ takes the file's name",
    )
    add_expected_size(parser)
    add_resuming(parser)
    add_writing(parser)
    add_connection(parser)


def add_resuming(parser: ArgumentParser) -> None:
    """Add the options of an upload that can be taken up again."""
    parser.add_argument(
        "--checkpoint",
        metavar="PATH",
        type=text,
        help="note there how far it is: after a failure the same command goes on with it",
    )
    add_lock(parser)


def add_lock(parser: ArgumentParser) -> None:
    """Add the option for a store on which nothing can be locked."""
    parser.add_argument(
        "--no-lock",
        action="store_true",
        help="with a checkpoint: do not keep others from going on with the same upload",
    )


def run(options: Namespace, voice: Voice) -> int:
    """Send it: all of it, or nothing."""
    if options.no_lock and not options.checkpoint:
        raise UsageError("--no-lock is for an upload with a --checkpoint")
    report = Report(voice)
    chosen = writing(options)
    if options.checkpoint:
        chosen["checkpoint"] = options.checkpoint
        chosen["lock"] = None if options.no_lock else "store"
    if options.file == "-":
        _look_first(options, options.uri)
        result = send_input(options.uri, options.expected_size, chosen, voice)
        report.published(options.uri, result)
        return 0
    if options.expected_size is not None:
        raise UsageError("--expected-size is for standard input: of a file the size is known")
    uri = _with_name(options.uri, options.file)
    _look_first(options, uri)
    report.published(uri, send_file(options.file, uri, chosen, voice))
    return 0


def _look_first(options: Namespace, uri: str) -> None:
    # Of an upload that goes on the object may be its own: a commit whose answer nobody heard.
    if not options.checkpoint or not Path(options.checkpoint).exists():
        look_first(options, uri)


def send_file(file: str, uri: str, chosen: dict[str, Any], voice: Voice) -> s3stream.UploadResult:
    """Send a local file: its parts at once, straight from the disk."""
    with voice.bar() as bar:
        bar.parts = parts_of(chosen, Path(file).stat().st_size)
        return s3stream.upload_file(file, uri, callback=bar, **chosen)


def send_input(
    uri: str, size: int | None, chosen: dict[str, Any], voice: Voice
) -> s3stream.UploadResult:
    """Send standard input; behind what its checkpoint says was sent, if it has one."""
    source = standard_input()
    ahead = size_ahead(source)
    # The hint belongs to the upload: the same input may come by a pipe when it is taken up again.
    hint = ahead if size is None and "checkpoint" not in chosen else size
    if hint is not None:
        chosen = {**chosen, "size_hint": hint}
    with voice.bar(ahead if size is None else size) as bar, _opened(uri, chosen) as file:
        bar.parts = parts_of(chosen, hint)
        if file.tell():
            _pass_over(source, file.tell(), chosen["checkpoint"])
            bar.relative_update(file.tell())
        copy(source, _INPUT, file.write, bar.relative_update)
        return file.commit()


@contextmanager
def _opened(uri: str, chosen: dict[str, Any]) -> Iterator[s3stream.S3Writer]:
    file = s3stream.open(uri, "wb", buffering=0, **chosen)
    try:
        with file:
            yield file
    except BaseException as error:
        if "checkpoint" in chosen and Path(chosen["checkpoint"]).exists():
            add_note(error, "what was sent is kept: the same command goes on with it")
        elif isinstance(error, Stopped) and not is_published(file):
            add_note(error, "nothing was published")
        raise


def _with_name(uri: str, file: str) -> str:
    """`s3://bucket` and `s3://bucket/folder/` take the name of the file, as `cp` has it."""
    _, found, rest = uri.partition("://")
    if found and not rest:
        return uri  # it names no bucket, and the file's name is none
    if found and "/" not in rest:
        uri += "/"
    return uri + Path(file).name if uri.endswith("/") else uri


def _pass_over(source: int, offset: int, path: str) -> None:
    """Read the beginning, which the store has, and see that it is the one that was sent.

    Raises `UsageError` where it is not: the object would be two halves of different things.
    """
    checkpoint = Journal(path).read()
    assert checkpoint is not None  # noqa: S101 - the file that goes on from it was just opened
    algorithm = ALGORITHMS.get(checkpoint.options["checksum"])
    begin = 0
    for part in checkpoint.firm:
        crc = size = 0
        for piece in pieces(source, _INPUT, part.size):
            if algorithm is not None:
                crc = algorithm.combine(crc, algorithm.compute(piece), len(piece))
            size += len(piece)
        _refuse_an_early_end(begin + size, begin + part.size, offset)
        if algorithm is not None and crc != part.crc:
            raise UsageError(
                f"{_INPUT} is not what was sent before: bytes {begin:,} to {begin + size:,} differ;"
                f" give it the same input again, or begin anew: delete the checkpoint {path}"
            )
        begin += size
    behind = sum(len(piece) for piece in pieces(source, _INPUT, offset - begin))
    _refuse_an_early_end(begin + behind, offset, offset)


def _refuse_an_early_end(read: int, wanted: int, offset: int) -> None:
    if read < wanted:
        raise UsageError(
            f"{_INPUT} ended after {read:,} bytes, and {offset:,} were sent before: give it the"
            " same input again, from its beginning"
        )
