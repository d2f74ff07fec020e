"""What a client says of its file, made fit for S3: content type, metadata, key.

Pure. Nothing that a client has said reaches a header or a key without having passed here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import UsageError
from .protocol import Refused

# The folder below the prefix that is ours: records, locks, parts to be joined.
FOLDER = ".s3stream-tus"
# What clients call it: tus-js-client and Uppy say filetype, others the rest.
_TYPES = ("filetype", "type", "contentType", "content-type")
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}"
    # As browsers call what they have recorded: video/webm;codecs=vp8,opus
    r"(; ?[A-Za-z0-9_-]{1,40}=([A-Za-z0-9_.+,-]{1,80}|\"[A-Za-z0-9_.+, -]{1,80}\")){0,4}"
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PLAIN = re.compile(r"[!-~]([ -~]*[!-~])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Metadata of an object, names and values: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_MOST_METADATA = 2048
# Of which the writer's id takes some, where an object is written under a condition.
_MOST_OF_CLIENTS = _MOST_METADATA - 64
_LONGEST_NAME = 255
_OURS = "s3stream-"


def parameters_for(metadata: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """S3's parameters of the object: what the server was given, and below it what a client says.

    An object whose type or name a client has chosen is an attachment, so that no browser runs it
    as a page. Raises `Refused` (400) for what S3 could not keep.
    """
    parameters: dict[str, Any] = {}
    said = next((metadata[name] for name in _TYPES if metadata.get(name)), None)
    if said is not None:
        if not _MEDIA_TYPE.fullmatch(said):
            raise Refused(400, "Upload-Metadata: the file's type is no media type")
        parameters["ContentType"] = said
    if "ContentType" not in given:
        parameters["ContentDisposition"] = _attachment(metadata)
    kept = _kept({name: value for name, value in metadata.items() if name not in _TYPES})
    ours = given.get("Metadata", {})
    folded = {name.lower() for name in ours}  # S3 knows no case in them
    named = {name: value for name, value in kept.items() if name not in folded} | ours
    size = sum(len(name) + len(value) for name, value in named.items())
    if kept and size > _MOST_OF_CLIENTS:
        raise Refused(
            400, f"Upload-Metadata: {size:,} bytes, at most {_MOST_OF_CLIENTS:,} are kept"
        )
    if named:
        parameters["Metadata"] = named
    return {**parameters, **{name: given[name] for name in given if name != "Metadata"}}


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is none; raises `UsageError`."""
    wrong = prefix and (not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix)
    if wrong or FOLDER in prefix.split("/"):
        raise UsageError(
            f"prefix={prefix!r}: expected none, or one such as 'incoming/', without {FOLDER}"
        )


def check_key(key: object, prefix: str) -> str:
    """The whole key of an object that a hook has called so.

    Raises `Refused` (400) for one that would lie elsewhere, or where our records are; `TypeError`
    when it is no string, which is the hook's mistake and not the client's.
    """
    if not isinstance(key, str):
        raise TypeError(f"naming= has returned {key!r}: expected the key, a string")
    pieces = key.split("/")
    if any(piece in {"", ".", ".."} for piece in pieces):
        raise Refused(400, "the file's name makes no key: an empty piece, '.' or '..' in it")
    if FOLDER in pieces:
        raise Refused(400, f"the file's name makes no key: {FOLDER} is this server's own")
    if _CONTROL.search(key) or not _is_text(key):
        raise Refused(400, "the file's name makes no key: a control character in it")
    return f"{prefix}{key}"


def _kept(metadata: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in metadata.items():
        folded = name.lower()
        if not _HEADER_NAME.fullmatch(name) or folded.startswith(_OURS):
            raise Refused(400, f"Upload-Metadata: {name} cannot be the name of S3 metadata")
        if folded in kept:
            raise Refused(400, f"Upload-Metadata: {name} is there twice, but for its case")
        kept[folded] = _as_header(value)
    return kept


def _as_header(value: str) -> str:
    """As it is when it is plain ASCII; else as S3 itself gives such values back, by RFC 2047."""
    if value == "" or (_PLAIN.fullmatch(value) and not value.startswith("=?")):
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def _attachment(metadata: Mapping[str, str]) -> str:
    name = metadata.get("filename") or metadata.get("name") or ""
    if not name:
        return "attachment"
    if len(name) > _LONGEST_NAME:
        raise Refused(400, f"Upload-Metadata: a file's name has at most {_LONGEST_NAME} characters")
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True
