"""Write pyarrow tables to S3 through fsspec: one Parquet file, and a partitioned dataset.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/pyarrow_tables.py s3stream://bucket/prefix
"""

import sys

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

fs, path = fsspec.url_to_fs(sys.argv[1].rstrip("/"))
table = pa.table(
    {
        "year": [2000 + n % 4 for n in range(100_000)],
        "reading": [n / 7 for n in range(100_000)],
    }
)

# One file. It is there, whole, when write_table returns.
pq.write_table(table, f"{path}/readings.parquet", filesystem=fs)
assert pq.read_table(f"{path}/readings.parquet", filesystem=fs).equals(table)

# A dataset: one folder a year.
hive = ds.partitioning(pa.schema([("year", pa.int64())]), flavor="hive")
ds.write_dataset(table, f"{path}/by_year", filesystem=fs, format="parquet", partitioning=hive)

# Reading one year opens one file.
dataset = ds.dataset(f"{path}/by_year", filesystem=fs, partitioning=hive)
print("2003:", dataset.to_table(filter=pc.field("year") == 2003).num_rows, "readings")

# A script should not end in the same moment as a read by pyarrow: Arrow's threads let go of the
# file's bytes a little later, and abort a process that is ending by then, with every file system
# written in Python (https://github.com/apache/arrow/issues/36389).
for name in fs.find(f"{path}/by_year"):
    print(f"{fs.size(name):>10,}  {name}")
