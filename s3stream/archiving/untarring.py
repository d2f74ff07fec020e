"""Reads the entries of a tar, one after the other, as a stream.

The format is tarfile's, which is lenient and holds what it is told to: here is what bounds it. Must
not know how a tar is compressed.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..options import MiB
from .members import Data, Member, refuse
from .packing import ATTRIBUTE

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
_AT_A_TIME = 1 * MiB


def tar_members(file: Any, archive: str) -> Iterator[tuple[Member, Data]]:
    """Every entry of a tar, as `unpacking.members` has them; reads `file` to its end."""
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_bounded_headers()) as opened:
        while (info := opened.next()) is not None:
            # Tarfile keeps every header; of a million that would be a gigabyte.
            opened.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it
            name = info.name + "/" if info.isdir() else info.name
            told = _attributes_in(info.pax_headers)
            member = Member(name, info.size, _tar_time(info), *told)
            problem = None if info.isreg() or info.isdir() else "a link or a device"
            refuse(archive, member, "a sparse file" if info.issparse() else problem)
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
