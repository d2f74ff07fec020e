"""The plan of the house: which room may import what; a room that is not in it does not exist.

Walks every import statement of the package, wherever it stands and however it is written.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import s3stream

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(s3stream.__file__).parent


@dataclass(frozen=True)
class Room:
    """What a room may import: other rooms, and modules from outside that reach out of pure logic.

    An entry outside stands for that module and all below it; HARMLESS ones need no entry.
    """

    ours: str = ""
    outside: str = ""


ROOMS = {
    # pure
    "errors": Room(),
    "uri": Room("errors"),
    "options": Room("errors"),
    "profiles": Room("errors options", "urllib.parse"),  # which takes strings apart
    "stats": Room("options"),
    "checksums": Room(outside="awscrt"),
    "plan": Room("errors options"),
    "parts": Room("errors options plan", "mmap"),  # mmap: the type of a spooled body
    "state": Room("checksums errors"),
    "manifest": Room("errors state"),
    "prepared": Room("state"),
    "checkpoint": Room("errors options state"),
    "account": Room("checkpoint manifest state"),
    "predecessor": Room("errors options state"),
    "naming": Room("errors"),
    "inventory": Room("errors naming options"),
    "given": Room("errors options state"),
    # local files
    "regions": Room("errors", "io os"),
    "source": Room("errors options", "io os pathlib stat"),
    "draft": Room("errors options", "os tempfile"),
    "arrival": Room("errors", "os pathlib stat"),
    # threads
    "waiting": Room("errors", "threading time"),
    "meter": Room("errors stats waiting", "logging threading"),
    "pace": Room("", "os threading"),
    "budget": Room("errors", "os threading weakref"),
    "memory": Room("budget errors waiting", "mmap os tempfile"),
    "sender": Room("pace waiting", "threading"),
    "ahead": Room("budget options pace sender waiting", "threading"),
    "behind": Room("sender waiting", "threading"),
    "steps": Room("sender", "asyncio contextvars threading"),
    "heartbeat": Room("", "os threading weakref"),
    "endings": Room("", "atexit os signal sys threading time warnings weakref"),
    "together": Room("endings errors pace sender waiting", "threading"),
    # boto3; its modules may import each other
    "store": Room(
        "checksums errors meter options pace parts predecessor profiles regions sender state"
        " waiting",
        "boto3 botocore email.utils io logging mimetypes mmap os threading time urllib urllib3"
        " warnings"
        " weakref",
    ),
    # what outlives a writer
    "journal": Room("checkpoint errors", "os pathlib"),
    "lock": Room("errors heartbeat options store waiting", "logging os platform threading time"),
    "beside": Room("checkpoint checksums errors options parts store"),
    "keeping": Room(
        "beside checkpoint endings errors journal lock manifest options parts state store",
        "logging threading warnings",
    ),
    # shell
    "cleanup": Room("endings errors sender store", "threading warnings"),
    "discarding": Room("cleanup errors prepared"),
    "oneway": Room("", "io"),
    "guard": Room("beside checkpoint parts"),
    "carrier": Room(
        "beside checkpoint errors guard memory meter options parts predecessor prepared sender"
        " state store waiting"
    ),
    "retreat": Room("carrier cleanup errors guard state"),
    "transfer": Room(
        "carrier checkpoint errors guard meter options parts plan predecessor prepared retreat"
        " state stats"
    ),
    "completing": Room("errors manifest state store", "time"),
    "opened": Room("", "os sys"),
    "closing": Room(
        "checkpoint cleanup discarding endings errors guard opened prepared state transfer",
        "os threading warnings",
    ),
    "writer": Room(
        "checkpoint cleanup closing guard oneway options predecessor state stats transfer", "io"
    ),
    "seekable": Room("draft errors options state writer"),
    # adapters
    "modes": Room("errors", "fsspec.compression fsspec.core warnings"),
    "face": Room("cleanup discarding prepared state stats writer"),
    "files": Room(
        "checkpoint cleanup face oneway options seekable writer",
        "fsspec.compression io threading",
    ),
    "transaction": Room("cleanup errors files", "fsspec.transaction"),
    "fs": Room(
        "arrival errors files modes options profiles seekable store together"
        " transaction uri waiting writer",
        "fsspec glob os pathlib",
    ),
    "registering": Room("errors fs uri", "fsspec.registry"),
    "resuming": Room(
        "beside checkpoint errors files fs guard journal keeping lock options state writer",
        "os",
    ),
    "opening": Room("errors files fs lock modes options resuming store uri writer"),
    "asynchronous": Room(
        "errors files modes opened opening options sender state stats steps uri writer",
        "asyncio logging warnings",
    ),
    "streaming": Room("asynchronous errors state"),
    "paths": Room("", "fsspec upath"),
    "uploads": Room("errors fs store"),
    "books": Room("completing errors state", "threading"),
    "multipart": Room(
        "books checksums completing errors fs given options regions state store uri",
        "os threading",
    ),
    "members": Room("cleanup completing errors fs prepared sender state store"),
    "dataset": Room("errors fs members opened prepared state", "os warnings weakref"),
    "sending": Room(
        "account checkpoint checksums cleanup completing endings errors fs keeping manifest meter"
        " multipart options regions sender source state store waiting"
    ),
    "sendfile": Room(
        "checkpoint errors fs journal keeping lock multipart options plan sending source state",
        "os",
    ),
    "archiving": Room(
        "ahead behind errors files fs inventory naming opening options pace state store uri"
        " waiting",
        "fsspec.callbacks fsspec.core gzip io logging mmap os pathlib tarfile zipfile zlib"
        " zstandard",
    ),
    "__init__": Room(
        "archiving asynchronous budget checkpoint dataset endings errors files fs inventory"
        " multipart opening options prepared registering resuming sendfile state stats streaming"
        " uploads writer"
    ),
    "tus": Room(
        "beside checkpoint checksums errors fs heartbeat keeping lock memory options parts resuming"
        " state store waiting writer",
        "asyncio concurrent.futures email.utils logging secrets starlette threading time"
        " urllib.parse",
    ),
    # the command line stands on what `import s3stream` offers
    "cli": Room(
        "__init__ checksums errors journal plan tus uri",
        "argparse atexit glob importlib logging os pathlib select signal socket stat subprocess sys"
        " threading time uvicorn warnings",
    ),
    "__main__": Room("cli", "sys"),
}

PURE = (
    "errors",
    "uri",
    "options",
    "checksums",
    "plan",
    "parts",
    "state",
    "manifest",
    "prepared",
    "checkpoint",
    "account",
    "predecessor",
    "naming",
    "inventory",
    "given",
    "profiles",
    "stats",
)

# Of the standard library: computes and describes, reads no file, opens no socket, starts no thread.
HARMLESS = frozenset(
    [
        "__future__",
        "abc",
        "array",
        "base64",
        "bisect",
        "codecs",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "errno",
        "fnmatch",
        "functools",
        "hashlib",
        "itertools",
        "json",
        "math",
        "operator",
        "re",
        "string",
        "struct",
        "types",
        "typing",
        "uuid",
    ]
)


def room_of(module: str) -> str:
    """The room that a module of ours is part of, by its dotted name."""
    return [*module.split("."), "__init__"][1]


def modules() -> dict[str, str]:
    """Every module of the package: dotted name and source."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(names).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    return found


