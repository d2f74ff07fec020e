"""What of fsspec's own suites is not run on a store, and why: as data, counted in its test.

By store and test; "root" is whoever runs the tests, where the test is about local files.
"""

from __future__ import annotations

_EMPTIED = (
    "SeaweedFS goes on listing a prefix for a while when its last object is gone; the test lists"
    " at once what is above it"
)
SKIPS = {
    ("root", "test_move_raises_error_with_tmpdir_permission"): (
        "root may write into the folder that the test takes its permissions from"
    ),
    ("seaweedfs", "TestCopy.test_copy_directory_to_existing_directory"): _EMPTIED,
    ("seaweedfs", "TestCopy.test_copy_directory_to_new_directory"): _EMPTIED,
    ("seaweedfs", "TestCopy.test_copy_glob_to_existing_directory"): _EMPTIED,
    ("seaweedfs", "TestPut.test_put_directory_to_existing_directory"): _EMPTIED,
    ("seaweedfs", "TestPut.test_put_directory_to_new_directory"): _EMPTIED,
    ("seaweedfs", "TestPut.test_put_glob_to_existing_directory"): _EMPTIED,
}
