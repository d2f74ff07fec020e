"""The command line, as somebody types it: the executable, against real stores."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import s3stream as library
from s3stream.cli import VERBS
from tests.faults import Answer, LoseAnswer
from tests.looking import assert_nothing, bytes_of, content, exists, uploads
from tests.shell import PART, PATIENCE_SECONDS, S3STREAM, end, environment, running, s3stream

if TYPE_CHECKING:
    from tests.proxy import Proxy
    from tests.servers import Server

DATA = bytes_of(2 * PART + 12_345)


def test_a_round_trip(store: Server, bucket: str, key: str, tmp_path: Path) -> None:
    file = tmp_path / "local.csv"
    file.write_bytes(DATA)
    uri = f"s3://{bucket}/{key}"

    put = s3stream(store, "put", str(file), f"{uri}/", "--json", "--metadata", "made=by hand")
    assert (put.returncode, put.stderr) == (0, b"")
    told = json.loads(put.stdout)
    assert (told["uri"], told["size"], told["parts"]) == (f"{uri}/local.csv", len(DATA), 3)
    head = store.client().head_object(Bucket=bucket, Key=f"{key}/local.csv")
    assert head["ETag"] == told["etag"] or store.name == "rclone"
    assert head["ContentType"] == "text/csv"

    # What is silent in a pipe says nothing.
    put = s3stream(store, "put", "-", f"{uri}/piped", "--part-size", "6MiB", given=DATA)
    assert (put.returncode, put.stdout, put.stderr) == (0, b"", b"")

    cat = s3stream(store, "cat", f"{uri}/piped", f"{uri}/local.csv")
    assert (cat.returncode, cat.stderr) == (0, b"")
    assert cat.stdout == DATA + DATA

    ls = s3stream(store, "ls", uri)
    assert (ls.returncode, ls.stderr) == (0, b"")
    lines = [line.split() for line in ls.stdout.decode().splitlines()]
    assert [line[2:] for line in lines] == [
        [f"{len(DATA):,}", f"{uri}/local.csv"],
        [f"{len(DATA):,}", f"{uri}/piped"],
    ]

    rm = s3stream(store, "rm", f"{uri}/piped", f"{uri}/local.csv")
    assert (rm.returncode, rm.stdout, rm.stderr) == (0, b"", b"")
    assert_nothing(store, bucket, f"{key}/piped")
    assert_nothing(store, bucket, f"{key}/local.csv")


def test_what_is_said_of_the_object_reaches_the_store(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    uri = f"s3://{bucket}/{key}"
    said = ["--content-type", "text/x-dump", "--metadata", "from=shop", "--metadata", "a=b=c"]
    said += ["--storage-class", "STANDARD_IA", "--parameter", "CacheControl=no-store"]
    said += ["--parameter", "BucketKeyEnabled=true"]
    said += ["--checksum", "crc32c", "--concurrency", "2", "--memory", "18MiB"]
    said += ["--part-size", "6MiB", "--expected-size", "1GiB", "--region", "us-east-1", "--json"]
    put = s3stream(seaweedfs, "put", "-", uri, *said, given=DATA)
    assert (put.returncode, put.stderr) == (0, b"")
    assert json.loads(put.stdout)["checksum"]["algorithm"] == "crc32c"
    head = seaweedfs.client().head_object(Bucket=bucket, Key=key)
    assert head["ContentType"] == "text/x-dump"
    assert head["Metadata"] == {"from": "shop", "a": "b=c"}
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["CacheControl"] == "no-store"
    assert content(seaweedfs, bucket, key) == DATA


def test_nothing_is_replaced_where_there_is_something(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "new"
    file.write_bytes(DATA)
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"old")
    uri = f"s3://{bucket}/{key}"
    put = s3stream(proxied, "put", str(file), uri, "--if-none-match")
    assert put.returncode == 5
    assert put.stderr.decode() == f"s3stream put: {uri}: there is an object of that name already\n"
    assert proxy.count("UploadPart") == 0, "it was sent before anybody looked"
    for source in (str(file), "-"):
        put = s3stream(proxied, "put", source, uri, "--if-match", "0123", given=DATA)
        assert put.returncode == 5, put.stderr
        said = f"s3stream put: {uri}: --if-match: the ETag of the object that is there is "
        assert put.stderr.decode().startswith(said)
        assert put.stderr.decode().endswith(", and not 0123\n")
    assert proxy.count("CreateMultipartUpload") == 0, "it was sent before anybody looked"
    assert content(seaweedfs, bucket, key) == b"old"
    put = s3stream(proxied, "put", "-", f"{uri}.no", "--if-match", "0123", given=b"new")
    assert put.returncode == 3, put.stderr
    assert uploads(seaweedfs, bucket, key) == []
    assert not exists(seaweedfs, bucket, f"{key}.no")


def test_what_is_to_be_replaced_is_named_by_its_etag(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    uri = f"s3://{bucket}/{key}"
    etag = seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"old")["ETag"]
    put = s3stream(seaweedfs, "put", "-", uri, "--if-match", etag, given=b"new")
    assert (put.returncode, put.stderr) == (0, b"")
    assert content(seaweedfs, bucket, key) == b"new"
    # The quotes are easily lost in a shell.
    etag = seaweedfs.client().head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    put = s3stream(seaweedfs, "put", "-", uri, "--if-match", etag, given=b"newer")
    assert (put.returncode, put.stderr) == (0, b"")
    assert content(seaweedfs, bucket, key) == b"newer"


@pytest.mark.parametrize("condition", ["--if-none-match", "--if-match"])
def test_a_commit_that_nobody_heard_of_is_no_object_of_somebody_else(
    seaweedfs: Server,
    proxied: Server,
    proxy: Proxy,
    bucket: str,
    key: str,
    tmp_path: Path,
    condition: str,
) -> None:
    file, checkpoint = tmp_path / "local", tmp_path / "checkpoint"
    file.write_bytes(DATA)
    put = ["put", str(file), f"s3://{bucket}/{key}", "--checkpoint", str(checkpoint), condition]
    if condition == "--if-match":
        put.append(seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"old")["ETag"])
    proxy.inject("CompleteMultipartUpload", LoseAnswer())
    proxy.inject("CompleteMultipartUpload", Answer(404, "NoSuchUpload"), times=None)
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    first = s3stream(proxied, *put)
    assert first.returncode == 7, first.stderr
    assert content(seaweedfs, bucket, key) == DATA
    assert proxy.count("UploadPart") == 3
    proxy.clear()
    again = s3stream(proxied, *put)
    assert (again.returncode, again.stderr) == (0, b"")
    assert proxy.count("UploadPart") == 3
    assert content(seaweedfs, bucket, key) == DATA
    assert uploads(seaweedfs, bucket, key) == []
    assert not checkpoint.exists()


def test_what_nobody_may_look_at_is_refused_when_it_is_published(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=b"old")
    proxy.inject("HeadObject", Answer(403, "AccessDenied"), times=None)
    put = s3stream(proxied, "put", "-", f"s3://{bucket}/{key}", "--if-none-match", given=b"new")
    assert proxy.injected, "nothing was refused"
    assert put.returncode in {5, 7}, put.stderr
    assert content(seaweedfs, bucket, key) == b"old"


def test_standard_input_that_does_not_block_is_read_to_its_end(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with running(proxied, "put", "-", f"s3://{bucket}/{key}", stdin=ours) as process:
        os.close(ours)
        with os.fdopen(theirs, "wb", buffering=0) as pipe:
            pipe.write(DATA[: PART + 1])
            # It has read all that there was: now it finds nothing, and no end.
            proxy.wait_for("CreateMultipartUpload", timeout=PATIENCE_SECONDS)
            pipe.write(DATA[PART + 1 :])
        assert end(process) == (0, "")
    assert content(seaweedfs, bucket, key) == DATA


def test_the_store_refuses(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str, tmp_path: Path
) -> None:
    file = tmp_path / "local"
    file.write_bytes(DATA)
    proxy.inject("UploadPart", Answer(403, "AccessDenied", "not\ntoday"), times=None)
    uri = f"s3://{bucket}/{key}"
    for source in (str(file), "-"):
        put = s3stream(proxied, "put", source, uri, given=DATA)
        assert put.returncode == 4, put.stderr
        (line,) = put.stderr.decode().splitlines()
        assert line.startswith("s3stream put: cannot upload")
        assert "not today" in line
        assert uri in line
    assert len(proxy.injected) >= 2
    assert_nothing(seaweedfs, bucket, key)


def test_a_clean_up_that_fails_is_told_of(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    proxy.inject("UploadPart", Answer(403, "AccessDenied"), times=None)
    proxy.inject("AbortMultipartUpload", Answer(403, "AccessDenied"), times=None)
    put = s3stream(proxied, "put", "-", f"s3://{bucket}/{key}", given=DATA)
    assert put.returncode == 4
    (upload_id,) = uploads(seaweedfs, bucket, key)
    assert "and the clean-up failed" in put.stderr.decode()
    assert upload_id in put.stderr.decode()
    uri = f"s3://{bucket}/{key}"
    abort = s3stream(seaweedfs, "uploads", "abort", uri, "--upload-id", upload_id)
    assert (abort.returncode, abort.stderr) == (0, b"")
    assert_nothing(seaweedfs, bucket, key)


def test_warnings_are_said_in_the_commands_own_words(
    seaweedfs: Server, proxied: Server, proxy: Proxy, bucket: str, key: str
) -> None:
    # What was to find out whether the store heeds conditions may not be put: it warns, and goes on.
    proxy.inject("probe", Answer(403, "AccessDenied"), times=None)
    put = s3stream(proxied, "put", "-", f"s3://{bucket}/{key}", "--if-none-match", given=b"new")
    assert put.returncode == 0, put.stderr
    (line,) = put.stderr.decode().splitlines()
    assert line.startswith("s3stream put: warning: cannot find out whether the store heeds")
    assert "RuntimeWarning" not in line
    assert proxy.injected
    assert content(seaweedfs, bucket, key) == b"new"


def test_nobody_reads_what_cat_prints(seaweedfs: Server, bucket: str, key: str) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=DATA)
    with running(seaweedfs, "cat", f"s3://{bucket}/{key}") as process:
        assert process.stdout is not None
        assert process.stdout.read(10) == DATA[:10]
        process.stdout.close()
        process.stdout = None
        # As of any other command in a pipe, for `set -o pipefail` and who asks.
        assert end(process) == (-signal.SIGPIPE, "")


def test_a_full_disk_is_an_error(seaweedfs: Server, bucket: str, key: str) -> None:
    seaweedfs.client().put_object(Bucket=bucket, Key=key, Body=DATA)
    for verb in ("cat", "ls"):
        with Path("/dev/full").open("wb") as full:
            done = s3stream(seaweedfs, verb, f"s3://{bucket}/{key}", stdout=full)
        said = f"s3stream {verb}: standard output: No space left on device\n"
        assert (done.returncode, done.stderr.decode()) == (1, said)


def test_what_is_published_is_so_whoever_cannot_read_it(
    seaweedfs: Server, bucket: str, key: str
) -> None:
    uri = f"s3://{bucket}/{key}"
    with Path("/dev/full").open("wb") as full:
        done = s3stream(seaweedfs, "put", "-", uri, "--json", given=b"data", stdout=full)
    said = f"s3stream put: standard output: No space left on device; {uri} is published\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)
    assert content(seaweedfs, bucket, key) == b"data"
    with Path("/dev/full").open("wb") as full:
        done = s3stream(seaweedfs, "archive", uri, f"{uri}.tar", "--json", stdout=full)
    assert done.returncode == 1
    assert done.stderr.decode().endswith(f"; {uri}.tar is published\n")


def test_streams_that_are_closed(seaweedfs: Server, bucket: str, key: str) -> None:
    uri = f"s3://{bucket}/{key}"
    script = '"$0" put - "$1" <&-; echo $?; echo x | "$0" put - "$1" 2>&-; echo $?'
    script += '; "$0" cat "$1" >&-; echo $?'
    done = subprocess.run(
        ["sh", "-c", script, S3STREAM, uri],
        env=environment(seaweedfs),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert done.stdout == b"2\n0\n2\n"
    assert done.stderr.decode().splitlines() == [
        "s3stream put: standard input is closed",
        "s3stream cat: standard output is closed",
    ]
    assert content(seaweedfs, bucket, key) == b"x\n"


def test_listings(seaweedfs: Server, bucket: str, key: str) -> None:
    client = seaweedfs.client()
    for name in ("a[1].txt", "a1.txt", "below/one", "below/two\nlines"):
        client.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"123")
    uri = f"s3://{bucket}/{key}"
    ls = s3stream(seaweedfs, "ls", f"{uri}/")
    assert [line.split()[-1] for line in ls.stdout.decode().splitlines()] == [
        f"{uri}/a1.txt",
        f"{uri}/a[1].txt",
        f"{uri}/below/",
    ]
    ls = s3stream(seaweedfs, "ls", "-r", f"{uri}/below")
    assert [line.split()[-1] for line in ls.stdout.decode().splitlines()] == [
        f"{uri}/below/one",
        f"{uri}/below/two\\nlines",  # one line for each, whatever is in it
    ]
    ls = s3stream(seaweedfs, "ls", "--json", uri)
    entries = [json.loads(line) for line in ls.stdout.decode().splitlines()]
    assert entries[2] == {"uri": f"{uri}/below/", "type": "prefix"}
    assert (entries[0]["uri"], entries[0]["type"], entries[0]["size"]) == (
        f"{uri}/a1.txt",
        "object",
        3,
    )
    ls = s3stream(seaweedfs, "ls")
    assert f"s3://{bucket}/" in ls.stdout.decode().split()
    ls = s3stream(seaweedfs, "ls", "-r", f"{uri}/nothing")
    assert ls.returncode == 3
    assert ls.stderr.decode() == f"s3stream ls: {uri}/nothing: there is nothing of that name\n"


def test_removing_takes_names_as_they_are(seaweedfs: Server, bucket: str, key: str) -> None:
    client = seaweedfs.client()
    names = ("x[1]/a", "x1/a", "y*", "y2", "z/a")
    for name in names:
        client.put_object(Bucket=bucket, Key=f"{key}/{name}", Body=b"123")

    def left() -> list[str]:
        return [name for name in names if exists(seaweedfs, bucket, f"{key}/{name}")]

    uri = f"s3://{bucket}/{key}"
    rm = s3stream(seaweedfs, "rm", f"{uri}/y*")
    assert (rm.returncode, rm.stderr) == (0, b"")
    assert left() == ["x[1]/a", "x1/a", "y2", "z/a"]
    rm = s3stream(seaweedfs, "rm", "--json", "-r", f"{uri}/x[1]")
    assert (rm.returncode, rm.stderr) == (0, b"")
    assert json.loads(rm.stdout) == {"uri": f"{uri}/x[1]"}
    assert left() == ["x1/a", "y2", "z/a"]
    rm = s3stream(seaweedfs, "rm", f"{uri}/z")
    assert rm.returncode == 1
    assert b"-r deletes all below it" in rm.stderr
    rm = s3stream(seaweedfs, "rm", f"{uri}/y2/")
    assert rm.returncode == 1, "there is an object y2, and none y2/"
    rm = s3stream(seaweedfs, "rm", f"{uri}/y2", "-r", f"s3://{bucket}/")
    assert rm.returncode == 2, "a whole bucket"
    assert left() == ["x1/a", "y2", "z/a"]


# -- arguments


# What is typed, the exit code, and what the one sentence says.
WRONG = {
    "": (2, "s3stream: a verb is missing (see s3stream --help)"),
    "pu": (2, "s3stream: there is no verb 'pu', did you mean put?"),
    "put": (2, "s3stream put: the following arguments are required: FILE, URI"),
    "put - b/k": (2, "s3stream put: 'b/k': expected a URI such as s3://bucket/key"),
    "put - s3://bucket": (2, "s3stream put: 's3://bucket' names a bucket and no key"),
    "put - s3://bucket/folder/": (2, "s3stream put: 'bucket/folder/' ends in '/'"),
    "put - http://bucket/key": (2, "s3stream put: 'http://bucket/key': the scheme is 'http'"),
    "put nothing s3://bucket/key": (3, "s3stream put: nothing: No such file or directory"),
    "put . s3://bucket/key": (2, "is a folder: send its files, or s3stream archive makes one"),
    "put /dev/null s3://bucket/key": (2, "not a regular file: let standard input come from it"),
    "put /dev/null s3://": (2, "s3stream put: 's3://' names no bucket"),
    "put - s3://bucket/key --part-size 5MB": (2, "'5MB': expected bytes, or a number with KiB"),
    "put - s3://bucket/key --part-size 5": (2, "s3stream put: --part-size 5: expected 5,242,880"),
    "put - s3://bucket/key --memory 6MiB": (2, "s3stream put: --memory 6,291,456: expected"),
    "put - s3://bucket/key --concurrency 0": (2, "'0': expected a whole number of 1 or more"),
    "put - s3://bucket/key --metadata x": (2, "'x': expected NAME=VALUE"),
    "put - s3://bucket/key --checksum md5": (2, "invalid choice: 'md5'"),
    "put - s3://bucket/key --parameter a=b": (2, "S3's parameters begin with a capital"),
    "put - s3://bucket/key --parameter StorageClas=b": (2, "did you mean StorageClass?"),
    "put - s3://bucket/key --no-lock": (2, "--no-lock is for an upload with a --checkpoint"),
    "put - s3://bucket/key --profile nobody": (2, "profile (nobody) could not be found"),
    "put x s3://bucket/key --expected-size 1": (2, "--expected-size is for standard input"),
    "put - s3://bucket/key --if-match a --if-none-match": (2, "not allowed with argument --if-ma"),
    "put - s3://bucket/key --if-match=": (
        2,
        "argument --if-match: it is empty; is a variable not set?",
    ),
    "put - s3://bucket/key --endpoint-url=": (2, "argument --endpoint-url: it is empty"),
    "put - s3://bucket/key --checkpoint=": (2, "argument --checkpoint: it is empty"),
    "put - s3://bucket/key --endpoint-url localhost:9000": (2, "such as https://s3.example.com"),
    "put - s3://bucket/key --region eu_west": (2, "Provided region_name 'eu_west' doesn't match"),
    "put - s3://bucket/key --parameter BucketKeyEnabled=yes": (2, "expected BucketKeyEnabled=true"),
    "put - s3://bucket/\udcff": (2, "'s3://bucket/\\udcff': not UTF-8, which S3's names are"),
    "cat s3://bucket/\udcff": (2, "'s3://bucket/\\udcff': not UTF-8"),
    "ls s3://bucket/\udcff": (2, "'s3://bucket/\\udcff': not UTF-8"),
    "rm s3://bucket/\udcff": (2, "'s3://bucket/\\udcff': not UTF-8"),
    "uploads list s3://bucket/\udcff": (2, "'s3://bucket/\\udcff': not UTF-8"),
    "put - s3://no-such-bucket/key": (3, "there is no bucket 'no-such-bucket'"),
    "run s3://bucket/key": (125, "s3stream run: a command is missing: put it at the end"),
    "run s3://bucket/key true": (125, "'true': the command goes behind --"),
    "run bucket -- touch started": (125, "expected a URI such as s3://bucket/key"),
    "run s3://no-such-bucket/key -- touch started": (125, "there is no bucket 'no-such-bucket'"),
    "run s3://bucket/key --compress lzw -- touch started": (125, "invalid choice: 'lzw'"),
    "uploads": (2, "s3stream uploads: the following arguments are required: VERB"),
    "uploads list bucket": (2, "s3stream uploads list: 'bucket': expected s3://bucket"),
    "uploads abort s3://bucket": (2, "one of the arguments --older-than --upload-id is required"),
    "uploads abort s3://bucket --older-than 7": (2, "expected a whole number with s, m, h, d or w"),
    "uploads expire s3://bucket --days 0": (2, "'0': expected a whole number of 1 or more"),
    "uploads resume nothing -": (3, "s3stream uploads resume: nothing: there is no such"),
    "uploads resume /bin/true -": (2, "/true: not a checkpoint: "),
    "ls s3://no-such-bucket": (3, "there is no bucket 'no-such-bucket'"),
    "cat s3://no-such-bucket/key": (3, "s3stream cat: "),
    "rm s3://no-such-bucket/key": (3, "s3stream rm: "),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_arguments(seaweedfs: Server, tmp_path: Path, line: str) -> None:
    code, says = WRONG[line]
    done = s3stream(seaweedfs, *line.split(), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == [], "the command was started"


def test_without_credentials(seaweedfs: Server) -> None:
    nothing = {n: v for n, v in environment(seaweedfs).items() if not n.startswith("AWS_ACCESS")}
    put = s3stream(seaweedfs, "put", "-", "s3://bucket/key", env=nothing)
    assert put.returncode == 4
    (line,) = put.stderr.decode().splitlines()
    assert line.startswith("s3stream put: no credentials: give --profile, or set AWS_ACCESS_KEY_ID")
    assert line.endswith("--anon for a bucket that needs none")


def test_help_begins_with_an_example(seaweedfs: Server) -> None:
    for verb in VERBS:
        shown = s3stream(seaweedfs, verb, "--help")
        assert (shown.returncode, shown.stderr) == (0, b"")
        first, second, *_ = shown.stdout.decode().splitlines()
        assert first == "example:"
        assert f"s3stream {verb} " in second


def test_help_and_version(seaweedfs: Server) -> None:
    shown = s3stream(seaweedfs, "--help")
    text = shown.stdout.decode()
    assert shown.returncode == 0
    assert text.startswith("example:\n  pg_dump")
    for verb, what in VERBS.items():
        assert f"\n  {verb:9} {what}\n" in text
    assert "exit codes:" in text
    for command in ([S3STREAM], [sys.executable, "-m", "s3stream"]):
        printed = subprocess.check_output([*command, "--version"], text=True)
        assert printed.strip() == version("s3stream")


def test_a_verb_costs_nothing_to_others(seaweedfs: Server) -> None:
    program = """if True:
        import sys
        from s3stream.cli.main import main
        try:
            main(["cat", "--help"])
        finally:
            print(sorted(name for name in sys.modules if name.startswith("s3stream.cli.")))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    imported = done.stdout.splitlines()[-1]
    assert "s3stream.cli.cat" in imported
    others = VERBS.keys() - {"cat"}
    assert [verb for verb in others if f"s3stream.cli.{verb}'" in imported] == []


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_compression(seaweedfs: Server, bucket: str, key: str, name: str) -> None:
    run = s3stream(
        seaweedfs, "run", f"s3://{bucket}/{key}", "--compress", name, "--", "echo", "hello"
    )
    assert (run.returncode, run.stderr) == (0, b"")
    if name == "gzip":
        assert gzip.decompress(content(seaweedfs, bucket, key)) == b"hello\n"
    else:
        with library.open(
            f"s3://{bucket}/{key}", "rb", compression="zstd", **seaweedfs.storage_options()
        ) as file:
            assert file.read() == b"hello\n"
