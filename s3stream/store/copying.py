"""Objects made of others at the store: copied, merged, given other metadata.

No byte passes through this process. What S3's one call for it cannot take is made in parts, and
then has what that call would have taken along.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import AccessDeniedError, PreconditionError, TooLargeError, UsageError
from ..options import MAX_PART_SIZE, GiB, WriteOptions
from ..state import Receipt
from ..waiting import Cancellation
from .along import parameters_of, tagging, tags_of, with_source_key, without_empty_tagging
from .calls import call
from .facets import Facets
from .failures import translated
from .making import PartMaker, Within, make
from .parameters import Parameters
from .place import Place
from .target import Target

# One CopyObject takes 5 GiB; larger objects are copied in parts of this size.
_PART = 1 * GiB
# What CopyObject takes along by itself, but for the tags:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
_METADATA = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
)


@dataclass(frozen=True)
class _Piece:
    """Bytes of an object that become one part; the range is None for all of it."""

    source: Place
    etag: str
    size: int
    byte_range: tuple[int, int] | None


class Copies:
    """Makes objects out of others; `given` are S3 parameters for the calls.

    `options` say how large the parts of a merged object have to be. An object of more than
    `whole_up_to` bytes is made in parts: 5 GiB, the limit of CopyObject. After a `cancellation`
    nothing is repeated nor begun, and what was begun is removed.
    """

    def __init__(
        self,
        client: Any,
        given: Mapping[str, Any],
        options: WriteOptions | None = None,
        *,
        whole_up_to: int = MAX_PART_SIZE,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._client = client
        self._given = with_source_key(given)
        self._parameters = Parameters(client, self._given)
        self._options = options or WriteOptions()
        self._whole_up_to = whole_up_to
        self._cancellation = cancellation or Cancellation()

    def copy(self, source: Place, dest: Place) -> None:
        """Copy an object of any size, with its metadata, content type and tags.

        As S3's CopyObject does: storage class, encryption and ACL are those of a new object, and
        what is given instead of metadata or tags counts with `MetadataDirective="REPLACE"`
        or `TaggingDirective="REPLACE"`. Raises `NotFoundError` when there is nothing to copy.
        """
        head = self._look_at(source)
        keeps_metadata = self._given.get("MetadataDirective") != "REPLACE"
        keeps_tags = self._given.get("TaggingDirective") != "REPLACE"
        # S3 ignores them by itself; rclone does not.
        ignored = {*(_METADATA if keeps_metadata else ()), *(("Tagging",) if keeps_tags else ())}
        parameters = {n: value for n, value in self._given.items() if n not in ignored}
        if head["ContentLength"] <= self._whole_up_to:
            arguments = Parameters(self._client, parameters).of("CopyObject")
            arguments |= {**dest.arguments, "CopySource": source.arguments}
            self._cancellation.check()
            with translated(f"cannot copy {source}", **dest.where):
                call(self._client, "copy_object", arguments, self._cancellation)
            return
        if keeps_metadata:
            along = parameters_of(self._client, head)
            parameters |= {name: along[name] for name in _METADATA if name in along}
        if keeps_tags:
            parameters |= tagging(self._tags_of(source))
        self._make(dest, parameters, self._pieces(source, head))

    def change_metadata(
        self,
        place: Place,
        change: Callable[[Mapping[str, str]], dict[str, str]],
        instead: Mapping[str, Any],
    ) -> None:
        """Give an object the metadata that `change` makes of its own.

        All else that it was written with stays, but for what `instead` says, and for its ACL. The
        object is copied over itself: `PreconditionError` when it was replaced meanwhile.
        """
        head = self._look_at(place)
        along = parameters_of(self._client, head)
        # What the object says of itself is nearer than what new objects are given by default.
        told = self._client.meta.service_model.operation_model("HeadObject").output_shape.members
        defaults = {
            name: value
            for name, value in self._given.items()
            if name not in told or name.startswith("SSECustomer")
        }
        metadata = change(along.pop("Metadata"))
        parameters = {**defaults, **along, **instead, "Metadata": metadata}
        whole = head["ContentLength"] <= self._whole_up_to
        tags: dict[str, str] = {}
        if "Tagging" not in instead:
            parameters.pop("Tagging", None)
            tags = self._tags_of(place, needed=not whole)
        if not whole:
            self._make(place, parameters | tagging(tags), self._pieces(place, head))
            return
        arguments = Parameters(self._client, parameters).of("CopyObject")
        arguments |= {"MetadataDirective": "REPLACE", "CopySourceIfMatch": head["ETag"]}
        arguments |= {"TaggingDirective": "REPLACE"} if "Tagging" in instead else {}
        arguments |= {**place.arguments, "CopySource": place.arguments}
        with translated("cannot change the metadata", **place.where):
            call(self._client, "copy_object", arguments)
        if tags and self._tags_of(place) != tags:
            # Ceph 16 loses them where metadata is replaced.
            Facets(self._client, self._given).put_tags(place, tags)

    def merge(self, sources: Sequence[Place], dest: Place) -> None:
        """Make one object of several, in their order; they stay.

        Each but the last that is not empty needs `min_part_size` bytes: `UsageError` before
        anything is begun.
        """
        heads = [(source, self._look_at(source)) for source in sources]
        heads = [(source, head) for source, head in heads if head["ContentLength"]]
        if not heads:
            raise UsageError("nothing to merge: there is no byte in what is named", **dest.where)
        least = self._options.min_part_size
        for source, head in heads[:-1]:
            if head["ContentLength"] < least:
                raise UsageError(
                    f"cannot merge: {source} has {head['ContentLength']:,} bytes, and all but the"
                    f" last need {least:,}, for the store copies parts; read it, and write it",
                    **dest.where,
                )
        pieces = itertools.chain.from_iterable(self._pieces(*pair) for pair in heads)
        self._make(dest, self._given, pieces)

    def _look_at(self, source: Place) -> dict[str, Any]:
        prefix = "CopySource"
        given = self._parameters.of("CopyObject")
        # Of the parameters of a copy some are the source's: for looking at it they lose the prefix.
        asking = {
            name.removeprefix(prefix): value
            for name, value in given.items()
            if name.startswith(f"{prefix}SSE") or name == "RequestPayer"
        }
        # Whose the bucket is counts for both, unless another owner is named for the source's.
        owner = given.get("ExpectedSourceBucketOwner", given.get("ExpectedBucketOwner"))
        asking |= {} if owner is None else {"ExpectedBucketOwner": owner}
        with translated("cannot find what is to be copied", **source.where):
            return call(self._client, "head_object", {**asking, **source.arguments})

    def _tags_of(self, source: Place, *, needed: bool = True) -> dict[str, str]:
        asking = {**self._parameters.of("GetObjectTagging"), **source.arguments}
        try:
            return tags_of(self._client, asking, f"cannot copy {source}")
        except AccessDeniedError:
            if needed:
                raise
            return {}  # CopyObject refuses by itself what has tags that we may not read

    def _pieces(self, source: Place, head: Mapping[str, Any]) -> Iterator[_Piece]:
        size, etag = head["ContentLength"], head["ETag"]
        for start, end in ranges(size, min(_PART, self._whole_up_to), self._options.max_parts):
            whole = (start, end) == (0, size)
            yield _Piece(source, etag, end - start, None if whole else (start, end))

    def _make(self, dest: Place, parameters: Mapping[str, Any], pieces: Iterable[_Piece]) -> None:
        pieces = list(pieces)
        if len(pieces) > self._options.max_parts:
            raise TooLargeError(
                f"cannot copy: it takes {len(pieces):,} parts, and there may be"
                f" {self._options.max_parts:,}",
                **dest.where,
            )
        sizes = [piece.size for piece in pieces]
        if self._options.equal_parts and {*sizes[:-1], max(sizes)} != {sizes[0]}:
            raise UsageError(
                "cannot merge: the store wants equal parts, and what is named is not of one size;"
                " read it, and write it",
                **dest.where,
            )
        options = WriteOptions(
            checksum=self._options.checksum, s3_additional_kwargs=without_empty_tagging(parameters)
        )
        cancellation = Within(self._cancellation)
        target = Target(self._client, dest.bucket, dest.key, options, cancellation)
        making = [self._maker(target, piece) for piece in pieces]

        def check(upload_id: str, receipts: list[Receipt]) -> None:
            # Not every store heeds the condition that the ETag is still the same.
            for source, etag in dict.fromkeys((piece.source, piece.etag) for piece in pieces):
                if self._look_at(source)["ETag"] != etag:
                    raise PreconditionError(f"{source} was replaced while it was copied")

        make(target, making, cancellation, self._options.max_concurrency, ready=check)

    def _maker(self, target: Target, piece: _Piece) -> PartMaker:
        source = (piece.source.bucket, piece.source.key)
        version_id = piece.source.version_id

        def copied(upload_id: str, number: int) -> Receipt:
            return target.copy_part(
                upload_id, number, source, piece.etag, piece.byte_range, piece.size, version_id
            )

        return copied


def ranges(size: int, part: int, max_parts: int) -> list[tuple[int, int]]:
    """Cut `size` bytes into ranges of the same length, the last one shorter.

    At most `part` bytes, or what `max_parts` need, and as near to each other as that allows.
    """
    number = max(1, min(-(-size // part), max_parts))
    step = max(1, -(-size // number))
    return [(start, min(start + step, size)) for start in range(0, size, step)]
