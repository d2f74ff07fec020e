"""The progress bar: one line on a terminal, drawn again twice a second, gone when it is over.

Has the face of an fsspec callback, so the library tells it by itself. Must not know what it counts.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_SECONDS = 0.5
# The rate is that of the last so many drawings: ten seconds.
_REMEMBERED = 20
_FULL = 16


def no_parts(done: int) -> int:
    """For what has none: none are shown."""
    return 0


class Bar:
    """How far something has come, in bytes; a context manager that draws while it is entered.

    `draw` shows a line in the place of the one before, None draws nothing. It appears with the
    first byte: until then a command may be asking for a password on the same terminal. `parts`
    tells how many parts so many bytes have filled.
    """

    def __init__(self, draw: Callable[[str], None] | None, total: int | None = None) -> None:
        self.done = 0
        self.total = total
        self.parts: Callable[[int], int] = no_parts
        self._draw = draw
        self._seen: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)
        self._over = threading.Event()
        self._drawing = threading.Thread(target=self._run, name="s3stream bar", daemon=True)

    def set_size(self, size: int) -> None:
        """So many bytes there will be."""
        self.total = size

    def relative_update(self, inc: int = 1) -> None:
        """So many bytes more are done."""
        self.done += inc

    def __enter__(self) -> Bar:
        self._seen.append((time.monotonic(), 0))
        if self._draw is not None:
            self._drawing.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        if self._drawing.is_alive():
            self._drawing.join()

    def _run(self) -> None:
        assert self._draw is not None  # noqa: S101 - or it would not run
        while not self._over.wait(_SECONDS):
            self._show(self._draw)
        self._show(self._draw)

    def _show(self, draw: Callable[[str], None]) -> None:
        then, before = self._seen[0]
        now, done = time.monotonic(), self.done
        self._seen.append((now, done))
        if done:
            rate = (done - before) / max(now - then, 1e-9)
            draw(line(done, self.total, rate, self.parts(done)))


def line(done: int, total: int | None, rate: float, parts: int) -> str:
    """What the bar shows: bytes, parts, rate; of a known total also the share, and when it ends."""
    said = [human(done) if total is None else f"{human(done)} of {human(total)}"]
    said.append(f"{human(rate)}/s")
    if total is not None and done >= total:
        said.append("finishing")
    elif total is not None and rate:
        said.append(f"{clock((total - done) / rate)} left")
    if parts:
        said.append(count(parts, "part"))
    if total is None:
        return ", ".join(said)
    share = min(1.0, done / total) if total else 1.0
    filled = int(share * _FULL)
    return f"[{'#' * filled}{'.' * (_FULL - filled)}] {int(share * 100):3}%  {', '.join(said)}"


def count(number: int, what: str) -> str:
    """So many of something: 1 part, 1,234 parts."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def human(size: float) -> str:
    """A number of bytes with its unit: 12.3 MiB."""
    if size < 1024:
        return f"{size:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        size /= 1024
        if size < 1024 or unit == "TiB":
            break
    return f"{size:.1f} {unit}"


def clock(seconds: float) -> str:
    """A time as people read it: 0:42, 12:05, 3:00:00, 4 days."""
    whole = int(seconds)
    if whole >= 4 * 86_400:
        return f"{whole // 86_400:,} days"
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
