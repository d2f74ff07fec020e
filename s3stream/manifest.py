"""Which parts an object is made of, as the store and those who have sent them agree.

Pure: compares what was said, asks nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .errors import S3StreamError
from .state import Receipt

# By part number, in order; several where a store lists a part that was sent again once more.
Listed = Mapping[int, tuple[Receipt, ...]]


def agreed(
    known: Mapping[int, Receipt],
    listed: Listed,
    *,
    strictly: bool,
    min_part_size: int,
    doubtful: Collection[int] = (),
) -> list[Receipt]:
    """The parts to complete, in order: all that are listed, as those who know them have sent them.

    Raises `S3StreamError` for a known part that is not listed as it was sent, a gap, none at all, a
    part before the last below `min_part_size`; and `strictly` for a listed one that nobody knows.
    So for an unknown one that is `doubtful`: the store does not tell which of two is the newer.
    """
    for number, receipt in known.items():
        there = listed.get(number, ())
        if not is_listed(receipt, listed):
            has = " and ".join(f"{one.size:,} bytes, ETag {one.etag}" for one in there)
            raise _refused(
                f"the store has {has or 'nothing'}, what was sent has {receipt.size:,} bytes, ETag"
                f" {receipt.etag}: somebody else has sent or removed it; send it again",
                number,
            )
    parts = [_best(known.get(number), listed[number]) for number in sorted(listed)]
    for number, part in enumerate(parts, 1):
        if strictly and part.part_number not in known:
            raise _refused(
                "the store has it, but it is not among the receipts; give its receipt too, or none"
                " at all to complete whatever is there",
                part.part_number,
            )
        if part.part_number in doubtful and part.part_number not in known:
            raise _refused(
                "it was sent more than once within a second, and the store does not tell which came"
                " last; give its receipt, or send it again",
                part.part_number,
            )
        if part.part_number != number:
            raise _refused("it was never sent, and there are parts behind it", number)
    if not parts:
        raise _refused("no part has been sent: there is nothing to complete", None)
    for part in parts[:-1]:
        if part.size < min_part_size:
            raise _refused(
                f"it has {part.size:,} bytes; every part but the last needs min_part_size="
                f"{min_part_size:,}",
                part.part_number,
            )
    return parts


def _best(known: Receipt | None, listed: tuple[Receipt, ...]) -> Receipt:
    """What was sent here is known better than the store tells it; but for a checksum, perhaps."""
    if known is None:
        return listed[-1]
    if known.crc is None:
        return next((one for one in listed if _are_same(known, one)), known)
    return known


def is_listed(receipt: Receipt, listed: Listed) -> bool:
    """Whether the store has the part that this receipt is for, and no other in its place."""
    return any(_are_same(receipt, one) for one in listed.get(receipt.part_number, ()))


def _are_same(one: Receipt, other: Receipt) -> bool:
    if None not in {one.crc, other.crc} and one.crc != other.crc:
        return False
    # Some stores quote ETags in one answer and not in the other.
    return one.size == other.size and one.etag.strip('"') == other.etag.strip('"')


def _refused(message: str, part_number: int | None) -> S3StreamError:
    return S3StreamError(f"not completed: {message}", part_number=part_number)
