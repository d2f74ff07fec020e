"""The exit codes: a promise to scripts, in one table. Pure."""

from __future__ import annotations

from ..errors import (
    AlreadyExistsError,
    IntegrityError,
    LockedError,
    PreconditionError,
    UncertainError,
    UsageError,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_FOUND = 3
DENIED = 4
CONDITION = 5
LOCKED = 6
UNCERTAIN = 7
DIFFERENT = 8
# Of `run` only, whose other codes are its command's: as `env`, `timeout` and `nohup` have them.
OF_RUN = 125
NOT_EXECUTABLE = 126
NO_COMMAND = 127
BY_SIGNAL = 128

MEANINGS = {
    DONE: "done",
    FAILED: "any other failure; nothing was published",
    USAGE: "wrong arguments; nothing was sent",
    NOT_FOUND: "no such bucket, object, upload or local file",
    DENIED: "access denied, or no credentials",
    CONDITION: "there is an object already (--if-none-match), or another one (--if-match)",
    LOCKED: "another process is at this upload",
    UNCERTAIN: "nobody can tell whether the object was published: look",
    DIFFERENT: "what the store has is not what was sent",
    OF_RUN: "run: a failure of ours, whatever the command did",
    NOT_EXECUTABLE: "run: the command cannot be executed",
    NO_COMMAND: "run: there is no such command",
    BY_SIGNAL: "and the signal's number: ended by a signal (run: it or its command)",
}

# The first that fits counts.
_CODES: tuple[tuple[type[OSError], int], ...] = (
    (UsageError, USAGE),
    (UncertainError, UNCERTAIN),
    (LockedError, LOCKED),
    (IntegrityError, DIFFERENT),
    (AlreadyExistsError, CONDITION),
    (PreconditionError, CONDITION),
    (FileNotFoundError, NOT_FOUND),
    (PermissionError, DENIED),
    (OSError, FAILED),
)


def code_of(error: OSError) -> int:
    """The exit code of a verb that has raised this."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def table() -> str:
    """The codes as `s3stream --help` shows them."""
    rows = [
        f"  {f'{code} + n' if code == BY_SIGNAL else code:>7}  {meaning}"
        for code, meaning in MEANINGS.items()
    ]
    return "\n".join(["exit codes:", *rows])
