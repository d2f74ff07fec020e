"""tus 1.0 as rules: what stands in a request's headers, and which answer is owed.

Pure: headers in, values or a `Refused` out. Must not know the store, nor how HTTP is spoken.
Numbers in comments are sections of https://tus.io/protocols/resumable-upload
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "termination",
    "checksum",
    "expiration",
    "concatenation",
)
# hashlib's names; CRC32, which some servers offer, is no hash of it.
CHECKSUMS = {"sha1": 20, "sha256": 32, "sha512": 64, "md5": 16}
OCTETS = "application/offset+octet-stream"
OFFSET = "Upload-Offset"
# More digits than that no size at S3 has.
_DIGITS = 18
_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(rf"[0-9]{{1,{_DIGITS}}}")
# Of these a second one would count for some on the way, and not for us.
_ONCE = frozenset(
    {
        "content-length",
        "content-type",
        "tus-resumable",
        "upload-checksum",
        "upload-concat",
        "upload-defer-length",
        "upload-length",
        "upload-metadata",
        "upload-offset",
        "x-http-method-override",
    }
)
_NAME = re.compile(r"[!-+\--~]+")  # printable ASCII but space and comma

CHECKSUM_MISMATCH = 460  # not of HTTP: the protocol's own


class Refused(Exception):  # noqa: N818 - an answer, and no error of the server
    """A request is not granted: `status` and a sentence for the client. Hooks may raise it too.

    Raises `ValueError` for a status that is none of a refusal (400 to 599).
    """

    def __init__(
        self, status: int, sentence: str, headers: Mapping[str, str] | None = None
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status {status}: a refusal is 400 to 599")
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Creation:
    """What a POST asks for. `length` is None where it is to be said later; `parts`: ids to join."""

    length: int | None
    metadata: dict[str, str]
    raw_metadata: str
    partial: bool = False
    parts: tuple[str, ...] = ()
    raw_concat: str = ""
    carries_bytes: bool = False


@dataclass(frozen=True)
class Checksum:
    """The digest that the bytes of one PATCH must have; `algorithm` is hashlib's name."""

    algorithm: str
    digest: bytes


@dataclass(frozen=True)
class Patch:
    """What a PATCH says of its bytes: where they belong, how many, what they must be."""

    offset: int
    size: int | None
    length: int | None
    checksum: Checksum | None


def check_version(headers: Mapping[str, str]) -> None:
    """Refuse a client of another protocol (2.1: 412)."""
    said = headers.get("tus-resumable")
    if said != VERSION:
        what = "no Tus-Resumable" if said is None else "another version in Tus-Resumable"
        raise Refused(412, f"{what}: this server speaks {VERSION}", {"Tus-Version": VERSION})


def check_once(names: Iterable[str]) -> None:
    """Refuse a request that says twice what counts once; `names` are those of all its headers."""
    seen: set[str] = set()
    for name in names:
        if name in _ONCE & seen:
            raise Refused(400, f"{name.title()}: it is there twice, and only one could count")
        seen.add(name)


def method_of(method: str, headers: Mapping[str, str]) -> str:
    """The method that is meant: a client that cannot say PATCH or DELETE names it in a header."""
    meant = headers.get("x-http-method-override", "").upper()
    if method == "POST" and meant:
        if meant not in {"PATCH", "DELETE", "HEAD"}:
            raise Refused(400, "X-HTTP-Method-Override: expected PATCH, DELETE or HEAD")
        return meant
    return method


def creation_of(headers: Mapping[str, str], max_size: int) -> Creation:
    """Read the headers of a POST. Raises `Refused` with 400, 413 or 415."""
    raw_metadata = headers.get("upload-metadata", "")
    metadata = metadata_of(raw_metadata)
    concat = headers.get("upload-concat", "").strip()
    size = _size_of_body(headers)
    carries_bytes = size != 0
    if carries_bytes:
        _check_type(headers)
    if concat.startswith("final"):
        if "upload-length" in headers or "upload-defer-length" in headers:
            raise Refused(400, "Upload-Concat: final: its length is that of its parts; say none")
        if carries_bytes:
            raise Refused(400, "Upload-Concat: final: it is made of its parts; send no bytes")
        return Creation(None, metadata, raw_metadata, parts=_ids_of(concat), raw_concat=concat)
    if concat not in {"", "partial"}:
        raise Refused(400, "Upload-Concat: expected 'partial', or 'final;' and the parts' URLs")
    length = _length_of(headers, max_size)
    if length is not None and size is not None and size > length:
        raise Refused(413, f"{size:,} bytes are more than Upload-Length: {length:,}")
    return Creation(
        length,
        metadata,
        raw_metadata,
        partial=concat == "partial",
        raw_concat=concat,
        carries_bytes=carries_bytes,
    )


