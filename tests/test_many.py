"""Several objects at once: really at once, and with the meaning that a loop over them has.

That requests were in the air together is not a matter of time here: the proxy holds each until so
many have arrived.
"""

from __future__ import annotations

import io
import itertools
import os
import signal
import stat
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec.config
import pytest
from fsspec.callbacks import Callback
from fsspec.spec import AbstractFileSystem
from hypothesis import given
from hypothesis import strategies as st

from s3stream import PreconditionError, S3StreamError, UsageError
from s3stream.arrival import Arrival
from s3stream.fs.finding import _folders_of, _levels
from s3stream.fs.names import directory_entry, file_entry
from s3stream.fs.planning import is_in_any_order, stretches
from s3stream.options import MiB
from s3stream.store import Version
from tests.faults import Answer, CutAnswer, Fault, Hold, Meanwhile
from tests.looking import assert_nothing, bytes_of, wait_for_threads
from tests.proxy import Proxy
from tests.trees import TREE, below, body_of, file_system, keys_of
from tests.wire import HangUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxy import Connection
    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 * MiB
DENIED = Answer(403, "AccessDenied", "not today")

# Where the tests run in the background of a shell, SIGINT is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Meet(Fault):
    """The body is read, and forwarded when so many requests have come as far."""

    barrier: threading.Barrier

    def happen(self, connection: Connection) -> Iterator[bytes]:
        return connection.forward_later(self._meet)

    def _meet(self) -> None:
        try:
            self.barrier.wait(120)
        except threading.BrokenBarrierError:
            raise HangUp(reset=True) from None

    def release(self) -> None:
        self.barrier.abort()


@dataclass(frozen=True)
class Afterwards(Fault):
    """The store answers, something happens, and the answer goes on its way."""

    action: Callable[[], object]

    def happen(self, connection: Connection) -> Iterator[bytes]:
        whole = b"".join(connection.forward(connection.body()))
        self.action()
        yield whole


@dataclass(frozen=True)
class AnswerLater(Fault):
    """Something is waited for, and an S3 error is answered."""

    wait: Callable[[], object]
    status: int
    code: str
    message: str = ""

    def happen(self, connection: Connection) -> Iterator[bytes]:
        self.wait()
        return connection.answer(self.status, self.code, self.message)


def about(*names: str) -> Callable[[Exchange], bool]:
    return lambda exchange: exchange.path.rpartition("/")[2] in names


@pytest.fixture
def fs(proxied: Server) -> Any:
    return file_system(proxied, part_size=PART)


