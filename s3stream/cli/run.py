"""`s3stream run`: what a command prints becomes an object if the command succeeds.

`pg_dump | s3stream put -` cannot know how pg_dump has ended; who runs it does. The command stays in
our process group, so that it may ask for a password, and Ctrl-C reaches it too.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from argparse import Namespace
from typing import Any

import s3stream

from ..errors import S3StreamError, add_note
from ..uri import split_uri
from .codes import BY_SIGNAL, NO_COMMAND, NOT_EXECUTABLE, OF_RUN
from .parsing import Parser, add_connection, connection, text
from .signals import SIGNALS, Stopped, has_had_it
from .streams import copy
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
s3stream run s3://bucket/shop.sql.zst --compress zstd -- pg_dump shop
s3stream run s3://bucket/etc.tar -- tar -c /etc
"""

# Whatever goes wrong on our side: all codes below it may be the command's.
FAILURE = OF_RUN


def arguments(parser: Parser) -> None:
    """What it takes."""
    parser.usage = "s3stream run [options] URI -- COMMAND [argument ...]"
    parser.add_argument("uri", metavar="URI", type=text, help="s3://bucket/key")
    parser.take_command("what is run; its standard output becomes the object")
    parser.add_argument(
        "--compress", choices=("zstd", "gzip"), help="compress what comes (zstd needs zstandard)"
    )
    add_expected_size(parser)
    add_writing(parser)
    add_connection(parser)


def run(options: Namespace, voice: Voice) -> int:
    """Run it; publish if it exits with 0, else discard and exit as it did."""
    report = Report(voice)
    chosen = writing(options)
    if options.expected_size is not None:
        chosen["size_hint"] = options.expected_size
    command = _Command(options.command)
    # Opened before the command is started: it shall not run for hours for a wrong option, nor for a
    # bucket that is not there.
    _refuse_without_bucket(options)
    look_first(options, options.uri)
    file: Any = s3stream.open(
        options.uri, "wb", compression=options.compress, publish="commit", **chosen
    )
    try:
        with file, command as output, voice.bar(options.expected_size) as bar:
            if options.compress is None:
                bar.parts = parts_of(chosen, options.expected_size)
            copy(output, "the command's output", file.write, bar.relative_update)
            code = command.wait()
            result = None
            if code == 0:
                result = file.commit()
            else:
                _discard(file, voice)
    except _CannotStartError as error:
        voice.fail(error)
        return error.code
    except (Stopped, OSError) as error:
        if isinstance(error, Stopped) and not is_published(file):
            add_note(error, "nothing was published")
        voice.fail(error)
        command.wait()
        return SIGNALS.end_by(error.number) if isinstance(error, Stopped) else FAILURE
    if result is not None:
        report.published(options.uri, result)
        return 0
    ended = f"was killed by {_name_of(-code)}" if code < 0 else f"exited with {code}"
    voice.fail(f"{options.command[0]} {ended}: nothing was published")
    return BY_SIGNAL - code if code < 0 else code


def _refuse_without_bucket(options: Namespace) -> None:
    bucket, _ = split_uri(options.uri)
    with contextlib.suppress(PermissionError):  # who may only write cannot see it
        s3stream.S3StreamFileSystem(**connection(options)).info(bucket)


class _CannotStartError(Exception):
    """The command could not be started; `code` is what shells exit with then."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Command:
    """The command, a context manager: running inside, told to end when it is left by an error."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> int:
        """Start it; returns the descriptor on which its output comes."""
        try:
            with SIGNALS.held():  # or one could come when it runs and nobody knows of it
                self._process = subprocess.Popen(self._words, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - that is what it is for
                SIGNALS.pass_on(self._pass_on)
        except Stopped as stopped:
            self._tell_to_end(stopped)
            raise
        except OSError as error:
            raise self._cannot_start(error) from error
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return self._process.stdout.fileno()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if error is not None:
            self._tell_to_end(error)

    def wait(self) -> int:
        """Wait for its end; its code, negative for a signal."""
        return 0 if self._process is None else self._process.wait()

    def _tell_to_end(self, error: BaseException) -> None:
        if self._process is None:
            return
        self._pass_on(error.number if isinstance(error, Stopped) else signal.SIGTERM)
        # Whatever it goes on to print, nobody takes it: a SIGPIPE, should it not heed the signal.
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        self._process.stdout.close()

    def _pass_on(self, number: int) -> None:
        if self._process is not None and not has_had_it(number):
            self._process.send_signal(number)

    def _cannot_start(self, error: OSError) -> _CannotStartError:
        # What could not be found may be the interpreter that a script names.
        code = NO_COMMAND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        why = "there is no such command" if code == NO_COMMAND else error.strerror
        return _CannotStartError(code, f"{self._words[0]}: {why}; nothing was published")


def _discard(file: Any, voice: Voice) -> None:
    """Discard it; what is left is told of, and the command's own failure comes first."""
    try:
        file.discard()
    except S3StreamError as error:
        voice.warn(str(error))


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time one
