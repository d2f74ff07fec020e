"""An upload that is put down and taken up again: suspended, or with a checkpoint of its own."""

from __future__ import annotations

import gc
import json
import pickle
import re
import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import s3stream
from s3stream import (
    Checkpoint,
    IntegrityError,
    LockedError,
    NotFoundError,
    S3StreamError,
    UncertainError,
    UsageError,
)
from tests.faults import Answer, Hold, LoseAnswer, Meanwhile
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.servers import CANNOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.wire import Exchange

PART = 5 << 20
DATA = bytes_of(3 * PART + 1000)


def lock_for(store: Server) -> dict[str, Any]:
    """What to say at a store that has no conditional writes."""
    conditional = not {"if-match-put", "if-none-match-put"} & CANNOT[store.name]
    return {} if conditional else {"lock": None}


def start(store: Server, bucket: str, key: str, **options: Any) -> Any:
    return s3stream.open(f"s3://{bucket}/{key}", **store.storage_options(), **options)


def resume(store: Server, checkpoint: Checkpoint, **options: Any) -> Any:
    given = {**store.storage_options(), **lock_for(store), **options}
    return s3stream.resume(Checkpoint.from_json(checkpoint.to_json()), **given)


def fail_after(file: Any, data: bytes) -> None:
    """A producer that fails."""
    with file:
        file.write(data)
        raise ZeroDivisionError


def lose(file: Any) -> None:
    """Somebody who forgets to close."""
    del file
    gc.collect()


def beside(store: Server, bucket: str, key: str) -> list[str]:
    """The objects whose keys begin with that of the object, without it."""
    listed = store.client().list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    return [entry["Key"] for entry in listed if entry["Key"] != key]


@pytest.mark.parametrize("cut", [1, PART - 1, PART, PART + 1, 2 * PART + 77, 3 * PART + 999])
def test_a_stream_goes_on_where_it_was_put_down(
    store: Server, bucket: str, key: str, cut: int
) -> None:
    file = start(store, bucket, key, Metadata={"made": "in two"})
    file.write(DATA[:cut])
    checkpoint = file.suspend()
    assert file.closed
    assert checkpoint.offset == cut
    assert not exists(store, bucket, key)
    assert len(uploads(store, bucket, key)) == 1
    assert len(beside(store, bucket, key)) == (1 if cut % PART else 0)
    with resume(store, checkpoint) as again:
        assert again.tell() == cut
        again.write(DATA[cut:])
    assert content(store, bucket, key) == DATA
    assert again.result.size == len(DATA)
    if "checksums" not in CANNOT[store.name]:
        assert again.result.checksum.verified
    assert uploads(store, bucket, key) == []
    assert beside(store, bucket, key) == []
    head = store.client().head_object(Bucket=bucket, Key=key)
    assert {name.lower(): value for name, value in head["Metadata"].items()}["made"] == "in two"


