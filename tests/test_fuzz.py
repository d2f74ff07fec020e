"""Random lives of several files at once, with faults on the wire: the store is as a model says.

S3STREAM_TEST_FUZZ is the number of examples (`tox -e soak` takes 5,000). Every run prints its seed;
S3STREAM_TEST_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from s3stream import AlreadyExistsError, CleanupError, S3StreamError, UncertainError
from tests.fuzz_faults import ABORT, COMMITS, CREATE, DENIED, DOWN, FATAL, FLIPPED, PART, PASSING
from tests.fuzz_world import (
    DISCARDING,
    PUBLISHING,
    SIZE,
    Handle,
    ProducerError,
    World,
    be_a_child,
    settle,
    world,
)

if TYPE_CHECKING:
    from tests.faults import Fault
    from tests.servers import Server

EXAMPLES = int(os.environ.get("S3STREAM_TEST_FUZZ", "60"))
SEED = int(os.environ.get("S3STREAM_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
ROUND = 250  # examples that share a bucket; SeaweedFS gives the disk back with it
AT_A_TIME = 10  # of more than ten examples Hypothesis makes most by varying others

SMALL = st.integers(0, 20 << 10)
LARGE = st.sampled_from([32 << 10, SIZE - 1, SIZE, SIZE + 1])
FACES: list[dict[str, Any]] = [
    {"mode": "wb", "buffering": 0},
    {"mode": "wb"},
    {"mode": "w", "encoding": "latin-1", "newline": ""},
    {"mode": "xb"},
    {"mode": "w+b"},
    {"mode": "x+b", "buffering": 0},
]
AT_ONCE = 3
NUMBERS = st.integers(0, AT_ONCE - 1)
WAYS = [*PUBLISHING, *DISCARDING, "drop"]


class Lives(RuleBasedStateMachine):
    """Files are opened, written and ended; after every step the store must be as it should."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.free = list(self.world.lines)
        self.handles: list[Handle] = []
        self.objects: dict[str, bytes] = {}  # the model
        self.compared: dict[str, tuple[str, bytes]] = {}
        self.requests = -1
        self.opened = 0
        self.forked = False

    @precondition(lambda self: self.free)
    @rule(
        key=st.sampled_from(["one", "two"]),
        face=st.sampled_from(FACES),
        publish=st.sampled_from(["close", "close", "commit"]),
        reserve=st.sampled_from([0, 0, 1000, SIZE]),
        max_concurrency=st.sampled_from([1, 3]),
        checksum=st.sampled_from(["crc64nvme", "crc32", None]),
    )
    def open(self, key: str, face: dict[str, Any], **options: Any) -> None:
        line = self.free.pop()
        options |= {**face, "part_size": SIZE}
        if "+" in face["mode"]:
            # Its parts are sent by the close that seals it: luck would say what that hears of them.
            options["publish"] = "close"
        path = f"{self.world.bucket}/{key}"
        if "x" in face["mode"] and key in self.objects:
            # It comes too late already; those that find out at their end were open before.
            with pytest.raises(AlreadyExistsError):
                line.open(path, **options)
            self.free.append(line)
            return
        file = line.open(path, **options)
        self.opened += 1
        self.handles.append(Handle(line, key, options, file, self.opened, line.proxy.count()))

    @precondition(lambda self: self._not_yet("sealed"))
    @rule(number=NUMBERS, size=SMALL, flush=st.booleans())
    def write(self, number: int, size: int, flush: bool) -> None:
        handle = _pick(self._not_yet("sealed"), number)
        try:
            handle.write(size)
            if flush:
                handle.file.flush()
        except S3StreamError as error:
            handle.failed(error)

    @precondition(lambda self: self._not_yet("sealed"))
    @rule(number=NUMBERS, sizes=st.lists(LARGE, min_size=1, max_size=2))
    def write_much(self, number: int, sizes: list[int]) -> None:
        handle = _pick(self._not_yet("sealed"), number)
        try:
            for size in sizes:
                handle.write(size)
        except S3StreamError as error:
            handle.failed(error)

    @precondition(lambda self: self.handles)
    @rule(number=NUMBERS, how=st.sampled_from(WAYS))
    def end(self, number: int, how: str) -> None:
        handle = _pick(self.handles, number)
        if handle.sealed:
            how = "commit" if how in PUBLISHING else "discard" if how in DISCARDING else how
        elif handle.options["publish"] == "commit" and how in ("close", "with"):
            self._seal(handle, how)
            return
        self._judge(handle, how, *handle.end(how))

    @precondition(lambda self: self._not_yet("disturbed"))
    @rule(number=NUMBERS, faults=st.lists(st.sampled_from(PASSING), min_size=1, max_size=2))
    def disturb(self, number: int, faults: list[tuple[str, Fault]]) -> None:
        """Let one or two calls fail in a way that is survived: three might be all attempts."""
        handle = _pick(self._not_yet("disturbed"), number)
        handle.disturbed = True
        for operation, fault in faults:
            # Without a checksum nobody would see it: SeaweedFS does not look at the signature's.
            if fault != FLIPPED or handle.options["checksum"]:
                handle.line.proxy.inject(operation, fault)

    @precondition(lambda self: self._not_yet("refused"))
    @rule(number=NUMBERS, faults=st.sampled_from(FATAL), times=st.sampled_from([1, None]))
    def refuse(self, number: int, faults: dict[str, Fault], times: int | None) -> None:
        """Let calls fail in a way that is not survived, once or from now on."""
        settle()  # luck must not say which calls that are
        handle = _pick(self._not_yet("refused"), number)
        handle.refused = True
        for operation, fault in faults.items():
            handle.line.proxy.inject(operation, fault, times=times)

    @precondition(lambda self: self.handles and not self.forked and hasattr(os, "fork"))
    @rule(number=NUMBERS, how=st.sampled_from([*WAYS, "write", "flush"]))
    def fork(self, number: int, how: str) -> None:
        """Whatever a child does to its parent's file, nothing comes of it."""
        self.forked = True
        handle = _pick(self.handles, number)
        before = handle.sent()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12: there are threads
            child = os.fork()
        if child == 0:
            be_a_child(handle, how)
        assert os.waitpid(child, 0)[1] == 0
        assert handle.sent() == before

    def _not_yet(self, mark: str) -> list[Handle]:
        return [handle for handle in self.handles if not getattr(handle, mark)]

    def _seal(self, handle: Handle, how: str) -> None:
        # What can fail shall have failed: luck must not say how the example goes on.
        with suppress(S3StreamError):
            handle.file.flush()
        settle()
        error, warned = handle.end(how)
        if error is None:
            handle.sealed = True
            assert handle.file.closed
            assert not warned
        else:
            self._judge(handle, how, error, warned)

    # -- the judge

    def _judge(
        self, handle: Handle, how: str, error: BaseException | None, warned: list[str]
    ) -> None:
        settle()
        raises = how in ("raise", "close in finally")
        if how in PUBLISHING:
            self._judge_publishing(handle, error)
        else:
            assert not [x for x in handle.log if x.operation in COMMITS]
            if how == "close in finally" and isinstance(error, S3StreamError):
                handle.failed(error)  # its buffer could not be flushed
            elif raises or error is not None:
                assert isinstance(error, ProducerError if raises else CleanupError)
        if how != "drop":
            assert handle.file.closed
            handle.file.close()
        told = [text for text in warned if text.startswith("nothing was published: ")]
        in_finally = how == "close in finally" and isinstance(error, ProducerError)
        assert len(told) == (how == "drop" or in_finally), (how, error, warned)
        self._judge_the_upload(handle, error, warned)
        handle.line.proxy.clear()
        self.handles.remove(handle)
        self.free.append(handle.line)

    def _judge_publishing(self, handle: Handle, error: BaseException | None) -> None:
        """The object is there by what the store has answered, and the file must have said so."""
        there_was_one = handle.key in self.objects
        if handle.taken:
            self.objects[handle.key] = bytes(handle.written)
        if error is None:
            assert handle.error is None
            assert handle.file.commit().size == len(handle.written)
            # Not always by a call of our own: after a doubt, an equal object is good as well.
            assert self.objects.get(handle.key) == bytes(handle.written)
            assert not (there_was_one and handle.exclusive)
        else:
            assert not handle.taken or isinstance(error, UncertainError)
            handle.failed(error, there_was_one)

    def _judge_the_upload(
        self, handle: Handle, error: BaseException | None, warned: list[str]
    ) -> None:
        """An upload is left only where no abort has reached the store, and that must be told."""
        notes = [*warned, *getattr(error, "__notes__", [])]
        told = isinstance(error, CleanupError) or any("still there" in note for note in notes)
        if told:
            assert {x.fault for x in handle.log if x.operation == ABORT} & {DENIED, DOWN}
        if handle.upload_ids and not handle.taken and not handle.answered(ABORT):
            (upload_id,) = handle.upload_ids
            assert upload_id in self.world.uploads()
            assert told or isinstance(error, UncertainError)
            self.world.abort(upload_id, handle.key)

    @invariant()
    def the_store_is_as_the_model_says(self) -> None:
        # Parts change nothing that could be seen yet.
        proxies = [line.proxy for line in self.world.lines]
        requests = sum(proxy.count() - proxy.count(PART) for proxy in proxies)
        if requests != self.requests:
            self._look()
            self.requests = requests

    def _look(self) -> None:
        etags = self.world.etags()
        assert etags.keys() == self.objects.keys()
        for key, data in self.objects.items():
            if self.compared.get(key) != (etags[key], data):
                same = self.world.content(key) == data
                assert same, f"{key!r} is not what was written"
                self.compared[key] = (etags[key], data)
        begun = [handle.key for handle in self.handles if 200 in handle.answered(CREATE)]
        assert sorted(self.world.uploads().values()) == sorted(begun)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                while self.handles:
                    self._judge(self.handles[0], "commit", *self.handles[0].end("commit"))
                self._look()
        finally:
            for handle in self.handles:  # where an assertion has failed
                handle.line.proxy.clear()
                if handle.file is not None:
                    handle.end("discard")
            settle()
            self.world.empty()


def _pick(handles: list[Handle], number: int) -> Handle:
    return handles[number % len(handles)]


def run(its_world: World, examples: int, its_seed: int) -> None:
    @seed(its_seed)
    class Run(Lives):
        world = its_world

    print(f"{examples} examples: S3STREAM_TEST_FUZZ={examples} S3STREAM_TEST_SEED={its_seed}")
    chosen = settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(Run, settings=chosen)


@pytest.mark.timeout(900 + 5 * EXAMPLES)
def test_whatever_happens_the_store_is_as_the_model_says(
    seaweedfs: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nfuzz: {EXAMPLES} examples, S3STREAM_TEST_SEED={SEED}")
    for start in range(0, EXAMPLES, ROUND):
        with world(seaweedfs, AT_ONCE) as its_world:
            for number in range(start, min(start + ROUND, EXAMPLES), AT_A_TIME):
                run(its_world, min(AT_A_TIME, EXAMPLES - number), SEED + number)
