"""What the caller may choose, and the store's limits that bound the choice.

Pure data, checked when it is made: a `WriteOptions` that exists is one that can be used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .errors import UsageError

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30
TiB = 1 << 40

# The defaults were measured against a store that answers after 50 ms and takes 90 MiB/s from each
# connection (`python -m tests.benchmarks --links s3-like`, two cores): 8 parts of 8 MiB in flight
# make 350 MiB/s, 14 of them 550, 24 parts of 5 MiB in the same 128 MiB of memory 720. Smaller parts
# make more of the same memory, at 0.2 s of CPU more per GiB; 5 MiB is the least that S3 takes.

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MAX_PART_SIZE = 5 * GiB
MAX_PARTS = 10_000
MAX_PUT_SIZE = 5 * GiB

CHECKSUMS = ("crc64nvme", "crc32c", "crc32")


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How one object is written: frozen, and checked when it is made. Sizes are in bytes.

    What is not given is S3's, or that of a store that is known (`store="r2"`, or by its endpoint).

    `part_size`: the first parts' size (5 MiB); later parts grow so that any length fits.
    `min_part_size`: the store's minimum for every part but the last (S3: 5 MiB).
    `max_parts`: the store's maximum number of parts (S3: 10,000).
    `equal_parts`: never grow: every part but the last has `part_size` (some stores ask for that).
    `reserve`: the last part is never smaller than this, unless the whole object is; for stores
    that ask it, and for uploads that are to be continued. At most `part_size`.
    `size_hint`: the expected length of the object, if known: parts are planned evenly for it.
    `max_concurrency`: parts in flight at once (24), no more than its client keeps connections.
    `memory`: the most bytes that this writer's parts hold in memory; by default 128 MiB, or three
    parts where `part_size` is large. Parts above a third of it wait in temporary files, and so do
    those for which all files of the process together leave no memory.
    `spool`: True, or the folder for those temporary files, and that of a file of mode `w+b`; False
    refuses to write any.
    `checksum`: `crc64nvme`, `crc32c`, `crc32`, or None to send none.
    `publish`: `"close"` publishes at `close()`; with `"commit"` only `commit()` ever does.
    `if_match`: publish only over the object that has this ETag.
    `if_none_match`: `"*"` publishes only where there is no object of this name.
    `beside`: what stands behind the object's key in the names of the objects that lie beside it
    while it is written (only where it is suspended, or has a checkpoint): its tail and its lock.
    `lease`: seconds after which the lock of a process that is not heard of any more is taken over.
    `s3_additional_kwargs`: S3's own parameters by S3's names, each sent where it is known.

    Raises `UsageError` (a `ValueError`) that names the option, the value and what would be right.
    """

    part_size: int = 5 * MiB
    min_part_size: int = 5 * MiB
    max_parts: int = MAX_PARTS
    equal_parts: bool = False
    reserve: int = 0
    size_hint: int | None = None
    max_concurrency: int = 24
    memory: int | None = None
    spool: bool | str = True
    checksum: str | None = "crc64nvme"
    publish: Literal["close", "commit"] = "close"
    if_match: str | None = None
    if_none_match: str | None = None
    beside: str = ".s3stream"
    lease: float = 60.0
    # Not shown: there may be a customer's key in it.
    s3_additional_kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._whole_number("min_part_size", 1, MAX_PART_SIZE)
        self._whole_number(
            "part_size", self.min_part_size, MAX_PART_SIZE, "min_part_size and 5 GiB"
        )
        self._whole_number("max_parts", 1, MAX_PARTS)
        # A tail below the reserve joins the part before it, which must still be one that S3 takes.
        most = min(self.part_size, MAX_PART_SIZE - self.part_size)
        self._whole_number("reserve", 0, most, "part_size, and 5 GiB for both together")
        self._whole_number("max_concurrency", 1, 1_000)
        if self.memory is not None:
            self._whole_number("memory", 3 * self.part_size, 1 * TiB, "three part_size and 1 TiB")
        if self.size_hint is not None:
            self._whole_number("size_hint", 0, self.max_parts * MAX_PART_SIZE)
        self._one_of("checksum", (*CHECKSUMS, None))
        self._one_of("publish", ("close", "commit"))
        self._one_of("if_none_match", (None, "*"))
        self._one_of("equal_parts", (True, False))
        if not isinstance(self.if_match, (str, type(None))):
            raise UsageError(f"if_match={self.if_match!r}: expected an ETag, a string, or None")
        if self.if_match is not None and self.if_none_match is not None:
            raise UsageError("if_match and if_none_match exclude each other: choose one")
        lease: object = self.lease
        if isinstance(lease, bool) or not isinstance(lease, (int, float)) or not lease > 0:
            raise UsageError(f"lease={lease!r}: expected a number of seconds above 0")
        beside: object = self.beside
        if not isinstance(beside, str) or not beside:
            raise UsageError(f"beside={beside!r}: expected what tails and locks are named by")
        if not isinstance(self.spool, (bool, str)):
            raise UsageError(f"spool={self.spool!r}: expected True, False or the path of a folder")
        if not isinstance(self.s3_additional_kwargs, Mapping):
            raise UsageError(
                f"s3_additional_kwargs={self.s3_additional_kwargs!r}: expected a mapping of S3's"
                " parameter names to values, such as {'StorageClass': 'STANDARD_IA'}"
            )

    @property
    def memory_limit(self) -> int:
        """The bytes that `memory` comes to when it is not given."""
        return self.memory if self.memory is not None else max(128 * MiB, 3 * self.part_size)

    def _whole_number(self, name: str, low: int, high: int, words: str = "") -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"{name}={value!r}: expected a whole number of bytes or parts")
        if not low <= value <= high:
            between = f" ({words})" if words else ""
            raise UsageError(f"{name}={value:,}: expected {low:,} to {high:,}{between}")

    def _one_of(self, name: str, allowed: tuple[object, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise UsageError(f"{name}={value!r}: expected one of {', '.join(map(repr, allowed))}")


OPTION_NAMES = frozenset(f.name for f in dataclasses.fields(WriteOptions))
