"""What lies beside an object while it is on its way: the tail of a suspended upload.

A tail is named after its upload and the offset at which it begins. So one that comes later at the
same place begins with the same bytes, and one at another place leaves it alone: whatever has been
promised stays there until the object is published or given up.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

from .checkpoint import Tail
from .checksums import ALGORITHMS
from .errors import IntegrityError, UsageError
from .options import WriteOptions
from .parts import Buffer
from .store import Objects, Target, parameters_beside

# Digits of the largest offset: an object may have some 50 TB.
_DIGITS = 14


class Tails:
    """The tails of uploads of one object."""

    def __init__(self, client: Any, bucket: str, key: str, options: WriteOptions) -> None:
        given = parameters_beside(options.s3_additional_kwargs)
        self._client = client
        self._bucket = bucket
        self._begin = f"{key}{options.beside}-tail-"
        self._options = dataclasses.replace(
            options, if_match=None, if_none_match=None, s3_additional_kwargs=given
        )

    def refuse_a_key_too_long(self) -> None:
        """Raise `UsageError` when a tail could not be named; sends nothing."""
        longest = f"{self._of('')}{'9' * _DIGITS}"
        try:
            Target(self._client, self._bucket, longest, self._options)
        except UsageError as error:
            raise UsageError(
                "the key is too long for an upload that can be suspended, whose tail lies beside"
                f" the object: {error.message}; choose a shorter key, or a shorter beside="
            ) from error

    def put(self, upload_id: str, offset: int, body: Buffer) -> Tail:
        """Keep the bytes that begin at `offset` and are too few for a part."""
        key = f"{self._of(upload_id)}{offset}"
        result = Target(self._client, self._bucket, key, self._options).put(body)
        checksum = None if result.checksum is None else result.checksum.value
        return Tail(key, offset, len(body), checksum)

    def read(self, tail: Tail) -> Iterator[bytes]:
        """The bytes of a tail, in small pieces; at the end it is sure that it is them.

        Raises `NotFoundError` when it is gone, `IntegrityError` when it is another.
        """
        where: dict[str, Any] = {"bucket": self._bucket, "key": tail.key}
        algorithm = ALGORITHMS[self._options.checksum] if self._options.checksum else None
        objects = Objects(self._client, self._options.s3_additional_kwargs)
        crc = size = 0
        for piece in objects.pieces(self._bucket, tail.key, 0, tail.size):
            size += len(piece)
            if algorithm is not None:
                crc = algorithm.combine(crc, algorithm.compute(piece), len(piece))
            yield piece
        if size != tail.size:
            raise IntegrityError(
                f"the tail of a suspended upload has {size:,} bytes, {tail.size:,} were kept",
                **where,
            )
        if algorithm is not None and algorithm.encode(crc) != (tail.checksum or ""):
            raise IntegrityError(
                f"the tail of a suspended upload has {algorithm.name} {algorithm.encode(crc)},"
                f" what was kept has {tail.checksum}",
                **where,
            )

    def remove(self, upload_id: str) -> None:
        """Remove all tails of an upload that has ended."""
        objects = Objects(self._client, self._options.s3_additional_kwargs)
        found, _ = objects.list(self._bucket, self._of(upload_id))
        for version in found:
            objects.delete(self._bucket, version.key)

    def _of(self, upload_id: str) -> str:
        # Of the upload, because another one of the same object may be suspended too.
        named = hashlib.sha256(upload_id.encode()).hexdigest()[:12]
        return f"{self._begin}{named}-"
