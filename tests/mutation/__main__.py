"""Shows that the tests of the pure rooms would notice a mistake: `tox -e mutation`.

mutmut (set up in pyproject.toml) makes hundreds of small changes to the pure rooms, one at a time,
and runs their tests on each. A mutant that no test kills has to stand in survivors.txt, with the
reason why it may live; one that is not there fails the run, and so does an entry whose mutant no
longer survives. Entries name mutants by function and changed line, so that they outlast edits
elsewhere.

Two things are not asked of the tests. The wording of messages: what merely shouts, whispers or
puts XX around a sentence. And what mutmut leaves as it is: tables, constants and properties.

After a run `mutmut browse` and `mutmut show NAME` look closer.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

LIST = Path(__file__).with_name("survivors.txt")
RESULTS = Path("mutants")  # where mutmut works, below the current folder
KILLED = ("killed", "timeout")  # a mutant that never ends is noticed as well


class Mutant(NamedTuple):
    """A change of one statement of a function: `parts.Cutter.feed`, the code before and after."""

    function: str
    line: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.function}\n- {self.line}\n+ {self.becomes}\n"

    @property
    def is_wording(self) -> bool:
        """Whether only a sentence reads differently: a string of several words."""
        same = _plain(self.line) == _plain(self.becomes)
        changed = set(_strings(self.line)) - set(_strings(self.becomes))
        return same and bool(changed) and all(" " in text.strip() for text in changed)


def _plain(code: str) -> str:
    return code.replace("XX", "").lower()


def _strings(code: str) -> list[str]:
    return re.findall(r'"([^"]*)"', code)


def mutmut(*arguments: str) -> str:
    """What a command of mutmut prints."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def statuses() -> dict[str, str]:
    """Every mutant by mutmut's name, and what became of it."""
    found = {}
    for line in mutmut("results", "--all", "true").splitlines():
        name, _, status = line.strip().rpartition(": ")
        found[name] = status
    return found


def described(name: str) -> Mutant:
    """Look a mutant up by mutmut's name, which is a number that every edit changes."""
    lines = mutmut("show", name).splitlines()
    hunk = lines[next(at for at, line in enumerate(lines) if line.startswith("@@")) + 1 :]
    sides = [" ".join(line[1:].strip() for line in hunk if line[:1] == sign) for sign in "-+"]
    # s3stream.parts.xǁCutterǁfeed__mutmut_4, s3stream.tus.protocol.x_fits__mutmut_12
    module, _, mangled = name.rpartition("__mutmut_")[0].rpartition(".")
    function = mangled.removeprefix("x").removeprefix("_").strip("ǁ").replace("ǁ", ".")
    return Mutant(f"{module.partition('.')[2]}.{function}", *sides)


def listed() -> list[Mutant]:
    """The mutants that may survive: the function, `-` the line, `+` each change of it, and why."""
    found = []
    for entry in LIST.read_text(encoding="utf-8").strip().split("\n\n"):
        lines = [line for line in entry.splitlines() if not line.startswith("#")]
        if not lines:
            continue
        said = {sign: [line[2:] for line in lines[1:] if line[:2] == sign] for sign in ("- ", "+ ")}
        if len(said["- "]) != 1 or not said["+ "] or len(lines) < len(said["+ "]) + 3:
            raise SystemExit(
                f"{LIST.name}: an entry lacks a line, its change or the reason: {entry}"
            )
        found += [Mutant(lines[0], said["- "][0], becomes) for becomes in said["+ "]]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="compare the last run's results")
    options = parser.parse_args()
    os.environ.setdefault("S3STREAM_TEST_EXAMPLES", "30")  # for speed; they kill as many

    if not options.again:
        shutil.rmtree(RESULTS, ignore_errors=True)  # a result of yesterday's tests proves nothing
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.processes)]
        shown = None if sys.stdout.isatty() else subprocess.PIPE  # a log is no place for a spinner
        run = subprocess.run(command, check=False, stdout=shown, encoding="utf-8")
        if run.returncode:
            print((run.stdout or "")[-10_000:])
            return run.returncode
    ended = statuses()
    counts = Counter(ended.values())
    alive = [described(name) for name, status in ended.items() if status not in KILLED]
    wording = [mutant for mutant in alive if mutant.is_wording]
    survivors = Counter(mutant for mutant in alive if not mutant.is_wording)
    allowed = Counter(listed())

    new, gone = survivors - allowed, allowed - survivors
    for mutant in new.elements():
        print(f"survives and is not in {LIST.name}: {mutant}")
    for mutant in gone.elements():
        print(f"is in {LIST.name} and does not survive: {mutant}")
    print(
        f"{len(ended)} mutants: {counts['killed']} killed, {counts['timeout']} never ended,"
        f" {len(wording)} of wording, {survivors.total()} survive, {allowed.total()} may"
    )
    return 1 if new or gone or not ended else 0


if __name__ == "__main__":
    sys.exit(main())
