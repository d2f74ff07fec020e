"""The file object for writing to S3: any length, bounded memory, all of it or nothing.

import s3stream

with s3stream.open("s3://bucket/key", "wb") as f:
    f.write(b"...")
"""

from __future__ import annotations

from .archiving.extracting import extract, verify
from .archiving.making import ArchiveResult, archive
from .asynchronous import S3AsyncWriter, aopen
from .budget import limit_memory
from .checkpoint import Checkpoint
from .dataset import Dataset
from .endings import discard_on_sigterm
from .errors import (
    AccessDeniedError,
    AlreadyExistsError,
    CleanupError,
    IntegrityError,
    LockedError,
    NotFoundError,
    PreconditionError,
    PrefixError,
    S3StreamError,
    TimedOutError,
    TooLargeError,
    UncertainError,
    UsageError,
)
from .files import S3BufferedWriter, S3CompressedWriter, S3RandomWriter, S3TextWriter
from .fs import S3StreamFileSystem
from .inventory import ArchiveContents
from .multipart import MultipartUpload
from .opening import open
from .options import WriteOptions
from .prepared import PreparedUpload
from .registering import register
from .resuming import resume
from .sendfile import upload_file
from .state import Checksum, Receipt, UploadResult
from .stats import WriteStats
from .streaming import upload_stream
from .uploads import UnfinishedUpload, abort_uploads, expire_uploads, list_uploads
from .writer import S3Writer

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "ArchiveContents",
    "ArchiveResult",
    "Checkpoint",
    "Checksum",
    "CleanupError",
    "Dataset",
    "IntegrityError",
    "LockedError",
    "MultipartUpload",
    "NotFoundError",
    "PreconditionError",
    "PrefixError",
    "PreparedUpload",
    "Receipt",
    "S3AsyncWriter",
    "S3BufferedWriter",
    "S3CompressedWriter",
    "S3RandomWriter",
    "S3StreamError",
    "S3StreamFileSystem",
    "S3TextWriter",
    "S3Writer",
    "TimedOutError",
    "TooLargeError",
    "UncertainError",
    "UnfinishedUpload",
    "UploadResult",
    "UsageError",
    "WriteOptions",
    "WriteStats",
    "abort_uploads",
    "aopen",
    "archive",
    "discard_on_sigterm",
    "expire_uploads",
    "extract",
    "limit_memory",
    "list_uploads",
    "open",
    "register",
    "resume",
    "upload_file",
    "upload_stream",
    "verify",
]
