"""What can be asked of a started upload by whoever has the arguments of the call ready.

Its parts and its end; neither knows nor chooses the upload.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError

from ..checksums import ALGORITHMS, Algorithm
from ..state import Receipt
from ..waiting import Cancellation
from .failures import UPLOAD_GONE, code_of
from .pages import pages

# Makes a call of this method, with these arguments, until it is cancelled.
Ask = Callable[[str, dict[str, Any], Cancellation | None], dict[str, Any]]

_NEVER = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Listing:
    """What a store says of an upload: its parts, and the checksum that it was started with.

    `parts`: by part number, in order. Each but one of a store that lists a part which was sent
    again once more has one receipt; the last is the newest, as far as the store tells.
    `doubtful`: numbers of which the newest two, by the store's clock, are as old as each other.
    `checksum`: S3's name of the algorithm, None where none is named. `composite`: of the whole
    object there is no checksum, only one of the parts' checksums. `since`: when the oldest of the
    parts came, by the store's clock; None where it does not tell.
    """

    parts: dict[int, tuple[Receipt, ...]]
    doubtful: frozenset[int]
    checksum: str | None
    composite: bool
    since: datetime | None = None


def list_parts(ask: Ask, arguments: dict[str, Any], where: dict[str, Any]) -> Listing:
    """List all parts of an upload. Raises botocore's errors."""
    found: list[dict[str, Any]] = []
    checksum = kind = None
    for page in pages(
        lambda **following: ask("list_parts", following, None),
        ("PartNumberMarker",),
        arguments,
        where,
    ):
        found += page.get("Parts", ())
        checksum = page.get("ChecksumAlgorithm", checksum)
        kind = page.get("ChecksumType", kind)
    found.sort(key=lambda part: (part["PartNumber"], part.get("LastModified", _NEVER)))
    algorithm = ALGORITHMS.get((checksum or "").lower())
    parts: dict[int, tuple[Receipt, ...]] = {}
    newest: dict[int, datetime] = {}
    doubtful: set[int] = set()
    for part in found:
        number, at = part["PartNumber"], part.get("LastModified", _NEVER)
        receipt = _receipt(part, algorithm)
        before = parts.get(number, ())
        if before and before[-1].etag == receipt.etag:
            continue
        (doubtful.add if newest.get(number) == at else doubtful.discard)(number)
        newest[number] = at
        parts[number] = (*before, receipt)
    # Only CRC64NVME has no other kind:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
    composite = kind == "COMPOSITE" or (kind is None and checksum not in {None, "CRC64NVME"})
    since = min((part.get("LastModified", _NEVER) for part in found), default=_NEVER)
    return Listing(
        parts, frozenset(doubtful), checksum, composite, None if since == _NEVER else since
    )


def _receipt(part: dict[str, Any], algorithm: Algorithm | None) -> Receipt:
    said = None if algorithm is None else part.get(algorithm.field)
    crc = algorithm.decode(said) if algorithm is not None and said else None
    return Receipt(part["PartNumber"], part["Size"], part["ETag"], crc)


def abort_once(ask: Ask, arguments: dict[str, Any], patience: Cancellation | None) -> bool:
    """Ask once for the end of an upload; whether it was gone already. Raises botocore's errors."""
    try:
        ask("abort_multipart_upload", arguments, patience)
    except ClientError as error:
        if code_of(error) not in UPLOAD_GONE:
            raise
        return True
    return False
