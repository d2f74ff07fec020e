"""What a server's own code is told of an upload, and what it may answer; pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Upload:
    """One upload, as hooks see it.

    `id` is the last piece of its URL, and the right to write and delete it: not for names of
    objects, nor for logs. `name`, made of it, is. `length` in bytes; None until it is known.
    `metadata`: what the client has said, as it has said it. `headers` are those of the request that
    the hook is called in, names in lower case. `key` is None for `naming=`; `etag` and `version_id`
    are there once the object is. A `partial` one will be joined with others.
    """

    id: str = field(repr=False)
    name: str
    bucket: str
    length: int | None
    metadata: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    partial: bool = False
    key: str | None = None
    etag: str | None = None
    version_id: str | None = None


# What is called: to name an object; before an upload is there, and after its object is.
Naming = Callable[[Upload], str]
Hook = Callable[[Upload], Awaitable[None]]


def by_name(upload: Upload) -> str:
    """The key of an object where nobody says otherwise."""
    return upload.name