@pytest.fixture
def three(seaweedfs: Server, bucket: str, key: str) -> list[str]:
    """The paths of three objects of different bytes."""
    for number, name in enumerate("abc"):
        body = bytes_of(1000, number)
        seaweedfs.client().put_object(Bucket=bucket, Key=f"{key}/{name}", Body=body)
    return [f"{bucket}/{key}/{name}" for name in "abc"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The same as local files."""
    (tmp_path / "files").mkdir()
    for number, name in enumerate("abc"):
        (tmp_path / "files" / name).write_bytes(bytes_of(1000, number))
    return [f"{tmp_path}/files/{name}" for name in "abc"]


BODIES = [bytes_of(1000, number) for number in range(3)]

# --- at once -------------------------------------------------------------------------------------


def _get(fs: Any, three: list[str], files: list[str], root: str) -> None:
    dests = [f"{name}-got" for name in files]
    fs.get(three, dests)
    assert [Path(name).read_bytes() for name in dests] == BODIES


def _cat(fs: Any, three: list[str], files: list[str], root: str) -> None:
    assert fs.cat(three) == dict(zip(three, BODIES, strict=True))


def _cat_ranges(fs: Any, three: list[str], files: list[str], root: str) -> None:
    assert fs.cat_ranges(three, 10, [20, 21, 22]) == [
        body[10:end] for body, end in zip(BODIES, (20, 21, 22), strict=True)
    ]


def _put(fs: Any, three: list[str], files: list[str], root: str) -> None:
    fs.put(files, f"{root}/new/")


def _pipe(fs: Any, three: list[str], files: list[str], root: str) -> None:
    fs.pipe({f"{root}/new/{name}": body for name, body in zip("abc", BODIES, strict=True)})


def _copy(fs: Any, three: list[str], files: list[str], root: str) -> None:
    fs.copy(three, f"{root}/new/")


def _move(fs: Any, three: list[str], files: list[str], root: str) -> None:
    fs.mv(three, f"{root}/new/")


VERBS: list[tuple[str, Any]] = [
    *(("GetObject", verb) for verb in (_get, _cat, _cat_ranges)),
    *(("PutObject", verb) for verb in (_put, _pipe)),
    *(("CopyObject", verb) for verb in (_copy, _move)),
]


@pytest.mark.parametrize(("operation", "verb"), VERBS)
def test_several_objects_go_at_once(
    seaweedfs: Server,
    fs: Any,
    proxy: Proxy,
    root: str,
    three: list[str],
    files: list[str],
    operation: str,
    verb: Any,
) -> None:
    proxy.inject(operation, Meet(threading.Barrier(3)), times=3)
    verb(fs, three, files, root)
    assert proxy.in_flight_peak(operation) == 3
    assert proxy.count(operation) == 3
    if operation != "GetObject":
        assert [body_of(seaweedfs, f"{root}/new/{name}") for name in "abc"] == BODIES
    there = {*("a", "b", "c"), *(f"new/{name}" for name in "abc" if operation != "GetObject")}
    gone = {"a", "b", "c"} if verb is _move else set()
    assert keys_of(seaweedfs, root) == there - gone


@pytest.mark.parametrize("how", ["argument", "file system", "fsspec", "connections"])
def test_no_more_at_once_than_was_said_or_the_client_keeps_connections(
    proxied: Server, proxy: Proxy, three: list[str], how: str
) -> None:
    options: dict[str, Any] = {"batch_size": 2} if how == "file system" else {}
    if how == "connections":
        options = {"config_kwargs": {"max_pool_connections": 2}, "batch_size": -1}
    fs = file_system(proxied, **options)
    if how == "fsspec":
        fsspec.config.conf["gather_batch_size"] = 2
    try:
        proxy.inject("GetObject", Meet(threading.Barrier(2)), times=12)
        argument = {"batch_size": 2} if how == "argument" else {}
        found = fs.cat_ranges(4 * three, 0, 1, **argument)
    finally:
        fsspec.config.conf.pop("gather_batch_size", None)
    assert found == 4 * [body[:1] for body in BODIES]
    assert proxy.in_flight_peak("GetObject") == 2


@pytest.mark.parametrize("wrong", [0, -2, 1.5, "8", True])
def test_a_batch_size_that_is_no_number_of_things_is_refused(
    seaweedfs: Server, sea: Any, wrong: Any
) -> None:
    with pytest.raises(UsageError, match="batch_size"):
        sea.cat(["b/a", "b/b"], batch_size=wrong)
    with pytest.raises(UsageError, match="batch_size"):
        file_system(seaweedfs, batch_size=wrong)


def test_large_files_go_one_by_one_and_hold_no_more_memory_than_one(
    seaweedfs: Server, proxied: Server, proxy: Proxy, root: str, tmp_path: Path
) -> None:
    fs = file_system(proxied, part_size=PART, memory=3 * PART)
    for name in "ab":
        (tmp_path / name).write_bytes(bytes_of(3 * PART))
    fs.put([f"{tmp_path}/{name}" for name in "ab"], f"{root}/")
    fs.pipe({f"{root}/{name}": bytes_of(3 * PART) for name in "cd"})
    ends = [
        x.operation[:8]
        for x in proxy.log
        if x.operation in {"CreateMultipartUpload", "CompleteMultipartUpload"}
    ]
    assert ends == ["CreateMu", "Complete"] * 4
    assert keys_of(seaweedfs, root) == set("abcd")


def test_whether_the_store_heeds_conditions_is_found_out_once_for_all(
    seaweedfs: Server, fs: Any, proxy: Proxy, root: str, files: list[str]
) -> None:
    fs.put(4 * files, [f"{root}/{number}" for number in range(12)], mode="create")
    assert proxy.count("PutObject") == 12
    assert len([x for x in proxy.of("probe") if x.method == "PUT"]) == 2
    assert len(keys_of(seaweedfs, root)) == 12
    with pytest.raises(FileExistsError):
        fs.put(files, [f"{root}/{number}" for number in range(3)], mode="create")


# --- failures ------------------------------------------------------------------------------------


def test_the_first_of_the_list_that_fails_is_the_error_and_nothing_more_is_begun(
    fs: Any, proxy: Proxy, root: str, three: list[str], tmp_path: Path
) -> None:
    names = [*three, *(f"{root}/{number}" for number in range(100))]
    proxy.inject("GetObject", DENIED, times=None, where=about("c"))

    def c_has_failed() -> None:
        proxy.wait_for("GetObject", 1, finished=True)

    later = AnswerLater(c_has_failed, 403, "AccessDenied", "nor this")
    proxy.inject("GetObject", later, times=None, where=about("b"))
    proxy.inject("GetObject", Meanwhile(c_has_failed), where=about("a"))
    dests = [f"{tmp_path}/{name.rpartition('/')[2]}" for name in names]
    with pytest.raises(PermissionError, match="nor this") as raised:
        fs.get(names, dests, batch_size=3)
    assert raised.value.key.endswith("/b")  # type: ignore[attr-defined]
    notes = getattr(raised.value, "__notes__", [])
    assert any("1 of 103 objects were done" in note for note in notes)
    assert proxy.count("GetObject") < 50
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a"]


def test_what_is_written_behind_one_that_fails_is_discarded(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str
) -> None:
    hold = Hold()

    def the_part_is_on_its_way() -> None:
        proxy.wait_for("UploadPart", 1)

    denied = AnswerLater(the_part_is_on_its_way, 403, "AccessDenied", "not today")
    proxy.inject("PutObject", denied, times=None, where=about("a"))
    proxy.inject("UploadPart", hold, times=None, where=about("b"))
    root = f"{bucket}/{key}"
    with pytest.raises(PermissionError, match="not today"):
        fs.pipe({f"{root}/a": b"a", f"{root}/b": bytes_of(2 * PART)})
    assert len(proxy.injected) >= 2
    hold.event.set()
    for name in "ab":
        wait_for_threads(f"{key}/{name}")
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")


def test_cat_raises_omits_or_returns_what_cannot_be_read(
    fs: Any, proxy: Proxy, three: list[str]
) -> None:
    proxy.inject("GetObject", DENIED, times=None, where=about("b"))
    with pytest.raises(PermissionError, match="not today"):
        fs.cat(three)
    found = fs.cat(three, on_error="omit")
    assert found == {three[0]: BODIES[0], three[2]: BODIES[2]}
    found = fs.cat(three, on_error="return")
    assert list(found) == three
    assert isinstance(found[three[1]], PermissionError)
    found = fs.cat_ranges(three, 0, 2)
    assert [found[0], found[2]] == [BODIES[0][:2], BODIES[2][:2]]
    assert isinstance(found[1], PermissionError)
    with pytest.raises(UsageError, match="on_error"):
        fs.cat(three, on_error="ignore")
    with pytest.raises(UsageError, match="on_error"):
        fs.cat_ranges(three, 0, 1, on_error="omit")


def test_copy_passes_over_or_raises_what_is_not_there(
    fs: Any, seaweedfs: Server, root: str, three: list[str]
) -> None:
    sources = [*three, f"{root}/nothing"]
    dests = [f"{name}-copy" for name in sources]
    with pytest.raises(FileNotFoundError):
        fs.copy(sources, dests)
    fs.copy(sources, dests, on_error="ignore")
    assert keys_of(seaweedfs, root) == {*"abc", *(f"{name}-copy" for name in "abc")}
    with pytest.raises(UsageError, match="on_error"):
        fs.copy(sources, dests, on_error="omit")


@dataclass(frozen=True)
class HoldInAnswer(Hold):
    """The store's answer comes as far as its first piece, and the rest when the event is set."""

    def happen(self, connection: Connection) -> Iterator[bytes]:
        answer = connection.forward(connection.body())
        yield next(answer)
        yield next(answer)
        yield b""  # what the proxy holds back is sent before it waits
        self.event.wait()
        yield from answer


@pytest.fixture
def interrupt_when() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Has a thread interrupt the main one when it has waited for something."""
    threads = []

    def interrupt_when(wait: Callable[[], object]) -> None:
        main = threading.main_thread().ident or 0

        def interrupt() -> None:
            wait()
            signal.pthread_kill(main, signal.SIGINT)

        threads.append(threading.Thread(target=interrupt))
        threads[-1].start()

    yield interrupt_when
    for thread in threads:
        thread.join()


def _join(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)
            assert not thread.is_alive(), name


class Hearing(Callback):  # type: ignore[misc]  # fsspec has no types
    """Tells when it has heard of bytes of so many files."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Semaphore(0)

    def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Any:
        return Callback(hooks={"heard": self._hear})

    def _hear(self, size: int, value: int, **kwargs: Any) -> None:
        if value:
            self.heard.release()

    def wait(self) -> None:
        for _ in range(2):
            assert self.heard.acquire(timeout=60)


def test_ctrl_c_ends_a_get_and_what_comes_late_is_not_written(
    fs: Any,
    sea: Any,
    proxy: Proxy,
    root: str,
    tmp_path: Path,
    interrupt_when: Callable[[Callable[[], object]], None],
) -> None:
    names = below(root, "x", "y")
    for name in names:
        sea.pipe_file(name, bytes_of(MiB))
    hold = HoldInAnswer()
    proxy.inject("GetObject", hold, times=None)
    hearing = Hearing()
    interrupt_when(hearing.wait)
    with pytest.raises(KeyboardInterrupt) as raised:
        fs.get(names, f"{tmp_path}/", callback=hearing)
    assert any("0 of 2 objects" in note for note in getattr(raised.value, "__notes__", []))
    assert list(tmp_path.iterdir()) == []
    hold.event.set()
    _join("s3stream get")
    assert list(tmp_path.iterdir()) == []
    assert len(proxy.injected) == proxy.count("GetObject") == 2


def test_ctrl_c_ends_a_put_and_discards_what_is_on_its_way(
    seaweedfs: Server,
    fs: Any,
    proxy: Proxy,
    bucket: str,
    key: str,
    interrupt_when: Callable[[Callable[[], object]], None],
) -> None:
    hold = Hold()
    proxy.inject("UploadPart", hold, times=None)
    interrupt_when(lambda: proxy.wait_for("UploadPart", 2))
    with pytest.raises(KeyboardInterrupt):
        fs.pipe({f"{bucket}/{key}/{name}": bytes_of(2 * PART) for name in "ab"})
    hold.event.set()
    _join("s3stream pipe")
    for name in "ab":
        wait_for_threads(f"{key}/{name}")
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")


# --- one object to one file ----------------------------------------------------------------------


@pytest.fixture
def large(store: Server, bucket: str, key: str) -> str:
    store.client().put_object(Bucket=bucket, Key=f"{key}/large", Body=bytes_of(MiB))
    return f"{bucket}/{key}/large"


def test_a_file_is_read_by_one_request_that_goes_on_where_it_broke_off(
    store: Server, large: str, tmp_path: Path
) -> None:
    with Proxy(store.endpoint_url) as proxy:
        fs = file_system(replace(store, endpoint_url=proxy.url, https_url=None))
        fs.get_file(large, tmp_path / "whole")
        assert proxy.count() == 1
        proxy.inject("GetObject", CutAnswer(after=100_000))
        fs.get_file(large, f"{tmp_path}/made/on/the/way")
        again = proxy.of("GetObject")[-1].request_headers
        assert len(proxy.injected) == 1
    assert proxy.count() == 3
    begin = int(again["range"].removeprefix("bytes=").rstrip("-"))
    assert 0 < begin <= 100_000
    assert "if-match" in again
    for name in ("whole", "made/on/the/way"):
        assert (tmp_path / name).read_bytes() == bytes_of(MiB)


def test_an_object_that_is_replaced_while_it_is_read_leaves_the_file_as_it_was(
    store: Server, large: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"as it was")
    bucket, _, name = large.partition("/")

    def replaced() -> None:
        store.client().put_object(Bucket=bucket, Key=name, Body=bytes_of(MiB, 2))

    with Proxy(store.endpoint_url) as proxy:
        proxy.inject("GetObject", CutAnswer(after=100_000))
        proxy.inject("GetObject", Meanwhile(replaced))
        fs = file_system(replace(store, endpoint_url=proxy.url, https_url=None))
        with pytest.raises(PreconditionError, match="replaced"):
            fs.get_file(large, tmp_path / "file")
        assert len(proxy.injected) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"as it was"


def test_one_that_breaks_off_for_ever_leaves_the_file_as_it_was(
    fs: Any, sea: Any, proxy: Proxy, root: str, tmp_path: Path
) -> None:
    sea.pipe_file(f"{root}/x", bytes_of(MiB))
    (tmp_path / "file").write_bytes(b"as it was")
    proxy.inject("GetObject", CutAnswer(after=1000))
    proxy.inject("GetObject", CutAnswer(after=0), times=None)
    with pytest.raises(S3StreamError, match="cannot read") as raised:
        fs.get_file(f"{root}/x", tmp_path / "file")
    assert any("left as it was" in note for note in getattr(raised.value, "__notes__", []))
    assert len(proxy.injected) == proxy.count("GetObject") <= 6
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"as it was"


def test_slow_down_makes_fewer_at_once_and_all_is_read(
    fs: Any, proxy: Proxy, three: list[str]
) -> None:
    proxy.inject("GetObject", Answer(503, "SlowDown", "please"), times=2)
    assert fs.cat(three) == dict(zip(three, BODIES, strict=True))
    assert len(proxy.injected) == 2
    assert proxy.count("GetObject") == 5


def test_a_prefix_becomes_a_folder_and_what_is_not_there_an_error(
    fs: Any, sea: Any, root: str, three: list[str], tmp_path: Path
) -> None:
    fs.get_file(root, tmp_path / "folder" / "deep")
    assert (tmp_path / "folder" / "deep").is_dir()
    with pytest.raises(IsADirectoryError):
        fs.get_file(three[0], tmp_path / "folder")
    with pytest.raises(IsADirectoryError):
        fs.get_file(root, io.BytesIO())
    with pytest.raises(FileNotFoundError, match="nothing"):
        fs.get_file(f"{root}/nothing", tmp_path / "nothing")
    with pytest.raises(UsageError, match="cache_tipe"):
        fs.get_file(three[0], tmp_path / "x", cache_tipe="none")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_open_file_is_written_to_as_it_is(sea: Any, three: list[str], tmp_path: Path) -> None:
    for opened in (io.BytesIO(), (tmp_path / "raw").open("w+b", buffering=0)):
        sea.get_file(three[0], opened)
        sea.get_file(three[1], None, outfile=opened)
        opened.seek(0)
        assert opened.read() == BODIES[0] + BODIES[1]
        opened.close()


def test_a_file_keeps_its_permissions_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"before")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with Arrival(tmp_path / "link") as arrival:
        arrival.write(b"after")
        assert (tmp_path / "file").read_bytes() == b"before"
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"after"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
    with Arrival(tmp_path / "new") as arrival:
        arrival.write(b"")
    (tmp_path / "usual").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    with Arrival(tmp_path / "pipe") as arrival:
        arrival.write(b"into it")
    reader.join()
    assert heard == [b"into it"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


# --- callbacks -----------------------------------------------------------------------------------


class Listening(Callback):  # type: ignore[misc]  # fsspec has no types
    """Counts, and finds out whether two threads are in it at once."""

    busy = 0
    worst = 0

    def __init__(self, children: list[Listening] | None = None) -> None:
        super().__init__()
        self.children = [] if children is None else children

    def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Listening:
        self.children.append(Listening(self.children))
        return self.children[-1]

    def call(self, *args: Any, **kwargs: Any) -> None:
        Listening.busy += 1
        Listening.worst = max(Listening.worst, Listening.busy)
        threading.Event().wait(0.001)  # where another thread could come in, it would
        Listening.busy -= 1


@pytest.mark.parametrize("verb", ["get", "put"])
def test_a_callback_hears_of_files_and_its_branches_of_bytes_one_at_a_time(
    fs: Any, proxy: Proxy, root: str, three: list[str], files: list[str], tmp_path: Path, verb: str
) -> None:
    listening = Listening()
    Listening.worst = 0
    operation = "GetObject" if verb == "get" else "PutObject"
    proxy.inject(operation, Meet(threading.Barrier(3)), times=3)
    if verb == "get":
        fs.get(three, f"{tmp_path}/", callback=listening)
    else:
        fs.put(files, f"{root}/new/", callback=listening)
    assert proxy.in_flight_peak(operation) == 3
    assert (listening.size, listening.value) == (3, 3)
    assert [(child.size, child.value) for child in listening.children] == [(1000, 1000)] * 3
    assert Listening.worst == 1


def test_what_a_callback_raises_ends_it_and_leaves_no_torn_file(
    fs: Any, three: list[str], tmp_path: Path
) -> None:
    class Raising(Callback):  # type: ignore[misc]  # fsspec has no types
        def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Any:
            return Raising()

        def relative_update(self, inc: int = 1) -> None:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        fs.get(three, f"{tmp_path}/", callback=Raising())
    assert list(tmp_path.iterdir()) == []


# --- the meaning of a loop -----------------------------------------------------------------------


def test_what_goes_to_one_place_goes_in_order_so_that_the_last_counts(
    seaweedfs: Server, fs: Any, proxy: Proxy, root: str, tmp_path: Path
) -> None:
    names = []
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "same").write_bytes(b"%d" % number)
        names.append(f"{tmp_path}/{number}/same")
    fs.put(names, f"{root}/")
    assert body_of(seaweedfs, f"{root}/same") == b"7"
    fs.copy([f"{root}/same", f"{root}/other"], [f"{root}/other", f"{root}/third"])
    assert body_of(seaweedfs, f"{root}/third") == b"7"
    assert proxy.in_flight_peak("PutObject") == proxy.in_flight_peak("CopyObject") == 1


