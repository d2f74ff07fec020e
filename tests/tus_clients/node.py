"""tus-js-client under Node: installed once, started as often as it is wanted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import programs

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

PAGE = Path(__file__).resolve().parents[2] / "examples" / "tus"
_OLDEST_NODE = 18
_SCRIPT = Path(__file__).with_name("node.mjs")


def install(cache: Path) -> Path:
    """The node_modules that examples/tus names, installed below `cache` unless they are there.

    Skips the test, or fails it, where there is no npm, or no Node that is new enough.
    """
    npm, node = programs.find("npm"), programs.find("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < _OLDEST_NODE:
        programs.do_without(f"tus-js-client needs Node {_OLDEST_NODE}, {node} is {version.strip()}")
    lock = (PAGE / "package-lock.json").read_bytes()
    home = cache / hashlib.sha256(lock).hexdigest()[:16]
    if not home.is_dir():
        made = Path(tempfile.mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PAGE / name, made)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=made, capture_output=True, text=True, timeout=200, check=False
        )
        if done.returncode:
            shutil.rmtree(made)
            programs.do_without(f"`npm ci` does not install tus-js-client: {done.stderr[-500:]}")
        try:
            made.rename(home)
        except OSError:
            # Another process of this test run was faster: a folder with something in it stays.
            shutil.rmtree(made)
    return home / "node_modules"


@dataclass
class Outcome:
    """How an upload by tus-js-client has ended, and what it has seen on its way."""

    ended: str
    url: str
    message: str
    answers: list[tuple[str, int]]  # method and status
    accepted: list[int]  # offsets that the server has acknowledged


class NodeUpload:
    """One upload by tus-js-client in a process of its own; see node.mjs for the options.

    It repeats for a minute what failed or is locked.
    """

    def __init__(self, modules: Path, **options: Any) -> None:
        options = {"retryDelays": [0, *[200] * 300], "path": str(options.pop("path")), **options}
        self._process = subprocess.Popen(
            [programs.find("node"), str(_SCRIPT), str(modules), json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ.get("PATH", os.defpath)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> Outcome:
        """Wait for its end."""
        output, errors = self._process.communicate(timeout=200)
        assert not errors, errors
        return _outcome([json.loads(line) for line in output.splitlines()])


def upload(modules: Path, **options: Any) -> Outcome:
    """Start an upload by tus-js-client, and wait for its end."""
    with NodeUpload(modules, **options) as running:
        return running.end()


def _outcome(said: list[dict[str, Any]]) -> Outcome:
    last = said[-1] if said else {}
    assert "ended" in last, f"it ended without a word: {said}"
    urls = [word["url"] for word in said if "url" in word]
    return Outcome(
        ended=last["ended"],
        url=urls[-1] if urls else "",
        message=last.get("message", ""),
        answers=[(word["method"], word["status"]) for word in said if "method" in word],
        accepted=[word["accepted"] for word in said if "accepted" in word],
    )
