"""What all calls about one object to be written have in common.

Its names, parameters, checksum and condition, and what is known of the object at its place.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ..checksums import ALGORITHMS
from ..errors import IntegrityError, PreconditionError
from ..meter import Tally
from ..options import WriteOptions
from ..predecessor import Predecessor
from ..state import Receipt, combined_crc
from ..waiting import Cancellation
from .bodies import Body, crc_of
from .calls import call, listen
from .conditions import refuse_unless_heeded
from .failures import OBJECT_GONE, code_of, translated
from .parameters import Parameters, check_name, guess_content_type
from .proof import REPLACED, WRITER_ID, Proof

_ENDING_CALLS = (
    "ListParts",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "HeadObject",
)
_CUSTOMERS_KEY = "SSECustomerKey"  # and its MD5


@dataclass(frozen=True)
class Origin:
    """How an upload was begun, as far as whoever takes it up has to know.

    `writer_id`: in the metadata of an object that is published under a condition. `composite`: it
    was begun with a checksum of the parts' checksums, and will have none of the whole object.
    """

    writer_id: str | None = None
    composite: bool = False


class Addressed:
    """The object `key` of `bucket`, as these options want it written.

    Raises `UsageError` for S3 parameters that cannot be. Sends nothing when made. A `cancellation`
    ends the repeating of calls that start an upload or send a part. `origin` is that of an upload
    that was begun by another Target. A `predecessor` is the only object that it may replace, as far
    as the store heeds conditions; those of the options are refused where it does not.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        options: WriteOptions,
        cancellation: Cancellation | None = None,
        origin: Origin | None = None,
        predecessor: Predecessor | None = None,
    ) -> None:
        self.bucket = bucket
        self.key = key
        self._client = client
        self._cancellation = cancellation
        check_name(bucket, key)
        self._parameters = Parameters(client, options.s3_additional_kwargs)
        self.pace = listen(client)
        self.tally = Tally()
        # More at once would each be a connection of its own that is thrown away afterwards.
        self.connections: int = client.meta.config.max_pool_connections
        self._content_type = guess_content_type(key)
        self._algorithm = None if options.checksum is None else ALGORITHMS[options.checksum]
        self._condition: dict[str, str] = {}
        if options.if_match is not None:
            self._condition = {"IfMatch": options.if_match}
        if options.if_none_match is not None:
            self._condition = {"IfNoneMatch": options.if_none_match}
        self._predecessor = predecessor
        if predecessor is not None:
            etag = predecessor.etag
            self._condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        self.origin = origin or Origin(uuid.uuid4().hex if self._condition else None)
        self._proof = Proof(
            self._algorithm,
            self.origin.writer_id,
            exclusive="IfNoneMatch" in self._condition and predecessor is None,
            appends=predecessor is not None,
        )

    @property
    def parameters_of_the_end(self) -> dict[str, Any]:
        """Of the S3 parameters, what the calls that end an upload know; no secrets."""
        given: dict[str, Any] = {}
        for name in _ENDING_CALLS:
            given |= self._parameters.of(name)
        return {n: value for n, value in given.items() if not n.startswith(_CUSTOMERS_KEY)}

    def refuse_unheeded(self, operation: str) -> None:
        """Raise `UsageError` when the store ignores the condition in that call, and would replace.

        Finds it out by trying, once for each endpoint.
        """
        if self._predecessor is None:
            for condition in self._condition:
                refuse_unless_heeded(
                    self._client,
                    self.bucket,
                    self.key,
                    self._parameters,
                    (operation, condition),
                    self._cancellation,
                )

    def _refuse_if_replaced(self) -> None:
        """Leave a store that ignores conditions no more than the time of one call to go wrong."""
        if self._predecessor is None:
            return
        with translated("cannot look at what is appended to", **self._where(None)):
            try:
                etag = self._look()["ETag"]
            except ClientError as error:
                if code_of(error) not in OBJECT_GONE:
                    raise
                etag = None
        if etag != self._predecessor.etag:
            raise self._replaced()

    def _replaced(self) -> PreconditionError:
        return PreconditionError(REPLACED, **self._where(None))

    def _look(self) -> dict[str, Any]:
        mode = {} if self._algorithm is None else {"ChecksumMode": "ENABLED"}
        return self._call("head_object", self._for("HeadObject", **mode))

    def _call(
        self, method: str, arguments: dict[str, Any], cancellation: Cancellation | None = None
    ) -> dict[str, Any]:
        return call(self._client, method, arguments, cancellation, self.tally)

    def _for(self, call: str, **arguments: Any) -> dict[str, Any]:
        given = self._parameters.of(call)
        return {"Bucket": self.bucket, "Key": self.key, **given, **arguments}

    def _for_new_object(self, call: str) -> dict[str, Any]:
        arguments = self._for(call)
        if self._content_type is not None:
            arguments.setdefault("ContentType", self._content_type)
        if self.origin.writer_id is not None:
            metadata = {**arguments.get("Metadata", {}), WRITER_ID: self.origin.writer_id}
            arguments["Metadata"] = metadata
        return arguments

    def _where(self, upload_id: str | None, part_number: int | None = None) -> dict[str, Any]:
        return {
            "bucket": self.bucket,
            "key": self.key,
            "upload_id": upload_id,
            "part_number": part_number,
        }

    def _crc_of_parts(self, receipts: list[Receipt]) -> int | None:
        whole = self._algorithm is not None and not self.origin.composite
        return combined_crc(receipts, self._algorithm) if self._algorithm and whole else None

    def _add_checksum(self, arguments: dict[str, Any], body: Body) -> int | None:
        if self._algorithm is None:
            return None
        crc = crc_of(self._algorithm, body)
        arguments[self._algorithm.field] = self._algorithm.encode(crc)
        return crc

    def _check_answered_crc(
        self, answer: dict[str, Any], crc: int | None, where: dict[str, Any]
    ) -> None:
        if self._algorithm is None or crc is None:
            return
        ours, theirs = self._algorithm.encode(crc), answer.get(self._algorithm.field)
        if theirs is not None and theirs != ours:
            raise IntegrityError(
                f"the store has {self._algorithm.name} {theirs}, what was written has {ours}",
                **where,
            )
