"""The arguments of `open`, taken apart and checked against each other before anything is opened.

Must not know files: only their modes, and what may be asked of a file of each.
"""

from __future__ import annotations

import codecs
import functools
import warnings
from dataclasses import dataclass

from fsspec.compression import compr
from fsspec.core import get_compression

from .errors import UsageError

# Fsspec registers these compressions only where their package is installed.
_EXTRAS = {"zstd": "zstandard", "lz4": "lz4", "snappy": "python-snappy"}
_ENDINGS_OF_EXTRAS = {"zst": "zstd", "lz4": "lz4", "snappy": "snappy"}


@dataclass(frozen=True)
class Mode:
    """An `open` mode taken apart."""

    reads: bool
    exclusive: bool
    appends: bool
    text: bool
    seeks: bool = False


@functools.lru_cache(maxsize=64)
def parse_mode(mode: str) -> Mode:
    """Take `wb xb ab rb`, their text forms, `w+b` and `x+b` apart.

    Raises `UsageError` for anything else.
    """
    letters = set(str(mode))
    verb = letters & set("rwxa")
    if (
        letters - set("rwxabt+")
        or len(verb) != 1
        or len(letters) != len(mode)
        or {*"bt"} <= letters
    ):
        raise UsageError(
            f"mode={mode!r}: expected one of 'wb', 'xb', 'ab', 'rb', 'w', 'x', 'a', 'r', 'w+b',"
            " 'x+b'"
        )
    seeks, text = "+" in letters, "b" not in letters
    if seeks and verb & {*"ra"}:
        raise UsageError(
            f"mode={mode!r}: an S3 object cannot be changed, only replaced; copy it into a file of"
            " mode 'w+b', and change that"
        )
    if seeks and text:
        raise UsageError(
            f"mode={mode!r}: only a binary file can be read and changed while it is written: use"
            f" '{verb.pop()}+b'"
        )
    return Mode("r" in letters, "x" in letters, "a" in letters, text, seeks)


def check_layers(
    mode: Mode,
    name: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
    compression: str | None,
) -> str | None:
    """Check the arguments of `open` against each other before anything is opened.

    Returns the compression's name, None for none. Raises `UsageError`.
    """
    if buffering < -1:
        raise UsageError(f"buffering={buffering!r}: expected -1, 0, 1 or a size in bytes")
    if mode.text:
        _check_text(buffering, encoding, errors, newline)
    else:
        _check_binary(buffering, encoding=encoding, errors=errors, newline=newline)
    if compression is not None and compression != "infer" and compression not in compr:
        if compression in _EXTRAS:
            raise UsageError(
                f"compression={compression!r}: it needs the package {_EXTRAS[compression]}, which"
                " is not installed"
            )
        known = ", ".join(sorted(name for name in compr if name))
        raise UsageError(f"compression={compression!r}: expected 'infer' or one of {known}")
    chosen: str | None = get_compression(name, compression)
    if chosen is None and compression == "infer":
        stem, _, ending = name.rpartition("/")[2].lower().rpartition(".")
        if stem and ending in _ENDINGS_OF_EXTRAS:
            raise UsageError(
                f"compression='infer': '.{ending}' needs the package"
                f" {_EXTRAS[_ENDINGS_OF_EXTRAS[ending]]}, which is not installed;"
                " compression=None writes it as it is"
            )
    if chosen is not None:
        _check_compressed(mode, compression)
    return chosen


def _check_compressed(mode: Mode, compression: str | None) -> None:
    if mode.seeks:
        raise UsageError(
            f"compression={compression!r}: what is compressed cannot be changed in the middle, as"
            " modes 'w+b' and 'x+b' are for; use 'wb', or compression=None"
        )
    if mode.appends:
        raise UsageError(
            f"compression={compression!r}: appending is for uncompressed objects; read it, and"
            " write it anew"
        )


def _check_text(
    buffering: int, encoding: str | None, errors: str | None, newline: str | None
) -> None:
    if buffering == 0:
        raise UsageError("buffering=0: text cannot be unbuffered, use a binary mode")
    if newline not in {None, "", "\n", "\r", "\r\n"}:
        raise UsageError(f"newline={newline!r}: expected None, '', '\\n', '\\r' or '\\r\\n'")
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError:
            raise UsageError(f"encoding={encoding!r}: there is no such text encoding") from None
    if errors is not None:
        try:
            codecs.lookup_error(errors)
        except LookupError:
            raise UsageError(f"errors={errors!r}: there is no such error handler") from None


def _check_binary(buffering: int, **of_text: str | None) -> None:
    for what, value in of_text.items():
        if value is not None:
            raise UsageError(f"{what}={value!r}: a binary mode takes none")
    if buffering == 1:
        warnings.warn(
            "buffering=1 (lines) is not supported in binary mode, the default is used",
            RuntimeWarning,
            stacklevel=4,
        )
