"""Reads the entries of an archive, one after the other: a tar as a stream, a zip by its directory.

The formats are those of zipfile, tarfile, gzip and zstandard. Must not know where the archive lies,
nor what becomes of its entries.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any

from ..errors import IntegrityError
from ..inventory import MAX_PIECE, is_piece
from ..naming import is_safe
from .packing import ATTRIBUTE, UNIX_TIME, import_zstandard

# Zstandard's own is known by its name: the package need not be installed.
_DAMAGED = (
    EOFError,
    NotImplementedError,
    gzip.BadGzipFile,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # of a zip's entry, before its name
_ENCRYPTED = 1  # of a zip's entry: the first bit of its flags


@dataclass(frozen=True)
class Member:
    """An entry of an archive: its name, its bytes, and what else is told of it.

    When it was last written; what type and metadata it had as an object. Nothing of it is checked
    but the name.
    """

    name: str
    size: int
    modified: datetime | None
    content_type: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it has a name and nothing else."""
        return self.name.endswith("/")


# Reads bytes of an archive, from and to, beside what is read on and on.
ReadBeside = Callable[[int, int], bytes]


def members(
    file: IO[bytes], format: str, archive: str, beside: ReadBeside
) -> Iterator[tuple[Member, IO[bytes]]]:
    """Every entry of an archive, and its bytes, which are to be read before the next one.

    Of a zip, whose directory is read first, each piece of the manifest comes before the entries
    that it tells of, and not behind them; its `file` must be able to seek. `archive` is what it is
    called in errors. Raises `IntegrityError` for what is no such archive, for a name that would
    lead out of a folder, and for whatever is neither file nor folder.
    """
    if format == "zip":
        yield from _zip_members(file, archive, beside)
    elif format == "tar.gz":
        with gzip.GzipFile(fileobj=file, mode="rb") as inflated:
            yield from _tar_members(inflated, archive)
    elif format == "tar.zst":
        decompressor = import_zstandard().ZstdDecompressor()
        with decompressor.stream_reader(file, read_across_frames=True, closefd=False) as expanded:
            yield from _tar_members(expanded, archive)
    else:
        yield from _tar_members(file, archive)


def _zip_members(
    file: IO[bytes], archive: str, beside: ReadBeside
) -> Iterator[tuple[Member, IO[bytes]]]:
    with zipfile.ZipFile(file) as opened:
        for info in _manifest_first(opened.infolist()):
            _refuse(archive, info.filename, "encrypted" if info.flag_bits & _ENCRYPTED else None)
            member = Member(info.filename, info.file_size, _zip_time(info))
            if is_piece(info.filename):
                yield member, io.BytesIO(_read_beside(info, beside))
                continue
            with opened.open(info) as data:
                yield member, data


def _manifest_first(infos: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    told_of: list[zipfile.ZipInfo] = []
    for info in infos:
        if is_piece(info.filename):
            yield info
            yield from told_of
            told_of = []
        else:
            told_of.append(info)
    yield from told_of


def _read_beside(info: zipfile.ZipInfo, beside: ReadBeside) -> bytes:
    """A piece of the manifest: what is read ahead of the entries is not dropped for it."""
    start = info.header_offset
    header = beside(start, start + _LOCAL_HEADER.size)
    *_, name_size, extra_size = _LOCAL_HEADER.unpack(header)
    start += _LOCAL_HEADER.size + name_size + extra_size
    data = beside(start, start + min(info.compress_size, MAX_PIECE))
    if info.compress_type == zipfile.ZIP_DEFLATED:
        # One byte more than there may be: who is given that refuses it.
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_PIECE + 1)
    if zlib.crc32(data) != info.CRC and len(data) <= MAX_PIECE:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {info.filename!r}")
    return data


def _tar_members(file: Any, archive: str) -> Iterator[tuple[Member, IO[bytes]]]:
    with tarfile.open(fileobj=file, mode="r|") as opened:
        while (info := opened.next()) is not None:
            # Tarfile keeps every header; of a million that would be a gigabyte.
            opened.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it
            name = info.name + "/" if info.isdir() else info.name
            _refuse(archive, name, None if info.isreg() or info.isdir() else "a link or a device")
            data = opened.extractfile(info)
            modified = datetime.fromtimestamp(info.mtime, timezone.utc)
            told = _attributes_in(info.pax_headers)
            yield Member(name, info.size, modified, *told), data or io.BytesIO()


def _attributes_in(headers: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """Content type and metadata, as they were packed."""
    begin = f"{ATTRIBUTE}metadata."
    metadata = {
        name.removeprefix(begin): value for name, value in headers.items() if name.startswith(begin)
    }
    return headers.get(f"{ATTRIBUTE}content-type"), metadata


def _zip_time(info: zipfile.ZipInfo) -> datetime:
    """When it was last written: to the second where that is told, else to two, taken for UTC."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == UNIX_TIME and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            return datetime.fromtimestamp(struct.unpack_from("<l", extra, 5)[0], timezone.utc)
        extra = extra[4 + size :]
    try:
        return datetime(*info.date_time, tzinfo=timezone.utc)
    except ValueError:  # zipfile takes the 31st of a February as it stands
        return datetime(1980, 1, 1, tzinfo=timezone.utc)


def _refuse(archive: str, name: str, problem: str | None) -> None:
    if problem is None and not is_safe(name) and not is_piece(name):
        problem = "a name that could lead out of the folder it is unpacked into"
    if problem is not None:
        raise IntegrityError(f"{archive}: the entry {name!r} is refused: {problem}")


@contextmanager
def explained(archive: str) -> Iterator[None]:
    """Say of what the formats' own readers complain about which archive it was."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, _DAMAGED) and type(error).__name__ != "ZstdError":
            raise
        raise IntegrityError(
            f"{archive} is damaged, or no such archive: {type(error).__name__}: {error}"
        ) from error
