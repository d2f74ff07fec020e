"""Copy a local file of any size to S3 by shutil.copyfileobj, as it is and compressed.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/copy_large_file.py /path/to/file s3://bucket/prefix
"""

import shutil
import sys
from pathlib import Path

import s3stream

source, prefix = Path(sys.argv[1]), sys.argv[2].rstrip("/")

# Parts go out in parallel while the file is being read; memory stays bounded, however long it is.
with source.open("rb") as file, s3stream.open(f"{prefix}/{source.name}", "wb") as target:
    shutil.copyfileobj(file, target)
print(target.result)
print(f"parts held {target.raw.peak_memory:,} bytes of memory at most")

# Compressed on the way, as the name asks: .gz, .bz2, .xz, .zst, …
compressed = f"{prefix}/{source.name}.gz"
with (
    source.open("rb") as file,
    s3stream.open(compressed, "wb", compression="infer", ContentType="application/gzip") as packed,
):
    shutil.copyfileobj(file, packed)
print(f"{compressed}: {packed.result.size:,} of {source.stat().st_size:,} bytes")
