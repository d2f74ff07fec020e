"""`s3stream rm`: deletes objects, with -r all below a prefix."""

from __future__ import annotations

import glob
from argparse import Namespace

from s3stream import PrefixError, S3StreamFileSystem

from ..errors import UsageError
from ..uri import split_path, split_uri
from .parsing import Parser, add_connection, connection, text
from .voice import Voice

EXAMPLE = """
s3stream rm s3://bucket/old.csv
s3stream rm -r s3://bucket/logs/2024
"""


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("uri", metavar="URI", type=text, nargs="+", help="s3://bucket/key")
    parser.add_argument(
        "-r", "--recursive", action="store_true", help="all objects below, and the one of that name"
    )
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Delete them, one after the other; the first that cannot be is the last that is tried."""
    for uri in options.uri:
        _, key = split_path(uri)
        if not key.strip("/"):
            raise UsageError(f"{uri}: names a whole bucket, and only objects are deleted here")
        split_uri(uri)
    fs = S3StreamFileSystem(**connection(options))
    for uri in options.uri:
        if options.recursive:
            # Not a pattern: a name may have brackets and stars, and would stand for others then.
            fs.rm(glob.escape(uri), recursive=True)
        elif uri.endswith("/") or fs.info(uri)["type"] == "directory":
            # Nor is the object of the same name without the slash what was asked for.
            raise PrefixError(f"{uri}: a prefix, not an object; -r deletes all below it")
        else:
            fs.rm_file(uri)
        voice.result({"uri": uri})
    return 0
