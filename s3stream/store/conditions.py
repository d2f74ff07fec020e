"""Whether a store heeds a condition, found out by trying, beside the object that is to be written.

A store that knows no conditions does not refuse them: it ignores them, without a word.
"""

from __future__ import annotations

import uuid
import warnings
from typing import Any
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.exceptions import ClientError

from ..errors import UsageError
from ..waiting import Cancellation
from .calls import call
from .failures import status_of, translated
from .parameters import Parameters

PUT = "PutObject"
COMPLETE = "CompleteMultipartUpload"

# No object has it.
_NO_ETAG = '"00000000000000000000000000000000"'
_CONDITIONS = {"IfMatch": ("if_match", _NO_ETAG), "IfNoneMatch": ("if_none_match", "*")}
# Because of the condition, or because nothing is there to match, or because the store has no such
# thing: then it refuses the real one too.
_REFUSED = frozenset({404, 409, 412, 501})
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_KNOWN_TO_HEED = (".amazonaws.com", ".amazonaws.com.cn")

# By endpoint, call and condition.
_found_out: dict[tuple[str, str, str], bool] = {}


class _Calls:
    """Calls about one object, with the user's parameters."""

    def __init__(
        self,
        client: Any,
        name: dict[str, Any],
        parameters: Parameters,
        cancellation: Cancellation | None,
    ) -> None:
        self._client = client
        self._name = name
        self._parameters = parameters
        self._cancellation = cancellation

    def make(self, operation: str, **arguments: Any) -> dict[str, Any]:
        given = {
            name: value
            for name, value in self._parameters.of(operation).items()
            if not name.startswith("ObjectLock")  # or it could not be removed
        }
        return call(
            self._client,
            xform_name(operation),
            {**self._name, **given, **arguments},
            self._cancellation,
        )


def refuse_unless_heeded(
    client: Any,
    bucket: str,
    key: str,
    parameters: Parameters,
    which: tuple[str, str],
    cancellation: Cancellation | None = None,
) -> None:
    """Raise `UsageError` when the store ignores a condition of a call: those two are `which`.

    Once for each endpoint and process the store is tried with an object of one byte, whose name
    begins with a dot, under the same prefix, and which is removed; AWS is known. A warning, when it
    may not be tried.
    """
    endpoint_url: str = client.meta.endpoint_url
    if (urlsplit(endpoint_url).hostname or "").endswith(_KNOWN_TO_HEED):
        return
    known = (endpoint_url, *which)
    option = _CONDITIONS[which[1]][0]
    if known not in _found_out:
        prefix, slash, _ = key.rpartition("/")
        probe = f"{prefix}{slash}.s3stream-probe-{uuid.uuid4().hex}"
        try:
            with translated(
                f"cannot find out whether the store heeds {option}", bucket=bucket, key=probe
            ):
                _found_out[known] = _heeds(
                    _Calls(client, {"Bucket": bucket, "Key": probe}, parameters, cancellation),
                    *which,
                )
        except PermissionError as error:
            warnings.warn(
                f"{error}: if it ignores it, an object may be replaced that was to be kept",
                RuntimeWarning,
                stacklevel=2,
            )
            return
    if not _found_out[known]:
        raise UsageError(
            f"{option}: this store ignores it in {which[0]}, and would replace an object that was"
            " to be kept; leave it out, and keep other writers away yourself (a key of your own, a"
            " lock)",
            bucket=bucket,
            key=key,
        )


def _heeds(calls: _Calls, operation: str, condition: str) -> bool:
    said = {condition: _CONDITIONS[condition][1]}
    made: list[dict[str, Any]] = []
    try:
        if condition == "IfNoneMatch":
            made.append(calls.make(PUT, Body=b"1"))
        write = _put if operation == PUT else _upload
        try:
            made.append(write(calls, said))
        except ClientError as error:
            if status_of(error) not in _REFUSED:
                raise
            return True
        return False
    finally:
        for answer in made:
            version = {"VersionId": answer["VersionId"]} if "VersionId" in answer else {}
            calls.make("DeleteObject", **version)


def _put(calls: _Calls, condition: dict[str, str]) -> dict[str, Any]:
    return calls.make(PUT, Body=b"2", **condition)


def _upload(calls: _Calls, condition: dict[str, str]) -> dict[str, Any]:
    upload = {"UploadId": calls.make("CreateMultipartUpload")["UploadId"]}
    try:
        etag = calls.make("UploadPart", PartNumber=1, Body=b"2", **upload)["ETag"]
        parts = [{"PartNumber": 1, "ETag": etag}]
        return calls.make(COMPLETE, MultipartUpload={"Parts": parts}, **upload, **condition)
    except BaseException:
        calls.make("AbortMultipartUpload", **upload)
        raise
