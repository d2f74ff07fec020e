"""S3 as fsspec's file system `s3stream`: our writer, fsspec's buffered reader, plain calls between.

Only puts fsspec's face on the rooms below; decides nothing about uploads. In layers, each a class
on top of the one before: `connection`, `looking`, `finding`, `describing`, `opening`, `buckets`,
`changing`, `several`, `moving`, `whole`, `many`.
"""

from __future__ import annotations

from ..uri import SCHEMES
from .many import Many
from .names import OPEN_OPTIONS, refuse_unknown, take_connection

__all__ = ["OPEN_OPTIONS", "S3StreamFileSystem", "refuse_unknown", "take_connection"]


class S3StreamFileSystem(Many):
    """Files in S3, `s3stream://bucket/key`.

    Options, by s3fs's names: `anon key secret token profile endpoint_url use_ssl client_kwargs
    config_kwargs s3_additional_kwargs requester_pays version_aware default_block_size
    default_cache_type`, or a ready boto3 client as `client`; `store`, the name of a store that is
    known, where its endpoint does not tell; S3's own parameters, by S3's names; and every field of
    `WriteOptions`, as the default of the files it opens. What is not given comes from boto3's
    environment variables and files. Without `client` it can be pickled and makes its client where
    it is used, anew after a fork.

    `requester_pays`: say in every call that we pay. `version_aware`: read the versions that a
    bucket keeps, by `version_id=` or as `bucket/key?versionId=…`; a file that is open then reads on
    when its object is replaced. `default_block_size`: bytes that reading fetches at once, and the
    `part_size` of writing where that is not given. `fixed_upload_size=True` is `equal_parts=True`.
    `batch_size`: requests at once of what is done to several objects (32; -1: as many as the client
    keeps connections, and never more).

    Raises `UsageError` for an option that is none, `AccessDeniedError` without credentials.
    """

    protocol = SCHEMES
