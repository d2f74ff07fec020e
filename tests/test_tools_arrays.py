"""Arrays: zarr and xarray by fsspec; HDF5 and netCDF, which seek while they write, by `w+b`."""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from scipy.io import netcdf_file

import s3stream
from tests.looking import assert_nothing, content, exists

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server

# What these libraries say of each other's next releases is not about us.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

NEW = sys.version_info >= (3, 11)
zarr: Any = importlib.import_module("zarr") if NEW else None
WITH_ZARR = pytest.mark.skipif(not NEW, reason="zarr 3 asks for Python 3.11")
WITH_XARRAY = pytest.mark.skipif(
    not NEW, reason="the last xarray for Python 3.10 writes HDF5 to paths only"
)

NUMBERS = np.arange(1_000_000, dtype="f8").reshape(1000, 1000)  # 8 MB: two parts


@pytest.fixture
def options(seaweedfs: Server) -> dict[str, Any]:
    return {**seaweedfs.storage_options(), "part_size": 5 << 20}


@pytest.fixture
def fs(options: dict[str, Any]) -> Any:
    return fsspec.filesystem("s3stream", **options)


@pytest.fixture
def url(bucket: str, key: str) -> str:
    return f"s3stream://{bucket}/{key}"


# -- zarr and xarray


@WITH_ZARR
@pytest.mark.parametrize("how", ["by url", "by the wrapped file system"])
def test_zarr_writes_and_reads_chunks(
    seaweedfs: Server,
    fs: Any,
    options: dict[str, Any],
    bucket: str,
    key: str,
    url: str,
    how: str,
) -> None:
    if how == "by url":
        store = zarr.storage.FsspecStore.from_url(url, storage_options=options)
    else:
        wrapped = AsyncFileSystemWrapper(fs, asynchronous=True)
        store = zarr.storage.FsspecStore(wrapped, path=f"{bucket}/{key}")
    group = zarr.open_group(store=store, mode="w")
    array = group.create_array("a", shape=(1000, 1000), chunks=(500, 500), dtype="f8")
    array[:] = NUMBERS
    array[10, 10] = -1
    names = [f"{bucket}/{key}/a/c/{i}/{j}" for i in (0, 1) for j in (0, 1)]
    assert fs.find(f"{bucket}/{key}/a/c") == names
    read = zarr.open_group(store=store, mode="r")["a"]
    assert read[10, 10] == -1
    assert np.array_equal(read[500:, :], NUMBERS[500:, :])
    del group["a"]
    assert not exists(seaweedfs, bucket, f"{key}/a/zarr.json")


@pytest.fixture
def dataset() -> xr.Dataset:
    return xr.Dataset(
        {"t": (("x", "y"), NUMBERS[:200, :100])},
        coords={"x": np.arange(200), "y": np.arange(100)},
        attrs={"title": "grüße"},
    )


@WITH_ZARR
def test_xarray_writes_appends_to_and_reads_zarr(
    options: dict[str, Any], url: str, dataset: xr.Dataset
) -> None:
    dataset.to_zarr(url, storage_options=options, consolidated=False)
    read = xr.open_zarr(url, storage_options=options, consolidated=False)
    xr.testing.assert_identical(read.load(), dataset)
    more = dataset.assign_coords(x=np.arange(200, 400))
    more.to_zarr(url, storage_options=options, append_dim="x", consolidated=False)
    both = xr.open_zarr(url, storage_options=options, consolidated=False)
    xr.testing.assert_identical(both.load(), xr.concat([dataset, more], "x"))


# -- what seeks while it writes


def write_hdf5(file: Any) -> None:
    with h5py.File(file, "w") as hdf:
        hdf.create_dataset("n", data=NUMBERS, chunks=(100, 1000))
        hdf["n"].attrs["unit"] = "m"
        hdf["n"][0, 0] = -1  # goes back


def read_hdf5(file: Any) -> None:
    with h5py.File(file) as hdf:
        assert hdf["n"].attrs["unit"] == "m"
        assert hdf["n"][0, 0] == -1
        assert np.array_equal(hdf["n"][1:], NUMBERS[1:])


def write_netcdf4(file: Any) -> None:
    with h5netcdf.File(file, "w") as netcdf:
        netcdf.dimensions = {"x": 1000, "y": 1000}
        netcdf.create_variable("n", ("x", "y"), "f8")[:] = NUMBERS


