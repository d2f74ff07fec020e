"""The README says nothing that does not run."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from s3stream import WriteOptions
from s3stream.cli.codes import BY_SIGNAL, MEANINGS
from s3stream.options import OPTION_NAMES
from tests.looking import content, exists
from tests.shell import environment

if TYPE_CHECKING:
    from tests.servers import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_snippet_runs_in_order(seaweedfs: Server, tmp_path: Path) -> None:
    bucket = "my-bucket"
    seaweedfs.client().create_bucket(Bucket=bucket)
    snippets = _blocks("python")
    assert len(snippets) >= 5
    program = "\n".join(snippets)
    command = [sys.executable, "-W", "error:nothing was published", "-c", program]
    done = subprocess.run(
        command,
        env=environment(seaweedfs),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert content(seaweedfs, bucket, "python") == Path(sys.executable).read_bytes()
    assert content(seaweedfs, bucket, "data.bin") == b"all of it"
    assert exists(seaweedfs, bucket, "frame.parquet")
    assert not exists(seaweedfs, bucket, "half.bin")
    assert {path.name for path in tmp_path.iterdir()} == {"days", "local.bin"}
    assert len(list((tmp_path / "days").iterdir())) == 30
    assert "Uploads" not in seaweedfs.client().list_multipart_uploads(Bucket=bucket)


def test_every_command_runs_in_order(seaweedfs: Server, tmp_path: Path) -> None:
    bucket = "my-bucket-2"  # the other snippets' own stays theirs
    seaweedfs.client().create_bucket(Bucket=bucket)
    (tmp_path / "backup.tar").write_bytes(bytes(6 << 20))
    (tmp_path / "folder").mkdir()
    (tmp_path / "dump").write_text("#!/bin/sh\necho a dump of $1\n", encoding="utf-8")
    (tmp_path / "dump").chmod(0o755)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    script = "\n".join(_blocks("bash")).replace("my-bucket", bucket)
    assert script.count("s3stream ") >= 10
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        env=environment(seaweedfs, PATH=path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [
        f"s3://{bucket}/backups/backup.tar",
        f"s3://{bucket}/dump.sql.gz",
        f"s3://{bucket}/folder.tar",
    ]
    assert (tmp_path / "dump.sql").read_text(encoding="utf-8") == "a dump of shop\n"
    assert exists(seaweedfs, bucket, "backup.tar")
    assert not exists(seaweedfs, bucket, "folder.tar")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"backup.tar", "folder", "dump", "dump.sql"}


def test_the_exit_codes_are_those_of_the_command() -> None:
    rows = [
        f"| {f'{code} + n' if code == BY_SIGNAL else code} | {meaning} |"
        for code, meaning in MEANINGS.items()
    ]
    assert "\n".join(["| exit code | |", "|--:|---|", *rows]) in README


def test_the_two_commands_name_environments_that_there_are() -> None:
    (console,) = _blocks("console")
    commands = console.splitlines()
    assert len(commands) == 2
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    assert commands[0].endswith("tox -e demo")
    assert "testenv:demo" in tox
    assert commands[1].endswith("tox -e py")


def test_the_table_of_options_is_whole() -> None:
    table = README.split("## Options")[1].split("**S3's own")[0]
    names = "".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE))
    documented = set(re.findall(r"`(\w+)`", names))
    assert documented == OPTION_NAMES - {"s3_additional_kwargs"}


def test_the_memory_formula_is_that_of_the_defaults() -> None:
    defaults = WriteOptions()
    formula = min(
        defaults.memory_limit,
        (defaults.max_concurrency + 2) * defaults.part_size + defaults.reserve,
    )
    assert formula == 128 << 20
    assert "With the defaults that is 128 MiB" in README
