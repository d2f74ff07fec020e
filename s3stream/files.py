"""The faces a raw writer wears: buffered, to go back in, compressed, text.

Must not know S3, threads or file systems: only files on top of a file.
"""

from __future__ import annotations

import codecs
import io
import threading
from typing import IO, Any

from fsspec.compression import compr

from .checkpoint import Checkpoint
from .cleanup import Patience
from .face import Face
from .oneway import OneWayFace
from .options import KiB
from .seekable import SeekableWriter
from .writer import S3Writer

# Small writes are gathered in C up to this; larger ones go straight into a part. From 64 KiB on
# it would copy twice what copyfileobj and most writers bring.
BUFFER_SIZE = 63 * KiB

_BYTE_ORDER_MARKS = {"utf-16": codecs.BOM_UTF16, "utf-32": codecs.BOM_UTF32}


class S3BufferedWriter(OneWayFace, Face, io.BufferedWriter):
    """What `s3stream.open` gives for `wb`: a binary file whose small writes are gathered in C.

    An `io.BufferedWriter` on top of an `S3Writer` (`raw`), and closing it closes that. The object
    appears when it is closed, whole, or not at all: see `S3Writer`.
    """

    raw: S3Writer

    def __init__(self, raw: S3Writer, buffer_size: int = BUFFER_SIZE) -> None:
        super().__init__(raw, buffer_size)
        raw._has_face = True

    def _below(self) -> S3Writer:
        return self.raw

    def suspend(self) -> Checkpoint:
        """Bring all to the store without publishing it, and close the file: `S3Writer.suspend`."""
        if not self.closed:
            try:
                self._end_writing()
            except BaseException as error:
                self.raw._leave_in_spite_of(error)
                self._say_the_end()
                raise
        try:
            return self.raw.suspend()
        finally:
            self._say_the_end()


class S3RandomWriter(Face, io.BufferedRandom):
    """What `s3stream.open` gives for `w+b`: a binary file that can be read, and changed anywhere.

    An `io.BufferedRandom`. It waits in a temporary file, in the folder that `spool` names, and is
    sent when it is closed; it ends as any other does: all of it is published, or nothing.
    """

    raw: SeekableWriter

    def __init__(self, raw: SeekableWriter, buffer_size: int) -> None:
        super().__init__(raw, buffer_size)
        raw._has_face = True

    def _below(self) -> SeekableWriter:
        return self.raw


class S3CompressedWriter(OneWayFace, Face, io.BufferedIOBase):
    """What `s3stream.open(compression=)` gives: a binary file that compresses what is written.

    By one of fsspec's registered compressions, on top of an `S3BufferedWriter`.

    Closing it ends the compressed stream and closes the file underneath, which most compressing
    files do not do by themselves.
    """

    def __init__(self, file: S3BufferedWriter, compression: str) -> None:
        super().__init__()
        self._file = file
        self._gate = _Gate(file)
        self._compressor: IO[bytes] = compr[compression](self._gate, mode="w")
        self.name = file.raw.name
        self.mode = file.raw.mode
        self._written = 0
        # Compressors are not made for two threads: what comes out must be written in its order.
        self._lock = threading.RLock()

    def _below(self) -> S3BufferedWriter:
        return self._file

    def _end_writing(self) -> None:
        self._compressor.close()
        self._file.flush()

    def _close_below(self) -> None:
        self._file.close()

    def writable(self) -> bool:
        """Tell that this file is for writing."""
        return self._file.writable()

    def tell(self) -> int:
        """Bytes written so far, before compression."""
        self._file.tell()
        return self._written

    def write(self, data: Any, /) -> int:
        """Compress and write all of a bytes-like object; returns its length in bytes."""
        if self.closed:
            raise ValueError(f"I/O operation on closed file {self.name}")
        with memoryview(data) as view, self._lock:
            try:
                self._compressor.write(view)
            except BaseException as error:
                # Half of it may have been taken: going on would tear the stream.
                self._discard_because_of(error)
                raise
            self._written += view.nbytes
            return view.nbytes

    def flush(self) -> None:
        """Raise the error of a part that has failed; forces neither a part nor a worse ratio."""
        self._file.flush()

    @property
    def closed(self) -> bool:  # type: ignore[override]  # io has an attribute here
        """Whether writing is over."""
        return self._file.closed

    def _discard(self, patience: Patience, *, on_purpose: bool = False) -> None:
        self._gate.open = False
        try:
            self._file._discard(patience, on_purpose=on_purpose)
        finally:
            self._compressor.close()

    def __del__(self) -> None:
        if hasattr(self, "_compressor"):
            self._abandon()


class _Gate(io.RawIOBase):
    """Between compressor and file: once shut, the compressor's last words go nowhere.

    A compressor can only be ended by letting it write its trailer.
    """

    def __init__(self, file: S3BufferedWriter) -> None:
        super().__init__()
        self._file = file
        self.open = True
        self.name = file.raw.name.rpartition("/")[2]

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        if self.open:
            return self._file.write(data)
        with memoryview(data) as view:
            return view.nbytes


_write_text = io.TextIOWrapper.write
_flush_text = io.TextIOWrapper.flush


class S3TextWriter(OneWayFace, Face, io.TextIOWrapper):
    """What `s3stream.open` gives for `w`: a text file on top of one of our binary files.

    An `io.TextIOWrapper`; two threads may write to it, whole strings each.
    """

    def __init__(
        self, file: S3BufferedWriter | S3CompressedWriter, *args: Any, **more: Any
    ) -> None:
        # Io's own loses lines when two threads write: https://docs.python.org/3/library/io.html#multi-threading
        self._lock = threading.RLock()
        super().__init__(file, *args, **more)

    def write(self, text: str, /) -> int:
        """Write a string; returns its length in characters."""
        with self._lock:
            return _write_text(self, text)

    def flush(self) -> None:
        """Hand on what is buffered here; raise the error of a part that has failed."""
        with self._lock:
            _flush_text(self)

    def _below(self) -> S3BufferedWriter | S3CompressedWriter:
        below: S3BufferedWriter | S3CompressedWriter = self.buffer  # type: ignore[assignment]  # wrap gave it one of ours
        return below


Writable = S3Writer | S3BufferedWriter | S3RandomWriter | S3CompressedWriter | S3TextWriter


def wrap(
    raw: S3Writer,
    *,
    text: bool,
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    compression: str | None = None,
) -> Writable:
    """Put the faces on a raw writer that these arguments of the built-in `open` ask for."""
    if buffering == 0 and not text and compression is None:
        return raw
    if isinstance(raw, SeekableWriter):
        return S3RandomWriter(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
    buffered = S3BufferedWriter(raw, buffering if buffering > 1 else BUFFER_SIZE)
    binary = buffered if compression is None else S3CompressedWriter(buffered, compression)
    if not text:
        return binary
    if encoding is not None:
        codec = codecs.lookup(encoding).name
        # TextIOWrapper marks the byte order only of files that it can seek in.
        mark = _BYTE_ORDER_MARKS.get(codec)
        if mark is not None and raw.tell() == 0:
            binary.write(mark)
        if codec == "utf-8-sig" and raw.tell():
            encoding = "utf-8"  # or every append would begin with a mark
    return S3TextWriter(binary, encoding, errors, newline, line_buffering=buffering == 1)
