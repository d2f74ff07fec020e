"""How an upload stands at the store, whatever its record says: how much of it is there, and whether
it is published already. Asks, and changes nothing; so it asks nobody's leave.
"""

from __future__ import annotations

from dataclasses import replace

from ..errors import NotFoundError, UncertainError
from ..keeping import confirmed_by
from ..options import WriteOptions
from ..state import UploadResult
from ..store import Origin, Target, is_upload_gone, parameters_beside
from .describing import parameters_for
from .protocol import metadata_of
from .record import Kind, Record, Status
from .shelf import Shelf


def options_for(shelf: Shelf, record: Record) -> WriteOptions:
    """How the object of an upload is written: as the server was told, and its client has said."""
    given = shelf.options.s3_additional_kwargs
    if record.kind is Kind.PARTIAL:
        # It is read by us alone, and by nobody's condition.
        return replace(
            shelf.options,
            if_match=None,
            if_none_match=None,
            s3_additional_kwargs=parameters_beside(given),
        )
    parameters = parameters_for(metadata_of(record.metadata), given)
    return replace(shelf.options, s3_additional_kwargs=parameters)


def target_of(shelf: Shelf, record: Record) -> Target:
    """The object of an upload, as whoever has begun it wanted it written."""
    options = options_for(shelf, record)
    checkpoint = record.checkpoint
    if checkpoint is None:
        return Target(shelf.fs.client, shelf.bucket, record.key, options)
    options = replace(options, **checkpoint.options)
    origin = Origin(checkpoint.writer_id)
    return Target(shelf.fs.client, shelf.bucket, record.key, options, origin=origin)


def offset_of(shelf: Shelf, record: Record) -> int:
    """The bytes that the store has of an upload.

    Raises `NotFoundError` when the multipart upload is gone: published, or aborted.
    """
    checkpoint = record.checkpoint
    if record.status is Status.FINISHED or checkpoint is None:
        return record.offset
    if checkpoint.upload_id is None:
        found = published(shelf, record)
        return record.offset if found is None else found.size
    listed = target_of(shelf, record).list_parts(checkpoint.upload_id).parts
    return confirmed_by(listed, checkpoint).offset


def published(shelf: Shelf, record: Record) -> UploadResult | None:
    """The object of an upload whose end was not written down, when it is proved to be its own."""
    checkpoint, whole = record.checkpoint, record.whole
    if checkpoint is None:
        return None
    target = target_of(shelf, record)
    if whole is not None:
        return target.find_whole(whole.size, whole.etag, whole.crc)
    if checkpoint.upload_id is None:
        return None
    try:
        target.list_parts(checkpoint.upload_id)
    except NotFoundError as error:
        if not is_gone(error):
            raise
    else:
        return None
    parts = list(checkpoint.gapless)
    if not parts:
        return None
    try:
        return target.find(checkpoint.upload_id, parts, sum(part.size for part in parts))
    except UncertainError:
        return None


def is_gone(error: BaseException) -> bool:
    """Whether it says that the multipart upload is not there any more."""
    while isinstance(error, NotFoundError):
        if is_upload_gone(error):
            return True
        if error.__cause__ is None:
            return False
        error = error.__cause__
    return False