def test_again_and_again(seaweedfs: Server, bucket: str, key: str) -> None:
    step = 1_234_567
    with_nothing = start(seaweedfs, bucket, key).suspend()
    assert (with_nothing.offset, with_nothing.upload_id) == (0, None)
    checkpoint = with_nothing
    for at in range(0, len(DATA), step):
        file = resume(seaweedfs, checkpoint)
        assert file.tell() == at
        file.write(DATA[at : at + step])
        checkpoint = file.suspend()
    assert all(part.size >= PART for part in checkpoint.parts)
    with resume(seaweedfs, checkpoint):
        pass
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize(
    "options",
    [{"equal_parts": True, "part_size": PART + 7}, {"reserve": 4000, "min_part_size": 5000}],
    ids=["equal parts", "reserve"],
)
def test_the_parts_stay_as_the_store_wants_them(
    seaweedfs: Server, bucket: str, key: str, options: dict[str, Any]
) -> None:
    checkpoint = start(seaweedfs, bucket, key, **options).suspend()
    for end in (3 * PART // 2, 2 * PART + 1, len(DATA) - 1):
        file = resume(seaweedfs, checkpoint)
        file.write(DATA[file.tell() : end])
        checkpoint = file.suspend()
        assert {part.size for part in checkpoint.parts} <= {options.get("part_size", PART)}
    with resume(seaweedfs, checkpoint) as file:
        file.write(DATA[-1:])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_a_small_object_and_an_empty_one_can_be_put_down_too(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(b"12")
    with resume(seaweedfs, file.suspend()) as again:
        again.write(b"34")
    assert content(seaweedfs, bucket, key) == b"1234"
    assert beside(seaweedfs, bucket, key) == []
    with resume(seaweedfs, start(seaweedfs, bucket, f"{key}-empty").suspend()):
        pass
    assert content(seaweedfs, bucket, f"{key}-empty") == b""


def test_what_the_store_does_not_have_as_it_was_sent_is_sent_again(
    seaweedfs: Server, bucket: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA)
    checkpoint = file.suspend()
    wrong = replace(checkpoint.parts[1], etag='"another"')
    doubted = replace(checkpoint, parts=(checkpoint.parts[0], wrong, *checkpoint.parts[2:]))
    with resume(seaweedfs, doubted) as again:
        assert again.tell() == PART
        assert "the store has 5242880" in caplog.text
        again.write(DATA[PART:])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_a_tail_that_is_another_is_not_gone_on_with(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(b"the tail")
    checkpoint = file.suspend()
    assert checkpoint.tail is not None
    name = {"Bucket": bucket, "Key": checkpoint.tail.key}
    client: Any = seaweedfs.client()
    for other, error in ((b"the tale", IntegrityError), (b"the", IntegrityError)):
        client.put_object(**name, Body=other)
        with pytest.raises(error, match="the tail of a suspended upload has"):
            resume(seaweedfs, checkpoint)
    client.delete_object(**name)
    with pytest.raises(NotFoundError, match="cannot read"):
        resume(seaweedfs, checkpoint)
    # Nothing is lost by that: put it back, longer even, and it goes on.
    client.put_object(**name, Body=b"the tail and more")
    with resume(seaweedfs, checkpoint) as again:
        again.write(b" is here")
    assert content(seaweedfs, bucket, key) == b"the tail is here"
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize("cut", [PART + 10, 2 * PART + 10])
@pytest.mark.parametrize("is_gone", [True, False])
def test_without_its_tail_it_goes_on_from_the_parts_that_are_fine(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path, cut: int, is_gone: bool
) -> None:
    path = tmp_path / "file.json"
    file = kept(seaweedfs, bucket, key, path)
    file.write(DATA[:cut])
    checkpoint = file.suspend()
    assert checkpoint.tail is not None
    client: Any = seaweedfs.client()
    if is_gone:
        client.delete_object(Bucket=bucket, Key=checkpoint.tail.key)
    else:
        client.put_object(Bucket=bucket, Key=checkpoint.tail.key, Body=b"another")
    whole = cut // PART * PART
    said = rf"the parts up to byte {whole:,} are fine.*only the tail .* is lost.*\.checkpoint"
    with pytest.raises((NotFoundError, IntegrityError)):
        resume(seaweedfs, checkpoint)
    with pytest.raises((NotFoundError, IntegrityError)) as caught:
        kept(seaweedfs, bucket, key, path)
    assert re.search(said, "".join(getattr(caught.value, "__notes__", [])))
    error = pickle.loads(pickle.dumps(caught.value))
    file = resume(seaweedfs, error.checkpoint)
    assert file.tell() == whole
    with pytest.raises(ZeroDivisionError):
        fail_after(file, b"")
    path.write_text(error.checkpoint.to_json())
    with kept(seaweedfs, bucket, key, path) as file:
        assert file.tell() == whole
        file.write(DATA[whole:])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def is_tail(exchange: Exchange) -> bool:
    return ".s3stream-tail-" in exchange.path


@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_a_suspend_that_fails_keeps_what_the_store_has(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    with_checkpoint: bool,
) -> None:
    path = tmp_path / "file.json"
    file = start(proxied, bucket, key, **({"checkpoint": path} if with_checkpoint else {}))
    file.write(DATA[: 2 * PART + 10])
    proxy.inject("PutObject", Answer(403, "AccessDenied"), where=is_tail)
    with pytest.raises(PermissionError) as caught:
        file.suspend()
    assert proxy.injected
    assert file.closed
    assert "10,485,760 bytes are kept" in "".join(getattr(caught.value, "__notes__", []))
    assert proxy.count("AbortMultipartUpload") == 0
    assert beside(seaweedfs, bucket, key) == []
    checkpoint = caught.value.checkpoint  # type: ignore[attr-defined]  # pytest takes it for an OSError
    if with_checkpoint:
        assert Checkpoint.from_json(path.read_text()).offset == 2 * PART
    with resume(seaweedfs, checkpoint) as again:
        assert again.tell() == 2 * PART
        again.write(DATA[again.tell() :])
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []


def flush_until_it_fails(file: Any) -> None:
    while True:
        file.flush()


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_suspend_after_a_part_has_failed_keeps_the_others(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, buffering: int
) -> None:
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), where=lambda x: x.part_number == 2)
    file = start(proxied, bucket, key, max_concurrency=1, buffering=buffering)
    file.write(DATA[: 2 * PART + 100_000])
    file.write(b"buffered" * (buffering != 0))
    with pytest.raises(PermissionError, match="part 2"):
        flush_until_it_fails(file if buffering == 0 else file.raw)
    with pytest.raises(PermissionError, match="part 2") as caught:
        file.suspend()
    assert proxy.injected
    with resume(seaweedfs, caught.value.checkpoint) as again:  # type: ignore[attr-defined]  # as above
        assert again.tell() == PART
        again.write(DATA[PART:])
    assert content(seaweedfs, bucket, key) == DATA


def test_a_key_too_long_for_a_tail_does_not_lose_the_parts(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file = start(seaweedfs, bucket, key, beside="." * (1000 - len(key)))
    file.write(DATA[: PART + 10])
    with pytest.raises(UsageError, match="S3 takes 1,024") as caught:
        file.suspend()
    with resume(seaweedfs, caught.value.checkpoint) as again:
        assert again.tell() == PART
        again.write(DATA[PART:])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_an_exception_after_resuming_leaves_the_checkpoint_as_good_as_it_was(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA[: PART + 10])
    checkpoint = file.suspend()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail_after(resume(seaweedfs, checkpoint), DATA[PART + 10 :])
        assert not exists(seaweedfs, bucket, key)
    with pytest.warns(RuntimeWarning, match=r"5,242,890 bytes are kept to be taken up again"):
        lose(resume(seaweedfs, checkpoint))
    with resume(seaweedfs, checkpoint) as again:
        again.write(DATA[PART + 10 :])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_an_upload_of_which_nothing_could_be_used_is_begun_anew_and_again(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    """A process that was killed between giving the old one up and writing down the new one."""
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"what was there before")
    file = start(seaweedfs, bucket, key)
    file.write(DATA[: 2 * PART])
    whole = file.suspend()
    for parts in (whole.parts[1:], (replace(whole.parts[0], size=7),)):
        useless = replace(whole, parts=parts)
        assert useless.offset == 0
        for _ in range(2):
            file = resume(seaweedfs, useless)
            assert file.tell() == 0
            file.discard()
    assert uploads(seaweedfs, bucket, key) == []
    assert beside(seaweedfs, bucket, key) == []


def test_discard_means_it(seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA[: PART + 10])
    checkpoint = file.suspend()
    resume(seaweedfs, checkpoint).discard()
    assert_nothing(seaweedfs, bucket, key)
    assert beside(seaweedfs, bucket, key) == []
    with pytest.raises(NotFoundError, match="cannot go on: the upload is gone"):
        resume(seaweedfs, checkpoint)
    path = tmp_path / "file.json"
    file = start(seaweedfs, bucket, key, checkpoint=path)
    file.write(DATA)
    assert path.exists()
    file.discard()
    assert not path.exists()
    assert_nothing(seaweedfs, bucket, key)
    assert beside(seaweedfs, bucket, key) == []


# -- a checkpoint that is kept by itself


def kept(store: Server, bucket: str, key: str, path: Path, **options: Any) -> Any:
    return start(store, bucket, key, **{"checkpoint": path, **lock_for(store), **options})


def test_the_same_call_starts_an_upload_and_takes_it_up_again(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    file = kept(store, bucket, key, path)
    assert file.tell() == 0
    with pytest.raises(ZeroDivisionError):
        fail_after(file, DATA)
    assert not exists(store, bucket, key)
    assert Checkpoint.from_json(path.read_text()).offset == 3 * PART
    assert beside(store, bucket, key) == []
    with kept(store, bucket, key, path) as file:
        assert file.tell() == 3 * PART
        file.write(DATA[file.tell() :])
    assert content(store, bucket, key) == DATA
    assert not path.exists()
    assert uploads(store, bucket, key) == []
    assert beside(store, bucket, key) == []


def test_each_part_is_written_down(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    file = kept(proxied, bucket, key, path, max_concurrency=1, buffering=0)
    seen = []
    for at in range(0, len(DATA), PART):
        file.write(DATA[at : at + PART])
        if path.exists():
            seen.append(len(Checkpoint.from_json(path.read_text()).parts))
    assert seen == [0, 1, 2]
    assert not {"testsecret1234", "testaccess"} & {*json.dumps(path.read_text()).split('"')}
    file.close()
    assert not path.exists()
    assert content(seaweedfs, bucket, key) == DATA


def test_a_store_that_fails_leaves_the_upload_for_another_try(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), where=lambda x: x.part_number == 3)
    with pytest.raises(PermissionError), kept(proxied, bucket, key, path) as file:
        file.write(DATA)
    assert len(proxy.injected) == 1
    assert proxy.count("AbortMultipartUpload") == 0
    with kept(proxied, bucket, key, path) as file:
        assert file.tell() == 2 * PART
        file.write(DATA[file.tell() :])
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []
    assert uploads(seaweedfs, bucket, key) == []


def test_what_was_published_and_not_heard_of_is_found(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    proxy.inject("CompleteMultipartUpload", LoseAnswer(), times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    once = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 1}}}
    with pytest.raises(UncertainError), kept(proxied, bucket, key, path, **once) as file:
        file.write(DATA)
    assert len(proxy.injected) == 2
    assert path.exists()
    proxy.clear()
    with kept(proxied, bucket, key, path) as file:
        assert file.tell() == len(DATA)
        with pytest.raises(S3StreamError, match="published before it was interrupted"):
            file.raw.write(b"more")
    assert file.result.size == len(DATA)
    assert content(seaweedfs, bucket, key) == DATA
    assert not path.exists()
    assert beside(seaweedfs, bucket, key) == []
    assert uploads(seaweedfs, bucket, key) == []


def test_an_exclusive_upload_stays_one(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    with pytest.raises(ZeroDivisionError):
        fail_after(kept(seaweedfs, bucket, key, path, mode="xb"), DATA)
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"another's")
    with pytest.raises(FileExistsError), kept(seaweedfs, bucket, key, path) as file:
        file.write(DATA[file.tell() :])
    assert content(seaweedfs, bucket, key) == b"another's"
    kept(seaweedfs, bucket, key, path).discard()
    assert uploads(seaweedfs, bucket, key) == []
    assert beside(seaweedfs, bucket, key) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"part_size": 2 * PART}, r"part_size=10485760: the upload was begun with 5242880"),
        ({"checksum": None}, "checksum=None: the upload was begun with 'crc64nvme'"),
        ({"mode": "xb"}, r"if_none_match='\*': the upload was begun with None"),
    ],
)
def test_what_belongs_to_the_upload_cannot_be_changed(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    path = tmp_path / "file.json"
    with pytest.raises(ZeroDivisionError):
        fail_after(kept(seaweedfs, bucket, key, path), DATA)
    before = path.read_text()
    with pytest.raises(UsageError, match=said):
        kept(seaweedfs, bucket, key, path, **options)
    with pytest.raises(UsageError, match=f"the checkpoint is of s3://{bucket}/{key}, not of"):
        kept(seaweedfs, bucket, f"{key}-2", path)
    assert path.read_text() == before
    assert beside(seaweedfs, bucket, key) == []
    kept(seaweedfs, bucket, key, path).discard()


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "w"},
        {"compression": "gzip"},
        {"mode": "rb"},
        {"checkpoint": 7},
        {"checkpoint": ""},
        {"lock": "mine"},
        {"checkpoint": None, "lock": None},
    ],
)
def test_wrong_input_is_refused_before_any_request(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        kept(proxied, bucket, key, tmp_path / "file.json", **options)
    with pytest.raises(UsageError, match="expected a Checkpoint"):
        s3stream.resume("{}", **proxied.storage_options())  # type: ignore[arg-type]
    assert proxy.log == []


def test_a_file_that_is_no_checkpoint_is_left_alone(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "precious.json"
    path.write_text('{"my": "data"}')
    with pytest.raises(UsageError, match=r"precious\.json: not a checkpoint"):
        kept(seaweedfs, bucket, key, path)
    assert path.read_text() == '{"my": "data"}'
    assert beside(seaweedfs, bucket, key) == []


def test_a_checkpoint_that_cannot_be_written_is_refused_before_there_is_an_upload(
    proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    with pytest.raises(S3StreamError, match=r"checkpoint .* cannot be written"):
        kept(proxied, bucket, key, tmp_path / "none" / "file.json")
    path = tmp_path / "folder" / "file.json"
    path.parent.mkdir()
    file = kept(proxied, bucket, key, path)
    path.parent.rmdir()
    with pytest.raises(S3StreamError, match=r"cannot be written") as caught, file:
        file.write(DATA)
    assert (caught.value.bucket, caught.value.key) == (bucket, key)
    assert proxy.count("CreateMultipartUpload") == 0
    assert beside(proxied, bucket, key) == []


def test_an_upload_that_could_never_be_written_down_is_aborted(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "file.json"
    path.parent.mkdir()
    proxy.inject("CreateMultipartUpload", Meanwhile(lambda: shutil.rmtree(path.parent)))
    with (
        pytest.raises(S3StreamError, match=r"cannot be written"),
        kept(proxied, bucket, key, path) as file,
    ):
        file.write(DATA)
    assert proxy.injected
    assert_nothing(seaweedfs, bucket, key)
    # One that was written down before is not.
    path.parent.mkdir()
    file = kept(proxied, bucket, key, path, buffering=0, max_concurrency=1)
    file.write(DATA[:PART])
    file.write(DATA[PART : 2 * PART])
    before = Checkpoint.from_json(path.read_text())
    shutil.rmtree(path.parent)
    with pytest.raises(S3StreamError, match=r"cannot be written"), file:
        file.write(DATA[2 * PART :])
    assert uploads(seaweedfs, bucket, key) == [before.upload_id]
    path.parent.mkdir()
    path.write_text(before.to_json())
    kept(seaweedfs, bucket, key, path).discard()
    assert_nothing(seaweedfs, bucket, key)


def test_where_nothing_was_begun_nothing_is_left_written_down(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    proxy.inject("CreateMultipartUpload", Answer(403, "AccessDenied"))
    with pytest.raises(PermissionError), kept(proxied, bucket, key, path) as file:
        file.write(DATA)
    assert proxy.injected
    assert list(tmp_path.iterdir()) == []
    with kept(proxied, bucket, key, path, part_size=2 * PART) as file:
        file.write(DATA)
    assert content(seaweedfs, bucket, key) == DATA


# -- locks


def standing_still(proxy: Proxy) -> Hold:
    """From now on no renewal of a lock arrives: its owner's machine is suspended."""
    hold = Hold()
    proxy.inject("PutObject", hold, times=None, where=lambda x: x.path.endswith("-lock"))
    return hold


def go_on(proxy: Proxy, hold: Hold) -> None:
    assert proxy.injected
    proxy.clear()
    hold.event.set()


def test_two_do_not_go_on_with_one_upload(seaweedfs: Server, bucket: str, key: str) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA)
    checkpoint = file.suspend()
    first = resume(seaweedfs, checkpoint, lease=1.0)
    with pytest.raises(LockedError, match=r"it is held by process \d+ on .*, who is at work"):
        resume(seaweedfs, checkpoint, lease=1.0)
    first.close()
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_who_was_taken_for_dead_cannot_commit(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    file = start(seaweedfs, bucket, key)
    file.write(DATA)
    checkpoint = file.suspend()
    slow = resume(proxied, checkpoint, lease=0.5)
    hold = standing_still(proxy)
    second = resume(seaweedfs, checkpoint, lease=1.0)
    go_on(proxy, hold)
    with pytest.raises(LockedError, match=r"its lease has run out, and process \d+ on"):
        slow.close()
    assert not exists(seaweedfs, bucket, key)
    second.close()
    assert content(seaweedfs, bucket, key) == DATA
    assert beside(seaweedfs, bucket, key) == []


def test_who_has_lost_the_lock_leaves_the_checkpoint_to_the_new_owner(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.json"
    slow = kept(proxied, bucket, key, path, lease=0.5, max_concurrency=1)
    slow.write(DATA[: PART + 1])
    hold = standing_still(proxy)
    second = kept(seaweedfs, bucket, key, path, lease=1.0, max_concurrency=1)
    second.write(DATA[second.tell() :])
    second.flush()
    written = path.read_text()
    assert len(Checkpoint.from_json(written).parts) >= 2
    go_on(proxy, hold)
    with pytest.raises(LockedError, match="has taken it over"), slow:
        slow.write(DATA[PART + 1 :])
    assert path.read_text() == written
    second.close()
    assert content(seaweedfs, bucket, key) == DATA
    assert not path.exists()
    assert beside(seaweedfs, bucket, key) == []
    assert uploads(seaweedfs, bucket, key) == []


def test_a_garbage_collection_does_not_wait_for_a_lock_to_be_released(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    """It may have come in the middle of the connection pool, which the release needs too."""
    path = tmp_path / "file.json"
    files = [kept(proxied, bucket, key, path)]
    files[0].write(DATA)
    hold = Hold()
    proxy.inject("GetObject", hold)
    with pytest.warns(RuntimeWarning, match="are kept to be taken up again"):
        lose(files.pop())
    assert len(proxy.injected) == 1  # and it is still held
    assert Checkpoint.from_json(path.read_text()).offset == 3 * PART
    hold.release()
    for thread in threading.enumerate():
        if thread.name == "s3stream unlock":
            thread.join()
    assert beside(seaweedfs, bucket, key) == []
    kept(seaweedfs, bucket, key, path).discard()


def test_a_store_without_conditional_writes_says_so(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    if not lock_for(store):
        kept(store, bucket, key, tmp_path / "file.json").close()
        return
    with pytest.raises(UsageError, match=r"no conditional writes.*lock="):
        start(store, bucket, key, checkpoint=tmp_path / "file.json")
    assert beside(store, bucket, key) == []


def test_somebodys_own_lock_is_held_as_long_as_the_file_is_open(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    lock = threading.Lock()
    with kept(store, bucket, key, tmp_path / "file.json", lock=lock) as file:
        assert lock.locked()
        file.write(DATA)
    assert not lock.locked()
    assert content(store, bucket, key) == DATA
    assert beside(store, bucket, key) == []