@pytest.mark.parametrize(
    ("pairs", "any_order"),
    [
        ([("a", "x"), ("b", "y")], True),
        ([("a", "x"), ("b", "x")], False),
        ([("a", "b"), ("b", "c")], False),
        ([], True),
    ],
)
def test_only_what_is_independent_is_in_any_order(
    pairs: list[tuple[str, str]], any_order: bool
) -> None:
    assert is_in_any_order(pairs) is any_order


def test_a_transaction_has_the_files_of_one_call_in_its_order(
    seaweedfs: Server, fs: Any, proxy: Proxy, root: str, files: list[str]
) -> None:
    def the_others_are_opened() -> None:
        proxy.wait_for("HeadObject", 2, finished=True)

    # Mode "create" looks first: the file of the list that is opened last is its first.
    proxy.inject("HeadObject", Meanwhile(the_others_are_opened), where=about("a"))
    with fs.transaction:
        fs.pipe_file(f"{root}/first", b"1")
        fs.put(files, f"{root}/", mode="create")
        fs.pipe({f"{root}/last": b"1"})
        assert keys_of(seaweedfs, root) == set()
    completed = [x.path.rpartition("/")[2] for x in proxy.of("CompleteMultipartUpload")]
    assert [name for name in completed if len(name) < 9] == ["first", "a", "b", "c", "last"]
    assert [body_of(seaweedfs, f"{root}/{name}") for name in "abc"] == BODIES


