"""Archives at full length: many objects, large ones, a real tree; and what they cost in memory.

The suite runs a share of each; `tox -e long` all of it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import sysconfig
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import s3stream
from tests import programs
from tests.archives import connection, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server

MIB = 1 << 20
# In MiB; the long run (tox -e long) sets 6144.
STREAM_MIB = int(os.environ.get("S3STREAM_TEST_STREAM_MIB", "256"))
IS_LONG = "S3STREAM_TEST_STREAM_MIB" in os.environ

# A block that does not repeat within itself; each block of an object begins with its number.
_BLOCK = hashlib.shake_256(b"s3stream").digest(MIB)


class Made(BaseHTTPRequestHandler):
    """A source without a disk: objects of a pattern, as many and as large as a test wants.

    Speaks just enough of S3 to be listed and read; checks no signature.
    """

    protocol_version = "HTTP/1.1"
    objects: tuple[tuple[str, int], ...] = ()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if "list-type" in query:
            self._list(query)
        else:
            self._read(unquote(parts.path).partition("/in/")[2])

    def _list(self, query: dict[str, list[str]]) -> None:
        first = int(query.get("continuation-token", ["0"])[0])
        page = self.objects[first : first + 1_000]
        following = first + len(page)
        listed = "".join(
            f"<Contents><Key>in/{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag>"
            "<LastModified>2026-11-28T03:00:00.000Z</LastModified></Contents>"
            for key, size in page
        )
        more = following < len(self.objects)
        token = f"<NextContinuationToken>{following}</NextContinuationToken>" if more else ""
        self._answer(
            200,
            f"<ListBucketResult>{listed}{token}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated></ListBucketResult>".encode(),
        )

    def _read(self, key: str) -> None:
        size = dict(self.objects)[key] if len(self.objects) < 100 else self.objects[0][1]
        asked = self.headers.get("Range")
        first, last = 0, size - 1
        if asked is not None:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
        headers = {} if asked is None else {"Content-Range": f"bytes {first}-{last}/{size}"}
        self._answer(200 if asked is None else 206, content_of(key, first, last + 1), headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fields = {
            "ETag": '"e"',
            "Last-Modified": "Sat, 28 Nov 2026 03:00:00 GMT",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def content_of(key: str, start: int, end: int) -> bytes:
    """Bytes of a made object."""
    name = key.encode()
    blocks = []
    for number in range(start // MIB, -(-end // MIB)):
        head = name + number.to_bytes(8, "big")
        blocks.append(head + _BLOCK[len(head) :])
    offset = start // MIB * MIB
    return b"".join(blocks)[start - offset : end - offset]


class Quiet(ThreadingHTTPServer):
    """Does not mind who goes away."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing to say."""


@contextmanager
def serving(objects: tuple[tuple[str, int], ...]) -> Iterator[str]:
    handler = type("Handler", (Made,), {"objects": objects})
    with Quiet(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.05))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


_RESIDENT = """
import sys
import s3stream

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
"""

_ARCHIVE = f"""{_RESIDENT}
source, dest = sys.argv[1:]
options = {{"endpoint_url": source, "key": "k", "secret": "s"}}
compression = "stored" if dest.endswith("zip") else None

def archive(dest, **more):
    return s3stream.archive(
        "s3://made/in/", dest, compression=compression, source_options=options, **more
    )

archive(dest + ".warm." + dest.rpartition(".")[2], include="none")
base = resident()
made = archive(dest)
print(resident() - base, made.contents.entries, made.contents.size, made.upload.size)
"""

_EXTRACT = f"""{_RESIDENT}
archive, dest = sys.argv[1:]
s3stream.extract(archive, dest, include="after")
base = resident()
contents = s3stream.extract(archive, dest)
print(resident() - base, contents.entries, contents.size)
"""


def elsewhere(seaweedfs: Server, program: str, *arguments: str) -> list[int]:
    """Run a program in a process of its own; the numbers that it prints, its memory in MiB first.

    Of an archive that is made: entries, bytes, the archive's bytes; unpacked: entries, bytes.
    """
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint_url,
        "AWS_ACCESS_KEY_ID": seaweedfs.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(map(int, done.stdout.split()))


