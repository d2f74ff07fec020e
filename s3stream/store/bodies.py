"""What a part's bytes can lie in, its length and its checksum."""

from __future__ import annotations

from ..checksums import Algorithm
from ..options import MiB
from ..parts import Buffer
from ..regions import FileRegion

Body = bytes | Buffer | FileRegion


def size_of(body: Body) -> int:
    """How many bytes will be sent."""
    return body.size if isinstance(body, FileRegion) else len(body)


def crc_of(algorithm: Algorithm, body: Body) -> int:
    """The checksum of a body; of a region it is read in pieces, and begins anew afterwards."""
    if not isinstance(body, FileRegion):
        return algorithm.compute(body)
    crc = 0
    while piece := body.read(MiB):
        crc = algorithm.combine(crc, algorithm.compute(piece), len(piece))
    body.seek(0)
    return crc
