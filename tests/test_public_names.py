"""What `import s3stream` offers: the promised names, in order, each with words to explain it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import s3stream
import s3stream.tus

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(s3stream.__file__).parent

# Once published a name stays. New ones are added here.
PROMISED = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "ArchiveContents",
    "ArchiveResult",
    "Checkpoint",
    "Checksum",
    "CleanupError",
    "Dataset",
    "IntegrityError",
    "LockedError",
    "MultipartUpload",
    "NotFoundError",
    "PreconditionError",
    "PrefixError",
    "PreparedUpload",
    "Receipt",
    "S3AsyncWriter",
    "S3BufferedWriter",
    "S3CompressedWriter",
    "S3RandomWriter",
    "S3StreamError",
    "S3StreamFileSystem",
    "S3TextWriter",
    "S3Writer",
    "TimedOutError",
    "TooLargeError",
    "UncertainError",
    "UnfinishedUpload",
    "UploadResult",
    "UsageError",
    "WriteOptions",
    "WriteStats",
    "abort_uploads",
    "aopen",
    "archive",
    "discard_on_sigterm",
    "expire_uploads",
    "extract",
    "limit_memory",
    "list_uploads",
    "open",
    "register",
    "resume",
    "upload_file",
    "upload_stream",
    "verify",
]

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def is_overload(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list)


def public(tree: ast.Module | ast.ClassDef, name: str) -> Iterator[tuple[str, Documented]]:
    """A module or class and all that is public in it."""
    yield name, tree
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_") or is_overload(node):
                continue
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{name}.{node.name}")
            else:
                yield f"{name}.{node.name}", node


def test_the_promised_names_are_there_and_no_other() -> None:
    assert sorted(s3stream.__all__) == PROMISED


def test_the_names_are_sorted_and_unique() -> None:
    assert list(s3stream.__all__) == sorted(set(s3stream.__all__))


@pytest.mark.parametrize("name", s3stream.__all__)
def test_a_public_name_can_be_explained(name: str) -> None:
    value = getattr(s3stream, name)
    assert inspect.getdoc(value)
    assert value.__doc__, "inherited words do not count"
    assert value.__module__.startswith("s3stream")


def test_what_the_tus_server_offers() -> None:
    assert s3stream.tus.__all__ == ["Refused", "Upload", "application"]
    for name in s3stream.tus.__all__:
        assert getattr(s3stream.tus, name).__doc__


def test_every_public_module_class_and_function_has_a_docstring() -> None:
    silent = [
        name
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, node in public(ast.parse(path.read_text(encoding="utf-8")), path.stem)
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