def downloaded(seaweedfs: Server, bucket: str, key: str, folder: Path) -> Path:
    """The archive as a file, and no more at the store."""
    file = folder / "archive"
    client = seaweedfs.client()
    client.download_file(bucket, key, str(file))
    client.delete_object(Bucket=bucket, Key=key)
    return file


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc/self/status")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("format", ["tar", "zip"] if IS_LONG else ["tar"])
def test_a_large_object_stays_within_the_memory_that_the_readme_states(
    seaweedfs: Server, bucket: str, key: str, format: str, tmp_path: Path
) -> None:
    size = STREAM_MIB * MIB
    with serving((("after", 3), ("large", size))[::-1]) as source:
        dest = f"s3://{bucket}/{key}.{format}"
        resident, *rest = elsewhere(seaweedfs, _ARCHIVE, source, dest)
    assert rest[:2] == [2, size + 3]
    print(f"{STREAM_MIB} MiB into a {format}: {resident} MiB resident")
    # What waits between reading and writing, the writer's parts, and what some forty connections
    # and their threads take.
    assert resident <= 64 + 128 + 32
    out = f"{key}/out/"
    resident, *rest = elsewhere(seaweedfs, _EXTRACT, dest, f"s3://{bucket}/{out}")
    assert rest == [2, size + 3]
    print(f"{STREAM_MIB} MiB out of a {format}: {resident} MiB resident")
    assert resident <= 64 + 128 + 32
    client = seaweedfs.client()
    for name, length in (("after", 3), ("large", size)):
        assert client.head_object(Bucket=bucket, Key=f"{out}{name}")["ContentLength"] == length
        client.delete_object(Bucket=bucket, Key=f"{out}{name}")
    file = downloaded(seaweedfs, bucket, f"{key}.{format}", tmp_path)
    program, flags = ("unzip", "-tq") if format == "zip" else ("tar", "-tvf")
    done = subprocess.run(
        [programs.find(program), flags, file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TZ": "UTC"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    if format == "tar":
        assert f" {size} 2026-11-28 03:00 large\n" in done.stdout
    else:
        with zipfile.ZipFile(file) as opened:
            assert opened.getinfo("large").file_size == size
            with opened.open("after") as entry:
                assert entry.read() == content_of("after", 0, 3)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("format", ["tar", "zip"] if IS_LONG else ["zip"])
def test_many_small_objects(
    seaweedfs: Server, bucket: str, key: str, format: str, tmp_path: Path
) -> None:
    count = 10_000 if IS_LONG else 1_050  # more than a page
    objects = tuple((f"{number // 100:04}/{number:06}", 4_096) for number in range(count))
    with serving(objects) as source:
        dest = f"s3://{bucket}/{key}.{format}"
        _, entries, size, _ = elsewhere(seaweedfs, _ARCHIVE, source, dest)
    assert (entries, size) == (count, count * 4_096)
    assert s3stream.extract(dest, tmp_path / "out", **connection(seaweedfs)).entries == count
    found = tree(tmp_path / "out")
    assert list(found) == [key for key, _ in objects]
    assert all(data == content_of(key, 0, 4_096) for key, data in found.items())
    file = downloaded(seaweedfs, bucket, f"{key}.{format}", tmp_path)
    command: list[str | Path] = ["unzip", "-tq", file] if format == "zip" else ["tar", "-tf", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("format", ["zip", "tar.gz"] if IS_LONG else ["zip"])
def test_the_standard_library_of_this_python_through_an_archive_and_back(
    seaweedfs: Server, bucket: str, key: str, format: str, tmp_path: Path
) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    if not IS_LONG:
        library = library / "concurrent"
    chosen = {"exclude": ["*.pyc", "site-packages/*"]}  # written by others meanwhile
    before = {
        name: data
        for name, data in tree(library).items()
        if not name.endswith(".pyc") and not name.startswith("site-packages/")
    }
    assert len(before) > (1_000 if IS_LONG else 4)
    dest = f"s3://{bucket}/{key}.{format}"
    options = connection(seaweedfs)
    made = s3stream.archive(library, dest, **chosen, **options)  # type: ignore[arg-type]  # of keywords mypy knows one type
    assert made.contents.entries == len(before)
    assert s3stream.extract(dest, tmp_path, **options) == made.contents
    assert tree(tmp_path) == before