def test_one_that_fails_in_a_transaction_publishes_none(
    seaweedfs: Server, fs: Any, proxy: Proxy, bucket: str, key: str, files: list[str]
) -> None:
    proxy.inject("CreateMultipartUpload", DENIED, times=None, where=about("b"))

    def produce() -> None:
        with fs.transaction:
            fs.put(files, f"{bucket}/{key}/")

    with pytest.raises(PermissionError, match="not today"):
        produce()
    assert proxy.injected
    for name in "abc":
        assert_nothing(seaweedfs, bucket, f"{key}/{name}")


def test_a_listing_that_was_made_while_something_was_written_is_not_kept(
    fs: Any, proxy: Proxy, root: str, three: list[str]
) -> None:
    proxy.inject("ListObjectsV2", Afterwards(lambda: fs.pipe_file(f"{root}/new", b"")))
    assert f"{root}/new" not in fs.ls(root)
    assert len(proxy.injected) == 1
    assert f"{root}/new" in fs.ls(root)


def test_a_tree_is_found_by_one_listing_and_is_what_a_walk_shows(store: Server, tree: str) -> None:
    with Proxy(store.endpoint_url) as proxy:
        ours = file_system(replace(store, endpoint_url=proxy.url, https_url=None))
        found = ours.find(tree, withdirs=True, detail=True)
        asked = [x for x in proxy.of("ListObjectsV2") if "max-keys" not in x.query]
        assert len(asked) == 1
    walking = file_system(store)
    assert found == AbstractFileSystem.find(walking, tree, withdirs=True, detail=True)
    assert dict(ours.dircache) == dict(walking.dircache)
    assert set(found) == {tree, *below(tree, *TREE, "one", "one/deep", "two")}
    assert walking.find(f"{tree}/a.txt", withdirs=True) == [f"{tree}/a.txt"]
    assert walking.find(f"{tree}/nothing", withdirs=True) == []


