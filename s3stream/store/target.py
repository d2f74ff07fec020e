"""One object to be written: the calls that bring it there, and the proof that it is there.

Every method does its work on the caller's thread (botocore retries inside it) and may be called
from any thread; what was asked and what came of it is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import PreconditionError, S3StreamError
from ..parts import Buffer
from ..state import Checksum, Receipt, UploadResult
from ..waiting import Cancellation
from .addressed import Addressed
from .bodies import Body, size_of
from .calls import be_quick, lost_answers
from .conditions import COMPLETE
from .failures import (
    CONDITION_FAILED,
    NOT_ALLOWED,
    UPLOAD_GONE,
    code_of,
    status_of,
    translated,
)
from .leftover import see_to_leftover
from .proof import etag_of_parts, was_retried
from .started import Listing, abort_once, list_parts

# A part that arrives at the store while its upload is being aborted may survive the abort.
_ABORTS = 3
_HURRIED_SECONDS = 2.0

_log = logging.getLogger("s3stream")


class Target(Addressed):
    """The object, and the calls that bring it to its place; made as `Addressed` says."""

    def create(self) -> str:
        """Start a multipart upload and return its upload_id.

        Raises `UsageError` when the store would ignore the condition under which it is completed.
        """
        self.refuse_unheeded(COMPLETE)
        arguments = self._for_new_object("CreateMultipartUpload")
        if self._algorithm is not None:
            arguments["ChecksumAlgorithm"] = self._algorithm.s3_name
            arguments["ChecksumType"] = "FULL_OBJECT"
        with translated("cannot start the upload", bucket=self.bucket, key=self.key):
            answer = self._call("create_multipart_upload", arguments, self._cancellation)
        if lost_answers(answer):
            # Nothing in a listing tells it from an upload that somebody else has just begun.
            _log.warning(
                "s3://%s/%s: the answer to CreateMultipartUpload was lost and it was asked again;"
                " an empty unfinished upload may be left, which s3stream.list_uploads() shows",
                self.bucket,
                self.key,
            )
        return str(answer["UploadId"])

    def upload_part(self, upload_id: str, number: int, body: Body) -> Receipt:
        """Send a part. Raises `IntegrityError` when the store has counted another checksum."""
        where = self._where(upload_id, number)
        arguments = self._for("UploadPart", UploadId=upload_id, PartNumber=number)
        crc = self._add_checksum(arguments, body)
        with translated("cannot upload", **where):
            answer = self._call("upload_part", {**arguments, "Body": body}, self._cancellation)
        self._check_answered_crc(answer, crc, where)
        return Receipt(number, size_of(body), answer["ETag"], crc)

    def look_at_source(self, source: tuple[str, str]) -> tuple[int, str]:
        """Bytes and ETag of an object that is to be copied. Raises `NotFoundError` without one."""
        bucket, key = source
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": key}
        copying = self._parameters.of("UploadPartCopy")
        # Of the parameters of a copy some are the source's: for looking at it they lose the prefix.
        prefix = "CopySource"
        arguments |= {
            name.removeprefix(prefix): value
            for name, value in copying.items()
            if name.startswith(f"{prefix}SSE") or name == "RequestPayer"
        }
        with translated("cannot find what is to be copied", bucket=bucket, key=key):
            answer = self._call("head_object", arguments)
        return answer["ContentLength"], answer["ETag"]

    def copy_part(
        self,
        upload_id: str,
        number: int,
        source: tuple[str, str],
        etag: str,
        byte_range: tuple[int, int] | None,
        size: int,
        version_id: str | None = None,
    ) -> Receipt:
        """Have the store make a part of `size` bytes, in `byte_range` or all, of another object.

        Raises `PreconditionError` when that object has another ETag by now.
        """
        bucket, key = source
        where = self._where(upload_id, number)
        arguments = self._for("UploadPartCopy", UploadId=upload_id, PartNumber=number)
        version = {} if version_id is None else {"VersionId": version_id}
        arguments["CopySource"] = {"Bucket": bucket, "Key": key, **version}
        arguments["CopySourceIfMatch"] = etag
        if byte_range is not None:
            arguments["CopySourceRange"] = f"bytes={byte_range[0]}-{byte_range[1] - 1}"
        with translated(f"cannot copy s3://{bucket}/{key}", **where):
            answer = self._call("upload_part_copy", arguments, self._cancellation)
        made = answer.get("CopyPartResult", {})
        if "ETag" not in made:
            # rclone takes it for an UploadPart without bytes.
            raise S3StreamError(
                "the store does not copy parts: its answer names none; send the part", **where
            )
        said = None if self._algorithm is None else made.get(self._algorithm.field)
        crc = self._algorithm.decode(said) if self._algorithm is not None and said else None
        return Receipt(number, size, made["ETag"], crc)

    def copy_predecessor(self, upload_id: str, number: int, byte_range: tuple[int, int]) -> Receipt:
        """Have the store make a part of the predecessor's bytes in this range.

        Raises `PreconditionError` when it was replaced meanwhile.
        """
        predecessor = self._predecessor
        assert predecessor is not None  # noqa: S101 - there are no ranges without
        assert predecessor.etag is not None  # noqa: S101 - nor without an object
        size = byte_range[1] - byte_range[0]
        # Some stores take no range for an object of less than 5 MiB, and all of it needs none.
        part = byte_range if size < predecessor.size else None
        source = (self.bucket, self.key)
        try:
            receipt = self.copy_part(upload_id, number, source, predecessor.etag, part, size)
        except PreconditionError as error:
            raise self._replaced() from error
        # Not every store heeds the condition that the ETag is still the same.
        self._refuse_if_replaced()
        return receipt

    def list_parts(self, upload_id: str) -> Listing:
        """The parts that the store has, which is the truth about an upload.

        Raises `NotFoundError` when there is no such upload (any more).
        """
        where = self._where(upload_id)
        with translated("cannot list the parts", **where):
            return list_parts(self._call, self._for("ListParts", UploadId=upload_id), where)

    def put(self, body: Buffer) -> UploadResult:
        """Write the whole object in one call."""
        self._refuse_if_replaced()
        arguments = self._for_new_object("PutObject") | self._condition
        crc = self._add_checksum(arguments, body)
        where = self._where(None)
        try:
            answer = self._put({**arguments, "Body": body})
        except (ClientError, BotoCoreError) as error:
            etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
            head = self._proof.of(
                error, self._look, size=len(body), etag=etag, crc=crc, where=where
            )
            return self._result(head, head["ETag"], len(body), 0, crc)
        self._check_answered_crc(answer, crc, where)
        return self._result(answer, answer["ETag"], len(body), 0, crc)

    def _put(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._call("put_object", arguments)
        except ClientError as error:
            if not self._is_refused_for_its_quotes(error):
                raise
            # Ceph 16 compares the ETag without them.
            etag = self._condition["IfMatch"].strip('"')
            return self._call("put_object", {**arguments, "IfMatch": etag})

    def _is_refused_for_its_quotes(self, error: ClientError) -> bool:
        expected = self._condition.get("IfMatch")
        if expected is None or code_of(error) not in CONDITION_FAILED or was_retried(error):
            return False
        try:
            return bool(self._look().get("ETag") == expected)
        except (BotoCoreError, ClientError):
            return False  # it is refused all the same

    def complete(self, upload_id: str, receipts: list[Receipt], size: int) -> UploadResult:
        """Make the object out of its parts, and be sure of it.

        A lost answer, or NoSuchUpload on a retry after one, is settled by looking at the object.
        Raises `UncertainError` when that cannot tell, `IntegrityError` when the store has made
        something else of it.
        """
        algorithm = self._algorithm
        parts = []
        for receipt in receipts:
            part: dict[str, Any] = {"PartNumber": receipt.part_number, "ETag": receipt.etag}
            if algorithm is not None and receipt.crc is not None:
                part[algorithm.field] = algorithm.encode(receipt.crc)
            parts.append(part)
        arguments = self._for("CompleteMultipartUpload", UploadId=upload_id)
        arguments |= {"MultipartUpload": {"Parts": parts}, "MpuObjectSize": size}
        self._refuse_if_replaced()
        etag, crc = etag_of_parts(receipts), self._crc_of_parts(receipts)
        if algorithm is not None:
            arguments["ChecksumType"] = "COMPOSITE" if self.origin.composite else "FULL_OBJECT"
            if crc is not None:
                arguments[algorithm.field] = algorithm.encode(crc)
        where = self._where(upload_id)
        try:
            answer = self._call("complete_multipart_upload", arguments | self._condition)
        except (ClientError, BotoCoreError) as error:
            head = self._proof.of(error, self._look, size=size, etag=etag, crc=crc, where=where)
            if self._proof.is_by_bytes and code_of(error) not in UPLOAD_GONE:
                see_to_leftover(
                    f"s3://{self.bucket}/{self.key}",
                    upload_id,
                    head,
                    error,
                    lambda: self.list_parts(upload_id),
                    lambda: self.abort(upload_id),
                )
            return self._result(head, head["ETag"], size, len(receipts), crc)
        self._check_answered_crc(answer, crc, where)
        if crc is None or algorithm is None or algorithm.field not in answer:
            self._proof.check_size(self._look, size, answer.get("ETag") or etag, where)
        # Ceph 16 leaves the ETag of its first answer empty.
        return self._result(answer, answer.get("ETag") or etag, size, len(receipts), crc)

    def find(
        self, upload_id: str, receipts: list[Receipt], size: int, *, now: bool = False
    ) -> UploadResult | None:
        """The object of an upload that is gone, when it is proved to be made of just these parts.

        None when there is none, or another writer's, in the place of which ours may have been; but
        not if the question is what is there `now`. Raises `UncertainError` when nobody can tell.
        """
        etag, crc = etag_of_parts(receipts), self._crc_of_parts(receipts)
        where = self._where(upload_id)
        head = self._proof.find(self._look, size=size, etag=etag, crc=crc, where=where, now=now)
        return None if head is None else self._result(head, head["ETag"], size, len(receipts), crc)

    def find_whole(self, size: int, etag: str, crc: int | None) -> UploadResult | None:
        """The object, when it is proved to be what a put of these bytes has made; looks once.

        None when there is none, when it is another, and when nobody can tell.
        """
        with translated("cannot look at the object", **self._where(None)):
            head = self._proof.is_there(self._look, size=size, etag=etag, crc=crc)
        return None if head is None else self._result(head, head["ETag"], size, 0, crc)

    def abort(self, upload_id: str, *, hurried: bool = False) -> None:
        """Remove the upload and its parts, and see that they are gone.

        An upload that is not there any more is what we wanted. So is one whose parts we may not
        list: the store has confirmed the abort. `hurried`, where nobody can wait: one attempt, of
        two seconds.
        """
        patience = None
        if hurried:
            be_quick(self._client, _HURRIED_SECONDS)
            patience = Cancellation("the store did not answer in time, and the process ends")
            patience.request()
        with translated("cannot abort the upload", **self._where(upload_id)):
            for _ in range(_ABORTS):
                arguments = self._for("AbortMultipartUpload", UploadId=upload_id)
                if abort_once(self._call, arguments, patience):
                    return
                if self._has_no_parts(upload_id, patience):
                    return
        raise S3StreamError(
            f"the store still lists parts after {_ABORTS} aborts", **self._where(upload_id)
        )

    def _has_no_parts(self, upload_id: str, patience: Cancellation | None) -> bool:
        arguments = self._for("ListParts", UploadId=upload_id)
        try:
            answer = self._call("list_parts", arguments, patience)
        except ClientError as error:
            if code_of(error) not in UPLOAD_GONE and status_of(error) not in NOT_ALLOWED:
                raise
            return True
        return not answer.get("Parts")

    def _result(
        self, answer: dict[str, Any], etag: str, size: int, parts: int, crc: int | None
    ) -> UploadResult:
        checksum = None
        if self._algorithm is not None and crc is not None:
            verified = self._algorithm.field in answer
            checksum = Checksum(self._algorithm.name, self._algorithm.encode(crc), verified)
        version_id = answer.get("VersionId")
        return UploadResult(self.bucket, self.key, etag, version_id, size, parts, checksum)
