"""What the library says, in the command's words: options instead of arguments. Pure."""

from __future__ import annotations

import re

from ..errors import S3StreamError

# Arguments that are options here. Only at the beginning of a word: a key may hold `memory=1/`.
_OPTIONS = {
    "part_size": "--part-size",
    "size_hint": "--expected-size",
    "max_concurrency": "--concurrency",
    "if_match": "--if-match",
    "if_none_match": "--if-none-match",
}
# Those whose names are words of English too: only where a value is given, or wanted.
_WITH_VALUE_ONLY = {
    "memory": "--memory",
    "memory_limit": "--memory-limit",
    "format": "--format",
    "include": "--include",
    "exclude": "--exclude",
    "since": "--since",
    "upload_id": "--upload-id",
    "dest": "DEST",
}
_BEGINS = r"(?:(?<=^)|(?<=[\s(]))"
_WITH_VALUE = re.compile(
    rf"{_BEGINS}({'|'.join([*_OPTIONS, *_WITH_VALUE_ONLY])})=(?P<value>(?=[^\s:;,)]))?"
)
_BARE = re.compile(rf"{_BEGINS}({'|'.join(_OPTIONS)})(?![\w=/])")

# What it says to do, for who writes Python, and for who types commands.
PHRASES = {
    "give key= and secret=, or profile=, or set ": "give --profile, or set ",
    "anon=True for a bucket that needs none": "--anon for a bucket that needs none",
    "write what comes out of it to s3stream.open()": "let standard input come from it, and give -",
    "give lock= a lock of your own (any context manager), or lock=None if nobody else": (
        "give --no-lock if nobody else"
    ),
    "that is said by the option checksum=": "that is said by --checksum",
    "that is said by the option if_match=": "that is said by --if-match",
    "that is said by the option if_none_match= or mode 'xb'": "that is said by --if-none-match",
    "to begin again, do it without its checkpoint": "to begin again, delete its checkpoint",
    "until s3stream.abort_uploads() removes it": "until s3stream uploads abort removes it",
    "which s3stream.list_uploads() shows": "which s3stream uploads list shows",
    "upload_file() goes on with it": "give the file's name, and not -",
    "changed='skip' would pass over it": "--skip-changed would pass over it",
    "s3stream.archive() makes one object of it": "s3stream archive makes one object of it",
    " spool=, or raise memory= and s3stream.limit_memory()": " TMPDIR, or raise --memory",
}
_SAME_CALL = re.compile(r"the same call, with checkpoint=.*, goes on with it")
_STORED = re.compile(rf"{_BEGINS}compression='stored'")


def in_our_words(problem: BaseException | str) -> str:
    """An error with its notes, or a text of the library, as who types commands can use it."""
    notes = getattr(problem, "__notes__", [])
    if isinstance(problem, OSError) and not isinstance(problem, S3StreamError):
        text = problem.strerror or str(problem)
        if problem.filename is not None:
            text = f"{problem.filename}: {text}"
    else:
        text = str(problem)
    return "; ".join(_translated(said) for said in [text, *notes])


def sentence(text: str) -> str:
    """One line, whatever a store has put into its message."""
    return " ".join(text.split())


def _translated(text: str) -> str:
    for theirs, ours in PHRASES.items():
        text = text.replace(theirs, ours)
    text = _SAME_CALL.sub("the same command goes on with it", text)
    text = _STORED.sub("--stored", text)
    text = _WITH_VALUE.sub(_option, text)
    return _BARE.sub(lambda found: _OPTIONS[found[1]], text)


def _option(found: re.Match[str]) -> str:
    name = (_OPTIONS | _WITH_VALUE_ONLY)[found[1]]
    return name if found["value"] is None else f"{name} "
