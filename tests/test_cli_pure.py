"""What the command line decides by itself: values, lines, words, codes. No process, no store."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from argparse import ArgumentTypeError, Namespace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import s3stream
from s3stream import UsageError, errors
from s3stream.cli import VERBS
from s3stream.cli.bar import Bar, clock, human, line
from s3stream.cli.codes import MEANINGS, code_of, table
from s3stream.cli.parsing import (
    Parser,
    add_connection,
    add_output,
    connection,
    duration,
    pair,
    size,
    whole_number,
)
from s3stream.cli.voice import printable
from s3stream.cli.wording import PHRASES, in_our_words, sentence

PACKAGE = Path(s3stream.__file__).parent


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("5242880", 5 << 20),
        ("5MiB", 5 << 20),
        ("5 mib", 5 << 20),
        ("1.5GiB", 3 << 29),
        ("0.1KiB", 102),
        ("48.75TiB", 195 << 38),
        ("1.000000000001TiB", (1 << 40) + 1),
        ("12B", 12),
        ("5MB", None),
        ("5M", None),
        ("-1", None),
        ("", None),
        ("MiB", None),
        ("1.MiB", None),
    ],
)
def test_sizes(text: str, count: int | None) -> None:
    if count is None:
        said = f"{text!r}: expected bytes, or a number with KiB, MiB, GiB or TiB, such as 16MiB"
        with pytest.raises(ArgumentTypeError, match=f"^{re.escape(said)}$"):
            size(text)
    else:
        assert size(text) == count


@given(st.integers(0, 1 << 60), st.sampled_from(["", "B", "KiB", "MiB", "GiB", "TiB"]))
def test_sizes_are_exact(number: int, unit: str) -> None:
    units = {"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
    assert size(f"{number}{unit}") == number << units[unit]


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("2W", timedelta(weeks=2)),
        ("0s", timedelta(0)),
        ("7", None),
        ("d", None),
        ("-1d", None),
        ("1.5d", None),
        (" 1h ", timedelta(hours=1)),
        ("", None),
        ("1h30m", None),
        ("\u0661h", None),
    ],
)
def test_durations(text: str, time: timedelta | None) -> None:
    if time is None:
        said = f"{text!r}: expected a whole number with s, m, h, d or w, such as 7d"
        with pytest.raises(ArgumentTypeError, match=f"^{re.escape(said)}$"):
            duration(text)
    else:
        assert duration(text) == time


def test_a_duration_that_no_clock_can_count_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="'99999999999999d': is longer than any time"):
        duration("99999999999999d")


def test_whole_numbers() -> None:
    assert [whole_number(text) for text in ("1", "007", "65536")] == [1, 7, 65536]
    for wrong in ("0", "-1", "1.5", "", " 1", "1_0", "\u0661", "many"):
        said = f"{wrong!r}: expected a whole number of 1 or more"
        with pytest.raises(ArgumentTypeError, match=f"^{re.escape(said)}$"):
            whole_number(wrong)


def test_pairs() -> None:
    assert pair("a=b=c") == ("a", "b=c")
    assert pair("a=") == ("a", "")
    for wrong in ("a", "=b", ""):
        with pytest.raises(ArgumentTypeError, match=f"^{wrong!r}: expected NAME=VALUE$"):
            pair(wrong)


def test_a_verb_may_have_two_connections() -> None:
    parser = Parser(prog="s3stream copy")
    add_connection(parser)
    add_connection(parser, "source")
    given = ["--anon", "--source-endpoint-url", "http://there", "--source-profile", "me"]
    given += ["--region", "eu-1", "--source-parameter", "RequestPayer=requester"]
    options: Namespace = parser.parse_args(given)
    assert connection(options) == {"anon": True, "client_kwargs": {"region_name": "eu-1"}}
    assert connection(options, "source") == {
        "endpoint_url": "http://there",
        "profile": "me",
        "RequestPayer": "requester",
    }


def test_nothing_is_said_of_the_store_unless_it_was_asked_for() -> None:
    parser = Parser(prog="s3stream copy")
    add_connection(parser)
    add_connection(parser, "source")
    options = parser.parse_args([])
    assert connection(options) == connection(options, "source") == {}


def test_parameters_are_s3s_own() -> None:
    parser = Parser(prog="s3stream put")
    add_connection(parser)
    given = ["--parameter", "StorageClass=STANDARD_IA", "--parameter", "Tagging=a=b"]
    options = parser.parse_args([*given, "--profile", "me", "--endpoint-url", "http://here"])
    assert connection(options) == {
        "profile": "me",
        "endpoint_url": "http://here",
        "StorageClass": "STANDARD_IA",
        "Tagging": "a=b",
    }
    options = parser.parse_args([*given, "--parameter", "part_size=5"])
    with pytest.raises(
        UsageError, match=r"^--parameter part_size=5: S3's parameters begin with a "
    ):
        connection(options)


def explained(help: str) -> dict[str, str]:
    """Options and arguments of a help text, and what it says of each."""
    entries = re.split(r"\n  (?=\S)", help)[1:]
    found = [re.split(r"  +|\n +", entry.split("\n\n")[0], maxsplit=1) for entry in entries]
    return {what: " ".join(more[0].split()) if more else "" for what, *more in found}


def test_help_shows_every_option_with_its_value_and_what_it_is_for() -> None:
    parser = Parser(prog="s3stream copy", example="s3stream copy A B", description="It copies.")
    add_connection(parser)
    add_connection(parser, "source")
    add_output(parser)
    parser.take_command("what is run")
    shown = parser.format_help()
    assert shown.startswith("example:\n  s3stream copy A B\n\nusage: s3stream copy ")
    assert "\n\nIt copies.\n\n" in shown
    options = explained(shown.partition("It copies.")[2])
    assert list(options) == [
        "-h, --help",
        "--profile NAME",
        "--endpoint-url URL",
        "--region NAME",
        "--anon",
        "--parameter NAME=VALUE",
        "--source-profile NAME",
        "--source-endpoint-url URL",
        "--source-region NAME",
        "--source-anon",
        "--source-parameter NAME=VALUE",
        "--json",
        "-q, --quiet",
        "-- COMMAND",
    ]
    assert all(" " in what for what in options.values())
    headings = re.findall(r"^(\w.*):$", shown, re.MULTILINE)
    assert headings == ["example", "options", "store", "source store", "output", "command"]


def test_an_example_may_have_lines_and_need_not_be() -> None:
    shown = Parser(prog="s3stream tus", example="\ns3stream tus a\ns3stream tus b\n").format_help()
    assert shown.startswith("example:\n  s3stream tus a\n  s3stream tus b\n\nusage: ")


def test_what_cannot_be_parsed_is_a_sentence_that_says_where_to_look() -> None:
    parser = Parser(prog="s3stream put")
    add_connection(parser)
    add_output(parser)
    for wrong, said in (
        (["--prof", "me"], "unrecognized arguments: --prof me"),  # no abbreviations
        (["--profile"], "argument --profile: expected one argument"),
        (["--parameter", "x"], "argument --parameter: 'x': expected NAME=VALUE"),
    ):
        with pytest.raises(UsageError, match=rf"^{said} \(see s3stream put --help\)$"):
            parser.parse_args(wrong)


def test_what_stands_behind_two_dashes_is_the_command_whatever_it_is() -> None:
    parser = Parser(prog="s3stream run")
    parser.add_argument("uri")
    add_output(parser)
    parser.take_command("what is run")
    options = parser.parse_args(["s3://b/k", "--json", "--", "tar", "--json", "-q", "--", "x"])
    assert (options.uri, options.json, options.quiet) == ("s3://b/k", True, False)
    assert options.command == ["tar", "--json", "-q", "--", "x"]
    for wrong, said in (
        (["s3://b/k"], "a command is missing: put it at the end, behind --"),
        (["s3://b/k", "--"], "a command is missing: put it at the end, behind --"),
        (["s3://b/k", "tar", "x"], "'tar': the command goes behind --"),
        (["s3://b/k", "tar", "--", "x"], "'tar': the command goes behind --"),
    ):
        with pytest.raises(UsageError, match=rf"^{said} \(see s3stream run --help\)$"):
            parser.parse_args(wrong)


def test_where_no_command_is_taken_two_dashes_are_as_ever() -> None:
    parser = Parser(prog="s3stream cat")
    parser.add_argument("uri", nargs="*")
    assert parser.parse_args(["a", "--", "-b"]).uri == ["a", "-b"]


def test_a_family_has_verbs_of_its_own() -> None:
    def run(options: Namespace, voice: object) -> int:
        return 0

    parser = Parser(prog="s3stream uploads")
    assert not Parser(prog="s3stream put").is_family
    add = parser.add_verbs()
    assert parser.is_family
    verb = add("list", example="s3stream uploads list s3://b", help="list them", run=run)
    verb.add_argument("uri")
    options = parser.parse_args(["list", "s3://b", "--json"])
    assert (options.run, options.uri, options.json, options.quiet) == (run, "s3://b", True, False)
    assert options.prog == "s3stream uploads list"
    shown = verb.format_help()
    assert shown.startswith("example:\n  s3stream uploads list s3://b\n\nusage: s3stream uploads")
    assert "\n\nlist them\n\n" in shown
    assert explained(parser.format_help())["VERB"] == "list list them"
    for wrong in ([], ["lisst"]):
        with pytest.raises(UsageError, match=r"VERB.* \(see s3stream uploads --help\)$"):
            parser.parse_args(wrong)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_module_with_an_example(verb: str) -> None:
    module = importlib.import_module(f"s3stream.cli.{verb}")
    parser = Parser(prog=f"s3stream {verb}", example=module.EXAMPLE)
    module.arguments(parser)
    first, second, *_ = parser.format_help().splitlines()
    assert first == "example:"
    assert f"s3stream {verb} " in second


@pytest.mark.parametrize(
    ("done", "total", "rate", "parts", "shown"),
    [
        (5 << 20, None, 0, 0, "5.0 MiB, 0 B/s"),
        (5 << 20, None, 1 << 20, 1, "5.0 MiB, 1.0 MiB/s, 1 part"),
        (1, 4, 1, 2, "[####............]  25%  1 B of 4 B, 1 B/s, 0:03 left, 2 parts"),
        (1, 4, 0, 0, "[####............]  25%  1 B of 4 B, 0 B/s"),
        (4, 4, 1, 0, "[################] 100%  4 B of 4 B, 1 B/s, finishing"),
        (8, 4, 1, 0, "[################] 100%  8 B of 4 B, 1 B/s, finishing"),
        (0, 0, 0, 0, "[################] 100%  0 B of 0 B, 0 B/s, finishing"),
    ],
)
def test_the_bar(done: int, total: int | None, rate: float, parts: int, shown: str) -> None:
    assert line(done, total, rate, parts) == shown


def test_the_bar_comes_with_the_first_byte() -> None:
    # Until then a command may be asking for a password on the same terminal.
    shown: list[str] = []
    with Bar(shown.append, 4):
        pass
    assert shown == []
    with Bar(shown.append, 4) as bar:
        bar.relative_update(4)
    assert shown
    assert shown[-1].startswith("[################] 100%  4 B of 4 B, ")


def test_numbers_for_people() -> None:
    assert [human(n) for n in (0, 1023, 1024, 1536 << 20, 5 << 40, 5 << 50)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 GiB",
        "5.0 TiB",
        "5120.0 TiB",
    ]
    assert [clock(n) for n in (0, 59.9, 60, 3_599, 3_600, 86_400 * 3, 86_400 * 4.5)] == [
        "0:00",
        "0:59",
        "1:00",
        "59:59",
        "1:00:00",
        "72:00:00",
        "4 days",
    ]
    assert printable("a\nb\x1b[31m\u202ec é") == "a\\nb\\x1b[31m\\u202ec é"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.S3StreamError("x"), 1),
        (errors.CleanupError("x"), 1),
        (errors.TooLargeError("x"), 1),
        (errors.TimedOutError("x"), 1),
        (errors.PrefixError("x"), 1),
        (OSError(28, "No space left on device"), 1),
        (errors.UsageError("x"), 2),
        (errors.NotFoundError("x"), 3),
        (FileNotFoundError("x"), 3),
        (errors.AccessDeniedError("x"), 4),
        (PermissionError("x"), 4),
        (errors.AlreadyExistsError("x"), 5),
        (errors.PreconditionError("x"), 5),
        (errors.LockedError("x"), 6),
        (errors.UncertainError("x"), 7),
        (errors.IntegrityError("x"), 8),
    ],
)
def test_exit_codes(error: OSError, code: int) -> None:
    assert code_of(error) == code
    assert code in MEANINGS


def test_the_codes_are_a_table() -> None:
    first, *rows = table().splitlines()
    assert first == "exit codes:"
    assert rows[:2] == [
        "        0  done",
        "        1  any other failure; nothing was published",
    ]
    assert rows[-1].startswith("  128 + n  and the signal's number: ")
    assert len(rows) == len(MEANINGS)
    assert {row[9:11] for row in rows} == {"  "}


def test_every_error_of_the_library_has_a_code() -> None:
    names = [name for name in s3stream.__all__ if name.endswith("Error")]
    assert len(names) > 10
    for name in names:
        assert 1 <= code_of(getattr(s3stream, name)("x")) <= 8


# -- words


@functools.cache
def spoken() -> str:
    """All that the library says: the strings of its source, the pieces of each put together."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "?" for p in node.values]
                found.append("".join(map(str, parts)))
    return "\n".join(found)


