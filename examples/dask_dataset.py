r"""Have Dask workers write the files of one dataset, which appear together, or not at all.

The workers are processes of this machine here; on a cluster they are anywhere, and nothing changes.
Give it the number of a file (0 to 3) first, and the task that is to write that one fails.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/dask_dataset.py [NUMBER] s3://bucket/prefix
"""

import sys

import pandas as pd
from distributed import Client, LocalCluster, wait

import s3stream
from s3stream import PreparedUpload

FILES = 4


def write(uri: str, number: int, failing: int | None) -> PreparedUpload:
    """Runs on a worker: the file is at the store, but for its commit; its receipt travels back."""
    frame = pd.DataFrame({"file": number, "square": [n * n for n in range(100_000)]})
    with s3stream.open(uri) as file:
        frame.to_parquet(file)
        if number == failing:
            raise RuntimeError(f"the task that writes file {number} has failed")
        return file.prepare()


def main(prefix: str, failing: int | None) -> None:
    uris = [f"{prefix.rstrip('/')}/part-{number}.parquet" for number in range(FILES)]
    numbers, faults = range(FILES), [failing] * FILES
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as dask, s3stream.Dataset() as dataset:
        # pure=False: a file that is to be written again is written, and not taken from memory.
        tasks = dask.map(write, uris, numbers, faults, pure=False)
        # Whatever has been prepared is to be known, before a task's exception ends this block.
        wait(tasks)
        for task in tasks:
            if task.status == "finished":
                dataset.add(task.result())
        dask.gather(tasks)
    for result in dataset.published:
        print(result)


if __name__ == "__main__":
    *fault, prefix = sys.argv[1:]
    main(prefix, int(fault[0]) if fault else None)
