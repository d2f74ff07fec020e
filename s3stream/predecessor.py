"""The object that was there before: what mode `ab` writes behind, and only over.

Pure: what is known of it, and in which ranges it is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import TooLargeError
from .options import MAX_PART_SIZE, GiB, WriteOptions
from .state import UploadResult

# Smaller ranges are copied side by side, but they take part numbers of what is to come.
_RANGE = 1 * GiB
_SHARE_OF_PARTS = 8


@dataclass(frozen=True)
class Predecessor:
    """An object: bytes, ETag, version, and the S3 parameters that made it what it is.

    `etag` is None, and there are no bytes, where there is no object yet.
    """

    size: int = 0
    etag: str | None = None
    version_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def ranges(self, options: WriteOptions) -> list[tuple[int, int]]:
        """The ranges, of about the same size, in which the store copies it.

        None for an object under the minimum of a part: S3 takes no such part before others. Raises
        `TooLargeError` when they would need all part numbers.
        """
        if self.size < options.min_part_size:
            return []
        most = max(1, options.max_parts // _SHARE_OF_PARTS)
        wanted = min(MAX_PART_SIZE, max(_RANGE, -(-self.size // most)))
        count = -(-self.size // wanted)
        if count >= options.max_parts:
            raise TooLargeError(
                f"cannot append to an object of {self.size:,} bytes: to copy it takes {count:,} of"
                f" {options.max_parts:,} parts"
            )
        step = -(-self.size // count)
        return [(start, min(start + step, self.size)) for start in range(0, self.size, step)]

    def as_result(self, bucket: str, key: str) -> UploadResult:
        """Itself, as what was published when nothing was written behind it."""
        assert self.etag is not None  # noqa: S101 - asked only where there is an object
        return UploadResult(bucket, key, self.etag, self.version_id, self.size, 0, None)
