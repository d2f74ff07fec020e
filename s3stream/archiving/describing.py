"""What an archive says of an entry, made fit for S3: content type and metadata.

Pure. Anybody may have made the archive: nothing of it reaches a header without having passed here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

# As a header can hold it: no space at its ends, which would be lost on the way.
_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")  # a token of HTTP's
_LONGEST_TYPE = 255
# Names and values: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_MOST_METADATA = 2048


def parameters_for(
    content_type: str | None, metadata: Mapping[str, str] | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """S3's parameters of an object that had these, and, in words, what S3 could not take of them.

    That is left out: control characters, a name that is none of a header, metadata of more than
    2 KiB. Other values than plain ASCII are encoded by RFC 2047, as S3 itself gives them back. What
    was `given` for all objects wins.
    """
    parameters: dict[str, Any] = {}
    left_out: list[str] = []
    if content_type and "ContentType" not in given:
        if len(content_type) <= _LONGEST_TYPE and _PLAIN.fullmatch(content_type):
            parameters["ContentType"] = content_type
        else:
            left_out.append(f"the content type {content_type[:_LONGEST_TYPE]!r}")
    ours = given.get("Metadata", {})
    if not isinstance(ours, Mapping):
        return parameters, left_out  # whoever opens the object refuses it
    kept: dict[str, str] = {}
    folded = {name.lower() for name in ours}  # S3 knows no case in them
    for name, value in (metadata or {}).items():
        header = _as_header(value)
        if header is None or not _NAME.fullmatch(name) or name.lower() in kept:
            left_out.append(f"the metadata {name[:80]!r}")
        elif name.lower() not in folded:
            kept[name.lower()] = header
    size = sum(len(name) + len(value) for name, value in {**kept, **ours}.items())
    if kept and size > _MOST_METADATA:
        left_out.append(f"{size:,} bytes of metadata (S3 takes {_MOST_METADATA:,})")
    elif kept:
        parameters["Metadata"] = {**kept, **ours}
    return parameters, left_out


def _as_header(value: str) -> str | None:
    """The value as a header can hold it; None when none can."""
    if value == "" or _PLAIN.fullmatch(value):
        return value
    if _CONTROL.search(value):
        return None
    try:
        return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="
    except UnicodeEncodeError:  # half a character
        return None
