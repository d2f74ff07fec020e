"""Reads the entries of an archive, one after the other: a tar as a stream, a zip by its directory.

The formats are those of zipfile, tarfile, gzip and zstandard. Must not know where the archive lies,
nor what becomes of its entries.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import IO

from ..inventory import MAX_PIECE, is_piece
from .members import Data, Member, explained, refuse
from .packing import UNIX_TIME, import_zstandard
from .untarring import tar_members

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # of a zip's entry, before its name
_END_OF_ZIP = struct.Struct("<4s4H2LH")
_ENCRYPTED = 1  # of a zip's entry: the first bit of its flags

_RECORD = bytes(tarfile.RECORDSIZE)

# Reads bytes of an archive, from and to, beside what is read on and on.
ReadBeside = Callable[[int, int], bytes]


def members(
    file: IO[bytes], format: str, archive: str, beside: ReadBeside
) -> Iterator[tuple[Member, Data]]:
    """Every entry of an archive, and its bytes, which are to be read before the next one.

    Of a zip, whose directory is read first, each piece of the manifest comes before the entries
    that it tells of, and not behind them; its `file` must be able to seek. `archive` is what it is
    called in errors. Raises `IntegrityError` for what is no such archive, for a name that would
    lead out of a folder, and for whatever is neither file nor folder.
    """
    with explained(archive):
        if format == "zip":
            yield from _zip_members(file, archive, beside)
        elif format == "tar.gz":
            with gzip.GzipFile(fileobj=file, mode="rb") as inflated:
                yield from tar_members(inflated, archive)
        elif format == "tar.zst":
            zstandard = import_zstandard()
            source = _WithRecord(file, zstandard.ZstdCompressor().compress(_RECORD))
            with zstandard.ZstdDecompressor().stream_reader(
                source, read_across_frames=True, closefd=False
            ) as expanded:
                yield from tar_members(expanded, archive)
        else:
            yield from tar_members(file, archive)


class _WithRecord:
    """What is compressed by zstandard, and one more frame behind it: a record of zeros.

    Zstandard takes what is cut off in a frame for the end, and a tar may end in any number of
    records of zeros: but with a frame behind that it cannot read it says so.
    """

    def __init__(self, file: IO[bytes], frame: bytes) -> None:
        self._file = file
        self._frame = frame

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if not data:
            data, self._frame = self._frame, b""
        return data


def _zip_members(
    file: IO[bytes], archive: str, beside: ReadBeside
) -> Iterator[tuple[Member, Data]]:
    with zipfile.ZipFile(file) as opened:
        infos = opened.infolist()
        _refuse_part_of_another(file, infos)
        for info in _manifest_first(infos):
            member = Member(info.filename, info.file_size, _zip_time(info))
            refuse(archive, member, _problem_of(info))
            if is_piece(info.filename):
                yield member, Data(io.BytesIO(_read_beside(info, beside)), archive)
                continue
            with opened.open(info) as data:
                yield member, Data(data, archive)


def _refuse_part_of_another(file: IO[bytes], infos: list[zipfile.ZipInfo]) -> None:
    """Zipfile looks for a directory near the end, and for entries behind whatever comes first.

    What is left of an archive that was cut off may end in an archive that was stored in it.
    """
    file.seek(-_END_OF_ZIP.size, os.SEEK_END)
    signature, *_, comment = _END_OF_ZIP.unpack(file.read(_END_OF_ZIP.size))
    if signature != b"PK\x05\x06" or comment:
        raise zipfile.BadZipFile("its directory is not at its end: something follows")
    before = min((info.header_offset for info in infos), default=0)
    if before:
        raise zipfile.BadZipFile(f"{before:,} bytes come before its first entry: it is cut off")


def _problem_of(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Zipfile expands others without a bound.
        return f"compressed by method {info.compress_type}, where 0 and 8 are known"
    return None


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