@pytest.mark.parametrize("phrase", PHRASES)
def test_what_is_put_into_our_words_is_what_the_library_says(phrase: str) -> None:
    # Where this fails the library says it in other words by now: so must the command.
    said = spoken()
    assert phrase in said or phrase.removeprefix("that is said by ") in said


@pytest.mark.parametrize(("theirs", "ours"), PHRASES.items())
def test_every_phrase_is_put_into_ours_wherever_it_stands(theirs: str, ours: str) -> None:
    assert in_our_words(f"it is so: {theirs}, and {theirs}") == f"it is so: {ours}, and {ours}"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("part_size=5: expected 5,242,880", "--part-size 5: expected 5,242,880"),
        ("memory=5: expected 3 (three part_size)", "--memory 5: expected 3 (three --part-size)"),
        ("hold 7; raise part_size", "hold 7; raise --part-size"),
        ("size_hint=5 (part_size=6, if_match=)", "--expected-size 5 (--part-size 6, --if-match)"),
        ("max_concurrency or if_none_match", "--concurrency or --if-none-match"),
        ("memory, format and since", "memory, format and since"),  # words of English
        ("compression='stored': that is for zip", "--stored: that is for zip"),
        ("compression='deflated': that is for zip", "compression='deflated': that is for zip"),
        ("if_match: this store ignores it", "--if-match: this store ignores it"),
        (
            "since=: nobody can tell; leave since= out, or this with exclude=",
            "--since: nobody can tell; leave --since out, or this with --exclude",
        ),
        ("exclude='a' or exclude='a/*'", "--exclude 'a' or --exclude 'a/*'"),
        ("dest='a' is a file: the format stays", "DEST 'a' is a file: the format stays"),
        ("cannot read (s3://b/memory=1/part_size=2)", "cannot read (s3://b/memory=1/part_size=2)"),
        ("s3://b/x if_match/y: gone", "s3://b/x if_match/y: gone"),
        (
            "what was sent is kept: the same call, with checkpoint='/a b', goes on with it",
            "what was sent is kept: the same command goes on with it",
        ),
    ],
)
def test_options_instead_of_arguments(theirs: str, ours: str) -> None:
    assert in_our_words(errors.S3StreamError(theirs)) == ours


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("raise part_size", "raise --part-size"),
        (
            FileNotFoundError(2, "No such file or directory", "a b"),
            "a b: No such file or directory",
        ),
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError("nothing but words"), "nothing but words"),
        (errors.NotFoundError("no such bucket", bucket="b"), "no such bucket (s3://b/)"),
        (ValueError("part_size"), "--part-size"),
    ],
    ids=repr,
)
def test_any_error_is_said(problem: BaseException | str, said: str) -> None:
    assert in_our_words(problem) == said


def test_notes_and_names_of_files_are_said_too() -> None:
    error = OSError(28, "No space left on device", "out")
    errors.add_note(error, "and so\nnothing happened")
    errors.add_note(error, "raise part_size")
    assert sentence(in_our_words(error)) == (
        "out: No space left on device; and so nothing happened; raise --part-size"
    )
