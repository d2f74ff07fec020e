"""A file that is at the store, all of it, and waits for somebody to publish it; pure.

Knows what whoever publishes or discards it has to be told, and nothing of how that is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .state import Receipt


@dataclass(frozen=True)
class PreparedUpload:
    """A receipt for a file whose parts are all at the store, and which is no object yet.

    `prepare()` of a file returns it; a `Dataset` publishes it or removes it, in whatever process:
    it can be pickled. Until then it is an unfinished upload, and costs storage for its `size`.

    Holds no credentials and no customer's key (SSE-C): the `Dataset` is given those. `parts` are
    the store's word for each part, with its checksum; `parameters` those of S3's own that belong to
    the calls still to come.
    """

    bucket: str
    key: str
    upload_id: str
    parts: tuple[Receipt, ...]
    checksum: str | None
    if_match: str | None = None
    if_none_match: str | None = None
    writer_id: str | None = None
    # May say whose bucket it is.
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def size(self) -> int:
        """Bytes of the object that it will be."""
        return sum(part.size for part in self.parts)

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"s3://{self.bucket}/{self.key}"
