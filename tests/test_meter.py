"""The measures of one object, without one: what is counted, told once, and said at the end."""

from __future__ import annotations

import logging
import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from fsspec.callbacks import Callback, NoOpCallback

from s3stream import UsageError, WriteStats
from s3stream.meter import Meter, Tally
from s3stream.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0  # for what comes at once


class Told(Callback):  # type: ignore[misc]  # fsspec has no types
    """Keeps what it is told, and by which thread; then does what it is asked to."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.steps: list[int] = []
        self.threads: set[int] = set()
        self.then = then

    def set_size(self, size: int) -> None:
        super().set_size(size)
        self.sizes.append(size)
        self.threads.add(threading.get_ident())

    def relative_update(self, inc: int = 1) -> None:
        super().relative_update(inc)
        self.steps.append(inc)
        self.threads.add(threading.get_ident())
        self.then()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread, or a clock, is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


STATS = WriteStats(
    bytes=12_582_912,
    parts=1,
    retries=2,
    throttled=1,
    seconds=4.0,
    producer_waited=1.25,
    uplink_waited=0.5,
)


def test_the_line_reads_well() -> None:
    assert str(STATS) == (
        "12,582,912 bytes, 1 part, 4.0 s (3.0 MiB/s), 2 repeated, 1 SlowDown; the producer waited"
        " 1.2 s for the store, and the store 0.5 s for the producer"
    )
    assert "12,582,912 bytes, 1,000 parts, 0.5 s (24.0 MiB/s), 1,234 repeated" in str(
        replace(STATS, parts=1_000, seconds=0.5, retries=1_234)
    )
    assert "0.0 s (0.0 MiB/s), 2 repeated, 2,345 SlowDown" in str(
        replace(STATS, seconds=0.0, throttled=2_345)
    )


def test_each_byte_is_told_once_and_no_size_twice() -> None:
    told = Told()
    meter = Meter(told, size_hint=10)
    assert meter.listens
    meter.tell_size(10)
    meter.tell(0)
    assert (told.sizes, told.steps) == ([10], [])
    meter.tell(4)
    meter.tell(4)
    meter.tell(9)
    meter.tell(3)  # a part of an upload that is taken up, say: less than was told is no news
    meter.tell_size(9)
    assert (told.sizes, told.steps) == ([10, 9], [4, 5])


def test_a_size_of_nothing_is_a_size_and_none_is_none() -> None:
    told, other = Told(), Told()
    Meter(told, size_hint=0)
    Meter(other)
    assert (told.sizes, other.sizes) == ([0], [])


def test_what_was_told_is_not_told_again_though_the_callback_raised() -> None:
    class FullError(Exception):
        pass

    def fail() -> None:
        raise FullError

    told = Told(fail)
    meter = Meter(told)
    with pytest.raises(FullError):
        meter.tell(4)
    with pytest.raises(FullError):
        meter.tell(9)
    meter.tell(9)
    assert told.steps == [4, 5]


def test_nobody_need_listen() -> None:
    meter = Meter(None, size_hint=10)
    assert not meter.listens
    meter.tell_size(9)
    meter.tell(9)
    Meter(NoOpCallback()).tell(9)


def test_who_has_the_two_methods_can_be_told() -> None:
    class Bar:
        size = done = 0

        def set_size(self, size: int) -> None:
            self.size = size

        def relative_update(self, inc: int) -> None:
            self.done += inc

    bar = Bar()
    meter = Meter(bar, size_hint=10)
    meter.tell(4)
    assert (bar.size, bar.done) == (10, 4)


class NoSize:
    def relative_update(self, inc: int = 1) -> None: ...


class NoUpdate:
    set_size: None = None

    def relative_update(self, inc: int = 1) -> None: ...


class SizeOnly:
    def set_size(self, size: int) -> None: ...


@pytest.mark.parametrize(
    "wrong",
    [NoSize(), NoUpdate(), SizeOnly(), print, 0, ""],
    ids=lambda wrong: type(wrong).__name__,  # a repr with an address is another in each process
)
def test_what_cannot_be_told_is_refused(wrong: object) -> None:
    said = re.escape(f"callback={wrong!r}: expected one of fsspec's, with set_size() and relative_")
    with pytest.raises(UsageError, match=said):
        Meter(wrong)


def test_the_numbers_are_those_that_were_counted() -> None:
    meter, tally = Meter(), Tally()
    tally.retry()
    tally.throttle()
    tally.throttle()
    seen = meter.read(9, 2, tally)
    assert (seen.bytes, seen.parts, seen.retries, seen.throttled) == (9, 2, 1, 2)
    assert seen.producer_waited == 0


def test_waits_are_measured_from_the_beginning_and_are_parts_of_the_whole() -> None:
    meter = Meter()
    # Nothing is on its way yet: the store waits for the producer, and not the other way round.
    assert not meter.idle.start()  # it runs
    until(lambda: meter.idle.seconds > 0)
    meter.idle.stop()
    assert meter.waiting.start()
    until(lambda: meter.waiting.seconds > 0)
    meter.waiting.stop()
    seen = meter.read(0, 0, Tally())
    assert seen.producer_waited == meter.waiting.seconds > 0
    assert seen.uplink_waited == meter.idle.seconds > 0
    assert seen.seconds >= seen.producer_waited + seen.uplink_waited
    until(lambda: meter.read(0, 0, Tally()).seconds > seen.seconds)


def test_after_the_end_they_stay_those_of_the_first_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "s3stream")
    meter, tally = Meter(), Tally()
    meter.say("s3://b/k")
    assert caplog.records == []  # not over yet
    meter.end("published", STATS)
    meter.end("discarded", replace(STATS, parts=7))
    assert meter.read(10, 3, tally) is STATS
    meter.say("s3://b/k")
    meter.say("s3://b/k")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("s3stream", logging.INFO)
    assert record.getMessage() == f"s3://b/k: published: {STATS}"


def test_any_thread_counts() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(1_000):
            tally.retry()
            tally.throttle()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (tally.retries, tally.throttled) == (4_000, 4_000)


def test_a_stopwatch_runs_between_start_and_stop() -> None:
    watch = Stopwatch()
    assert watch.seconds == 0
    assert watch.start()
    assert not watch.start()  # somebody else's to stop
    until(lambda: watch.seconds > 0)
    watch.stop()
    shown = watch.seconds
    assert shown > 0
    assert watch.seconds == shown
    watch.stop()
    assert watch.seconds == shown
    assert watch.start()
    until(lambda: watch.seconds > shown)
