"""What has to be known of an object that is to be appended to.

Asks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from ..errors import UsageError
from ..predecessor import Predecessor
from .along import parameters_of, tagging, tags_of, with_source_key, without_empty_tagging
from .calls import call
from .failures import OBJECT_GONE, code_of, translated
from .parameters import Parameters

_ENCRYPTING = ("ServerSideEncryption", "SSE", "BucketKey")


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
            return Predecessor(parameters=without_empty_tagging(given))
    along = parameters_of(client, head)
    if any(parameter.startswith(_ENCRYPTING) for parameter in given):
        # Who names one of them means them all: a key of KMS does not go with AES256.
        along = {n: value for n, value in along.items() if not n.startswith(_ENCRYPTING)}
    if "Tagging" not in given:
        asking = {**name, **asked.of("GetObjectTagging")}
        along |= tagging(tags_of(client, asking, "cannot append"))
    along.update(without_empty_tagging(given))
    for known, value in along["Metadata"].items():
        if not (known + value).isascii():
            raise UsageError(
                f"cannot append: its metadata {known}={value!r} is not ASCII, and cannot be sent"
                " again; say its metadata yourself with Metadata=",
                **where,
            )
    return Predecessor(
        head["ContentLength"], head["ETag"], head.get("VersionId"), with_source_key(along)
    )
