"""A proxy that goes wrong on purpose, between an S3 client and a store.

    with Proxy(store_url) as proxy:
        proxy.inject("UploadPart", LoseAnswer(), skip=1)   # the second part's answer gets lost
        ...                                                # a client talks to proxy.url
        assert proxy.count("UploadPart") == 3

Every request is recognised as an S3 operation and forwarded as it came (the Host header too, so
signatures hold), unless a rule takes it and its fault happens. Threads and blocking sockets: one
thread for each connection of a client, with one connection of its own to the store.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from tests.wire import Exchange, HangUp, Head, Wire, classify

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Self  # in typing from Python 3.11 on

    from tests.faults import Fault

ANY = "*"  # as an operation: every request


class Connection:
    """A client's connection, from its first request to its last.

    A fault is given it at the request that it takes (`exchange`), with the body not yet read.
    """

    exchange: Exchange
    _head: Head

    def __init__(self, proxy: Proxy, client: Wire) -> None:
        self._proxy = proxy
        self._client = client
        self._store: Wire | None = None

    def serve(self) -> None:
        reset = True
        try:
            while not self._is_last() and (head := self._client.head()) is not None:
                self._head = head
                self.exchange, fault = self._proxy._arrived(head)
                try:
                    self._deliver(fault.happen(self) if fault else self.forward(self.body()))
                finally:
                    self._proxy._finished(self.exchange)
            reset = False
        except HangUp as hang_up:
            reset = hang_up.reset
        except OSError:
            pass  # the client's connection broke; or the store's, and the client shall see that
        finally:
            self._proxy._drop(self._store)
            self._proxy._drop(self._client, reset=reset)

    def body(self) -> Iterator[bytes]:
        """The body of the request; read, and asked of the client, when it is first wanted."""
        if self._head.headers.get("expect", "").lower() == "100-continue":
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        yield from self._client.body(self._head)

    def framing(self, body: bytearray) -> int:
        """How many bytes of chunk headers stand in `body` before the first byte of content."""
        headers, start = self._head.headers, 0
        for name in ("transfer-encoding", "content-encoding"):
            if "chunked" in headers.get(name, ""):
                start = body.index(b"\r\n", start) + 2
        return start

    def forward(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """Send the request to the store; its answer as it comes."""
        if self._store is None or not self._store.is_usable():
            self._proxy._drop(self._store)
            self._store = self._proxy._connect()
        store, listens = self._store, True
        for piece in chain([self._head.raw(without=b"expect:")], body):  # 100 has been said here
            try:
                if listens:
                    store.send(piece)
            except OSError:  # noqa: PERF203 - it costs nothing since Python 3.11
                listens = False  # it has heard enough, and has perhaps said why
        answer = store.head()
        while answer is not None and answer.words[1].startswith("1"):
            answer = store.head()
        if answer is None:
            raise HangUp(reset=True)
        self.exchange.store_status = int(answer.words[1])
        yield answer.raw()
        if self.exchange.method != "HEAD" and self.exchange.store_status not in (204, 304):
            yield from store.body(answer, until_close=True)

    def forward_later(self, wait: Callable[[], object]) -> Iterator[bytes]:
        """Read the body, wait, forward. What is held when the proxy closes is not forwarded."""
        whole = b"".join(self.body())
        wait()
        if self._proxy.closed.is_set():
            raise HangUp(reset=True)
        return self.forward([whole])

    def sleep(self, seconds: float) -> None:
        self._proxy.closed.wait(seconds)

    def answer(
        self, status: int, code: str, message: str, *headers: tuple[str, str]
    ) -> Iterator[bytes]:
        """Read the body; an error in S3's words as the answer."""
        for _ in self.body():
            pass
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
            f"<Resource>{escape(self.exchange.path)}</Resource>"
            f"<RequestId>proxy-{self.exchange.number}</RequestId></Error>"
        ).encode()
        # A 204 has no body: what came after it would be read as the answer to the next request.
        size = [] if status == 204 else [("Content-Length", str(len(xml)))]
        fields = [("Content-Type", "application/xml"), *size, *headers]
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        yield f"HTTP/1.1 {status} {code}\r\n{lines}\r\n".encode("latin-1")
        if self.exchange.method != "HEAD" and status != 204:
            yield xml

    def _deliver(self, answer: Iterator[bytes]) -> None:
        """Send the answer. The log is brought up to date before the last piece leaves.

        A client that has its answer may look at the log, or send the next request on another
        connection, before this thread runs again.
        """
        held = next(answer)
        status = int(held.split(b" ", 2)[1])
        for piece in answer:
            self._client.send(held)
            held = piece
        self._proxy._finished(self.exchange, status)
        self._client.send(held)

    def _is_last(self) -> bool:
        return self._client.is_last or (self._store is not None and self._store.is_last)


@dataclass
class _Rule:
    operation: str
    fault: Fault
    times: int | None
    skip: int
    where: Callable[[Exchange], bool]

    def takes(self, exchange: Exchange) -> bool:
        if self.operation not in (ANY, exchange.operation) or self.times == 0:
            return False
        if exchange.operation == "probe" != self.operation:
            return False
        if not self.fault.fits(exchange) or not self.where(exchange):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


_ports: set[int] = set()


def _listener_at_a_new_port() -> socket.socket:
    """One that no proxy of this process has had: s3stream remembers of a URL how slow it is."""
    while True:
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        port: int = listener.getsockname()[1]
        if port not in _ports:
            _ports.add(port)
            return listener
        listener.close()


