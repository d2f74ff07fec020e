"""`s3stream put`: a file, or standard input, as one object."""

from __future__ import annotations

import sys
from argparse import Namespace

import s3stream

from .parsing import Parser, add_connection, connection
from .voice import Voice

EXAMPLE = """
s3stream put backup.tar s3://bucket/backup.tar
pg_dump shop | s3stream put - s3://bucket/shop.sql
"""


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("file", metavar="FILE", help="a file; - is standard input")
    parser.add_argument("uri", metavar="URI", help="s3://bucket/key")
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Send it."""
    with voice.bar() as bar:
        if options.file != "-":
            result = s3stream.upload_file(
                options.file, options.uri, callback=bar, **connection(options)
            )
        else:
            with s3stream.open(options.uri, "wb", buffering=0, **connection(options)) as file:
                while piece := sys.stdin.buffer.read(1 << 20):
                    file.write(piece)
                    bar.relative_update(len(piece))
                result = file.commit()
    voice.result({"uri": options.uri, "size": result.size, "etag": result.etag})
    return 0
