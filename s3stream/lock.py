"""A lock on the store itself: two processes that continue one upload would destroy it.

An object beside the one to be written, created only where there is none. Its owner writes it again
from time to time; one that was not for a whole lease may be taken over. Must not know uploads.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from .errors import LockedError, S3StreamError, UsageError
from .heartbeat import Heartbeat
from .options import WriteOptions
from .store import Claim, LockObject
from .waiting import Cancellation, wait_for

# "store", somebody's own, or none: a context manager that is held while the upload is continued.
Lock = str | AbstractContextManager[Any] | None

# Endpoints that are known to heed conditions on PutObject.
_HEEDING: set[str] = set()

# The longest wait for somebody else's lease, unless our own is longer.
_PATIENCE_SECONDS = 600.0
# Stores keep times in whole seconds, so an age may be told too long by up to one.
_GRAIN_SECONDS = 1.0
# How often somebody asks who wants to wait for moments only.
_IMPATIENT_SECONDS = 0.2
# A lease below that cannot be held, whoever tries: see above.
_LEAST_BEAT_SECONDS = 0.1

_log = logging.getLogger("s3stream")


class StoreLock:
    """The lock `key` of `bucket`, with a lease of so many seconds; a context manager.

    `given` are the S3 parameters of the object that it is for. Entering waits for the lease of an
    owner who may have died, at most the greater of ten minutes and our own; `LockedError` when the
    lock was renewed meanwhile, or its lease is longer. With a `patience`, waits so many seconds at
    most, for whoever holds it, and then raises `LockedError`. `UsageError` at a store without
    conditional writes.

    While it is held a thread renews it, three times in a lease. The thread ends with the lock: when
    it is released, lost, or collected. A forked child neither renews nor releases it.

    What remains: an owner that sleeps for a lease (a suspended machine) may send a part after
    another has taken the lock over. Its own commit is refused then, and the other's too, by the
    ETag of the part that was replaced, if it came after that part.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        lease: float,
        given: Mapping[str, Any],
        patience: float | None = None,
    ) -> None:
        self._cancellation = Cancellation("the lock was released")
        self._object = LockObject(client, bucket, key, given, self._cancellation)
        self._where: dict[str, Any] = {"bucket": bucket, "key": key}
        self._lease = lease
        self._patience = patience
        self._owner = uuid.uuid4().hex
        self._process = os.getpid()
        self._etag: str | None = None
        self._renewed = 0.0
        self._turn = 0
        self._writing = threading.Lock()
        self._failed: S3StreamError | None = None
        seconds = max(lease / 3, _LEAST_BEAT_SECONDS)
        self._heartbeat = Heartbeat(self._beat, seconds, f"s3stream lock {key}")

    def __enter__(self) -> StoreLock:
        self._acquire()
        try:
            self._refuse_a_store_without_conditions()
        except BaseException:
            self._object.remove()
            raise
        self._heartbeat.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process != os.getpid():
            return
        self._cancellation.request()
        self._heartbeat.stop()
        claim = self._object.look()
        if claim is not None and self._is_ours(claim):
            self._object.remove()

    def renew(self, *, surely: bool = False) -> None:
        """Raise `LockedError` when another has taken it over, as far as we know.

        Asks the store when the last renewal has failed or is half a lease old, or `surely`; raises
        what keeps it from being renewed.
        """
        if isinstance(self._failed, LockedError):
            raise self._failed
        fresh = time.monotonic() - self._renewed < self._lease / 2
        if fresh and self._failed is None and not surely:
            return
        with self._writing:
            self._write_again()

    def _beat(self) -> bool:
        """Renew it where nobody could catch an error; whether there will be another time."""
        # Who holds that one renews it at this moment.
        if not self._writing.acquire(blocking=False):
            return True
        try:
            self._write_again()
        except S3StreamError:
            pass  # it is kept, for the next `renew`
        finally:
            self._writing.release()
        return not isinstance(self._failed, LockedError)

    def _write_again(self) -> None:
        assert self._etag is not None  # noqa: S101 - only who has entered renews
        try:
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
        except S3StreamError as error:
            self._failed = error
            raise
        self._keep(etag)

    def _acquire(self) -> None:
        seen: str | None = None
        begun = time.monotonic()
        while True:
            etag = self._object.create(self._claim())
            claim = None if etag else self._object.look()
            left = 0.0
            if claim is not None and self._is_ours(claim):  # the answer to our own was lost
                etag = claim.etag
            elif claim is not None:
                left = _lease_of(claim, self._lease) + _GRAIN_SECONDS - claim.age
                if left <= 0:
                    etag = self._object.replace(self._claim(), claim.etag)
            if etag is not None:
                self._keep(etag)
                return
            if claim is None or left <= 0:
                continue
            seen = self._wait(claim, left, seen, time.monotonic() - begun)

    def _wait(self, claim: Claim, left: float, seen: str | None, waited: float) -> str:
        """Wait a little for whoever holds it; the ETag that was seen. Raises `LockedError`."""
        if self._patience is not None:
            if waited >= self._patience:
                raise self._refused(f"it is held by {_owner_of(claim)}")
            _sleep(_IMPATIENT_SECONDS)
            return claim.etag
        if seen is not None and claim.etag != seen:
            raise self._refused(f"it is held by {_owner_of(claim)}, who is at work")
        if seen is None:
            self._announce(claim, left)
        # Looked at more often than that, because it may be released or renewed at any time.
        _sleep(min(left, max(self._lease / 6, _GRAIN_SECONDS)))
        return claim.etag

    def _announce(self, claim: Claim, left: float) -> None:
        """Say for whom we wait and how long. Raises `LockedError` when that is too long."""
        most = max(self._lease, _PATIENCE_SECONDS) + _GRAIN_SECONDS
        if left > most:
            raise self._refused(
                f"it is held by {_owner_of(claim)}, not heard of for {claim.age:,.0f} s, and its"
                f" lease has {left:,.0f} s left, more than is waited for here ({most:,.0f}); if it"
                f" is dead, delete the lock {self._where['key']!r}"
            )
        _log.warning(
            "s3://%s/%s: the lock of %s, not heard of for %.0f s; waiting %.0f s for its lease to"
            " run out",
            self._where["bucket"],
            self._where["key"],
            _owner_of(claim),
            claim.age,
            left,
        )

    def _refuse_a_store_without_conditions(self) -> None:
        if self._object.endpoint_url in _HEEDING:
            return
        assert self._etag is not None  # noqa: S101 - _acquire has seen to it
        again = self._object.create(self._claim())
        wrong = self._object.replace(self._claim(), '"0123456789abcdef0123456789abcdef"')
        right = None if again or wrong else self._object.replace(self._claim(), self._etag)
        if right is None and not (again or wrong):
            claim = self._object.look()
            if claim is not None and self._is_ours(claim) and claim.etag != self._etag:
                right = claim.etag  # the answer to it was lost
        if right is None:
            raise UsageError(
                "this store has no conditional writes, so a lock on it would keep nobody out; give"
                " lock= a lock of your own (any context manager), or lock=None if nobody else"
                " continues this upload",
                **self._where,
            )
        self._keep(right)
        _HEEDING.add(self._object.endpoint_url)

    def _keep(self, etag: str) -> None:
        self._etag = etag
        self._renewed = time.monotonic()
        self._failed = None

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
        name = f"{key}{options.beside}-lock"
        return StoreLock(client, bucket, name, options.lease, options.s3_additional_kwargs)
    if isinstance(lock, str) or not (lock is None or hasattr(lock, "__enter__")):
        raise UsageError(f"lock={lock!r}: expected 'store', a context manager, or None")
    return lock


def _sleep(seconds: float) -> None:
    nothing = threading.Condition()
    with nothing:
        wait_for(nothing, lambda: False, seconds)


def _read(claim: Claim) -> dict[str, Any]:
    try:
        content = json.loads(claim.content)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _lease_of(claim: Claim, ours: float) -> float:
    lease = _read(claim).get("lease")
    if isinstance(lease, (int, float)) and not math.isnan(lease):
        return lease
    return ours  # somebody else's object


def _owner_of(claim: Claim) -> str:
    content = _read(claim)
    return f"process {content.get('pid')} on {content.get('host')}"
