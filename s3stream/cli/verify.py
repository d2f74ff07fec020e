"""`s3stream verify`: whether an archive of `archive`'s is what was archived."""

from __future__ import annotations

from argparse import Namespace

import s3stream

from .archive import summary
from .parsing import Parser, add_connection, connection
from .voice import Voice

EXAMPLE = "s3stream verify s3://backups/bucket-2026-11-28.zip"


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("archive", metavar="ARCHIVE_URI", help="s3://bucket/key, or a file")
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Read it."""
    with voice.bar() as bar:
        contents = s3stream.verify(options.archive, callback=bar, **connection(options))
    voice.result(
        {
            "uri": options.archive,
            "entries": contents.entries,
            "bytes": contents.size,
            "skipped": contents.skipped,
        },
        f"{options.archive}: {summary(contents)}, as in its manifest",
    )
    return 0
