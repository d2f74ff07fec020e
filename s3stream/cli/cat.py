"""`s3stream cat`: objects to standard output, one after the other."""

from __future__ import annotations

import sys
from argparse import Namespace

import s3stream

from .parsing import Parser, add_connection, connection, text
from .streams import OUTPUT, descriptor_of, print_bytes
from .voice import Voice

EXAMPLE = "s3stream cat s3://bucket/logs/today.gz | gunzip"

_PIECE = 8 << 20


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument("uri", metavar="URI", type=text, nargs="+", help="s3://bucket/key")
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Print them; an object that is replaced meanwhile is an error, and not two halves."""
    descriptor_of(sys.stdout, OUTPUT)
    for uri in options.uri:
        # Each piece is asked for when the one before is printed, and none is kept.
        with s3stream.open(uri, "rb", cache_type="none", **connection(options)) as file:
            while piece := file.read(_PIECE):
                print_bytes(piece)
    return 0