_key = st.builds(
    lambda names, end: "/".join(names) + end,
    st.lists(st.sampled_from("abc"), min_size=1, max_size=4),
    st.sampled_from(["", "", "/"]),
)


@given(st.sets(_key, max_size=12))
def test_the_levels_of_a_tree_are_what_is_right_below_each(keys: set[str]) -> None:
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)
    found = [Version(key, 1, "", when, "STANDARD") for key in sorted(keys)]
    files = {f"b/{v.key}": file_entry("b", v) for v in found if not v.key.endswith("/")}
    folders = {"b", *(f"b/{folder}" for folder in _folders_of(found, 0, 0))}
    made = _levels({name: directory_entry(name) for name in folders}, files)
    names = [f"b/{key}" for key in sorted(keys)]
    directories = {name[:at] for name in names for at, c in enumerate(name) if c == "/"}
    assert set(made) == {"b", *directories}
    for directory, entries in made.items():
        shown = [(entry["type"], entry["name"]) for entry in entries]
        inside = [name[len(directory) + 1 :] for name in names if name.startswith(f"{directory}/")]
        below_it = sorted({n.partition("/")[0] for n in inside if "/" in n})
        objects = [n for n in inside if n and "/" not in n]
        expected = [
            *(("file", f"{directory}/{name}") for name in objects),
            *(("directory", f"{directory}/{name}") for name in below_it),
        ]
        assert shown == sorted(expected, key=lambda entry: entry[1])


