"""Arguments: the parser, the kinds of value, and the options that verbs share.

Knows no verb and sends nothing: what cannot be is refused here, before a byte is read.
"""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

from ..errors import UsageError

_SIZES = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
# Those of S3's parameters that are no strings, and have no option of their own.
_FLAGS = frozenset({"BucketKeyEnabled", "BypassGovernanceRetention"})
_DURATIONS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class Parser(argparse.ArgumentParser):
    """A parser whose help begins with an example, and whose errors are one sentence."""

    def __init__(self, *, example: str = "", **more: Any) -> None:
        more.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **more)
        self._example = example
        self.is_family = False
        self._takes_command = False
        self.set_defaults(prog=self.prog)

    def format_help(self) -> str:
        """The example, then what argparse says."""
        example = "".join(f"  {line}\n" for line in self._example.strip().splitlines())
        return f"example:\n{example}\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, with where to look."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def take_command(self, help: str) -> None:
        """Take a command behind `--`, whatever stands in it, as `options.command`."""
        self._takes_command = True
        self.add_argument_group("command").add_argument(
            "command", metavar="-- COMMAND", nargs="*", help=help
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; what stands behind the first `--` is left to the command."""
        if not self._takes_command:
            return super().parse_args(args, namespace)
        before, _, command = _split(list(args))
        options = super().parse_args(before, namespace)
        if options.command:
            self.error(f"{options.command[0]!r}: the command goes behind --")
        if not command or not command[0]:
            self.error("a command is missing: put it at the end, behind --")
        options.command = command
        return options

    def add_verbs(self) -> Callable[..., Parser]:
        """For a family of verbs: returns what adds one, given name, `example=`, `help=`, `run=`."""
        self.is_family = True
        verbs = self.add_subparsers(metavar="VERB", required=True, parser_class=Parser)

        def add(name: str, *, example: str, help: str, run: Callable[..., int]) -> Parser:
            parser: Parser = verbs.add_parser(name, example=example, help=help, description=help)
            parser.set_defaults(run=run)
            add_output(parser)
            return parser

        return add


def _split(arguments: list[str]) -> tuple[list[str], list[str], list[str]]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at : at + 1], arguments[at + 1 :]


def text(given: str) -> str:
    """Whatever it is, but not nothing: a script's variable may not be set."""
    if not given:
        raise ArgumentTypeError("it is empty; is a variable not set?")
    return given


def size(text: str) -> int:
    """Bytes: `5242880`, `5MiB`, `1.5GiB`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip(), re.IGNORECASE)
    if match is None or match[2].lower() not in _SIZES:
        raise ArgumentTypeError(
            f"{text!r}: expected bytes, or a number with KiB, MiB, GiB or TiB, such as 16MiB"
        )
    whole, _, fraction = match[1].partition(".")
    # In whole numbers: a float would not hold every byte of a TiB's fraction.
    of_ten = int("1" + "0" * len(fraction))
    return int(whole + fraction) * _SIZES[match[2].lower()] // of_ten


def duration(text: str) -> timedelta:
    """A time: `90s`, `15m`, `12h`, `7d`, `2w`."""
    match = re.fullmatch(r"(\d+)([smhdw])", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise ArgumentTypeError(
            f"{text!r}: expected a whole number with s, m, h, d or w, such as 7d"
        )
    try:
        return timedelta(seconds=int(match[1]) * _DURATIONS[match[2].lower()])
    except OverflowError:
        raise ArgumentTypeError(f"{text!r}: is longer than any time can be") from None


def whole_number(text: str) -> int:
    """A whole number of 1 or more."""
    if not re.fullmatch(r"[0-9]+", text) or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number of 1 or more")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`; the value may be empty and may hold more of `=`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name, value


def add_connection(parser: argparse.ArgumentParser, which: str = "") -> None:
    """Add the options that say where the store is and who asks.

    With `which="source"` they are called `--source-profile` and so on, for a verb that has two.
    """
    dash = f"--{which}-" if which else "--"
    group = parser.add_argument_group(f"{which} store".strip())
    group.add_argument(
        f"{dash}profile", metavar="NAME", type=text, help="of AWS's configuration files"
    )
    group.add_argument(
        f"{dash}endpoint-url",
        metavar="URL",
        type=text,
        help="of a store that is not AWS (AWS_ENDPOINT_URL_S3)",
    )
    group.add_argument(
        f"{dash}region", metavar="NAME", type=text, help="the store's region (AWS_REGION)"
    )
    group.add_argument(f"{dash}anon", action="store_true", help="do not sign requests")
    group.add_argument(
        f"{dash}parameter",
        metavar="NAME=VALUE",
        type=pair,
        action="append",
        default=[],
        help="one of S3's own by its name, to every call that knows it: RequestPayer=requester",
    )


def connection(options: Namespace, which: str = "") -> dict[str, Any]:
    """What `add_connection`'s options say, in the library's words: for `open`, file systems, …."""
    before = f"{which}_" if which else ""
    given = {name: getattr(options, before + name) for name in ("profile", "endpoint_url", "anon")}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value}
    region = getattr(options, f"{before}region")
    if region:
        chosen["client_kwargs"] = {"region_name": region}
    for name, value in getattr(options, f"{before}parameter"):
        if not name[:1].isupper():
            raise UsageError(
                f"--parameter {name}={value}: S3's parameters begin with a capital, such as"
                " StorageClass=STANDARD_IA"
            )
        chosen[name] = _flag(name, value) if name in _FLAGS else value
    return chosen


def _flag(name: str, value: str) -> bool:
    if value not in {"true", "false"}:
        raise UsageError(f"--parameter {name}={value}: expected {name}=true or {name}=false")
    return value == "true"


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a verb tells what it does; every verb is given them."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--json", action="store_true", help="print results as JSON, one object to a line"
    )
    group.add_argument(
        "-q", "--quiet", action="store_true", help="no progress bar, no last line on a terminal"
    )
