"""How the writing of one object has gone, in numbers, and in the one line that the log says of it.

Pure: counts and seconds that somebody else has measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from .options import MiB


@dataclass(frozen=True, kw_only=True)
class WriteStats:
    """How the writing of one object has gone, so far or until its end.

    `bytes`, `parts`: what the store has accepted of the object, what was there before (an upload
    that was taken up, an object that is appended to) and copies at the store among it. Of a
    published object they are its own; no parts when it was written by one PutObject.
    `retries`: attempts that were made again, of whatever request for this object.
    `throttled`: answers by which the store has asked for fewer requests (SlowDown).
    `seconds`: from the opening until now, or until the end.
    `producer_waited`: seconds of these in which whoever writes waited for the store, in `write`,
    `flush` or `close`: the uplink, or the memory for parts, was what limited it.
    `uplink_waited`: seconds in which no request of this object was on its way: the producer had not
    brought enough for one.
    """

    bytes: int
    parts: int
    retries: int
    throttled: int
    seconds: float
    producer_waited: float
    uplink_waited: float

    def __str__(self) -> str:
        parts = f"{self.parts:,} part{'' if self.parts == 1 else 's'}"
        rate = self.bytes / MiB / self.seconds if self.seconds > 0 else 0.0
        return (
            f"{self.bytes:,} bytes, {parts}, {self.seconds:.1f} s ({rate:.1f} MiB/s),"
            f" {self.retries:,} repeated, {self.throttled:,} SlowDown; the producer waited"
            f" {self.producer_waited:.1f} s for the store, and the store {self.uplink_waited:.1f} s"
            " for the producer"
        )
