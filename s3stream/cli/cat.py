"""`s3stream cat`: objects to standard output, one after the other."""

from __future__ import annotations

import sys
from argparse import Namespace

import s3stream

from .parsing import Parser, add_connection, connection
from .voice import Voice

EXAMPLE = "s3stream cat s3://bucket/logs/today.gz | gunzip"

_PIECE = 1 << 20


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("uri", metavar="URI", nargs="+", help="s3://bucket/key")
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Print them; an object that is replaced meanwhile is an error, and not two halves."""
    if sys.stdout is None:
        raise OSError("standard output is closed: there is nowhere to print to")
    for uri in options.uri:
        with s3stream.open(uri, "rb", **connection(options)) as file:
            while piece := file.read(_PIECE):
                sys.stdout.buffer.write(piece)
    return 0
