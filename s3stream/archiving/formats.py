"""The formats of archives, by their names and by their first bytes. Pure."""

from __future__ import annotations

from ..errors import UsageError

FORMATS = {
    "zip": (".zip",),
    "tar": (".tar",),
    "tar.gz": (".tar.gz", ".tgz"),
    "tar.zst": (".tar.zst", ".tzst"),
}
COMPRESSIONS = ("deflated", "stored")
# How many bytes `format_of` wants to see.
HEAD = 512
_MAGIC = ((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x1f\x8b", "tar.gz"))
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_TAR = slice(257, 262)


def choose_format(dest: str, asked: str | None) -> str:
    """The format that is asked for, or the one that the destination's name means.

    Raises `UsageError` when it is none of ours.
    """
    if asked is not None:
        if asked not in FORMATS:
            raise UsageError(f"format={asked!r}: expected one of {', '.join(map(repr, FORMATS))}")
        return asked
    for name, endings in FORMATS.items():
        if dest.lower().endswith(endings):
            return name
    known = ", ".join(ending for endings in FORMATS.values() for ending in endings)
    raise UsageError(f"{dest!r}: its name means no format of archives ({known}); say format=")


def choose_compression(format: str, asked: str | None) -> str:
    """Whether a zip's entries are deflated (the default) or stored; raises `UsageError`."""
    if asked is None:
        return "deflated"
    if format != "zip":
        raise UsageError(
            f"compression={asked!r}: that is for format 'zip'; 'tar' has none, 'tar.gz' and"
            " 'tar.zst' have their own"
        )
    if asked not in COMPRESSIONS:
        raise UsageError(f"compression={asked!r}: expected 'deflated' or 'stored'")
    return asked


def format_of(head: bytes) -> str | None:
    """The format of an archive that begins so; None when it is none of ours."""
    for magic, name in (*_MAGIC, (_ZSTANDARD, "tar.zst")):
        if head.startswith(magic):
            return name
    return "tar" if head[_TAR] == b"ustar" else None
