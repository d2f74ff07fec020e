"""The checksums that S3 can prove for a whole object: one per part, combined into one.

Pure arithmetic on bytes and numbers; awscrt does it in C and without the GIL. Only CRCs can be
combined: the CRC of a whole follows from those of its parts, which is what S3 calls FULL_OBJECT.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from awscrt import checksums as crt


@dataclass(frozen=True)
class Algorithm:
    """One CRC: how to compute it, how to combine two, and what S3 calls it."""

    name: str
    width: int
    compute: Callable[[Any], int]
    combine: Callable[[int, int, int], int]

    @property
    def s3_name(self) -> str:
        """The value of ChecksumAlgorithm."""
        return self.name.upper()

    @property
    def field(self) -> str:
        """The name of S3's request and response field, such as ChecksumCRC64NVME."""
        return f"Checksum{self.s3_name}"

    def encode(self, value: int) -> str:
        """Write a checksum as S3 does: base64 of the big-endian bytes."""
        return base64.b64encode(value.to_bytes(self.width, "big")).decode("ascii")

    def decode(self, text: str) -> int:
        """Read a checksum that S3 has written."""
        return int.from_bytes(base64.b64decode(text), "big")


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("crc64nvme", 8, crt.crc64nvme, crt.combine_crc64nvme),
        Algorithm("crc32c", 4, crt.crc32c, crt.combine_crc32c),
        Algorithm("crc32", 4, crt.crc32, crt.combine_crc32),
    )
}
