"""What the caller may choose: what is archived, by globs and by a time; how much may wait.

Pure. Must not know stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import translate

from ..errors import UsageError
from ..inventory import Entry
from ..options import MiB


def _matcher(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = "|".join(translate(glob) for glob in globs)
    return re.compile(patterns) if patterns else None


def _listed(what: str, globs: object) -> tuple[str, ...]:
    if isinstance(globs, str):
        return (globs,)
    if not isinstance(globs, Iterable):
        raise UsageError(f"{what}={globs!r}: expected a glob such as '*.csv', or several")
    found = tuple(globs)
    for glob in found:
        if not isinstance(glob, str) or not glob:
            raise UsageError(f"{what}={glob!r}: expected a glob such as '*.csv'")
    return found


def check_memory_limit(limit: object) -> None:
    """Refuse what is no number of bytes, or too few to read by; raises `UsageError`."""
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < MiB:
        raise UsageError(
            f"memory_limit={limit!r}: expected a whole number of bytes, at least 1 MiB"
        )


@dataclass(frozen=True)
class Choice:
    """`include` and `exclude` are globs of names, in which `*` stands for slashes too.

    Of what matches `include` (all, when there is none), what matches `exclude` is left out, and
    what was last written before `since`. Raises `UsageError` when one of them is none.
    """

    include: str | Iterable[str] = ()
    exclude: str | Iterable[str] = ()
    since: datetime | None = None
    _included: re.Pattern[str] | None = field(init=False)
    _excluded: re.Pattern[str] | None = field(init=False)
    _seen: _Seen = field(init=False)

    def __post_init__(self) -> None:
        """Check all of it."""
        since: object = self.since
        if since is not None and (not isinstance(since, datetime) or since.utcoffset() is None):
            raise UsageError(
                f"since={since!r}: expected a datetime with a time zone, such as"
                " datetime(2026, 11, 28, tzinfo=timezone.utc)"
            )
        included = _listed("include", self.include)
        object.__setattr__(self, "_included", _matcher(included))
        object.__setattr__(self, "_excluded", _matcher(_listed("exclude", self.exclude)))
        object.__setattr__(self, "_seen", _Seen(included))

    def takes(self, name: str) -> bool:
        """Whether something of this name is wanted."""
        self._seen.note(name)
        if self._included is not None and not self._included.match(name):
            return False
        if self._excluded is not None and self._excluded.match(name):
            return False
        self._seen.taken = True
        return True

    def takes_entry(self, name: str, entry: Entry) -> bool:
        """Whether this is wanted, by its `name` below its source and its time."""
        if not self.takes(name):
            return False
        if self.since is None:
            return True
        if entry.modified is None:
            raise UsageError(
                f"since=: nobody can tell when {entry.source} was last written; leave since= out,"
                " or this with exclude="
            )
        return entry.modified >= self.since

    @property
    def seen(self) -> int:
        """Names that it was asked about."""
        return self._seen.names

    def doubts(self) -> list[str]:
        """What was hardly meant so: after all names were seen, of the globs, not of `since`."""
        names = f"none of the {self.seen:,} names there"
        if self._seen.unmatched:
            return [f"include={glob!r} matches {names}" for glob in self._seen.unmatched]
        return [f"exclude= leaves {names}"] if self.seen and not self._seen.taken else []


class _Seen:
    """What the names were like that it was asked about."""

    def __init__(self, included: Iterable[str]) -> None:
        self.names = 0
        self.taken = False
        # Globs that have matched nothing so far.
        self.unmatched = {glob: re.compile(translate(glob)) for glob in included}

    def note(self, name: str) -> None:
        self.names += 1
        for glob in [glob for glob, made in self.unmatched.items() if made.match(name)]:
            del self.unmatched[glob]
