"""Send the parts of a local file at once, each straight from the disk, and see how it goes.

Parts end in any order; the object has them in the file's. A request that fails is repeated. What a
killed process leaves behind is removed by the store itself, after a day.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/parallel_file.py /path/to/file s3://bucket/key
"""

import sys
from pathlib import Path

from fsspec.callbacks import Callback

import s3stream

path, uri = Path(sys.argv[1]), sys.argv[2]
bucket, _, key = uri.removeprefix("s3://").partition("/")


def show(size: int, value: int, **_: object) -> None:
    """Called, in the thread that waits, with every part that the store has taken."""
    print(f"{value:>15,} of {size:,} bytes")


# Once for a bucket, and not with each upload: a lifecycle rule, which other rules live beside.
s3stream.expire_uploads(bucket, days=1, prefix=key)

progress = Callback(hooks={"show": show})
result = s3stream.upload_file(
    path,
    uri,
    part_size=8 * 2**20,
    max_concurrency=4,
    config_kwargs={"retries": {"mode": "standard", "total_max_attempts": 5}},
    callback=progress,
)
assert progress.value == progress.size == result.size
print(result)

# The checksum is of the whole object, made of those of its parts: it holds in this order only.
with s3stream.open(uri, "rb") as file:
    assert file.read() == path.read_bytes()
