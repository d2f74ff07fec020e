"""What somebody sees who sits before it: a progress bar, a last line, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.looking import assert_nothing, bytes_of, content
from tests.shell import PART, end, feed, running
from tests.test_cli_signals import PRODUCER, pid_of_producer, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Server

__all__ = ["told"]

DATA = bytes_of(2 * PART + 12_345)


class Terminal:
    """A pseudo-terminal: `end` is what programs have, the rest is who sits before it."""

    def __init__(self) -> None:
        self._ours, self.end = pty.openpty()
        self.shown = ""

    def close(self) -> None:
        os.close(self._ours)
        if self.end >= 0:
            os.close(self.end)

    def type(self, text: bytes) -> None:
        os.write(self._ours, text)

    def read_until(self, pattern: str) -> re.Match[str]:
        """Wait until this is shown."""
        while (match := re.search(pattern, self.shown)) is None:
            self.shown += os.read(self._ours, 1 << 16).decode()
        return match

    def read_to_the_end(self) -> str:
        """All that was shown, when no program has the terminal any more."""
        os.close(self.end)
        self.end = -1
        while True:
            try:
                self.shown += os.read(self._ours, 1 << 16).decode()
            except OSError:  # so Linux says it  # noqa: PERF203
                return self.shown


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_a_bar_for_what_comes_through_a_pipe(
    seaweedfs: Server, bucket: str, key: str, terminal: Terminal
) -> None:
    uri = f"s3://{bucket}/{key}"
    with running(seaweedfs, "put", "-", uri, "--json", stderr=terminal.end) as process:
        feed(process, DATA)
        terminal.read_until(r"\r\x1b\[K10\.0 MiB, .*[KM]iB/s, 2 parts")
        out, _ = process.communicate()
        assert process.returncode == 0
    assert out.startswith(b'{"uri"')
    # The bar is gone, and with --json the rest is for programs.
    assert terminal.read_to_the_end().endswith("\r\x1b[K")


def test_a_bar_with_share_and_time_where_the_size_is_known(
    seaweedfs: Server, bucket: str, key: str, terminal: Terminal
) -> None:
    uri = f"s3://{bucket}/{key}"
    expected = ("--expected-size", "20MiB")
    with running(seaweedfs, "put", "-", uri, *expected, stderr=terminal.end) as process:
        feed(process, DATA)
        bar = r"\[#{8}\.{8}\]  50%  10\.0 MiB of 20\.0 MiB, .*/s, \d+:\d\d left, 2 parts"
        terminal.read_until(bar)
        process.communicate()
    shown = terminal.read_to_the_end()
    last = shown.rpartition("\x1b[K")[2]
    assert re.fullmatch(rf"{uri}: 10\.0 MiB \(10,498,105 bytes\), 3 parts, \d+:\d\d\r\n", last)
    assert content(seaweedfs, bucket, key) == DATA


def test_a_bar_for_a_file_counts_its_parts(
    seaweedfs: Server, bucket: str, key: str, terminal: Terminal, tmp_path: Path
) -> None:
    file = tmp_path / "local"
    file.write_bytes(DATA)
    with running(seaweedfs, "put", str(file), f"s3://{bucket}/{key}", stderr=terminal.end) as put:
        put.communicate()
    shown = terminal.read_to_the_end()
    assert re.search(r"100%  10\.0 MiB of 10\.0 MiB, .*, finishing, 3 parts\r", shown)


def test_quiet(seaweedfs: Server, bucket: str, key: str, terminal: Terminal) -> None:
    with running(
        seaweedfs, "put", "-", f"s3://{bucket}/{key}", "-q", stderr=terminal.end
    ) as process:
        process.communicate(DATA)
    assert terminal.read_to_the_end() == ""


def test_a_command_may_ask_for_a_password(
    seaweedfs: Server, bucket: str, key: str, terminal: Terminal
) -> None:
    # Whoever is not of the terminal's session, or not in its foreground, may not.
    ask = """if True:
        terminal = open("/dev/tty", "r+b", buffering=0)
        terminal.write(b"Who goes there? ")
        print(terminal.readline().decode(), end="")
    """
    with running(
        seaweedfs,
        "run",
        f"s3://{bucket}/{key}",
        "--",
        sys.executable,
        "-c",
        ask,
        before=("setsid", "--ctty"),
        stdin=terminal.end,
        stderr=terminal.end,
    ) as process:
        terminal.read_until(r"Who goes there\? ")
        terminal.type(b"a friend\n")
        process.communicate()
        assert process.returncode == 0
    assert content(seaweedfs, bucket, key) == b"a friend\n"


def test_ctrl_c_reaches_a_command_once(
    seaweedfs: Server, bucket: str, key: str, terminal: Terminal, tmp_path: Path, told: int
) -> None:
    with running(
        seaweedfs,
        "run",
        f"s3://{bucket}/{key}",
        "--",
        *(sys.executable, "-c", PRODUCER, "stays", str(tmp_path)),
        before=("setsid", "--ctty"),
        stdin=terminal.end,
        stderr=terminal.end,
    ) as process:
        terminal.read_until(r"12\.0 MiB, ")
        pid = pid_of_producer(process, tmp_path)
        terminal.type(b"\x03")
        terminal.read_until(r"s3stream run: stopped by SIGINT;.* nothing was published")
        os.kill(pid, signal.SIGUSR1)
        assert end(process)[0] == -signal.SIGINT
    # The terminal has told it, and we have not told it again.
    assert os.read(told, 100).decode().split() == ["SIGINT", "SIGUSR1"]
    assert_nothing(seaweedfs, bucket, key)
