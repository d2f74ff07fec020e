"""Write arrays to S3: zarr by xarray, chunk by chunk; HDF5, which has to go back in its file.

AWS_ENDPOINT_URL_S3=… AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… \
    python examples/arrays.py s3stream://bucket/prefix
"""

import sys

import fsspec
import h5py
import numpy as np
import xarray as xr

url = sys.argv[1].rstrip("/")
hours, stations = np.arange(240), ["Uccle", "Schiphol", "Dublin"]
celsius = 10 + 5 * np.sin(hours[:, None] / 4 + np.arange(3))
weather = xr.Dataset(
    {"celsius": (("hour", "station"), celsius)}, coords={"hour": hours, "station": [0, 1, 2]}
)

# zarr makes an object of every chunk; what is appended makes more of them.
weather.to_zarr(f"{url}/weather.zarr", mode="w", consolidated=False)
later = weather.assign_coords(hour=hours + 240)
later.to_zarr(f"{url}/weather.zarr", append_dim="hour", consolidated=False)
print(xr.open_zarr(f"{url}/weather.zarr", consolidated=False))

# HDF5 goes back to write its index. In mode `w+b` it is a temporary file that is sent when it is
# closed, all of it or, when anything raises in here, nothing.
with fsspec.open(f"{url}/weather.h5", "w+b") as file, h5py.File(file, "w") as hdf:
    hdf["celsius"] = celsius
    hdf["celsius"].attrs["stations"] = stations

with fsspec.open(f"{url}/weather.h5", "rb") as file, h5py.File(file) as hdf:
    print(list(hdf["celsius"].attrs["stations"]), hdf["celsius"][:].mean(axis=0))
