"""`s3stream archive`, `extract` and `verify`: the executable, against real stores."""

from __future__ import annotations

import json
import re
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.archives import entries, manifest, put, tree
from tests.faults import Answer, Hold, Meanwhile
from tests.looking import assert_nothing, bytes_of, content
from tests.shell import (
    NOT_CONFIRMED,
    PATIENCE_SECONDS,
    assert_stopped,
    end,
    environment,
    running,
    s3stream,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proxy import Proxy
    from tests.servers import Server
    from tests.wire import Exchange

MIB = 1 << 20
OBJECTS = {"a.txt": b"a" * 1_000, "folder/b.bin": bytes_of(100_000), "z.tmp": b"z"}
SIZE = sum(map(len, OBJECTS.values()))


def filled(server: Server, bucket: str, key: str, objects: dict[str, bytes] = OBJECTS) -> str:
    put(server, bucket, {f"{key}/in/{name}": data for name, data in objects.items()})
    return f"s3://{bucket}/{key}/in/"


def test_a_bucket_into_an_archive_and_back(
    store: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    source = filled(store, bucket, key)
    dest = f"s3://{bucket}/{key}/all.zip"
    made = s3stream(store, "archive", source, dest, "--json", "--metadata", "night=1")
    assert (made.returncode, made.stderr) == (0, b"")
    told = json.loads(made.stdout)
    assert {name: told[name] for name in ("uri", "entries", "bytes", "skipped")} == {
        "uri": dest,
        "entries": 3,
        "bytes": SIZE,
        "skipped": 0,
    }
    assert told["size"] == len(content(store, bucket, f"{key}/all.zip"))
    assert entries(store, bucket, f"{key}/all.zip") == OBJECTS
    head = store.client().head_object(Bucket=bucket, Key=f"{key}/all.zip")
    assert {name.lower(): value for name, value in head["Metadata"].items()} == {"night": "1"}

    verified = s3stream(store, "verify", dest)
    assert (verified.returncode, verified.stderr) == (0, b"")
    assert verified.stdout.decode() == (
        f"{dest}: 3 entries, 98.6 KiB ({SIZE:,} bytes), as in its manifest\n"
    )

    out = s3stream(store, "extract", dest, "out", cwd=tmp_path)
    assert (out.returncode, out.stdout, out.stderr) == (0, b"", b"")
    assert tree(tmp_path / "out") == OBJECTS

    back = s3stream(store, "extract", dest, f"s3://{bucket}/{key}/out/", "--json")
    assert (back.returncode, back.stderr) == (0, b"")
    assert json.loads(back.stdout) == {
        "uri": dest,
        "dest": f"s3://{bucket}/{key}/out/",
        "entries": 3,
        "bytes": SIZE,
        "skipped": 0,
    }
    assert content(store, bucket, f"{key}/out/folder/b.bin") == OBJECTS["folder/b.bin"]


def test_what_is_chosen_and_how(seaweedfs: Server, bucket: str, key: str, tmp_path: Path) -> None:
    source = filled(seaweedfs, bucket, key)
    dest = f"s3://{bucket}/{key}/logs"
    said = ["--format", "zip", "--stored", "--exclude", "*.tmp", "--since", "7d"]
    said += ["--memory-limit", "1MiB", "--include", "*"]
    made = s3stream(seaweedfs, "archive", source, dest, *said)
    assert (made.returncode, made.stdout, made.stderr) == (0, b"", b"")
    assert list(entries(seaweedfs, bucket, f"{key}/logs")) == ["a.txt", "folder/b.bin"]
    assert OBJECTS["a.txt"] in content(seaweedfs, bucket, f"{key}/logs")
    for since, count in (("2099-01-01", 0), ("2020-01-01T00:00:00Z", 3)):
        made = s3stream(seaweedfs, "archive", source, dest, "--format=tar", f"--since={since}")
        assert (made.returncode, made.stderr) == (0, b"")
        assert len(entries(seaweedfs, bucket, f"{key}/logs")) == count
    made = s3stream(seaweedfs, "archive", source, dest, "--format=tar", "--include=*.cvs")
    assert made.returncode == 0
    assert made.stderr.decode() == (
        f"s3stream archive: warning: {dest}: --include '*.cvs' matches none of the 3 names there\n"
    )
    s3stream(seaweedfs, "archive", source, dest, "--format=tar")
    made = s3stream(seaweedfs, "extract", dest, str(tmp_path / "none"), "--exclude=*")
    assert made.returncode == 0
    assert made.stderr.decode() == (
        f"s3stream extract: warning: {dest}: --exclude leaves none of the 3 names there\n"
    )
    chosen = ["--include", "*b*", "--exclude", "a*"]
    out = s3stream(seaweedfs, "extract", dest, str(tmp_path / "out"), *chosen)
    assert (out.returncode, out.stderr) == (0, b"")
    assert list(tree(tmp_path / "out")) == ["folder/b.bin"]


def test_two_stores(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    source = filled(seaweedfs, bucket, key)
    dest = f"s3://{bucket}/{key}/all.tar.gz"
    at = ["--source-endpoint-url", proxied.endpoint_url]
    made = s3stream(seaweedfs, "archive", source, str(tmp_path / "no such"), dest, *at)
    assert made.returncode == 3
    made = s3stream(seaweedfs, "archive", source, dest, *at)
    assert (made.returncode, made.stderr) == (0, b"")
    assert {exchange.operation for exchange in proxy.log} == {"ListObjectsV2", "GetObject"}
    before = proxy.count()
    at = ["--dest-endpoint-url", proxied.endpoint_url]
    out = s3stream(seaweedfs, "extract", dest, f"s3://{bucket}/{key}/out", *at)
    assert (out.returncode, out.stderr) == (0, b"")
    assert {exchange.operation for exchange in proxy.log[before:]} == {"PutObject"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["archive", "s3://b/in/"], 2, "the following arguments are required: DEST_URI"),
        (["archive", "s3://b/in/", "s3://b/a.rar"], 2, "its name means no format of archives"),
        (["archive", "s3://b/in/", "s3://b/a.rar"], 2, "; say --format\n"),
        (["archive", "s3://b/", "s3://b/a", "--format=7z"], 2, "archive: --format '7z': expected"),
        (["archive", "s3://b/in/", "a.zip"], 2, "expected a URI such as s3://bucket/key"),
        (["archive", "s3://b/", "s3://b/a.tar", "--stored"], 2, "archive: --stored: that is for"),
        (["archive", "s3://b/", "s3://b/a.zip", "--since", "soon"], 2, "expected how long ago"),
        (["archive", "s3://b/", "s3://b/a.zip", "--since", "200000w"], 2, "before the first day"),
        (["archive", "s3://b/", "s3://b/a.zip", "--since", "0001-01-01"], 2, "expected how long"),
        (["archive", "s3://b/", "s3://b/a.zip", "--memory-limit", "1"], 2, ": --memory-limit 1: "),
        (["extract", "s3://b/a.zip"], 2, "the following arguments are required: DEST"),
        (["extract", "no such.zip", "out"], 3, "there is no file no such.zip"),
        (["verify"], 2, "the following arguments are required: ARCHIVE_URI"),
        (["verify", "no such.zip"], 3, "there is no file no such.zip"),
        (["verify", __file__], 8, "is neither a zip nor a tar"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    proxied: Server, proxy: Proxy, arguments: list[str], code: int, said: str
) -> None:
    done = s3stream(proxied, *arguments)
    assert done.returncode == code
    told = done.stderr.decode()
    assert told.startswith(f"s3stream {arguments[0]}: ")
    assert said in told
    assert told.count("\n") == 1
    assert done.stdout == b""
    assert proxy.log == []


def test_where_there_is_nothing(seaweedfs: Server, bucket: str, key: str) -> None:
    dest = f"s3://{bucket}/{key}/all.zip"
    for source in (f"s3://{bucket}/{key}/in/", "s3://there-is-no-such-bucket/"):
        done = s3stream(seaweedfs, "archive", source, dest)
        assert done.returncode == 3
    done = s3stream(seaweedfs, "verify", dest)
    assert done.returncode == 3
    assert_nothing(seaweedfs, bucket, f"{key}/all.zip")


def test_an_archive_that_is_there_can_be_kept(seaweedfs: Server, bucket: str, key: str) -> None:
    source = filled(seaweedfs, bucket, key)
    dest = f"s3://{bucket}/{key}.zip"
    put(seaweedfs, bucket, {f"{key}.zip": b"of yesterday"})
    done = s3stream(seaweedfs, "archive", source, dest, "--if-none-match")
    assert done.returncode == 5
    assert content(seaweedfs, bucket, f"{key}.zip") == b"of yesterday"


def test_a_store_that_refuses(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    source = filled(seaweedfs, bucket, key, {"a": bytes_of(11 * MIB)})
    dest = f"s3://{bucket}/{key}/all.tar"
    for operation in ("GetObject", "UploadPart"):
        proxy.inject(operation, Answer(403, "AccessDenied"), times=None)
        done = s3stream(proxied, "archive", source, dest)
        assert done.returncode == 4
        assert b"AccessDenied" in done.stderr
        assert proxy.injected
        proxy.clear()
        assert_nothing(seaweedfs, bucket, f"{key}/all.tar")


def test_an_object_that_vanishes(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    client = seaweedfs.client()
    dest = f"s3://{bucket}/{key}/all.tar"
    for more, code in (([], 3), (["--skip-changed"], 0)):
        source = filled(seaweedfs, bucket, key)
        gone = Meanwhile(lambda: client.delete_object(Bucket=bucket, Key=f"{key}/in/a.txt"))
        proxy.inject("GetObject", gone, where=lambda exchange: exchange.path.endswith("/a.txt"))
        done = s3stream(proxied, "archive", source, dest, *more)
        assert done.returncode == code
        told = done.stderr.decode()
        if code:
            assert f"{key}/in/a.txt" in told
            assert told.endswith("; --skip-changed would pass over it\n")
            assert_nothing(seaweedfs, bucket, f"{key}/all.tar")
        else:
            warned = f"s3stream archive: warning: {source}a.txt is not in the archive: "
            assert told.startswith(warned)
    assert len(proxy.injected) == 2
    assert manifest(seaweedfs, bucket, f"{key}/all.tar")[0]["skipped"] == "a.txt"


def test_an_archive_that_is_damaged(
    seaweedfs: Server, bucket: str, key: str, tmp_path: Path
) -> None:
    source = filled(seaweedfs, bucket, key)
    s3stream(seaweedfs, "archive", source, f"s3://{bucket}/{key}.tar")
    data = bytearray(content(seaweedfs, bucket, f"{key}.tar"))
    data[data.index(b"aaaa") + 10] ^= 1
    put(seaweedfs, bucket, {f"{key}.tar": bytes(data)})
    for arguments in (["verify"], ["extract"]):
        dest = [str(tmp_path / "out")] if arguments == ["extract"] else []
        done = s3stream(seaweedfs, *arguments, f"s3://{bucket}/{key}.tar", *dest)
        assert done.returncode == 8
        assert b"'a.txt' is not what was archived" in done.stderr
        assert done.stdout == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_archive_that_is_told_to_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, number: signal.Signals
) -> None:
    source = filled(seaweedfs, bucket, key, {"a": bytes_of(11 * MIB), "b": b"the last"})
    # It is in the middle for as long as this is not answered.
    proxy.inject("GetObject", Hold(), where=lambda exchange: exchange.path.endswith("/b"))
    with running(proxied, "archive", source, f"s3://{bucket}/{key}/all.tar") as process:
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(number)
        process.send_signal(number)  # a terminal that closes sends two
        code, said = end(process)
    assert code == -number
    assert_stopped(said, "archive", number)
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") >= 1
    assert_nothing(seaweedfs, bucket, f"{key}/all.tar")


def test_extract_that_is_told_to_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    source = filled(seaweedfs, bucket, key, {"a": b"first", "b": bytes_of(11 * MIB)})
    dest = f"s3://{bucket}/{key}/all.tar"
    made = s3stream(seaweedfs, "archive", source, dest)
    assert made.returncode == 0
    # Its first range holds all of `a` and the beginning of `b`.
    later = lambda exchange: not exchange.request_headers["range"].startswith("bytes=0-")  # noqa: E731 - it is used once
    proxy.inject("GetObject", Hold(), times=None, where=later)
    arguments = ("extract", dest, str(tmp_path / "out"))
    with running(proxied, *arguments, env=environment(proxied)) as process:
        waiting = threading.Event()
        while not (tmp_path / "out" / "a").exists() and process.poll() is None:
            waiting.wait(0.05)
        process.send_signal(signal.SIGTERM)
        code, said = end(process)
    assert code == -signal.SIGTERM
    assert said == "s3stream extract: stopped by SIGTERM\n"
    # What was not whole is not there, under no name.
    assert tree(tmp_path / "out") == {"a": b"first"}


def test_extract_into_a_store_that_is_told_to_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    source = filled(seaweedfs, bucket, key, {"a": b"first", "b": bytes_of(17 * MIB)})
    dest = f"s3://{bucket}/{key}/all.tar"
    made = s3stream(seaweedfs, "archive", source, dest)
    assert made.returncode == 0
    # The end of `b` is not read as long as this is not answered.
    proxy.inject(
        "GetObject", Hold(), times=None, where=lambda exchange: begin(exchange) >= 12 * MIB
    )
    with running(proxied, "extract", dest, f"s3://{bucket}/{key}/out/") as process:
        proxy.wait_for("UploadPart", 2, finished=True, timeout=PATIENCE_SECONDS)
        proxy.wait_for("PutObject", finished=True, timeout=PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        code, said = end(process)
    assert code == -signal.SIGTERM
    assert re.fullmatch(rf"s3stream extract: stopped by SIGTERM{NOT_CONFIRMED}\n", said), said
    assert proxy.injected
    assert proxy.count("AbortMultipartUpload") >= 1
    assert content(seaweedfs, bucket, f"{key}/out/a") == b"first"
    assert_nothing(seaweedfs, bucket, f"{key}/out/b")


def begin(exchange: Exchange) -> int:
    """Where the range begins that is asked for."""
    return int(exchange.request_headers["range"].removeprefix("bytes=").partition("-")[0])
