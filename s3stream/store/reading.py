"""Objects listed page by page, and read in ranges of one version, for whoever reads many of them.

Every answer is held against what was asked for, for some stores ignore If-Match.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import NotFoundError, PreconditionError, S3StreamError
from ..options import KiB, MiB
from ..pace import Pace
from ..waiting import Cancellation
from .calls import call, listen
from .failures import code_of, translated
from .pages import pages
from .parameters import Parameters

# From here on bytes lie in pages of their own, which go back to the system when they were used.
# Allocated by many threads, a few MiB at a time, they would leave holes as large as themselves.
_IN_PAGES = 1 * MiB
_AT_A_TIME = 256 * KiB
# Botocore repeats the call and not the reading of its answer.
_READS = 5


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it; `etag` is empty where the store's listing has none."""

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Range:
    """Bytes of an object, and what the store says of the whole of it."""

    data: bytes | mmap.mmap
    etag: str
    modified: datetime
    content_type: str | None
    metadata: Mapping[str, str]


def endpoint_of(client: Any) -> str:
    """What the same bucket and key mean the same at; all of AWS is one, in whatever region."""
    url: str = client.meta.endpoint_url
    host = url.partition("://")[2].partition("/")[0]
    return "amazonaws.com" if host.endswith(".amazonaws.com") else url.rstrip("/")


def connections_of(client: Any) -> int:
    """How many connections a client keeps; more at once would be thrown away after one use."""
    connections: int = client.meta.config.max_pool_connections
    return connections


class Reader:
    """Reads with a client; `given` are S3 parameters for its calls. For any number of threads."""

    def __init__(
        self, client: Any, given: Mapping[str, Any], cancellation: Cancellation | None = None
    ) -> None:
        self._client = client
        self._parameters = Parameters(client, given)
        self._cancellation = cancellation
        self.pace: Pace = listen(client)
        self.connections = connections_of(client)

    def objects(self, bucket: str, prefix: str) -> Iterator[ListedObject]:
        """All objects whose key begins with `prefix`, as listed; holds one page of them."""
        arguments = {"Bucket": bucket, "Prefix": prefix, **self._parameters.of("ListObjectsV2")}
        where = {"bucket": bucket, "key": prefix}

        def page_of(**following: Any) -> dict[str, Any]:
            return call(self._client, "list_objects_v2", following, self._cancellation)

        with translated("cannot list", **where):
            for page in pages(page_of, ("ContinuationToken",), arguments, where):
                for entry in page.get("Contents", ()):
                    yield ListedObject(
                        entry["Key"], entry["Size"], entry.get("ETag", ""), entry["LastModified"]
                    )

    def look(self, bucket: str, key: str) -> ListedObject | None:
        """The object of this key; None when there is none."""
        arguments = {"Bucket": bucket, "Key": key, **self._parameters.of("HeadObject")}
        try:
            with translated("cannot look at the object", bucket=bucket, key=key):
                answer = call(self._client, "head_object", arguments, self._cancellation)
        except NotFoundError:
            return None
        return ListedObject(key, answer["ContentLength"], answer["ETag"], answer["LastModified"])

    def read(
        self, bucket: str, key: str, start: int, end: int, *, size: int, etag: str | None
    ) -> Range:
        """Read bytes `start` to `end` (not included) of an object of `size` bytes.

        Raises `PreconditionError` when it has another ETag or size by now, `NotFoundError` when it
        is gone. A reading that breaks off is begun anew, a few times.
        """
        where = {"bucket": bucket, "key": key}
        arguments = {"Bucket": bucket, "Key": key, **self._parameters.of("GetObject")}
        if etag:
            arguments["IfMatch"] = etag
        if end - start != size:
            arguments["Range"] = f"bytes={start}-{end - 1}"
        with translated("cannot read", **where):
            for left in reversed(range(_READS)):
                try:
                    return self._read_once(arguments, end - start, size, etag, where)
                except BotoCoreError:  # noqa: PERF203 - each attempt may fail
                    if self._cancellation is not None:
                        self._cancellation.check()
                    if left == 0:
                        raise
                except ClientError as error:
                    ours = _explained(error, where)
                    if ours is None:
                        raise
                    raise ours from error
        raise AssertionError("the last attempt returns or raises")

    def _read_once(
        self,
        arguments: dict[str, Any],
        expected: int,
        size: int,
        etag: str | None,
        where: dict[str, Any],
    ) -> Range:
        answer = call(self._client, "get_object", arguments, self._cancellation)
        with closing(answer["Body"]) as body:
            # Before a byte is read: whatever is there now may be of any size.
            if etag and answer["ETag"].strip('"') != etag.strip('"'):
                raise PreconditionError("the object was replaced since it was listed", **where)
            whole = answer.get("ContentRange", f"/{answer['ContentLength']}").rpartition("/")[2]
            if answer["ContentLength"] != expected or whole not in {str(size), "*"}:
                raise PreconditionError(
                    f"the object was replaced since it was listed: it had {size:,} bytes, now it"
                    f" has {whole}",
                    **where,
                )
            data = _data_of(body, expected)
        return Range(
            data,
            answer["ETag"],
            answer["LastModified"],
            answer.get("ContentType"),
            answer["Metadata"],
        )


def _data_of(body: Any, size: int) -> bytes | mmap.mmap:
    if size < _IN_PAGES:
        data: bytes = body.read()
        return data
    pages = mmap.mmap(-1, size)
    while piece := body.read(_AT_A_TIME):
        pages.write(piece)
    return pages


def _explained(error: ClientError, where: dict[str, Any]) -> S3StreamError | None:
    """What a refusal means here, where that is more than its code says."""
    code = code_of(error)
    if code == "NoSuchBucket":
        # Not the end of one object: nobody has asked to pass over all that is left.
        return S3StreamError("cannot read: the bucket is gone", **where)
    if code in {"InvalidRange", "416"}:
        return PreconditionError(
            "the object was replaced since it was listed: it is shorter now", **where
        )
    return None
