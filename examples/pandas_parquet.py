"""Write a pandas DataFrame to S3 and read it back: only the protocol of the URL is ours.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/pandas_parquet.py s3stream://bucket/prefix
"""

import sys

import pandas as pd

url = f"{sys.argv[1].rstrip('/')}/temperatures.parquet"

frame = pd.DataFrame(
    {
        "day": pd.date_range("2024-01-01", periods=366),
        "station": ["Uccle", "Schiphol", "Dublin"] * 122,
        "celsius": [day % 30 - 5.5 for day in range(366)],
    }
)
frame.to_parquet(url)

again = pd.read_parquet(url, columns=["station", "celsius"])
print(again.groupby("station")["celsius"].describe())
pd.testing.assert_frame_equal(pd.read_parquet(url), frame)

# What s3stream can be told goes into storage_options: the connection, and how to write.
frame.to_csv(
    url.replace(".parquet", ".csv.gz"),
    index=False,
    storage_options={"part_size": 16 << 20, "s3_additional_kwargs": {"CacheControl": "no-cache"}},
)
