"""Looking at, listing, reading and deleting what is at the store.

Plain calls in our types and errors, for whatever shows S3 as a file system.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import PreconditionError, add_note
from ..options import KiB, MiB
from ..waiting import Cancellation
from .calls import call
from .failures import CONDITION_FAILED, OBJECT_GONE, status_of, translate, translated
from .pages import pages
from .parameters import Parameters

# DeleteObjects takes 1,000 keys: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_DELETE_BATCH = 1_000
_READS = 3
_PIECE = 64 * KiB
_BEYOND_THE_END = 416  # where a slice is empty; the status, because the codes differ


@dataclass(frozen=True)
class Version:
    """What the store says of one object: bytes, ETag, when it was last written."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage_class: str
    content_type: str | None = None
    version_id: str | None = None
    metadata: Mapping[str, str] | None = None


class Objects:
    """The objects that a client can see; `given` are S3 parameters for its calls."""

    def __init__(self, client: Any, given: Mapping[str, Any]) -> None:
        self._client = client
        self._parameters = Parameters(client, given)

    def head(self, bucket: str, key: str, version_id: str | None = None) -> Version:
        """Look at one object, or one version. Raises `NotFoundError` when there is none."""
        arguments = self._for("HeadObject", bucket, Key=key, **_version(version_id))
        with translated("cannot find the object", bucket=bucket, key=key):
            answer = self._client.head_object(**arguments)
        return Version(
            key,
            answer["ContentLength"],
            answer["ETag"],
            answer["LastModified"],
            answer.get("StorageClass", "STANDARD"),
            answer.get("ContentType"),
            answer.get("VersionId"),
            answer["Metadata"],
        )

    def read(
        self,
        bucket: str,
        key: str,
        start: int = 0,
        end: int | None = None,
        etag: str | None = None,
        version_id: str | None = None,
        cancellation: Cancellation | None = None,
    ) -> bytes:
        """Read bytes `start` to `end` (not included; None is the end) of an object, as a slice.

        With an `etag`, raises `PreconditionError` when the object has another one by now. Nothing
        is repeated after a `cancellation`.
        """
        arguments = self._for("GetObject", bucket, Key=key, **_version(version_id))
        if etag is not None:
            arguments["IfMatch"] = etag
        if end is not None and end <= start:
            return b""
        if start or end is not None:
            arguments["Range"] = f"bytes={start}-" + ("" if end is None else str(end - 1))
        with translated("cannot read", bucket=bucket, key=key):
            try:
                answer, data = self._read(arguments, cancellation)
            except ClientError as error:
                if status_of(error) == _BEYOND_THE_END:
                    return b""
                raise
        _refuse_another(answer, etag, bucket, key)
        return data

    def pieces(
        self, bucket: str, key: str, start: int, end: int, etag: str | None = None
    ) -> Iterator[bytes]:
        """Read the same bytes one after the other, holding 64 KiB of them at a time.

        A reading that breaks off goes on from there, a few times. Fewer come when the object ends
        before; with an `etag`, raises `PreconditionError` when it has another one by now.
        """
        condition = {} if etag is None else {"IfMatch": etag}
        arguments = self._for("GetObject", bucket, Key=key, **condition)
        attempts = 0
        with translated("cannot read", bucket=bucket, key=key):
            while start < end:
                asking = {**arguments, "Range": f"bytes={start}-{end - 1}"}
                try:
                    answer = call(self._client, "get_object", asking)
                    _refuse_another(answer, etag, bucket, key)
                    with closing(answer["Body"]) as body:
                        while piece := body.read(_PIECE):
                            yield piece
                            start += len(piece)
                    return
                except BotoCoreError:
                    attempts += 1
                    if attempts == _READS:
                        raise
                except ClientError as error:
                    if status_of(error) == _BEYOND_THE_END:
                        return
                    raise

    def _read(
        self, arguments: dict[str, Any], cancellation: Cancellation | None
    ) -> tuple[dict[str, Any], bytes]:
        # Botocore repeats the call and not the reading of its answer.
        for _ in range(_READS - 1):
            answer = call(self._client, "get_object", arguments, cancellation)
            with suppress(BotoCoreError):
                return answer, _body_of(answer, cancellation)
            if cancellation is not None:
                cancellation.check()
        answer = call(self._client, "get_object", arguments, cancellation)
        return answer, _body_of(answer, cancellation)

    def list(
        self, bucket: str, prefix: str, *, delimiter: str = "", at_most: int | None = None
    ) -> tuple[list[Version], list[str]]:
        """List the objects under `prefix`, and with a delimiter the prefixes one level down."""
        found: list[Version] = []
        prefixes: list[str] = []
        arguments = self._for("ListObjectsV2", bucket, Prefix=prefix, Delimiter=delimiter)
        if at_most is not None:
            arguments["MaxKeys"] = at_most
        where = {"bucket": bucket, "key": prefix}
        with translated("cannot list", **where):
            for page in pages(
                self._client.list_objects_v2, ("ContinuationToken",), arguments, where
            ):
                found += [listed(entry) for entry in page.get("Contents", ())]
                prefixes += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
                if at_most is not None:
                    break
        return found, prefixes

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        with translated("cannot delete", bucket=bucket, key=key):
            self._client.delete_object(**self._for("DeleteObject", bucket, Key=key))

    def delete_many(
        self, bucket: str, keys: Sequence[str], etags: Mapping[str, str] | None = None
    ) -> None:
        """Delete any number of objects; of those in `etags` none that has another ETag by now.

        All are tried; then raises for the first that the store would not delete, with a note that
        says how many there were: `PreconditionError` for one that was replaced. Not every store
        heeds the ETags.
        """
        refused: list[dict[str, Any]] = []
        for first in range(0, len(keys), _DELETE_BATCH):
            batch = keys[first : first + _DELETE_BATCH]
            objects: list[dict[str, str]] = [{"Key": key} for key in batch]
            for entry in objects:
                if etag := (etags or {}).get(entry["Key"]):
                    entry["ETag"] = etag
            wanted = {"Objects": objects, "Quiet": True}
            with translated("cannot delete", bucket=bucket, key=batch[0]):
                answer = self._client.delete_objects(
                    **self._for("DeleteObjects", bucket, Delete=wanted)
                )
            # With an ETag what is not there is an error.
            refused += [e for e in answer.get("Errors", ()) if e.get("Code") not in OBJECT_GONE]
        if refused:
            # In the answer to many keys an error stands for each, where one key's answer has it.
            told = refused[0]
            said: Any = {name: str(told.get(name)) for name in ("Code", "Message")}
            cause = ClientError({"Error": said}, "DeleteObjects")
            replaced = told.get("Code") in CONDITION_FAILED
            doing = "not deleted, for it was replaced meanwhile" if replaced else "cannot delete"
            error = translate(cause, doing, bucket=bucket, key=told.get("Key"))
            add_note(error, f"not deleted: {len(refused):,} of {len(keys):,} objects")
            raise error from cause

    def _for(self, call: str, bucket: str, **arguments: Any) -> dict[str, Any]:
        return {"Bucket": bucket, **self._parameters.of(call), **arguments}


def _refuse_another(answer: Mapping[str, Any], etag: str | None, bucket: str, key: str) -> None:
    # Some stores ignore If-Match: another object of the same size would be mixed in.
    if etag is not None and _bare(answer.get("ETag", etag)) != _bare(etag):
        raise PreconditionError("the object was replaced", bucket=bucket, key=key)


def _bare(etag: str) -> str:
    # What a gateway compresses on its way it calls weak.
    return etag.removeprefix("W/").strip('"')


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _body_of(answer: dict[str, Any], cancellation: Cancellation | None) -> bytes:
    # As a context manager of its own it would give urllib3's stream, with urllib3's errors.
    with closing(answer["Body"]) as body:
        # Its value is not a copy, as that of a list of pieces would be.
        whole = io.BytesIO()
        while piece := body.read(MiB):
            if cancellation is not None:
                cancellation.check()
            whole.write(piece)
        return whole.getvalue()


def listed(entry: Mapping[str, Any]) -> Version:
    """An entry of a listing, of objects or of versions, in our words."""
    return Version(
        entry["Key"],
        entry["Size"],
        entry.get("ETag", ""),
        entry["LastModified"],
        entry.get("StorageClass", "STANDARD"),
        version_id=entry.get("VersionId"),
    )
