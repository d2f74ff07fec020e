"""Does something from time to time, on a thread of its own, as long as somebody wants it.

Knows neither what is done nor for whom; keeps nobody alive by doing it.
"""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable

# How long a fork waits for one that is just being done.
_FORK_SECONDS = 1.0

# By id, and not a set: copied in one step, whatever other threads do.
_BEATING: dict[int, weakref.ref[Heartbeat]] = {}
_paused: list[Heartbeat] = []


class Heartbeat:
    """Calls a method every so many seconds, from `start` to `stop`.

    It ends by itself when the method returns False, or its object is collected. It does not beat
    while the process forks, so that nothing is copied half-done, and not in the child.
    """

    def __init__(self, beat: Callable[[], bool], seconds: float, name: str) -> None:
        self._beat = weakref.WeakMethod(beat)
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._name = name
        self._running: tuple[threading.Thread, threading.Lock] | None = None

    def start(self) -> None:
        """Begin; without a word where no thread can be started."""
        _prepare()
        # A bare lock as signal: a finaliser may give it in the middle of anything.
        over = threading.Lock()
        over.acquire()
        thread = threading.Thread(
            target=_go_on, args=(self._beat, over, self._seconds), name=self._name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return  # the interpreter is going down, or the process has all that it may
        self._running = thread, over
        _BEATING[id(self)] = weakref.ref(self)

    def stop(self, timeout: float | None = None) -> None:
        """End, and wait so long for what is just being done."""
        _BEATING.pop(id(self), None)
        running, self._running = self._running, None
        if running is None:
            return
        thread, over = running
        over.release()
        if thread is not threading.current_thread():  # where a collection has brought us
            thread.join(timeout)


def _go_on(
    ref: weakref.WeakMethod[Callable[[], bool]], over: threading.Lock, seconds: float
) -> None:
    while not over.acquire(timeout=seconds):
        beat = ref()
        if beat is None or not beat():
            return
        del beat


@functools.cache
def _prepare() -> None:
    """Once, from the first on: nothing of ours is done by import."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_pause, after_in_parent=_go_on_in_the_parent, after_in_child=_forget
        )


def _pause() -> None:
    found = [heartbeat for ref in list(_BEATING.values()) if (heartbeat := ref()) is not None]
    for heartbeat in found:
        heartbeat.stop(_FORK_SECONDS)
        _paused.append(heartbeat)


def _go_on_in_the_parent() -> None:
    while _paused:
        _paused.pop().start()


def _forget() -> None:
    _BEATING.clear()
    _paused.clear()
