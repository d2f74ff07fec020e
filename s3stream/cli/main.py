"""The command itself: finds the verb, has it run, and turns its end into an exit code.

Imports no verb but the one that was asked for.
"""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from ..errors import UsageError
from . import VERBS
from .codes import code_of, table
from .parsing import Parser, add_output
from .signals import SIGNALS, Stopped
from .streams import OUTPUT, flush_output, give_up_output
from .voice import Voice

_EXAMPLE = """
pg_dump shop | s3stream put - s3://bucket/shop.sql
s3stream run s3://bucket/shop.sql.zst --compress zstd -- pg_dump shop
s3stream cat s3://bucket/shop.sql.zst | zstd -d | less
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code. Takes over signals, warnings and the log."""
    SIGNALS.listen()
    voice = Voice("s3stream")
    voice.hear()
    try:
        return _run(list(sys.argv[1:] if arguments is None else arguments), voice)
    except Stopped as stopped:
        voice.fail(stopped)
        return SIGNALS.end_by(stopped.number)
    finally:
        SIGNALS.ignore()


def _run(arguments: list[str], voice: Voice) -> int:
    module: Any = None
    try:
        try:
            verb = _verb_of(arguments)
            module = importlib.import_module(f".{verb}", __package__)
            code = _run_verb(module, verb, arguments[1:], voice)
        except SystemExit:  # so argparse ends when it has shown help or version
            code = 0
        flush_output()
        return code
    except BrokenPipeError:
        give_up_output()
        return SIGNALS.end_by(signal.SIGPIPE)
    except OSError as error:
        voice.fail(error)
        if error.filename == OUTPUT:
            give_up_output()
        # Of `run`, whose command has codes of its own.
        return int(getattr(module, "FAILURE", code_of(error)))


def _run_verb(module: Any, verb: str, arguments: list[str], voice: Voice) -> int:
    voice.prog = f"s3stream {verb}"
    parser = Parser(prog=voice.prog, example=module.EXAMPLE, description=f"{VERBS[verb]}.")
    module.arguments(parser)
    if not parser.is_family:
        parser.set_defaults(run=module.run)
        add_output(parser)
    options = parser.parse_args(arguments)
    voice.prog, voice.json, voice.quiet = options.prog, options.json, options.quiet
    code: int = options.run(options, voice)
    return code


def _verb_of(arguments: list[str]) -> str:
    """The verb; shows help or version, where they are asked for, and raises `SystemExit`."""
    verbs = "\n".join(f"  {name:9} {what}" for name, what in VERBS.items())
    parser = Parser(
        prog="s3stream",
        usage="s3stream VERB …",
        example=_EXAMPLE,
        description="Streams to S3 and back: all or nothing, in bounded memory.",
        epilog=f"verbs (s3stream VERB --help tells more):\n{verbs}\n\n{table()}",
    )
    parser.add_argument("--version", action="version", version=version("s3stream"))
    first = arguments[0] if arguments else ""
    if first in VERBS:
        return first
    if first and not first.startswith("-"):
        near = difflib.get_close_matches(first, VERBS, 1)
        meant = f", did you mean {near[0]}?" if near else f"; there are {', '.join(VERBS)}"
        raise UsageError(f"there is no verb {first!r}{meant}")
    parser.parse_args(arguments[:1])
    raise UsageError("a verb is missing (see s3stream --help)")
