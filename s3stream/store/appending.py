"""What has to be known of an object that is to be appended to, and what goes along with its bytes.

Asks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError

from ..errors import AccessDeniedError, S3StreamError, UsageError
from ..predecessor import Predecessor
from .calls import call
from .failures import OBJECT_GONE, code_of, status_of, translated
from .parameters import Parameters
from .proof import WRITER_ID

# Echoed by HeadObject, and not to be said again: the customer's key is the caller's to give, the
# checksum is of other bytes, and who pays says so himself.
_NOT_ALONG = ("SSECustomer", "Checksum", "RequestCharged")
_ENCRYPTING = ("ServerSideEncryption", "SSE", "BucketKey")
_NO_SUCH_CALL = frozenset({405, 501})
_FORBIDDEN = 403


def look_at_predecessor(
    client: Any, bucket: str, key: str, given: Mapping[str, Any]
) -> Predecessor:
    """The object that is to be appended to; `given` are S3 parameters for the calls.

    Its parameters are those of `CreateMultipartUpload`, and of `given` those that it takes instead
    of the object's. `Tagging=""` has none of its tags go along, and asks for none.
    """
    name = {"Bucket": bucket, "Key": key}
    where: dict[str, Any] = {"bucket": bucket, "key": key}
    asked = Parameters(client, given)
    with translated("cannot look at what is to be appended to", **where):
        try:
            head = call(client, "head_object", {**name, **asked.of("HeadObject")})
        except ClientError as error:
            if code_of(error) not in OBJECT_GONE:
                raise
            return Predecessor(parameters=_without_empty_tagging(given))
    along = _parameters_of(client, head)
    if any(parameter.startswith(_ENCRYPTING) for parameter in given):
        # Who names one of them means them all: a key of KMS does not go with AES256.
        along = {n: value for n, value in along.items() if not n.startswith(_ENCRYPTING)}
    if "Tagging" not in given:
        tags = _tags(client, {**name, **asked.of("GetObjectTagging")})
        if tags:
            pairs = {tag["Key"]: tag["Value"] for tag in tags}
            along["Tagging"] = urlencode(pairs, quote_via=quote)  # Ceph 16 takes a + for a plus
    along.update(_without_empty_tagging(given))
    for known, value in along["Metadata"].items():
        if not (known + value).isascii():
            raise UsageError(
                f"cannot append: its metadata {known}={value!r} is not ASCII, and cannot be sent"
                " again; say its metadata yourself with Metadata=",
                **where,
            )
    # The customer's key is that of what is copied, too.
    for parameter, value in given.items():
        if parameter.startswith("SSECustomer"):
            along[f"CopySource{parameter}"] = value
    return Predecessor(head["ContentLength"], head["ETag"], head.get("VersionId"), along)


def _parameters_of(client: Any, head: Mapping[str, Any]) -> dict[str, Any]:
    creating = client.meta.service_model.operation_model("CreateMultipartUpload").input_shape
    along = {
        name: value
        for name, value in head.items()
        if name in creating.members and not name.startswith(_NOT_ALONG)
    }
    retained_until = along.get("ObjectLockRetainUntilDate")
    if retained_until is not None and retained_until <= datetime.now(timezone.utc):
        # S3 refuses to lock anything until a day that is over.
        del along["ObjectLockRetainUntilDate"]
        along.pop("ObjectLockMode", None)
    # The id of whoever has written it: the next one has his own.
    old = along.get("Metadata", {})
    along["Metadata"] = {name: value for name, value in old.items() if name.lower() != WRITER_ID}
    return along


def _tags(client: Any, arguments: dict[str, Any]) -> list[dict[str, str]]:
    # Not every HeadObject tells whether there are any.
    where = {"bucket": arguments["Bucket"], "key": arguments["Key"]}
    try:
        # Ceph 16 leaves the set out where its upload was to have tags.
        found: list[dict[str, str]] = call(client, "get_object_tagging", arguments).get(
            "TagSet", []
        )
    except ClientError as error:
        status = status_of(error)
        if status in _NO_SUCH_CALL:
            return []
        kind = AccessDeniedError if status == _FORBIDDEN else S3StreamError
        raise kind(
            "cannot append: the store does not tell its tags, which would be lost"
            f" ({code_of(error)}); say them yourself with Tagging=, '' for none",
            **where,
        ) from error
    return found


def _without_empty_tagging(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if (name, value) != ("Tagging", "")}
