"""Programs that no wheel brings and only some tests need: Node, Chromium, curl, unzip.

Where one is missing, its tests are skipped, so that the tests pass with nothing but Python and pip.
S3STREAM_TEST_PROGRAMS=all asks for every one: then one that is missing is a failure.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

# What Debian's package is called that has it.
_PACKAGES = {
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "node": "nodejs",
    "npm": "npm",
    "tar": "tar",
    "unzip": "unzip",
}


def find(name: str) -> str:
    """The path of a program; skips the test, or fails it, where there is none."""
    found = shutil.which(name)
    if found is None:
        do_without(f"{name} is not installed: apt-get install {_PACKAGES[name]}")
    return found


def do_without(reason: str) -> NoReturn:
    """Skip the test, or fail it where all programs were asked for."""
    if os.environ.get("S3STREAM_TEST_PROGRAMS") == "all":
        pytest.fail(f"S3STREAM_TEST_PROGRAMS=all, but {reason}", pytrace=False)
    pytest.skip(reason)
