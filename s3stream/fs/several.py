"""Several objects at once: how many, and copying them.

Which they are is fsspec's to say, and what threads there are is another room's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from fsspec.config import conf

from ..errors import NotFoundError, UsageError
from ..options import MiB, WriteOptions
from ..store import listen
from ..together import Job, Stop, Together
from .changing import Changing
from .names import check_batch_size
from .planning import Pairs, Plan, is_in_any_order

T = TypeVar("T")

# A request takes a millisecond of Python's time and, at a store that is near, some 30 of waiting.
# More at once would wait for each other.
_AT_ONCE = 32


class Several(Changing):
    """A file system that does the same to several objects at once."""

    def _together(
        self,
        name: str,
        jobs: Sequence[Job[T]],
        batch_size: int | None,
        *,
        memory: int = 0,
        one_by_one: bool = False,
    ) -> list[T]:
        """Do jobs, as `Together` says, at a pace that the store allows.

        With a `memory` they are files that are written, whose own requests have that pace.
        """
        at_once = 1 if one_by_one else self._at_once(batch_size)
        pace = listen(self.client) if memory == 0 else None
        return Together[T](at_once, f"s3stream {name}", memory, pace).run(jobs)

    def _at_once(self, batch_size: int | None) -> int:
        """How many requests at once: never more than the client keeps connections."""
        if batch_size is None:
            batch_size = self.batch_size
        if batch_size is None:
            # fsspec's word for all file systems that do several things at once.
            batch_size = conf.get("gather_batch_size", _AT_ONCE)
        check_batch_size(batch_size)
        connections: int = self.client.meta.config.max_pool_connections
        return connections if batch_size == -1 else min(batch_size, connections)

    def _takes(self, size: int, options: WriteOptions, at_once: int) -> tuple[int, int]:
        """The requests and the bytes of memory that it takes to write an object of `size` bytes.

        Of more than a mebibyte whole parts are held. More than all is as much as all.
        """
        parts = max(1, -(-size // options.part_size))
        held = size if size <= MiB else parts * options.part_size
        return min(parts, at_once), min(held, options.memory_limit)

    def copy(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        on_error: str | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Copy objects at the store, as fsspec's `copy` names them; `kwargs` as for `cp_file`.

        `batch_size` of them at once (32; -1: as many as the client keeps connections). `on_error`:
        with `"ignore"`, the default of `recursive`, what is not there (any more) is passed over,
        with `"raise"` it is an error. An error begins no other copy.
        """
        if on_error is None:
            on_error = "ignore" if recursive else "raise"
        if on_error not in {"ignore", "raise"}:
            raise UsageError(f"on_error={on_error!r}: expected 'ignore' or 'raise'")
        pairs = Plan(self).of("copy", path1, path2, recursive, maxdepth, **kwargs)
        self._copy_all(pairs, batch_size, on_error == "ignore", kwargs)

    def _copy_all(
        self, pairs: Pairs, batch_size: int | None, ignore: bool, kwargs: dict[str, Any]
    ) -> None:
        def copy(source: str, dest: str, stop: Stop) -> None:
            try:
                self._copy_one(source, dest, stop, **kwargs)
            except NotFoundError:
                if not ignore:
                    raise

        pairs = [
            (self._strip_protocol(source), self._strip_protocol(dest)) for source, dest in pairs
        ]
        jobs = [Job(partial(copy, *pair)) for pair in pairs]
        self._together("copy", jobs, batch_size, one_by_one=not is_in_any_order(pairs))
