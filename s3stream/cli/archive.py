"""`s3stream archive`: buckets, prefixes, objects or files into one archive at a store."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentTypeError, Namespace
from datetime import datetime, timezone

import s3stream

from .bar import human
from .parsing import Parser, add_connection, connection, duration, size
from .voice import Voice
from .writing import add_writing, look_first, tell_of, writing

EXAMPLE = """
s3stream archive s3://bucket/ s3://backups/bucket-2026-11-28.zip
s3stream archive --since 24h --exclude '*.tmp' s3://bucket/logs/ s3://backups/logs.tar.zst
"""


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.add_argument(
        "sources",
        metavar="SRC_URI",
        nargs="+",
        help="s3://bucket/, s3://bucket/prefix/, an object, or a path or URL that fsspec knows",
    )
    parser.add_argument("dest", metavar="DEST_URI", help="s3://bucket/key of the archive")
    parser.add_argument("--format", help="zip, tar, tar.gz or tar.zst (default: by DEST_URI)")
    parser.add_argument(
        "--stored", action="store_true", help="do not compress the entries of a zip"
    )
    add_filters(parser)
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=_moment,
        help="only what was written since: 24h, 7d, 2026-11-28, 2026-11-28T01:30:00Z",
    )
    parser.add_argument(
        "--skip-changed",
        action="store_true",
        help="pass over objects that change or vanish meanwhile, and record it in the manifest",
    )
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=size,
        default=size("64MiB"),
        help="what may wait between reading and writing (default: 64MiB)",
    )
    add_writing(parser)
    add_connection(parser)
    add_connection(parser, "source")


def add_filters(parser: Parser) -> None:
    """Add --include and --exclude, which `extract` has too."""
    for name, what in (("include", "only entries"), ("exclude", "no entries")):
        parser.add_argument(
            f"--{name}",
            metavar="GLOB",
            action="append",
            default=[],
            help=f"{what} whose name matches; * stands for slashes too",
        )


def run(options: Namespace, voice: Voice) -> int:
    """Make it: whole, or not at all."""
    look_first(options, options.dest)
    with voice.bar() as bar:
        made = s3stream.archive(
            options.sources,
            options.dest,
            format=options.format,
            compression="stored" if options.stored else None,
            include=options.include,
            exclude=options.exclude,
            since=options.since,
            changed="skip" if options.skip_changed else "error",
            memory_limit=options.memory_limit,
            source_options=connection(options, "source") or None,
            callback=bar,
            **writing(options),
        )
    contents = made.contents
    facts = {"entries": contents.entries, "bytes": contents.size, "skipped": contents.skipped}
    tell_of(voice, options.dest, dataclasses.asdict(made.upload) | facts)
    voice.done(f"{options.dest}: {summary(contents)}, in {human(made.upload.size)}")
    return 0


def summary(contents: s3stream.ArchiveContents) -> str:
    """What an archive holds, for people."""
    entries = "1 entry" if contents.entries == 1 else f"{contents.entries:,} entries"
    said = f"{entries}, {human(contents.size)} ({contents.size:,} bytes)"
    return f"{said}, {contents.skipped:,} skipped" if contents.skipped else said


def _moment(text: str) -> datetime:
    """A time: so long ago, or a date, in the zone of this machine where it names none."""
    try:
        return datetime.now(timezone.utc) - duration(text)
    except OverflowError:
        raise ArgumentTypeError(f"{text!r}: is before the first day of any calendar") from None
    except ArgumentTypeError:
        pass  # then it must be a date
    try:
        # Z is understood from Python 3.11 on.
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError):
        raise ArgumentTypeError(
            f"{text!r}: expected how long ago (24h, 7d), or a date such as 2026-11-28 or"
            " 2026-11-28T01:30:00Z"
        ) from None
