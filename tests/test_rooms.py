"""The plan of the house: which room may import which, enforced."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "s3stream"

# A room, what it may import of ours, and of others beyond the pure standard library. A module of
# the package `store` is in the room `store`, and may import its neighbours there.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # pure logic
    "errors": (set(), set()),
    "uri": ({"errors"}, set()),
    "options": ({"errors"}, set()),
    "checksums": (set(), {"awscrt"}),
    "plan": ({"errors", "options"}, set()),
    "parts": ({"errors", "options", "plan"}, {"mmap"}),  # the type, for what a buffer may be
    "state": ({"checksums", "errors"}, set()),
    # threads
    "memory": ({"errors"}, {"mmap", "os", "tempfile", "threading"}),
    "sender": (set(), {"threading"}),
    # boto3
    "store": ({"checksums", "errors", "options", "parts", "state"}, {"boto3", "botocore"}),
    # the file
    "transfer": (
        {"errors", "memory", "options", "parts", "plan", "sender", "state", "store"},
        {"warnings"},
    ),
    "writer": (
        {"errors", "options", "state", "transfer"},
        {"atexit", "io", "os", "sys", "threading", "warnings", "weakref"},
    ),
    # its faces
    "files": ({"errors", "options", "state", "writer"}, {"fsspec", "io", "warnings"}),
    "fs": (
        {"errors", "files", "options", "store", "uri", "writer"},
        {"fsspec", "os", "pathlib"},
    ),
    "opening": ({"errors", "files", "fs", "options", "store", "uri", "writer"}, set()),
    "__init__": (
        {"errors", "files", "fs", "opening", "options", "state", "writer"},
        set(),
    ),
}

# Of the standard library, what is only computing and naming.
PURE = {
    "__future__",
    "base64",
    "codecs",
    "collections",
    "contextlib",
    "dataclasses",
    "datetime",
    "difflib",
    "enum",
    "errno",
    "functools",
    "hashlib",
    "mimetypes",
    "types",
    "typing",
    "uuid",
}


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def _imports(path: Path) -> set[tuple[str, bool]]:
    """What a module imports: (room or package, whether it is ours)."""
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(name.name.partition(".")[0], False) for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(((node.module or "").partition(".")[0], False))
        elif isinstance(node, ast.ImportFrom) and node.level < depth:
            found.add((_room(path), True))  # a neighbour within the room
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [name.name for name in node.names]
            found |= {(name.partition(".")[0], True) for name in names if name}
    return found


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_module_is_in_a_room_and_every_room_is_there() -> None:
    assert {_room(path) for path in _modules()} == set(ROOMS)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    ours, others = ROOMS[_room(path)]
    imported = _imports(path)
    assert {name for name, own in imported if own} <= ours | {_room(path)}
    assert {name for name, own in imported if not own} <= others | PURE


@pytest.mark.parametrize("room", ROOMS)
def test_a_permission_that_nobody_uses_is_taken_back(room: str) -> None:
    ours, others = ROOMS[room]
    imported = {item for path in _modules() if _room(path) == room for item in _imports(path)}
    assert ours <= {name for name, own in imported if own}
    assert others <= {name for name, own in imported if not own}


def test_the_doors_lead_one_way() -> None:
    seen: set[str] = set()
    for room, (ours, _) in ROOMS.items():
        assert ours <= seen, f"{room} imports a room below it"
        seen.add(room)


def test_importing_starts_no_thread_and_loads_no_table_library() -> None:
    program = (
        "import sys, threading, s3stream\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "loaded = {'numpy', 'pandas', 'polars', 'pyarrow'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
