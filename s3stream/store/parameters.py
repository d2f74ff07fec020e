"""Routes S3's own parameters to the calls that know them, by botocore's service model.

No list of ours to grow old: what an operation's input shape has is what it is sent.
"""

from __future__ import annotations

import difflib
import hashlib
import mimetypes
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ParamValidationError
from botocore.handlers import validate_bucket_name
from botocore.validate import ParamValidator

from ..errors import UsageError

# What a writer calls; a parameter that only other calls know does not reach an object we write.
WRITE_CALLS = (
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
OTHER_CALLS = (
    "HeadObject",
    "GetObject",
    "CopyObject",
    "UploadPartCopy",
    "GetObjectTagging",
    "DeleteObject",
    "DeleteObjects",
    "ListObjectsV2",
    "ListParts",
)

# Ours to say: a caller who sets one of these would contradict the bytes that we count and check.
_OURS: dict[str, str] = {
    **dict.fromkeys(("Bucket", "Key"), "the URI"),
    **dict.fromkeys(
        ("Body", "ContentLength", "ContentMD5", "MpuObjectSize", "MultipartUpload", "PartNumber"),
        "the bytes written",
    ),
    **dict.fromkeys(("MaxParts", "PartNumberMarker"), "us: all parts are listed"),
    "UploadId": "the store",
    **dict.fromkeys(
        (
            "ChecksumAlgorithm",
            "ChecksumType",
            "ChecksumCRC32",
            "ChecksumCRC32C",
            "ChecksumCRC64NVME",
            "ChecksumSHA1",
            "ChecksumSHA256",
        ),
        "the option checksum=",
    ),
    "IfMatch": "the option if_match=",
    "IfNoneMatch": "the option if_none_match= or mode 'xb'",
    "Range": "the reader",
}
_SECRETS = ("SSECustomerKey", "CopySourceSSECustomerKey")
# Botocore encodes a customer's key for all other calls that take one.
_NOT_ENCODED = frozenset({"ListParts"})
MAX_KEY = 1024
# Controls but the tab, and what Python makes of bytes that are no UTF-8.
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_STAND_IN = {"Bucket": "b", "Key": "k", "UploadId": "u", "PartNumber": 1, "CopySource": "b/k"}

# Only what Python itself knows, not /etc/mime.types: the same name gives the same type everywhere.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("application/vnd.apache.parquet", ".parquet")
_TYPES.add_type("application/zstd", ".zst")
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
    "br": "application/x-brotli",
}


class Parameters:
    """S3 parameters, checked against the client's service model when made.

    Raises `UsageError` for a name that no call knows (with the nearest right one), one that is
    ours to set, or a value of the wrong type.
    """

    def __init__(self, client: Any, given: Mapping[str, Any]) -> None:
        self._model: Any = getattr(getattr(client, "meta", None), "service_model", None)
        if getattr(self._model, "service_name", None) != "s3":
            raise UsageError(f"client={client!r}: expected a boto3 S3 client")
        self._given = dict(given)
        if not self._given:
            return
        known = {name for call in (*WRITE_CALLS, *OTHER_CALLS) for name in self._members(call)}
        for name in self._given:
            if name in _OURS:
                raise UsageError(f"S3 parameter {name}: that is said by {_OURS[name]}")
            if name not in known:
                near = difflib.get_close_matches(name, known - _OURS.keys(), 1, 0.5)
                meant = f", did you mean {near[0]}?" if near else ""
                raise UsageError(f"S3 parameter {name!r}: no S3 call that we make has it{meant}")
        for name in _SECRETS:
            # Boto3 takes bytes too, and encodes them; a message of its own would show the value.
            if not isinstance(self._given.get(name, ""), (bytes, str)):
                raise UsageError(f"S3 parameter {name}: expected 32 bytes")
        _refuse_what_no_header_holds(self._given)
        for call in WRITE_CALLS:
            self._validate(call)

    def of(self, call: str) -> dict[str, Any]:
        """The parameters that `call` knows."""
        if not self._given:
            return {}
        members = self._members(call)
        chosen = {name: value for name, value in self._given.items() if name in members}
        if call in _NOT_ENCODED and "SSECustomerKey" in chosen:
            key = chosen["SSECustomerKey"]
            key = key.encode() if isinstance(key, str) else key
            chosen["SSECustomerKey"] = b64encode(key).decode()
            chosen["SSECustomerKeyMD5"] = b64encode(
                hashlib.md5(key, usedforsecurity=False).digest()
            ).decode()
        return chosen

    def _members(self, call: str) -> Mapping[str, Any]:
        members: Mapping[str, Any] = self._model.operation_model(call).input_shape.members
        return members

    def _validate(self, call: str) -> None:
        # Secrets are checked above.
        chosen = {n: value for n, value in self.of(call).items() if n not in _SECRETS}
        if not chosen:
            return
        shape = self._model.operation_model(call).input_shape
        needed = {name: _STAND_IN[name] for name in shape.required_members if name in _STAND_IN}
        report = ParamValidator().validate({**needed, **chosen}, shape)
        if report.has_errors():
            raise UsageError(f"S3 parameters: {report.generate_report()}")


def _refuse_what_no_header_holds(given: Mapping[str, Any]) -> None:
    """Botocore would find it when the request is made: for a stream, when it has been written."""
    metadata = given.get("Metadata")
    pairs = metadata.items() if isinstance(metadata, Mapping) else ()
    said = [(name, value) for name, value in given.items() if name not in _SECRETS]
    for name, value in [*said, *(("Metadata", text) for pair in pairs for text in pair)]:
        if not isinstance(value, str):
            continue
        if _NOT_IN_A_HEADER.search(value):
            raise UsageError(f"S3 parameter {name}: {value!r}: no header can hold all of that")
        if name == "Metadata" and not value.isascii():
            raise UsageError(f"S3 parameter {name}: {value!r}: expected ASCII characters only")


def check_name(bucket: str, key: str) -> None:
    """Refuse a bucket or key that S3 cannot have; raises `UsageError`.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    try:
        validate_bucket_name({"Bucket": bucket})
    except ParamValidationError:
        raise UsageError(
            f"bucket {bucket!r}: expected 3 to 63 letters, digits, dots and hyphens, or an ARN"
        ) from None
    size = len(key.encode())
    if size > MAX_KEY:
        raise UsageError(f"key {key[:40]!r}…: {size:,} bytes, S3 takes {MAX_KEY:,} (in UTF-8)")


def guess_content_type(key: str) -> str | None:
    """Guess a content type from a key's ending; a compressed object has its compression's type."""
    kind, encoding = _TYPES.guess_type(key, strict=False)
    return _COMPRESSED.get(encoding, "application/octet-stream") if encoding else kind
