"""Hold one multipart upload in your hand: list it, send its parts anywhere, complete or cancel it.

Here the parts of a local file are sent by other processes; on a cluster it is done the same way.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/by_hand.py /path/to/file s3://bucket/key
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from itertools import repeat
from pathlib import Path

import s3stream
from s3stream import MultipartUpload, Receipt, UncertainError

PART = 8 * 2**20


def send(upload: MultipartUpload, path: Path, number: int) -> Receipt:
    """Runs in another process, which gets the upload pickled, and returns the part's receipt."""
    offset = (number - 1) * PART
    size = min(PART, path.stat().st_size - offset)
    return upload.upload_part_from_file(number, path, offset, size)


def send_by_many(path: Path, uri: str) -> None:
    numbers = range(1, -(-path.stat().st_size // PART) + 1)
    upload = MultipartUpload.create(uri, Metadata={"sent-by": "many"})
    try:
        with ProcessPoolExecutor(2) as pool:  # its end waits for the workers
            receipts = list(pool.map(send, repeat(upload), repeat(path), numbers))
        # What the store has, whoever sent it, and in whatever order.
        for part in upload:
            print(f"part {part.part_number}: {part.size:,} bytes, etag {part.etag}")
        assert [part.etag for part in upload] == [receipt.etag for receipt in receipts]
        result = upload.complete(receipts)
    except UncertainError:
        raise  # it may be published: aborting it could destroy what is there
    except BaseException:
        upload.abort()
        raise
    assert result.size == path.stat().st_size
    print(result)


def find_and_cancel(uri: str) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    # Somebody began an upload and forgot it. All that is left is what the store tells.
    MultipartUpload.create(uri).upload_part(1, b"forgotten")
    (found,) = s3stream.list_uploads(bucket, key)
    print(f"unfinished: {found.key}, {found.parts} part of {found.size} bytes, {found.age} old")

    upload = MultipartUpload.attach(uri, found.upload_id)
    assert [part.size for part in upload] == [9]
    upload.abort()
    assert s3stream.list_uploads(bucket, key) == []
    # Of all that are older than a day, without looking at each:
    s3stream.abort_uploads(bucket, key, older_than=timedelta(days=1))


if __name__ == "__main__":
    send_by_many(Path(sys.argv[1]), sys.argv[2])
    find_and_cancel(f"{sys.argv[2]}.forgotten")
