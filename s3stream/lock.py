"""A lock on the store itself: two processes that continue one upload would destroy it.

An object beside the one to be written, created only where there is none. Its owner writes it again
from time to time; one that was not for a whole lease may be taken over. Must not know uploads.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from contextlib import AbstractContextManager
from typing import Any

from .errors import LockedError, UsageError
from .options import WriteOptions
from .store import Claim, LockObject

# "store", somebody's own, or none: a context manager that is held while the upload is continued.
Lock = str | AbstractContextManager[Any] | None

# Endpoints that are known to heed conditions on PutObject.
_HEEDING: set[str] = set()


class StoreLock:
    """The lock `key` of `bucket`, with a lease of so many seconds; a context manager.

    Entering waits for the lease of an owner who may have died, at most one lease; `LockedError`
    when the lock was renewed meanwhile. `UsageError` at a store without conditional writes.

    What remains: an owner that sleeps for a lease (a suspended machine) may send a part after
    another has taken the lock over. Its own commit is refused then, and the other's too, by the
    ETag of the part that was replaced, if it came after that part.
    """

    def __init__(self, client: Any, bucket: str, key: str, lease: float) -> None:
        self._object = LockObject(client, bucket, key)
        self._where: dict[str, Any] = {"bucket": bucket, "key": key}
        self._lease = lease
        self._owner = uuid.uuid4().hex
        self._etag: str | None = None
        self._renewed = 0.0
        self._turn = 0

    def __enter__(self) -> StoreLock:
        self._acquire()
        try:
            self._refuse_a_store_without_conditions()
        except BaseException:
            self._object.remove()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        claim = self._object.look()
        if claim is not None and self._is_ours(claim):
            self._object.remove()

    def renew(self, *, surely: bool = False) -> None:
        """Write it again, when a third of the lease has gone by, or `surely`.

        Raises `LockedError` when another has taken it over.
        """
        if not surely and time.monotonic() - self._renewed < self._lease / 3:
            return
        assert self._etag is not None  # noqa: S101 - only who has entered renews
        etag = self._object.replace(self._claim(), self._etag)
        if etag is None:
            claim = self._object.look()
            if claim is None or not self._is_ours(claim):
                raise self._refused(
                    "its lease has run out, and it was removed"
                    if claim is None
                    else f"its lease has run out, and {_owner_of(claim)} has taken it over"
                )
            etag = claim.etag  # the answer to our own was lost
        self._keep(etag)

    def _acquire(self) -> None:
        seen: str | None = None
        while True:
            etag = self._object.create(self._claim())
            claim = None if etag else self._object.look()
            if claim is not None and self._is_ours(claim):  # the answer to our own was lost
                etag = claim.etag
            elif claim is not None and claim.age >= _lease_of(claim, self._lease):
                etag = self._object.replace(self._claim(), claim.etag)
                claim = None
            if etag is not None:
                self._keep(etag)
                return
            if claim is None:
                continue
            if seen is not None and claim.etag != seen:
                raise self._refused(f"it is held by {_owner_of(claim)}, who is at work")
            seen = claim.etag
            # One second more: stores keep times in whole seconds.
            threading.Event().wait(_lease_of(claim, self._lease) - claim.age + 1.0)

    def _refuse_a_store_without_conditions(self) -> None:
        if self._object.endpoint_url in _HEEDING:
            return
        assert self._etag is not None  # noqa: S101 - _acquire has seen to it
        again = self._object.create(self._claim())
        wrong = self._object.replace(self._claim(), '"0123456789abcdef0123456789abcdef"')
        right = None if again or wrong else self._object.replace(self._claim(), self._etag)
        if right is None:
            raise UsageError(
                "this store has no conditional writes, so a lock on it would keep nobody out; give"
                " lock= a lock of your own (any context manager), or lock=None if nobody else"
                " continues this upload",
                **self._where,
            )
        self._etag = right
        _HEEDING.add(self._object.endpoint_url)

    def _keep(self, etag: str) -> None:
        self._etag = etag
        self._renewed = time.monotonic()

    def _claim(self) -> bytes:
        self._turn += 1  # or the ETag would stay the same
        claim = {
            "owner": self._owner,
            "host": platform.node(),
            "pid": os.getpid(),
            "lease": self._lease,
            "turn": self._turn,
        }
        return json.dumps(claim).encode()

    def _is_ours(self, claim: Claim) -> bool:
        return _read(claim).get("owner") == self._owner

    def _refused(self, why: str) -> LockedError:
        return LockedError(f"the upload is locked: {why}", **self._where)


def lock_of(
    client: Any, bucket: str, key: str, options: WriteOptions, lock: Lock
) -> AbstractContextManager[Any] | None:
    """The lock that `lock=` asks for, not entered yet. Raises `UsageError` for what is none."""
    if lock == "store":
        return StoreLock(client, bucket, f"{key}{options.beside}-lock", options.lease)
    if isinstance(lock, str) or not (lock is None or hasattr(lock, "__enter__")):
        raise UsageError(f"lock={lock!r}: expected 'store', a context manager, or None")
    return lock


def _read(claim: Claim) -> dict[str, Any]:
    try:
        content = json.loads(claim.content)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _lease_of(claim: Claim, ours: float) -> float:
    lease = _read(claim).get("lease")
    return lease if isinstance(lease, (int, float)) else ours


def _owner_of(claim: Claim) -> str:
    content = _read(claim)
    return f"process {content.get('pid')} on {content.get('host')}"
