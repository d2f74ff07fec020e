"""The file that a checkpoint is kept in: always a whole one, whatever happens."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from s3stream import Receipt, S3StreamError, UsageError, WriteOptions
from s3stream.checkpoint import CHECKPOINTED, Checkpoint
from s3stream.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OPTIONS = {name: getattr(WriteOptions(), name) for name in CHECKPOINTED}
ONE = Checkpoint("b", "käy", "id", None, OPTIONS, (Receipt(1, 5, '"e"', 7),), source=(5, 9))
TWO = replace(ONE, parts=(*ONE.parts, Receipt(2, 6, '"f"', None)))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_was_written_last_is_read_until_it_is_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "upload.json")
    assert journal.read() is None
    for checkpoint in (ONE, TWO, ONE):
        journal.write(checkpoint)
        assert Journal(str(tmp_path / "upload.json")).read() == checkpoint
        assert names_in(tmp_path) == ["upload.json"]
    journal.remove()
    journal.remove()
    assert names_in(tmp_path) == []
    assert journal.read() is None


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "elsewhere" / "upload.json")
    Journal(link).write(ONE)
    assert link.is_symlink()
    assert Journal(tmp_path / "elsewhere" / "upload.json").read() == ONE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a checkpoint"),
        (b"my letters", "not a checkpoint"),
        (b"\xff\xfe", "not a checkpoint: 'utf-8'"),
        (ONE.to_json().replace('"version": 1', '"version": 9').encode(), "of version 9"),
    ],
)
def test_a_file_that_holds_something_else_is_refused_by_name(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "upload.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        Journal(path).read()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_what_cannot_be_done_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    actions: list[tuple[Callable[[], object], str]] = [
        (lambda: Journal(path).read(), "cannot be read"),
        (lambda: Journal(path).write(ONE), "cannot be written"),
        (lambda: Journal(path).remove(), "cannot be removed"),
        (lambda: Journal(tmp_path / "none" / "a").write(ONE), "cannot be written"),
    ]
    for action, said in actions:
        with pytest.raises(S3StreamError, match=said) as caught:
            action()
        assert str(tmp_path) in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)


def test_a_disk_that_is_full_leaves_the_one_before(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limits")
    journal = Journal(tmp_path / "upload.json")
    journal.write(ONE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(ONE.to_json()), hard))
    try:
        with pytest.raises(S3StreamError, match="cannot be written"):
            journal.write(TWO)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.read() == ONE
    journal.write(TWO)
    assert journal.read() == TWO


WRITING = """
import sys
from s3stream.checkpoint import Checkpoint
from s3stream.journal import Journal

journal = Journal(sys.argv[1])
checkpoint = journal.read()
while True:
    journal.write(checkpoint)
    print(flush=True)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "upload.json"
    many = replace(ONE, parts=tuple(Receipt(n, n, f'"{n}"', n) for n in range(1, 5_000)))
    Journal(path).write(many)
    for writes in range(1, 6):
        with subprocess.Popen(
            [sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(writes):
                assert process.stdout.readline()
            process.kill()
        assert Journal(path).read() == many
