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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import IO, Any

from ..errors import IntegrityError
from ..inventory import MAX_PIECE, is_piece
from ..naming import is_safe
from ..options import MiB
from .packing import ATTRIBUTE, UNIX_TIME, import_zstandard

# What the formats' own readers raise over bytes that are no such archive. Zstandard's own is known
# by its name: the package need not be installed.
_DAMAGED = (
    ArithmeticError,
    EOFError,
    LookupError,
    RuntimeError,
    ValueError,
    gzip.BadGzipFile,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # of a zip's entry, before its name
_END_OF_ZIP = struct.Struct("<4s4H2LH")
_ENCRYPTED = 1  # of a zip's entry: the first bit of its flags

# Of a tar: headers that say something of the next one; how long ours can be, and how many in a row.
_OF_THE_NEXT = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_NONE_OF_OURS = (tarfile.XGLTYPE, tarfile.GNUTYPE_SPARSE)
_LONGEST_HEADER = 2 * MiB
_MOST_HEADERS = 4
_RECORD = bytes(tarfile.RECORDSIZE)
_AT_A_TIME = 1 * MiB


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
                yield from _tar_members(inflated, archive)
        elif format == "tar.zst":
            zstandard = import_zstandard()
            source = _WithRecord(file, zstandard.ZstdCompressor().compress(_RECORD))
            with zstandard.ZstdDecompressor().stream_reader(
                source, read_across_frames=True, closefd=False
            ) as expanded:
                yield from _tar_members(expanded, archive)
        else:
            yield from _tar_members(file, archive)


class Data:
    """The bytes of an entry; what is wrong with them is said of the archive."""

    def __init__(self, file: IO[bytes], archive: str) -> None:
        self._file = file
        self._archive = archive

    def read(self, size: int) -> bytes:
        """Read some bytes, none at the end of the entry."""
        with explained(self._archive):
            return self._file.read(size)


def _zip_members(
    file: IO[bytes], archive: str, beside: ReadBeside
) -> Iterator[tuple[Member, Data]]:
    with zipfile.ZipFile(file) as opened:
        infos = opened.infolist()
        _refuse_part_of_another(file, infos)
        for info in _manifest_first(infos):
            member = Member(info.filename, info.file_size, _zip_time(info))
            _refuse(archive, member, _problem_of(info))
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


def _tar_members(file: Any, archive: str) -> Iterator[tuple[Member, Data]]:
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_bounded_headers()) as opened:
        while (info := opened.next()) is not None:
            # Tarfile keeps every header; of a million that would be a gigabyte.
            opened.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it
            name = info.name + "/" if info.isdir() else info.name
            told = _attributes_in(info.pax_headers)
            member = Member(name, info.size, _tar_time(info), *told)
            problem = None if info.isreg() or info.isdir() else "a link or a device"
            _refuse(archive, member, "a sparse file" if info.issparse() else problem)
            yield member, Data(opened.extractfile(info) or io.BytesIO(), archive)
        _refuse_more_or_less(opened.fileobj)


def _bounded_headers() -> type[tarfile.TarInfo]:
    """Headers of a tar of which none is taken for the end by mistake, nor held however long it is.

    Tarfile passes in silence over what it cannot read, and over all behind it.
    """

    class Header(tarfile.TarInfo):
        in_a_row = 0

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
            try:
                header = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if buf == bytes(tarfile.BLOCKSIZE):
                    raise  # it is the end
                raise tarfile.ReadError(f"where a header should be: {error}") from error
            cls.in_a_row = cls.in_a_row + 1 if header.type in _OF_THE_NEXT else 0
            if (
                header.type in _NONE_OF_OURS
                or header.size < 0
                or (cls.in_a_row and header.size > _LONGEST_HEADER)
                or cls.in_a_row > _MOST_HEADERS
            ):
                raise tarfile.ReadError(
                    f"a header of type {header.type!r} and {header.size:,} bytes, as no archive of"
                    " ours has"
                )
            return header

    return Header


def _refuse_more_or_less(stream: Any) -> None:
    """Behind a block of zeros come at least another one, and no more than zeros, in whole records.

    Reads to the end: only there it shows whether what is compressed is whole.
    """
    begin = end = stream.tell()
    while piece := stream.read(_AT_A_TIME):
        end += len(piece)
        if piece.count(0) != len(piece):
            raise tarfile.ReadError("something follows its end")
    if end - begin < tarfile.BLOCKSIZE or end % tarfile.RECORDSIZE:
        raise tarfile.ReadError("its last record is cut off")


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


def _tar_time(info: tarfile.TarInfo) -> datetime | None:
    try:
        return datetime.fromtimestamp(info.mtime, timezone.utc)
    except (OSError, OverflowError, ValueError):
        return None  # no calendar has it


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


def _refuse(archive: str, member: Member, problem: str | None) -> None:
    if problem is None and member.is_folder and member.size:
        problem = "a folder with bytes"
    if problem is None and not is_safe(member.name) and not is_piece(member.name):
        problem = "a name that could lead out of the folder it is unpacked into"
    if problem is not None:
        raise IntegrityError(f"{archive}: the entry {member.name!r} is refused: {problem}")


@contextmanager
def explained(archive: str) -> Iterator[None]:
    """Say of what the formats' own readers complain about which archive it was."""
    try:
        yield
    except Exception as error:
        damaged = isinstance(error, _DAMAGED) or type(error).__name__ == "ZstdError"
        # Ours are errors of the system too, and some are a ValueError besides.
        if not damaged or (isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile)):
            raise
        raise IntegrityError(
            f"{archive} is damaged, or no such archive: {type(error).__name__}: {error}"
        ) from error