class Proxy:
    """Listens at `url` from the moment it is made until `close()`."""

    def __init__(self, upstream: str, *, tls: ssl.SSLContext | None = None) -> None:
        self.turn_to(upstream)
        self._tls = tls
        self._changed = threading.Condition()  # guards what is below
        self._rules: list[_Rule] = []
        self._log: list[Exchange] = []
        self._in_flight: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        self._wires: set[Wire] = set()
        self._threads: list[threading.Thread] = []
        self.closed = threading.Event()
        self._listener = _listener_at_a_new_port()
        port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        self._run(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what is held (it is not forwarded any more), cut all connections, join."""
        if self.closed.is_set():
            return
        self.closed.set()
        with self._changed:
            for rule in self._rules:
                rule.fault.release()
            for wire in self._wires:
                wire.shut()
        socket.create_connection(self._listener.getsockname()).close()  # wakes accept()
        for thread in self._threads:  # grows no more when the first, which accepts, has ended
            thread.join()
        self._listener.close()

    # What a test orders and asks.

    def inject(
        self,
        operation: str,
        fault: Fault,
        *,
        times: int | None = 1,
        skip: int = 0,
        where: Callable[[Exchange], bool] = lambda exchange: True,
    ) -> None:
        """Let `fault` happen to the next `times` requests (None: all) of `operation`, after `skip`.

        Rules are asked in the order in which they were made; a request that one has taken is not
        seen by the next. `where` narrows the choice: `where=lambda x: x.part_number == 3`.
        """
        with self._changed:
            self._rules.append(_Rule(operation, fault, times, skip, where))

    def turn_to(self, upstream: str) -> None:
        """Connections that are made from now on go to another server."""
        store = urlsplit(upstream)
        if store.scheme != "http":
            raise ValueError(f"the proxy speaks http to the store, not {upstream}")
        self._store_address = (store.hostname or "", store.port or 80)

    def clear(self) -> None:
        """No rule takes a request any more; what is held stays held."""
        with self._changed:
            for rule in self._rules:
                rule.times = 0

    @property
    def log(self) -> list[Exchange]:
        """All requests so far but probes, in order of arrival."""
        return [exchange for exchange in self._all() if exchange.operation != "probe"]

    @property
    def injected(self) -> list[tuple[Fault, Exchange]]:
        """The faults that really happened, and to what."""
        return [(exchange.fault, exchange) for exchange in self._all() if exchange.fault]

    def of(self, operation: str) -> list[Exchange]:
        """The requests of one operation, in order of arrival."""
        if operation == ANY:
            return self.log
        return [exchange for exchange in self._all() if exchange.operation == operation]

    def _all(self) -> list[Exchange]:
        with self._changed:
            return list(self._log)

    def count(self, operation: str = ANY) -> int:
        return len(self.of(operation))

    def in_flight(self, operation: str = ANY) -> int:
        """The requests of the operation that are under way now."""
        with self._changed:
            return self._in_flight[operation]

    def in_flight_peak(self, operation: str = ANY) -> int:
        """The most requests of the operation that were under way at once."""
        with self._changed:
            return self._peaks[operation]

    def wait_for(
        self, operation: str, count: int = 1, *, finished: bool = False, timeout: float = 120
    ) -> None:
        """Block until so many requests of the operation have arrived (or have been finished)."""

        def enough() -> bool:
            return sum(x.finished or not finished for x in self.of(operation)) >= count

        with self._changed:
            if not self._changed.wait_for(enough, timeout):
                seen = ", ".join(x.operation for x in self._log) or "nothing"
                raise TimeoutError(f"no {count} of {operation} in {timeout} s; seen: {seen}")

    def wait_until_injected(self, fault: Fault, *, timeout: float = 120) -> None:
        """Block until this very fault has happened to a request."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: any(happened is fault for happened, _ in self.injected), timeout
            ):
                raise TimeoutError(f"{fault} has not happened in {timeout} s")

    # What the connections need.

    def _arrived(self, head: Head) -> tuple[Exchange, Fault | None]:
        """Enter a request into the log; the fault that takes it."""
        method, target = head.words[:2]
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        operation = classify(method, parts.path, query, head.headers)
        with self._changed:
            number = len(self._log) + 1
            exchange = Exchange(number, operation, method, parts.path, query, head.headers)
            self._log.append(exchange)
            for name in (operation, ANY):
                self._in_flight[name] += 1
                self._peaks[name] = max(self._peaks[name], self._in_flight[name])
            rule = next((rule for rule in self._rules if rule.takes(exchange)), None)
            exchange.fault = rule.fault if rule else None
            self._changed.notify_all()
            return exchange, exchange.fault

    def _finished(self, exchange: Exchange, status: int | None = None) -> None:
        with self._changed:
            if not exchange.finished:
                exchange.finished = True
                exchange.status = status
                self._in_flight.subtract((exchange.operation, ANY))
                self._changed.notify_all()

    def _run(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="fault-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self.closed.is_set():
                sock.close()
                return
            self._run(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):  # a handshake that fails is the client's affair
            if self._tls:
                sock.settimeout(10)  # nobody could wake it
                sock = self._tls.wrap_socket(sock, server_side=True)
                sock.settimeout(None)
            Connection(self, self._keep(Wire(sock))).serve()

    def _connect(self) -> Wire:
        return self._keep(Wire(socket.create_connection(self._store_address)))

    def _keep(self, wire: Wire) -> Wire:
        with self._changed:
            self._wires.add(wire)
            if self.closed.is_set():
                wire.shut()
        return wire

    def _drop(self, wire: Wire | None, *, reset: bool = False) -> None:
        if wire is not None:
            with self._changed:
                self._wires.discard(wire)
            wire.close(reset=reset)