# --- ranges --------------------------------------------------------------------------------------

BODY = bytes(range(50))
_inside = st.tuples(st.integers(0, 50), st.integers(0, 12)).map(lambda at: (at[0], sum(at)))
_anywhere = st.tuples(*2 * [st.none() | st.integers(-60, 60)])


@given(
    named=st.lists(st.tuples(st.sampled_from("ab"), _inside | _inside | _anywhere), max_size=8),
    max_gap=st.none() | st.integers(0, 10),
)
def test_what_is_read_together_is_cut_into_what_was_asked_for(
    named: list[tuple[str, tuple[int | None, int | None]]], max_gap: int | None
) -> None:
    ranges = [(path, *bounds) for path, bounds in named]
    bodies = {"a": BODY, "b": BODY[::-1]}
    found: dict[int, bytes] = {}
    read = stretches(ranges, max_gap)
    for stretch in read:
        whole = bodies[stretch.path][stretch.start : stretch.end]
        for index, cut in stretch.wanted:
            assert index not in found
            found[index] = whole[cut]
    assert [found[i] for i in range(len(ranges))] == [
        bodies[path][start:end] for path, start, end in ranges
    ]
    if max_gap is None:
        assert len(read) == len(ranges)
        return
    for path in "ab":
        bounds = [(s.start or 0, s.end) for s in read if s.path == path]
        joined = sorted((s, e) for s, e in bounds if e is not None and 0 <= s < e)
        for (_, end), (start, _) in itertools.pairwise(joined):
            assert start > end + max_gap


def test_ranges_that_are_near_are_one_request(fs: Any, proxy: Proxy, three: list[str]) -> None:
    paths = [three[0], three[0], three[1], three[0]]
    starts, ends = [0, 20, 0, 900], [10, 30, 5, 910]
    wanted = [BODIES[0][:10], BODIES[0][20:30], BODIES[1][:5], BODIES[0][900:910]]
    assert fs.cat_ranges(paths, starts, ends) == wanted
    assert proxy.count("GetObject") == 4
    assert fs.cat_ranges(paths, starts, ends, max_gap=10) == wanted
    assert proxy.count("GetObject") == 7
    with pytest.raises(UsageError, match="4 paths, 4 starts and 1 ends"):
        fs.cat_ranges(paths, starts, [1])
    with pytest.raises(TypeError, match="list"):
        fs.cat_ranges(three[0], 0, 1)
