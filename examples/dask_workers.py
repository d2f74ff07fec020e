r"""Have Dask workers send the parts of one object, each the part that it has computed.

The workers are processes of this machine here; on a cluster they are anywhere, and nothing changes.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/dask_workers.py s3://bucket/key
"""

import sys

from distributed import Client, LocalCluster, wait

from s3stream import MultipartUpload, Receipt, UncertainError

NUMBERS_PER_PART = 1_000_000


def compute(upload: MultipartUpload, number: int) -> Receipt:
    """Runs on a worker: only the receipt travels back."""
    first = (number - 1) * NUMBERS_PER_PART
    squares = (n * n for n in range(first, first + NUMBERS_PER_PART))
    return upload.upload_part(number, b"".join(n.to_bytes(8, "big") for n in squares))


def main() -> None:
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as dask:
        upload = MultipartUpload.create(sys.argv[1])
        # pure=False: a part that is computed again is sent again, and not taken from memory.
        parts = dask.map(compute, [upload] * 4, range(1, 5), pure=False)
        try:
            print(upload.complete(dask.gather(parts)))
        except UncertainError:
            raise  # it may be published: aborting it could destroy what is there
        except BaseException:
            # A part that arrives while the upload is being aborted might stay, and cost storage.
            dask.cancel(parts)
            wait(parts)
            upload.abort()
            raise


if __name__ == "__main__":
    main()
