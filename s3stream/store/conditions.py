"""Whether a store heeds a condition, found out by trying, beside the object that is to be written.

A store that knows no conditions does not refuse them: it ignores them, without a word.
"""

from __future__ import annotations

import os
import threading
import uuid
import warnings
from typing import Any
from urllib.parse import urlsplit

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from ..errors import UsageError
from ..waiting import Cancellation
from .calls import call
from .failures import UPLOAD_GONE, code_of, status_of, translated
from .parameters import MAX_KEY, Parameters

PUT = "PutObject"
COMPLETE = "CompleteMultipartUpload"

# No object has it.
_NO_ETAG = '"00000000000000000000000000000000"'
_CONDITIONS = {"IfMatch": ("if_match", _NO_ETAG), "IfNoneMatch": ("if_none_match", "*")}
# Because of the condition; or the store has no such thing, and refuses the real one too.
_REFUSED = frozenset({409, 412, 501})
_NOT_FOUND = 404
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_KNOWN_TO_HEED = (".amazonaws.com", ".amazonaws.com.cn")
_BEFORE, _AFTER = b"1", b"22"

# By endpoint, call and condition.
_found_out: dict[tuple[str, str, str], bool] = {}
# Several files are opened at once: one of them finds it out. By process: a lock may be held by
# another thread at the moment of a fork.
_finding_out: dict[int, threading.RLock] = {}


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
        name = {"Bucket": bucket, "Key": _beside(key)}
        calls = _Calls(client, name, parameters, cancellation)
        with _finding_out.setdefault(os.getpid(), threading.RLock()):
            if known not in _found_out:
                _find_out(calls, name, known, option)
    if not _found_out[known]:
        raise UsageError(
            f"{option}: this store ignores it in {which[0]}, and would replace an object that was"
            " to be kept; leave it out, and keep other writers away yourself (a key of your own, a"
            " lock)",
            bucket=bucket,
            key=key,
        )


def _find_out(
    calls: _Calls, name: dict[str, str], known: tuple[str, str, str], option: str
) -> None:
    doing = f"cannot find out whether the store heeds {option}"
    try:
        with translated(doing, bucket=name["Bucket"], key=name["Key"]):
            _found_out[known] = _heeds(calls, *known[1:])
    except PermissionError as error:
        _warn(f"{error}: if it ignores it, an object may be replaced that was to be kept")
        _found_out[known] = True


def _beside(key: str) -> str:
    prefix, slash, _ = key.rpartition("/")
    name = f".s3stream-probe-{uuid.uuid4().hex}"
    beside = f"{prefix}{slash}{name}"
    return beside if len(beside.encode()) <= MAX_KEY else name


class _Calls:
    """Calls about one object, with the user's parameters."""

    def __init__(
        self,
        client: Any,
        name: dict[str, str],
        parameters: Parameters,
        cancellation: Cancellation | None,
    ) -> None:
        self._client = client
        self._name = name
        self._parameters = parameters
        self._cancellation = cancellation

    def make(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return self._make(operation, arguments, self._cancellation)

    def clean_up(self, operation: str, **arguments: Any) -> None:
        """Make a call that no discard hurries; its failure is told, and changes no finding."""
        try:
            self._make(operation, arguments, None)
        except (BotoCoreError, ClientError) as error:
            if code_of(error) not in UPLOAD_GONE:
                _warn(
                    "s3://{Bucket}/{Key} is left, which".format_map(self._name)
                    + f" was to find out whether the store heeds conditions: {error}"
                )

    def _make(
        self, operation: str, arguments: dict[str, Any], cancellation: Cancellation | None
    ) -> dict[str, Any]:
        given = {
            name: value
            for name, value in self._parameters.of(operation).items()
            if not name.startswith("ObjectLock")  # or it could not be removed
        }
        return call(
            self._client, xform_name(operation), {**self._name, **given, **arguments}, cancellation
        )


def _heeds(calls: _Calls, operation: str, condition: str) -> bool:
    said = {condition: _CONDITIONS[condition][1]}
    made = [calls.make(PUT, Body=_BEFORE)]
    try:
        write = _put if operation == PUT else _upload
        try:
            made.append(write(calls, said))
        except ClientError as error:
            if status_of(error) == _NOT_FOUND:
                # Or an attempt whose answer was lost has published it, and the upload is gone.
                return bool(calls.make("HeadObject")["ContentLength"] == len(_BEFORE))
            if status_of(error) not in _REFUSED:
                raise
            return True
        return False
    finally:
        versions = [answer["VersionId"] for answer in made if "VersionId" in answer]
        for version in versions:
            calls.clean_up("DeleteObject", VersionId=version)
        if not versions:
            calls.clean_up("DeleteObject")


def _put(calls: _Calls, condition: dict[str, str]) -> dict[str, Any]:
    return calls.make(PUT, Body=_AFTER, **condition)


def _upload(calls: _Calls, condition: dict[str, str]) -> dict[str, Any]:
    upload = {"UploadId": calls.make("CreateMultipartUpload")["UploadId"]}
    try:
        etag = calls.make("UploadPart", PartNumber=1, Body=_AFTER, **upload)["ETag"]
        parts = [{"PartNumber": 1, "ETag": etag}]
        return calls.make(COMPLETE, MultipartUpload={"Parts": parts}, **upload, **condition)
    except BaseException:
        calls.clean_up("AbortMultipartUpload", **upload)
        raise


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=5)