def imports(module: str, source: str, is_package: bool, known: frozenset[str]) -> Iterator[str]:
    """Dotted names of all modules that a module imports; `known` are those of the package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".")
            base = here[: len(here) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                # `from . import errors` imports a module, `from .errors import X` what is in it.
                yield name if name in known or node.module is None else origin
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield "importlib"


def within(module: str, entries: str) -> str | None:
    """The entry that stands for `module`, None when there is none."""
    return next((e for e in entries.split() if module == e or module.startswith(f"{e}.")), None)


def complaints(sources: dict[str, str], rooms: dict[str, Room]) -> list[str]:
    """All that is not as the plan says: imports too many, and entries too many."""
    found = []
    known = frozenset(sources)
    used: dict[str, set[str]] = {name: set() for name in rooms}
    for module, source in sources.items():
        room = room_of(module)
        if room not in rooms:
            found.append(f"{room} is not in the plan")
            continue
        is_package = any(other.startswith(f"{module}.") for other in known)
        for name in imports(module, source, is_package, known):
            if name.split(".")[0] == "s3stream":
                target = room_of(name)
                entry = target if target in rooms[room].ours.split() else None
                if target == room != "__init__":
                    continue
            elif name.split(".")[0] in HARMLESS:
                continue
            else:
                entry = within(name, rooms[room].outside)
            if entry is None:
                found.append(f"{module} must not import {name}")
            else:
                used[room].add(entry)
    for room, plan in rooms.items():
        allowed = {*plan.ours.split(), *plan.outside.split()}
        found += [f"{room} never imports {entry}" for entry in sorted(allowed - used[room])]
    found += [f"there is no {room}" for room in rooms if room not in map(room_of, sources)]
    return found


def test_every_room_imports_what_the_plan_says_and_no_entry_is_stale() -> None:
    assert complaints(modules(), ROOMS) == []


def test_doors_open_one_way_only() -> None:
    names = list(ROOMS)
    for index, (name, room) in enumerate(ROOMS.items()):
        assert set(room.ours.split()) <= set(names[:index]), f"{name} imports a room below it"


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_reaches_nothing_outside(room: str) -> None:
    # awscrt: its checksums are pure functions, and so is all of urllib.parse.
    assert set(ROOMS[room].outside.split()) <= {"awscrt", "mmap", "urllib.parse"}


# In the room of the tus server: its rules, which know neither HTTP, nor a store, nor the clock.
PURE_OF_TUS = ("describing", "hooks", "protocol", "ranges", "record")


@pytest.mark.parametrize("name", PURE_OF_TUS)
def test_the_rules_of_the_tus_server_are_pure(name: str) -> None:
    sources = modules()
    known = frozenset(sources)
    allowed = {f"s3stream.{room}" for room in PURE} | {f"s3stream.tus.{n}" for n in PURE_OF_TUS}
    for imported in imports(f"s3stream.tus.{name}", sources[f"s3stream.tus.{name}"], False, known):
        harmless = imported.split(".")[0] in HARMLESS or imported.startswith("urllib.parse")
        assert harmless or within(imported, " ".join(allowed)), imported


def test_few_rooms_know_threads_and_one_knows_boto3() -> None:
    knowing = {
        module: {name for name, room in ROOMS.items() if within(module, room.outside)}
        for module in (
            *("threading", "boto3", "botocore", "asyncio", "socket", "time"),
            "concurrent.futures",
        )
    }
    assert knowing == {
        "threading": {
            "ahead",
            "behind",
            "books",
            "budget",
            "cleanup",
            "cli",
            "closing",
            "endings",
            "files",
            "heartbeat",
            "keeping",
            "lock",
            "meter",
            "multipart",
            "pace",
            "sender",
            "steps",
            "store",
            "together",
            "tus",
            "waiting",
        },
        "boto3": {"store"},
        "botocore": {"store"},
        "asyncio": {"asynchronous", "steps", "tus"},
        "concurrent.futures": {"tus"},
        "socket": {"cli"},
        "time": {"cli", "completing", "endings", "lock", "store", "tus", "waiting"},
    }


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import socket", "s3stream.b must not import socket"),
        ("import os.path as p", "s3stream.b must not import os.path"),
        ("from os import fork", "s3stream.b must not import os"),
        ("def f():\n    import threading", "s3stream.b must not import threading"),
        ("class C:\n    from time import sleep", "s3stream.b must not import time"),
        ("if TYPE_CHECKING:\n    from .c import X", "s3stream.b must not import s3stream.c"),
        ("from . import c", "s3stream.b must not import s3stream.c"),
        ("from . import a, c", "s3stream.b must not import s3stream.c"),
        ("from s3stream import c", "s3stream.b must not import s3stream.c"),
        ("import s3stream.c", "s3stream.b must not import s3stream.c"),
        ("from .d.e import X", "s3stream.b must not import s3stream.d.e"),
        ("from .d import e", "s3stream.b must not import s3stream.d.e"),
        ("from s3stream import X", "s3stream.b must not import s3stream"),
        ("import s3stream", "s3stream.b must not import s3stream"),
        ("__import__('os')", "s3stream.b must not import importlib"),
        ("import fsspec.core", "s3stream.b must not import fsspec.core"),
        ("import fsspec", "s3stream.b must not import fsspec"),
    ],
)
def test_the_walk_sees_every_kind_of_import(source: str, complaint: str) -> None:
    rooms = {
        "__init__": Room(),
        "a": Room(),
        "b": Room("a", "fsspec.compression"),
        "c": Room(),
        "d": Room("a"),
    }
    sources = {
        "s3stream": "",
        "s3stream.a": "from typing import Any",
        "s3stream.b": "from . import a\nimport fsspec.compression",
        "s3stream.c": "",
        "s3stream.d": "from .e import X",
        "s3stream.d.e": "from ..a import Y\nfrom . import X",
    }
    assert complaints(sources, rooms) == []
    sources["s3stream.b"] += f"\n{source}"
    assert complaints(sources, rooms) == [complaint]


def test_stale_and_missing_entries_are_reported() -> None:
    rooms = {"__init__": Room(), "a": Room(), "b": Room("a", "os"), "gone": Room()}
    sources = {"s3stream": "", "s3stream.a": "", "s3stream.b": "", "s3stream.new": ""}
    assert complaints(sources, rooms) == [
        "new is not in the plan",
        "b never imports a",
        "b never imports os",
        "there is no gone",
    ]


def test_importing_s3stream_starts_no_thread_and_brings_no_data_frames() -> None:
    program = """if True:
        import sys, threading
        from pathlib import Path
        import s3stream
        print([thread.name for thread in threading.enumerate()])
        heavy = {"numpy", "pandas", "polars", "pyarrow", "starlette", "uvicorn"}
        print(sorted(heavy & sys.modules.keys()))
        tasks = Path("/proc/self/task")
        print(len(list(tasks.iterdir())) if tasks.exists() else 1)  # C's own threads, on Linux
    """
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines() == ["['MainThread']", "[]", "1"]
