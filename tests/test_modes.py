"""The arguments of `open` by themselves: modes, and what goes with which; nothing is opened."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from fsspec.compression import compr

from s3stream import UsageError
from s3stream.modes import Mode, check_layers, parse_mode

WRITES = Mode(reads=False, exclusive=False, appends=False, text=False)
MODES = {
    "rb": Mode(reads=True, exclusive=False, appends=False, text=False),
    "r": Mode(reads=True, exclusive=False, appends=False, text=True),
    "wb": WRITES,
    "w": Mode(reads=False, exclusive=False, appends=False, text=True),
    "xb": Mode(reads=False, exclusive=True, appends=False, text=False),
    "x": Mode(reads=False, exclusive=True, appends=False, text=True),
    "ab": Mode(reads=False, exclusive=False, appends=True, text=False),
    "a": Mode(reads=False, exclusive=False, appends=True, text=True),
    "w+b": Mode(reads=False, exclusive=False, appends=False, text=False, seeks=True),
    "x+b": Mode(reads=False, exclusive=True, appends=False, text=False, seeks=True),
}
# The letters may stand in any order, as in the built-in, and `t` may be said.
SPELLINGS = {
    "".join(letters): mode
    for name, mode in MODES.items()
    for spelling in ((name, f"{name}t") if mode.text else (name,))
    for letters in itertools.permutations(spelling)
}


def test_every_mode_is_known_or_refused() -> None:
    for length in range(5):
        for letters in itertools.product("rwxabt+U", repeat=length):
            mode = "".join(letters)
            if mode in SPELLINGS:
                assert parse_mode(mode) == SPELLINGS[mode]
            else:
                with pytest.raises(UsageError, match=re.escape(f"mode={mode!r}: ")):
                    parse_mode(mode)


@pytest.mark.parametrize("mode", ["r+b", "a+b", "r+", "+ba"])
def test_who_wants_to_change_an_object_hears_how(mode: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be changed, only replaced; .* mode 'w\+b'"):
        parse_mode(mode)


@pytest.mark.parametrize(("mode", "said"), [("w+", "use 'w+b'"), ("tx+", "use 'x+b'")])
def test_text_that_is_changed_hears_which_mode_can(mode: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        parse_mode(mode)


def check(
    mode: str = "wb",
    name: str = "key",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    compression: str | None = None,
) -> str | None:
    return check_layers(parse_mode(mode), name, buffering, encoding, errors, newline, compression)


@pytest.mark.parametrize("buffering", [-1, 0, 2, 4096])
def test_a_binary_file_is_buffered_in_any_way(buffering: int) -> None:
    assert check("wb", buffering=buffering) is None


@pytest.mark.parametrize("buffering", [-1, 1, 2, 4096])
def test_text_is_buffered_somehow(buffering: int) -> None:
    assert check("w", buffering=buffering) is None


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("errors", [None, "strict", "surrogateescape", "backslashreplace"])
@pytest.mark.parametrize("encoding", [None, "utf-8", "latin-1", "UTF-16"])
def test_text_has_the_layers_of_the_built_in(
    encoding: str | None, errors: str | None, newline: str | None
) -> None:
    assert check("w", encoding=encoding, errors=errors, newline=newline) is None
    assert check("r", encoding=encoding, errors=errors, newline=newline) is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"buffering": -2}, "buffering=-2: expected -1, 0, 1 or a size in bytes"),
        ({"mode": "w", "buffering": -3}, "buffering=-3: expected -1, 0, 1 or a size in bytes"),
        ({"encoding": "utf-8"}, "encoding='utf-8': a binary mode takes none"),
        ({"errors": "strict"}, "errors='strict': a binary mode takes none"),
        ({"newline": ""}, "newline='': a binary mode takes none"),
        ({"mode": "rb", "newline": "\n"}, r"newline='\n': a binary mode takes none"),
        ({"mode": "w", "buffering": 0}, "buffering=0: text cannot be unbuffered"),
        ({"mode": "w", "newline": "\n\r"}, r"newline='\n\r': expected None, '', '\n', '\r' or"),
        ({"mode": "w", "encoding": "utf-7b"}, "encoding='utf-7b': there is no such text encoding"),
        ({"mode": "w", "encoding": "hex"}, "encoding='hex': there is no such text encoding"),
        ({"mode": "w", "errors": "nice"}, "errors='nice': there is no such error handler"),
        ({"compression": "zipp"}, "compression='zipp': expected 'infer' or one of bz2, gzip, "),
        ({"compression": ""}, "compression='': expected 'infer' or one of bz2, gzip, "),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused_by_name_and_value(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        check(**wrong)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ == ("there is no such" in said)


@pytest.mark.parametrize("mode", ["wb", "xb", "rb", "w", "x", "r"])
@pytest.mark.parametrize(
    ("name", "compression", "chosen"),
    [
        ("log.gz", "infer", "gzip"),
        ("log.GZ", "infer", "gzip"),
        ("a.zip/log.bz2", "infer", "bz2"),
        ("log", "infer", None),
        ("log.gz/latest", "infer", None),
        ("log.gz", None, None),
        ("log.gz", "xz", "xz"),
        ("zst", "infer", None),  # its name, and no ending
        (".lz4", "infer", None),
        ("log.lz4/1", "infer", None),
    ],
)
def test_compression_is_what_was_said_or_the_ending_means(
    mode: str, name: str, compression: str | None, chosen: str | None
) -> None:
    assert check(mode, name, compression=compression) == chosen


def test_an_ending_whose_package_is_not_there_is_not_passed_over() -> None:
    # Neither is a dependency of ours; who has it can write it.
    for ending, package, name in (("lz4", "lz4", "lz4"), ("SNAPPY", "python-snappy", "snappy")):
        if name in compr:
            assert check("wb", f"log.{ending}", compression="infer") == name
            continue
        said = f"compression='infer': '.{ending.lower()}' needs the package {package}, which is not"
        with pytest.raises(UsageError, match=re.escape(said)):
            check("wb", f"log.{ending}", compression="infer")
        assert check("wb", f"log.{ending}", compression=None) is None
        said = f"compression={name!r}: it needs the package {package}, which is not installed"
        with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
            check("wb", "log", compression=name)


@pytest.mark.parametrize("compression", ["gzip", "infer"])
def test_what_is_compressed_is_neither_changed_nor_appended_to(compression: str) -> None:
    said = re.escape(f"compression={compression!r}: ")
    for mode in ("w+b", "x+b"):
        with pytest.raises(UsageError, match=f"{said}.* cannot be changed in the middle"):
            check(mode, "log.gz", compression=compression)
    for mode in ("ab", "a"):
        with pytest.raises(UsageError, match=f"{said}appending is for uncompressed objects"):
            check(mode, "log.gz", compression=compression)
    for mode in ("w+b", "ab", "a"):
        assert check(mode, "log", compression="infer") is None
        assert check(mode, "log.gz") is None


def test_lines_of_bytes_are_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match="not supported in binary mode, the default is used"):
        assert check("wb", buffering=1) is None
