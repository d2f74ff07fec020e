"""Runs the demo as a person would, on less data, and reads what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
JOBS = (
    "large file, shutil.copyfileobj",
    "20,000 log lines, text mode",
    "pandas DataFrame.to_parquet",
    "pyarrow.parquet.write_table",
    "pyarrow dataset by month",
)


def test_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo", "--small"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONWARNINGS": "", "TMPDIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""

    *_, last = done.stdout.splitlines()
    assert re.fullmatch(r"All is well: [0-9]+ MiB written and read back in [0-9]+ s\.", last)
    title, rule, *rows = done.stdout.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert title.split()[0] == "what"
    assert set(rule) == {"─", " "}
    assert tuple(row.partition("  ")[0] for row in rows) == JOBS
    for row in rows:
        assert row.split()[-2:] == ["verified", "equal"]
    assert "nothing was published" in done.stdout
    assert "\x1b" not in done.stdout
    # It cleans up after itself.
    assert list(tmp_path.iterdir()) == []


def test_demo_says_what_is_missing(tmp_path: Path) -> None:
    # As where the wheel of SeaweedFS has not been installed.
    code = (
        "import sys; from tests import demo, servers\n"
        "servers._PROGRAMS['seaweedfs'] = ('no-such-weed',)\n"
        "sys.argv = ['demo']; sys.exit(demo.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", "PYTHONWARNINGS": "", "TMPDIR": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 1
    assert "All is well" not in done.stdout
    assert "The demo failed: ServerError" in done.stderr
    assert "no-such-weed" in done.stderr
    assert list(tmp_path.iterdir()) == []
