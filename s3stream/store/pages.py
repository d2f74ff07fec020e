"""A listing of the store, page after page, of whatever kind.

Knows how S3's pages follow each other, not what is on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import S3StreamError


def pages(
    listing: Callable[..., dict[str, Any]],
    markers: tuple[str, ...],
    arguments: dict[str, Any],
    where: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Every page of a listing which goes on from the `markers` that the page before has named.

    Raises `S3StreamError`, which says `where`, for a listing that would never end.
    """
    seen = set()
    following: dict[str, Any] = {}
    while True:
        page = listing(**arguments, **following)
        yield page
        if not page.get("IsTruncated"):
            return
        following = {name: page[f"Next{name}"] for name in markers if page.get(f"Next{name}")}
        named = tuple(following.items())
        # One known store repeats its first page for ever.
        if not named or named in seen:
            raise S3StreamError(
                f"the store's listing does not end: it is to go on from {following}, as before",
                **where,
            )
        seen.add(named)
