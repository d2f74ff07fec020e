"""Receive an upload over connections that break, in pieces of any size, and lose no byte of it.

S3 takes no part under 5 MiB but the last. Whatever is too short for one when a connection breaks is
kept as an object beside, and is the beginning of the next part when the upload is taken up again.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/interrupted.py s3://bucket/key
"""

import itertools
import sys
from collections.abc import Iterator

import s3stream
from s3stream import Checkpoint

uri = sys.argv[1]
whole = b"".join(n.to_bytes(4, "big") for n in range(3_250_000)) + b"."
fs = s3stream.S3StreamFileSystem()


def connection(offset: int, breaks_at: int) -> Iterator[bytes]:
    """What a client sends from `offset` on: odd pieces, until its connection breaks."""
    for size in itertools.cycle([1, 70_001, 333, 1_000_003]):
        if offset >= breaks_at:
            break
        piece = whole[offset : min(offset + size, breaks_at)]
        offset += len(piece)
        yield piece


def receive(noted: str | None, breaks_at: int) -> str | None:
    """One request to the server: takes the upload up, and puts it down again unless it is whole.

    What is noted between two requests is text, and any process on any machine can go on from it.
    """
    if noted is None:
        file = s3stream.open(uri, part_size=5 * 2**20, ContentType="video/mp4")
    else:
        file = s3stream.resume(Checkpoint.from_json(noted))
    for piece in connection(file.tell(), breaks_at):
        file.write(piece)
    if file.tell() == len(whole):
        print(f"finished: {file.commit()}")
        return None
    return file.suspend().to_json()


noted = None
for breaks_at in (1, 4_000_000, 6_000_001, 6_000_002, 12_999_999, len(whole)):
    noted = receive(noted, breaks_at)
    if noted is not None:
        # Every byte that came is at the store: in parts, and in a tail that is an object.
        checkpoint = Checkpoint.from_json(noted)
        assert checkpoint.offset == breaks_at
        assert checkpoint.tail is not None
        assert fs.info(f"{checkpoint.bucket}/{checkpoint.tail.key}")["size"] == checkpoint.tail.size
        print(
            f"{checkpoint.offset:>12,} bytes kept: {len(checkpoint.parts)} parts,"
            f" and a tail of {checkpoint.tail.size:,} bytes"
        )

assert fs.cat_file(uri) == whole
parent, name = uri.rsplit("/", 1)
assert [entry for entry in fs.find(parent) if name in entry] == [uri.removeprefix("s3://")]