def read_netcdf4(file: Any) -> None:
    with h5netcdf.File(file, "r") as netcdf:
        assert np.array_equal(netcdf["n"][:], NUMBERS)


def write_netcdf3(file: Any) -> None:
    netcdf = netcdf_file(file, "w", version=2)
    netcdf.createDimension("x", None)  # of no given length: its number of rows is written at last
    netcdf.createDimension("y", 1000)
    netcdf.createVariable("n", "f8", ("x", "y"))[:] = NUMBERS
    netcdf.close()


def read_netcdf3(file: Any) -> None:
    with netcdf_file(file, "r", mmap=False) as netcdf:
        assert np.array_equal(netcdf.variables["n"][:], NUMBERS)


def write_by_xarray(file: Any) -> None:
    xr.Dataset({"n": (("x", "y"), NUMBERS)}).to_netcdf(file, engine="h5netcdf")


def read_by_xarray(file: Any) -> None:
    with xr.open_dataset(file, engine="h5netcdf") as dataset:
        assert np.array_equal(dataset["n"].to_numpy(), NUMBERS)


@pytest.mark.parametrize(
    ("write", "read"),
    [
        pytest.param(write_hdf5, read_hdf5, id="h5py"),
        pytest.param(write_netcdf4, read_netcdf4, id="h5netcdf"),
        pytest.param(write_netcdf3, read_netcdf3, id="scipy's netCDF"),
        pytest.param(write_by_xarray, read_by_xarray, id="xarray", marks=WITH_XARRAY),
    ],
)
def test_what_seeks_writes_to_a_file_of_mode_w_plus_b(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    write: Callable[[Any], None],
    read: Callable[[Any], None],
) -> None:
    uri = f"s3://{bucket}/{key}"
    with s3stream.open(uri, "w+b", **options) as file:
        write(file)
    assert file.result.parts == 2
    read(io.BytesIO(content(seaweedfs, bucket, key)))
    with s3stream.open(uri, "rb", **options) as back:
        read(back)


@pytest.mark.parametrize(
    "write", [write_hdf5, write_netcdf4, write_netcdf3], ids=["h5py", "h5netcdf", "scipy's netCDF"]
)
@pytest.mark.filterwarnings("ignore:nothing was published")  # scipy closes it while that is raised
def test_in_any_other_mode_the_error_says_which_one_can(
    seaweedfs: Server,
    options: dict[str, Any],
    bucket: str,
    key: str,
    write: Callable[[Any], None],
) -> None:
    with (
        pytest.raises(io.UnsupportedOperation, match=r"with mode 'w\+b' or 'x\+b' it is"),
        s3stream.open(f"s3://{bucket}/{key}", "wb", **options) as file,
    ):
        write(file)
    assert_nothing(seaweedfs, bucket, key)


def test_an_hdf5_file_whose_producer_fails_is_not_published(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str
) -> None:
    """Hdf5 closes its file as the exception passes it: what is there is valid, and half."""
    with (  # noqa: PT012
        pytest.raises(KeyError, match="producer"),
        s3stream.open(f"s3://{bucket}/{key}", "w+b", **options) as file,
        h5py.File(file, "w") as hdf,
    ):
        hdf["n"] = NUMBERS
        raise KeyError("producer")
    assert_nothing(seaweedfs, bucket, key)


@pytest.mark.skipif(sys.platform != "linux", reason="a device that is always full is Linux's")
@pytest.mark.filterwarnings("ignore:nothing was published")  # scipy closes it while that is raised
def test_a_full_disk_is_an_error_though_the_library_has_heard_of_it_first(
    seaweedfs: Server, options: dict[str, Any], bucket: str, key: str
) -> None:
    """By netCDF: h5py ends the process when any Python file of its raises at the wrong moment."""
    file = s3stream.open(f"s3://{bucket}/{key}", "w+b", **options)
    with Path("/dev/full").open("wb") as device:
        os.dup2(device.fileno(), file.fileno())
    with pytest.raises(s3stream.S3StreamError, match=r"no room for .* more bytes"):
        write_netcdf3(file)
    with pytest.raises(s3stream.S3StreamError, match=r"no room for .* more bytes"):
        file.commit()
    assert_nothing(seaweedfs, bucket, key)
