"""One call of the store, with what botocore's retrying leaves out: listening and trying again.

Botocore repeats what failed on the way or at the store (`standard` mode). It does not repeat what
the store has refused, though two refusals are worth another attempt: bytes that were changed on the
way, and credentials that have run out. Knows botocore, and no S3 call in particular.
"""

from __future__ import annotations

import logging
import threading
import weakref
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from botocore import exceptions as boto
from botocore.credentials import RefreshableCredentials
from urllib3 import Timeout

from ..errors import S3StreamError
from ..meter import Tally
from ..pace import Pace, pace_of
from ..waiting import Cancellation
from .failures import CHANGED_ON_THE_WAY, EXPIRED, NEVER_REACHED, SLOW_DOWN, code_of

# A wire that changes a byte in three attempts running is broken, and should be said to be.
_ATTEMPTS_AGAINST_CHANGED_BYTES = 3

# What a gateway answers for a store that it has not heard, and that may carry the call out.
_GATEWAYS_OWN = frozenset({502, 504})

# In botocore's own place for facts about an answer.
_LOST_ANSWERS = "s3stream_lost_answers"

_log = logging.getLogger("s3stream")

# The call that this thread is in; botocore's events do not carry it.
_current = threading.local()


@dataclass
class _Call:
    """One call under way, and what was heard of its attempts."""

    cancellation: Cancellation | None
    tally: Tally | None
    attempts: int = 0
    reached: bool = False


def call(
    client: Any,
    method: str,
    arguments: dict[str, Any],
    cancellation: Cancellation | None = None,
    tally: Tally | None = None,
) -> dict[str, Any]:
    """Call a method of the client; again if bytes were changed or credentials have run out.

    Raises botocore's errors. Their `RetryAttempts` count the attempts of all these calls together.
    After a `cancellation` an attempt that has failed is the last: its `S3StreamError` is raised. A
    `tally` counts attempts after the first.
    """
    outer = getattr(_current, "call", None)  # a garbage collection in it may have led here
    _current.call = this = _Call(cancellation, tally)
    try:
        return _call(client, method, arguments)
    except boto.BotoCoreError as error:
        # Botocore's own exceptions do not tell: credentials may run out between two attempts.
        vars(error)[NEVER_REACHED] = not this.reached
        raise
    finally:
        _current.call = outer


def _call(client: Any, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
    attempts = 0
    changed = 0
    renewed = False
    while True:
        credentials = client._get_credentials()
        held = getattr(credentials, "_frozen_credentials", None)
        try:
            answer: dict[str, Any] = getattr(client, method)(**arguments)
            return answer
        except boto.ClientError as error:
            metadata: dict[str, Any] = {**error.response.get("ResponseMetadata", {})}
            metadata["RetryAttempts"] = metadata.get("RetryAttempts", 0) + attempts
            error.response["ResponseMetadata"] = metadata  # type: ignore[typeddict-item]  # as botocore fills it
            attempts = metadata["RetryAttempts"] + 1
            code = code_of(error)
            if code in CHANGED_ON_THE_WAY and changed + 1 < _ATTEMPTS_AGAINST_CHANGED_BYTES:
                changed += 1
                _log.warning("%s: a byte was changed on the way (%s); sent again", method, code)
            elif (
                code in EXPIRED and not renewed and isinstance(credentials, RefreshableCredentials)
            ):
                renewed = True
                _renew(credentials, held)
            else:
                raise
            rewind = getattr(arguments.get("Body"), "seek", None)
            if rewind is not None:
                # Botocore rewinds a file between its own attempts only: it would be sent empty.
                rewind(0)


def _renew(credentials: RefreshableCredentials, held: object) -> None:
    """Fetch credentials anew, unless another thread has done so since `held` were in use."""
    private: Any = credentials
    if private._frozen_credentials is held:
        # There is no public way to say that the store knows better than the clock.
        private._expiry_time = datetime.now(timezone.utc)
    try:
        credentials.get_frozen_credentials()
    except RuntimeError as error:
        # What botocore says when the provider hands out the same expired ones again.
        raise boto.CredentialRetrievalError(
            provider=credentials.method, error_msg=str(error)
        ) from error


_NOT_CONNECTED = (boto.EndpointConnectionError, boto.ConnectTimeoutError)

_LISTENED_TO: weakref.WeakSet[Any] = weakref.WeakSet()


def listen(client: Any) -> Pace:
    """Hear of every attempt that the client makes; returns the pace of its endpoint.

    Tells the pace when the store asks for fewer requests, notes on errors whether any attempt can
    have reached the store, and on answers how many before them were lost. Changes no call, also of
    a client that the user has brought.
    """
    endpoint_url = client.meta.endpoint_url
    pace = pace_of(endpoint_url)
    if client in _LISTENED_TO:
        return pace
    _LISTENED_TO.add(client)

    def note(request_dict: Any, response: Any, caught_exception: Any, **kwargs: Any) -> None:
        context = request_dict["context"]
        # One of the user's own calls, by a client that he has brought, is none of ours.
        this = getattr(_current, "call", None) or _Call(None, None)
        this.attempts += 1
        if this.tally is not None and this.attempts > 1:
            this.tally.retry()
        http = None
        if caught_exception is None:
            this.reached = True
            http, parsed = response
            if parsed.get("Error", {}).get("Code") in SLOW_DOWN:
                # Asked for anew: this may be a forked child, with its parent's client.
                pace_of(endpoint_url).slow_down()
                if this.tally is not None:
                    this.tally.throttle()
            lost = context.get(_LOST_ANSWERS, 0) + (http.status_code in _GATEWAYS_OWN)
            parsed.setdefault("ResponseMetadata", {})[_LOST_ANSWERS] = lost
            context[_LOST_ANSWERS] = lost
        elif not isinstance(caught_exception, _NOT_CONNECTED):
            this.reached = True
            context[_LOST_ANSWERS] = context.get(_LOST_ANSWERS, 0) + 1
        if this.cancellation is not None and (http is None or http.status_code >= 300):
            try:
                this.cancellation.check()
            except S3StreamError as error:
                # Raising is the only way to have botocore not repeat it.
                raise error from caught_exception

    client.meta.events.register_first("needs-retry.s3", note, unique_id="s3stream-listens")
    return pace


def be_quick(client: Any, seconds: float) -> None:
    """From now on wait no longer than so for this client's connections and answers.

    For a process that is ending: it has no say over the user's client that would matter later.
    """
    manager = client._endpoint.http_session._manager
    timeout = Timeout(connect=seconds, read=seconds)
    manager.connection_pool_kw["timeout"] = timeout
    for key in list(manager.pools.keys()):
        pool = manager.pools.get(key)
        if pool is not None:
            pool.timeout = timeout


def lost_answers(answer: dict[str, Any]) -> int:
    """How many attempts of the call may have been carried out without our hearing of it.

    `answer` may be that of an error; its own attempt counts, too.
    """
    return int(answer.get("ResponseMetadata", {}).get(_LOST_ANSWERS, 0))


def never_reached(error: BaseException) -> bool:
    """Whether it is certain that no attempt of the call has come as far as the store."""
    return getattr(error, NEVER_REACHED, False)
