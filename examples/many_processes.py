r"""Send one large file as one object from several processes; on a cluster it is done the same way.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/many_processes.py /path/to/file s3://bucket/key
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

from s3stream import MultipartUpload, Receipt, UncertainError

PART = 8 * 2**20


def send(upload: MultipartUpload, path: Path, number: int) -> Receipt:
    """Runs in a worker, which gets the upload pickled, and sends its receipt back."""
    offset = (number - 1) * PART
    size = min(PART, path.stat().st_size - offset)
    return upload.upload_part_from_file(number, path, offset, size)


def main() -> None:
    path, uri = Path(sys.argv[1]), sys.argv[2]
    numbers = range(1, -(-path.stat().st_size // PART) + 1)
    upload = MultipartUpload.create(uri)
    try:
        with ProcessPoolExecutor(2) as pool:  # its end waits for the workers
            receipts = list(pool.map(send, repeat(upload), repeat(path), numbers))
        print(upload.complete(receipts))
    except UncertainError:
        raise  # it may be published: aborting it could destroy what is there
    except BaseException:
        upload.abort()
        raise


if __name__ == "__main__":
    main()
