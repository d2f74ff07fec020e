"""What goes along with an object's bytes when they are written once more: its metadata, its tags.

Asks; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError

from ..errors import AccessDeniedError, S3StreamError
from .calls import call
from .failures import code_of, status_of
from .proof import WRITER_ID

# Echoed by HeadObject, and not to be said again: the customer's key is the caller's to give, the
# checksum is of other bytes, and who pays says so himself.
_NOT_ALONG = ("SSECustomer", "Checksum", "RequestCharged")
_NO_SUCH_CALL = frozenset({405, 501})
_FORBIDDEN = 403


def parameters_of(client: Any, head: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that an object was written with, out of the answer of its HeadObject."""
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


def tags_of(client: Any, arguments: dict[str, Any], doing: str) -> dict[str, str]:
    """An object's tags, which are to be given to it again.

    Raises an error that begins with `doing` where the store does not tell them: they would be lost.
    """
    # Not every HeadObject tells whether there are any.
    where = {"bucket": arguments["Bucket"], "key": arguments["Key"]}
    try:
        # Ceph 16 leaves the set out where its upload was to have tags.
        found = call(client, "get_object_tagging", arguments).get("TagSet", [])
    except ClientError as error:
        status = status_of(error)
        if status in _NO_SUCH_CALL:
            return {}
        kind = AccessDeniedError if status == _FORBIDDEN else S3StreamError
        raise kind(
            f"{doing}: the store does not tell its tags, which would be lost"
            f" ({code_of(error)}); say them yourself with Tagging=, '' for none",
            **where,
        ) from error
    return {tag["Key"]: tag["Value"] for tag in found}


def tagging(tags: Mapping[str, str]) -> dict[str, str]:
    """The parameter `Tagging` of what is to be written; nothing for no tags."""
    # Ceph 16 takes a + for a plus.
    return {"Tagging": urlencode(tags, quote_via=quote)} if tags else {}


def with_source_key(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same parameters, and the customer's key as that of what is copied, too."""
    of_source = {
        f"CopySource{name}": value
        for name, value in given.items()
        if name.startswith("SSECustomer")
    }
    return {**of_source, **given}


def without_empty_tagging(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same parameters; `Tagging=""` says that there shall be none, and is not sent."""
    return {name: value for name, value in given.items() if (name, value) != ("Tagging", "")}
