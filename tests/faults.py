"""What can go wrong between a client and a store: one class for each way.

A fault is given the client's connection at the request that it takes, with the body not yet read.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from tests.wire import HangUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy import Connection
    from tests.wire import Exchange


@dataclass(frozen=True)
class Fault:
    """What happens to a request instead of being forwarded and answered."""

    def fits(self, exchange: Exchange) -> bool:
        """Whether it can happen to this request."""
        return True

    def happen(self, connection: Connection) -> Iterator[bytes]:
        """The answer for the client; HangUp when there shall be none."""
        raise NotImplementedError

    def release(self) -> None:
        """Called when the proxy closes: nobody may wait any longer."""


@dataclass(frozen=True)
class Refuse(Fault):
    """The connection is closed before the body is read."""

    def happen(self, connection: Connection) -> NoReturn:
        raise HangUp(reset=False)


@dataclass(frozen=True)
class ResetBeforeBody(Fault):
    """The connection is reset before the body is read."""

    def happen(self, connection: Connection) -> NoReturn:
        raise HangUp(reset=True)


@dataclass(frozen=True)
class ResetInBody(Fault):
    """The connection is reset when about `after` bytes of the body have been read."""

    after: int = 0

    def happen(self, connection: Connection) -> NoReturn:
        seen = 0
        for piece in connection.body():
            seen += len(piece)
            if seen >= self.after:
                break
        raise HangUp(reset=True)


@dataclass(frozen=True)
class BreakInBody(Fault):
    """The store gets `after` bytes of the body or some more; then both connections are reset."""

    after: int

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward(self._broken(connection.body()))

    def _broken(self, body: Iterator[bytes]) -> Iterator[bytes]:
        seen = 0
        for piece in body:
            yield piece
            seen += len(piece)
            if seen >= self.after:
                raise HangUp(reset=True)


@dataclass(frozen=True)
class ResetAfterBody(Fault):
    """The connection is reset when the body has been read; the store never sees the request."""

    def happen(self, connection: Connection) -> NoReturn:
        for _ in connection.body():
            pass
        raise HangUp(reset=True)


@dataclass(frozen=True)
class LoseAnswer(Fault):
    """The store does what it was asked, and the connection is reset instead of answering."""

    def happen(self, connection: Connection) -> NoReturn:
        for _ in connection.forward(connection.body()):
            pass  # to its end: then the store has done its work
        raise HangUp(reset=True)


@dataclass(frozen=True)
class Answer(Fault):
    """The body is read and an S3 error is answered; the store never sees the request."""

    status: int
    code: str
    message: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.answer(self.status, self.code, self.message, *self.headers)


@dataclass(frozen=True)
class ErrorIn200(Fault):
    """Like Answer, with status 200: the error shows in the body only."""

    code: str
    message: str = ""

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.answer(200, self.code, self.message)


@dataclass(frozen=True)
class FlipByte(Fault):
    """One byte of the body is changed on the way. Passes over bodies that have no such byte."""

    at: int = 0

    def fits(self, exchange: Exchange) -> bool:
        return exchange.size > self.at

    def happen(self, connection: Connection) -> Iterator[bytes]:
        whole = bytearray().join(connection.body())
        whole[self.at + connection.framing(whole)] ^= 1
        return connection.forward([bytes(whole)])


@dataclass(frozen=True)
class ChangeAnswer(Fault):
    """The store answers, and what it says is changed: every match of `pattern`, head and body."""

    pattern: bytes
    replacement: bytes

    def happen(self, connection: Connection) -> Iterator[bytes]:
        whole = b"".join(connection.forward(connection.body()))
        changed, count = re.subn(self.pattern, self.replacement, whole)
        assert count, f"{self.pattern!r} is not in {whole!r}"
        yield changed


@dataclass(frozen=True)
class Delay(Fault):
    """The body is read, and forwarded so much later."""

    seconds: float

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward_later(lambda: connection.sleep(self.seconds))


@dataclass(frozen=True)
class Hold(Fault):
    """The body is read, and forwarded when the event is set. Puts requests in order."""

    event: threading.Event = field(default_factory=threading.Event)

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward_later(self.event.wait)

    def release(self) -> None:
        self.event.set()


@dataclass(frozen=True)
class HoldAnswer(Hold):
    """The store does what it was asked, which sets `done`; it is answered when the event is set."""

    done: threading.Event = field(default_factory=threading.Event)

    def happen(self, connection: Connection) -> Iterator[bytes]:
        answer = list(connection.forward(connection.body()))
        self.done.set()
        self.event.wait()
        yield from answer


@dataclass(frozen=True)
class HoldInBody(Hold):
    """The store gets `after` bytes of the body or some more, and the rest when the event is set."""

    after: int = 0

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward(self._held(connection.body()))

    def _held(self, body: Iterator[bytes]) -> Iterator[bytes]:
        seen = 0
        for piece in body:
            yield piece
            seen += len(piece)
            if seen >= self.after:
                self.event.wait()


@dataclass(frozen=True)
class Meanwhile(Fault):
    """Something happens at the store before the request arrives there."""

    action: Callable[[], object]

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward_later(self.action)


@dataclass(frozen=True)
class Hang(Hold):
    """The body is read, and never answered; when the event is set the connection is closed."""

    def happen(self, connection: Connection) -> NoReturn:
        for _ in connection.body():
            pass
        self.event.wait()
        raise HangUp(reset=False)


@dataclass(frozen=True)
class CutAnswer(Fault):
    """The store answers, and the connection is closed when the head and some of it have come."""

    after: int = 0

    def happen(self, connection: Connection) -> Iterator[bytes]:
        answer = connection.forward(connection.body())
        yield next(answer)
        left = self.after
        for piece in answer:
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                break
        yield b""  # what the proxy holds back is sent before the last of it
        raise HangUp(reset=False)
