"""What goes wrong in the fuzz test: what botocore's retries survive, and what they don't."""

from __future__ import annotations

from tests.faults import (
    Answer,
    ErrorIn200,
    Fault,
    FlipByte,
    LoseAnswer,
    Refuse,
    ResetAfterBody,
    ResetBeforeBody,
    ResetInBody,
)

CREATE = "CreateMultipartUpload"
PART = "UploadPart"
COMPLETE = "CompleteMultipartUpload"
ABORT = "AbortMultipartUpload"
PUT = "PutObject"
HEAD = "HeadObject"
COMMITS = (PUT, COMPLETE)

FLIPPED = FlipByte(7)
LOST = LoseAnswer()
# After an error like these botocore waits for milliseconds; after SlowDown it would be a second.
_NOT_DONE = (
    Answer(500, "InternalError"),
    Answer(503, "ServiceUnavailable"),
    Refuse(),
    ResetBeforeBody(),
    ResetInBody(100),
    ResetAfterBody(),
)
PASSING: list[tuple[str, Fault]] = [
    # No lost answer to this one: the call that botocore repeats makes another upload, and the name
    # of the first is known to nobody. Only a lifecycle rule of the store can clean that up.
    *((CREATE, fault) for fault in _NOT_DONE),
    *((name, fault) for name in (PART, *COMMITS, ABORT) for fault in (*_NOT_DONE, LOST)),
    (COMPLETE, ErrorIn200("InternalError")),
    (PART, FLIPPED),
    (PUT, FLIPPED),
]


def _at(operation: str, fault: Fault) -> dict[str, Fault]:
    return {operation: fault}


DENIED = Answer(403, "AccessDenied", "fatal")
DOWN = Answer(503, "ServiceUnavailable", "fatal")
FATAL: list[dict[str, Fault]] = [
    *(_at(name, fault) for name in (CREATE, PART, *COMMITS, ABORT) for fault in (DENIED, DOWN)),
    *(_at(name, LOST) for name in COMMITS),
    *(_at(name, fault) | {HEAD: DENIED} for name in COMMITS for fault in (DOWN, LOST)),
    *(_at(name, DENIED) | {ABORT: fault} for name in (PART, COMPLETE) for fault in (DENIED, DOWN)),
]
