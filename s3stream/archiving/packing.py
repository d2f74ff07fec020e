"""Writes entries into an archive, one after the other, onto a stream that cannot seek.

The formats are those of zipfile, tarfile, gzip and zstandard. Must not know where entries come
from, nor where the archive goes.
"""

from __future__ import annotations

import gzip
import mmap
import struct
import tarfile
import zipfile
from datetime import datetime, timezone
from typing import IO, Any, Protocol

from ..errors import UsageError
from ..inventory import Entry

_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
# The middle: 9, Python's default, takes three times as long for 1 % less.
_GZIP_LEVEL = 6
_BLOCK = tarfile.BLOCKSIZE
# Zip's own times have no zone, two seconds' steps, and these bounds.
_FIRST_ZIP_YEAR, _LAST_ZIP_YEAR = 1980, 2107
# The kind of an extra field: seconds since 1970, in UTC.
UNIX_TIME = 0x5455
# What GNU tar, bsdtar and Python know as extended attributes: they pass over it without a word.
ATTRIBUTE = "SCHILY.xattr.user.s3stream."


# What an entry is written by.
Piece = bytes | mmap.mmap


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: Any, /) -> object:
        """Take all of them."""

    def close(self) -> None:
        """No more will come."""


class Packer(Protocol):
    """An archive that is being written: begin an entry, write all of its bytes, end it."""

    def begin(self, entry: Entry) -> None:
        """Begin an entry; its `size` must be the bytes that come."""

    def write(self, data: Piece) -> None:
        """Write bytes of the entry."""

    def end(self) -> None:
        """End the entry."""

    def finish(self) -> None:
        """End the archive; closes no stream that it was given."""

    def abandon(self) -> None:
        """Give the archive up, in whatever state it is; what is written meanwhile is not wanted."""


def pack(stream: Sink, format: str, compression: str) -> Packer:
    """Begin an archive on a stream.

    Raises `UsageError` when the format needs a package that is not there.
    """
    if format == "zip":
        return _Zip(stream, compression)
    if format == "tar.gz":
        file: Any = stream
        return _Tar(gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0))
    if format == "tar.zst":
        # Closing it ends the frame, and not the stream below.
        compressor = import_zstandard().ZstdCompressor(write_checksum=True)
        return _Tar(compressor.stream_writer(stream, closefd=False))
    return _Tar(stream, closes=False)


def import_zstandard() -> Any:
    """The package zstandard; raises `UsageError` where it is not installed."""
    try:
        import zstandard
    except ImportError as error:
        raise UsageError(
            "format 'tar.zst' needs the package zstandard: pip install 's3stream[zstd]'"
        ) from error
    return zstandard


class _Zip:
    """ZIP, with ZIP64 where it is needed. Each entry costs memory until the end: its directory."""

    def __init__(self, stream: Sink, compression: str) -> None:
        stored = compression == "stored"
        self._method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
        file: Any = stream  # typeshed asks for more than zipfile does
        self._zip = zipfile.ZipFile(file, "w", self._method)
        self._entry: IO[bytes] | None = None

    def begin(self, entry: Entry) -> None:
        info = zipfile.ZipInfo(entry.name, _zip_time(entry.modified))
        info.create_system = 3  # Unix: `external_attr` holds a mode
        mode = _FOLDER_MODE | 0o040000 if entry.is_folder else _FILE_MODE | 0o100000
        info.external_attr = mode << 16 | (0x10 if entry.is_folder else 0)
        info.compress_type = zipfile.ZIP_STORED if entry.size == 0 else self._method
        if entry.modified is not None:
            seconds = int(entry.modified.timestamp())
            if 0 <= seconds < 1 << 31:
                info.extra = struct.pack("<HHBl", UNIX_TIME, 5, 1, seconds)
        # By its size zipfile decides about ZIP64.
        info.file_size = entry.size
        self._entry = self._zip.open(info, "w")

    def write(self, data: Piece) -> None:
        assert self._entry is not None  # noqa: S101 - between begin and end
        self._entry.write(data)

    def end(self) -> None:
        assert self._entry is not None  # noqa: S101 - after begin
        self._entry.close()
        self._entry = None

    def finish(self) -> None:
        self._zip.close()

    def abandon(self) -> None:
        if self._entry is not None:
            self._entry.close()
        # Or it would make up a directory when it is collected.
        self._zip.fp = None


def _zip_time(time: datetime | None) -> tuple[int, int, int, int, int, int]:
    if time is None:
        return (_FIRST_ZIP_YEAR, 1, 1, 0, 0, 0)
    utc = time.astimezone(timezone.utc)
    if utc.year < _FIRST_ZIP_YEAR:
        return (_FIRST_ZIP_YEAR, 1, 1, 0, 0, 0)
    if utc.year > _LAST_ZIP_YEAR:
        return (_LAST_ZIP_YEAR, 12, 31, 23, 59, 58)
    return (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)


class _Tar:
    """PAX tar: headers are tarfile's, and nothing is kept of what is written."""

    def __init__(self, stream: Sink, *, closes: bool = True) -> None:
        self._stream = stream
        self._closes = closes
        self._offset = 0
        self._left = 0

    def begin(self, entry: Entry) -> None:
        info = tarfile.TarInfo(entry.name.rstrip("/"))
        info.size = self._left = entry.size
        info.type = tarfile.DIRTYPE if entry.is_folder else tarfile.REGTYPE
        info.mode = _FOLDER_MODE if entry.is_folder else _FILE_MODE
        if entry.modified is not None:
            time = entry.modified.timestamp()
            info.mtime = int(time) if time == int(time) else time
        info.pax_headers = _attributes_of(entry)
        self._put(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def write(self, data: Piece) -> None:
        self._left -= len(data)
        self._put(data)

    def end(self) -> None:
        if self._left:
            raise AssertionError(f"{self._left} bytes more or less than promised")
        self._pad(_BLOCK)

    def finish(self) -> None:
        self._put(bytes(2 * _BLOCK))
        self._pad(tarfile.RECORDSIZE)
        if self._closes:
            self._stream.close()

    def abandon(self) -> None:
        if self._closes:
            self._stream.close()

    def _pad(self, unit: int) -> None:
        self._put(bytes(-self._offset % unit))

    def _put(self, data: Piece) -> None:
        self._offset += len(data)
        self._stream.write(data)


def _attributes_of(entry: Entry) -> dict[str, str]:
    """What a tar has no field for."""
    known = {
        "source": entry.source,
        "etag": entry.etag,
        "content-type": entry.content_type,
    }
    metadata = {f"metadata.{name}": value for name, value in (entry.metadata or {}).items()}
    attributes = {name: value for name, value in known.items() if value} | metadata
    return {ATTRIBUTE + name: value for name, value in attributes.items()}


class Spout:
    """Between packer and stream: once shut, the packer's last words go nowhere.

    zipfile writes a directory when it is collected, however its archive has ended. No class of
    io's: those close themselves when they are collected, perhaps before.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._shut = False

    def shut(self) -> None:
        """Swallow all that is written from now on."""
        self._shut = True

    def write(self, data: Any, /) -> int:
        """Pass on all of it."""
        return len(data) if self._shut else self._stream.write(data)

    def flush(self) -> None:
        """Nothing is held here; what is below sends when it has a part."""

    def close(self) -> None:
        """The stream is not ours to close."""
