"""Write to S3 as to a file: binary, text, create-only, and a producer that fails.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/writing.py s3://bucket/prefix
"""

import sys
from collections.abc import Iterator

import s3stream

prefix = sys.argv[1].rstrip("/")

# Binary. The object appears at the end of the block, whole.
with s3stream.open(f"{prefix}/squares.bin", "wb") as f:
    for n in range(100_000):
        f.write((n * n).to_bytes(8, "big"))
print(f"{f.result.key}: {f.result.size:,} bytes, etag {f.result.etag}, {f.result.checksum}")

# Text, with all that the built-in open knows of it.
with s3stream.open(f"{prefix}/greeting.txt", "w", encoding="utf-8", newline="\r\n") as text:
    print("Grüß Gott", "dzień dobry", "こんにちは", sep="\n", file=text)

# "x" creates, and never replaces what is there: the store itself sees to it.
try:
    for name in ("first", "second"):
        with s3stream.open(f"{prefix}/winner.txt", "x") as text:
            text.write(f"{name}\n")
except FileExistsError as error:
    print(f"winner.txt stays as it is: {error}")


# A producer that fails, after some 20 MB: no half object, and no uploaded part left behind.
def records() -> Iterator[str]:
    yield from (f"{n},{'x' * 100}\n" for n in range(200_000))
    raise RuntimeError("the producer has failed")


try:
    with s3stream.open(f"{prefix}/never.csv", "w") as text:
        text.writelines(records())
except RuntimeError as error:
    print(f"never.csv is not there: {error}")
