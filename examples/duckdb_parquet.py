"""Have DuckDB write query results to S3 as Parquet, and query them there.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/duckdb_parquet.py s3stream://bucket/prefix
"""

import sys

import duckdb
import fsspec

url = sys.argv[1].rstrip("/")
fs, _ = fsspec.url_to_fs(url)
duck = duckdb.connect()
duck.register_filesystem(fs)

# In a transaction, because DuckDB closes its file after a query that has failed as if all were
# well: without one a torn object may appear. USE_TMP_FILE false: over an object that is there it
# would write another and rename it, and what a transaction holds back cannot be renamed yet.
with fs.transaction:
    duck.execute(f"""
        COPY (SELECT n, n % 4 AS quarter, n / 7 AS reading FROM range(100_000) t(n))
        TO '{url}/readings.parquet' (FORMAT parquet, USE_TMP_FILE false)
    """)

query = f"SELECT count(*), max(reading) FROM '{url}/readings.parquet' WHERE quarter = 3"
print(duck.execute(query).fetchall())

# A query that fails half-way leaves what was there as it was.
try:
    with fs.transaction:
        duck.execute(f"""
            COPY (SELECT CAST(if(n = 99_999, 'x', '1') AS int) FROM range(100_000) t(n))
            TO '{url}/readings.parquet' (FORMAT parquet, USE_TMP_FILE false)
        """)
except duckdb.ConversionException:
    print("still there:", duck.execute(query).fetchall())

# Many files at once, a folder for each quarter. OVERWRITE_OR_IGNORE, or DuckDB lists the folder
# that it believes to have made: S3 has none.
with fs.transaction:
    duck.execute(f"""
        COPY (FROM '{url}/readings.parquet') TO '{url}/by_quarter'
        (FORMAT parquet, PARTITION_BY (quarter), OVERWRITE_OR_IGNORE)
    """)
for name in fs.find(f"{url}/by_quarter"):
    print(f"{fs.size(name):>10,}  {name}")