def patch_of(headers: Mapping[str, str], max_size: int) -> Patch:
    """Read the headers of a PATCH. Raises `Refused` with 400, 413 or 415."""
    _check_type(headers)
    offset = _number(headers, "upload-offset")
    if offset is None:
        raise Refused(400, "no Upload-Offset: say at which byte the body begins")
    length = _number(headers, "upload-length")
    if length is not None and length > max_size:
        raise Refused(413, f"Upload-Length: at most {max_size:,} bytes")
    return Patch(offset, _size_of_body(headers), length, checksum_of(headers))


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """Read Upload-Checksum, if there is one."""
    said = headers.get("upload-checksum")
    if said is None:
        return None
    algorithm, _, encoded = said.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise Refused(400, f"Upload-Checksum: expected one of {', '.join(CHECKSUMS)}")
    digest = _decoded(encoded)
    if digest is None or len(digest) != CHECKSUMS[algorithm]:
        raise Refused(
            400,
            f"Upload-Checksum: expected {algorithm} and its {CHECKSUMS[algorithm]} bytes in base64",
        )
    return Checksum(algorithm, digest)


def fits(patch: Patch, length: int | None, max_size: int) -> int:
    """The most bytes that a PATCH may bring to an upload of `length` (None: not known yet).

    0 for one that begins behind the end: where it should begin is another's to say. Raises
    `Refused` when it says something else of the length than was said (400), or will bring more
    (413).
    """
    if patch.length is not None:
        if length is not None and patch.length != length:
            raise Refused(400, f"Upload-Length: it was said to be {length:,}, and stays so")
        if patch.length < patch.offset:
            raise Refused(400, "Upload-Length: less than Upload-Offset")
        length = patch.length
    left = (max_size if length is None else length) - patch.offset
    if left < 0:
        return 0
    if patch.size is not None and patch.size > left:
        raise too_long(left)
    return left


def too_long(left: int) -> Refused:
    """The refusal of a PATCH that brings more bytes than are left."""
    return Refused(413, f"more bytes than the {left:,} that are left")


def conflict(offset: int) -> Refused:
    """The refusal of a PATCH for another offset than where the upload stands (2.2.3: 409)."""
    return Refused(409, f"Upload-Offset: the upload stands at {offset:,}", {OFFSET: str(offset)})


def metadata_of(said: str) -> dict[str, str]:
    """Read Upload-Metadata (3.1): names, and values that are UTF-8 in base64."""
    found: dict[str, str] = {}
    for pair in filter(None, (pair.strip() for pair in said.split(","))):
        name, _, encoded = pair.partition(" ")
        if not _NAME.fullmatch(name):
            raise Refused(400, "Upload-Metadata: a name is of printable ASCII without a comma")
        if name in found:
            raise Refused(400, f"Upload-Metadata: {name} is there twice")
        value = _decoded(encoded.strip())
        if value is None:
            raise Refused(400, f"Upload-Metadata: the value of {name} is not base64")
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            raise Refused(400, f"Upload-Metadata: the value of {name} is not UTF-8") from None
    return found


def is_id(text: str) -> bool:
    """Whether it could be the id of an upload: 32 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def _ids_of(concat: str) -> tuple[str, ...]:
    kind, _, urls = concat.partition(";")
    ids = tuple(_id_in(url) for url in urls.split())
    if kind.strip() != "final" or not ids:
        raise Refused(400, "Upload-Concat: expected 'final;' and the URLs of the parts")
    if len(set(ids)) != len(ids):
        raise Refused(400, "Upload-Concat: a part is there twice")
    return ids


def _id_in(url: str) -> str:
    # Whatever host and path it was asked by: only the id counts, and it is looked for here.
    try:
        name = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    except ValueError:
        name = ""
    if not is_id(name):
        raise Refused(400, "Upload-Concat: a part's URL is none of this server")
    return name


def _length_of(headers: Mapping[str, str], max_size: int) -> int | None:
    length = _number(headers, "upload-length")
    deferred = headers.get("upload-defer-length")
    if deferred not in {None, "1"}:
        raise Refused(400, "Upload-Defer-Length: expected 1")
    if (length is None) == (deferred is None):
        raise Refused(400, "expected one of Upload-Length and Upload-Defer-Length")
    if length is not None and length > max_size:
        raise Refused(413, f"Upload-Length: at most {max_size:,} bytes")
    return length


def _size_of_body(headers: Mapping[str, str]) -> int | None:
    """The bytes that the body will have; None when it does not say."""
    if "transfer-encoding" in headers:
        return None
    return _number(headers, "content-length") or 0


def _check_type(headers: Mapping[str, str]) -> None:
    if headers.get("content-type", "").strip().lower() != OCTETS:
        raise Refused(415, f"Content-Type: expected {OCTETS}")


def _number(headers: Mapping[str, str], name: str) -> int | None:
    said = headers.get(name)
    if said is None:
        return None
    if not _NUMBER.fullmatch(said):
        raise Refused(400, f"{name.title()}: expected a whole number of bytes")
    return int(said)


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:  # binascii's own is one
        return None
