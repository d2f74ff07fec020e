"""`s3stream extract`: an archive of `archive`'s into a folder or a prefix."""

from __future__ import annotations

from argparse import Namespace

import s3stream

from .archive import add_filters, summary
from .parsing import Parser, add_connection, connection
from .voice import Voice

EXAMPLE = """
s3stream extract s3://backups/bucket-2026-11-28.zip restored/
s3stream extract --include 'logs/*' s3://backups/all.tar.zst s3://bucket/restored/
"""


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("archive", metavar="ARCHIVE_URI", help="s3://bucket/key, or a file")
    parser.add_argument("dest", metavar="DEST", help="a folder, or s3://bucket/prefix/")
    add_filters(parser)
    add_connection(parser)
    add_connection(parser, "dest")


def run(options: Namespace, voice: Voice) -> int:
    """Unpack it."""
    with voice.bar() as bar:
        contents = s3stream.extract(
            options.archive,
            options.dest,
            include=options.include,
            exclude=options.exclude,
            dest_options=connection(options, "dest") or None,
            callback=bar,
            **connection(options),
        )
    facts = {"uri": options.archive, "dest": options.dest}
    voice.result(
        {
            **facts,
            "entries": contents.entries,
            "bytes": contents.size,
            "skipped": contents.skipped,
        }
    )
    voice.done(f"{options.dest}: {summary(contents)}")
    return 0
