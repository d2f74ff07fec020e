"""The object that was there before: what mode `ab` writes behind, and only over.

Pure: what is known of it, and in which ranges it is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .options import MAX_PART_SIZE, GiB
from .state import UploadResult

# A quarter of the part numbers is left for what an object of 5 TiB grows by; smaller ranges are
# copied side by side.
_RANGE = 1 * GiB
_MOST_RANGES = 1_000


@dataclass(frozen=True)
class Predecessor:
    """An object: bytes, ETag, version, and the S3 parameters that made it what it is.

    `etag` is None, and there are no bytes, where there is no object yet.
    """

    size: int = 0
    etag: str | None = None
    version_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def ranges(self, least: int) -> list[tuple[int, int]]:
        """The ranges, of about the same size, in which the store copies it.

        None for an object under `least` bytes: S3 takes no such part before others.
        """
        if self.size < max(1, least):
            return []
        wanted = min(MAX_PART_SIZE, max(_RANGE, self.size // _MOST_RANGES))
        step = -(-self.size // -(-self.size // wanted))
        return [(start, min(start + step, self.size)) for start in range(0, self.size, step)]

    def as_result(self, bucket: str, key: str) -> UploadResult:
        """Itself, as what was published when nothing was written behind it."""
        assert self.etag is not None  # noqa: S101 - asked only where there is an object
        return UploadResult(bucket, key, self.etag, self.version_id, self.size, 0, None)
