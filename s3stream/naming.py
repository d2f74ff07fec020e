"""What an entry of an archive may be called: safe wherever it is unpacked, and no two alike.

Pure: knows keys and names. Must not know archives, stores or files.
"""

from __future__ import annotations

import hashlib
import re
import struct
from array import array

from .errors import UsageError

# Where an archive keeps its manifest; no entry may be called so.
MANIFEST_FOLDER = ".s3stream-manifest"

# Control characters, the other system's separator, what turns a line around or ends it, and halves
# of characters, which no encoding takes.
_DANGEROUS = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Windows has drives of letters only; Python's ntpath takes any character before a colon for one.
_DRIVE = re.compile(".:")
_SLASH = "%2F"


def safe_name(key: str) -> str:
    """Turn a key, or the rest of it below a prefix, into the name of an entry.

    What could lead outside of the folder that it is unpacked into, or deceive who reads it, is
    percent-encoded, as in a URL: `..`, an absolute path, an empty component, a drive, a backslash,
    control characters. Everything else stays as it is. One slash at the end stays: it
    names a folder.
    """
    if not key:
        return ""
    folder = key.endswith("/")
    components = []
    pending = ""
    for component in key[: len(key) - folder].split("/"):
        if component == "":
            pending += _SLASH
            continue
        components.append(pending + _safe_component(component))
        pending = ""
    if pending:
        components.append(pending)
    if _DRIVE.match(components[0]):
        components[0] = components[0].replace(":", "%3A", 1)
    if components[0].lower() == MANIFEST_FOLDER:
        components[0] = _encoded(components[0][0]) + components[0][1:]
    return "/".join(components) + ("/" if folder else "")


def is_safe(name: str) -> bool:
    """Whether an entry of this name can be unpacked without harm."""
    return name != "" and safe_name(name) == name


def _safe_component(component: str) -> str:
    if component in {".", ".."}:
        return "".join(map(_encoded, component))
    return _DANGEROUS.sub(lambda found: _encoded(found[0]), component)


def _encoded(character: str) -> str:
    # Python writes bytes of a file's name that are no UTF-8 as the second halves of characters.
    is_byte = "\udc80" <= character <= "\udcff"
    data = character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in data)


class Names:
    """All names of one archive, by 16 bytes each, so that a million of them cost some 37 MB."""

    def __init__(self) -> None:
        self._taken = _Digests()

    def add(self, name: str) -> None:
        """Take a name. Raises `UsageError` when there is one like it already.

        Likewise when it is an entry's, and others are to lie below it as in a folder.
        """
        self._add_folders(name.rpartition("/")[0])
        if name.endswith("/"):
            return
        if self._taken.has(f"{name}/"):
            raise _clash(name)
        if not self._taken.add(name):
            raise UsageError(
                f"two entries would have the name {name!r} in the archive: make an archive of each"
                " source, or leave one of them out with exclude="
            )

    def _add_folders(self, folder: str) -> None:
        """Take the names of a folder and of all that it lies in."""
        while folder:
            if self._taken.has(folder):
                raise _clash(folder)
            if not self._taken.add(f"{folder}/"):
                return  # and so are those above
            folder = folder.rpartition("/")[0]


def _clash(name: str) -> UsageError:
    return UsageError(
        f"{name!r} would be a file in the archive and the folder of other entries too, which no"
        f" file system can unpack: leave one out with exclude={name!r} or exclude={name + '/*'!r}"
    )


class _Digests:
    """A set of strings, of which only digests are kept: 16 bytes each, in a table that is 3/8 full.

    Or fuller, up to 3/4. A set of Python's takes a hundred bytes for each.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(16 * 64))
        self._count = 0

    def has(self, text: str) -> bool:
        high, low = _digest(text)
        return self._slots[self._find(high, low) + 1] != 0

    def add(self, text: str) -> bool:
        """Take a string; False when it is there already."""
        high, low = _digest(text)
        at = self._find(high, low)
        if self._slots[at + 1]:
            return False
        self._slots[at], self._slots[at + 1] = high, low
        self._count += 1
        if self._count * 8 > len(self._slots) * 3:  # three quarters of its pairs
            self._grow()
        return True

    def _find(self, high: int, low: int) -> int:
        """Where in the table it is, or could be put."""
        slots = self._slots
        end = len(slots)
        at = 2 * high % end
        while slots[at + 1] and (slots[at] != high or slots[at + 1] != low):
            at = (at + 2) % end
        return at

    def _grow(self) -> None:
        before = self._slots
        self._slots = array("Q", bytes(8 * 2 * len(before)))
        for at in range(0, len(before), 2):
            if before[at + 1]:
                found = self._find(before[at], before[at + 1])
                self._slots[found], self._slots[found + 1] = before[at], before[at + 1]


def _digest(text: str) -> tuple[int, int]:
    high, low = struct.unpack(
        "<QQ", hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    )
    return high, low | 1  # 0 is an empty place
