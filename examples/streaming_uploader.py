"""Stream to S3 what comes in pieces and of unknown length, as a server does with what it receives.

A part goes out when it is full and `reserve` bytes have come in behind it, so the last part is
never a small one. What is too short for that is one PutObject. A source that fails leaves nothing.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/streaming_uploader.py s3://bucket/prefix
"""

import sys
from collections.abc import Iterator

import s3stream
from s3stream import UploadResult

MIB = 2**20
PART, RESERVE = 8 * MIB, 5 * MIB


def pieces(count: int, *, breaks: bool = False) -> Iterator[bytes]:
    """A source of `count` pieces of 1 MiB, which may break at its end."""
    for n in range(count):
        yield bytes([n]) * MIB
    if breaks:
        raise ConnectionError(f"the source broke after {count} MiB")


def upload(source: Iterator[bytes], uri: str) -> UploadResult:
    with s3stream.open(uri, part_size=PART, reserve=RESERVE) as target:
        for piece in source:
            target.write(piece)
    return target.result


def content(uri: str) -> bytes:
    with s3stream.open(uri, "rb") as file:
        return bytes(file.read())


prefix = sys.argv[1].rstrip("/")
bucket, _, key = prefix.removeprefix("s3://").partition("/")

# 19 MiB: 8, and 11. A third part of 3 MiB would be less than the reserve, so it joins the second.
streamed = upload(pieces(19), f"{prefix}/streamed.bin")
assert streamed.parts == 2
assert content(f"{prefix}/streamed.bin") == b"".join(pieces(19))
print(f"streamed.bin: {streamed.size:,} bytes in {streamed.parts} parts")

# 12 MiB: no part was sent before the end, because 4 MiB would have stayed behind it.
small = upload(pieces(12), f"{prefix}/small.bin")
assert small.parts == 0
assert content(f"{prefix}/small.bin") == b"".join(pieces(12))
print(f"small.bin: {small.size:,} bytes in one PutObject")

# The source breaks when two parts are at the store: they are removed, and its own error comes out.
try:
    upload(pieces(24, breaks=True), f"{prefix}/broken.bin")
except ConnectionError as error:
    print(f"broken.bin is not there: {error}")
fs = s3stream.S3StreamFileSystem()
assert not fs.exists(f"{prefix}/broken.bin")
assert s3stream.list_uploads(bucket, key) == []
