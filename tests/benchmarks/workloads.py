"""The workloads: each prepares its bytes outside the measurement and returns what is measured.

A workload opens whatever files it likes and returns the size that each key must have afterwards,
so that the benchmark can ask the server whether the bytes have really gone there.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .writers import Opener

MIB = 2**20
GIB = 2**30

Run = Callable[[Opener], dict[str, int]]


@dataclass(frozen=True)
class Workload:
    """`prepare(size)` gives the run; `share` of the benchmark's size is enough for this one."""

    about: str
    prepare: Callable[[int], Run]
    share: float = 1
    per: Literal["GiB", "object"] = "GiB"


def random_bytes(size: int) -> bytes:
    """Incompressible and not a zero page, without asking the kernel for all of it."""
    block = os.urandom(min(size, MIB))
    return (block * (size // len(block) + 1))[:size]


def stream(size: int) -> Run:
    """The same block of 1 MiB again and again: cheap to make, and kind to who keeps references."""
    block = random_bytes(MIB)

    def run(opener: Opener) -> dict[str, int]:
        file = opener("stream")
        for _ in range(size // MIB):
            file.write(block)
        file.close()
        return {"stream": size // MIB * MIB}

    return run


def fresh(size: int) -> Run:
    """A new block for every write, as from a socket or a file: kept references cost memory."""
    block = bytearray(random_bytes(MIB))

    def run(opener: Opener) -> dict[str, int]:
        file = opener("fresh")
        for _ in range(size // MIB):
            file.write(bytes(block))
        file.close()
        return {"fresh": size // MIB * MIB}

    return run


class Source:
    """An unseekable file of `size` bytes that costs nothing to read."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._block = random_bytes(MIB)
        self._asked = self._block

    def read(self, size: int = -1, /) -> bytes:
        if len(self._asked) != size:
            self._asked = self._block[:size]
        data = self._asked[: self._left]  # the same object, unless it is the last
        self._left -= len(data)
        return data


def copy(size: int) -> Run:
    """What most scripts do with a file they have been given."""
    source = Source(size)

    def run(opener: Opener) -> dict[str, int]:
        file = opener("copy")
        shutil.copyfileobj(source, file, 64 * 1024)
        file.close()
        return {"copy": size}

    return run


def lines(size: int) -> Run:
    """One call per line: here the price of a call shows."""
    line = random_bytes(199) + b"\n"
    count = size // len(line)

    def run(opener: Opener) -> dict[str, int]:
        file = opener("lines")
        write = file.write
        for _ in range(count):
            write(line)
        file.close()
        return {"lines": count * len(line)}

    return run


def objects(size: int) -> Run:
    """Many small objects, one after the other: here the price of a request shows."""
    data = random_bytes(1024)
    names = [f"objects/{number}" for number in range(max(size // len(data), 1))]

    def run(opener: Opener) -> dict[str, int]:
        for name in names:
            file = opener(name)
            file.write(data)
            file.close()
        return dict.fromkeys(names, len(data))

    return run


def one_write(size: int) -> Run:
    """A caller who has everything in memory already: does the library copy it all again?"""
    data = random_bytes(size)

    def run(opener: Opener) -> dict[str, int]:
        file = opener("one-write")
        file.write(data)
        file.close()
        return {"one-write": size}

    return run


def parquet(size: int) -> Run:
    """A table of numbers that do not compress, in row groups, as pyarrow writes it."""
    pa = importlib.import_module("pyarrow")
    pq = importlib.import_module("pyarrow.parquet")
    numbers = pa.py_buffer(random_bytes(size // 8 * 8))
    column = pa.Array.from_buffers(pa.int64(), size // 8, [None, numbers])
    table = pa.table({"number": column})
    options = {"compression": "none", "use_dictionary": False, "row_group_size": 1 << 20}

    class Counting(io.RawIOBase):
        count = 0

        def writable(self) -> bool:
            return True

        def write(self, data: Any, /) -> int:
            self.count += len(data)
            return len(data)

    counting = Counting()
    pq.write_table(table, counting, **options)

    def run(opener: Opener) -> dict[str, int]:
        file = opener("table.parquet")
        pq.write_table(table, file, **options)
        if not getattr(file, "closed", False):  # pyarrow closes some
            file.close()
        return {"table.parquet": counting.count}

    return run


WORKLOADS: dict[str, Workload] = {
    "stream": Workload("writes of 1 MiB", stream),
    "fresh": Workload("writes of 1 MiB, a new bytes object each", fresh),
    "copy": Workload("shutil.copyfileobj, 64 KiB at a time", copy),
    "lines": Workload("lines of 200 bytes (half a GiB of each)", lines, share=1 / 2),
    "objects": Workload("objects of 1 KiB, one after the other", objects, 1 / 1024, "object"),
    "parquet": Workload("pyarrow.parquet.write_table, 256 MiB of each GiB", parquet, share=1 / 4),
    "one-write": Workload("one write of everything (256 MiB of each GiB)", one_write, share=1 / 4),
}
